"""The label formats of this and other tools, read into and written from one table.

=============  ===================================================================================================
format         what it looks like
=============  ===================================================================================================
labels         `labels.csv`: trailer,start,end,genre (,group,checked); seconds; start and end empty, or no such columns:
               weak; checked `no`: of this trailer, nothing is known outside its intervals
wide           CSV: trailer,genres (,group) with `comedy|action`, as MovieLens writes genres; weak labels only
activitynet    JSON {"database": {trailer: {"annotations": [{"label", "segment": [start, end]}]}}}, or "results"
labelstudio    JSON: tasks with TimelineLabels (1-based frames, both ends inside) and Choices (weak labels)
dcase          tab-separated filename, onset, offset, event_label; or filename, event_labels (weak, with commas); also
               without a header, as dcase_util writes it
elan           `.eaf`, read only: a tier for each genre, or a tier `genre` with their names; `export` writes it
=============  ===================================================================================================

A table read here has the columns where (for messages), trailer, start, end, genre (as written) and maybe group and
checked; meaning is checked by `genre_classifier.dataset.labels`.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable, Iterable, Iterator
from io import StringIO
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np
import pandas as pd

from genre_classifier.config import LABEL_FORMATS, MAX_LABEL_MB, ExportConfig
from genre_classifier.dataset.label_elan import read_elan
from genre_classifier.dataset.label_json import (
    activitynet_json,
    label_studio_json,
    label_studio_tasks,
    read_documents,
)
from genre_classifier.dataset.label_rows import (
    COLUMNS,
    EXPECTED,
    Row,
    Span,
    Spans,
    Written,
    note_implicit_other,
    read_name,
    read_seconds,
    refused,
    refused_export,
    with_silent_files,
)
from preprocessing.base.errors import InputError
from preprocessing.base.files import abbreviated_repr, read_text, write_atomically
from preprocessing.base.tables import csv_reason

Cells = Iterator[tuple[int, list[str]]]  # number of the row in the file, from 1, and its cells


def _cells(path: Path, text: str, separator: str) -> Cells:
    """Yield the rows of a table that are not blank."""
    try:
        for number, row in enumerate(csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True), start=1):
            if any(cell.strip() for cell in row):
                yield number, row
    except csv.Error as error:
        raise InputError(f"{path}: expected {EXPECTED}; found no table ({csv_reason(error)})") from error


def read_delimited(path: Path, text: str) -> Iterator[Row]:
    """Read a table with commas or tabs; its columns, or in DCASE tables its cells, tell which one it is."""
    first = text.lstrip().split("\n", 1)[0]
    tabs = "\t" in first or (path.suffix.lower() in (".txt", ".ann") and "\t" in text)
    rows = _cells(path, text, "\t" if tabs else ",")
    top = next(rows, None)
    if top is None:
        raise InputError(f"{path}: expected {EXPECTED}; found an empty file")
    names = [cell.strip().lower() for cell in top[1]]
    columns = set(names)
    if tabs and not columns & {"filename", "trailer"}:
        yield from with_silent_files(_read_headerless(path, chain([top], rows)))
        return
    if {"annotation_id", "annotator"} <= columns:
        raise refused_export(path, "CSV or TSV")
    if twice := next((name for name in names if name and names.count(name) > 1), None):
        raise InputError(f"{path}: expected each column once, found {abbreviated_repr(twice)} twice")
    if {"trailer", "start", "end", "genre"} <= columns:
        yield from _read_intervals(path, names, rows, ("trailer", "start", "end", "genre"))
    elif {"filename", "onset", "offset", "event_label"} <= columns:
        events = _read_intervals(path, names, rows, ("filename", "onset", "offset", "event_label"), silent=True)
        yield from with_silent_files(events)
    elif {"trailer", "genres"} <= columns:
        yield from _read_weak(path, names, rows, "trailer", "genres", "|")
    elif {"trailer", "genre"} <= columns and not columns & {"start", "end"}:
        yield from _read_weak(path, names, rows, "trailer", "genre", "|")
    elif {"filename", "event_labels"} <= columns:
        yield from _read_weak(path, names, rows, "filename", "event_labels", ",")
    else:
        raise InputError(f"{path}: expected {EXPECTED}; found columns {abbreviated_repr(','.join(top[1]))}")


def _named(path: Path, names: list[str], rows: Cells, *, silent: bool = False) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield where each row is, and its cells by name; a `silent` row may hold its first cell alone."""
    for number, row in rows:
        if len(row) != len(names) and not (silent and len(row) < len(names) and not any(row[1:])):
            raise InputError(f"{path}, row {number}: expected {len(names)} cells, found {len(row)}")
        yield f"row {number}", dict(zip_longest(names, row, fillvalue=""))


def _read_intervals(
    path: Path, names: list[str], rows: Cells, columns: tuple[str, str, str, str], *, silent: bool = False
) -> Iterator[Row]:
    trailer, begin, end, genre = columns
    for where, row in _named(path, names, rows, silent=silent):
        start, stop = (read_seconds(path, where, row[side]) for side in (begin, end))
        yield (
            where,
            read_name(path, where, row[trailer]),
            start,
            stop,
            row[genre],
            row.get("group") or None,
            row.get("checked") or None,
        )


def _read_weak(path: Path, names: list[str], rows: Cells, trailer: str, genres: str, mark: str) -> Iterator[Row]:
    for where, row in _named(path, names, rows):
        for genre in row[genres].split(mark):
            yield where, read_name(path, where, row[trailer]), np.nan, np.nan, genre, row.get("group") or None


def _is_number(cell: str) -> bool:
    try:
        return "_" not in cell and bool(np.isfinite(float(cell)))
    except ValueError:
        return False


def _read_headerless(path: Path, rows: Iterable[tuple[int, list[str]]]) -> Iterator[Row]:
    """Read what dcase_util reads without a header (`MetaDataContainer.load`), told apart by which cells are numbers."""
    for number, row in rows:
        where, cells = f"row {number}", [cell.strip() for cell in row]
        while not cells[-1]:
            cells.pop()
        is_number = [_is_number(cell) for cell in cells]
        if len(cells) >= 4 and is_number[1] and is_number[2]:  # file, onset, offset, event label ...
            file, start, end, genre = cells[:4]
        elif len(cells) >= 4 and is_number[2] and is_number[3]:  # file, scene label, onset, offset, event label ...
            file, start, end, genre = cells[0], cells[2], cells[3], cells[4] if len(cells) > 4 else cells[1]
        elif len(cells) == 3 and is_number[:2] == [True, True]:  # onset, offset, event label: of the file of this name
            file, start, end, genre = path.stem, *cells
        elif len(cells) <= 2 and not any(is_number[1:]):  # file, scene label; or a file alone, without events
            file, start, end, genre = cells[0], "", "", cells[1] if len(cells) == 2 else ""
        else:
            expected = "filename, onset, offset, event_label (tab-separated)"
            raise refused(path, where, expected, "\t".join(cells))
        yield where, file, read_seconds(path, where, start), read_seconds(path, where, end), genre, None


# --- writing ---------------------------------------------------------------------------------------------------------


def _seconds_text(seconds: float) -> str:
    """Return the shortest text that reads back as the same number."""
    return "" if np.isnan(seconds) else repr(float(seconds))


def labels_csv(labels: pd.DataFrame, spans: Spans | None, config: ExportConfig) -> Written:
    """Return `labels.csv`, which holds everything."""
    table = labels.assign(start=labels["start"].map(_seconds_text), end=labels["end"].map(_seconds_text))
    if "checked" in table:
        table["checked"] = np.where(table["checked"], "yes", "no")
    return table.to_csv(index=False, lineterminator="\n"), labels


def wide_csv(labels: pd.DataFrame, spans: Spans | None, config: ExportConfig) -> Written:
    """Return a row per trailer with its genres; where they are in it is lost, and logged."""
    strong = labels["start"].notna()
    if strong.any():
        logger.warning(f"the wide table cannot hold {strong.sum()} intervals: written as whole-trailer genres")
    labels = labels.drop_duplicates(["trailer", "genre"])
    aggregations = {"genre": "|".join}
    if "group" in labels:
        aggregations["group"] = "first"  # type: ignore[assignment]
    table = labels.groupby("trailer", sort=False).agg(aggregations).reset_index()
    return table.rename(columns={"genre": "genres"}).to_csv(index=False, lineterminator="\n"), labels


def dcase_tsv(labels: pd.DataFrame, spans: Spans | None, config: ExportConfig) -> Written:
    """Return a table of events, or of weak labels if there are no others; groups are lost, and logged."""
    note_implicit_other(labels, spans)
    labels = _drop_group(labels, "DCASE")
    weak = labels["start"].isna()
    if weak.all():
        labels = labels.drop_duplicates(["trailer", "genre"])
        table = labels.groupby("trailer", sort=False)["genre"].agg(",".join).rename("event_labels").reset_index()
        text = table.rename(columns={"trailer": "filename"}).to_csv(sep="\t", index=False, lineterminator="\n")
        return text, labels
    if weak.any():
        logger.warning(f"a DCASE table of events cannot hold {weak.sum()} whole-trailer labels: left out")
    labels = labels[~weak]
    columns = {"trailer": "filename", "start": "onset", "end": "offset", "genre": "event_label"}
    events = labels[list(columns)].rename(columns=columns)
    events = events.assign(onset=events["onset"].map(_seconds_text), offset=events["offset"].map(_seconds_text))
    events.loc[events["offset"] == "inf", ["onset", "offset", "event_label"]] = ""  # a file without events
    return events.to_csv(sep="\t", index=False, lineterminator="\n"), labels


def _drop_group(labels: pd.DataFrame, name: str) -> pd.DataFrame:
    if "group" not in labels:
        return labels
    logger.warning(f"{name} cannot hold the groups of {labels['trailer'].nunique()} trailers: left out")
    return labels.drop(columns="group")


logger = logging.getLogger(__name__)

__all__ = ["WRITERS", "Span", "Spans", "label_studio_tasks", "read_table", "write_table"]

Writer = Callable[[pd.DataFrame, Spans | None, ExportConfig], Written]
_WRITERS: tuple[Writer, ...] = (labels_csv, wide_csv, activitynet_json, label_studio_json, dcase_tsv)
WRITERS = dict(zip(LABEL_FORMATS, _WRITERS, strict=True))


def read_table(path: Path, *, fps: float | None = None, max_mb: float = MAX_LABEL_MB) -> pd.DataFrame:
    """Read any of the formats.

    Parameters
    ----------
    path : Path
    fps : float, optional
        Frames per second of Label Studio's tasks that do not say theirs; unless given, what it assumes is logged.
    max_mb : float
        Megabytes; a larger file is refused unread.

    Raises
    ------
    InputError
        If the file cannot be read or is of no known format, or a field has the wrong type; names the file and row.
    """
    text = read_text(path, EXPECTED, most_bytes=int(max_mb * 1e6), raised_by="--max-label-mb")
    first = text.lstrip("\ufeff \t\r\n")[:1]
    if first in ("{", "["):
        rows = list(read_documents(path, text, fps=fps))
    else:
        rows = list(read_elan(path) if first == "<" else read_delimited(path, text))
    table = pd.DataFrame([(*row, *[None] * (len(COLUMNS) - len(row))) for row in rows], columns=list(COLUMNS))
    if not rows:
        raise InputError(f"{path}: expected {EXPECTED}; found no label in it")
    table = table.astype({"start": np.float64, "end": np.float64})
    return table.drop(columns=[name for name in ("group", "checked") if table[name].isna().all()])


def write_table(
    path: Path,
    labels: pd.DataFrame,
    *,
    file_format: str | None,
    spans: Spans | None = None,
    config: ExportConfig | None = None,
) -> pd.DataFrame:
    """Write `labels` in one of `WRITERS`; what the format cannot hold is logged. Return the labels in the file.

    Raises
    ------
    InputError
        If no format is known by the name, or the file would hold no label: none is written then.
    """
    chosen = file_format or {".csv": "labels", ".json": "activitynet", ".tsv": "dcase"}.get(path.suffix.lower())
    if chosen not in WRITERS:
        raise InputError(f"{path}: expected a file ending in .csv, .json or .tsv, or a format ({', '.join(WRITERS)})")
    if chosen != "labels" and "checked" in labels:
        count = labels.loc[~labels["checked"], "trailer"].nunique()
        logger.warning(
            f"{chosen} cannot hold that {count} trailers are not checked: their other frames will count as other"
        )
        labels = labels.drop(columns="checked")
    if labels.empty:
        raise InputError(f"{path}: expected labels to write, found none; nothing is written")
    text, held = WRITERS[chosen](labels, spans, config or ExportConfig())
    if held.empty:
        raise InputError(f"{path}: expected labels that {chosen} can hold, found none; nothing is written")
    write_atomically(path, text)
    return held
