"""One task for each video to tag: its folder, how it is tagged, and the stamp that says that it is done."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from genre_classifier.config import ExportConfig, Precision, SegmentConfig
from genre_classifier.run_folder.run import run_digest
from preprocessing.base.errors import InputError
from preprocessing.base.files import file_facts, read_json, require_unchanged
from preprocessing.config import VideoLimits
from preprocessing.video import check_file

STAMP = "tags.json"
INDEX = "index.html"
SUMMARY = "summary.csv"
SEGMENTS = "segments.json"
EXPORTS = "exports"
TAGS_SCHEMA = 1
FILES = ("scores.csv", "segments.csv", "segments.vtt", "segments.json", "timeline.png", "viewer.html")
OVERLAY = "overlay.mp4"
LABEL_STUDIO = "label_studio.json"
_LONGEST_NAME_BYTES = 200
_TAKEN = ("", INDEX, SUMMARY, SEGMENTS, LABEL_STUDIO, EXPORTS)  # what stands beside the folders of videos


@dataclasses.dataclass(frozen=True)
class Task:
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
    label_studio_prefix : str
        What is put before the video's name there: see `ExportConfig`.
    """

    overlay: bool = False
    embed: bool = False
    label_studio: bool = False
    label_studio_prefix: str = ExportConfig.label_studio_prefix

    def stamp(self) -> dict[str, Any]:
        """Return what a finished video's stamp says: no prefix where none other than the usual one was written."""
        usual = not self.label_studio or self.label_studio_prefix == ExportConfig.label_studio_prefix
        return {
            name: value
            for name, value in dataclasses.asdict(self).items()
            if not (usual and name == "label_studio_prefix")
        }


@dataclasses.dataclass(frozen=True)
class Settings:
    """How videos are tagged, beside the run.

    Attributes
    ----------
    chunk, precision, limits, segments
        See `genre_classifier.tagging.tag.tag_trailer`.
    extras : Extras
        What is written beside the usual files.
    """

    chunk: int
    precision: Precision
    limits: VideoLimits
    segments: SegmentConfig
    extras: Extras

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return dataclasses.asdict(self) | {"segments": self.segments.to_dict(), "limits": self.limits.to_dict()}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Rebuild from `to_dict`."""
        parts = {
            "limits": VideoLimits.from_dict(fields["limits"]),
            "segments": SegmentConfig.from_dict(fields["segments"]),
            "extras": Extras(**fields["extras"]),
        }
        return cls(**{**fields, **parts})

    def made_with(self, run: Path) -> dict[str, Any]:
        """Return all that a video's files depend on beside the video."""
        how = {"run": run_digest(run), "precision": self.precision, "segments": self.segments.to_dict()}
        return how | self.extras.stamp()


def plan_tasks(videos: Iterable[tuple[Path, str]], out: Path) -> list[Task]:
    """Give every video a folder of its own, the same one in every command.

    Parameters
    ----------
    videos : iterable of (Path, str)
        Files and their names in label tables; a file that comes twice is taken once.
    out : Path
        The tags folder.

    Returns
    -------
    list of Task
        A folder is named after the video; where another video has that name already, a digest of the path follows. A
        video that was moved keeps its folder.
    """
    tasks: dict[str, Task] = {}
    owners: dict[str, str] = {}
    for video, source in videos:
        path = os.path.abspath(video)  # noqa: PTH100 - Path.resolve would follow links: two links are two videos
        if path in tasks:
            continue
        name = _folder_name(_text(video.stem))
        owner = owners.get(name) or _owner(out / name, video, source)
        if owner not in (None, _text(path)):
            name = f"{name}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}"
        owners[name] = _text(path)
        tasks[path] = Task(video, source, out / name)
    return list(tasks.values())


def _owner(folder: Path, video: Path, source: str) -> str | None:
    """Return the video that a folder belongs to; none where that one is gone and this one is it, moved."""
    stamp = read_stamp(folder)
    owner = stamp.get("video")
    moved = (
        isinstance(owner, str)
        and not os.path.lexists(owner)
        and stamp.get("source") == source
        and video.is_file()
        and stamp.get("bytes") == video.stat().st_size
    )
    return None if moved else owner


def make_stamp(task: Task, made_with: dict[str, Any]) -> dict[str, Any]:
    """Return what identifies one finished video: its file and how it was tagged."""
    try:
        check_file(task.video)
    except InputError as error:
        raise InputError(f"{task.video}: {error}") from error
    path = os.path.abspath(task.video)  # noqa: PTH100 - as in plan_tasks
    return {
        "schema": TAGS_SCHEMA,
        "source": task.source,
        "video": _text(path),
        **file_facts(task.video),
        "made_with": made_with,
    }


def require_same_video(task: Task, stamp: dict[str, Any]) -> None:
    """Refuse, with InputError, a video that has changed since its stamp was made: it is not what was read."""
    require_unchanged(task.video, {key: stamp[key] for key in ("bytes", "modified_ns")}, doing="tagged")


def is_done(folder: Path, stamp: dict[str, Any]) -> bool:
    """Return whether the folder holds all files of this video, made from these bytes in this way."""
    written = read_stamp(folder)
    made_with = stamp["made_with"]
    wanted = [*FILES, *[OVERLAY] * made_with["overlay"], *[LABEL_STUDIO] * made_with["label_studio"]]
    return all(written.get(key) == value for key, value in stamp.items()) and all(
        (folder / name).is_file() for name in wanted
    )


def read_stamp(folder: Path) -> dict[str, Any]:
    """Return the stamp of a folder, empty where there is none or it cannot be read."""
    try:
        stamp = read_json(folder / STAMP, "what `tag` records of a video")
    except InputError:
        return {}
    return stamp if isinstance(stamp, dict) else {}


def _folder_name(stem: str) -> str:
    name = re.sub(r"[\x00-\x1f\x7f]", "_", stem)
    name = name.encode("utf-8")[:_LONGEST_NAME_BYTES].decode("utf-8", "ignore")
    return f"_{name}" if name.startswith(".") or name in _TAKEN else name


def _text(name: str | Path) -> str:
    """Return a file name as text that can be written: bytes that are no UTF-8 become replacement signs."""
    return os.fsencode(name).decode("utf-8", "replace")
