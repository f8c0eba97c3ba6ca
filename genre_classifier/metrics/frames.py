"""Frame-level metrics: how well the score of each frame ranks and decides, one genre at a time.

Goal: say, without choosing a threshold, how well scores put frames of a genre before the others (average precision,
ROC-AUC), and with the stored thresholds how often they are right (precision, recall, F1).

Conventions: `y_true` is bool `(frames,)`, `y_score` is a probability `(frames,)` in [0, 1]; a frame is predicted where
`y_score >= threshold`, or where genres exclude each other, by the genre with the highest score. Every
value is in [0, 1]. NaN means not defined, and each function says when.

Source: scikit-learn's definitions. The trapezoidal area is reported beside average precision only because part of
the trailer literature prints it; it interpolates linearly between operating points and is too optimistic (Davis and
Goadrich, "The relationship between precision-recall and ROC curves", ICML 2006).
"""

from __future__ import annotations

import numpy as np

from genre_classifier.metrics import counts

# scikit-learn is imported where it computes: `tag` reads a run by this module's constants, and a start of it is a
# second shorter without.

# Steps of float32 between two scores that a threshold may part: the same network on another machine, or a calibration
# in float64, moves scores by one or two.
ROUNDINGS = 8


def validate(y_true: np.ndarray, y_score: np.ndarray) -> None:
    """Check the arrays of one genre or of all.

    Raises
    ------
    ValueError
        If the shapes differ, `y_true` is not of bools, or a score is not finite or lies outside [0, 1].
    """
    if y_true.shape != y_score.shape:
        raise ValueError(f"expected y_true and y_score of one shape, got {y_true.shape} and {y_score.shape}")
    if y_true.dtype != bool:
        raise ValueError(f"expected y_true of bools, got {y_true.dtype}")
    if y_score.size and not ((y_score >= 0) & (y_score <= 1)).all():
        raise ValueError(f"expected scores in [0, 1], got {np.min(y_score)} to {np.max(y_score)}")


def best_only(scores: np.ndarray) -> np.ndarray:
    """Return which of genres that exclude each other has the highest score, or is the first of equal ones.

    Shape (n, genres) as `scores`, with one True in each row.
    """
    return np.asarray(np.arange(scores.shape[1]) == scores.argmax(axis=1)[:, None])


def average_precision(y_true: np.ndarray, y_score: np.ndarray) -> float:
    """Sum of precision times the step in recall, over descending scores; not defined without a positive frame.

    A random scorer gets about the prevalence.
    """
    validate(y_true, y_score)
    # scikit-learn's average_precision_score to rounding, without its checks, which for thousands of short trailers
    # take a hundred times longer than the arithmetic.
    order = np.argsort(-y_score, kind="stable")
    falling = y_score[order]
    last_of_ties = np.append(np.flatnonzero(np.diff(falling)), falling.size - 1) if falling.size else np.zeros(0, int)
    found = np.cumsum(y_true[order])[last_of_ties].astype(np.float64)
    if not found.size or not found[-1]:
        return float("nan")
    return float((np.diff(found, prepend=0) * found / (last_of_ties + 1)).sum() / found[-1])


def trapezoidal_area(y_true: np.ndarray, y_score: np.ndarray) -> float:
    """Area under the precision-recall curve by the trapezoidal rule; not defined without a positive frame."""
    validate(y_true, y_score)
    if not y_true.any():
        return float("nan")
    from sklearn.metrics import auc, precision_recall_curve

    precisions, recalls, _ = precision_recall_curve(y_true, y_score)
    return float(auc(recalls, precisions))


def roc_auc(y_true: np.ndarray, y_score: np.ndarray) -> float:
    """Chance that a frame of the genre scores above one that is not (ties count half).

    Not defined unless there is a positive and a negative frame. 0.5 is chance.
    """
    validate(y_true, y_score)
    if y_true.all() or not y_true.any():
        return float("nan")
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(y_true, y_score))


def best_f1(y_true: np.ndarray, y_score: np.ndarray) -> tuple[float, float]:
    """Return the highest F1 that any threshold reaches, and that threshold.

    The threshold lies halfway between the lowest score that it admits and the next one below (0 when it admits
    everything), so that a small change of scores does not move a frame across. Scores that differ by no more than
    rounding to float32 are never parted. Chosen on the data that it is measured on, the F1 is an upper bound, not a
    forecast. Both are not defined without a positive frame.
    """
    validate(y_true, y_score)
    if not y_true.any():
        return float("nan"), float("nan")
    from sklearn.metrics import precision_recall_curve

    precisions, recalls, thresholds = precision_recall_curve(
        y_true, y_score.astype(np.float64), drop_intermediate=False
    )
    values = np.nan_to_num(counts.ratio(2 * precisions * recalls, precisions + recalls))[:-1]
    below = np.concatenate([[0.0], thresholds[:-1]])
    apart = thresholds - below > ROUNDINGS * np.spacing(thresholds.astype(np.float32))
    apart[0] = True
    best = int(np.argmax(np.where(apart, values, -1)))
    return float(values[best]), float((thresholds[best] + below[best]) / 2)
