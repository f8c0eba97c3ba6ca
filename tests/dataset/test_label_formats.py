"""Round trips through the five label formats: nothing is lost that a format can hold, and what it cannot is said."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genre_classifier import cli
from genre_classifier.config import ExportConfig
from genre_classifier.dataset.label_formats import WRITERS
from genre_classifier.dataset.labels import join_intervals, read_labels, write_labels
from genre_classifier.genres import GENRES
from tests.support.notes import logged

IMPLICIT = "outside their intervals the trailers are `other`"
COLUMNS = ["trailer", "start", "end", "genre"]
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=8).filter(
    lambda name: name.strip() == name and not set(name) & set('",|/?')
)


@st.composite
def label_tables(draw, *, weak: bool, whole_frames: bool = False) -> pd.DataFrame:
    rows = []
    for trailer in draw(st.lists(NAMES, min_size=1, max_size=3, unique=True)):
        if weak:
            genres = draw(st.lists(st.sampled_from(GENRES), min_size=1, unique=True))
            rows += [(trailer, np.nan, np.nan, genre) for genre in genres]
            continue
        for _ in range(draw(st.integers(1, 3))):
            if whole_frames:
                first = draw(st.integers(0, 5000))
                fps = ExportConfig.label_studio_fps
                start, end = first / fps, (first + draw(st.integers(1, 500))) / fps
            else:
                start = draw(st.floats(0, 1e4))
                end = start + draw(st.floats(1e-3, 1e3))
            rows.append((trailer, start, end, draw(st.sampled_from(GENRES))))
    table = pd.DataFrame(rows, columns=COLUMNS).astype({"start": float, "end": float})
    return join_intervals(table.drop_duplicates())


def round_trip(tmp_path_factory, labels: pd.DataFrame, file_format: str) -> tuple[pd.DataFrame, list[str]]:
    endings = {"labels": "csv", "wide": "csv", "activitynet": "json", "labelstudio": "json", "dcase": "tsv"}
    path = tmp_path_factory.mktemp("labels") / f"labels.{endings[file_format]}"
    with logged() as notes:
        write_labels(path, labels, file_format=file_format)
    return read_labels(path), notes


def same(left: pd.DataFrame, right: pd.DataFrame, **options) -> None:
    pd.testing.assert_frame_equal(left[right.columns], right, check_dtype=False, **options)


@pytest.mark.slow
@pytest.mark.parametrize("file_format", ["labels", "activitynet", "dcase"])
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_intervals_survive_to_the_last_bit(tmp_path_factory, file_format, data):
    labels = data.draw(label_tables(weak=False))
    back, notes = round_trip(tmp_path_factory, labels, file_format)
    by_trailer = labels.sort_values("trailer", kind="stable").reset_index(drop=True)
    same(back.sort_values("trailer", kind="stable").reset_index(drop=True), by_trailer, check_exact=True)
    assert [IMPLICIT in note for note in notes] == [True] * (file_format != "labels")


@given(labels=label_tables(weak=False, whole_frames=True))
@settings(max_examples=40, deadline=None)
def test_label_studio_keeps_whole_frames(tmp_path_factory, labels):
    back, notes = round_trip(tmp_path_factory, labels, "labelstudio")
    same(back, labels, rtol=0, atol=1e-9)
    assert len(notes) == 1
    assert IMPLICIT in notes[0]


@pytest.mark.parametrize("file_format", sorted(WRITERS))
@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_weak_labels_survive_in_every_format(tmp_path_factory, file_format, data):
    labels = data.draw(label_tables(weak=True))
    back, notes = round_trip(tmp_path_factory, labels, file_format)
    same(back, labels)
    assert bool(notes) == (file_format == "activitynet")


def test_what_a_format_cannot_hold_is_said(tmp_path_factory):
    labels = pd.DataFrame(
        [("a", 0.0, 1.51, "action", "film"), ("b", np.nan, np.nan, "comedy", "film")], columns=[*COLUMNS, "group"]
    )
    expected = {
        "labels": [],
        "wide": ["1 intervals"],
        "activitynet": [IMPLICIT, "whole-trailer labels"],
        "labelstudio": [IMPLICIT, "rounded"],
        "dcase": [IMPLICIT, "groups", "1 whole-trailer labels"],
    }
    for file_format, wanted in expected.items():
        back, notes = round_trip(tmp_path_factory, labels, file_format)
        assert len(notes) == len(wanted), (file_format, notes)
        for note, part in zip(notes, wanted, strict=True):
            assert part in note
        if file_format != "dcase":
            assert back["group"].tolist() == ["film", "film"]


@pytest.mark.parametrize("file_format", sorted(WRITERS))
@pytest.mark.parametrize(
    "rows",
    [
        "a,0,2,action\na,2,4,action\na,5,6,action\nb,,,comedy\nb,,,terror\nc,0,inf,other\n",
        "a,,,action\na,,,comedy\nb,,,other\n",
        "a,0,2,action\na,3,4,terror\nb,1,2,comedy\n",
    ],
)
def test_the_closing_line_counts_what_is_in_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], file_format: str, rows: str
) -> None:
    source, target = tmp_path / "in.csv", tmp_path / ("out.tsv" if file_format == "dcase" else "out.json")
    source.write_text(f"trailer,start,end,genre\n{rows}")
    assert cli.run(["labels", str(source), str(target), "--to", file_format]) == 0
    found = read_labels(target)
    expected = f"{len(found)} labels of {found['trailer'].nunique()} trailers in {target}"
    assert capsys.readouterr().out.splitlines() == [expected]


@pytest.mark.parametrize(
    ("rows", "name", "expected"),
    [
        ("a,,,drama\nb,,,romance\n", "out.csv", r"in\.csv: expected labels of comedy, .*--genres"),
        ("a,0,inf,other\n", "out.json", r"out\.json: expected labels that activitynet can hold, found none"),
    ],
)
def test_a_file_without_labels_is_not_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: str, name: str, expected: str
) -> None:
    (tmp_path / "in.csv").write_text(f"trailer,start,end,genre\n{rows}")
    assert cli.run(["labels", str(tmp_path / "in.csv"), str(tmp_path / name)]) == 2
    assert re.search(expected, capsys.readouterr().err)
    assert not (tmp_path / name).exists()
