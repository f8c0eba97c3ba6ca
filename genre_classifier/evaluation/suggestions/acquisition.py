"""Acquisition: how much a label of each trailer promises, and an order that repeats nothing. Pure functions.

- entropy: how unsure a run is of each genre (uncertainty sampling by entropy);
- margin: how far the first genre is ahead of the second (margin sampling);
- distance: how far a trailer lies, in colours and movement, from the nearest one that is labelled or suggested before
  it (k-centre greedy).

And why a trailer is suggested: what its scores say, in a sentence.

Conventions: scores are calibrated probabilities `(frames, genres)`.

Sources: Settles, "Active learning literature survey", University of Wisconsin-Madison, TR 1648, 2009, section 3.1
(entropy and margin); Sener, Savarese, "Active learning for convolutional neural networks: a core-set approach",
ICLR 2018, algorithm 1 (k-centre greedy).
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import special, stats

_CONSTANT = 1e-7  # a feature that deviates by less tells nothing apart


class Order(NamedTuple):
    """The order of suggestions.

    Attributes
    ----------
    chosen : ndarray of int, shape (count,)
        Rows of the candidates, the first one to be labelled first.
    distance : ndarray of float64, shape (count,)
        From the nearest trailer that was labelled, or chosen earlier; NaN where there was none.
    nearest : ndarray of int, shape (count,)
        Which one that is: a row of the labelled ones, or the number of labelled ones plus a row of the candidates; -1
        where there was none.
    """

    chosen: np.ndarray
    distance: np.ndarray
    nearest: np.ndarray


def frame_entropy(scores: np.ndarray) -> np.ndarray:
    """Return the binary entropy of each frame's scores in bits, averaged over genres.

    Parameters
    ----------
    scores : ndarray, shape (frames, genres)

    Returns
    -------
    ndarray of float64, shape (frames,)
        0 where every score is 0 or 1, 1 where every score is 0.5.
    """
    p = np.asarray(scores, dtype=np.float64)
    return np.asarray((special.entr(p) + special.entr(1 - p)).mean(axis=1) / np.log(2))


def frame_margin(scores: np.ndarray) -> np.ndarray:
    """Return how far the highest score of each frame is above the second, in [0, 1].

    Of a single genre it is how far the score and its complement are apart.

    Parameters
    ----------
    scores : ndarray, shape (frames, genres)

    Returns
    -------
    ndarray of float64, shape (frames,)
        Small where several genres are likely, and where none is.
    """
    p = np.asarray(scores, dtype=np.float64)
    if p.shape[1] == 1:
        p = np.hstack([p, 1 - p])
    second, first = np.partition(p, -2, axis=1)[:, -2:].T
    return np.asarray(first - second)


def standardise(blocks: Sequence[np.ndarray]) -> np.ndarray:
    """Put features of several kinds on one scale, on which every kind counts alike.

    Parameters
    ----------
    blocks : sequence of ndarray, each (trailers, features of one kind)

    Returns
    -------
    ndarray of float64, shape (trailers, features)
        Euclidean distances between rows are root mean squares over kinds, and over the features of each, of
        differences in standard deviations. Features that are the same everywhere are zeros.
    """
    scaled = []
    for block in blocks:
        values = np.asarray(block, dtype=np.float64)
        deviation = values.std(axis=0)
        z = (values - values.mean(axis=0)) / np.where(deviation > _CONSTANT, deviation, np.inf)
        scaled.append(z / np.sqrt(z.shape[1] * len(blocks)))
    return np.hstack(scaled)


def nearest_distances(points: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the Euclidean distance of each point from its nearest centre, and which one: both of shape (points,).

    Without centres the distances are infinite, and the nearest one is -1.
    """
    distance, nearest = np.full(len(points), np.inf), np.full(len(points), -1)
    for row, centre in enumerate(centres):
        _approach(distance, nearest, points, centre, row)
    return distance, nearest


def suggestion_order(
    entropy: np.ndarray,
    margin: np.ndarray,
    candidates: np.ndarray,
    labelled: np.ndarray,
    *,
    count: int | None = None,
) -> Order:
    """Choose trailers one by one, each by its ranks among those that are left.

    Half of what counts is uncertainty, the mean of the ranks by entropy and by margin; the other half is the rank by
    distance, measured again after each choice: what is like an earlier suggestion moves back. Ranks make numbers
    of different scales comparable. Ties go to the first row.

    Parameters
    ----------
    entropy, margin : ndarray, shape (candidates,)
        Means over each candidate's frames.
    candidates : ndarray, shape (candidates, features)
        As `standardise` gives them, together with `labelled`.
    labelled : ndarray, shape (labelled, features)
        None of them: the first choice is by uncertainty alone.
    count : int, optional
        How many to choose; all of them if not given.

    Returns
    -------
    Order
    """
    left = np.arange(len(candidates))
    distance, nearest = nearest_distances(candidates, labelled)
    chosen: list[int] = []
    for _ in range(len(candidates) if count is None else min(count, len(candidates))):
        by_distance = stats.rankdata(distance[left])  # equal where there is nothing to be far from
        uncertainty = stats.rankdata(entropy[left]) + stats.rankdata(-margin[left])
        pick = int(left[np.argmax(uncertainty / 2 + by_distance)])
        chosen.append(pick)
        left = left[left != pick]
        near = distance[left], nearest[left]
        _approach(*near, candidates[left], candidates[pick], len(labelled) + pick)
        distance[left], nearest[left] = near
    order = np.array(chosen, dtype=np.intp)
    return Order(order, np.where(nearest[order] < 0, np.nan, distance[order]), nearest[order])


def _approach(distance: np.ndarray, nearest: np.ndarray, points: np.ndarray, centre: np.ndarray, row: int) -> None:
    """Add a centre, the `row`-th, to distances and nearest ones."""
    new = np.linalg.norm(points - centre, axis=1)
    closer = new < distance
    distance[closer], nearest[closer] = new[closer], row


_OUTSTANDING = 2 / 3  # more unsure, or more distant, than this share of the candidates is worth a word
_MOST = 0.5  # of the frames


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What the scores of a trailer say.

    Attributes
    ----------
    entropy, margin : float
        Means over frames.
    moment : float
        Seconds of the frame with the highest entropy.
    none_share : float
        Share of the frames in which no genre reaches its threshold.
    rivals : tuple of str
        The two genres that most often come first and second, or the only genre.
    """

    entropy: float
    margin: float
    moment: float
    none_share: float
    rivals: tuple[str, ...]


class Limits(NamedTuple):
    """Beyond what a number is high (entropy, distance) or low (margin) among the candidates."""

    entropy: float
    margin: float
    distance: float


def evidence(scores: pd.DataFrame, thresholds: Mapping[str, float] | None) -> Evidence:
    """Gather what calibrated scores of a trailer, a column per genre, indexed by seconds, say for labelling it.

    Without thresholds the genres exclude each other, and no frame is without one.
    """
    values = scores.to_numpy()
    genres = [str(genre) for genre in scores.columns]
    entropy = frame_entropy(values)
    limits = np.array([0.0 if thresholds is None else thresholds[genre] for genre in genres])
    none = (values < limits).all(axis=1)
    leading = np.argsort(-values, axis=1, kind="stable")[:, :2]
    pairs = Counter(tuple(sorted(pair)) for pair in leading.tolist())
    return Evidence(
        entropy=float(entropy.mean()),
        margin=float(frame_margin(values).mean()),
        moment=float(scores.index[int(np.argmax(entropy))]),
        none_share=float(none.mean()),
        rivals=tuple(genres[genre] for genre in pairs.most_common(1)[0][0]),
    )


def limits_of(entropy: np.ndarray, margin: np.ndarray, distance: np.ndarray) -> Limits:
    """Return the limits of the numbers of all candidates, each of shape (candidates,)."""
    return Limits(
        float(np.quantile(entropy, _OUTSTANDING)),
        float(np.quantile(margin, 1 - _OUTSTANDING)),
        float(np.quantile(distance, _OUTSTANDING)) if np.isfinite(distance).all() else float("inf"),
    )


def reason(found: Evidence, limits: Limits, *, distance: float, by_colours: bool, nearest: str, suggested: bool) -> str:
    """Return a sentence on why a trailer stands where it stands.

    Parameters
    ----------
    found : Evidence
    limits : Limits
    distance : float
        From the nearest trailer; NaN without one.
    by_colours : bool
        Whether colours, more than movement, make the distance.
    nearest : str
        Source of the nearest trailer; "" without one.
    suggested : bool
        Whether that is an earlier suggestion, not a labelled trailer.
    """
    parts = []
    if found.entropy >= limits.entropy:
        parts.append("the network is less sure of it than of most")
    if found.none_share >= _MOST:
        parts.append(f"no genre reaches its threshold in {found.none_share:.0%} of its frames")
    elif found.margin <= limits.margin and len(found.rivals) == 2:
        parts.append(f"{found.rivals[0]} and {found.rivals[1]} are close in it")
    if distance >= limits.distance:
        what = "colours are" if by_colours else "movement is"
        parts.append(f"its {what} unlike what is labelled")
    elif nearest and not parts:
        place = "suggested before it" if suggested else "labelled"
        parts.append(f"nothing stands out; it is most like {nearest}, which is {place}")
    text = "; ".join(parts) or "nothing stands out"
    return text[0].upper() + text[1:]
