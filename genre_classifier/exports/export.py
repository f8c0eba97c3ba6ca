"""A tags folder to files of other programs."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from genre_classifier.exports import AUTO, BASE_URL, FORMATS, archives, chapters, editing, require_known, timecode
from genre_classifier.exports.tagged import TaggedVideo, read_video
from genre_classifier.tagging.tasks import STAMP
from preprocessing.base.errors import InputError, WorkError
from preprocessing.base.files import make_folder, os_reason, write_atomically
from preprocessing.processes.pool import Pool
from preprocessing.reader_client import READER

logger = logging.getLogger(__name__)

# Ending of the file's name, and its text; None: there is none, and one of an earlier export is removed.
Files = Iterable[tuple[str, str | None]]


class Place(NamedTuple):
    """Where files go, and the address at which that folder is served."""

    out: Path
    base_url: str


class TagsFormat(NamedTuple):
    """A format: what makes its files, the libraries that it needs, the options of `export_tags` that it uses."""

    files: Callable[[TaggedVideo, Place], Files]
    require: Callable[[], object]  # imports them, or raises MissingExtraError
    options: tuple[str, ...] = ()
    check: Callable[[Sequence[TaggedVideo], Place], None] | None = None  # refuses videos that do not go together


def _edl(video: TaggedVideo, place: Place) -> Iterator[tuple[str, str | None]]:
    for genre in video.genres:
        yield f"{genre}.edl", editing.edl(video, genre) if (video.segments["genre"] == genre).any() else None


def _chapters(video: TaggedVideo, place: Place) -> Iterator[tuple[str, str]]:
    yield "ffmetadata", chapters.ffmetadata(video)
    yield "chapters.xml", chapters.matroska_xml(video)
    yield "chapters.vtt", chapters.webvtt_chapters(video)


_OF_FRAMES = ("fps", "start_timecode")
_FORMATS = (
    TagsFormat(lambda video, place: [("eaf", archives.eaf(video, place.out))], archives.elan_library),
    TagsFormat(lambda video, place: [("otio", editing.otio_json(video))], timecode.editing_library, _OF_FRAMES),
    TagsFormat(_edl, editing.list_library, _OF_FRAMES),
    TagsFormat(
        lambda video, place: [(archives.ENDING, archives.manifest(video, place.out, base=place.base_url))],
        archives.iiif_library,
        ("base_url",),
        check=lambda videos, place: archives.require_addresses(videos, place.out, base=place.base_url),
    ),
    TagsFormat(lambda video, place: [("mmif", archives.time_frames(video))], archives.mmif_library),
    TagsFormat(_chapters, lambda: None),
)
TAGS_FORMATS = dict(zip(FORMATS, _FORMATS, strict=True))


def read_formats(text: str, *, option: str) -> tuple[str, ...]:
    """Return the formats that an option names, with commas between.

    Parameters
    ----------
    text : str
    option : str
        For the message.

    Raises
    ------
    InputError
        If one is unknown, or a library that it needs is not installed.
    """
    names = tuple(dict.fromkeys(text.split(",")))
    _require(names, option)
    return names


def _require(names: Sequence[str], option: str) -> None:
    require_known(names, TAGS_FORMATS, option)
    for name in names:
        TAGS_FORMATS[name].require()


def export_tags(
    tags: Path,
    out: Path,
    formats: Sequence[str],
    *,
    fps: float | None = None,
    start_timecode: str = AUTO,
    base_url: str = BASE_URL,
    on_video: Callable[[list[Path]], None] | None = None,
) -> int:
    """Write every tagged video of a folder in some formats.

    Parameters
    ----------
    tags : Path
        A folder that `tag` wrote, or the folder of one video in it.
    out : Path
        Where the files go: `<video's folder>.<ending>`. A file that an earlier export wrote of a genre which has no
        segment any more is removed.
    formats : sequence of str
        Of `FORMATS`.
    fps : float, optional
        Frames per second of the videos, instead of what their files say.
    start_timecode : str
        Of the first frame of every video, for `otio` and `edl`; "auto": what each file says.
    base_url : str
        Where `out` will be served, for `iiif`.
    on_video : callable, optional
        Told the files that were written of each video.

    Returns
    -------
    int
        How many files were written.

    Raises
    ------
    InputError
        If nothing was tagged there, a format is unknown, a library is missing, two videos would have one address, or no
        video could be exported; one that lacks what a format needs is left out of it, which is logged.
    WorkError
        If a file cannot be written or removed.
    """
    tags = tags.absolute()
    folders = [tags] if (tags / STAMP).is_file() else sorted(path.parent for path in tags.glob(f"*/{STAMP}"))
    if not folders:
        raise InputError(f"{tags}: expected a folder that `tag` wrote, found no {STAMP} in it or below it")
    _require(formats, "formats")
    place = Place(out, base_url)
    timed = any("start_timecode" in TAGS_FORMATS[name].options for name in formats)
    written, left_out = set[Path](), []
    gone = set[Path]()
    videos = []
    for folder in folders:
        try:
            videos.append(read_video(folder, fps=fps))
        except InputError as error:
            left_out.append(f"{error}")
    for name in formats:
        if check := TAGS_FORMATS[name].check:
            check(videos, place)
    make_folder(out)
    with closing(Pool(READER)) as readers:
        for video in videos:
            if timed and video.rate:
                auto = start_timecode == AUTO
                start = timecode.start_timecode(video.path, video.rate, readers) if auto else start_timecode
                video = dataclasses.replace(video, start_timecode=start)
            paths = []
            for name in formats:
                try:
                    files = list(TAGS_FORMATS[name].files(video, place))
                except InputError as error:
                    left_out.append(f"{error}")
                    continue
                for ending, text in files:
                    path = out / f"{video.folder.name}.{ending}"
                    if text is None:
                        gone.add(path)
                    else:
                        paths.append(path)
                        write_atomically(path, text)
            written.update(paths)
            if paths and on_video:
                on_video(paths)
    _remove(gone - written)  # with dots in their names, a genre of one video may be called as one of another
    left_out = list(dict.fromkeys(left_out))  # a rate that two formats lack is named once
    if left_out and not written:
        raise InputError(left_out[0])
    for reason in left_out:
        logger.warning(f"{reason}; left out")
    return len(written)


def _remove(paths: Iterable[Path]) -> None:
    """Remove those that are files."""
    removed = 0
    for path in paths:
        try:
            if path.is_file():
                path.unlink()
                removed += 1
        except OSError as error:
            raise WorkError(f"{path}: could not be removed: {os_reason(error)}") from error
    if removed:
        logger.info(f"{removed} files of genres without a segment are removed")
