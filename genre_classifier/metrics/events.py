"""Event-level metrics: whole intervals found or missed, begin and end included.

Goal: say how many of the labelled intervals were found with a begin and an end close to the labels' own.

Conventions: a detected interval matches a labelled one of its genre in its trailer when the begins differ by at most
the collar, and the ends by at most the collar or a share of the labelled interval's length, whichever is larger. Each
interval is matched once; of all possible pairings one with the most matches is counted.

Source: Mesaros, Heittola and Virtanen, "Metrics for polyphonic sound event detection", Applied Sciences 6(6), 2016,
as in its toolbox `sed_eval` with optimal matching.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching


@dataclasses.dataclass(frozen=True)
class Events:
    """Intervals of one genre in one trailer each, sorted by trailer.

    Attributes
    ----------
    trailer, genre : ndarray of int, shape (events,)
        Indices of the trailers and of the genres.
    start, end : ndarray of float64, shape (events,)
        Seconds, start < end.
    score : ndarray of float64, shape (events,)
        Mean score of the frames inside; 1 for labels.
    """

    trailer: np.ndarray
    genre: np.ndarray
    start: np.ndarray
    end: np.ndarray
    score: np.ndarray

    def __len__(self) -> int:
        return len(self.trailer)

    def of_genre(self, genre: int) -> Events:
        """Return the events of one genre."""
        keep = self.genre == genre
        return Events(*(getattr(self, field.name)[keep] for field in dataclasses.fields(self)))


def matched(
    reference_start: np.ndarray,
    reference_end: np.ndarray,
    detected_start: np.ndarray,
    detected_end: np.ndarray,
    *,
    collar_seconds: float,
    offset_share: float,
) -> int:
    """Count the intervals of one genre and one trailer that can be matched, in seconds; 0 where a side is empty."""
    if not len(reference_start) or not len(detected_start):
        return 0
    tolerance = np.maximum(collar_seconds, offset_share * (reference_end - reference_start))
    hits = np.abs(reference_start[:, None] - detected_start[None, :]) <= collar_seconds
    hits &= np.abs(reference_end[:, None] - detected_end[None, :]) <= tolerance[:, None]
    if not hits.any():
        return 0
    return int((maximum_bipartite_matching(csr_array(hits), perm_type="column") >= 0).sum())


def event_counts(
    references: Events, detections: Events, trailers: int, genres: int, *, collar_seconds: float, offset_share: float
) -> np.ndarray:
    """Count matched, false and missed intervals per trailer and genre.

    Returns
    -------
    ndarray of int, shape (trailers, 3, genres)
        True positives, false positives, false negatives; they add up over trailers.
    """
    result = np.zeros((trailers, 3, genres), dtype=np.int64)
    for genre in range(genres):
        truth, found = references.of_genre(genre), detections.of_genre(genre)
        truth_slices = np.searchsorted(truth.trailer, np.arange(trailers + 1))
        found_slices = np.searchsorted(found.trailer, np.arange(trailers + 1))
        for trailer in range(trailers):
            of_truth = slice(truth_slices[trailer], truth_slices[trailer + 1])
            of_found = slice(found_slices[trailer], found_slices[trailer + 1])
            hits = matched(
                truth.start[of_truth],
                truth.end[of_truth],
                found.start[of_found],
                found.end[of_found],
                collar_seconds=collar_seconds,
                offset_share=offset_share,
            )
            total_truth, total_found = of_truth.stop - of_truth.start, of_found.stop - of_found.start
            result[trailer, :, genre] = hits, total_found - hits, total_truth - hits
    return result
