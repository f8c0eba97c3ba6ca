"""The segment files, read back by other readers than their writers."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from genre_classifier.dataset.labels import read_labels
from genre_classifier.tagging.scores import read_scores
from genre_classifier.tagging.segments import activitynet, label_studio, read_segments, webvtt, write_segments
from genre_classifier.tagging.tasks import TagsRecord
from preprocessing.base.errors import InputError

SEGMENTS = pd.DataFrame(
    {
        "start": [0.0, 2.5, 3599.9996],
        "end": [2.25, 0.1 + 4.025, 3725.5 - 1 / 3],
        "genre": ["comedy", "terror", "other"],
        "score": [0.75, 0.9375, 1 / 3],
    }
)
NOTHING = SEGMENTS.iloc[:0]


def test_csv_reads_back(tmp_path: Path) -> None:
    write_segments(tmp_path / "segments.csv", SEGMENTS)
    pd.testing.assert_frame_equal(read_segments(tmp_path / "segments.csv"), SEGMENTS, check_exact=True)
    write_segments(tmp_path / "none.csv", NOTHING)
    assert read_segments(tmp_path / "none.csv").empty
    with pytest.raises(InputError, match=r"gone\.csv"):
        read_segments(tmp_path / "gone.csv")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="missing start,end,genre,score"):
        read_segments(tmp_path / "other.csv")


@pytest.mark.parametrize(
    "row",
    ["x,1,other,0.5", "0,nan,other,0.5", "0,1,two words,0.5", "0,1,other,2", "0,1,other", "0,1,,0.5", '0,1,"other,0.5'],
)
def test_damaged_csv_is_one_line(tmp_path: Path, row: str) -> None:
    (tmp_path / "segments.csv").write_text(f"start,end,genre,score\n0,1,comedy,0.5\n{row}\n")
    with pytest.raises(InputError, match=r"segments\.csv"):
        read_segments(tmp_path / "segments.csv")


@pytest.mark.parametrize("name", ["comedy", "time", "frame"])
def test_scores_with_a_column_twice_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "scores.csv"
    path.write_text(f"frame,time,comedy,{name}\n0,0.5,0.1,0.2\n")
    with pytest.raises(InputError, match=rf"scores\.csv: expected each column once, found '{name}' twice"):
        read_scores(path)


def test_webvtt() -> None:
    assert webvtt(SEGMENTS) == (
        "WEBVTT\n\n"
        "1\n00:00:00.000 --> 00:00:02.250\ncomedy 0.75\n\n"
        "2\n00:00:02.500 --> 00:00:04.125\nterror 0.94\n\n"
        "3\n01:00:00.000 --> 01:02:05.167\nother 0.33\n"
    )
    assert webvtt(NOTHING) == "WEBVTT\n"
    assert webvtt(SEGMENTS.head(1).assign(genre="r&b's")).endswith("\nr&amp;b's 0.75\n")
    instant = webvtt(SEGMENTS.head(1).assign(end=0.0001))
    assert re.search(r"00\.000 --> 00:00:00\.001", instant)


@pytest.mark.parametrize("name", ["a.mp4", 'films/"q" <b>&.webm'])
def test_activitynet_is_read_as_labels(tmp_path: Path, name: str) -> None:
    path = tmp_path / "segments.json"
    path.write_text(activitynet({name: SEGMENTS}), encoding="utf-8")
    labels = read_labels(path)
    assert labels["trailer"].tolist() == [name] * 3
    pd.testing.assert_frame_equal(
        labels[["start", "end", "genre"]], SEGMENTS[["start", "end", "genre"]], check_exact=True
    )
    scores = [found["score"] for found in json.loads(path.read_text())["results"][name]]
    assert scores == SEGMENTS["score"].tolist()


def test_label_studio_predictions_are_read_as_labels(tmp_path: Path) -> None:
    path = tmp_path / "label_studio.json"
    record = TagsRecord(
        source="b/a 1.mp4",
        video="b/a 1.mp4",
        bytes=1,
        modified_ns=0,
        made_with={"run": "mine"},
        duration=3726,
        frames=93150,
        segments_found=3,
        shares={},
        fps=25,
    )
    path.write_text(label_studio([(record, SEGMENTS)]), encoding="utf-8")
    (task,) = json.loads(path.read_text())
    assert "annotations" not in task
    assert task["data"]["video"] == "/data/local-files/?d=b/a%201.mp4"
    assert task["predictions"][0]["model_version"] == "genre-classifier mine"
    assert task["predictions"][0]["result"][1]["score"] == 0.9375
    labels = read_labels(path)
    assert labels["genre"].tolist() == ["comedy", "terror", "other"]
    assert set(labels["trailer"]) == {"b/a 1.mp4"}
    for side in ("start", "end"):
        assert (labels[side] - SEGMENTS[side]).abs().max() <= 0.5 / 25 + 1e-9
