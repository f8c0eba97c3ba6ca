"""Trailer-level metrics: which genres a trailer has at all, from its frames' scores.

Goal: compare with work that tags whole trailers, and with weak labels.

Conventions: a genre is true for a trailer when it is true for a frame of it. Frames' scores are pooled in three ways:
their mean, the maximum (one strong moment is enough) and linear softmax, sum(s^2) / sum(s), the mean weighted by the
scores themselves (Wang, Li and Metze, "A comparison of five multiple instance learning pooling functions for sound
event detection with weak labeling", ICASSP 2019). `y_true` is bool and `y_score` in [0, 1], both of
shape (trailers, genres).

Source: the definitions of scikit-learn's multi-label metrics.
"""

from __future__ import annotations

import numpy as np

from genre_classifier.metrics import counts
from genre_classifier.metrics import frames as frame_metrics


def pool_mean(scores: np.ndarray, trailer_of_frame: np.ndarray) -> np.ndarray:
    """Return each trailer's mean score: float64, shape (trailers, genres)."""
    sums = np.add.reduceat(scores.astype(np.float64), _first_frames(trailer_of_frame), axis=0)
    return np.asarray(sums / np.bincount(trailer_of_frame)[:, None])


def pool_maximum(scores: np.ndarray, trailer_of_frame: np.ndarray) -> np.ndarray:
    """Return each trailer's highest score: shape (trailers, genres)."""
    return np.asarray(np.maximum.reduceat(scores, _first_frames(trailer_of_frame), axis=0))


def pool_linear_softmax(scores: np.ndarray, trailer_of_frame: np.ndarray) -> np.ndarray:
    """Return each trailer's sum(s^2) / sum(s), 0 where all scores are 0: shape (trailers, genres)."""
    first = _first_frames(trailer_of_frame)
    scores = scores.astype(np.float64)
    squares = np.add.reduceat(scores**2, first, axis=0)
    return np.nan_to_num(counts.ratio(squares, np.add.reduceat(scores, first, axis=0)))


def true_genres(y_true: np.ndarray, trailer_of_frame: np.ndarray) -> np.ndarray:
    """Return which genres a trailer's frames show: bool, shape (trailers, genres)."""
    return np.asarray(np.logical_or.reduceat(y_true, _first_frames(trailer_of_frame), axis=0))


def _first_frames(trailer_of_frame: np.ndarray) -> np.ndarray:
    return np.flatnonzero(np.diff(trailer_of_frame, prepend=-1))


def sample_average_precisions(y_true: np.ndarray, y_score: np.ndarray) -> np.ndarray:
    """Return per trailer the average precision of its ranking of genres: shape (trailers,).

    Not defined for a trailer without a genre.
    """
    return np.array(
        [frame_metrics.average_precision(truth, score) for truth, score in zip(y_true, y_score, strict=True)]
    )


def label_ranking_average_precisions(y_true: np.ndarray, y_score: np.ndarray) -> np.ndarray:
    """Return per trailer, averaged over its genres, the share of genres ranked at or above it that are true.

    Shape (trailers,); 1 for a trailer with all genres or none, as in scikit-learn.
    """
    at_or_above = y_score[:, None, :] >= y_score[:, :, None]  # (trailers, genre, genres ranked at or above it)
    right = (at_or_above & y_true[:, None, :]).sum(axis=2) / at_or_above.sum(axis=2)
    number = y_true.sum(axis=1)
    return np.where(number > 0, (right * y_true).sum(axis=1) / np.maximum(number, 1), 1.0)


def right_first_genres(y_true: np.ndarray, y_score: np.ndarray) -> np.ndarray:
    """Return per trailer whether the genre with the highest score is true, or the first of equal ones: (trailers,)."""
    return np.asarray(np.take_along_axis(y_true, y_score.argmax(axis=1)[:, None], axis=1)[:, 0] > 0)


def hamming_losses(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """Return per trailer the share of genres decided wrongly, in [0, 1]: shape (trailers,)."""
    return counts.ratio((y_true != y_pred).sum(axis=1), y_true.shape[1])
