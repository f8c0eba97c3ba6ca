"""Evaluation of scores against labels: frame, segment, event and trailer figures with their uncertainty.

Goal: from stored scores and labels alone, without the model, everything that an expert in temporal tagging asks for,
each figure with a percentile interval over trailers, beside simple baselines.

Conventions: the genres are those of the scores, several may hold at once; a frame is predicted where its calibrated
score reaches the genre's threshold; a frame at time t lies in [start, end) of a label. What is not defined (a genre
without labels has no average precision, one trailer has no interval) is NaN in arrays, `null` in `metrics.json` and
"not defined" in tables, and enters no mean. Each level has its own module, where formulas and sources stand:
`frames`, `segments`, `events`, `detection`, `trailers` and `calibration` of `genre_classifier.metrics`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from genre_classifier.config import EvaluationConfig, SegmentConfig
from genre_classifier.dataset.trailer_labels import only_checked
from genre_classifier.evaluation import bootstrap, failures, glossary, resampling
from genre_classifier.evaluation.alignment import Aligned, align, genres_of
from genre_classifier.evaluation.bootstrap import Estimate
from genre_classifier.evaluation.resampling import Table
from genre_classifier.metrics import calibration, counts
from genre_classifier.metrics import frames as frame_metrics
from genre_classifier.metrics import trailers as trailer_metrics
from preprocessing.base.errors import InputError

_TRAILER_LEVELS = ("trailer_mean", "trailer_maximum", "trailer_linear_softmax")


@dataclasses.dataclass(frozen=True)
class Baseline:
    """A simple scorer, evaluated on the same frames.

    Attributes
    ----------
    levels : dict of str to Table
        `frame_pooled` and `trailer_maximum`: ranking figures; `trailer_mean`: these and accuracy; `probability_after`:
        Brier and calibration error.
    """

    levels: dict[str, Table]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Everything that was computed.

    Attributes
    ----------
    data : Aligned
        Labels, scores and segments side by side.
    config : EvaluationConfig
    levels : dict of str to Table
        Level -> scope -> metric -> draws; see `genre_classifier.evaluation.resampling`. `figure` reads it.
    baselines : dict of str to Baseline
    genres : dict of str to dict
        Per genre: support, prevalence, thresholds and what has no interval.
    reliability : dict of str to dict
        Per genre, `before` and `after` the temperature.
    co_occurrence, worst_segments, cut_distance, by_trailer
        See `genre_classifier.evaluation.failures`. `cut_distance` is None where no cuts were given.
    """

    data: Aligned
    config: EvaluationConfig
    levels: dict[str, Table]
    baselines: dict[str, Baseline]
    genres: dict[str, dict[str, Any]]
    reliability: dict[str, dict[str, calibration.Reliability]]
    co_occurrence: np.ndarray
    worst_segments: list[failures.WorstSegment]
    cut_distance: list[dict[str, float]] | None
    by_trailer: list[dict[str, Any]]

    @property
    def headline(self) -> tuple[tuple[str, str, str], ...]:
        """What is shown first, as (level, scope, metric): at the level at which trailers are labelled."""
        return glossary.WHOLE_TRAILER_HEADLINE if self.data.timed_by_weak_labels else glossary.HEADLINE

    @property
    def judged_level(self) -> str:
        """The level at which the network is compared with baselines."""
        return self.headline[0][0]

    def sources_at(self, level: str) -> int:
        """Return how many groups of trailers take part at a level: what intervals draw."""
        taking_part = np.ones(len(self.data.timed), bool) if level in _TRAILER_LEVELS else self.data.timed
        return len(np.unique(self.data.group[taking_part]))

    def figure(self, level: str, scope: str, metric: str) -> Estimate:
        """Return one figure with its interval.

        Examples
        --------
        `evaluation.figure("frame_pooled", "macro", "average_precision").value`
        """
        return self._figure(level, self.levels[level][scope][metric])

    def baseline_figure(self, name: str, level: str, scope: str, metric: str) -> Estimate:
        """Return one figure of a baseline."""
        return self._figure(level, self.baselines[name].levels[level][scope][metric])

    def lead(self, name: str, scope: str = "macro", metric: str = "average_precision") -> Estimate:
        """Return the model's figure at `judged_level` less that of a baseline, on the same draws."""
        level = self.judged_level
        return self._figure(
            level, self.levels[level][scope][metric] - self.baselines[name].levels[level][scope][metric]
        )

    def _figure(self, level: str, draws: np.ndarray) -> Estimate:
        return bootstrap.estimate(draws, confidence=self.config.confidence, sources=self.sources_at(level))


def evaluate(
    labels: pd.DataFrame,
    scores: Mapping[str, pd.DataFrame],
    *,
    genres: Sequence[str] | None = None,
    thresholds: Mapping[str, float] | None = None,
    temperatures: Mapping[str, float] | None = None,
    exclusive: bool = False,
    baselines: Mapping[str, Mapping[str, pd.DataFrame]] | None = None,
    training_prevalence: Mapping[str, float] | None = None,
    cuts: Mapping[str, np.ndarray] | None = None,
    durations: Mapping[str, float] | None = None,
    segments: SegmentConfig | None = None,
    config: EvaluationConfig | None = None,
) -> Evaluation:
    """Evaluate raw scores against labels.

    Parameters
    ----------
    labels : DataFrame
        A label table (`genre_classifier.dataset.labels.read_labels`). Labels of trailers without scores, and of those
        that are not checked, are left out.
    scores : mapping of str to DataFrame
        Trailer -> raw score table, the trailer named as in the labels.
    genres : sequence of str, optional
        Those of the scores' genres that are evaluated, by default all; see `align`.
    thresholds, temperatures : mapping of str to float, optional
        Per genre, on the calibrated scale; 0.5 and 1 where not given.
    exclusive : bool
        Whether the scores are of genres that exclude each other, and sum to 1: the highest decides, no threshold.
    baselines : mapping of str to mapping, optional
        Name -> trailer -> score table, with the same frames and genres as `scores`.
    training_prevalence : mapping of str to float, optional
        Per genre, for the prevalence baseline; taken from the evaluated labels where not given.
    cuts : mapping of str to ndarray, optional
        Seconds of each trailer's cuts.
    durations : mapping of str to float, optional
        Seconds of each trailer, as the manifest has them; see `align`.
    segments : SegmentConfig, optional
        How scores become segments; by default as `tag` makes them.
    config : EvaluationConfig, optional

    Raises
    ------
    InputError
        If no trailer has both labels and scores, or frames or genres of scores, baselines and labels do not fit
        together.
    """
    config = config or EvaluationConfig()
    data = align(
        only_checked(labels),
        scores,
        genres=genres,
        thresholds=thresholds,
        temperatures=temperatures,
        exclusive=exclusive,
        durations=durations,
        segments=segments,
    )
    known = genres_of({name: scores[name] for name in data.trailers})
    weights = bootstrap.draw_weights(data.group, draws=config.draws, seed=config.seed)
    per_trailer = resampling.per_trailer_values(data)
    keep = data.timed_frames
    truth = trailer_metrics.true_genres(data.y_true, data.trailer)
    levels = {
        "frame_pooled": resampling.frames_pooled(data, weights),
        "frame_per_trailer": resampling.frames_averaged_over_trailers(data.genres, per_trailer, weights),
        "segment": resampling.segments(data, weights, config),
        "event": resampling.events(data, weights, config),
        "detection": resampling.detection(data, weights, config),
    }
    pools = (trailer_metrics.pool_mean, trailer_metrics.pool_maximum, trailer_metrics.pool_linear_softmax)
    for level, pool in zip(_TRAILER_LEVELS, pools, strict=True):
        pooled = pool(data.y_score, data.trailer)
        decided = data.decide(pooled, pool(data.y_others, data.trailer))
        levels[level] = resampling.trailers(data.genres, truth, pooled, decided, weights)
    for level, scored in (("probability_before", data.y_raw), ("probability_after", data.y_score)):
        levels[level] = resampling.probability(
            data.genres, data.y_true[keep], scored[keep], data.trailer[keep], weights, bins=config.ece_bins
        )
    return Evaluation(
        data=data,
        config=config,
        levels=levels,
        baselines={
            name: Baseline(resampling.ranking_levels(data, y_score, weights, bins=config.ece_bins))
            for name, y_score in _baseline_scores(data, known, baselines or {}, training_prevalence).items()
        },
        genres=_genre_details(data),
        reliability=_reliability(data, config.ece_bins),
        co_occurrence=failures.co_occurrence(data),
        worst_segments=failures.worst_segments(data),
        cut_distance=None if cuts is None else failures.errors_by_cut_distance(data, cuts),
        by_trailer=failures.trailers_by_score(data, per_trailer),
    )


def _baseline_scores(
    data: Aligned,
    known: Sequence[str],
    tables: Mapping[str, Mapping[str, pd.DataFrame]],
    training_prevalence: Mapping[str, float] | None,
) -> dict[str, np.ndarray]:
    """Stack every baseline's scores as the frames are stacked: float32, shape (frames, genres) each."""
    if training_prevalence is None:
        prevalence = data.y_true[data.timed_frames].mean(axis=0)
    else:
        prevalence = np.array([training_prevalence[genre] for genre in data.genres])
    found = {"prevalence": np.broadcast_to(prevalence.astype(np.float32), data.y_score.shape)}
    frames = np.bincount(data.trailer)
    for name, of_trailer in tables.items():
        for trailer, expected in zip(data.trailers, frames, strict=True):
            actual = len(of_trailer[trailer]) if trailer in of_trailer else 0
            if actual != expected:
                raise InputError(
                    f"baseline {name!r} has {actual} frames of trailer {trailer!r}, its scores {expected}; "
                    "expected the same frames"
                )
        genres_of({f"baseline {name!r} of trailer {of!r}": of_trailer[of] for of in data.trailers}, known)
        stacked = [of_trailer[trailer][list(data.genres)].to_numpy(dtype=np.float32) for trailer in data.trailers]
        found[name] = np.concatenate(stacked)
    if not data.timed_by_weak_labels:  # of whole trailers, the model gives only its average
        found["trailer_average"] = trailer_average(data.y_score, data.trailer)
    return found


def trailer_average(scores: np.ndarray, trailer_of_frame: np.ndarray) -> np.ndarray:
    """Replace every frame's scores by their mean over its trailer: what remains above it is what time adds.

    Parameters
    ----------
    scores : ndarray, shape (frames, genres)
    trailer_of_frame : ndarray of int, shape (frames,)
        0 ... trailers - 1.
    """
    frames = np.bincount(trailer_of_frame)
    sums = np.column_stack([np.bincount(trailer_of_frame, weights=column) for column in scores.T])
    return (sums / np.maximum(frames, 1)[:, None])[trailer_of_frame].astype(np.float32)


def _genre_details(data: Aligned) -> dict[str, dict[str, Any]]:
    keep = data.timed_frames
    shown = trailer_metrics.true_genres(data.y_true, data.trailer)
    details = {}
    for index, genre in enumerate(data.genres):
        truth, score = data.y_true[keep, index], data.y_score[keep, index]
        best, at = frame_metrics.best_f1(truth, score)
        details[genre] = {
            "frames": int(truth.sum()),
            "predicted_frames": int(data.y_pred[keep, index].sum()),
            "prevalence": float(counts.ratio(truth.sum(), truth.size)),
            "seconds": float(data.seconds[keep][truth].sum()),
            "trailers": int(shown[:, index].sum()),
            "labelled_events": len(data.references.of_genre(index)),
            "detected_events": len(data.detections.of_genre(index)),
            "threshold": float(data.thresholds[index]),
            "trapezoidal_area": frame_metrics.trapezoidal_area(truth, score),
            "best_f1": best,
            "best_f1_threshold": at,
        }
    return details


def _reliability(data: Aligned, bins: int) -> dict[str, dict[str, calibration.Reliability]]:
    keep = data.timed_frames
    return {
        genre: {
            when: calibration.reliability(data.y_true[keep, index], scored[keep, index], bins=bins)
            for when, scored in (("before", data.y_raw), ("after", data.y_score))
        }
        for index, genre in enumerate(data.genres)
    }
