"""One job for each video to tag: its folder, and the stamp by which a later command knows that it is done."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from genre_classifier.run_folder.layout import CONFIG, ENCODER, MODEL, THRESHOLDS
from preprocessing.errors import InputError
from preprocessing.files import read_json
from preprocessing.video import check_file

STAMP = "tags.json"
INDEX = "index.html"
SUMMARY = "summary.csv"
SEGMENTS = "segments.json"
SCHEMA = 1
_LONGEST_NAME_BYTES = 200


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
        owner = owners.get(name) or read_stamp(out / name).get("video")
        if owner not in (None, _text(path)):
            name = f"{name}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}"
        owners[name] = _text(path)
        jobs[path] = Job(video, source, out / name)
    return list(jobs.values())


def make_stamp(job: Job, made_with: dict[str, Any]) -> dict[str, Any]:
    """Return what identifies one finished video: its file and how it was tagged."""
    try:
        check_file(job.video)
    except InputError as error:
        raise InputError(f"{job.video}: {error}") from error
    status = job.video.stat()
    path = os.path.abspath(job.video)  # noqa: PTH100 - as in plan_jobs
    return {
        "schema": SCHEMA, "source": job.source, "video": _text(path), "bytes": status.st_size,
        "modified_ns": status.st_mtime_ns, "made_with": made_with,
    }  # fmt: skip


def read_stamp(folder: Path) -> dict[str, Any]:
    """Return the stamp of a folder, empty where there is none or it cannot be read."""
    try:
        stamp = read_json(folder / STAMP, "what `tag` records of a video")
    except InputError:
        return {}
    return stamp if isinstance(stamp, dict) else {}


def run_digest(path: Path) -> str:
    """Return a digest of all in a run folder that scores depend on."""
    digest = hashlib.sha256()
    for name in (MODEL, ENCODER, CONFIG, THRESHOLDS):
        if (path / name).is_file():
            digest.update((path / name).read_bytes())
    return digest.hexdigest()


def _folder_name(stem: str) -> str:
    name = re.sub(r"[\x00-\x1f\x7f]", "_", stem)
    name = name.encode("utf-8")[:_LONGEST_NAME_BYTES].decode("utf-8", "ignore")
    return f"_{name}" if name.startswith(".") or name in ("", INDEX, SUMMARY, SEGMENTS) else name


def _text(name: str | Path) -> str:
    """Return a file name as text that can be written: bytes that are no UTF-8 become replacement signs."""
    return os.fsencode(name).decode("utf-8", "replace")
