"""Segments as files that other programs read: CSV, WebVTT subtitles, ActivityNet JSON, Label Studio predictions."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from genre_classifier.config import ExportConfig
from genre_classifier.dataset.label_formats import label_studio_tasks
from genre_classifier.genres import check_genres
from genre_classifier.tagging.segments import SEGMENT_COLUMNS
from preprocessing.base.errors import InputError
from preprocessing.base.files import abbreviated_repr, write_atomically
from preprocessing.base.tables import read_numbers, read_table


def write_segments(path: Path, segments: pd.DataFrame) -> None:
    """Write `segments.csv`: start,end,genre,score; seconds and probabilities. Atomic.

    What is read back equals what was written, to the last bit.
    """
    write_atomically(path, segments.to_csv(index=False, lineterminator="\n"))  # the shortest text of each number


def read_segments(path: Path) -> pd.DataFrame:
    """Read what `write_segments` wrote.

    Raises
    ------
    InputError
        If the file cannot be read, lacks a column, or holds a number or a genre that is none.
    """
    table = read_table(path, "a table of segments", columns=SEGMENT_COLUMNS)
    limits = {"start": (0.0, math.inf), "end": (0.0, math.inf), "score": (0.0, 1.0)}
    for name, (least, most) in limits.items():
        table[name] = read_numbers(path, table, name, least=least, most=most)
    for row, genre in enumerate(table["genre"], start=2):
        try:
            check_genres([genre])
        except InputError as error:
            raise InputError(f"{path}, row {row}: expected a genre, found {abbreviated_repr(genre)}") from error
    return table[list(SEGMENT_COLUMNS)]


def webvtt(segments: pd.DataFrame) -> str:
    """Return segments as WebVTT (W3C, "WebVTT: The Web Video Text Tracks Format"): a cue for each segment.

    Cues of different genres overlap where their segments do; players show them above each other.
    """
    cues = ["WEBVTT"]
    for number, row in enumerate(segments.to_dict("records"), start=1):
        first = round(row["start"] * 1000)
        last = max(first + 1, round(row["end"] * 1000))  # a cue must end after its start
        cues.append(f"{number}\n{vtt_timestamp(first)} --> {vtt_timestamp(last)}\n{row['genre']} {row['score']:.2f}")
    return "\n\n".join(cues) + "\n"


def vtt_timestamp(milliseconds: int) -> str:
    """Return a time as WebVTT writes it, hh:mm:ss.ttt."""
    seconds, milliseconds = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}.{milliseconds:03d}"


def activitynet(segments: Mapping[str, pd.DataFrame]) -> str:
    """Return segments as an ActivityNet detection result: JSON that `read_labels` and ActivityNet's own tools take.

    Parameters
    ----------
    segments : mapping of str to DataFrame
        From the video's name in label tables to its segments, as `to_segments` gives them. Numbers are written so that
        they read back the same: a rounded border would move an overlap across its limit.
    """
    results = {
        source: [
            {"label": row["genre"], "segment": [row["start"], row["end"]], "score": row["score"]}
            for row in table.to_dict("records")
        ]
        for source, table in segments.items()
    }
    document = {"version": "VERSION 1.3", "results": results, "external_data": {"used": False}}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def label_studio(videos: Iterable[tuple[Mapping[str, Any], pd.DataFrame]]) -> str:
    """Return segments as a Label Studio import, pre-annotated: a person corrects them, and `train` reads the result.

    Parameters
    ----------
    videos : iterable of (mapping, DataFrame)
        Of each video what `tags.json` says, and its segments. The run becomes Label Studio's `model_version`; the rate
        of the video turns seconds into the frames that Label Studio counts.
    """
    tasks: list[Any] = []
    for stamp, segments in videos:
        source, made_with = stamp["source"], stamp["made_with"]
        tasks += label_studio_tasks(
            segments.assign(trailer=source),
            {source: stamp.get("fps")},
            prefix=made_with.get("label_studio_prefix", ExportConfig.label_studio_prefix),
            predicted_by=f"genre-classifier {made_with['run'][:12]}",
        )
    return json.dumps(tasks, indent=1, ensure_ascii=False) + "\n"
