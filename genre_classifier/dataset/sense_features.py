"""What the senses say of the frames of a trailer, in numbers, and the means of these over frames.

Features are arrays `(frames, numbers)`, or read as they are sliced, whose last numbers say whether what stands before
them is known: one for each kind of features, as `genre_classifier.network.senses.SensePath` takes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from genre_classifier.dataset.frame_features import colour_histograms
from genre_classifier.dataset.heard import open_heard
from genre_classifier.dataset.looks import HeldLooks, open_looks
from genre_classifier.dataset.trailers import Trailer
from genre_classifier.network import movement
from genre_classifier.network.senses import MOVEMENT, PICTURES, SOUND
from preprocessing.clips import load_clip, open_array
from preprocessing.processes.machine import release_pages

COLOURS = "colours"  # no sense of a network: what single frames give away
CHUNK = 256  # frames whose features are in memory at once


class ReadRows:
    """Rows that are made as they are sliced.

    Parameters
    ----------
    shape : tuple of int
        Of all.
    read : callable
        From a slice of rows to these.
    """

    def __init__(self, shape: tuple[int, ...], read: Callable[[slice], np.ndarray]) -> None:
        self.shape, self._read = shape, read

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        return self._read(slice(*rows.indices(len(self))))


Features = np.ndarray | HeldLooks | ReadRows


def kinds_of(sense: str) -> int:
    """Return how many kinds of features a sense has: an encoder's are values, and their change."""
    return 1 if sense in (MOVEMENT, COLOURS) else 2


def senses_of(trailer: Trailer) -> list[str]:
    """Return the names of the senses that there is something of."""
    seen = trailer.looks is not None or trailer.encoded is not None
    return [MOVEMENT, *[PICTURES] * seen, *[SOUND] * (trailer.heard is not None)]


def sense_features(sense: str, trailer: Trailer, *, grey_channels: int = 0) -> Features:
    """Return a sense's features of every frame of a trailer.

    Parameters
    ----------
    sense : str
        One of `senses_of`, or `COLOURS`.
    trailer : Trailer
    grey_channels : int
        How many of the last channels of its encoded clip are pixels of its grey picture, and not the encoder's work.
    """
    if sense == MOVEMENT:
        return movement_features(load_clip(trailer.clip))
    if sense == COLOURS:
        return colour_features(load_clip(trailer.clip))
    if sense == SOUND:
        assert trailer.heard is not None
        return open_heard(trailer.heard, trailer.times)
    if trailer.looks is not None:
        return open_looks(trailer.looks, trailer.times)
    assert trailer.encoded is not None
    return map_features(open_array(trailer.encoded, "an encoded clip (.npy)"), trailer.times, grey_channels)


def movement_features(clip: np.ndarray) -> np.ndarray:
    """Return `genre_classifier.network.movement.movement_features` of a whole clip, float32."""
    state, parts = movement.initial_state(1), []
    for start in range(0, len(clip), CHUNK):
        pixels = keras.ops.convert_to_tensor(np.asarray(clip[start : start + CHUNK])[None])
        features, state = movement.movement_features(pixels, state)
        parts.append(np.asarray(features[0]))
        release_pages(clip)
    return np.concatenate(parts)


def colour_features(clip: np.ndarray) -> ReadRows:
    """Return the colour histograms of the frames of a clip, always known."""

    def read(rows: slice) -> np.ndarray:
        found = colour_histograms(clip, np.arange(rows.start, rows.stop))
        return np.hstack([found, np.ones((len(found), 1), found.dtype)])

    width = colour_histograms(clip, np.arange(1)).shape[1]
    return ReadRows((len(clip), width + 1), read)


def map_features(maps: np.ndarray, times: np.ndarray, grey_channels: int = 0) -> HeldLooks:
    """Return the means of an encoder's maps of every frame, `(frames, channels, rows, cols)`, as looks at it."""
    channels = maps.shape[1] - grey_channels

    def read(rows: slice) -> np.ndarray:
        return np.asarray(maps[rows, :channels], np.float32).mean(axis=(2, 3))

    return HeldLooks(ReadRows((len(maps), channels), read), times, times)


def set_means(features: Features, sets: Sequence[np.ndarray], *, kinds: int = 1) -> np.ndarray:
    """Return the mean features of some sets of frames, where they are known: float64 (sets, features).

    Parameters
    ----------
    features : array
        See the module.
    sets : sequence of ndarray of bool, each (frames,)
    kinds : int
        Of features, side by side and of equal number; as many numbers at the end say which of them are known.

    Returns
    -------
    ndarray
        A kind that no frame of a set has is 0 throughout, and so is its last number; elsewhere that is 1.
    """
    width = (features.shape[1] - kinds) // kinds
    kind_of = np.concatenate([np.repeat(np.arange(kinds), width), np.arange(kinds)])  # of each feature
    sums, counts = np.zeros((len(sets), len(kind_of))), np.zeros((len(sets), kinds))
    for start in range(0, len(features), CHUNK):
        part = np.asarray(features[start : start + CHUNK], np.float64)
        known = part[:, -kinds:] > 0
        part = part * known[:, kind_of]
        for number, frames in enumerate(sets):
            chosen = frames[start : start + CHUNK]
            sums[number] += part[chosen].sum(axis=0)
            counts[number] += known[chosen].sum(axis=0)
    return sums / np.maximum(counts, 1)[:, kind_of]


def window_means(features: Features, times: np.ndarray, seconds: float) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the mean features of the frames less than half the seconds away from each frame, a chunk at a time.

    Parameters
    ----------
    features : array
        See the module.
    times : ndarray of float64, shape (frames,)
        Seconds.
    seconds : float
        0 for the frame alone.

    Yields
    ------
    int
        The first frame of the chunk.
    ndarray of float64, shape (frames, features)
        As of `set_means`.
    """
    first = np.searchsorted(times, times - seconds / 2, side="left")
    stop = np.searchsorted(times, times + seconds / 2, side="right")
    for start in range(0, len(times), CHUNK):
        low, high = first[start : start + CHUNK], stop[start : start + CHUNK]
        part = _known(features[int(low[0]) : int(high[-1])])
        sums = np.concatenate([np.zeros((1, part.shape[1])), np.cumsum(part, axis=0)])
        sums = sums[high - low[0]] - sums[low - low[0]]
        yield start, sums / np.maximum(sums[:, -1:], 1)


def _known(part: Any) -> np.ndarray:
    """Return rows as float64; those of which a kind is not known, which come first and are few, as zeros."""
    part = np.asarray(part, np.float64)
    return part * (part[:, -1:] > 0)
