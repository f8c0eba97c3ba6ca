"""Labels and scores side by side: what every metric of an evaluation is computed from.

Pure NumPy and pandas. Frames of all trailers are stacked in one array with the number of their trailer beside them;
events are intervals in seconds, the labels' own on one side and the segments made from the scores on the other.

Conventions for trailers: with strong labels a trailer takes part in everything. One with weak labels says nothing about
*when*, so it takes part in trailer-level figures only, unless no trailer has strong labels: then all genres are taken
to hold throughout, and `timed_by_weak_labels` says so.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import pandas as pd

from genre_classifier.config import SegmentConfig
from genre_classifier.dataset.labels import OTHER, frame_targets, is_weak
from genre_classifier.genres import GENRES
from genre_classifier.metrics.calibration import DEFAULT_THRESHOLD, apply_temperature
from genre_classifier.metrics.events import Events
from genre_classifier.tagging.segments import frame_borders, to_segments, video_end
from preprocessing.errors import InputError


@dataclasses.dataclass(frozen=True)
class Aligned:
    """Everything that is evaluated: F frames of T trailers, G genres in the order of `GENRES`.

    Attributes
    ----------
    trailers : tuple of str
        Names, sorted.
    trailer : ndarray of int, shape (F,)
        Number of each frame's trailer, non-decreasing.
    times : ndarray of float64, shape (F,)
        Seconds from the start of the frame's trailer.
    seconds : ndarray of float64, shape (F,)
        How long each frame is shown.
    y_true : ndarray of bool, shape (F, G)
    y_raw, y_score : ndarray of float32, shape (F, G)
        Scores before and after the temperature.
    thresholds : ndarray of float64, shape (G,)
        A frame is predicted where `y_score >= threshold`.
    ends : ndarray of float64, shape (T,)
        Seconds at which each trailer's last frame ends.
    timed : ndarray of bool, shape (T,)
        Trailers that take part in frame, segment and event figures.
    weak : ndarray of bool, shape (T,)
        Trailers with weak labels.
    references, detections : Events
        Of the timed trailers: intervals of the labels, segments made from the scores.
    """

    trailers: tuple[str, ...]
    trailer: np.ndarray
    times: np.ndarray
    seconds: np.ndarray
    y_true: np.ndarray
    y_raw: np.ndarray
    y_score: np.ndarray
    thresholds: np.ndarray
    ends: np.ndarray
    timed: np.ndarray
    weak: np.ndarray
    references: Events
    detections: Events

    @property
    def y_pred(self) -> np.ndarray:
        """Decisions per frame: bool, shape (F, G)."""
        return self.y_score >= self.thresholds

    @property
    def timed_frames(self) -> np.ndarray:
        """Frames of timed trailers: bool, shape (F,)."""
        return self.timed[self.trailer]

    @property
    def timed_by_weak_labels(self) -> bool:
        """Whether frame, segment and event figures rest on weak labels spread over whole trailers."""
        return bool((self.timed & self.weak).any())


def reference_intervals(
    trailer_labels: pd.DataFrame, times: np.ndarray, *, duration: float | None = None
) -> list[tuple[float, float, int]]:
    """Return one trailer's labels as disjoint (start, end, genre index) in seconds, inside the trailer.

    Intervals of a genre that overlap or touch become one. As in `frame_targets`, what lies outside every interval is
    `other`, but only where a frame falls into it; weak labels hold from the first frame to the end of the last. No
    interval goes past `duration`, seconds (`video_end`).
    """
    borders = frame_borders(times, duration=duration)
    first, end = float(borders[0]), float(borders[-1])
    if is_weak(trailer_labels):
        return [(first, end, GENRES.index(genre)) for genre in sorted(set(trailer_labels["genre"]), key=GENRES.index)]
    rows = trailer_labels[["start", "end", "genre"]].itertuples(index=False)
    intervals = [
        (max(first, start), min(end, stop), GENRES.index(genre))
        for start, stop, genre in rows
        if stop > first and start < end
    ]
    covered = _union([(start, stop) for start, stop, _ in intervals])
    edges = [first, *(edge for interval in covered for edge in interval), end]
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        if ((times >= start) & (times < stop)).any():
            intervals.append((start, stop, OTHER))
    return [
        (start, stop, genre)
        for genre in range(len(GENRES))
        for start, stop in _union([(start, stop) for start, stop, of in intervals if of == genre])
    ]


def _union(intervals: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Join intervals that overlap or touch."""
    joined: list[tuple[float, float]] = []
    for start, end in sorted(intervals):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _events(rows: list[tuple[int, float, float, int, float]]) -> Events:
    trailer, start, end, genre, score = (np.array(column) for column in zip(*rows, strict=True)) if rows else [[]] * 5
    return Events(
        trailer=np.asarray(trailer, dtype=np.intp),
        genre=np.asarray(genre, dtype=np.intp),
        start=np.asarray(start, dtype=np.float64),
        end=np.asarray(end, dtype=np.float64),
        score=np.asarray(score, dtype=np.float64),
    )


def align(
    labels: pd.DataFrame,
    scores: Mapping[str, pd.DataFrame],
    *,
    thresholds: Mapping[str, float] | None = None,
    temperatures: Mapping[str, float] | None = None,
    durations: Mapping[str, float] | None = None,
    segments: SegmentConfig | None = None,
) -> Aligned:
    """Join labels and raw scores of the same trailers.

    Parameters
    ----------
    labels : DataFrame
        A label table; labels of trailers without scores are left out.
    scores : mapping of str to DataFrame
        From the trailer's name in the labels to its raw score table.
    thresholds, temperatures : mapping of str to float, optional
        Per genre; 0.5 and 1 where not given.
    durations : mapping of str to float, optional
        Trailer -> seconds from its first frame to the end of its last, as the manifest has them. A trailer without one
        ends half a step after its last frame.
    segments : SegmentConfig, optional
        How scores become segments; by default as `tag` makes them.

    Raises
    ------
    InputError
        If no trailer has both labels and scores, or a score table is empty.
    """
    by_trailer = {str(name): rows for name, rows in labels.groupby("trailer")}
    names = sorted(set(scores) & set(by_trailer))
    if not names:
        example = next(iter(scores), "none")
        raise InputError(
            f"no trailer has both scores and labels: {len(scores)} with scores (such as {example!r}), "
            f"{len(by_trailer)} with labels; the labels' column `trailer` must hold the names of the scores"
        )
    limits = np.array([(thresholds or {}).get(genre, DEFAULT_THRESHOLD) for genre in GENRES])
    heats = np.array([(temperatures or {}).get(genre, 1.0) for genre in GENRES])
    weak = np.array([is_weak(by_trailer[name]) for name in names])
    timed = ~weak if (~weak).any() else np.ones(len(names), dtype=bool)
    times, seconds, truths, raws, calibrated, ends = [], [], [], [], [], []
    references: list[tuple[int, float, float, int, float]] = []
    detections: list[tuple[int, float, float, int, float]] = []
    for index, name in enumerate(names):
        table = scores[name]
        if not len(table):
            raise InputError(f"the scores of trailer {name!r} have no frame; expected at least one")
        own_times = table.index.to_numpy(dtype=np.float64)
        raw = table[list(GENRES)].to_numpy(dtype=np.float32)
        own_scores = apply_temperature(raw, heats)
        known = (durations or {}).get(name)
        duration = None if known is None else video_end(own_times, known)
        borders = frame_borders(own_times, duration=duration)
        times.append(own_times)
        seconds.append(np.diff(borders))
        ends.append(borders[-1])
        truths.append(frame_targets(by_trailer[name], own_times) > 0)
        raws.append(raw)
        calibrated.append(own_scores)
        if timed[index]:
            intervals = reference_intervals(by_trailer[name], own_times, duration=duration)
            references += [(index, *row, 1.0) for row in intervals]
            found = to_segments(
                pd.DataFrame(own_scores, index=table.index, columns=list(GENRES)),
                dict(zip(GENRES, limits, strict=True)),
                segments,
                duration=duration,
            )
            detections += [
                (index, start, end, GENRES.index(genre), score)
                for start, end, genre, score in found.itertuples(index=False)
            ]
    return Aligned(
        trailers=tuple(names),
        trailer=np.repeat(np.arange(len(names)), [len(rows) for rows in times]),
        times=np.concatenate(times),
        seconds=np.concatenate(seconds),
        y_true=np.concatenate(truths),
        y_raw=np.concatenate(raws),
        y_score=np.concatenate(calibrated),
        thresholds=limits,
        ends=np.array(ends),
        timed=timed,
        weak=weak,
        references=_events(references),
        detections=_events(detections),
    )
