"""Probabilities: how far a score of 0.7 means seven times out of ten, and one temperature per genre to correct it.

Conventions: `y_true` is bool `(frames,)` or `(frames, genres)`, scores are probabilities in [0, 1].
A raw score is what the network gives; a calibrated one is `sigmoid(logit(raw) / temperature)`. Of genres that exclude
each other it is `softmax(log(raw) / temperature)`, with one temperature for all, so that scores go on summing to 1.

Sources: Guo et al., "On calibration of modern neural networks", ICML 2017 (temperature scaling, expected calibration
error); Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78, 1950.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy

from genre_classifier.metrics import counts
from genre_classifier.metrics import frames as frame_metrics

ECE_BINS = 15
DEFAULT_THRESHOLD = 0.5
# Beyond these a fit on few frames has run away: the score says nothing, or is already a yes or a no.
TEMPERATURE_RANGE = (0.2, 5.0)
_EPSILON = 1e-7  # logits of exact 0 and 1 stay finite


class Calibration(NamedTuple):
    """What turns raw scores into decisions, per genre."""

    thresholds: dict[str, float]  # on calibrated scores, in [0, 1]
    temperatures: dict[str, float]  # positive


@dataclasses.dataclass(frozen=True)
class Reliability:
    """Counts per bin of score, for a reliability diagram and the expected calibration error.

    Attributes
    ----------
    edges : ndarray of float, shape (bins + 1,)
        Equal widths over [0, 1]; a score on an edge falls into the bin above, 1 into the last.
    frames, positives : ndarray of int, shape (bins,)
    score_sum : ndarray of float, shape (bins,)
        Sum of the scores of the bin's frames.
    """

    edges: np.ndarray
    frames: np.ndarray
    positives: np.ndarray
    score_sum: np.ndarray

    @property
    def mean_score(self) -> np.ndarray:
        """Mean score per bin; NaN for an empty bin."""
        return counts.ratio(self.score_sum, self.frames)

    @property
    def frequency(self) -> np.ndarray:
        """Share of positive frames per bin; NaN for an empty bin."""
        return counts.ratio(self.positives, self.frames)


def apply_temperature(scores: np.ndarray, temperatures: np.ndarray, *, exclusive: bool = False) -> np.ndarray:
    """Return calibrated scores, float32, same shape; temperature 1 changes nothing.

    Parameters
    ----------
    scores : ndarray, shape (..., genres)
        Raw scores in [0, 1].
    temperatures : ndarray, shape (genres,)
        Above 1 softens towards 0.5, below 1 sharpens.
    exclusive : bool
        Whether the genres exclude each other: the scores of a frame sum to 1.
    """
    scores = np.asarray(scores)
    temperatures = np.asarray(temperatures, dtype=np.float64)
    if (temperatures == 1).all():
        return scores.astype(np.float32)
    if exclusive:
        return scipy.special.softmax(_logs(scores) / temperatures, axis=-1).astype(np.float32)
    logits = scipy.special.logit(np.clip(scores.astype(np.float64), _EPSILON, 1 - _EPSILON))
    return scipy.special.expit(logits / temperatures).astype(np.float32)


def _logs(scores: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(np.maximum(np.asarray(scores, dtype=np.float64), _EPSILON)))


def fit_temperatures(y_true: np.ndarray, raw_scores: np.ndarray, *, exclusive: bool = False) -> np.ndarray:
    """Find per genre the temperature with the smallest log loss, within `TEMPERATURE_RANGE`.

    Parameters
    ----------
    y_true : ndarray, shape (frames, genres)
        Bools, or 0 and 1.
    raw_scores : ndarray, shape (frames, genres)
    exclusive : bool
        Whether the genres exclude each other: all get the same temperature.

    Returns
    -------
    ndarray of float64, shape (genres,)
        1 for a genre that is present in no frame or in all of them: nothing can be learned there.
    """
    labels = np.asarray(y_true) > 0.5
    if exclusive:
        return _fit_one_temperature(labels, _logs(raw_scores))
    logits = scipy.special.logit(np.clip(np.asarray(raw_scores, dtype=np.float64), _EPSILON, 1 - _EPSILON))
    temperatures = np.ones(labels.shape[1])
    for genre in range(labels.shape[1]):
        if labels[:, genre].all() or not labels[:, genre].any():
            continue
        signed = np.where(labels[:, genre], -logits[:, genre], logits[:, genre])
        found = scipy.optimize.minimize_scalar(
            lambda log_temperature, signed=signed: np.logaddexp(0, signed * np.exp(-log_temperature)).mean(),
            bounds=np.log(TEMPERATURE_RANGE),
            method="bounded",
        )
        temperatures[genre] = np.exp(found.x)
    return temperatures


def _fit_one_temperature(labels: np.ndarray, logs: np.ndarray) -> np.ndarray:
    if labels.any(axis=0).sum() < 2:
        return np.ones(labels.shape[1])

    def loss(log_temperature: float) -> float:
        scaled = logs * np.exp(-log_temperature)
        return float((scipy.special.logsumexp(scaled, axis=1) - (scaled * labels).sum(axis=1)).mean())

    found = scipy.optimize.minimize_scalar(loss, bounds=np.log(TEMPERATURE_RANGE), method="bounded")
    return np.full(labels.shape[1], np.exp(found.x))


def prevalence_offsets(
    y_true: np.ndarray, raw_scores: np.ndarray, weights: np.ndarray, *, exclusive: bool = False
) -> np.ndarray:
    """Find per genre what to take off the logits so that the mean score is the share of positive frames.

    That is the best intercept of a logistic regression on the scores: where the log loss is smallest, its derivative,
    the mean of score less truth, is zero. The order of the scores stays.

    Parameters
    ----------
    y_true : ndarray, shape (frames, genres)
        Bools, or 0 and 1.
    raw_scores : ndarray, shape (frames, genres)
    weights : ndarray, shape (frames,)
        Of the frames, 0 or more, with a positive sum.
    exclusive : bool
        Whether the genres exclude each other. What is left of the scores for genres that no frame shows stays, and the
        rest is matched.

    Returns
    -------
    ndarray of float64, shape (genres,)
        Above 0 where the scores are too high; 0 for a genre that is present in no frame or in all of them, where no
        finite number would do.
    """
    labels = np.asarray(y_true) > 0.5
    logits = scipy.special.logit(np.clip(np.asarray(raw_scores, dtype=np.float64), _EPSILON, 1 - _EPSILON))
    shares = np.average(labels, axis=0, weights=weights)
    if exclusive:
        return _exclusive_offsets(shares, _logs(raw_scores), weights)
    offsets = np.zeros(labels.shape[1])
    for genre in np.flatnonzero((shares > 0) & (shares < 1)):
        own, share = logits[:, genre], shares[genre]
        # With the smallest logit at the share every score is at or above it, with the largest at or below.
        offsets[genre] = scipy.optimize.brentq(
            lambda offset, own=own, share=share: np.average(scipy.special.expit(own - offset), weights=weights) - share,
            own.min() - scipy.special.logit(share) - 1,
            own.max() - scipy.special.logit(share) + 1,
        )
    return offsets


def _exclusive_offsets(shares: np.ndarray, logs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    offsets, shown = np.zeros(len(shares)), np.flatnonzero(shares > 0)
    if len(shown) < 2:
        return offsets
    logs, wanted = logs[:, shown], shares[shown] / shares[shown].sum()

    def loss(given: np.ndarray) -> tuple[float, np.ndarray]:
        moved = logs - given
        total = np.average(scipy.special.logsumexp(moved, axis=1), weights=weights) + given @ wanted
        return total, wanted - np.average(scipy.special.softmax(moved, axis=1), axis=0, weights=weights)

    found = scipy.optimize.minimize(loss, np.zeros(len(shown)), jac=True, method="BFGS", options={"gtol": 1e-9}).x
    offsets[shown] = found - found.mean()  # all moved alike change nothing
    return offsets


def best_f1_thresholds(y_true: np.ndarray, y_score: np.ndarray) -> np.ndarray:
    """Find per genre the threshold with the highest F1, on the scale of `y_score`.

    Parameters
    ----------
    y_true : ndarray, shape (frames, genres)
        Bools, or 0 and 1.
    y_score : ndarray, shape (frames, genres)

    Returns
    -------
    ndarray of float64, shape (genres,)
        In (0, 1], on no score; 0.5 for a genre without a positive frame.
    """
    labels, scores = np.asarray(y_true) > 0.5, np.asarray(y_score)
    thresholds = [frame_metrics.best_f1(labels[:, genre], scores[:, genre])[1] for genre in range(labels.shape[1])]
    return np.clip(np.nan_to_num(np.array(thresholds), nan=DEFAULT_THRESHOLD), np.finfo(np.float32).tiny, 1.0)


def no_calibration(genres: Sequence[str], *, exclusive: bool = False) -> Calibration:
    """Return what leaves the scores as they are, with 0.5 to decide.

    Where genres exclude each other the highest score decides, not a threshold; it stands at what chance gives.
    """
    threshold = 1 / len(genres) if exclusive else DEFAULT_THRESHOLD
    return Calibration(dict.fromkeys(genres, threshold), dict.fromkeys(genres, 1.0))


def fit_calibration(
    y_true: np.ndarray, raw_scores: np.ndarray, genres: Sequence[str], *, exclusive: bool = False
) -> Calibration:
    """Find the temperatures, and on the scores they give the thresholds with the highest F1.

    Thresholds of genres that exclude each other decide nothing, and are those of `no_calibration`.

    Parameters
    ----------
    y_true : ndarray, shape (frames, genres)
        Bools, or 0 and 1.
    raw_scores : ndarray, shape (frames, genres)
        Of the same frames, which the network has not learned from; without frames, nothing is changed.
    genres : sequence of str
        Their names, in the order of the columns.
    exclusive : bool
        Whether they exclude each other.
    """
    found = no_calibration(genres, exclusive=exclusive)
    if not len(y_true):
        return found
    temperatures = fit_temperatures(y_true, raw_scores, exclusive=exclusive)
    found = found._replace(temperatures=dict(zip(genres, map(float, temperatures), strict=True)))
    if exclusive:
        return found
    thresholds = best_f1_thresholds(y_true, apply_temperature(raw_scores, temperatures))
    return found._replace(thresholds=dict(zip(genres, map(float, thresholds), strict=True)))


def bin_of(y_score: np.ndarray, *, bins: int = ECE_BINS) -> np.ndarray:
    """Return the bin of each score, 0 ... bins - 1, as `Reliability` defines them."""
    return np.minimum((y_score.astype(np.float64) * bins).astype(np.intp), bins - 1)


def reliability(y_true: np.ndarray, y_score: np.ndarray, *, bins: int = ECE_BINS) -> Reliability:
    """Count frames, positives and scores per bin of score, for one genre."""
    frame_metrics.validate(y_true, y_score)
    bin_of_frame = bin_of(y_score, bins=bins)
    return Reliability(
        edges=np.linspace(0, 1, bins + 1),
        frames=np.bincount(bin_of_frame, minlength=bins),
        positives=np.bincount(bin_of_frame[y_true], minlength=bins),
        score_sum=np.bincount(bin_of_frame, weights=y_score, minlength=bins),
    )


def expected_calibration_error(frames: np.ndarray, positives: np.ndarray, score_sum: np.ndarray) -> np.ndarray:
    """Mean over frames of |mean score - share of positives| of the frame's bin, in [0, 1], 0 is best.

    Parameters
    ----------
    frames, positives, score_sum : ndarray, shape (..., bins)
        As in `Reliability`.

    Returns
    -------
    ndarray, shape (...)
        Not defined without a frame.
    """
    return counts.ratio(np.abs(score_sum - positives).sum(axis=-1), np.sum(frames, axis=-1))
