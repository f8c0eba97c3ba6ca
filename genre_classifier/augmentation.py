"""Random changes to whole clips: every frame of a clip is changed alike, so that movement stays what it was."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from preprocessing.errors import InputError


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """How far clips are changed at random.

    Attributes
    ----------
    crop_frames : int or None
        Keep this many consecutive frames (counted after `stride`) from a random place; None keeps all.
    flip : bool
        Mirror left and right, half of the time.
    zoom : float
        Cut off up to this share of the rows and of the columns, and enlarge what is left to the full size.
    shift : float
        Move the picture by up to this share of its size each way; the border is repeated.
    brightness : float
        Add up to this share of the grey range, or take it away.
    contrast : float
        Stretch the distance to mid-grey by up to this share, or shrink it.
    stride : int
        Keep every n-th frame, n drawn from 1 to this.
    """

    crop_frames: int | None = None
    flip: bool = False
    zoom: float = 0.0
    shift: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    stride: int = 1

    def __post_init__(self) -> None:
        for name in ("zoom", "shift", "brightness", "contrast"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 0 and below 1, got {getattr(self, name)}")
        for name in ("crop_frames", "stride"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} must be at least 1, got {value}")

    def lengths(self, frames: int) -> set[int]:
        """Return how many frames a clip of `frames` may have left, at each stride."""
        lengths = set()
        for stride in range(1, self.stride + 1):
            for start in range(min(stride, frames)):
                lengths.add(min(self.crop_frames or frames, len(range(start, frames, stride))))
        return lengths


def augment(
    clip: np.ndarray, targets: np.ndarray, augmentation: Augmentation, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Change one clip.

    Parameters
    ----------
    clip : ndarray of uint8, shape (frames, 3, rows, cols)
        May be a memory map; it is not written to.
    targets : ndarray, shape (frames, genres)
    augmentation : Augmentation
    rng : Generator

    Returns
    -------
    clip : ndarray of uint8, shape (kept frames, 3, rows, cols)
    targets : ndarray, shape (kept frames, genres)
    """
    stride = int(rng.integers(1, augmentation.stride + 1))
    start = int(rng.integers(0, min(stride, len(clip))))
    changed, targets = clip[start::stride], targets[start::stride]
    if augmentation.crop_frames is not None:
        first = int(rng.integers(0, max(len(changed) - augmentation.crop_frames, 0) + 1))
        kept = slice(first, first + augmentation.crop_frames)
        changed, targets = changed[kept], targets[kept]
    changed = np.asarray(changed)
    if augmentation.flip and rng.random() < 0.5:
        changed = changed[..., ::-1]
    if augmentation.zoom:
        changed = _zoom(changed, rng.uniform(0, augmentation.zoom, size=2), rng.random(2))
    if augmentation.shift:
        changed = _shift(changed, rng.uniform(-augmentation.shift, augmentation.shift, size=2))
    if augmentation.brightness or augmentation.contrast:
        gain = 1 + rng.uniform(-augmentation.contrast, augmentation.contrast)
        offset = 255 * rng.uniform(-augmentation.brightness, augmentation.brightness)
        table = np.clip((np.arange(256) - 127.5) * gain + 127.5 + offset, 0, 255).astype(np.uint8)
        changed = table[changed]
    return np.ascontiguousarray(changed), targets


def _zoom(clip: np.ndarray, cut: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Cut shares of rows and columns off, split between both sides by `place` in [0, 1); enlarge the rest."""
    rows, cols = clip.shape[2:]
    kept_rows, kept_cols = (max(1, round((1 - share) * size)) for share, size in zip(cut, (rows, cols), strict=True))
    top, left = int(place[0] * (rows - kept_rows + 1)), int(place[1] * (cols - kept_cols + 1))
    changed = np.empty(clip.shape, np.uint8)
    for index in np.ndindex(clip.shape[:2]):
        plane = np.ascontiguousarray(clip[index][top : top + kept_rows, left : left + kept_cols])
        changed[index] = cv2.resize(plane, (cols, rows), interpolation=cv2.INTER_LINEAR)
    return changed


def _shift(clip: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Move the picture; what comes into view repeats the border."""
    rows, cols = clip.shape[2:]
    down, right = (round(float(share) * size) for share, size in zip(shares, (rows, cols), strict=True))
    from_rows = np.clip(np.arange(rows) - down, 0, rows - 1)
    from_cols = np.clip(np.arange(cols) - right, 0, cols - 1)
    return clip[:, :, from_rows[:, None], from_cols]
