"""Segment-level metrics: the timeline cut into cells of a fixed length, right or wrong cell by cell.

Goal: a figure that does not depend on how densely frames were sampled, and that forgives boundaries by less than a
cell. A genre is active in a cell when one of its intervals touches the cell.

Conventions: intervals in seconds; cells of `grid_seconds` from second 0; a trailer of 9.5 s has ten cells of 1 s, and
what lies after its end is not counted.

Source: Mesaros, Heittola and Virtanen, "Metrics for polyphonic sound event detection", Applied Sciences 6(6), 2016,
as in its toolbox `sed_eval`. One difference, stated: a genre that is active on one side only, in the labels or in the
predictions, has an F1 of 0 here and none there.
"""

from __future__ import annotations

import numpy as np

from genre_classifier.metrics import counts
from genre_classifier.metrics.events import Events


def activity(events: Events, trailer: int, end_seconds: float, genres: int, *, grid_seconds: float) -> np.ndarray:
    """Return which genre is active in which cell of one trailer: bool, shape (cells, genres)."""
    cells = int(np.ceil(end_seconds / grid_seconds))
    active = np.zeros((cells, genres), dtype=bool)
    own = slice(*np.searchsorted(events.trailer, [trailer, trailer + 1]))
    firsts = np.floor(events.start[own] / grid_seconds).astype(np.intp)
    stops = np.ceil(events.end[own] / grid_seconds).astype(np.intp)
    for first, stop, genre in zip(firsts, stops, events.genre[own], strict=True):
        active[first:stop, genre] = True
    return active


def cell_counts(
    references: Events,
    detections: Events,
    ends_seconds: np.ndarray,
    timed: np.ndarray,
    *,
    genres: int,
    grid_seconds: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Count cells per trailer; counts add up over trailers.

    Parameters
    ----------
    references, detections : Events
        Sorted by trailer.
    ends_seconds : ndarray of float, shape (trailers,)
    timed : ndarray of bool, shape (trailers,)
        The others count nothing.

    Returns
    -------
    confusion : ndarray of int, shape (trailers, 3, genres)
        True positives, false positives, false negatives.
    errors : ndarray of int, shape (trailers, 4)
        Substitutions, deletions, insertions, and active cells of the labels, over all genres. In one cell a missed
        genre and a false one make a substitution; what is left over are deletions or insertions.
    """
    trailers = len(ends_seconds)
    confusion = np.zeros((trailers, 3, genres), dtype=np.int64)
    errors = np.zeros((trailers, 4), dtype=np.int64)
    for trailer in np.flatnonzero(timed).tolist():
        truth, found = (
            activity(events, trailer, ends_seconds[trailer], genres, grid_seconds=grid_seconds)
            for events in (references, detections)
        )
        hits, false, missed = truth & found, ~truth & found, truth & ~found
        confusion[trailer] = hits.sum(axis=0), false.sum(axis=0), missed.sum(axis=0)
        false_per_cell, missed_per_cell = false.sum(axis=1), missed.sum(axis=1)
        errors[trailer] = (
            np.minimum(false_per_cell, missed_per_cell).sum(),
            np.maximum(missed_per_cell - false_per_cell, 0).sum(),
            np.maximum(false_per_cell - missed_per_cell, 0).sum(),
            truth.sum(),
        )
    return confusion, errors


def error_rates(errors: np.ndarray) -> dict[str, np.ndarray]:
    """Return the error rate and its parts, each per active cell of the labels; 0 is best, above 1 is possible.

    Parameters
    ----------
    errors : ndarray, shape (..., 4)
        As `cell_counts` gives them, summed over trailers.

    Returns
    -------
    dict of str to ndarray, shape (...)
        error_rate, substitution_rate, deletion_rate, insertion_rate; not defined where no label is active.
    """
    substitutions, deletions, insertions, active = np.moveaxis(np.asarray(errors), -1, 0)
    return {
        "error_rate": counts.ratio(substitutions + deletions + insertions, active),
        "substitution_rate": counts.ratio(substitutions, active),
        "deletion_rate": counts.ratio(deletions, active),
        "insertion_rate": counts.ratio(insertions, active),
    }
