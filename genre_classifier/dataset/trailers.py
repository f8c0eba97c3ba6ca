"""Trailers as training data: clips, which stay memory-mapped files, joined with labels."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genre_classifier.dataset.heard import open_heard
from genre_classifier.dataset.labels import read_labels
from genre_classifier.dataset.looks import ClipInputs, open_looks
from genre_classifier.dataset.trailer_labels import (
    frame_targets,
    is_weak,
    labelled_frames,
    labels_for_trailers,
    labels_past_ends,
    own_group,
)
from genre_classifier.genres import GENRES
from genre_classifier.network.senses import PICTURES, SOUND
from preprocessing.base.errors import InputError
from preprocessing.clips import clip_path, load_clip, load_times, open_array, times_path
from preprocessing.manifest import ok_rows, read_manifest

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, eq=False)
class Trailer:
    """One clip and its labels; the frames stay on disk.

    Attributes
    ----------
    trailer_id : int
    source : str
        The video's path below its trailers folder.
    clip : Path
        `trailer_<id>.npy`, uint8 (frames, 3, rows, cols).
    times : ndarray of float64, shape (frames,)
        Seconds.
    targets : ndarray of float32, shape (frames, genres)
        1 where a genre applies; weak labels apply to every frame.
    labelled : ndarray of bool, shape (frames,)
        False for frames of which nothing is known: see `genre_classifier.dataset.trailer_labels.labelled_frames`.
    weak : bool
        Whether the labels are about the whole trailer.
    group : str
        Trailers of one group are never split; a trailer without a group is a group of its own.
    rows, cols : int
        Of the clip.
    encoded : Path or None
        The clip as a pretrained image network sees it, float16 (frames, channels, rows, cols); see
        `genre_classifier.dataset.encoded`.
    looks : Path or None
        What such a network saw when it looked at the video itself; see `genre_classifier.dataset.looks`.
    heard : Path or None
        What a sound encoder heard; see `genre_classifier.dataset.heard`.
    video_size : tuple of int or None
        Width and height of the video in pixels, where the manifest knows them.
    duration : float or None
        Seconds of the video, likewise.
    """

    trailer_id: int
    source: str
    clip: Path
    times: np.ndarray
    targets: np.ndarray
    labelled: np.ndarray
    weak: bool
    group: str
    rows: int
    cols: int
    encoded: Path | None = None
    looks: Path | None = None
    heard: Path | None = None
    video_size: tuple[int, int] | None = None
    duration: float | None = None

    def open(self) -> np.memmap | ClipInputs:
        """Open what a network takes: encoded frames, or the clip's pixels, with what encoders say beside them."""
        return open_inputs(self.clip, self.times, encoded=self.encoded, looks=self.looks, heard=self.heard)

    @property
    def genres(self) -> np.ndarray:
        """Return which genres the trailer shows anywhere, bool (genres,)."""
        return np.asarray(self.targets[self.labelled].any(axis=0))


def open_inputs(
    clip: Path,
    times: np.ndarray,
    *,
    encoded: Path | None = None,
    looks: Path | None = None,
    heard: Path | None = None,
) -> np.memmap | ClipInputs:
    """Open what a network takes of a clip; see `Trailer.open`."""
    if encoded is not None:
        return open_array(encoded, "an encoded clip (.npy)")
    parts: dict[str, Any] = {}
    if looks is not None:
        parts[PICTURES] = open_looks(looks, times)
    if heard is not None:
        parts[SOUND] = open_heard(heard, times)
    return ClipInputs({"frames": load_clip(clip), **parts}) if parts else load_clip(clip)


def data_digest(trailers: Sequence[Trailer]) -> str:
    """Return a SHA-256 over ids, sources, groups, times, targets and the size and head and tail of each clip.

    Reading gigabytes of frames at each start would cost more than it protects from.
    """
    digest = hashlib.sha256()
    for trailer in trailers:
        digest.update(repr((trailer.trailer_id, trailer.source, trailer.group, trailer.weak)).encode())
        digest.update(trailer.times.tobytes())
        digest.update(trailer.targets.tobytes())
        if not trailer.labelled.all():
            digest.update(trailer.labelled.tobytes())
        size = trailer.clip.stat().st_size
        digest.update(str(size).encode())
        with trailer.clip.open("rb") as clip:
            digest.update(clip.read(1 << 16))
            clip.seek(max(0, size - (1 << 16)))
            digest.update(clip.read())
    return digest.hexdigest()


def load_trailers(
    clips: Path | str,
    labels: Path | str | pd.DataFrame,
    *,
    genres: Sequence[str] = GENRES,
    skip_unknown: bool = False,
) -> list[Trailer]:
    """Join a clips folder with a label table.

    Parameters
    ----------
    clips : path
        The folder that `preprocess` wrote, or one of hand-made `trailer_<id>.npy`.
    labels : path or DataFrame
        A file in any format of `genre_classifier.dataset.labels.read_labels`, or a label table: columns trailer and
        genre, maybe start and end (seconds; NaN or left out for labels of whole trailers), group, and checked (bool).
    genres : sequence of str
        Of the targets, in their order.
    skip_unknown
        As for `genre_classifier.dataset.trailer_labels.labels_for_trailers`.

    Returns
    -------
    list of Trailer
        In the order of ids.

    Raises
    ------
    InputError
        For unreadable input, labels that fit no clip, or clips of different sizes.
    """
    clips = Path(clips)
    table = _checked_table(labels) if isinstance(labels, pd.DataFrame) else read_labels(Path(labels), genres=genres)
    manifest = read_manifest(clips)
    joined = labels_for_trailers(table, manifest, skip_unknown=skip_unknown)
    done = ok_rows(manifest)
    trailers = []
    for opened in _opened(clips, done[done["trailer_id"].isin(list(joined))], genres):
        rows = joined[opened.trailer_id]
        group = rows["group"].iloc[0] if "group" in rows else None
        trailers.append(
            dataclasses.replace(
                opened,
                targets=frame_targets(rows, opened.times, genres),
                labelled=labelled_frames(rows, opened.times),
                weak=is_weak(rows),
                group=opened.group if group is None or pd.isna(group) else str(group),
            )
        )
    _check_sizes(clips, trailers)
    if note := labels_past_ends((one.source, joined[one.trailer_id], one.times) for one in trailers):
        logger.warning(note)
    return trailers


def _checked_table(labels: pd.DataFrame) -> pd.DataFrame:
    """Return a label table that somebody made with the columns and types of those that are read."""
    if missing := [name for name in ("trailer", "genre") if name not in labels]:
        raise InputError(f"labels: expected the columns trailer and genre, found no {missing[0]}")
    try:
        seconds = {name: labels[name].astype(float) if name in labels else np.nan for name in ("start", "end")}
    except (TypeError, ValueError) as error:
        raise InputError(f"labels: expected seconds in the columns start and end, found: {error}") from error
    return labels.assign(trailer=labels["trailer"].astype(str), **seconds)


def load_unlabelled(clips: Path | str, *, genres: Sequence[str] = GENRES) -> list[Trailer]:
    """Open every clip of a folder as a trailer of which no label is known: its targets are 0.

    Parameters
    ----------
    clips : path
        As for `load_trailers`.
    genres : sequence of str
        Of the targets.

    Returns
    -------
    list of Trailer
        In the order of ids.

    Raises
    ------
    InputError
        For unreadable input, or clips of different sizes.
    """
    clips = Path(clips)
    trailers = list(_opened(clips, ok_rows(read_manifest(clips)), genres))
    _check_sizes(clips, trailers)
    return trailers


def _opened(clips: Path, rows: pd.DataFrame, genres: Sequence[str]) -> Iterator[Trailer]:
    """Open the clips of rows of a manifest, without labels."""
    for row in rows.to_dict("records"):
        trailer_id = int(row["trailer_id"])
        path = clip_path(clips, trailer_id)
        clip = load_clip(path)
        times = load_times(times_path(clips, trailer_id))
        if len(times) != len(clip):
            raise InputError(f"{path}: expected as many frames as times ({len(times)}), found {len(clip)}")
        sized = not pd.isna(row["width"]) and not pd.isna(row["height"])
        yield Trailer(
            trailer_id=trailer_id,
            source=str(row["source"]),
            clip=path,
            times=times,
            targets=np.zeros((len(times), len(genres)), dtype=np.float32),
            labelled=np.zeros(len(times), dtype=bool),
            weak=True,
            group=own_group(trailer_id),
            rows=clip.shape[2],
            cols=clip.shape[3],
            video_size=(int(row["width"]), int(row["height"])) if sized else None,
            duration=None if pd.isna(row["duration"]) else float(row["duration"]),
        )


def _check_sizes(clips: Path, trailers: Sequence[Trailer]) -> None:
    sizes = {(trailer.rows, trailer.cols): trailer for trailer in trailers}
    if len(sizes) > 1:
        found = ", ".join(f"{rows}x{cols} ({trailer.clip.name})" for (rows, cols), trailer in sizes.items())
        raise InputError(f"{clips}: expected clips of one size, found {found}; preprocess them again with one --size")
