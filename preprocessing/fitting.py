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

# From this many source pixels on, areas are sampled instead of averaged exactly.
SAMPLED_PIXELS = 640 * 360
# Frames larger than this get few samples per pixel, smaller ones 4 x 4, which cost them as little.
FEW_SAMPLES_SIZE = 256
# Down to about half the size one bilinear sample is the mean of the 2 x 2 pixels that there are.
ONE_SAMPLE_SHRINK = 2.2

# Of a picture for a copy of the video: what the encoders take.
LONGEST_SIDE = 4096


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


def fit_whole(image: np.ndarray, *, pixel_aspect: float, fewest_rows: int, most_rows: int) -> np.ndarray:
    """Make one picture for a copy of the video, in its own proportions.

    Parameters
    ----------
    image : ndarray of uint8, shape (rows, cols, 3)
        BGR, as OpenCV decodes.
    pixel_aspect : float
        Width of a pixel over its height.
    fewest_rows, most_rows : int
        Smaller pictures are enlarged to the one, larger ones reduced to the other; no side gets longer than
        `LONGEST_SIDE`.

    Returns
    -------
    ndarray of uint8, shape (rows, cols, 3)
        RGB, C order; rows and cols are even, as encoders want them.
    """
    rows, cols = image.shape[0], image.shape[1] * pixel_aspect
    scale = max(fewest_rows / rows, min(1.0, most_rows / rows))
    scale = min(scale, LONGEST_SIDE / max(rows, cols))
    size = (max(2, 2 * round(cols * scale / 2)), max(2, 2 * round(rows * scale / 2)))
    if size != image.shape[1::-1]:
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return np.ascontiguousarray(image[:, :, ::-1])


def _resize(image: np.ndarray, cols: int, rows: int) -> np.ndarray:
    """Resize by area averaging along the axes that shrink and linear interpolation along those that grow."""
    if image.shape[1] <= cols and image.shape[0] <= rows:
        return cv2.resize(image, (cols, rows), interpolation=cv2.INTER_LINEAR)
    if image.shape[0] * image.shape[1] >= SAMPLED_PIXELS:
        return _sampled_area(image, cols, rows)
    # OpenCV's INTER_AREA averages only where both axes shrink; else it falls back to two-point interpolation.
    inner = (min(cols, image.shape[1]), min(rows, image.shape[0]))
    image = cv2.resize(image, inner, interpolation=cv2.INTER_AREA)
    return image if inner == (cols, rows) else cv2.resize(image, (cols, rows), interpolation=cv2.INTER_LINEAR)


def _sampled_area(image: np.ndarray, cols: int, rows: int) -> np.ndarray:
    """Average each pixel's area by samples of the bilinear picture.

    OpenCV's exact INTER_AREA is scalar code but for whole factors; of pictures as large as film it takes most of the
    time. Halving (2 x 2 means) and bilinear interpolation run on vectors: a third of the time at 480p, and on film
    within a grey level of the exact average.
    """
    samples = 4  # per axis
    if max(cols, rows) > FEW_SAMPLES_SIZE:
        shrink = max(image.shape[1] / cols, image.shape[0] / rows)
        samples = 1 if shrink <= ONE_SAMPLE_SHRINK else 2
    while (
        samples > 1
        and image.shape[1] >= samples * cols
        and image.shape[0] >= samples * rows
        and not any(n % 2 for n in image.shape[:2])
    ):
        image = _halve(image)
    if max(image.shape[1] / cols, image.shape[0] / rows) > ONE_SAMPLE_SHRINK * samples:  # too far apart
        return cv2.resize(image, (cols, rows), interpolation=cv2.INTER_AREA)
    image = cv2.resize(image, (samples * cols, samples * rows), interpolation=cv2.INTER_LINEAR)
    while image.shape[0] > rows:
        image = _halve(image)
    return image


def _halve(image: np.ndarray) -> np.ndarray:
    return cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2), interpolation=cv2.INTER_AREA)


def picture_box(brightest: np.ndarray) -> Box | None:
    """Find the picture inside constant black bars.

    Parameters
    ----------
    brightest : ndarray of uint8, shape (rows, cols, 3)
        The greatest value that each pixel takes over the video.

    Returns
    -------
    Box or None
        None without bars, or if the rest would be too small to be the picture.
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


# Twice the height at which pages and figures show thumbnails, for dense screens and for print.
THUMBNAIL_ROWS = 144
# The longest side of a thumbnail of an extremely wide or tall video, as a multiple of the other.
MOST_ASPECT = 4.0


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
    cols = round(THUMBNAIL_ROWS * min(max(aspect, 1 / MOST_ASPECT), MOST_ASPECT))
    shrinks = image.shape[0] > THUMBNAIL_ROWS
    small = cv2.resize(image, (cols, THUMBNAIL_ROWS), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return np.ascontiguousarray(small[:, :, ::-1])
