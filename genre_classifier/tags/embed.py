"""A small copy of a video as bytes, for a page that must not need any other file. No sound."""

from __future__ import annotations

import tempfile
from pathlib import Path

from genre_classifier.tags.whole_video import steady_pictures
from preprocessing.config import TIMEOUT_SECONDS, CopyConfig
from preprocessing.video import write_video

# About 300 kbit/s: six megabytes for a trailer of two and a half minutes, as much as a mail can carry.
EMBEDDED_ROWS = 240
EMBEDDED_FPS = 25.0


def embedded_copy(video: Path, *, timeout: float = TIMEOUT_SECONDS) -> bytes:
    """Return the copy as a WebM file with VP8, which every browser plays.

    Parameters
    ----------
    video : Path
    timeout : float
        Seconds without a new frame after which the video is given up.

    Raises
    ------
    InputError
        If the video cannot be read.
    WorkError
        If the copy cannot be written.
    """
    config = CopyConfig(most_fps=EMBEDDED_FPS, most_rows=EMBEDDED_ROWS)
    with steady_pictures(video, config, timeout=timeout) as (fps, pictures), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "copy.webm"
        write_video(path, (picture for _, picture in pictures), fps)
        return path.read_bytes()
