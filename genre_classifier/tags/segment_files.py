"""Segments as files that other programs read: CSV, WebVTT subtitles, ActivityNet JSON, Label Studio predictions."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from genre_classifier.label_formats import LABEL_STUDIO_FPS, label_studio_tasks
from genre_classifier.segments import SEGMENT_COLUMNS
from preprocessing.errors import InputError
from preprocessing.files import write_atomically


def write_segments(path: Path, segments: pd.DataFrame) -> None:
    """Write `segments.csv`: start,end,genre,score; seconds and probabilities. Atomic."""
    write_atomically(path, segments.to_csv(index=False, float_format="%.9g", lineterminator="\n"))


def read_segments(path: Path) -> pd.DataFrame:
    """Read what `write_segments` wrote.

    Raises
    ------
    InputError
        If the file cannot be read or lacks a column.
    """
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected a table of segments, found: {error}") from error
    if missing := [name for name in SEGMENT_COLUMNS if name not in table.columns]:
        raise InputError(f"{path}: expected columns {','.join(SEGMENT_COLUMNS)}; missing {', '.join(missing)}")
    return table[list(SEGMENT_COLUMNS)]


def webvtt(segments: pd.DataFrame) -> str:
    """Return segments as WebVTT (W3C, "WebVTT: The Web Video Text Tracks Format"): a cue for each segment.

    Cues of different genres overlap where their segments do; players show them above each other.
    """
    cues = ["WEBVTT"]
    for number, row in enumerate(segments.to_dict("records"), start=1):
        first = round(row["start"] * 1000)
        last = max(first + 1, round(row["end"] * 1000))  # a cue must end after its start
        cues.append(f"{number}\n{_timestamp(first)} --> {_timestamp(last)}\n{row['genre']} {row['score']:.2f}")
    return "\n\n".join(cues) + "\n"


def _timestamp(milliseconds: int) -> str:
    seconds, milliseconds = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}.{milliseconds:03d}"


def activitynet(segments: pd.DataFrame, source: str) -> str:
    """Return segments as an ActivityNet detection result: JSON that `read_labels` and ActivityNet's own tools take.

    Parameters
    ----------
    segments : DataFrame
        As `to_segments` gives it.
    source : str
        Name of the video in label tables.
    """
    found = [
        {
            "label": row["genre"],
            "segment": [round(row["start"], 6), round(row["end"], 6)],
            "score": round(row["score"], 6),
        }
        for row in segments.to_dict("records")
    ]
    document = {"version": "VERSION 1.3", "results": {source: found}, "external_data": {"used": False}}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def label_studio(segments: pd.DataFrame, source: str, *, fps: float = LABEL_STUDIO_FPS) -> str:
    """Return segments as a Label Studio import, pre-annotated: a person corrects them, and `train` reads the result.

    Parameters
    ----------
    segments : DataFrame
        As `to_segments` gives it.
    source : str
        Name of the video in label tables.
    fps : float
        Label Studio counts frames: the rate that turns seconds into them.
    """
    tasks = label_studio_tasks(segments.assign(trailer=source), fps, kind="predictions")
    return json.dumps(tasks, indent=1, ensure_ascii=False) + "\n"
