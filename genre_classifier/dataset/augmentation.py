"""Random changes to whole clips: every frame of a clip is changed alike, so that movement stays what it was."""

from __future__ import annotations

import dataclasses
import math

import cv2
import numpy as np

from genre_classifier.config import Augmentation


def possible_lengths(frames: int, augmentation: Augmentation) -> set[int]:
    """Return how many frames a clip of `frames` may have left, at each stride."""
    lengths = set()
    for stride in range(1, augmentation.stride + 1):
        for start in range(min(stride, frames)):
            lengths.add(min(augmentation.crop_frames or frames, len(range(start, frames, stride))))
    return lengths


@dataclasses.dataclass(frozen=True)
class Change:
    """What happens to one clip: which frames are kept, and what every one of them goes through.

    Attributes
    ----------
    kept : range
        Numbers of the clip's frames.
    flip : bool
    cut, place : ndarray of float, shape (2,), or None
        Of rows and columns: the share that is cut off, and where, from 0 to 1.
    shares : ndarray of float, shape (2,), or None
        How far the picture moves down and right, as shares of its size.
    greys : ndarray of uint8, shape (256,), or None
        New value of each grey value.
    grey_channels : int
        Of encoded frames: so many last channels are the pixels of a small grey picture, cell by cell.
    """

    kept: range
    flip: bool = False
    cut: np.ndarray | None = None
    place: np.ndarray | None = None
    shares: np.ndarray | None = None
    greys: np.ndarray | None = None
    grey_channels: int = 0

    def apply(self, frames: np.ndarray) -> np.ndarray:
        """Change some of the kept frames, uint8 (frames, 3, rows, cols); the result is another such array.

        Encoded frames, float16 (frames, channels, rows, cols), can be mirrored.
        """
        if self.flip:
            frames = _mirror(frames, self.grey_channels)
        if self.cut is not None and self.place is not None:
            frames = _zoom(frames, self.cut, self.place)
        if self.shares is not None:
            frames = _shift(frames, self.shares)
        return frames if self.greys is None else self.greys[frames]


def draw_change(frames: int, augmentation: Augmentation, rng: np.random.Generator) -> Change:
    """Draw what happens to a clip of so many frames."""
    stride = int(rng.integers(1, augmentation.stride + 1))
    kept = range(int(rng.integers(0, min(stride, frames))), frames, stride)
    if augmentation.crop_frames is not None:
        first = int(rng.integers(0, max(len(kept) - augmentation.crop_frames, 0) + 1))
        kept = kept[first : first + augmentation.crop_frames]
    flip = bool(augmentation.flip and rng.random() < 0.5)
    cut = place = shares = greys = None
    if augmentation.zoom:
        cut, place = rng.uniform(0, augmentation.zoom, size=2), rng.random(2)
    if augmentation.shift:
        shares = rng.uniform(-augmentation.shift, augmentation.shift, size=2)
    if augmentation.brightness or augmentation.contrast:
        gain = 1 + rng.uniform(-augmentation.contrast, augmentation.contrast)
        offset = 255 * rng.uniform(-augmentation.brightness, augmentation.brightness)
        greys = np.clip((np.arange(256) - 127.5) * gain + 127.5 + offset, 0, 255).astype(np.uint8)
    return Change(kept, flip=flip, cut=cut, place=place, shares=shares, greys=greys)


def _mirror(frames: np.ndarray, grey_channels: int) -> np.ndarray:
    """Mirror left and right. The content of a cell is mirrored too, where its place in the cell is known."""
    mirrored = frames[..., ::-1]
    if not grey_channels:
        return mirrored
    count, channels, rows, cols = frames.shape
    side = math.isqrt(grey_channels)
    mirrored = mirrored.copy()
    inside = mirrored[:, channels - grey_channels :].reshape(count, side, side, rows, cols)
    mirrored[:, channels - grey_channels :] = inside[:, :, ::-1].reshape(count, grey_channels, rows, cols)
    return mirrored


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
