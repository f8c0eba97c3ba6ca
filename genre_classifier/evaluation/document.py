"""An evaluation as a document: `metrics.json` and `per_genre.csv`.

The schema of `metrics.json` is described in `docs/formats/report.md`; `SCHEMA` counts its versions.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pandas as pd

from genre_classifier.evaluation.bootstrap import Estimate
from genre_classifier.evaluation.comparison import Comparison, verdict
from genre_classifier.evaluation.evaluate import Evaluation
from genre_classifier.metrics.calibration import Reliability

METRICS_SCHEMA = 1
NOT_DEFINED = "not defined"


@dataclasses.dataclass(frozen=True)
class About:
    """What was evaluated, in words.

    Attributes
    ----------
    run : str
        Name of the run or of the scores.
    split : str
        train, validation, test or all.
    trained_on : int
        Trailers among those evaluated that the run learned from (training or validation).
    temperatures : dict of str to float
        Per genre.
    notes : tuple of str
        What the reader must know, one sentence each.
    trained_on_timed : int
        Of `trained_on`, the trailers labelled in time.
    """

    run: str
    split: str
    trained_on: int
    temperatures: dict[str, float]
    notes: tuple[str, ...] = ()
    trained_on_timed: int = 0


def number(value: float, digits: int = 3) -> str:
    """Write a number for people, "not defined" for NaN."""
    return NOT_DEFINED if np.isnan(value) else f"{value:z.{digits}f}"  # z: no minus sign before zeros alone


def interval(estimate: Estimate, digits: int = 3) -> str:
    """Write an interval as text, empty if there is none."""
    if not estimate.has_interval:
        return ""
    between = " to " if estimate.low < 0 else "\u2013"  # a dash before a minus sign cannot be read
    return f"{number(estimate.low, digits)}{between}{number(estimate.high, digits)}"


def with_interval(estimate: Estimate, digits: int = 3) -> str:
    """Write a value and, in brackets, its interval."""
    return number(estimate.value, digits) + (f" ({interval(estimate, digits)})" if estimate.has_interval else "")


def _plain(value: Any) -> Any:
    """Turn NumPy values, tuples and NaN into what JSON knows; NaN and infinity become null."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, Estimate):
        return value.to_json()
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    return value


def baseline_verdicts(evaluation: Evaluation) -> dict[str, str]:
    """Say for each baseline whether the network's macro AP is better, worse or not shown to be either."""
    return {name: verdict(evaluation.lead(name)) for name in evaluation.baselines}


def metrics_document(evaluation: Evaluation, about: About, comparison: Comparison | None = None) -> dict[str, Any]:
    """Return the content of `metrics.json`: plain types only, null for what is not defined."""
    data = evaluation.data
    verdicts = baseline_verdicts(evaluation)
    document = {
        "schema": METRICS_SCHEMA,
        "evaluated": {
            "run": about.run,
            "split": about.split,
            "trailers": len(data.trailers),
            "trailer_names": list(data.trailers),
            "timed_trailers": int(data.timed.sum()),
            "weak_trailers": int(data.weak.sum()),
            "timed_by_weak_labels": data.timed_by_weak_labels,
            "trained_on": about.trained_on,
            "frames": len(data.times),
            "timed_frames": int(data.timed_frames.sum()),
            "seconds": float(data.seconds.sum()),
            "temperatures": about.temperatures,
            "notes": list(about.notes),
        },
        "options": evaluation.config.to_dict(),
        "headline": [
            {"level": level, "scope": scope, "metric": metric, **evaluation.figure(level, scope, metric).to_json()}
            for level, scope, metric in evaluation.headline
        ],
        "figures": {
            level: {
                scope: {metric: evaluation.figure(level, scope, metric) for metric in metrics}
                for scope, metrics in table.items()
            }
            for level, table in evaluation.levels.items()
        },
        "genres": evaluation.genres,
        "reliability": {
            genre: {when: _bins(reliability) for when, reliability in both.items()}
            for genre, both in evaluation.reliability.items()
        },
        "baselines": {
            name: {
                "verdict": verdicts[name],
                "lead": evaluation.lead(name),
                "figures": {
                    level: {
                        scope: {metric: evaluation.baseline_figure(name, level, scope, metric) for metric in metrics}
                        for scope, metrics in table.items()
                    }
                    for level, table in baseline.levels.items()
                },
            }
            for name, baseline in evaluation.baselines.items()
        },
        "where_it_goes_wrong": {
            "co_occurrence": {
                genre: dict(zip((*data.genres, "nothing"), row, strict=True))
                for genre, row in zip(data.genres, evaluation.co_occurrence, strict=True)
            },
            "worst_segments": [dataclasses.asdict(segment) for segment in evaluation.worst_segments],
            "errors_by_cut_distance": evaluation.cut_distance,
            "trailers": evaluation.by_trailer,
        },
        "comparison": None if comparison is None else _comparison(comparison),
    }
    plain: dict[str, Any] = _plain(document)
    return plain


def metrics_json(evaluation: Evaluation, about: About, comparison: Comparison | None = None) -> str:
    """Return `metrics.json` as text."""
    return json.dumps(metrics_document(evaluation, about, comparison), indent=1, allow_nan=False) + "\n"


def _bins(reliability: Reliability) -> dict[str, Any]:
    return {
        "edges": reliability.edges,
        "frames": reliability.frames,
        "mean_score": reliability.mean_score,
        "frequency": reliability.frequency,
    }


def _comparison(comparison: Comparison) -> dict[str, Any]:
    fields = ("level", "scope", "metric", "first", "second", "difference", "verdict")
    rows = [{field: getattr(row, field) for field in fields} for row in comparison.differences]
    return {"other": comparison.other, "differences": rows}


def per_genre_table(evaluation: Evaluation) -> pd.DataFrame:
    """Return the content of `per_genre.csv`: a row per genre, then macro, micro and weighted; text, "not defined" told.

    Columns: genre, frames (support), prevalence, trailers, threshold, the frame-level metrics pooled over frames with
    their intervals, F1 of segments and events, AP averaged over trailers, mAP at temporal IoU, AP, ROC-AUC and
    accuracy of whole trailers' mean scores, Brier score and calibration error.
    """
    columns = (
        ("average_precision", "frame_pooled", "average_precision"),
        ("roc_auc", "frame_pooled", "roc_auc"),
        ("precision", "frame_pooled", "precision"),
        ("recall", "frame_pooled", "recall"),
        ("f1", "frame_pooled", "f1"),
        ("average_precision_over_trailers", "frame_per_trailer", "average_precision"),
        ("segment_f1", "segment", "f1"),
        ("event_f1", "event", "f1"),
        ("detection_map", "detection", "mean_average_precision"),
        ("trailer_average_precision", "trailer_mean", "average_precision"),
        ("trailer_roc_auc", "trailer_mean", "roc_auc"),
        ("trailer_accuracy", "trailer_mean", "accuracy"),
        ("brier", "probability_after", "brier"),
        ("expected_calibration_error", "probability_after", "expected_calibration_error"),
    )
    details = ("frames", "prevalence", "trailers", "threshold", "trapezoidal_area", "best_f1")
    rows = []
    for scope in (*evaluation.data.genres, "macro", "micro", "weighted"):
        row: dict[str, str] = {"genre": scope}
        for name in details:
            row[name] = _cell(evaluation.genres[scope][name]) if scope in evaluation.genres else ""
        for name, level, metric in columns:
            known = metric in evaluation.levels[level].get(scope, {})
            estimate = evaluation.figure(level, scope, metric) if known else None
            row[name] = "" if estimate is None else _cell(estimate.value)
            if name in ("average_precision", "f1"):
                row[f"{name}_low"] = "" if estimate is None else _cell(estimate.low)
                row[f"{name}_high"] = "" if estimate is None else _cell(estimate.high)
        rows.append(row)
    return pd.DataFrame(rows)


def _cell(value: float) -> str:
    return NOT_DEFINED if np.isnan(value) else f"{value:.6g}"
