"""Hard cuts: frames whose colours differ from those before far more than their neighbours' do."""

from __future__ import annotations

import numpy as np

from genre_classifier.dataset.frame_features import colour_histograms
from preprocessing.processes.machine import release_pages

# Half the L1 distance between colour distributions, in [0, 1].
LEAST_JUMP = 0.25
TIMES_LOCAL_CHANGE = 3.0
_NEIGHBOURS = 5  # frames on either side
_BATCH_FRAMES = 256


class CutFinder:
    """Find the cuts of a video whose frames come a few at a time."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin again, with the first frame."""
        self._last: np.ndarray | None = None
        self._jumps: list[np.ndarray] = []

    def feed(self, frames: np.ndarray) -> None:
        """Take the next frames, uint8 (frames, 3, rows, cols)."""
        shares = colour_histograms(frames, np.arange(len(frames))) ** 2
        before = shares[:1] if self._last is None else self._last
        # Three channel histograms and a joint one, each of sum 1.
        self._jumps.append(np.abs(np.diff(shares, axis=0, prepend=before)).sum(axis=1) / 8)
        self._last = shares[-1:]

    def cuts(self, times: np.ndarray) -> np.ndarray:
        """Return the cuts so far.

        Parameters
        ----------
        times : ndarray of float, shape (frames,)
            Seconds of the frames.

        Returns
        -------
        ndarray of float64, shape (cuts,)
            Seconds, halfway between the frames before and after each cut.
        """
        if len(times) < 2:
            return np.zeros(0)
        jumps = np.concatenate(self._jumps)
        padded = np.pad(jumps, _NEIGHBOURS, mode="reflect" if len(jumps) > _NEIGHBOURS else "edge")
        local = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * _NEIGHBOURS + 1), axis=1)
        at = np.flatnonzero((jumps >= LEAST_JUMP) & (jumps >= TIMES_LOCAL_CHANGE * local))
        return np.asarray((times[at - 1] + times[at]) / 2)


def find_cuts(clip: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return the cuts of a clip, uint8 (frames, 3, rows, cols): see `CutFinder.cuts`."""
    finder = CutFinder()
    for start in range(0, len(clip), _BATCH_FRAMES):
        finder.feed(clip[start : start + _BATCH_FRAMES])
        release_pages(clip)
    return finder.cuts(times)
