"""Small pictures of a video, evenly spread, gathered while it is decoded.

Imports OpenCV for the resizing only; never opens a video.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

# Twice the height at which pages and figures show them, for dense screens and for print.
THUMBNAIL_ROWS = 144
MOST_THUMBNAILS = 64
# The longest side of a thumbnail of an extremely wide or tall video, as a multiple of its height.
_MOST_ASPECT = 4.0


class Thumbnail(NamedTuple):
    """One small picture: its time in seconds, and uint8 RGB of shape (rows, cols, 3)."""

    time: float
    picture: np.ndarray


class ThumbnailStrip:
    """Keeps pictures of a stream of unknown length: every one at first, then every second, every fourth ...

    Parameters
    ----------
    most : int
        Between half of this and all of it are held, so that memory stays constant.
    """

    def __init__(self, *, most: int = MOST_THUMBNAILS) -> None:
        self._most = most
        self._every = 1
        self._seen = 0
        self._kept: list[Thumbnail] = []

    def add(self, time: float, picture: np.ndarray) -> None:
        """Take the next picture, uint8 RGB of shape (rows, cols, 3); most are dropped without work."""
        if self._seen % self._every == 0:
            if len(self._kept) == self._most:
                self._kept = self._kept[::2]
                self._every *= 2
            if self._seen % self._every == 0:
                self._kept.append(Thumbnail(time, shrink(picture, THUMBNAIL_ROWS)))
        self._seen += 1

    def thumbnails(self) -> tuple[Thumbnail, ...]:
        """Return what is kept, in the order of time."""
        return tuple(self._kept)


def shrink(picture: np.ndarray, rows: int) -> np.ndarray:
    """Return a picture (rows, cols, 3) at the given height in its own proportions; a smaller one is enlarged."""
    aspect = min(max(picture.shape[1] / picture.shape[0], 1 / _MOST_ASPECT), _MOST_ASPECT)
    size = (max(1, round(rows * aspect)), rows)
    smaller = rows < picture.shape[0]
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)


def as_jpeg(picture: np.ndarray, *, quality: int = 72) -> bytes:
    """Return a picture (rows, cols, 3) RGB as the bytes of a JPEG file."""
    encoded, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not encoded:
        raise RuntimeError("OpenCV could not encode a JPEG")
    return data.tobytes()
