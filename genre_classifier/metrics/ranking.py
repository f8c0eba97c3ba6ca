"""Ranking metrics from counts per level of score, for a thousand bootstrap draws at once.

Average precision and ROC-AUC need scores in order, which no sum over trailers preserves. So scores are put into levels,
true and all items are counted per trailer and level, and the counts of any draw of trailers are one matrix product.
With at most `LEVELS` distinct scores nothing is lost; with more, neighbouring scores share a level (half of the borders
are quantiles of all scores, half of those of the true items). The caller corrects for that: all draws move
by the difference between the exact figure and the one from levels, below 0.001 in the tests.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from genre_classifier.metrics import counts

LEVELS = 2048


@dataclasses.dataclass(frozen=True)
class LevelCounts:
    """True and all items per trailer and level of score, levels falling: float32, shape (trailers, levels)."""

    true: np.ndarray
    all: np.ndarray

    def drawn(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the counts of true and all items for each row of weights: shape (draws, levels)."""
        return weights @ self.true, weights @ self.all


def levels_of(scores: np.ndarray, true: np.ndarray, *, levels: int = LEVELS) -> tuple[np.ndarray, int]:
    """Return each item's level, 0 for the highest scores, and the number of levels."""
    if not scores.size:
        return np.zeros(0, dtype=np.intp), 1
    borders = np.unique(scores)
    if borders.size > levels:
        positives = scores[true] if true.any() else scores
        shares = np.linspace(0, 1, levels // 2)
        borders = np.unique(
            np.concatenate([np.quantile(values, shares, method="lower") for values in (scores, positives)])
        )
    level = np.searchsorted(borders, scores, side="right") - 1
    return borders.size - 1 - level, borders.size


def level_counts(
    true: np.ndarray, scores: np.ndarray, trailer: np.ndarray, trailers: int, *, levels: int = LEVELS
) -> LevelCounts:
    """Count items per trailer and level.

    Parameters
    ----------
    true : ndarray of bool, shape (items,)
    scores : ndarray of float, shape (items,)
    trailer : ndarray of int, shape (items,)
        0 ... trailers - 1.
    """
    level, number = levels_of(scores, true, levels=levels)
    cell = trailer * number + level
    size = trailers * number
    return LevelCounts(
        true=np.bincount(cell[true], minlength=size).reshape(trailers, number).astype(np.float32),
        all=np.bincount(cell, minlength=size).reshape(trailers, number).astype(np.float32),
    )


def average_precision(true: np.ndarray, everything: np.ndarray) -> np.ndarray:
    """Return the step-wise average precision of counts per level, shape (..., levels) -> (...).

    Items of a level are tied, as equal scores are in scikit-learn. Not defined without a true item.
    """
    found = np.cumsum(true, axis=-1, dtype=np.float64)
    tried = np.cumsum(everything, axis=-1, dtype=np.float64)
    precisions = np.divide(found, tried, out=np.zeros_like(found), where=tried > 0)
    return counts.ratio((precisions * true).sum(axis=-1), found[..., -1])


def roc_auc(true: np.ndarray, everything: np.ndarray) -> np.ndarray:
    """Return the area under the ROC curve of counts per level, shape (..., levels) -> (...).

    Not defined unless there are true and false items.
    """
    false = everything.astype(np.float64) - true
    true_so_far = np.cumsum(true, axis=-1, dtype=np.float64)
    pairs_in_order = (false * (true_so_far - 0.5 * true)).sum(axis=-1)
    return counts.ratio(pairs_in_order, true_so_far[..., -1] * false.sum(axis=-1))
