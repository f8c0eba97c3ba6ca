"""Every picture of a video at a constant rate, for copies of it: the overlay, and the copy inside the viewer."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from preprocessing.base.errors import InputError
from preprocessing.config import CopyConfig, VideoLimits
from preprocessing.processes.child import Child
from preprocessing.reader_client import READER, copy_job
from preprocessing.video import write_video

Pictures = Iterator[tuple[float, np.ndarray]]


@contextmanager
def steady_pictures(
    video: Path, config: CopyConfig | None = None, *, limits: VideoLimits | None = None
) -> Iterator[tuple[float, Pictures]]:
    """Give a rate in frames per second, and the picture shown at each of its ticks; a reader process decodes.

    Parameters
    ----------
    video : Path
    config : CopyConfig, optional
        Rate and size.
    limits : VideoLimits, optional
        What the video may cost.

    Yields
    ------
    fps : float
    pictures : iterator of (float, ndarray)
        Seconds from the start of the video, and uint8 RGB of shape (rows, cols, 3); rows and cols are even.

    Raises
    ------
    InputError
        If the video cannot be read; also while iterating.
    """
    limits = limits or VideoLimits()
    reader = Child(READER)
    try:
        reader.ask(copy_job(video, config or CopyConfig(), limits))
        answers = _named(video, reader.answers(limits.timeout))
        clock = next(answers)
        yield clock["fps"], _pictures(answers, clock["start"], clock["fps"])
    finally:
        reader.close()


def _named(video: Path, answers: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    try:
        yield from answers
    except InputError as error:
        raise InputError(f"{video}: {error}") from None


def _pictures(answers: Iterator[dict[str, Any]], start: float, fps: float) -> Pictures:
    tick = 0
    for answer in answers:
        if "frame" in answer:
            picture = np.frombuffer(answer["bytes"], np.uint8).reshape(answer["shape"])
            for _ in range(answer["ticks"]):
                yield start + tick / fps, picture
                tick += 1


# About 300 kbit/s: six megabytes for a trailer of two and a half minutes, as much as a mail can carry.
EMBEDDED_ROWS = 240
EMBEDDED_FPS = 25.0


def embedded_copy(video: Path, *, limits: VideoLimits | None = None) -> bytes:
    """Return the copy as a WebM file with VP8, which every browser plays.

    Parameters
    ----------
    video : Path
    limits : VideoLimits, optional
        What the video may cost.

    Raises
    ------
    InputError
        If the video cannot be read.
    WorkError
        If the copy cannot be written.
    """
    config = CopyConfig(most_fps=EMBEDDED_FPS, most_rows=EMBEDDED_ROWS)
    with steady_pictures(video, config, limits=limits) as (fps, pictures), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "copy.webm"
        write_video(path, (picture for _, picture in pictures), fps)
        return path.read_bytes()
