"""Small pictures of a video, in its own proportions."""

from __future__ import annotations

import cv2
import numpy as np

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
