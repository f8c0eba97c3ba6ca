"""Where a clip cuts from one shot to another: jumps in its colours.

A simple detector for clips sampled a few times a second, good enough to ask whether errors gather near cuts. Slow fades
are not found.

Source: the histogram-difference rule of Boreczky and Rowe, "Comparison of video shot boundary detection techniques",
1996, with a threshold relative to the clip's own local change.
"""

from __future__ import annotations

import numpy as np

from genre_classifier.evaluation.frame_features import colour_histograms

# Half the L1 distance between colour distributions, in [0, 1].
LEAST_JUMP = 0.25
TIMES_LOCAL_CHANGE = 3.0
_NEIGHBOURS = 5  # frames on either side


def colour_jumps(clip: np.ndarray) -> np.ndarray:
    """Return half the L1 distance between the colours of each frame and the one before, in [0, 1]; 0 for the first."""
    shares = colour_histograms(clip, np.arange(len(clip))) ** 2
    # Three channel histograms and a joint one, each of sum 1.
    distance = np.abs(np.diff(shares, axis=0)).sum(axis=1) / 8
    return np.concatenate([[0.0], distance])


def find_cuts(clip: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Find hard cuts.

    Parameters
    ----------
    clip : ndarray of uint8, shape (frames, 3, rows, cols)
    times : ndarray of float, shape (frames,)
        Seconds.

    Returns
    -------
    ndarray of float64, shape (cuts,)
        Seconds, halfway between the frames before and after each cut.
    """
    if len(clip) < 2:
        return np.zeros(0)
    jumps = colour_jumps(clip)
    padded = np.pad(jumps, _NEIGHBOURS, mode="reflect" if len(jumps) > _NEIGHBOURS else "edge")
    local = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * _NEIGHBOURS + 1), axis=1)
    at = np.flatnonzero((jumps >= LEAST_JUMP) & (jumps >= TIMES_LOCAL_CHANGE * local))
    return np.asarray((times[at - 1] + times[at]) / 2)
