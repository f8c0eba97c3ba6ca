"""Every picture of a video at a constant rate, for copies of it: the overlay, and the copy inside the viewer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from preprocessing.errors import InputError
from preprocessing.sampling import FALLBACK_FPS, true_times
from preprocessing.video import Video, open_video

# Encoders and players take no others for granted.
_LOWEST_FPS, _HIGHEST_FPS = 1.0, 60.0


def steady_pictures(
    video: Path, *, most_fps: float = _HIGHEST_FPS, fewest_rows: int = 1, most_rows: int | None = None
) -> tuple[float, Iterator[tuple[float, np.ndarray]]]:
    """Return a rate in frames per second, and the picture shown at each of its ticks.

    Parameters
    ----------
    video : Path
    most_fps : float
        The rate is the video's usual one, and at most this.
    fewest_rows, most_rows : int
        Smaller pictures are enlarged to the one, larger ones reduced to the other, in their own proportions.

    Returns
    -------
    fps : float
    pictures : iterator of (float, ndarray)
        Seconds, and uint8 RGB of shape (rows, cols, 3); rows and cols are even, as encoders want them.

    Raises
    ------
    InputError
        If the video cannot be read; also while iterating.
    """
    times, fps = _clock(video)
    fps = min(max(fps, _LOWEST_FPS), _HIGHEST_FPS, most_fps)
    # The last frame stays for half a tick, so that it is shown once.
    until = np.append(times[1:], times[-1] + 0.5 / fps)

    def pictures() -> Iterator[tuple[float, np.ndarray]]:
        tick = 0
        with _open(video) as reader:
            for shown_until in until:
                if reader.grab() is None:
                    return
                if times[0] + tick / fps >= shown_until:
                    continue
                picture = _even(reader.retrieve()[:, :, ::-1], reader.pixel_aspect, fewest_rows, most_rows)
                while times[0] + tick / fps < shown_until:
                    yield times[0] + tick / fps, picture
                    tick += 1

    return fps, pictures()


def _clock(video: Path) -> tuple[np.ndarray, float]:
    """Return the time of every frame, and the usual rate."""
    reported = []
    with _open(video) as reader:
        while (time := reader.grab()) is not None:
            reported.append(time)
        times, _ = true_times(np.array(reported), reader.declared.fps or 0.0)
    if not len(times):
        raise InputError(f"{video}: expected a video, found no frame that can be decoded")
    return times, 1 / float(np.median(np.diff(times))) if len(times) > 1 else FALLBACK_FPS


@contextmanager
def _open(video: Path) -> Iterator[Video]:
    """Open a video; what it cannot give is told with its name."""
    try:
        with open_video(video) as reader:
            yield reader
    except InputError as error:
        raise InputError(f"{video}: {error}") from error


def _even(picture: np.ndarray, pixel_aspect: float, fewest_rows: int, most_rows: int | None) -> np.ndarray:
    rows, cols = picture.shape[:2]
    scale = max(fewest_rows / rows, min(1.0, (most_rows or rows) / rows))
    size = (max(2, 2 * round(cols * pixel_aspect * scale / 2)), max(2, 2 * round(rows * scale / 2)))
    if size == (cols, rows):
        return picture
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
