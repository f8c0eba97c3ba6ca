"""A tags folder to files of other programs."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from genre_classifier.exports import chapters, editing, elan, iiif
from genre_classifier.exports.tagged import TaggedVideo, read_video, require_rate
from genre_classifier.tagging.tasks import STAMP
from preprocessing.errors import InputError
from preprocessing.extras import MissingExtraError
from preprocessing.files import make_folder, write_atomically

logger = logging.getLogger(__name__)

FORMATS = ("eaf", "otio", "edl", "iiif", "chapters")
Files = Iterator[tuple[str, str]]  # ending of the file's name, and its text


def export_tags(
    tags: Path,
    out: Path,
    formats: Sequence[str],
    *,
    fps: float | None = None,
    start_timecode: str = "00:00:00:00",
    base_url: str = "http://localhost:8000",
    on_file: Callable[[Path], None] | None = None,
) -> int:
    """Write every tagged video of a folder in some formats.

    Parameters
    ----------
    tags : Path
        A folder that `tag` wrote, or the folder of one video in it.
    out : Path
        Where the files go: `<video's folder>.<ending>`.
    formats : sequence of str
        Of `FORMATS`.
    fps : float, optional
        Frames per second of the videos, instead of what their files say.
    start_timecode : str
        Of the first frame of every video, for `otio` and `edl`.
    base_url : str
        Where `out` will be served, for `iiif`.
    on_file : callable, optional
        Told each file that was written.

    Returns
    -------
    int
        How many files were written.

    Raises
    ------
    InputError
        If nothing was tagged there, a library is missing, or no video could be exported; one that lacks what a format
        needs is left out of it, which is logged.
    WorkError
        If a file cannot be written.
    """
    tags = tags.absolute()
    folders = [tags] if (tags / STAMP).is_file() else sorted(path.parent for path in tags.glob(f"*/{STAMP}"))
    if not folders:
        raise InputError(f"{tags}: expected a folder that `tag` wrote, found no {STAMP} in it or below it")
    make_folder(out)
    writers: dict[str, Callable[[TaggedVideo], Files]] = {
        "eaf": lambda video: iter([("eaf", elan.eaf(video, out))]),
        "otio": functools.partial(_otio, start_timecode=start_timecode),
        "edl": functools.partial(_edl, start_timecode=start_timecode),
        "iiif": lambda video: iter([(iiif.ENDING, iiif.manifest(video, out, base=base_url))]),
        "chapters": _chapters,
    }
    written, left_out = 0, []
    for folder in folders:
        try:
            video = read_video(folder, fps=fps)
        except InputError as error:
            left_out.append(f"{error}")
            continue
        for name in formats:
            try:
                files = list(writers[name](video))
            except MissingExtraError:
                raise
            except InputError as error:
                left_out.append(f"{error}")
                continue
            for ending, text in files:
                path = out / f"{folder.name}.{ending}"
                write_atomically(path, text)
                written += 1
                if on_file:
                    on_file(path)
    left_out = list(dict.fromkeys(left_out))  # a rate that two formats lack is said once
    if left_out and not written:
        raise InputError(left_out[0])
    for reason in left_out:
        logger.warning(f"{reason}; left out")
    return written


def _otio(video: TaggedVideo, *, start_timecode: str) -> Files:
    start = editing.start_frame(start_timecode, require_rate(video))
    yield "otio", editing.otio_json(video, start=start)


def _edl(video: TaggedVideo, *, start_timecode: str) -> Files:
    start = editing.start_frame(start_timecode, require_rate(video))
    if start and video.rate in editing.DROP_FRAME and ";" not in start_timecode:
        raise InputError(
            f"{video.folder}: lists of edits count drop-frame at {float(require_rate(video)):.2f} frames per second; "
            f"expected a --start-timecode hh:mm:ss;ff, found {start_timecode!r}"
        )
    for genre in video.genres:
        if (video.segments["genre"] == genre).any():
            yield f"{genre}.edl", editing.edl(video, genre, start=start)


def _chapters(video: TaggedVideo) -> Files:
    yield "ffmetadata", chapters.ffmetadata(video)
    yield "chapters.vtt", chapters.webvtt_chapters(video)
