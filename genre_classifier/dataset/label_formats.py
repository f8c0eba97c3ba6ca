"""The label formats of this and other tools, read into and written from one table.

=============  ===================================================================================================
format         what it looks like
=============  ===================================================================================================
labels         `labels.csv`: trailer,start,end,genre (,group); seconds; start and end empty, or no such columns: weak
wide           CSV: trailer,genres (,group) with `comedy|action`, as MovieLens writes genres; weak labels only
activitynet    JSON {"database": {trailer: {"annotations": [{"label", "segment": [start, end]}]}}}, or "results"
labelstudio    JSON: tasks with TimelineLabels (1-based frames, both ends inside) and Choices (weak labels)
dcase          tab-separated filename, onset, offset, event_label; or filename, event_labels (weak, with commas); also
               without a header, as dcase_util writes it
=============  ===================================================================================================

A table read here has the columns where (for messages), trailer, start, end, genre (as written) and maybe group; meaning
is checked by `genre_classifier.dataset.labels`.
"""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from io import StringIO
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
import pandas as pd

from genre_classifier.config import ExportConfig
from genre_classifier.genres import GENRES
from preprocessing.errors import InputError
from preprocessing.files import read_json, read_text, shown, write_atomically

logger = logging.getLogger(__name__)

# Frames per second that Label Studio assumes of a video whose tag names no frameRate.
LABEL_STUDIO_FPS = 24.0
_EXPECTED = (
    "a label table: CSV with trailer,start,end,genre or trailer,genres; "
    "tab-separated filename,onset,offset,event_label; ActivityNet or Label Studio JSON"
)
Row = tuple[str, str, float, float, str, str | None]  # where, trailer, start, end, genre, group
# Of a video without any event: `other` from its beginning to its end, wherever that is.
_WHOLE_VIDEO = (0.0, np.inf, "other")


class Span(NamedTuple):
    """What is judged of a video, from `start` to `end`, and the seconds at which the video itself ends."""

    start: float
    end: float
    video_end: float


Spans = Mapping[str, Span]  # by trailer


def read_table(path: Path) -> pd.DataFrame:
    """Read any of the formats.

    Raises
    ------
    InputError
        If the file cannot be read or is of no known format, or a field has the wrong type; names the file and row.
    """
    text = read_text(path, _EXPECTED)
    rows = list(_read_json(path) if text.lstrip()[:1] in ("{", "[") else _read_delimited(path, text))
    table = pd.DataFrame(rows, columns=["where", "trailer", "start", "end", "genre", "group"])
    if not rows:
        raise InputError(f"{path}: expected {_EXPECTED}; found no label in it")
    table = table.astype({"start": np.float64, "end": np.float64})
    return table.drop(columns="group") if table["group"].isna().all() else table


def write_table(
    path: Path,
    labels: pd.DataFrame,
    *,
    file_format: str | None,
    spans: Spans | None = None,
    config: ExportConfig | None = None,
) -> None:
    """Write `labels` in one of `WRITERS`; what the format cannot hold is logged."""
    chosen = file_format or {".csv": "labels", ".json": "activitynet", ".tsv": "dcase"}.get(path.suffix.lower())
    if chosen not in WRITERS:
        raise InputError(f"{path}: expected a file ending in .csv, .json or .tsv, or a format ({', '.join(WRITERS)})")
    write_atomically(path, WRITERS[chosen](labels, spans, config or ExportConfig()))


# --- reading: what a cell or field may be ----------------------------------------------------------------------------


def _refused(path: Path, where: str, expected: str, found: Any) -> InputError:
    return InputError(f"{path}, {where}: expected {expected}, found {shown(found)}")


def _is_number(cell: str) -> bool:
    try:
        return "_" not in cell and bool(np.isfinite(float(cell)))
    except ValueError:
        return False


def _seconds(path: Path, where: str, value: Any) -> float:
    """Return a cell or a number of JSON as seconds; an empty cell as NaN."""
    if isinstance(value, str) and not value.strip():
        return np.nan
    text = value if isinstance(value, str) else repr(value) if type(value) in (int, float) else ""
    try:
        seconds = float("" if "_" in text else text)
    except ValueError:
        raise _refused(path, where, "seconds", value) from None
    if np.isnan(seconds):
        raise _refused(path, where, "seconds", value)
    return seconds


def _name(path: Path, where: str, value: Any, what: str = "a trailer") -> str:
    """Return text that names something; a whole number names what has that id."""
    if type(value) is int:
        return str(value)
    if not isinstance(value, str):
        raise _refused(path, where, what, value)
    if not value.strip():
        raise InputError(f"{path}, {where}: expected {what}, found an empty cell")
    return value


def _field(path: Path, where: str, holder: Any, key: str | None, kind: type) -> Any:
    """Return `holder[key]`, or `holder` itself, if it is of this kind."""
    what = "an object" if kind is dict else "a list"
    if key is not None:
        if not isinstance(holder, dict):
            raise _refused(path, where, "an object", holder)
        what, holder = f"{what} as {key!r}", holder.get(key)
    if not isinstance(holder, kind):
        raise _refused(path, where, what, holder)
    return holder


# --- reading: tables -------------------------------------------------------------------------------------------------


Cells = Iterator[tuple[int, list[str]]]  # number of the row in the file, from 1, and its cells


def _cells(path: Path, text: str, separator: str) -> Cells:
    """Yield the rows of a table that are not blank."""
    try:
        for number, row in enumerate(csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True), start=1):
            if any(cell.strip() for cell in row):
                yield number, row
    except csv.Error as error:
        raise InputError(f"{path}: expected {_EXPECTED}; found no table ({error})") from error


def _read_delimited(path: Path, text: str) -> Iterator[Row]:
    first = text.lstrip().split("\n", 1)[0]
    tabs = "\t" in first or (path.suffix.lower() in (".txt", ".ann") and "\t" in text)
    rows = _cells(path, text, "\t" if tabs else ",")
    top = next(rows, None)
    if top is None:
        raise InputError(f"{path}: expected {_EXPECTED}; found an empty file")
    names = [cell.strip().lower() for cell in top[1]]
    columns = set(names)
    if tabs and not columns & {"filename", "trailer"}:
        yield from _with_silent_files(_read_headerless(path, chain([top], rows)))
        return
    if twice := next((name for name in names if name and names.count(name) > 1), None):
        raise InputError(f"{path}: expected each column once, found {shown(twice)} twice")
    if {"trailer", "start", "end", "genre"} <= columns:
        yield from _read_intervals(path, names, rows, ("trailer", "start", "end", "genre"))
    elif {"filename", "onset", "offset", "event_label"} <= columns:
        events = _read_intervals(path, names, rows, ("filename", "onset", "offset", "event_label"), silent=True)
        yield from _with_silent_files(events)
    elif {"trailer", "genres"} <= columns:
        yield from _read_weak(path, names, rows, "trailer", "genres", "|")
    elif {"trailer", "genre"} <= columns and not columns & {"start", "end"}:
        yield from _read_weak(path, names, rows, "trailer", "genre", "|")
    elif {"filename", "event_labels"} <= columns:
        yield from _read_weak(path, names, rows, "filename", "event_labels", ",")
    else:
        raise InputError(f"{path}: expected {_EXPECTED}; found columns {shown(','.join(top[1]))}")


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
        start, stop = (_seconds(path, where, row[side]) for side in (begin, end))
        yield where, _name(path, where, row[trailer]), start, stop, row[genre], row.get("group") or None


def _read_weak(path: Path, names: list[str], rows: Cells, trailer: str, genres: str, mark: str) -> Iterator[Row]:
    for where, row in _named(path, names, rows):
        for genre in row[genres].split(mark):
            yield where, _name(path, where, row[trailer]), np.nan, np.nan, genre, row.get("group") or None


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
            raise _refused(path, where, expected, "\t".join(cells))
        yield where, file, _seconds(path, where, start), _seconds(path, where, end), genre, None


def _with_silent_files(rows: Iterator[Row]) -> Iterator[Row]:
    """Take a file that has a row, and no event in any, for `other` from beginning to end."""
    silent: dict[str, Row] = {}
    heard: set[str] = set()
    for row in rows:
        where, trailer, start, end, genre, group = row
        if np.isnan(start) and np.isnan(end) and not genre.strip():
            silent.setdefault(trailer, (where, trailer, *_WHOLE_VIDEO, group))
        else:
            heard.add(trailer)
            yield row
    yield from (row for trailer, row in silent.items() if trailer not in heard)


# --- reading: JSON ---------------------------------------------------------------------------------------------------


def _read_json(path: Path) -> Iterator[Row]:
    document = read_json(path, _EXPECTED)
    if isinstance(document, list):
        yield from _read_label_studio(path, document)
    elif "database" in document or "results" in document:
        yield from _read_activitynet(path, document)
    else:
        raise InputError(f"{path}: expected {_EXPECTED}; found JSON of another kind")


def _read_activitynet(path: Path, document: dict[str, Any]) -> Iterator[Row]:
    key = "database" if "database" in document else "results"
    for trailer, entry in _field(path, "the document", document, key, dict).items():
        video = f"video {shown(trailer)}"
        annotations = _field(path, video, entry, "annotations" if key == "database" else None, list)
        group = entry.get("group") if key == "database" else None
        for number, annotation in enumerate(annotations):
            where = f"{video}, annotation {number}"
            label = _name(path, where, _field(path, where, annotation, None, dict).get("label"), "a label")
            start = end = np.nan
            if "segment" in annotation:
                segment = _field(path, where, annotation, "segment", list)
                if len(segment) != 2 or "" in segment:
                    raise _refused(path, where, "a segment of start and end", segment)
                start, end = (_seconds(path, where, side) for side in segment)
            yield where, _name(path, where, trailer), start, end, label, _group(path, where, group)


def _group(path: Path, where: str, value: Any) -> str | None:
    return None if value in (None, "") else _name(path, where, value, "a group")


def _read_label_studio(path: Path, tasks: list[Any]) -> Iterator[Row]:
    for number, task in enumerate(tasks):
        where = f"task {number}"
        data = _field(path, where, task, "data", dict)
        rate = data.get("fps")
        fps = LABEL_STUDIO_FPS if rate is None else _seconds(path, where, rate)
        if not 0 < fps < np.inf:
            raise _refused(path, where, "frames per second as data.fps", rate)
        group = _group(path, where, data.get("group"))
        trailer = data.get("trailer")
        if trailer in (None, ""):
            # Of an address, the file; a name that Label Studio gave an uploaded file is undone where clips are known.
            address = _name(path, where, data.get("video"), "a name as data.trailer or an address as data.video")
            trailer = address.rsplit("/", 1)[-1].rsplit("?d=", 1)[-1]
        trailer = _name(path, where, trailer)
        for result in _label_studio_results(path, where, task):
            value = result.get("value", {})  # a relation between two regions has none
            genres = [_name(path, where, one, "a label") for one in _optional_list(path, where, value, "choices")]
            yield from ((where, trailer, np.nan, np.nan, genre, group) for genre in genres)
            for genre in _optional_list(path, where, value, "timelinelabels"):
                for span in _field(path, where, value, "ranges", list):
                    first, last = (_seconds(path, where, _frame(path, where, span, side)) for side in ("start", "end"))
                    label = _name(path, where, genre, "a label")
                    yield where, trailer, (first - 1) / fps, last / fps, label, group


def _label_studio_results(path: Path, where: str, task: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what persons have marked in a task, or, in a task that nobody has seen, what was predicted."""
    for key in ("annotations", "predictions"):
        made = task.get(key)
        if not made:
            continue
        for one in _field(path, where, task, key, list):
            if type(one) is int:  # snapshots, and exports of all tasks, name predictions by their ids alone
                continue
            if _field(path, where, one, None, dict).get("was_cancelled"):  # skipped by whoever should have labelled
                continue
            for result in _field(path, where, one, "result", list):
                yield _field(path, where, result, None, dict)
        return


def _optional_list(path: Path, where: str, holder: Any, key: str) -> list[Any]:
    found: list[Any] = _field(path, where, holder, key, list) if key in _field(path, where, holder, None, dict) else []
    return found


def _frame(path: Path, where: str, span: Any, side: str) -> Any:
    value = _field(path, where, span, None, dict).get(side)
    if type(value) not in (int, float):
        raise _refused(path, where, f"a frame as {side!r} of a range", value)
    return value


# --- writing ---------------------------------------------------------------------------------------------------------


def _drop_group(labels: pd.DataFrame, name: str) -> pd.DataFrame:
    if "group" not in labels:
        return labels
    logger.warning(f"{name} cannot hold the groups of {labels['trailer'].nunique()} trailers: left out")
    return labels.drop(columns="group")


def _note_implicit_other(labels: pd.DataFrame, spans: Spans | None) -> None:
    if spans is None and labels["start"].notna().any():
        logger.warning(
            "outside their intervals the trailers are `other`: not written, since only the clips (--clips) have it"
        )


def _drop_endless(labels: pd.DataFrame, name: str) -> pd.DataFrame:
    endless = np.isinf(labels["end"])
    if endless.any():
        logger.warning(
            f"{name} needs an end for `other` in {endless.sum()} trailers without events: left out without --clips"
        )
    return labels[~endless]


def _seconds_text(seconds: float) -> str:
    """Return the shortest text that reads back as the same number."""
    return "" if np.isnan(seconds) else repr(float(seconds))


def _labels_csv(labels: pd.DataFrame, spans: Spans | None, config: ExportConfig) -> str:
    table = labels.assign(start=labels["start"].map(_seconds_text), end=labels["end"].map(_seconds_text))
    return table.to_csv(index=False, lineterminator="\n")


def _wide_csv(labels: pd.DataFrame, spans: Spans | None, config: ExportConfig) -> str:
    strong = labels["start"].notna()
    if strong.any():
        logger.warning(f"the wide table cannot hold {strong.sum()} intervals: written as whole-trailer genres")
    aggregations = {"genre": lambda genres: "|".join(dict.fromkeys(genres))}
    if "group" in labels:
        aggregations["group"] = "first"  # type: ignore[assignment]
    table = labels.groupby("trailer", sort=False).agg(aggregations).reset_index()
    return table.rename(columns={"genre": "genres"}).to_csv(index=False, lineterminator="\n")


def _activitynet_json(labels: pd.DataFrame, spans: Spans | None, config: ExportConfig) -> str:
    _note_implicit_other(labels, spans)
    labels = _drop_endless(labels, "ActivityNet")
    weak = labels["start"].isna()
    if weak.any() and spans is None:
        logger.warning(
            "ActivityNet has no whole-trailer labels: written as annotations without a segment, which it refuses"
        )
    elif weak.any() and not weak.all():
        count = labels["trailer"][weak].nunique()
        logger.warning(
            f"ActivityNet has no whole-trailer labels, and beside intervals they are not judged: {count} left out"
        )
        labels = labels[~weak]
    elif weak.any():
        logger.warning("ActivityNet has no whole-trailer labels: written as segments of the whole trailer")
    database: dict[str, Any] = {}
    for row in labels.to_dict("records"):
        entry = database.setdefault(row["trailer"], {"subset": config.subset, "annotations": []})
        span = (spans or {}).get(row["trailer"])
        if span is not None:
            entry["duration"] = span.video_end
        if not pd.isna(row.get("group")):
            entry["group"] = row["group"]
        annotation = {"label": row["genre"]}
        if not np.isnan(row["start"]):
            annotation["segment"] = [row["start"], row["end"]]
        elif span is not None:
            annotation["segment"] = [span.start, span.end]
        entry["annotations"].append(annotation)
    root = {"nodeName": "Root", "nodeId": 0, "parentName": None, "parentId": None}
    nodes = [
        {"nodeName": genre, "nodeId": number, "parentName": root["nodeName"], "parentId": root["nodeId"]}
        for number, genre in enumerate(GENRES, start=1)
    ]
    document = {"version": "genre-classifier 1", "taxonomy": [root, *nodes], "database": database}
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def label_studio_tasks(
    labels: pd.DataFrame,
    fps: float = LABEL_STUDIO_FPS,
    *,
    prefix: str = ExportConfig.label_studio_prefix,
    predicted_by: str | None = None,
) -> list[Any]:
    """Return labels as Label Studio tasks for a labelling interface with `<TimelineLabels>` and `<Video>`.

    Parameters
    ----------
    labels : DataFrame
        A label table; a column `score`, where there is one, goes with predictions.
    fps : float
        Frames per second that turn seconds into frames; kept in the task's data, so that reading inverts it.
    prefix : str
        Put before the trailer's name, with what an address may not hold escaped, as the address of the video; the
        name itself is kept in the task's data.
    predicted_by : str, optional
        The model whose predictions these are, for a person to correct; without it they are what a person made.
    """
    tasks = []
    for trailer, rows in labels.groupby("trailer", sort=False):
        results: list[dict[str, Any]] = []
        weak = rows["start"].isna()
        if weak.any():
            value: dict[str, Any] = {"choices": rows["genre"][weak].tolist()}
            results.append({"type": "choices", "from_name": "genre", "value": value})
        for row in rows[~weak].to_dict("records"):
            first = round(row["start"] * fps) + 1
            span = {"start": first, "end": max(first, round(row["end"] * fps))}
            value = {"ranges": [span], "timelinelabels": [row["genre"]]}
            score = {"score": float(row["score"])} if "score" in row else {}
            results.append({"type": "timelinelabels", "from_name": "genres", "value": value, **score})
        for number, result in enumerate(results):
            result |= {"id": f"{trailer}-{number}", "to_name": "video"}
        video = prefix + quote(str(trailer)) if prefix else trailer
        data: dict[str, Any] = {"video": video, "trailer": trailer, "fps": fps}
        if "group" in rows and not pd.isna(rows["group"].iloc[0]):
            data["group"] = rows["group"].iloc[0]
        if predicted_by is None:
            tasks.append({"data": data, "annotations": [{"result": results}]})
        else:
            tasks.append({"data": data, "predictions": [{"model_version": predicted_by, "result": results}]})
    return tasks


def _label_studio_json(labels: pd.DataFrame, spans: Spans | None, config: ExportConfig) -> str:
    _note_implicit_other(labels, spans)
    labels = _drop_endless(labels, "Label Studio")
    frames = labels[["start", "end"]].to_numpy() * LABEL_STUDIO_FPS
    moved = np.nanmax(np.abs(frames - np.round(frames)), initial=0.0)
    if moved > 1e-6:
        logger.warning(f"Label Studio counts frames: borders were rounded to 1/{LABEL_STUDIO_FPS:g} s")
    tasks = label_studio_tasks(labels, prefix=config.label_studio_prefix)
    return json.dumps(tasks, indent=1, ensure_ascii=False) + "\n"


def _dcase_tsv(labels: pd.DataFrame, spans: Spans | None, config: ExportConfig) -> str:
    _note_implicit_other(labels, spans)
    table = _drop_group(labels, "DCASE").rename(columns={"trailer": "filename"})
    weak = table["start"].isna()
    if weak.all():
        weak_table = table.groupby("filename", sort=False)["genre"].agg(lambda genres: ",".join(dict.fromkeys(genres)))
        return weak_table.rename("event_labels").reset_index().to_csv(sep="\t", index=False, lineterminator="\n")
    if weak.any():
        logger.warning(f"a DCASE table of events cannot hold {weak.sum()} whole-trailer labels: left out")
    columns = {"start": "onset", "end": "offset", "genre": "event_label"}
    events = table[~weak].rename(columns=columns)[["filename", "onset", "offset", "event_label"]]
    events = events.assign(onset=events["onset"].map(_seconds_text), offset=events["offset"].map(_seconds_text))
    events.loc[events["offset"] == "inf", ["onset", "offset", "event_label"]] = ""  # a file without events
    return events.to_csv(sep="\t", index=False, lineterminator="\n")


WRITERS: dict[str, Callable[[pd.DataFrame, Spans | None, ExportConfig], str]] = {
    "labels": _labels_csv,
    "wide": _wide_csv,
    "activitynet": _activitynet_json,
    "labelstudio": _label_studio_json,
    "dcase": _dcase_tsv,
}
