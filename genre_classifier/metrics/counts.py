"""Precision, recall and F1 from counts, with one rule for what is not defined.

Every figure of an evaluation that rests on true positives, false positives and false negatives (of frames, of grid
segments, of events) comes through here. A value that is not defined is NaN in arrays and `null` or "not defined" in
files; it never enters a mean.

All functions take arrays of any shape and work element by element, so that a thousand bootstrap draws are one call.
"""

from __future__ import annotations

import warnings

import numpy as np


def ratio(numerator: np.ndarray | float, denominator: np.ndarray | float) -> np.ndarray:
    """Divide element by element; NaN (not defined) where the denominator is 0.

    Returns
    -------
    ndarray of float64
        Of the broadcast shape.
    """
    numerator, denominator = np.broadcast_arrays(
        np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    )
    result = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=result, where=denominator != 0)
    return result


def precision(tp: np.ndarray, fp: np.ndarray) -> np.ndarray:
    """Return TP / (TP + FP), in [0, 1]; not defined where nothing was predicted."""
    return ratio(tp, np.add(tp, fp))


def recall(tp: np.ndarray, fn: np.ndarray) -> np.ndarray:
    """Return TP / (TP + FN), in [0, 1]; not defined where the genre never occurs."""
    return ratio(tp, np.add(tp, fn))


def f1(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
    """Return 2 TP / (2 TP + FP + FN), in [0, 1].

    The harmonic mean of precision and recall where both are defined; 0 where the genre occurs and is never predicted,
    or is predicted and never occurs; not defined where neither happens (scikit-learn's `zero_division=nan`).
    """
    return ratio(2 * np.asarray(tp), 2 * np.asarray(tp) + fp + fn)


def mean_of_defined(values: np.ndarray, *, axis: int = -1) -> np.ndarray:
    """Average over the defined values along `axis`; not defined where none is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # "mean of empty slice": NaN is the stated answer
        return np.asarray(np.nanmean(np.asarray(values, dtype=np.float64), axis=axis))


def weighted_mean_of_defined(values: np.ndarray, weights: np.ndarray, *, axis: int = -1) -> np.ndarray:
    """Average over the defined values along `axis`, weighted; not defined where none is, or their weights are all 0."""
    values, weights = np.broadcast_arrays(np.asarray(values, dtype=np.float64), np.asarray(weights, dtype=np.float64))
    defined = ~np.isnan(values)
    total = np.where(defined, values * weights, 0.0).sum(axis=axis)
    return ratio(total, np.where(defined, weights, 0.0).sum(axis=axis))
