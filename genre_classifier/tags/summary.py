"""`summary.csv`, `segments.json` and `index.html` over every video of a tags folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from genre_classifier.genres import GENRES
from genre_classifier.tags.index_page import index_html
from genre_classifier.tags.jobs import INDEX, SCHEMA, SEGMENTS, STAMP, SUMMARY, read_stamp
from genre_classifier.tags.segment_files import activitynet, read_segments
from preprocessing.errors import InputError
from preprocessing.files import write_atomically


def write_index(out: Path, failures: Iterable[tuple[str, str]]) -> pd.DataFrame:
    """Write `summary.csv`, `segments.json` and `index.html` over every video done in the folder, and the failures.

    Parameters
    ----------
    out : Path
        The tags folder.
    failures : iterable of (str, str)
        Source and reason, as `tag_videos` gives them.

    Returns
    -------
    DataFrame
        The summary: source, folder, status, error, duration (seconds), frames, segments, a share in [0, 1] per genre.
    """
    rows, segments = [], {}
    for path in sorted(out.glob(f"*/{STAMP}")):
        stamp = read_stamp(path.parent)
        if stamp.get("schema") != SCHEMA:
            continue
        name = path.parent.name
        try:
            segments[name] = read_segments(path.parent / "segments.csv")
        except InputError:  # damaged since: the command that is given its video again mends it
            continue
        row = {"source": stamp["source"], "folder": name, "status": "ok", "error": ""}
        row |= {"duration": stamp["duration"], "frames": stamp["frames"], "segments": stamp["segments_found"]}
        rows.append(row | {f"{genre}_share": stamp["shares"][genre] for genre in GENRES})
    write_atomically(out / SEGMENTS, activitynet({_name(row, rows): segments[row["folder"]] for row in rows}))
    rows += [{"source": source, "folder": "", "status": "failed", "error": error} for source, error in failures]
    columns = ["source", "folder", "status", "error", "duration", "frames", "segments"]
    summary = pd.DataFrame(rows, columns=[*columns, *(f"{genre}_share" for genre in GENRES)])
    summary = summary.astype({"frames": "Int64", "segments": "Int64"})
    write_atomically(out / SUMMARY, summary.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    write_atomically(out / INDEX, index_html(summary, segments))
    return summary


def _name(row: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """Return what labels call a video; where two videos share that name, it is told apart by its folder."""
    shared = sum(other["source"] == row["source"] for other in rows) > 1
    return str(row["folder"] if shared else row["source"])
