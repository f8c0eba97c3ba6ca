"""The label formats of this and other tools, read into and written from one table.

=============  ===================================================================================================
format         what it looks like
=============  ===================================================================================================
labels         `labels.csv`: trailer,start,end,genre (,group); seconds; start and end empty: a weak label
wide           CSV: trailer,genres (,group) with `comedy|action`, as MovieLens writes genres; weak labels only
activitynet    JSON {"database": {trailer: {"annotations": [{"label", "segment": [start, end]}]}}}, or "results"
labelstudio    JSON: tasks with TimelineLabels (1-based frames, both ends inside) and Choices (weak labels)
dcase          tab-separated filename, onset, offset, event_label; or filename, event_labels (weak, with commas)
=============  ===================================================================================================

A table read here has the columns where (for messages), trailer, start, end, genre (as written) and maybe group; meaning
is checked by `genre_classifier.labels`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from preprocessing.errors import InputError
from preprocessing.files import write_atomically

# Frames per second that Label Studio assumes of a video whose tag names no frameRate.
LABEL_STUDIO_FPS = 24.0
_EXPECTED = (
    "a label table: CSV with trailer,start,end,genre or trailer,genres; "
    "tab-separated filename,onset,offset,event_label; ActivityNet or Label Studio JSON"
)
Row = tuple[str, str, float, float, str, str | None]  # where, trailer, start, end, genre, group


def read_table(path: Path) -> pd.DataFrame:
    """Read any of the formats.

    Raises
    ------
    InputError
        If the file cannot be read or is of no known format, or a field has the wrong type; names the file and row.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected {_EXPECTED}; could not be read: {error}") from error
    read = _read_json if text.lstrip()[:1] in ("{", "[") else _read_delimited
    rows = list(read(path, text))
    table = pd.DataFrame(rows, columns=["where", "trailer", "start", "end", "genre", "group"])
    if not rows:
        raise InputError(f"{path}: expected {_EXPECTED}; found no label in it")
    table = table.astype({"start": np.float64, "end": np.float64})
    return table.drop(columns="group") if table["group"].isna().all() else table


def write_table(path: Path, labels: pd.DataFrame, *, file_format: str | None, on_note: Callable[[str], None]) -> None:
    """Write `labels` in one of `WRITERS`; `on_note` hears what the format cannot hold."""
    chosen = file_format or {".csv": "labels", ".json": "activitynet", ".tsv": "dcase"}.get(path.suffix.lower())
    if chosen not in WRITERS:
        raise InputError(f"{path}: expected a file ending in .csv, .json or .tsv, or a format ({', '.join(WRITERS)})")
    write_atomically(path, WRITERS[chosen](labels, on_note))


# --- reading ---------------------------------------------------------------------------------------------------------


def _seconds(path: Path, where: str, value: Any) -> float:
    """Return a cell as seconds; an empty one as NaN."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return float("nan")
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        raise InputError(f"{path}, {where}: expected seconds, found {value!r}") from None
    if np.isnan(seconds):
        raise InputError(f"{path}, {where}: expected seconds, found {value!r}")
    return seconds


def _read_delimited(path: Path, text: str) -> Iterator[Row]:
    header = text.split("\n", 1)[0]
    separator = "\t" if "\t" in header else ","
    try:
        table = pd.read_csv(StringIO(text), sep=separator, dtype=str, keep_default_na=False, skip_blank_lines=False)
    except ValueError as error:
        raise InputError(f"{path}: expected {_EXPECTED}; found: {error}") from error
    columns = {str(name).strip().lower(): name for name in table.columns}
    names = set(columns)
    renamed = table.rename(columns={name: lower for lower, name in columns.items()})
    for number, row in enumerate(renamed.to_dict("records"), start=2):
        where, group = f"row {number}", row.get("group") or None
        if not any(isinstance(value, str) and value.strip() for value in row.values()):
            continue  # a blank line
        if {"trailer", "start", "end", "genre"} <= names:
            start, end = (_seconds(path, where, row[side]) for side in ("start", "end"))
            yield where, _name(path, where, row["trailer"]), start, end, row["genre"], group
        elif {"filename", "onset", "offset", "event_label"} <= names:
            start, end = (_seconds(path, where, row[side]) for side in ("onset", "offset"))
            yield where, _name(path, where, row["filename"]), start, end, row["event_label"], group
        elif {"trailer", "genres"} <= names or {"filename", "event_labels"} <= names:
            trailer, cell, mark = ("trailer", "genres", "|") if "genres" in names else ("filename", "event_labels", ",")
            for genre in row[cell].split(mark):
                yield where, _name(path, where, row[trailer]), np.nan, np.nan, genre, group
        else:
            raise InputError(f"{path}: expected {_EXPECTED}; found columns {','.join(map(str, table.columns))}")


def _name(path: Path, where: str, value: str) -> str:
    if not value:
        raise InputError(f"{path}, {where}: expected a trailer, found an empty cell")
    return value


def _read_json(path: Path, text: str) -> Iterator[Row]:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise InputError(f"{path}: expected JSON, found: {error}") from error
    try:
        if isinstance(document, dict) and ("database" in document or "results" in document):
            yield from _read_activitynet(path, document)
        elif isinstance(document, list):
            yield from _read_label_studio(path, document)
        else:
            raise InputError(f"{path}: expected {_EXPECTED}; found JSON of another kind")
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise InputError(
            f"{path}: expected ActivityNet or Label Studio JSON; a field is missing or odd: {error!r}"
        ) from error


def _read_activitynet(path: Path, document: dict[str, Any]) -> Iterator[Row]:
    database = document.get("database") or {
        trailer: {"annotations": annotations} for trailer, annotations in document.get("results", {}).items()
    }
    for trailer, entry in database.items():
        for number, annotation in enumerate(entry["annotations"]):
            where = f"{trailer}, annotation {number}"
            start, end = annotation.get("segment") or (None, None)
            label, group = str(annotation["label"]), entry.get("group")
            yield where, trailer, _seconds(path, where, start), _seconds(path, where, end), label, group


def _read_label_studio(path: Path, tasks: list[Any]) -> Iterator[Row]:
    for number, task in enumerate(tasks):
        where, data = f"task {number}", task["data"]
        # Label Studio serves local files under a prefix of its own: the name that it was given is kept in `trailer`.
        trailer = data.get("trailer") or str(data["video"]).rsplit("/", 1)[-1].rsplit("?d=", 1)[-1]
        fps = _seconds(path, where, data.get("fps", LABEL_STUDIO_FPS))
        for annotation in task.get("annotations") or task.get("predictions") or []:
            for result in annotation["result"]:
                value = result["value"]
                for genre in value.get("timelinelabels", []):
                    for span in value["ranges"]:
                        yield where, trailer, (span["start"] - 1) / fps, span["end"] / fps, genre, data.get("group")
                for genre in value.get("choices", []):
                    yield where, trailer, np.nan, np.nan, genre, data.get("group")


# --- writing ---------------------------------------------------------------------------------------------------------


def _drop_group(labels: pd.DataFrame, name: str, on_note: Callable[[str], None]) -> pd.DataFrame:
    if "group" not in labels:
        return labels
    on_note(f"{name} cannot hold the groups of {labels['trailer'].nunique()} trailers: left out")
    return labels.drop(columns="group")


def _seconds_text(seconds: float) -> str:
    """Return the shortest text that reads back as the same number."""
    return "" if np.isnan(seconds) else repr(float(seconds))


def _labels_csv(labels: pd.DataFrame, on_note: Callable[[str], None]) -> str:
    table = labels.assign(start=labels["start"].map(_seconds_text), end=labels["end"].map(_seconds_text))
    return table.to_csv(index=False, lineterminator="\n")


def _wide_csv(labels: pd.DataFrame, on_note: Callable[[str], None]) -> str:
    strong = labels["start"].notna()
    if strong.any():
        on_note(f"the wide table cannot hold {strong.sum()} intervals: written as whole-trailer genres")
    aggregations = {"genre": lambda genres: "|".join(dict.fromkeys(genres))}
    if "group" in labels:
        aggregations["group"] = "first"  # type: ignore[assignment]
    table = labels.groupby("trailer", sort=False).agg(aggregations).reset_index()
    return table.rename(columns={"genre": "genres"}).to_csv(index=False, lineterminator="\n")


def _activitynet_json(labels: pd.DataFrame, on_note: Callable[[str], None]) -> str:
    database: dict[str, Any] = {}
    for row in labels.to_dict("records"):
        entry = database.setdefault(row["trailer"], {"subset": "", "annotations": []})
        if not pd.isna(row.get("group")):
            entry["group"] = row["group"]
        annotation = {"label": row["genre"]}
        if not np.isnan(row["start"]):
            annotation["segment"] = [row["start"], row["end"]]
        entry["annotations"].append(annotation)
    if labels["start"].isna().any():
        on_note("ActivityNet has no whole-trailer labels: written as annotations without a segment")
    return json.dumps({"version": "genre-classifier 1", "database": database}, indent=1, ensure_ascii=False) + "\n"


def label_studio_tasks(labels: pd.DataFrame, fps: float = LABEL_STUDIO_FPS, *, kind: str = "annotations") -> list[Any]:
    """Return labels as Label Studio tasks for a labelling interface with `<TimelineLabels>` and `<Video>`.

    Parameters
    ----------
    labels : DataFrame
        A label table; a column `score`, where there is one, goes with predictions.
    fps : float
        Frames per second that turn seconds into frames; kept in the task's data, so that reading inverts it.
    kind : {"annotations", "predictions"}
        What a person made, or what a person should correct.
    """
    tasks = []
    for trailer, rows in labels.groupby("trailer", sort=False):
        results: list[dict[str, Any]] = []
        for row in rows.to_dict("records"):
            if np.isnan(row["start"]):
                result: dict[str, Any] = {"type": "choices", "from_name": "genre", "value": {"choices": [row["genre"]]}}
            else:
                first = round(row["start"] * fps) + 1
                span = {"start": first, "end": max(first, round(row["end"] * fps))}
                value = {"ranges": [span], "timelinelabels": [row["genre"]]}
                result = {"type": "timelinelabels", "from_name": "genres", "value": value}
            result |= {"id": f"{trailer}-{len(results)}", "to_name": "video"}
            if "score" in row:
                result["score"] = float(row["score"])
            results.append(result)
        data: dict[str, Any] = {"video": trailer, "trailer": trailer, "fps": fps}
        if "group" in rows and not pd.isna(rows["group"].iloc[0]):
            data["group"] = rows["group"].iloc[0]
        tasks.append({"data": data, kind: [{"result": results}]})
    return tasks


def _label_studio_json(labels: pd.DataFrame, on_note: Callable[[str], None]) -> str:
    frames = labels[["start", "end"]].to_numpy() * LABEL_STUDIO_FPS
    moved = np.nanmax(np.abs(frames - np.round(frames)), initial=0.0)
    if moved > 1e-6:
        on_note(f"Label Studio counts frames: borders were rounded to 1/{LABEL_STUDIO_FPS:g} s")
    return json.dumps(label_studio_tasks(labels), indent=1, ensure_ascii=False) + "\n"


def _dcase_tsv(labels: pd.DataFrame, on_note: Callable[[str], None]) -> str:
    table = _drop_group(labels, "DCASE", on_note).rename(columns={"trailer": "filename"})
    weak = table["start"].isna()
    if weak.all():
        weak_table = table.groupby("filename", sort=False)["genre"].agg(lambda genres: ",".join(dict.fromkeys(genres)))
        return weak_table.rename("event_labels").reset_index().to_csv(sep="\t", index=False, lineterminator="\n")
    if weak.any():
        on_note(f"a DCASE table of events cannot hold {weak.sum()} whole-trailer labels: left out")
    columns = {"start": "onset", "end": "offset", "genre": "event_label"}
    events = table[~weak].rename(columns=columns)[["filename", "onset", "offset", "event_label"]]
    events = events.assign(onset=events["onset"].map(_seconds_text), offset=events["offset"].map(_seconds_text))
    return events.to_csv(sep="\t", index=False, lineterminator="\n")


WRITERS: dict[str, Callable[[pd.DataFrame, Callable[[str], None]], str]] = {
    "labels": _labels_csv,
    "wide": _wide_csv,
    "activitynet": _activitynet_json,
    "labelstudio": _label_studio_json,
    "dcase": _dcase_tsv,
}
