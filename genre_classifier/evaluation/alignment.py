"""Labels and scores side by side: what every metric of an evaluation is computed from.

Pure NumPy and pandas. Frames of all trailers are stacked in one array with the number of their trailer beside them;
events are intervals in seconds, the labels' own on one side and the segments made from the scores on the other.

Conventions for trailers: with strong labels a trailer takes part in everything. One with weak labels says nothing about
*when*, so it takes part in trailer-level figures only, unless no trailer has strong labels: then all genres are taken
to hold throughout, and `timed_by_weak_labels` says so.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from genre_classifier.config import SegmentConfig
from genre_classifier.dataset.trailer_labels import frame_targets, is_weak
from genre_classifier.genres import OTHER
from genre_classifier.metrics import frames as frame_metrics
from genre_classifier.metrics.calibration import DEFAULT_THRESHOLD, apply_temperature
from genre_classifier.metrics.events import Events
from genre_classifier.tagging.segments import frame_borders, to_segments, video_end
from preprocessing.base.errors import InputError


@dataclasses.dataclass(frozen=True)
class Aligned:
    """Everything that is evaluated: F frames of T trailers, G genres.

    Attributes
    ----------
    genres : tuple of str
        Names of the columns.
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
    y_others : ndarray of float32, shape (F, others)
        Scores after the temperature of genres that are known and do not count.
    thresholds : ndarray of float64, shape (G,)
        A frame is predicted where `y_score >= threshold`; NaN where genres exclude each other, and the one with the
        highest score is predicted.
    ends : ndarray of float64, shape (T,)
        Seconds at which each trailer's last frame ends.
    timed : ndarray of bool, shape (T,)
        Trailers that take part in frame, segment and event figures.
    weak : ndarray of bool, shape (T,)
        Trailers with weak labels.
    group : ndarray of int, shape (T,)
        Number of each trailer's group, as the labels name it; a trailer without one is a group of its own.
    references, detections : Events
        Of the timed trailers: intervals of the labels, segments made from the scores.
    """

    genres: tuple[str, ...]
    trailers: tuple[str, ...]
    trailer: np.ndarray
    times: np.ndarray
    seconds: np.ndarray
    y_true: np.ndarray
    y_raw: np.ndarray
    y_score: np.ndarray
    y_others: np.ndarray
    thresholds: np.ndarray
    ends: np.ndarray
    timed: np.ndarray
    weak: np.ndarray
    group: np.ndarray
    references: Events
    detections: Events

    @property
    def y_pred(self) -> np.ndarray:
        """Decisions per frame: bool, shape (F, G)."""
        return self.decide(self.y_score, self.y_others)

    @property
    def exclusive(self) -> bool:
        """Whether the genres exclude each other: one is predicted, of those that count and those that do not."""
        return bool(np.isnan(self.thresholds).all())

    def decide(self, scores: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Return decisions about scores of frames or trailers, (n, G), beside those of the others, (n, others)."""
        if self.exclusive:
            return frame_metrics.best_only(np.hstack([scores, others]))[:, : len(self.genres)]
        return np.asarray(scores >= self.thresholds)

    @property
    def timed_frames(self) -> np.ndarray:
        """Frames of timed trailers: bool, shape (F,)."""
        return self.timed[self.trailer]

    @property
    def timed_by_weak_labels(self) -> bool:
        """Whether frame, segment and event figures rest on weak labels spread over whole trailers."""
        return bool((self.timed & self.weak).any())


def genres_of(tables: Mapping[str, pd.DataFrame], expected: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return the genres of score tables: their columns, in the order of the first table.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        By name, at least one.
    expected : sequence of str, optional
        What the tables must have, in any order, instead of the genres of the first.

    Raises
    ------
    InputError
        Naming the first table that has other genres, and which.
    """
    genres = tuple(next(iter(tables.values())).columns if expected is None else expected)
    for name, table in tables.items():
        if set(table.columns) != set(genres):
            lacking, more = sorted(set(genres) - set(table.columns)), sorted(set(table.columns) - set(genres))
            found = [f"{what} {', '.join(some)}" for what, some in (("none of", lacking), ("also", more)) if some]
            raise InputError(f"{name}: expected scores of {', '.join(genres)}, found {' and '.join(found)}")
    return genres


def reference_intervals(
    trailer_labels: pd.DataFrame, times: np.ndarray, genres: Sequence[str], *, duration: float | None = None
) -> list[tuple[float, float, int]]:
    """Return one trailer's labels as disjoint (start, end, index in `genres`) in seconds, inside the trailer.

    Intervals of a genre that overlap or touch become one. As in `frame_targets`, what lies outside every interval is
    `other`, where that is one of the genres, but only where a frame falls into it; weak labels hold from the first
    frame to the end of the last. No interval goes past `duration`, seconds (`video_end`).
    """
    index_of = {genre: index for index, genre in enumerate(genres)}
    borders = frame_borders(times, duration=duration)
    first, end = float(borders[0]), float(borders[-1])
    if is_weak(trailer_labels):
        return [(first, end, index) for index in sorted({index_of[genre] for genre in trailer_labels["genre"]})]
    rows = trailer_labels[["start", "end", "genre"]].itertuples(index=False)
    intervals = [
        (max(first, start), min(end, stop), index_of[genre])
        for start, stop, genre in rows
        if stop > first and start < end
    ]
    if OTHER in index_of:
        covered = _union([(start, stop) for start, stop, _ in intervals])
        edges = [first, *(edge for interval in covered for edge in interval), end]
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            if ((times >= start) & (times < stop)).any():
                intervals.append((start, stop, index_of[OTHER]))
    return [
        (start, stop, genre)
        for genre in range(len(genres))
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


def _groups(by_trailer: Mapping[str, pd.DataFrame], names: Sequence[str]) -> np.ndarray:
    """Number the groups in the order in which trailers name them."""
    named = [by_trailer[name]["group"].iloc[0] if "group" in by_trailer[name] else None for name in names]
    keys = [("trailer", name) if pd.isna(group) else ("group", group) for name, group in zip(names, named, strict=True)]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return np.array([numbers[key] for key in keys])


def align(
    labels: pd.DataFrame,
    scores: Mapping[str, pd.DataFrame],
    *,
    genres: Sequence[str] | None = None,
    thresholds: Mapping[str, float] | None = None,
    temperatures: Mapping[str, float] | None = None,
    exclusive: bool = False,
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
    genres : sequence of str, optional
        Those of the scores' genres that count; labels may then name others, whose intervals are no `other`. By default
        all of the scores', and labels may name no other.
    thresholds, temperatures : mapping of str to float, optional
        Per genre; 0.5 and 1 where not given.
    exclusive : bool
        Whether the scores are of genres that exclude each other, and sum to 1: then no threshold is used.
    durations : mapping of str to float, optional
        Trailer -> seconds from its first frame to the end of its last, as the manifest has them. A trailer without one
        ends half a step after its last frame.
    segments : SegmentConfig, optional
        How scores become segments; by default as `tag` makes them.

    Raises
    ------
    InputError
        If no trailer has both labels and scores, a score table is empty or has genres that others lack, or a label is
        of no genre among these.
    """
    by_trailer = {str(name): rows for name, rows in labels.groupby("trailer")}
    names = sorted(set(scores) & set(by_trailer))
    if not names:
        example = next(iter(scores), "none")
        raise InputError(
            f"no trailer has both scores and labels: {len(scores)} with scores (such as {example!r}), "
            f"{len(by_trailer)} with labels; the labels' column `trailer` must hold the names of the scores"
        )
    weak = np.array([is_weak(by_trailer[name]) for name in names])
    known = genres_of({f"trailer {name!r}": scores[name] for name in names})
    labelled = {genre for name in names for genre in by_trailer[name]["genre"]}
    if genres is None:
        genres = known
        if unknown := sorted(labelled - set(known)):
            raise InputError(
                f"labels: expected the genres of the scores ({', '.join(known)}), found {', '.join(unknown)}; leave "
                "these out, or score with a run that was trained on them (--genres)"
            )
    columns = (*genres, *sorted(labelled - set(genres)))
    limits = np.array([np.nan if exclusive else (thresholds or {}).get(genre, DEFAULT_THRESHOLD) for genre in genres])
    used = None if exclusive else dict(zip(genres, limits, strict=True))
    others = [genre for genre in known if genre not in genres]
    ordered = [*genres, *others]
    heats = np.array([(temperatures or {}).get(genre, 1.0) for genre in ordered])
    timed = ~weak if (~weak).any() else np.ones(len(names), dtype=bool)
    times, seconds, truths, raws, calibrated, ends = [], [], [], [], [], []
    references: list[tuple[int, float, float, int, float]] = []
    detections: list[tuple[int, float, float, int, float]] = []
    for index, name in enumerate(names):
        table = scores[name]
        if not len(table):
            raise InputError(f"the scores of trailer {name!r} have no frame; expected at least one")
        own_times = table.index.to_numpy(dtype=np.float64)
        raw = table[list(genres)].to_numpy(dtype=np.float32)
        own_scores = apply_temperature(table[ordered].to_numpy(np.float32), heats, exclusive=exclusive)
        seconds_known = (durations or {}).get(name)
        duration = None if seconds_known is None else video_end(own_times, seconds_known)
        borders = frame_borders(own_times, duration=duration)
        times.append(own_times)
        seconds.append(np.diff(borders))
        ends.append(borders[-1])
        truths.append(frame_targets(by_trailer[name], own_times, columns)[:, : len(genres)] > 0)
        raws.append(raw)
        calibrated.append(own_scores)
        if timed[index]:
            intervals = reference_intervals(by_trailer[name], own_times, columns, duration=duration)
            references += [(index, *row, 1.0) for row in intervals if row[2] < len(genres)]
            # Where genres exclude each other, those that do not count take their frames, too.
            deciding = ordered if exclusive else list(genres)
            found = to_segments(
                pd.DataFrame(own_scores[:, : len(deciding)], index=table.index, columns=deciding),
                used,
                segments,
                duration=duration,
            )
            detections += [
                (index, start, end, genres.index(genre), score)
                for start, end, genre, score in found.itertuples(index=False)
                if genre in genres
            ]
    return Aligned(
        genres=tuple(genres),
        trailers=tuple(names),
        trailer=np.repeat(np.arange(len(names)), [len(rows) for rows in times]),
        times=np.concatenate(times),
        seconds=np.concatenate(seconds),
        y_true=np.concatenate(truths),
        y_raw=np.concatenate(raws),
        y_score=np.concatenate(calibrated)[:, : len(genres)],
        y_others=np.concatenate(calibrated)[:, len(genres) :],
        thresholds=limits,
        ends=np.array(ends),
        timed=timed,
        weak=weak,
        group=_groups(by_trailer, names),
        references=_events(references),
        detections=_events(detections),
    )
