"""Two runs on the same trailers: which of their differences are real.

The same draws of trailers are applied to both, so that what is easy or hard about a trailer cancels (a paired
bootstrap). A difference is called real when its interval does not hold 0.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

from genre_classifier.evaluation import bootstrap
from genre_classifier.evaluation.bootstrap import Estimate
from genre_classifier.evaluation.evaluate import Evaluation
from genre_classifier.evaluation.glossary import METRICS
from genre_classifier.genres import OTHER
from preprocessing.base.errors import InputError

Verdict = Literal["better", "worse", "not shown"]


@dataclasses.dataclass(frozen=True)
class Difference:
    """One figure of two runs.

    Attributes
    ----------
    level, scope, metric : str
        Keys of `Evaluation.levels`.
    first, second : Estimate
    difference : Estimate
        First less second.
    verdict : {"better", "worse", "not shown"}
        About the first run; "not shown" if the interval contains 0 or is not defined.
    """

    level: str
    scope: str
    metric: str
    first: Estimate
    second: Estimate
    difference: Estimate
    verdict: Verdict


@dataclasses.dataclass(frozen=True)
class Comparison:
    """All figures compared.

    Attributes
    ----------
    other : str
        Name of the second run.
    genres : tuple of str
        What both were evaluated over.
    differences : tuple of Difference
        The headline figures, then average precision per genre.
    """

    other: str
    genres: tuple[str, ...]
    differences: tuple[Difference, ...]


def verdict(difference: Estimate, *, lower_is_better: bool = False) -> Verdict:
    """Say whether the first is better, worse, or neither is shown."""
    if not difference.has_interval or difference.low <= 0 <= difference.high:
        return "not shown"
    return "better" if (difference.low > 0) != lower_is_better else "worse"


def shared_genres(first: Sequence[str], second: Sequence[str]) -> tuple[str, ...]:
    """Return the genres by which two runs can be compared, in the order of the first.

    `other` means everything outside a run's own genres. So it is the same in two runs only if all their genres are.

    Raises
    ------
    InputError
        If they have no genre in common.
    """
    same = set(first) == set(second)
    shared = tuple(genre for genre in first if genre in second and (same or genre != OTHER))
    if not shared:
        raise InputError(
            f"expected runs with genres in common, found {', '.join(first)} and {', '.join(second)}"
            + (f"; `{OTHER}` is what each leaves over" if OTHER in first and OTHER in second else "")
        )
    return shared


def compare(first: Evaluation, second: Evaluation, *, other: str) -> Comparison:
    """Compare two evaluations figure by figure.

    Parameters
    ----------
    first, second : Evaluation
        Of the same trailers, genres (`shared_genres`) and labels, with the same draws.
    other : str
        Name of the second.

    Raises
    ------
    InputError
        If trailers, genres, frames' labels or options of the evaluations differ.
    """
    if first.data.trailers != second.data.trailers:
        different = sorted(set(first.data.trailers) ^ set(second.data.trailers))
        raise InputError(
            f"expected the same trailers in both runs; {len(different)} are in one only, such as {different[0]!r}"
        )
    if first.data.genres != second.data.genres:
        raise InputError(
            f"expected the same genres in both runs, got {', '.join(first.data.genres)} and "
            f"{', '.join(second.data.genres)}; evaluate both over those that they share"
        )
    if first.config != second.config:
        raise InputError(f"expected the same options for both runs, got {first.config} and {second.config}")
    if first.data.y_true.shape != second.data.y_true.shape or (first.data.y_true != second.data.y_true).any():
        raise InputError("expected the same frames and labels for both runs; score both from the same clips and labels")
    keys = (*first.headline, *((first.judged_level, genre, "average_precision") for genre in first.data.genres))
    return Comparison(other, first.data.genres, tuple(_difference(first, second, *key) for key in keys))


def _difference(first: Evaluation, second: Evaluation, level: str, scope: str, metric: str) -> Difference:
    draws = first.levels[level][scope][metric] - second.levels[level][scope][metric]
    change = bootstrap.estimate(draws, confidence=first.config.confidence, sources=first.sources_at(level))
    return Difference(
        level=level,
        scope=scope,
        metric=metric,
        first=first.figure(level, scope, metric),
        second=second.figure(level, scope, metric),
        difference=change,
        verdict=verdict(change, lower_is_better=METRICS[metric].lower_is_better),
    )
