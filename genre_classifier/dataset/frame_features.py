"""What a frame looks like and how it differs from the one before, as a few numbers: the input of the baselines.

Pure NumPy over clips `(frames, 3, rows, cols)` of uint8, read a few frames at a time from the memory-mapped file.
Frames larger than `PIXELS` a side are thinned to every n-th pixel, which leaves histograms and means all but unchanged.
"""

from __future__ import annotations

import numpy as np

PIXELS = 64
CHANNEL_BINS = 16
JOINT_BINS = 4  # per channel: 4 x 4 x 4 colours
CHANGED_LEVELS = 16  # a pixel has changed when a channel moves by more than this, of 255
MOVEMENT_SECONDS = 1.0  # of the window around a frame
_BATCH_FRAMES = 256


def _thinned(clip: np.ndarray, frames: np.ndarray) -> np.ndarray:
    step = max(1, -(-min(clip.shape[2:]) // PIXELS))
    return np.asarray(clip[frames][:, :, ::step, ::step])


def _share_per_bin(bins: np.ndarray, count: int) -> np.ndarray:
    """Histogram of each row of `bins`, as shares that sum to 1."""
    rows = len(bins)
    offsets = np.arange(rows, dtype=np.int64)[:, None] * count
    return np.bincount((bins + offsets).ravel(), minlength=rows * count).reshape(rows, count) / bins.shape[1]


def colour_histograms(clip: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Describe single frames by their colours alone: no shape, no place, no time.

    Parameters
    ----------
    clip : ndarray of uint8, shape (all frames, 3, rows, cols)
    frames : ndarray of int, shape (frames,)
        Which frames, in increasing order.

    Returns
    -------
    ndarray of float32, shape (frames, 112)
        Square roots (Hellinger's scale, which keeps small shares visible) of the shares of pixels in 16 levels of
        each channel and in 64 joint colours.
    """
    parts = []
    for start in range(0, len(frames), _BATCH_FRAMES):
        pixels = _thinned(clip, frames[start : start + _BATCH_FRAMES])
        flat = pixels.reshape(len(pixels), 3, -1)
        channels = [_share_per_bin(flat[:, channel] // (256 // CHANNEL_BINS), CHANNEL_BINS) for channel in range(3)]
        coarse = (flat // (256 // JOINT_BINS)).astype(np.int64)
        joint = (coarse[:, 0] * JOINT_BINS + coarse[:, 1]) * JOINT_BINS + coarse[:, 2]
        parts.append(np.sqrt(np.hstack([*channels, _share_per_bin(joint, JOINT_BINS**3)])))
    return np.concatenate(parts).astype(np.float32)


def frame_differences(clip: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Describe how each frame differs from the one before it; the first frame differs by nothing.

    Returns
    -------
    ndarray of float32, shape (frames, 4)
        Mean, standard deviation and 95th percentile of the absolute difference (shares of 255), and the share of
        values that changed by more than `CHANGED_LEVELS`.
    """
    parts = []
    for start in range(0, len(frames), _BATCH_FRAMES):
        now = frames[start : start + _BATCH_FRAMES]
        current, before = _thinned(clip, now), _thinned(clip, np.maximum(now - 1, 0))
        change = np.abs(current.astype(np.int16) - before).reshape(len(now), -1)
        shares = change / np.float32(255)
        changed = (change > CHANGED_LEVELS).mean(axis=1)
        parts.append(
            np.column_stack([shares.mean(axis=1), shares.std(axis=1), np.percentile(shares, 95, axis=1), changed])
        )
    return np.concatenate(parts).astype(np.float32)


def movement(clip: np.ndarray, times: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Describe how much moves around frames, independent of colours: `frame_differences` over `MOVEMENT_SECONDS`.

    Parameters
    ----------
    clip : ndarray of uint8, shape (all frames, 3, rows, cols)
    times : ndarray of float64, shape (all frames,)
        Seconds.
    frames : ndarray of int, shape (frames,)
        Which frames, in increasing order.

    Returns
    -------
    ndarray of float32, shape (frames, 12)
        Mean, standard deviation and maximum of each of the four differences over the frames less than half the window
        away. The first frame of the clip, which has none before it, is left out where there is another.
    """
    windows, needed = _windows(times, frames)
    changes = np.zeros((len(clip) + 1, 4), dtype=np.float32)  # one more: a clip of one frame changes by nothing
    if len(needed):
        changes[needed] = frame_differences(clip, needed)
    around = [changes[window] for window in windows]
    return np.stack([np.concatenate([one.mean(axis=0), one.std(axis=0), one.max(axis=0)]) for one in around])


def _windows(times: np.ndarray, frames: np.ndarray) -> tuple[list[slice], np.ndarray]:
    """Return for each of `frames` those around it, and which frames are in any of these windows.

    The first frame of the clip, which has none before it, is left out where there is another.
    """
    length = len(times)
    first = np.searchsorted(times, times[frames] - MOVEMENT_SECONDS / 2, side="left")
    stop = np.searchsorted(times, times[frames] + MOVEMENT_SECONDS / 2, side="right")
    first = np.clip(first, 1, max(1, length - 1))
    stop = np.maximum(stop, first + 1)
    inside = np.zeros(length + 2, dtype=np.int64)
    np.add.at(inside, first, 1)
    np.add.at(inside, stop, -1)
    return [slice(*pair) for pair in zip(first, stop, strict=True)], np.flatnonzero(np.cumsum(inside)[:length])
