"""Which files of a folder are the videos to preprocess."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from preprocessing.base.errors import InputError
from preprocessing.base.files import abbreviated_repr
from preprocessing.clips import trailers_folder
from preprocessing.manifest import read_manifest, source_name

VIDEO_SUFFIXES = frozenset(
    f".{ending}"
    for line in (
        "mp4 m4v mov qt 3gp 3g2 mkv webm avi divx wmv asf flv f4v ogv ogm mxf nut rm rmvb gif dv ivf obu y4m",
        "mpg mpeg mpe mpv m1v m2v vob ts m2ts mts mjpeg mjpg h264 264 h265 265 hevc",
    )
    for ending in line.split()
)


def find_videos(trailers: Path | str) -> list[Path]:
    """Return what looks like a video below a folder, relative to it, in the order of the manifest.

    Names decide: endings of video formats, in any case; hidden files are passed over. Folders are entered, links to
    folders are not. A folder named like a video, or one that cannot be entered, is in the list too: it will fail there
    with its reason instead of vanishing.

    Raises
    ------
    InputError
        If the folder does not exist, or has no video.
    """
    trailers = Path(trailers)
    if not trailers.is_dir():
        raise InputError(
            f"{trailers}: expected a folder of videos, found {'a file' if trailers.exists() else 'nothing'}"
        )
    found = []
    closed: list[OSError] = []
    for folder, subfolders, names in os.walk(trailers, onerror=closed.append):
        videos = [name for name in (*names, *subfolders) if is_video_name(name)]
        found += [Path(folder, name).relative_to(trailers) for name in videos]
        subfolders[:] = [name for name in subfolders if not is_video_name(name)]
    found += [Path(os.fsdecode(error.filename)).relative_to(trailers) for error in closed]
    if not found:
        raise InputError(f"{trailers}: expected a folder of videos (.mp4, .webm, .mov, ...), found none in it")
    return sorted(found, key=source_name)


def name_videos(paths: Iterable[Path]) -> list[tuple[Path, str]]:
    """Return videos with the names that label tables give them.

    Parameters
    ----------
    paths : iterable of Path
        Files, which are called by their own name, and folders, whose videos are called by their path below them.

    Raises
    ------
    InputError
        If a folder holds no video.
    """
    named: list[tuple[Path, str]] = []
    for path in paths:
        if path.is_dir():
            named += [(path / name, source_name(name)) for name in find_videos(path)]
        else:
            named.append((path, source_name(Path(path.name))))
    return named


def is_video_name(name: str) -> bool:
    """Return whether a file name ends like one of a video."""
    return not name.startswith(".") and Path(name).suffix.lower() in VIDEO_SUFFIXES


def find_sources(clips_dir: Path, sources: Iterable[str]) -> tuple[dict[str, Path], dict[str, InputError]]:
    """Find the videos that clips were made from, where `preprocess` found them.

    A video that has another name now is found by its SHA-256, once `preprocess` has read it under that name.

    Returns
    -------
    (dict of str to Path, dict of str to InputError)
        The videos by their sources, and what to say of those that are not there any more.

    Raises
    ------
    InputError
        If nothing says where the videos were.
    """
    if (folder := trailers_folder(clips_dir)) is None:
        raise InputError(
            f"{clips_dir}: expected a folder that says where its videos are, found none; run `preprocess` on them again"
        )
    folder = _tidy(folder)
    there: dict[str, Path] = {}
    with suppress(InputError):  # the folder is gone, or empty: then so is each of them
        there = {source_name(video): folder / video for video in find_videos(folder)}
    table = read_manifest(clips_dir)
    digests = dict(zip(table["source"].astype(str), table["sha256"].astype(str), strict=True))
    by_digest = {digests.get(source, ""): video for source, video in there.items() if video.exists()}
    found, gone = {}, {}
    for source in sources:
        digest = digests.get(source)
        if source in there:
            found[source] = there[source]
        elif digest and digest in by_digest:
            found[source] = by_digest[digest]
        else:
            gone[source] = InputError(
                f"{folder}: expected the video {abbreviated_repr(source)}, of which {clips_dir} has a clip, found "
                f"none; put it back, or run `preprocess` on the folder where the videos are now"
            )
    return found, gone


def _tidy(folder: Path) -> Path:
    """Return a path without its `..`, by which a message calls it; what comes before them may be a link."""
    short = Path(os.path.normpath(folder))
    return short if short.resolve() == folder.resolve() else folder.resolve()
