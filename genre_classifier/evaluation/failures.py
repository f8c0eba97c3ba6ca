"""Where scores go wrong: genres taken for each other, the worst stretches, errors near cuts, trailers by score.

Pure NumPy over aligned labels and scores. Only timed trailers take part.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping

import numpy as np

from genre_classifier.evaluation.alignment import Aligned
from genre_classifier.metrics import counts
from genre_classifier.metrics import trailers as trailer_metrics

WORST_SEGMENTS = 10
# Seconds between a frame and the nearest cut; the last band is open.
CUT_BANDS_SECONDS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, float("inf"))


@dataclasses.dataclass(frozen=True)
class WorstSegment:
    """Consecutive frames of one trailer where the decision about one genre was wrong in the same way.

    Attributes
    ----------
    trailer : str
    genre : str
    kind : {"missed", "false"}
        Labelled and not predicted, or predicted and not labelled.
    start, end : float
        Seconds.
    score : float
        Mean score of the genre over the frames.
    cost_seconds : float
        Sum over frames of |score - truth| times the frame's seconds: long and confident mistakes come first.
    frame : int
        Index within the trailer of the frame that was most wrong.
    frame_time : float
        Its seconds.
    """

    trailer: str
    genre: str
    kind: str
    start: float
    end: float
    score: float
    cost_seconds: float
    frame: int
    frame_time: float


def co_occurrence(data: Aligned) -> np.ndarray:
    """Return how often each genre is predicted while another is true.

    Returns
    -------
    ndarray of float64, shape (genres, genres + 1)
        Row i, column j: share of the frames where genre i is true on which j is predicted; the last column: on which
        nothing is predicted. Rows need not sum to 1, for genres overlap; NaN for a genre that is never true.
    """
    keep = data.timed_frames
    truth, found = data.y_true[keep].astype(np.float64), data.y_pred[keep].astype(np.float64)
    found = np.column_stack([found, found.sum(axis=1) == 0])
    return counts.ratio(truth.T @ found, truth.sum(axis=0)[:, None])


def worst_segments(data: Aligned, *, most: int = WORST_SEGMENTS) -> list[WorstSegment]:
    """Return the runs of wrong decisions with the highest cost, worst first."""
    y_pred = data.y_pred
    error = np.abs(data.y_score - data.y_true)
    first_frame = np.searchsorted(data.trailer, np.arange(len(data.trailers)))
    found = []
    for genre in range(len(data.genres)):
        # 0 right, 1 missed, 2 false; a run ends where that or the trailer changes.
        state = np.where(y_pred[:, genre] == data.y_true[:, genre], 0, np.where(data.y_true[:, genre], 1, 2))
        state[~data.timed_frames] = 0
        borders = np.flatnonzero((np.diff(state) != 0) | (np.diff(data.trailer) != 0)) + 1
        starts = np.concatenate([[0], borders])
        stops = np.concatenate([borders, [len(state)]])
        wrong = state[starts] > 0
        starts, stops = starts[wrong], stops[wrong]
        cost = np.concatenate([[0.0], np.cumsum(error[:, genre] * data.seconds)])
        costs = cost[stops] - cost[starts]
        for run in np.argsort(-costs, kind="stable")[:most]:
            found.append((float(costs[run]), genre, int(starts[run]), int(stops[run])))
    found.sort(key=lambda run: (-run[0], run[2], run[1]))
    return [_describe(data, *run, error=error, first_frame=first_frame) for run in found[:most]]


def _describe(
    data: Aligned, cost: float, genre: int, start: int, stop: int, *, error: np.ndarray, first_frame: np.ndarray
) -> WorstSegment:
    trailer = int(data.trailer[start])
    peak = start + int(np.argmax(error[start:stop, genre]))
    first = start == first_frame[trailer]
    begin = float(data.times[start] if first else (data.times[start - 1] + data.times[start]) / 2)
    return WorstSegment(
        trailer=data.trailers[trailer],
        genre=data.genres[genre],
        kind="missed" if data.y_true[start, genre] else "false",
        start=begin,
        end=begin + float(data.seconds[start:stop].sum()),
        score=float(data.y_score[start:stop, genre].mean()),
        cost_seconds=cost,
        frame=peak - int(first_frame[trailer]),
        frame_time=float(data.times[peak]),
    )


def errors_by_cut_distance(data: Aligned, cuts: Mapping[str, np.ndarray]) -> list[dict[str, float]]:
    """Return the share of wrong decisions (of all genres) by the distance of the frame to the nearest cut.

    Parameters
    ----------
    cuts : mapping of str to ndarray
        Seconds of the cuts of each trailer; trailers without an entry, or without a cut, are left out.

    Returns
    -------
    list of dict
        Per band: from_seconds, to_seconds, frames, error_rate (NaN without a frame).
    """
    distance = np.full(len(data.times), np.nan)
    borders = np.searchsorted(data.trailer, np.arange(len(data.trailers) + 1))
    for index in np.flatnonzero(data.timed):
        own_cuts = np.asarray(cuts.get(data.trailers[index], ()), dtype=np.float64)
        if own_cuts.size:
            own = slice(borders[index], borders[index + 1])
            after = np.searchsorted(own_cuts, data.times[own])
            to_next = np.abs(own_cuts[np.minimum(after, own_cuts.size - 1)] - data.times[own])
            to_last = np.abs(own_cuts[np.maximum(after - 1, 0)] - data.times[own])
            distance[own] = np.minimum(to_next, to_last)
    wrong = (data.y_pred != data.y_true).mean(axis=1)
    rows = []
    for low, high in itertools.pairwise(CUT_BANDS_SECONDS):
        inside = (distance >= low) & (distance < high)
        rows.append(
            {
                "from_seconds": low,
                "to_seconds": high,
                "frames": int(inside.sum()),
                "error_rate": float(wrong[inside].mean()) if inside.any() else float("nan"),
            }
        )
    return rows


def trailers_by_score(data: Aligned, per_trailer: Mapping[str, np.ndarray]) -> list[dict[str, object]]:
    """Return one row per timed trailer, the lowest mean average precision first, then the most wrong decisions.

    Parameters
    ----------
    per_trailer : mapping of str to ndarray, each (trailers, genres)
        As `resampling.per_trailer_values` gives it.

    Returns
    -------
    list of dict
        trailer, frames, seconds, average_precision and f1 (means over the genres where defined), error_rate (share of
        wrong decisions), genres (those labelled). Where labels are of whole trailers: of the trailer's mean scores,
        average_precision that of its own ranking of the genres.
    """
    frames = np.bincount(data.trailer, minlength=len(data.trailers))
    seconds = np.bincount(data.trailer, weights=data.seconds, minlength=len(data.trailers))
    if data.timed_by_weak_labels:
        truth = trailer_metrics.true_genres(data.y_true, data.trailer)
        scores = trailer_metrics.pool_mean(data.y_score, data.trailer)
        found = data.decide(scores, trailer_metrics.pool_mean(data.y_others, data.trailer))
        precisions = trailer_metrics.sample_average_precisions(truth, scores)
        f1 = counts.f1(
            *((one & other).sum(axis=1) for one, other in ((truth, found), (~truth, found), (truth, ~found)))
        )
        wrong = trailer_metrics.hamming_losses(truth, found)
    else:
        precisions = counts.mean_of_defined(per_trailer["average_precision"])
        f1 = counts.mean_of_defined(per_trailer["f1"])
        errors = (data.y_pred != data.y_true).mean(axis=1)
        wrong = counts.ratio(np.bincount(data.trailer, weights=errors, minlength=len(frames)), frames)
    order = np.lexsort((-wrong, precisions))
    labelled = [data.y_true[data.trailer == index].any(axis=0) for index in range(len(data.trailers))]
    return [
        {
            "trailer": data.trailers[index],
            "frames": int(frames[index]),
            "seconds": float(seconds[index]),
            "genres": [genre for genre, shown in zip(data.genres, labelled[index], strict=True) if shown],
            "average_precision": float(precisions[index]),
            "f1": float(f1[index]),
            "error_rate": float(wrong[index]),
        }
        for index in order
        if data.timed[index]
    ]
