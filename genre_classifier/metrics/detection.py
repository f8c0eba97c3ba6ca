"""Temporal detection: mean average precision of scored segments at temporal IoU, as ActivityNet defines it.

Goal: judge segments and the order of their scores together, strictly about boundaries: temporal IoU is the length of
the intersection of two intervals over the length of their union.

Conventions: detections of a genre, of all trailers together, are taken in order of falling score. Each claims the
labelled interval of its trailer with the highest IoU of those at or above the limit that none has claimed before; if
there is none it is false. Average precision is the area under the precision made non-increasing (each precision
replaced by the best one at the same or a higher recall). The mean over genres, then over the limits 0.5, 0.55 ... 0.95,
is the figure that ActivityNet ranks by.

Source: Caba Heilbron et al., "ActivityNet: a large-scale video benchmark for human activity understanding", CVPR 2015,
and its `eval_detection.py`. Equal scores are taken in order of trailer and start.
"""

from __future__ import annotations

import numpy as np

from genre_classifier.metrics.events import Events


def temporal_iou(start: float, end: float, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return the IoU of one interval with several: shape of `starts`, in [0, 1]."""
    intersection = np.maximum(0.0, np.minimum(end, ends) - np.maximum(start, starts))
    return intersection / ((end - start) + (ends - starts) - intersection)


def true_detections(references: Events, detections: Events, tiou: np.ndarray) -> np.ndarray:
    """Say which detections of one genre are right, at each limit.

    Parameters
    ----------
    references, detections : Events
        Of one genre, sorted by trailer.
    tiou : ndarray of float, shape (limits,)

    Returns
    -------
    ndarray of bool, shape (limits, detections)
        In the order of `detections`.
    """
    right = np.zeros((len(tiou), len(detections)), dtype=bool)
    order = np.lexsort((detections.start, -detections.score, detections.trailer))
    claimed = np.zeros((len(tiou), len(references)), dtype=bool)
    for position in order:
        first, stop = np.searchsorted(
            references.trailer, [detections.trailer[position], detections.trailer[position] + 1]
        )
        if first == stop:
            continue
        overlap = temporal_iou(
            detections.start[position],
            detections.end[position],
            references.start[first:stop],
            references.end[first:stop],
        )
        open_overlap = np.where(claimed[:, first:stop], -1.0, overlap)
        best = open_overlap.argmax(axis=1)
        hit = open_overlap[np.arange(len(tiou)), best] >= tiou
        right[hit, position] = True
        claimed[hit, first + best[hit]] = True
    return right


def interpolated_average_precision(
    true_counts: np.ndarray, all_counts: np.ndarray, references: np.ndarray
) -> np.ndarray:
    """Return the area under the non-increasing precision over recall.

    Parameters
    ----------
    true_counts, all_counts : ndarray, shape (..., levels)
        True and all detections at each level of score, levels falling.
    references : ndarray, shape (...)
        Labelled intervals.

    Returns
    -------
    ndarray, shape (...)
        In [0, 1]; 0 where nothing was detected; not defined where no interval is labelled.
    """
    found = np.cumsum(true_counts, axis=-1, dtype=np.float64)
    tried = np.cumsum(all_counts, axis=-1, dtype=np.float64)
    precisions = np.divide(found, tried, out=np.zeros_like(found), where=np.broadcast_to(tried, found.shape) > 0)
    envelope = np.maximum.accumulate(precisions[..., ::-1], axis=-1)[..., ::-1]
    area = (envelope * true_counts).sum(axis=-1)
    references = np.broadcast_to(np.asarray(references, dtype=np.float64), area.shape)
    return np.divide(area, references, out=np.full(area.shape, np.nan), where=references > 0)


def average_precisions(references: Events, detections: Events, right: np.ndarray) -> np.ndarray:
    """Return the average precision of one genre at each limit.

    Parameters
    ----------
    references, detections : Events
        Of one genre.
    right : ndarray of bool, shape (limits, detections)
        As `true_detections` gives it.

    Returns
    -------
    ndarray of float64, shape (limits,)
        Each detection being a level of its own.
    """
    order = np.lexsort((detections.start, detections.trailer, -detections.score))
    return interpolated_average_precision(
        right[:, order].astype(np.float64), np.ones((1, len(order))), np.full(len(right), len(references))
    )
