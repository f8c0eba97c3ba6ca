"""Small pictures of a video, evenly spread: what the timeline and the pages show of it."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np


class Thumbnail(NamedTuple):
    """One small picture: its time in seconds, and uint8 RGB of shape (rows, cols, 3)."""

    time: float
    picture: np.ndarray


def as_jpeg(picture: np.ndarray, *, quality: int = 72) -> bytes:
    """Return a picture (rows, cols, 3) RGB as the bytes of a JPEG file."""
    encoded, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not encoded:
        raise RuntimeError("OpenCV could not encode a JPEG")
    return data.tobytes()
