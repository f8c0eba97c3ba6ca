"""The tags folder: a folder for each video, a table and an index page over all of them.

A video is done when its `tags.json` is there, written last: a later command goes on where this one stopped.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from genre_classifier.config import Precision, SegmentConfig
from genre_classifier.embed import embedded_copy
from genre_classifier.genres import GENRES
from genre_classifier.index_page import index_html
from genre_classifier.overlay import write_overlay
from genre_classifier.scores import write_scores
from genre_classifier.segment_files import activitynet, label_studio, read_segments, webvtt, write_segments
from genre_classifier.tagging import DEFAULT_CHUNK, tag_trailer
from genre_classifier.tags import Tags
from genre_classifier.timeline import write_timeline
from genre_classifier.viewer import viewer_html
from preprocessing.config import TIMEOUT_SECONDS
from preprocessing.errors import InputError
from preprocessing.files import write_atomically
from preprocessing.video import check_file

if TYPE_CHECKING:
    from genre_classifier.runs import Run

STAMP = "tags.json"
INDEX = "index.html"
SUMMARY = "summary.csv"
FILES = ("scores.csv", "segments.csv", "segments.vtt", "segments.json", "timeline.png", "viewer.html")
OVERLAY = "overlay.mp4"
LABEL_STUDIO = "label_studio.json"
_SCHEMA = 1
_LONGEST_NAME_BYTES = 200


@dataclasses.dataclass(frozen=True)
class Extras:
    """What is written beside the files that every video gets.

    Attributes
    ----------
    overlay : bool
        `overlay.mp4`: a copy of the video with the scores drawn on each frame.
    embed : bool
        A small copy of the video inside `viewer.html`, so that the page can be sent alone.
    label_studio : bool
        `label_studio.json`: the segments as predictions for a person to correct.
    """

    overlay: bool = False
    embed: bool = False
    label_studio: bool = False


@dataclasses.dataclass(frozen=True)
class Job:
    """One video to tag.

    Attributes
    ----------
    video : Path
        The file.
    source : str
        Its name in label tables (`source_name`): relative to the folder that was given, or the bare name.
    folder : Path
        Where its files go.
    """

    video: Path
    source: str
    folder: Path


def plan_jobs(videos: Iterable[tuple[Path, str]], out: Path) -> list[Job]:
    """Give every video a folder of its own, the same one in every command.

    Parameters
    ----------
    videos : iterable of (Path, str)
        Files and their names in label tables; a file that comes twice is taken once.
    out : Path
        The tags folder.

    Returns
    -------
    list of Job
        A folder is named after the video; where another video has that name already, a digest of the path follows.
    """
    jobs: dict[str, Job] = {}
    owners: dict[str, str] = {}
    for video, source in videos:
        path = os.path.abspath(video)  # noqa: PTH100 - Path.resolve would follow links: two links are two videos
        if path in jobs:
            continue
        name = _folder_name(_text(video.stem))
        owner = owners.get(name) or _read_stamp(out / name).get("video")
        if owner not in (None, _text(path)):
            name = f"{name}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}"
        owners[name] = _text(path)
        jobs[path] = Job(video, source, out / name)
    return list(jobs.values())


def tag_videos(
    run: Run,
    jobs: Iterable[Job],
    *,
    chunk: int = DEFAULT_CHUNK,
    precision: Precision = "float32",
    timeout: float = TIMEOUT_SECONDS,
    segment_config: SegmentConfig | None = None,
    extras: Extras | None = None,
    on_start: Callable[[Job], None] | None = None,
    on_progress: Callable[[float, float], None] | None = None,
    on_done: Callable[[Job, InputError | None], None] | None = None,
) -> list[tuple[str, str]]:
    """Tag every video that is not done yet, and write its files.

    Parameters
    ----------
    run, chunk, precision, timeout, segment_config, on_progress
        See `tag_trailer`.
    jobs : iterable of Job
        See `plan_jobs`.
    extras : Extras, optional
        What to write beside the usual files.
    on_start : callable, optional
        Called before each video that is tagged, not for those that are done already.
    on_done : callable, optional
        Called after each video, with the error if it could not be read.

    Returns
    -------
    list of (str, str)
        Source and reason of the videos that could not be read; the others are done.

    Raises
    ------
    WorkError
        If a file cannot be written.
    """
    config, extras = segment_config or SegmentConfig(), extras or Extras()
    made_with = {
        "run": _run_digest(run.path), "precision": precision, "segments": config.to_dict(), **dataclasses.asdict(extras)
    }  # fmt: skip
    failures: list[tuple[str, str]] = []
    model_loaded = False
    for job in jobs:
        error = None
        try:
            stamp = _stamp(job, made_with)
        except InputError as caught:
            error = caught
        if error is None and not is_done(job.folder, stamp):
            if not model_loaded:  # here, since a model that cannot be loaded is no fault of a video
                model_loaded = run.model is not None
            if on_start:
                on_start(job)
            try:
                tags = tag_trailer(
                    run, job.video, chunk=chunk, precision=precision, timeout=timeout, segment_config=config,
                    on_progress=on_progress,
                )  # fmt: skip
                write_tags(job, tags, stamp, extras)
            except InputError as caught:
                error = caught
        if error is not None:
            failures.append((job.source, str(error)))
        if on_done:
            on_done(job, error)
    return failures


def write_tags(job: Job, tags: Tags, stamp: dict[str, Any], extras: Extras) -> None:
    """Write all files of one video, `tags.json` last."""
    folder = job.folder
    make_folder(folder)
    for stale in (STAMP, OVERLAY, LABEL_STUDIO):
        (folder / stale).unlink(missing_ok=True)
    write_scores(folder / "scores.csv", tags.scores)
    write_segments(folder / "segments.csv", tags.segments)
    write_atomically(folder / "segments.vtt", webvtt(tags.segments))
    write_atomically(folder / "segments.json", activitynet(tags.segments, job.source))
    if extras.label_studio:
        write_atomically(folder / LABEL_STUDIO, label_studio(tags.segments, job.source))
    write_timeline(folder / "timeline.png", tags)
    if extras.overlay:
        write_overlay(folder / OVERLAY, tags)
    copy = embedded_copy(tags.video) if extras.embed else None
    write_atomically(folder / "viewer.html", viewer_html(tags, folder, embedded=copy))
    facts = {
        "duration": tags.duration, "frames": len(tags.scores), "segments_found": len(tags.segments),
        "shares": tags.shares(),
    }  # fmt: skip
    write_atomically(folder / STAMP, json.dumps(stamp | facts, indent=1, ensure_ascii=False) + "\n")


def is_done(folder: Path, stamp: dict[str, Any]) -> bool:
    """Return whether the folder holds all files of this video, made from these bytes in this way."""
    written = _read_stamp(folder)
    made_with = stamp["made_with"]
    wanted = [*FILES, *[OVERLAY] * made_with["overlay"], *[LABEL_STUDIO] * made_with["label_studio"]]
    return all(written.get(key) == value for key, value in stamp.items()) and all(
        (folder / name).is_file() for name in wanted
    )


def write_index(out: Path, failures: Iterable[tuple[str, str]]) -> pd.DataFrame:
    """Write `summary.csv` and `index.html` over every video that is done in the folder, and the failures.

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
        stamp = _read_stamp(path.parent)
        if stamp.get("schema") != _SCHEMA:
            continue
        name = path.parent.name
        segments[name] = read_segments(path.parent / "segments.csv")
        row = {"source": stamp["source"], "folder": name, "status": "ok", "error": ""}
        row |= {"duration": stamp["duration"], "frames": stamp["frames"], "segments": stamp["segments_found"]}
        rows.append(row | {f"{genre}_share": stamp["shares"][genre] for genre in GENRES})
    rows += [{"source": source, "folder": "", "status": "failed", "error": error} for source, error in failures]
    columns = ["source", "folder", "status", "error", "duration", "frames", "segments"]
    summary = pd.DataFrame(rows, columns=[*columns, *(f"{genre}_share" for genre in GENRES)])
    summary = summary.astype({"frames": "Int64", "segments": "Int64"})
    write_atomically(out / SUMMARY, summary.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    write_atomically(out / INDEX, index_html(summary, segments))
    return summary


def make_folder(folder: Path) -> None:
    """Make a folder for output.

    Raises
    ------
    InputError
        If it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        found = "a file" if folder.exists() else (error.strerror or str(error)).lower()
        raise InputError(f"{folder}: expected a folder to write to, found {found}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{folder}: expected a folder to write to, found one without permission to write")


def _text(name: str | Path) -> str:
    """Return a file name as text that can be written: bytes that are no UTF-8 become replacement signs."""
    return os.fsencode(name).decode("utf-8", "replace")


def _folder_name(stem: str) -> str:
    name = re.sub(r"[\x00-\x1f\x7f]", "_", stem)
    name = name.encode("utf-8")[:_LONGEST_NAME_BYTES].decode("utf-8", "ignore")
    return f"_{name}" if name.startswith(".") or name in ("", INDEX, SUMMARY) else name


def _run_digest(path: Path) -> str:
    digest = hashlib.sha256()
    for name in ("model.keras", "config.json", "thresholds.json"):
        if (path / name).is_file():
            digest.update((path / name).read_bytes())
    return digest.hexdigest()


def _stamp(job: Job, made_with: dict[str, Any]) -> dict[str, Any]:
    """Return what identifies one finished video: its file and how it was tagged."""
    try:
        check_file(job.video)
    except InputError as error:
        raise InputError(f"{job.video}: {error}") from error
    status = job.video.stat()
    path = os.path.abspath(job.video)  # noqa: PTH100 - as in plan_jobs
    return {
        "schema": _SCHEMA, "source": job.source, "video": _text(path), "bytes": status.st_size,
        "modified_ns": status.st_mtime_ns, "made_with": made_with,
    }  # fmt: skip


def _read_stamp(folder: Path) -> dict[str, Any]:
    try:
        stamp = json.loads((folder / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}
