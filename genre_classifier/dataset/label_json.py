"""Label formats that are JSON: `activitynet` and `labelstudio` of `label_formats`, read and written."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from genre_classifier.config import LABEL_STUDIO_RATES, ExportConfig
from genre_classifier.dataset.label_rows import (
    EXPECTED,
    Row,
    Spans,
    Written,
    drop_endless,
    note_implicit_other,
    read_name,
    read_seconds,
    refused,
    refused_export,
    with_silent_files,
)
from genre_classifier.genres import GENRES
from preprocessing.base.errors import InputError
from preprocessing.base.files import abbreviated_repr, parse_json

logger = logging.getLogger(__name__)


def read_documents(path: Path, text: str, *, fps: float | None) -> Iterator[Row]:
    """Read a list of Label Studio tasks, or ActivityNet's object of annotations or results.

    Parameters
    ----------
    path : Path
        For messages.
    text : str
        What the file holds.
    fps : float or None
        Frames per second of Label Studio's tasks that do not say theirs; None: what Label Studio assumes, which is
        logged.
    """
    document = parse_json(path, text, EXPECTED)
    if isinstance(document, list):
        yield from with_silent_files(_read_label_studio(path, document, fps))
    elif "database" in document or "results" in document:
        yield from _read_activitynet(path, document)
    else:
        raise InputError(f"{path}: expected {EXPECTED}; found JSON of another kind")


def _read_activitynet(path: Path, document: dict[str, Any]) -> Iterator[Row]:
    key = "database" if "database" in document else "results"
    for trailer, entry in _field(path, "the document", document, key, dict).items():
        video = f"video {abbreviated_repr(trailer)}"
        annotations = _field(path, video, entry, "annotations" if key == "database" else None, list)
        group = entry.get("group") if key == "database" else None
        for number, annotation in enumerate(annotations):
            where = f"{video}, annotation {number}"
            label = read_name(path, where, _field(path, where, annotation, None, dict).get("label"), "a label")
            start = end = np.nan
            if "segment" in annotation:
                segment = _field(path, where, annotation, "segment", list)
                if len(segment) != 2 or "" in segment:
                    raise refused(path, where, "a segment of start and end", segment)
                start, end = (read_seconds(path, where, side) for side in segment)
            yield where, read_name(path, where, trailer), start, end, label, _group(path, where, group)


def _read_label_studio(path: Path, tasks: list[Any], usual_fps: float | None) -> Iterator[Row]:
    without_rate = 0
    addresses: dict[str, str] = {}  # by the name that each gives a video
    several: list[tuple[str, int]] = []  # videos with more than one annotation, and how many
    for number, task in enumerate(tasks):
        where = f"task {number}"
        if isinstance(task, dict) and "annotation_id" in task and "data" not in task:
            raise refused_export(path, "JSON-MIN")
        data = _field(path, where, task, "data", dict)
        rate = data.get("fps")
        fps = (usual_fps or ExportConfig.label_studio_fps) if rate is None else read_seconds(path, where, rate)
        if not 0 < fps < np.inf:
            raise refused(path, where, "frames per second as data.fps", rate)
        fps = fps if fps >= LABEL_STUDIO_RATES[0] else 1 / fps
        counted = False
        group = _group(path, where, data.get("group"))
        trailer = data.get("trailer")
        if trailer in (None, ""):
            # Of an address, the file; a name that Label Studio gave an uploaded file is undone where clips are known.
            address = read_name(path, where, data.get("video"), "a name as data.trailer or an address as data.video")
            trailer = address.rsplit("/", 1)[-1].rsplit("?d=", 1)[-1]
            if (other := addresses.setdefault(trailer, address)) != address:
                both = f"{abbreviated_repr(other)} and {abbreviated_repr(address)}"
                raise InputError(
                    f"{path}, {where}: expected another name for each video, found {both}; give the tasks the sources "
                    "of their videos as data.trailer"
                )
        trailer = read_name(path, where, trailer)
        results, submitted = _label_studio_results(path, where, task)
        if submitted:
            yield where, trailer, np.nan, np.nan, "", group  # nothing is shown, if no label follows
        if submitted > 1:
            several.append((trailer, submitted))
        for result in results:
            value = result.get("value", {})  # a relation between two regions has none
            genres = [read_name(path, where, one, "a label") for one in _optional_list(path, where, value, "choices")]
            yield from ((where, trailer, np.nan, np.nan, genre, group) for genre in genres)
            for genre in _optional_list(path, where, value, "timelinelabels"):
                counted = True
                for span in _field(path, where, value, "ranges", list):
                    first, last = (
                        read_seconds(path, where, _frame(path, where, span, side)) for side in ("start", "end")
                    )
                    label = read_name(path, where, genre, "a label")
                    yield where, trailer, (first - 1) / fps, last / fps, label, group
        without_rate += counted and rate is None
    if without_rate and usual_fps is None:
        logger.warning(
            f"{path}: {without_rate} tasks say no frames per second as data.fps: counted with "
            f"{ExportConfig.label_studio_fps:g} (`labels --label-studio-fps` says another rate)"
        )
    if several:
        trailer, count = several[0]
        logger.warning(
            f"{path}: {len(several)} tasks have several submitted annotations, all of which count, such as the {count} "
            f"of {abbreviated_repr(trailer)}; delete those that should not, in Label Studio"
        )


def _label_studio_results(path: Path, where: str, task: dict[str, Any]) -> tuple[list[dict[str, Any]], int]:
    """Return what people marked in a task, and how many of them. Without annotations: what was predicted, and 0."""
    for key in ("annotations", "predictions"):
        made = task.get(key)
        if not made:
            continue
        results: list[dict[str, Any]] = []
        submitted = 0
        for one in _field(path, where, task, key, list):
            if type(one) is int:  # snapshots, and exports of all tasks, name predictions by their ids alone
                continue
            if _field(path, where, one, None, dict).get("was_cancelled"):  # skipped by the person who was to label it
                continue
            submitted += key == "annotations"
            results += [_field(path, where, result, None, dict) for result in _field(path, where, one, "result", list)]
        return results, submitted
    return [], 0


def _optional_list(path: Path, where: str, holder: Any, key: str) -> list[Any]:
    found: list[Any] = _field(path, where, holder, key, list) if key in _field(path, where, holder, None, dict) else []
    return found


def _frame(path: Path, where: str, span: Any, side: str) -> Any:
    value = _field(path, where, span, None, dict).get(side)
    if type(value) not in (int, float):
        raise refused(path, where, f"a frame as {side!r} of a range", value)
    return value


def _field(path: Path, where: str, holder: Any, key: str | None, kind: type) -> Any:
    """Return `holder[key]`, or `holder` itself, if it is of this kind."""
    what = "an object" if kind is dict else "a list"
    if key is not None:
        if not isinstance(holder, dict):
            raise refused(path, where, "an object", holder)
        what, holder = f"{what} as {key!r}", holder.get(key)
    if not isinstance(holder, kind):
        raise refused(path, where, what, holder)
    return holder


def _group(path: Path, where: str, value: Any) -> str | None:
    return None if value in (None, "") else read_name(path, where, value, "a group")


# --- writing ---------------------------------------------------------------------------------------------------------


def activitynet_json(labels: pd.DataFrame, spans: Spans | None, config: ExportConfig) -> Written:
    """Return ActivityNet's annotations; with `spans`, weak labels become segments of what is judged."""
    note_implicit_other(labels, spans)
    labels = drop_endless(labels, "ActivityNet")
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
    named = set(labels["genre"])
    genres = GENRES if named <= set(GENRES) else sorted(named)
    root = {"nodeName": "Root", "nodeId": 0, "parentName": None, "parentId": None}
    nodes = [
        {"nodeName": genre, "nodeId": number, "parentName": root["nodeName"], "parentId": root["nodeId"]}
        for number, genre in enumerate(genres, start=1)
    ]
    document = {"version": "genre-classifier 1", "taxonomy": [root, *nodes], "database": database}
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n", labels


def label_studio_tasks(
    labels: pd.DataFrame,
    rates: Mapping[str, float | None],
    *,
    fps: float = ExportConfig.label_studio_fps,
    prefix: str = ExportConfig.label_studio_prefix,
    predicted_by: str | None = None,
) -> list[Any]:
    """Return labels as Label Studio tasks for a labelling interface with `<TimelineLabels>` and `<Video>`.

    Parameters
    ----------
    labels : DataFrame
        A label table; a column `score`, where there is one, goes with predictions.
    rates : mapping of str to float
        Frames per second by trailer, which turn seconds into the frames that Label Studio shows; kept in the task's
        data (`frameRate="$fps"`), so that reading inverts it.
    fps : float
        Of trailers whose own rate is not known, or is one that Label Studio cannot count in.
    prefix : str
        Put before the trailer's name, with what an address may not hold escaped, as the address of the video; the
        name itself is kept in the task's data.
    predicted_by : str, optional
        The model whose predictions these are, for a person to correct; without it they are what a person made.
    """
    tasks = []
    for trailer, rows in labels.groupby("trailer", sort=False):
        results: list[dict[str, Any]] = []
        rate = _task_rate(rates.get(str(trailer)), fps)
        weak = rows["start"].isna()
        if weak.any():
            value: dict[str, Any] = {"choices": rows["genre"][weak].tolist()}
            results.append({"type": "choices", "from_name": "genre", "value": value})
        for row in rows[~weak].to_dict("records"):
            first = round(row["start"] * rate) + 1
            span = {"start": first, "end": max(first, round(row["end"] * rate))}
            value = {"ranges": [span], "timelinelabels": [row["genre"]]}
            score = {"score": float(row["score"])} if "score" in row else {}
            results.append({"type": "timelinelabels", "from_name": "genres", "value": value, **score})
        for number, result in enumerate(results):
            result |= {"id": f"{trailer}-{number}", "to_name": "video"}
        video = prefix + quote(str(trailer)) if prefix else trailer
        data: dict[str, Any] = {"video": video, "trailer": trailer, "fps": rate}
        if "group" in rows and not pd.isna(rows["group"].iloc[0]):
            data["group"] = rows["group"].iloc[0]
        if predicted_by is None:
            tasks.append({"data": data, "annotations": [{"result": results}]})
        else:
            tasks.append({"data": data, "predictions": [{"model_version": predicted_by, "result": results}]})
    return tasks


def _task_rate(known: float | None, usual: float) -> float:
    least, most = LABEL_STUDIO_RATES
    return float(known) if known is not None and least <= known <= most else usual


def label_studio_json(labels: pd.DataFrame, spans: Spans | None, config: ExportConfig) -> Written:
    """Return Label Studio tasks as persons would have made them; borders are rounded to its frames."""
    note_implicit_other(labels, spans)
    labels = drop_endless(labels, "Label Studio")
    fps, rates = config.label_studio_fps, {name: span.fps for name, span in (spans or {}).items()}
    per_second = np.array([[_task_rate(rates.get(name), fps)] for name in labels["trailer"]]).reshape(-1, 1)
    seconds = labels[["start", "end"]].to_numpy()
    moved = np.nanmax(np.abs(seconds - np.round(seconds * per_second) / per_second), initial=0.0)
    if moved > 1e-6:
        logger.warning(f"Label Studio counts frames: borders were rounded, by up to {moved:.3f} s")
    tasks = label_studio_tasks(labels, rates, fps=fps, prefix=config.label_studio_prefix)
    return json.dumps(tasks, indent=1, ensure_ascii=False) + "\n", labels
