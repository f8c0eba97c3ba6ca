"""One task for each video to tag: its folder, how it is tagged, and the stamp that says that it is done."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from genre_classifier.config import SegmentConfig, TagConfig
from genre_classifier.genres import check_genres
from preprocessing.base.documents import read_as
from preprocessing.base.errors import InputError
from preprocessing.base.files import file_facts, read_json, require_unchanged, write_atomically
from preprocessing.base.options import require
from preprocessing.video import check_file

STAMP = "tags.json"
INDEX = "index.html"
SUMMARY = "summary.csv"
SEGMENTS = "segments.json"
EXPORTS = "exports"
TAGS_SCHEMA = 1
SCORES = "scores.csv"
PAGE = "viewer.html"
FILES = (SCORES, "segments.csv", "segments.vtt", "segments.json", "timeline.png", PAGE)
OVERLAY = "overlay.mp4"
POSTER = "poster.jpg"  # of a video that shows a picture
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


def _texts(made_with: dict[str, Any]) -> dict[str, Any]:
    for name in ("run", "label_studio_prefix"):
        require(isinstance(made_with.get(name, ""), str), f"expected text as {name}")
    for name in ("segments", "thresholds"):
        require(isinstance(made_with.get(name, {}), dict), f"expected values by name as {name}")
    numbers = all(isinstance(value, int | float) for value in made_with.get("thresholds", {}).values())
    require(numbers, "expected numbers as thresholds")
    require(isinstance(made_with.get("exclusive", False), bool), "expected true or false as exclusive")
    return made_with


@dataclasses.dataclass(frozen=True)
class Stamp:
    """What identifies one finished video.

    Attributes
    ----------
    source, video : str
        Its name in label tables, and its path.
    bytes, modified_ns : int
        Of its file.
    made_with : dict
        How it was tagged: see `made_with`.
    """

    source: str
    video: str
    bytes: int
    modified_ns: int
    made_with: Annotated[dict[str, Any], AfterValidator(_texts)]

    @property
    def exclusive(self) -> bool:
        """Return whether the genres exclude each other: the segments were made without thresholds."""
        return bool(self.made_with.get("exclusive", False))


_Count = Annotated[int, Field(ge=0)]
_Seconds = Annotated[float, Field(ge=0)]
_Pixels = Annotated[int, Field(gt=0)]


def _genres(shares: dict[str, float]) -> dict[str, float]:
    check_genres(list(shares))
    return shares


@dataclasses.dataclass(frozen=True)
class TagsRecord(Stamp):
    """What `tags.json` holds, for exports and for the summary: see `genre_classifier.tagging.tags.Tags`."""

    duration: _Seconds
    frames: _Count
    segments_found: _Count
    shares: Annotated[dict[str, Annotated[float, Field(ge=0, le=1)]], AfterValidator(_genres)]
    fps: _Seconds | None = None
    size: tuple[_Pixels, _Pixels] | None = None
    cuts: tuple[float, ...] = ()
    start: Annotated[float, Field(ge=0)] = 0.0  # without it, times count from the first picture


def made_with(
    run: str, config: TagConfig, segments: SegmentConfig, thresholds: Mapping[str, float], *, exclusive: bool = False
) -> dict[str, Any]:
    """Return what a video's files depend on besides the video; prefix and engine only if they are not the usual ones.

    Parameters
    ----------
    run : str
        Its `run_digest`.
    config, segments
        As for `genre_classifier.tagging.folder.tag_videos`.
    thresholds : mapping of str to float
        Those that stand in for the run's, by genre.
    exclusive : bool
        Whether the genres exclude each other: each frame belongs to the one with the highest score.
    """
    extras: dict[str, Any] = {"overlay": config.overlay, "embed": config.embed, "label_studio": config.label_studio}
    if config.label_studio and config.label_studio_prefix != TagConfig.label_studio_prefix:
        extras["label_studio_prefix"] = config.label_studio_prefix
    if config.encoder_engine != TagConfig.encoder_engine:
        extras["encoder_engine"] = config.encoder_engine
    if thresholds:
        extras["thresholds"] = dict(thresholds)
    if exclusive:
        extras["exclusive"] = True
    return {"run": run, "precision": config.precision, "segments": segments.to_dict(), **extras}


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
    try:
        stamp = read_json(folder / STAMP, "what `tag` records of a video")
    except InputError:
        return None
    if not isinstance(stamp, dict) or not isinstance(owner := stamp.get("video"), str):
        return None
    same = stamp.get("source") == source and video.is_file() and stamp.get("bytes") == video.stat().st_size
    return None if same and not os.path.lexists(owner) else owner


def make_stamp(task: Task, how: dict[str, Any]) -> Stamp:
    """Return what identifies one finished video: its file and how it was tagged."""
    try:
        check_file(task.video)
    except InputError as error:
        raise InputError(f"{task.video}: {error}") from error
    path = os.path.abspath(task.video)  # noqa: PTH100 - as in plan_tasks
    return Stamp(source=task.source, video=_text(path), **file_facts(task.video), made_with=how)


def require_same_video(task: Task, stamp: Stamp) -> None:
    """Refuse, with InputError, a video that has changed since its stamp was made: it is not what was read."""
    require_unchanged(task.video, {"bytes": stamp.bytes, "modified_ns": stamp.modified_ns}, doing="tagged")


def is_done(folder: Path, stamp: Stamp) -> bool:
    """Return whether the folder holds all files of this video, made from these bytes in this way."""
    try:
        written = read_record(folder)
    except InputError:
        return False
    how = stamp.made_with
    wanted = [*FILES, *[OVERLAY] * how["overlay"], *[LABEL_STUDIO] * how["label_studio"]]
    same = all(getattr(written, name) == value for name, value in vars(stamp).items())
    return same and all((folder / name).is_file() for name in wanted)


def has_scores(folder: Path, stamp: Stamp) -> bool:
    """Return whether the folder holds the scores that this video gets, whatever its segments were made with."""
    try:
        written = read_record(folder)
    except InputError:
        return False
    facts = ("source", "video", "bytes", "modified_ns")
    same = all(getattr(written, name) == getattr(stamp, name) for name in facts)
    of_scores = ("run", "precision", "encoder_engine")  # the last one only where it is not the usual one
    same = same and all(written.made_with.get(name) == stamp.made_with.get(name) for name in of_scores)
    return same and all((folder / name).is_file() for name in (SCORES, PAGE))


def write_record(folder: Path, record: TagsRecord) -> None:
    """Write `tags.json`."""
    document = {"schema": TAGS_SCHEMA, **dataclasses.asdict(record)}
    write_atomically(folder / STAMP, json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def read_record(folder: Path) -> TagsRecord:
    """Read `tags.json` of the folder of one video; InputError if it cannot be used."""
    expected = "what `tag` records of a video"
    return read_as(folder / STAMP, TagsRecord, expected, schema=TAGS_SCHEMA, remedy="tag it again")


def _folder_name(stem: str) -> str:
    name = re.sub(r"[\x00-\x1f\x7f]", "_", stem)
    name = name.encode("utf-8")[:_LONGEST_NAME_BYTES].decode("utf-8", "ignore")
    return f"_{name}" if name.startswith(".") or name in _TAKEN else name


def _text(name: str | Path) -> str:
    """Return a file name as text that can be written: bytes that are not UTF-8 become replacement signs."""
    return os.fsencode(name).decode("utf-8", "replace")
