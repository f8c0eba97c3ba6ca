"""Uncertainty: how much every figure would move with another sample of trailers.

Whole trailers are drawn with replacement, never frames: frames of one trailer resemble each other, and intervals over
frames would be far too narrow. Trailers of one group, clips of one film say, resemble each other too, and are drawn
together. A draw is a row of weights, how often each trailer was taken; row 0 of `draw_weights` takes each trailer once
and gives the figure itself, so that value and interval come from the same arithmetic.

Source: Efron and Tibshirani, "An introduction to the bootstrap", 1993, chapter 13 (percentile intervals).
"""

from __future__ import annotations

import dataclasses

import numpy as np

# An interval over draws that are mostly undefined would describe only the lucky ones.
LEAST_DEFINED_SHARE = 0.9
LEAST_SOURCES = 2
# With fewer, percentile intervals are known to be too narrow; the report says so.
SOURCES_FOR_TRUST = 20


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A figure with its percentile interval; NaN where not defined.

    Attributes
    ----------
    value, low, high : float
    """

    value: float
    low: float = float("nan")
    high: float = float("nan")

    @property
    def defined(self) -> bool:
        """Whether there is a value."""
        return not np.isnan(self.value)

    @property
    def has_interval(self) -> bool:
        """Whether there is an interval."""
        return not np.isnan(self.low)

    def to_json(self) -> dict[str, float | None]:
        """Return value, low and high, None for what is not defined."""
        return {
            name: None if np.isnan(number) else float(number)
            for name, number in (("value", self.value), ("low", self.low), ("high", self.high))
        }


def draw_weights(group: np.ndarray, *, draws: int, seed: int) -> np.ndarray:
    """Draw groups of trailers with replacement.

    Parameters
    ----------
    group : ndarray of int, shape (trailers,)
        Number of each trailer's group, 0 ... groups - 1; trailers of one group are taken together.

    Returns
    -------
    ndarray of float32, shape (draws + 1, trailers)
        How often each trailer is taken; row 0 is all ones.
    """
    groups = int(group.max()) + 1
    drawn = np.random.default_rng(seed).multinomial(groups, np.full(groups, 1 / groups), size=draws)
    return np.concatenate([np.ones((1, groups)), drawn])[:, group].astype(np.float32)


def estimate(draws: np.ndarray, *, confidence: float, sources: int) -> Estimate:
    """Turn a figure's draws into its value and percentile interval.

    Parameters
    ----------
    draws : ndarray of float, shape (draws + 1,)
        Row 0 is the figure itself.
    confidence : float
        Share of the draws inside the interval, in (0, 1).
    sources : int
        How many groups took part. Below `LEAST_SOURCES`, or with fewer than `LEAST_DEFINED_SHARE` of the draws defined,
        there is no interval.
    """
    value, drawn = float(draws[0]), draws[1:]
    drawn = drawn[~np.isnan(drawn)]
    if np.isnan(value) or sources < LEAST_SOURCES or len(drawn) < max(1, LEAST_DEFINED_SHARE * (len(draws) - 1)):
        return Estimate(value)
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(value, float(low), float(high))
