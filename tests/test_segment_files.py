"""The segment files, read back by other readers than their writers."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from genre_classifier.labels import read_labels
from genre_classifier.tags.segment_files import activitynet, label_studio, read_segments, webvtt, write_segments
from preprocessing.errors import InputError

SEGMENTS = pd.DataFrame(
    {
        "start": [0.0, 2.5, 3599.9996],
        "end": [2.25, 4.125, 3725.5],
        "genre": ["comedy", "terror", "other"],
        "score": [0.75, 0.9375, 0.5],
    }
)
NOTHING = SEGMENTS.iloc[:0]


def test_csv_reads_back(tmp_path: Path) -> None:
    write_segments(tmp_path / "segments.csv", SEGMENTS)
    pd.testing.assert_frame_equal(read_segments(tmp_path / "segments.csv"), SEGMENTS)
    write_segments(tmp_path / "none.csv", NOTHING)
    assert read_segments(tmp_path / "none.csv").empty
    with pytest.raises(InputError, match=r"gone\.csv"):
        read_segments(tmp_path / "gone.csv")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="missing start, end, genre, score"):
        read_segments(tmp_path / "other.csv")


def test_webvtt() -> None:
    assert webvtt(SEGMENTS) == (
        "WEBVTT\n\n"
        "1\n00:00:00.000 --> 00:00:02.250\ncomedy 0.75\n\n"
        "2\n00:00:02.500 --> 00:00:04.125\nterror 0.94\n\n"
        "3\n01:00:00.000 --> 01:02:05.500\nother 0.50\n"
    )
    assert webvtt(NOTHING) == "WEBVTT\n"
    instant = webvtt(SEGMENTS.head(1).assign(end=0.0001))
    assert re.search(r"00\.000 --> 00:00:00\.001", instant)


@pytest.mark.parametrize("name", ["a.mp4", 'films/"q" <b>&.webm'])
def test_activitynet_is_read_as_labels(tmp_path: Path, name: str) -> None:
    path = tmp_path / "segments.json"
    path.write_text(activitynet(SEGMENTS, name), encoding="utf-8")
    labels = read_labels(path)
    assert labels["trailer"].tolist() == [name] * 3
    pd.testing.assert_frame_equal(labels[["start", "end", "genre"]], SEGMENTS[["start", "end", "genre"]])
    assert [found["score"] for found in json.loads(path.read_text())["results"][name]] == [0.75, 0.9375, 0.5]


def test_label_studio_predictions_are_read_as_labels(tmp_path: Path) -> None:
    path = tmp_path / "label_studio.json"
    path.write_text(label_studio(SEGMENTS, "a.mp4", fps=25), encoding="utf-8")
    (task,) = json.loads(path.read_text())
    assert "annotations" not in task
    assert task["predictions"][0]["result"][1]["score"] == 0.9375
    labels = read_labels(path)
    assert labels["genre"].tolist() == ["comedy", "terror", "other"]
    for side in ("start", "end"):
        assert (labels[side] - SEGMENTS[side]).abs().max() <= 0.5 / 25 + 1e-9
