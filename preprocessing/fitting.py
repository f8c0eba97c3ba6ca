"""Pixels: from a decoded picture to a square, planar RGB frame. Pure functions over arrays."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from preprocessing.config import ClipConfig

# Limited-range black decodes to about 16 of 255 where a file says the wrong range; noise of old film adds some.
BLACK_LEVEL = 24
# Bars leave at least this share of the picture's rows and columns, or the picture is simply dark.
SMALLEST_PICTURE = 0.25
# Twice the height at which pages and figures show thumbnails, for dense screens and for print.
THUMBNAIL_ROWS = 144
# The longest side of a thumbnail of an extremely wide or tall video, as a multiple of the other.
THUMBNAIL_ASPECT = 4.0


class Box(NamedTuple):
    """A part of a picture, in pixels; `bottom` and `right` are exclusive."""

    top: int
    bottom: int
    left: int
    right: int


def fit_frame(
    image: np.ndarray, config: ClipConfig, *, pixel_aspect: float = 1.0, box: Box | None = None
) -> np.ndarray:
    """Make one frame of a clip.

    Parameters
    ----------
    image : ndarray of uint8, shape (rows, cols, 3)
        BGR, as OpenCV decodes.
    config : ClipConfig
        Its `size` and `fit`.
    pixel_aspect : float
        Width of a pixel over its height; matters to "letterbox" and "crop", which keep shapes.
    box : Box, optional
        The part of the picture inside its black bars.

    Returns
    -------
    ndarray of uint8, shape (3, size, size)
        RGB, C order.
    """
    if box is not None:
        image = image[box.top : box.bottom, box.left : box.right]
    size = config.size
    rows, cols = image.shape[:2]
    if config.fit == "crop":
        shown = cols * pixel_aspect
        keep_rows = min(rows, max(1, round(shown)))
        keep_cols = min(cols, max(1, round(rows / pixel_aspect)))
        top, left = (rows - keep_rows) // 2, (cols - keep_cols) // 2
        image = image[top : top + keep_rows, left : left + keep_cols]
    if config.fit == "letterbox":
        scale = size / max(cols * pixel_aspect, rows)
        inner_cols = min(size, max(1, round(cols * pixel_aspect * scale)))
        inner_rows = min(size, max(1, round(rows * scale)))
        square = np.zeros((size, size, 3), np.uint8)
        top, left = (size - inner_rows) // 2, (size - inner_cols) // 2
        square[top : top + inner_rows, left : left + inner_cols] = _resize(image, inner_cols, inner_rows)
    else:
        square = _resize(image, size, size)
    frame = np.empty((3, size, size), np.uint8)
    cv2.split(square, [frame[2], frame[1], frame[0]])
    return frame


def _resize(image: np.ndarray, cols: int, rows: int) -> np.ndarray:
    """Resize by area averaging along the axes that shrink and linear interpolation along those that grow.

    OpenCV's INTER_AREA does so only where both axes shrink; else it falls back to two-point interpolation.
    """
    inner = (min(cols, image.shape[1]), min(rows, image.shape[0]))
    if inner != image.shape[1::-1]:
        image = cv2.resize(image, inner, interpolation=cv2.INTER_AREA)
    if inner != (cols, rows):
        image = cv2.resize(image, (cols, rows), interpolation=cv2.INTER_LINEAR)
    return image


def thumbnail(image: np.ndarray, *, pixel_aspect: float = 1.0) -> np.ndarray:
    """Make a small picture in the video's own proportions.

    Parameters
    ----------
    image : ndarray of uint8, shape (rows, cols, 3)
        BGR, as OpenCV decodes.
    pixel_aspect : float
        Width of a pixel over its height.

    Returns
    -------
    ndarray of uint8, shape (THUMBNAIL_ROWS, cols, 3)
        RGB, C order.
    """
    aspect = image.shape[1] * pixel_aspect / image.shape[0]
    aspect = min(max(aspect, 1 / THUMBNAIL_ASPECT), THUMBNAIL_ASPECT)
    small = _resize(image, max(1, round(THUMBNAIL_ROWS * aspect)), THUMBNAIL_ROWS)
    return np.ascontiguousarray(small[:, :, ::-1])


def picture_box(brightest: np.ndarray) -> Box | None:
    """Find the picture inside constant black bars.

    Parameters
    ----------
    brightest : ndarray of uint8, shape (rows, cols, 3)
        The greatest value that each pixel takes over the video.

    Returns
    -------
    Box or None
        None where there are no bars, or where what is left would be too small to be the picture.
    """
    light = brightest.max(axis=2)
    # A row of a bar may hold a few stray pixels (a channel's logo, film dust): judge it by all but its brightest 2 %.
    rows = np.flatnonzero(np.percentile(light, 98, axis=1) > BLACK_LEVEL)
    cols = np.flatnonzero(np.percentile(light, 98, axis=0) > BLACK_LEVEL)
    if not len(rows) or not len(cols):
        return None
    box = Box(int(rows[0]), int(rows[-1]) + 1, int(cols[0]), int(cols[-1]) + 1)
    whole = Box(0, light.shape[0], 0, light.shape[1])
    too_small = (box.bottom - box.top) < SMALLEST_PICTURE * whole.bottom or (box.right - box.left) < (
        SMALLEST_PICTURE * whole.right
    )
    return None if box == whole or too_small else box
