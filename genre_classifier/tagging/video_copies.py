"""A small copy of a video inside the viewer, for pages that are sent without the video."""

from __future__ import annotations

import tempfile
from pathlib import Path

from preprocessing.config import CopyConfig, VideoLimits
from preprocessing.reader_client import steady_pictures
from preprocessing.video import write_video

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
