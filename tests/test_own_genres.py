"""Genres of one's own, from synthetic trailers to the report, with the commands that a user runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from genre_classifier import cli
from genre_classifier.genres import GENRES
from preprocessing.base.errors import InputError
from tests.support.trailers import write_clips

MOVIELENS = (
    "action,adventure,animation,children,comedy,crime,documentary,drama,fantasy,film-noir,horror,musical,mystery,"
    "romance,sci-fi,thriller,war,western"
)
MANY = "action,adventure,comedy,documentary,film-noir,sci-fi,western"  # and two more: one gets a pattern
TINY = [
    "--trunk-filters",
    "2,2",
    "--trunk-pools",
    "2,2",
    "--branch-filters",
    "2",
    "--dense-units",
    "4",
    "--epochs",
    "1",
    "--validation-share",
    "0.2",
    "--test-share",
    "0.2",
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shown", "asked", "genres"),
    [
        ("Western,film-noir,Home Movie", ["auto", "--min-trailers", "1"], ("film-noir", "home-movie", "western")),
        ("Drama,other", ["drama"], ("drama",)),
        (
            f"{MANY},newsreel,other",
            [f"{MANY},Home Movie,Other"],
            (*MANY.split(","), "home-movie", "other"),
        ),
    ],
)
def test_they_are_trained_tagged_and_judged(tmp_path, capsys, shown, asked, genres):
    videos, clips, run, tags, report = (str(tmp_path / name) for name in ("videos", "clips", "run", "tags", "report"))
    labels = f"{videos}/labels.csv"
    commands = [
        ["synthesize", videos, "--trailers", "6", "--duration", "8", "--genres", shown],
        ["preprocess", videos, clips, "--frames", "32", "--size", "16", "--jobs", "2"],
        ["train", clips, labels, run, "--genres", *asked, *TINY],
        ["train", clips, labels, run, "--resume", "--epochs", "2"],
        ["tag", run, f"{videos}/trailer_000.mp4", "--out", tags],
        ["evaluate", run, clips, labels, "--out", report, "--tags", tags, "--draws", "20", "--jobs", "1"],
        ["evaluate", "--scores", report, labels, "--out", f"{report}2", "--draws", "20"],
        ["labels", labels, str(tmp_path / "truth.json"), "--clips", clips, "--genres", ",".join(genres)],
    ]
    resumed = len(genres) == 3  # each training is traced anew, every branch of it: once is enough
    if not resumed:
        commands = [command for command in commands if "--resume" not in command]
    for command in commands:
        assert cli.run(command) == 0, (command, capsys.readouterr().err)
    said = capsys.readouterr().err
    if "newsreel" in shown:
        assert "newsreel" in said
        assert "--genres" in said

    assert tuple(json.loads((Path(run) / "config.json").read_text())["model"]["genres"]) == genres
    assert tuple(json.loads((Path(run) / "thresholds.json").read_text())["genres"]) == genres
    history = pd.read_csv(Path(run) / "history.csv")
    assert [name for name in history if name.endswith("_ap")] == ["val_macro_ap", *(f"val_{one}_ap" for one in genres)]
    assert len(history) == (2 if resumed else 1)
    scores = pd.read_csv(Path(tags) / "trailer_000" / "scores.csv")
    assert tuple(scores.columns) == ("frame", "time", *genres)
    assert ((scores[list(genres)] > 0) & (scores[list(genres)] < 1)).all(axis=None)
    page = (Path(tags) / "index.html").read_text()
    assert all(f"</span>{genre}" in page for genre in genres)
    for folder in (report, f"{report}2"):
        assert tuple(json.loads((Path(folder) / "metrics.json").read_text())["genres"]) == genres
    truth = json.loads((tmp_path / "truth.json").read_text())
    named = {one["label"] for entry in truth["database"].values() for one in entry["annotations"]}
    assert named <= set(genres)


def test_auto_takes_the_genres_of_the_map(tmp_path, capsys, monkeypatch):
    import genre_classifier.training.train as training

    def train(clips, table, run, *, model_config, **options):
        raise InputError(f"{model_config.genres} of {sorted(table['trailer'])}")

    monkeypatch.setattr(training, "train", train)
    write_clips(tmp_path / "clips", [3, 3, 3])
    (tmp_path / "movies.csv").write_text("trailer,genres\n0,Scary\n1,Chiller\n2,Newsreel\n")
    (tmp_path / "map.csv").write_text("name,genre\nscary,creepy\nchiller,creepy\nnewsreel,reportage\n")
    files = [str(path) for path in (tmp_path / "clips", tmp_path / "movies.csv", tmp_path / "run")]
    options = ["--genres", "auto", "--min-trailers", "2", "--genre-map", str(tmp_path / "map.csv")]
    assert cli.run(["train", *files, *options]) == 2
    assert "('creepy',) of ['0', '1']" in capsys.readouterr().err


@pytest.mark.slow
def test_a_genre_map_may_name_genres_that_too_few_trailers_show(tmp_path):
    write_clips(tmp_path / "clips", [8] * 6)
    (tmp_path / "movies.csv").write_text("trailer,genres\n0,Drama\n1,Love\n2,Drama\n3,Romance\n4,Drama\n5,Oddity\n")
    (tmp_path / "map.csv").write_text("name,genre\nromance,love\noddity,rare\n")
    clips, labels, run, named = (str(tmp_path / name) for name in ("clips", "movies.csv", "run", "map.csv"))
    small = ["--trunk-filters", "2,2", "--branch-filters", "2", "--dense-units", "4", "--epochs", "1"]
    for command in (
        ["train", clips, labels, run, "--genres", "auto", "--min-trailers", "2", *small],
        ["evaluate", run, clips, labels, "--out", f"{run}_report", "--split", "all", "--draws", "5", "--jobs", "1"],
        ["train", clips, labels, run, "--resume", "--epochs", "2"],
    ):
        assert cli.run([*command, "--genre-map", named]) == 0, command
    assert json.loads((tmp_path / "run" / "config.json").read_text())["model"]["genres"] == ["drama", "love"]


@pytest.mark.slow
def test_a_run_resumes_with_its_own_genres(tmp_path, capsys):
    assert cli.run(["train", "clips", "labels.csv", str(tmp_path), "--resume", "--genres", "drama"]) == 2
    assert "leave --genres out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("genres", "expected"),
    [
        ("drama,drama", "named once each, got 'drama' twice"),
        ("macro", "must not be called 'macro'"),
        (",", "must be 1 to 100 names, got 0"),
        ("a|b", "letters and digits in lower case, such as sci-fi, got 'a|b'"),
        (",".join(f"g{number}" for number in range(101)), "must be 1 to 100 names, got 101"),
    ],
)
def test_what_can_be_no_genre_is_refused_in_a_line(tmp_path, capsys, genres, expected):
    assert cli.run(["synthesize", str(tmp_path / "videos"), "--genres", genres]) == 2
    message = capsys.readouterr().err
    assert expected in message
    assert message.count("\n") == 1
    assert not (tmp_path / "videos").exists()


def test_scenes_of_other_genres_look_different(tmp_path):
    from genre_classifier.dataset.synthetic import looks_of

    looks = looks_of(MOVIELENS.split(","))
    assert len({(look.palette.tobytes(), look.movement) for look in looks.values()}) == 18
    assert looks_of(("drama", *GENRES))["comedy"] is looks_of(GENRES)["comedy"]
    for genre, look in looks.items():
        assert look.palette.shape == (5, 3), genre
        assert np.ptp(look.palette, axis=0).max() > 40, genre
