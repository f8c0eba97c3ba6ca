"""What the label formats share: the row they are read into, what a cell or field may be, and messages about losses."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from preprocessing.base.errors import InputError
from preprocessing.base.files import abbreviated_repr

logger = logging.getLogger(__name__)

EXPECTED = (
    "a label table: CSV with trailer,start,end,genre or trailer,genres; "
    "tab-separated filename,onset,offset,event_label; ActivityNet or Label Studio JSON; ELAN .eaf"
)
# where, trailer, start, end, genre; then, as far as the format has them, group and checked
Row = tuple[str, str, float, float, str, *tuple[str | None, ...]]
# Of a video without any event: `other` from its beginning to its end, which is not known here.
_WHOLE_VIDEO = (0.0, np.inf, "other")
COLUMNS = ("where", "trailer", "start", "end", "genre", "group", "checked")


class Span(NamedTuple):
    """What is judged of a video, from `start` to `end`; the seconds at which the video itself ends; its frame rate."""

    start: float
    end: float
    video_end: float
    fps: float | None = None


Spans = Mapping[str, Span]  # by trailer
Written = tuple[str, pd.DataFrame]  # a file's text, and the labels that it holds


# --- reading ---------------------------------------------------------------------------------------------------------


def refused(path: Path, where: str, expected: str, found: Any) -> InputError:
    """Return the error to raise for what stands in a place of a file."""
    return InputError(f"{path}, {where}: expected {expected}, found {abbreviated_repr(found)}")


def refused_export(path: Path, found: str) -> InputError:
    """Return the error to raise for an export of Label Studio that is not the one with its tasks."""
    return InputError(
        f"{path}: expected Label Studio's export as JSON, found its export as {found}; export the project as JSON"
    )


def read_seconds(path: Path, where: str, value: Any) -> float:
    """Return a cell or a number of JSON as seconds; an empty cell as NaN."""
    if isinstance(value, str) and not value.strip():
        return np.nan
    text = value if isinstance(value, str) else repr(value) if type(value) in (int, float) else ""
    try:
        seconds = float("" if "_" in text else text)
    except ValueError:
        raise refused(path, where, "seconds", value) from None
    if np.isnan(seconds):
        raise refused(path, where, "seconds", value)
    return seconds


def read_name(path: Path, where: str, value: Any, what: str = "a trailer") -> str:
    """Return text that names something; a whole number names what has that id."""
    if type(value) is int:
        return str(value)
    if not isinstance(value, str):
        raise refused(path, where, what, value)
    if not value.strip():
        raise InputError(f"{path}, {where}: expected {what}, found an empty cell")
    return value


def with_silent_files(rows: Iterator[Row]) -> Iterator[Row]:
    """Take a file that has a row, and no event in any, for `other` from beginning to end."""
    silent: dict[str, Row] = {}
    heard: set[str] = set()
    for row in rows:
        where, trailer, start, end, genre, *rest = row
        if np.isnan(start) and np.isnan(end) and not genre.strip():
            group, checked = (*rest, None, None)[:2]
            silent.setdefault(trailer, (where, trailer, *_WHOLE_VIDEO, group, checked))
        else:
            heard.add(trailer)
            yield row
    yield from (row for trailer, row in silent.items() if trailer not in heard)


# --- writing ---------------------------------------------------------------------------------------------------------


def note_implicit_other(labels: pd.DataFrame, spans: Spans | None) -> None:
    """Log that frames outside the intervals, which are `other`, are not written, unless `spans` has told them."""
    if spans is None and labels["start"].notna().any():
        logger.warning(
            "outside their intervals the trailers are `other`: not written, since only the clips (--clips) have it"
        )


def drop_endless(labels: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the labels that have an end, for a format called `name` that needs one; log how many have none."""
    endless = np.isinf(labels["end"])
    if endless.any():
        logger.warning(
            f"{name} needs an end for `other` in {endless.sum()} trailers without events: left out without --clips"
        )
    return labels[~endless]
