"""Names of genres: what may be one, what a table's name stands for, and how each is drawn."""

from __future__ import annotations

import unicodedata

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genre_classifier.dataset.labels import common_genres, read_genre_map, read_labels
from genre_classifier.dataset.trailer_labels import frame_targets
from genre_classifier.genres import GENRES, canonical_genre, check_genres, genre_list, genre_name
from preprocessing.base.errors import InputError
from tests.support.notes import logged
from tests.support.trailers import write_clips

OWN = ("drama", "sci-fi", "home-movie")


@given(st.lists(st.from_regex(r"[a-z0-9][a-z0-9'&+._-]{0,39}", fullmatch=True), min_size=1, max_size=5))
def test_a_name_stays_itself(names):
    assert [genre_name(name) for name in names] == names
    taken = {"all", "auto", "frame", "macro", "micro", "none", "nothing", "time", "weighted"}
    if len(set(names)) == len(names) and not taken & set(names):
        check_genres(names)
        assert genre_list(", ".join(names).upper()) == tuple(names)


def test_a_name_stands_for_itself_before_the_map():
    assert canonical_genre(" Sci-Fi ", OWN) == "sci-fi"
    assert canonical_genre("Home  Movie", OWN) == "home-movie"
    assert canonical_genre("horror", ("horror", "terror")) == "horror"
    assert canonical_genre("horror", ("comedy", "terror")) == "terror"
    assert canonical_genre("horror", OWN) is None  # known, and none of these
    assert canonical_genre("Horror") == "terror"
    with pytest.raises(KeyError):
        canonical_genre("newsreel", OWN)


def test_a_name_is_one_however_it_is_written(tmp_path):
    one, two = (unicodedata.normalize(form, "Com\u00e9die") for form in ("NFC", "NFD"))
    assert genre_name(one) == genre_name(two) == "com\u00e9die"
    path = tmp_path / "movies.csv"
    path.write_text(f"trailer,genres\na,{one}\nb,{two}\n", encoding="utf-8")
    assert common_genres(path, min_trailers=2) == ("com\u00e9die",)
    assert canonical_genre("Film Noir") == canonical_genre("film-noir") == "thriller"
    assert canonical_genre(two, ("com\u00e9die",)) == "com\u00e9die"


def test_what_a_genre_map_says_comes_before_a_genres_own_name(tmp_path):
    path, names = tmp_path / "map.csv", tmp_path / "movies.csv"
    path.write_text("name,genre\nthriller,terror\nComedy,\nhorror,terror\nFilm Noir,action\n")
    names.write_text("trailer,genres\na,Thriller\nb,comedy\nc,musical\nd,Film-Noir\n")
    with logged() as notes:
        labels = read_labels(names, genre_map=read_genre_map(path))
    assert dict(zip(labels["trailer"], labels["genre"], strict=True)) == {"a": "terror", "c": "musical", "d": "action"}
    assert notes == [f"{names}: genres outside the six, left out: comedy (1)"]
    both = ("horror", "terror")
    assert canonical_genre("horror", both, read_genre_map(path, both + GENRES)) == "terror"
    assert canonical_genre("horror", both) == "horror"


def test_auto_counts_names_as_what_the_map_says(tmp_path):
    path, table = tmp_path / "movies.csv", tmp_path / "map.csv"
    path.write_text("trailer,genres\na,Scary|Drama\nb,Chiller|drama\nc,Horror\nd,Newsreel\n")
    table.write_text("name,genre\nscary,creepy\nchiller,creepy\nhorror,creepy\ndrama,\nnewsreel,reportage\n")
    genre_map = read_genre_map(table, None)
    assert common_genres(path, min_trailers=2, genre_map=genre_map) == ("creepy",)
    labels = read_labels(path, genres=("creepy",), genre_map=genre_map)
    assert labels["genre"].tolist() == ["creepy"] * 3
    table.write_text("name,genre\nscary,a/b\n")
    with pytest.raises(InputError, match=r"map\.csv, row 2: genres must be names of letters"):
        read_genre_map(table, None)


def test_only_what_other_means_is_left_outside_intervals():
    labels = pd.DataFrame({"trailer": "a", "start": [1.0], "end": [2.0], "genre": "drama"})
    times = np.arange(4.0)
    assert frame_targets(labels, times, ("drama", "other")).tolist() == [[0, 1], [1, 0], [0, 1], [0, 1]]
    assert frame_targets(labels, times, ("sci-fi", "drama")).tolist() == [[0, 0], [0, 1], [0, 0], [0, 0]]
    with pytest.raises(InputError, match=r"expected the genres comedy.*found 'drama'; see --genres"):
        frame_targets(labels, times, GENRES)


def test_names_that_a_run_does_not_know_are_said_in_one_line(tmp_path):
    path = tmp_path / "movies.csv"
    path.write_text("trailer,genres\na,Drama|Newsreel|Horror\nb,Sci-Fi|Newsreel\nc,Home Movie\n")
    with logged() as notes:
        labels = read_labels(path, genres=OWN)
    assert labels["genre"].tolist() == ["drama", "sci-fi", "home-movie"]
    (note,) = notes
    assert "Newsreel (2), Horror (1)" in note
    assert "--genres" in note
    with pytest.raises(InputError, match=r"found 'Newsreel'.*Home Movie.*; --genres names the genres of a run"):
        read_labels(path)  # beside the article's six, an unknown name is an error
    with pytest.raises(InputError, match=r"found 'Newsreel'.*--genres"):
        read_labels(path, genres=("western",))


def test_auto_takes_what_enough_trailers_show(tmp_path):
    path = tmp_path / "movies.csv"
    path.write_text("trailer,genres\na,Drama|War|other\nb,Drama|other\nc,(no genres listed)\nd,drama|Sci-Fi\n")
    with logged() as notes:
        assert common_genres(path, min_trailers=2) == ("drama", "other")
    assert notes == [
        "genres: drama (3), other (2)",
        f"{path}: genres of fewer than 2 trailers, left out: sci-fi (1), war (1)",
    ]
    assert common_genres(path) == ("drama", "sci-fi", "war", "other")
    with pytest.raises(InputError, match="shown by at least 5 trailers, found none"):
        common_genres(path, min_trailers=5)


def test_auto_counts_trailers_that_have_a_clip(tmp_path):
    write_clips(tmp_path / "clips", [3, 3])
    path = tmp_path / "movies.csv"
    path.write_text("trailer,genres\n0,Drama|War\n1,Drama\nelsewhere,War\n")
    assert common_genres(path, min_trailers=2) == ("drama", "war")
    assert common_genres(path, min_trailers=2, clips=tmp_path / "clips") == ("drama",)
