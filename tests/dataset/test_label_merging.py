"""Several label tables as one: the last one that names a trailer says all about it, and what it replaces is said."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from genre_classifier import cli
from genre_classifier.dataset.labels import read_labels
from genre_classifier.dataset.trailer_labels import merge_labels
from tests.support.notes import logged

FIRST = """trailer,start,end,genre,group
a.mp4,0,2,comedy,film
a.mp4,2,4,action,film
b.mp4,,,terror,film
c.mp4,0,1,other,
"""
SECOND = "trailer,start,end,genre\na.mp4,0,3,comedy\nd.mp4,1,2,musical\n"
THIRD = "trailer,start,end,genre\nb.mp4,,,terror\nd.mp4,0,2,musical\n"


def test_the_last_one_wins_and_says_so(tmp_path, capsys):
    for name, text in (("first", FIRST), ("second", SECOND), ("third", THIRD)):
        (tmp_path / f"{name}.csv").write_text(text)
    files = [str(tmp_path / f"{name}.csv") for name in ("first", "second", "third", "out")]
    assert cli.run(["labels", *files]) == 0
    said = capsys.readouterr()
    assert f"{files[1]}: takes the place of what earlier files say of 'a.mp4'" in said.err
    assert f"{files[2]}: takes the place of what earlier files say of 'd.mp4'" in said.err  # b.mp4 is as it was
    assert "4 labels of 4 trailers" in said.out
    table = read_labels(tmp_path / "out.csv").sort_values("trailer")
    assert table[["trailer", "genre"]].to_numpy().tolist() == [
        ["a.mp4", "comedy"],
        ["b.mp4", "terror"],
        ["c.mp4", "other"],
        ["d.mp4", "musical"],
    ]
    assert table["end"].tolist()[::3] == [3.0, 2.0]
    groups = table["group"].fillna("")
    assert groups.tolist()[:2] == ["film", "film"]  # a correction knows no group: trailers of a film stay together


def test_a_group_that_one_row_names_outlives_a_correction(tmp_path):
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    first.write_text("trailer,start,end,genre,group\na,0,1,comedy,film\na,2,3,action,\nb,0,1,action,film\n")
    second.write_text("trailer,start,end,genre\na,0,2,comedy\na,3,4,terror\n")
    merged = merge_labels([(path, read_labels(path)) for path in (first, second)])
    assert merged["group"].tolist() == ["film"] * 3


def test_a_file_that_names_a_trailer_without_a_genre_for_it_takes_its_labels_away(tmp_path):
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    first.write_text(FIRST)
    second.write_text("trailer,genres\na.mp4,Drama\nb.mp4,Drama|Horror\ne.mp4,Drama\n")
    with logged() as notes:
        merged = read_labels([first, second])
    assert merged[["trailer", "genre"]].to_numpy().tolist() == [["c.mp4", "other"], ["b.mp4", "terror"]]
    assert notes == [
        f"{second}: genres outside the six, left out: Drama (3)",
        f"{second}: takes the place of what earlier files say of 'a.mp4'",
        f"{second}: no label is left of 'a.mp4': all genres that this file gives them are left out",
    ]
    with logged() as notes:
        assert read_labels([second, first])["trailer"].tolist() == ["a.mp4", "a.mp4", "b.mp4", "c.mp4"]
    assert len(notes) == 1


def test_what_a_page_saved_is_not_written_over(tmp_path, capsys):
    saved = [tmp_path / "a.20261130T181500.labels.csv", tmp_path / "b.labels.csv"]
    for path in saved:
        path.write_text(SECOND)
    assert cli.run(["labels", *map(str, saved)]) == 2
    assert f"Missing argument 'OUT': {saved[1]} comes last" in capsys.readouterr().err
    assert saved[1].read_text() == SECOND
    assert cli.run(["labels", *map(str, saved), str(tmp_path / "out.labels.csv")]) == 0


def test_one_table_stays_as_it_is(tmp_path):
    (tmp_path / "first.csv").write_text(FIRST)
    table = read_labels(tmp_path / "first.csv")
    with logged() as notes:
        pd.testing.assert_frame_equal(merge_labels([(Path("first.csv"), table)]), table.reset_index(drop=True))
    assert notes == []


def test_who_was_checked_stays_known(tmp_path):
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    first.write_text("trailer,start,end,genre\na,0,1,comedy\nb,0,1,comedy\n")
    second.write_text("trailer,start,end,genre,checked\nb,0,1,action,no\n")
    merged = merge_labels([(path, read_labels(path)) for path in (first, second)])
    assert merged[["trailer", "genre", "checked"]].to_numpy().tolist() == [
        ["a", "comedy", True],
        ["b", "action", False],
    ]
