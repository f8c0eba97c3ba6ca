"""`summary.csv`, `index.html`, `segments.json` and `label_studio.json` over every video of a tags folder."""

from __future__ import annotations

import logging
import math
import os
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from genre_classifier.genres import check_genres
from genre_classifier.tagging.index_page import index_html
from genre_classifier.tagging.segment_files import activitynet, label_studio, read_segments
from genre_classifier.tagging.tasks import INDEX, LABEL_STUDIO, SEGMENTS, STAMP, SUMMARY, TAGS_SCHEMA
from preprocessing.base.errors import InputError
from preprocessing.base.files import abbreviated_repr, read_document, write_atomically
from preprocessing.base.tables import read_table

logger = logging.getLogger(__name__)

# What spreadsheet programs take for a formula; a cell that already hides one behind quotes is hidden once more.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_TEXTS = ("source", "folder", "error")


def write_tags_index(out: Path, failures: Iterable[tuple[str, str]]) -> pd.DataFrame:
    """Write `summary.csv`, `segments.json` and `index.html` over every video done in the folder, and the failures.

    `label_studio.json`, too, over the videos that have one of their own.

    Parameters
    ----------
    out : Path
        The tags folder.
    failures : iterable of (str, str)
        Source and reason, as `tag_videos` gives them.

    Returns
    -------
    DataFrame
        The summary: source, folder, status, error, duration (seconds), frames, segments, a share in [0, 1] per genre
        of any of the runs; NaN where the run of that video does not know the genre.
    """
    rows, segments, stamps = [], {}, {}
    for path in sorted(out.glob(f"*/{STAMP}")):
        name = path.parent.name
        try:
            stamp, segments[name] = read_tagged(path.parent)
        except InputError as error:
            logger.warning(f"{error}; left out of {out / INDEX}")
            continue
        stamps[name] = stamp
        row = {"source": stamp["source"], "folder": name, "status": "ok", "error": ""}
        row |= {"duration": stamp["duration"], "frames": stamp["frames"], "segments": stamp["segments_found"]}
        rows.append(row | {f"{genre}_share": stamp["shares"][genre] for genre in stamp["shares"]})
    counts = Counter(row["source"] for row in rows)
    # What labels call a video; where two videos share that name, they are told apart by their folders.
    names = [row["folder"] if counts[row["source"]] > 1 else row["source"] for row in rows]
    found = {name: row["folder"] for name, row in zip(names, rows, strict=True)}
    write_atomically(out / SEGMENTS, activitynet({name: segments[folder] for name, folder in found.items()}))
    tasks = [
        (stamps[folder] | {"source": name}, segments[folder])
        for name, folder in found.items()
        if stamps[folder].get("made_with", {}).get("label_studio")
    ]
    if tasks:
        write_atomically(out / LABEL_STUDIO, label_studio(tasks))
    else:
        (out / LABEL_STUDIO).unlink(missing_ok=True)
    rows += [{"source": source, "folder": "", "status": "failed", "error": error} for source, error in failures]
    columns = ["source", "folder", "status", "error", "duration", "frames", "segments"]
    shares = [name for row in rows for name in row if name.endswith("_share")]
    summary = pd.DataFrame(rows, columns=[*columns, *dict.fromkeys(shares)])
    summary = summary.astype({"frames": "Int64", "segments": "Int64"})
    written = summary.assign(**{name: summary[name].map(as_text) for name in _TEXTS})
    write_atomically(out / SUMMARY, written.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    write_atomically(out / INDEX, index_html(summary, segments))
    return summary


def read_summary(path: Path) -> pd.DataFrame:
    """Read `summary.csv`: every cell is text, as it was before it was written.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    table = read_table(path, "the summary of a folder that `tag` wrote", columns=("source", "folder"))
    for name in set(_TEXTS) & set(table.columns):
        table[name] = [cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell for cell in table[name]]
    return table


def viewer_urls(tags: Path, out: Path) -> dict[str, str]:
    """Return the URLs of the viewer pages in a tags folder, relative to the folder `out`, by source.

    Raises
    ------
    InputError
        If the folder has no readable summary.
    """
    table = read_summary(tags / SUMMARY)
    urls = {}
    for source, folder in zip(table["source"], table["folder"], strict=True):
        if not folder:  # it could not be read
            continue
        page = os.path.relpath(tags / folder / "viewer.html", out)
        urls[source] = quote(Path(page).as_posix())
    return urls


def as_text(cell: str) -> str:
    """Return a cell that no spreadsheet program computes: names and messages come from outside."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def read_tagged(folder: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """Read what `tag` recorded of a video, and its segments.

    Raises
    ------
    InputError
        If either is damaged.
    """
    stamp, segments = _read_stamp(folder / STAMP), read_segments(folder / "segments.csv")
    if unknown := sorted(set(segments["genre"]) - set(stamp["shares"])):
        raise InputError(f"{folder / 'segments.csv'}: expected genres of {STAMP}, found {abbreviated_repr(unknown[0])}")
    return stamp, segments


def _read_stamp(path: Path) -> dict[str, Any]:
    """Read what `tag` recorded of a video.

    Raises
    ------
    InputError
        If it is damaged.
    """
    stamp = read_document(path, TAGS_SCHEMA, "what `tag` records of a video", "tag it again")
    shares = stamp.get("shares")
    shares = shares if isinstance(shares, dict) else {}
    try:
        check_genres(list(shares))
    except InputError:
        shares = {"": None}

    def number(value: Any, *, whole: bool = False, most: float = math.inf) -> bool:
        kinds = (int,) if whole else (int, float)
        return isinstance(value, kinds) and not isinstance(value, bool) and 0 <= value <= most

    checks = {
        "source": isinstance(stamp.get("source"), str),
        "duration": number(stamp.get("duration")),
        "frames": number(stamp.get("frames"), whole=True),
        "segments_found": number(stamp.get("segments_found"), whole=True),
        "shares": all(number(share, most=1) for share in shares.values()),
        "fps": stamp.get("fps") is None or number(stamp["fps"]),
        "size": stamp.get("size") is None or _is_size(stamp["size"]),
        "video": isinstance(stamp.get("video"), str),
        "made_with": _is_made_with(stamp.get("made_with", {"run": ""})),
    }
    if wrong := next((name for name, right in checks.items() if not right), None):
        raise InputError(
            f"{path}: expected what `tag` records of a video, found {wrong} {abbreviated_repr(stamp.get(wrong))}"
        )
    return stamp


def _is_made_with(value: Any) -> bool:
    texts = ("run", "label_studio_prefix")
    return isinstance(value, dict) and "run" in value and all(isinstance(value.get(name, ""), str) for name in texts)


def _is_size(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(one) is int and one > 0 for one in value)
