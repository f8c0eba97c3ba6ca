"""The figures of each level of evaluation, for the data itself and for every bootstrap draw of its trailers at once.

Each function counts what every trailer adds, multiplies the counts with the weights of the draws and returns a table:
scope -> metric -> values of shape (draws + 1,), row 0 being the figure itself. Scopes are the genres and

- `macro`: the mean over the genres that the draw's trailers show, where the metric is defined; each counts alike,
- `micro`: all decisions of all genres in one pot; frequent genres count more,
- `weighted`: the mean over genres weighted by their support,
- `all`: figures that are not made of one per genre.

Ranking figures come from counts per level of score (`ranking`), moved so that row 0 is the exact figure of
scikit-learn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from genre_classifier.config import EvaluationConfig
from genre_classifier.evaluation.alignment import Aligned
from genre_classifier.metrics import calibration, counts, ranking
from genre_classifier.metrics import detection as detection_metrics
from genre_classifier.metrics import events as event_metrics
from genre_classifier.metrics import frames as frame_metrics
from genre_classifier.metrics import segments as segment_metrics
from genre_classifier.metrics import trailers as trailer_metrics

Table = dict[str, dict[str, np.ndarray]]

DETECTION_LEVELS = 512


def _anchored(exact: float, draws: np.ndarray) -> np.ndarray:
    """Move draws made from levels so that row 0 is the exact figure."""
    return draws + (exact - draws[0])


def _table(genres: Sequence[str], per_genre: Mapping[str, np.ndarray], support: np.ndarray) -> Table:
    """Arrange metrics of shape (draws, genres) by genre, and add macro and weighted means."""
    table: Table = {
        genre: {name: values[:, index] for name, values in per_genre.items()} for index, genre in enumerate(genres)
    }
    table["macro"] = {
        name: counts.mean_of_defined(np.where(support > 0, values, np.nan)) for name, values in per_genre.items()
    }
    table["weighted"] = {name: counts.weighted_mean_of_defined(values, support) for name, values in per_genre.items()}
    return table


def _decisions(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """Precision, recall and F1 of counts (..., 3, genres) -> (..., genres)."""
    tp, fp, fn = np.moveaxis(confusion, -2, 0)
    return {"precision": counts.precision(tp, fp), "recall": counts.recall(tp, fn), "f1": counts.f1(tp, fp, fn)}


def _decision_table(genres: Sequence[str], confusion: np.ndarray, weights: np.ndarray) -> Table:
    """Precision, recall and F1 of counts per trailer (trailers, 3, genres)."""
    drawn = np.einsum("dt,tcg->dcg", weights.astype(np.float64), confusion, optimize=True)
    table = _table(genres, _decisions(drawn), drawn[:, 0] + drawn[:, 2])
    table["micro"] = {name: values[:, 0] for name, values in _decisions(drawn.sum(axis=2, keepdims=True)).items()}
    return table


def _merged(*tables: Table) -> Table:
    scopes = dict.fromkeys(scope for table in tables for scope in table)
    return {scope: {name: v for table in tables for name, v in table.get(scope, {}).items()} for scope in scopes}


def _ranking_table(
    genres: Sequence[str], y_true: np.ndarray, y_score: np.ndarray, trailer: np.ndarray, weights: np.ndarray
) -> Table:
    """Average precision and ROC-AUC per genre, macro, weighted and micro."""
    trailers = weights.shape[1]

    def ranked(true: np.ndarray, score: np.ndarray, of: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
        found, tried = ranking.level_counts(true, score, of, trailers).drawn(weights)
        exact_ap = frame_metrics.average_precision(true, score)
        exact_auc = frame_metrics.roc_auc(true, score)
        figures = {
            "average_precision": _anchored(exact_ap, ranking.average_precision(found, tried)),
            "roc_auc": _anchored(exact_auc, ranking.roc_auc(found, tried)),
        }
        return figures, found.sum(axis=1)

    per_genre, supports = zip(*(ranked(y_true[:, g], y_score[:, g], trailer) for g in range(len(genres))), strict=True)
    columns = {name: np.column_stack([figures[name] for figures in per_genre]) for name in per_genre[0]}
    table = _table(genres, columns, np.column_stack(supports))
    table["micro"] = ranked(y_true.ravel(), y_score.ravel(), np.repeat(trailer, len(genres)))[0]
    return table


def frames_pooled(data: Aligned, weights: np.ndarray) -> Table:
    """All frames of all timed trailers in one pot: long trailers count more."""
    keep = data.timed_frames
    truth, score, trailer = data.y_true[keep], data.y_score[keep], data.trailer[keep]
    return _merged(
        _ranking_table(data.genres, truth, score, trailer, weights),
        _decision_table(data.genres, _frame_confusion(data), weights),
    )


def _frame_confusion(data: Aligned) -> np.ndarray:
    """Counts of frames, shape (trailers, 3, genres); 0 for trailers that are not timed."""
    keep, y_pred = data.timed_frames, data.y_pred
    cells = (data.y_true & y_pred, ~data.y_true & y_pred, data.y_true & ~y_pred)
    trailers = len(data.trailers)
    confusion = np.zeros((trailers, 3, len(data.genres)), dtype=np.int64)
    for kind, cell in enumerate(cells):
        for genre in range(len(data.genres)):
            confusion[:, kind, genre] = np.bincount(data.trailer[keep & cell[:, genre]], minlength=trailers)
    return confusion


def per_trailer_values(data: Aligned) -> dict[str, np.ndarray]:
    """Return frame-level average precision and F1 within each trailer: shape (trailers, genres), NaN: not defined.

    That is so of trailers labelled as wholes: all of their frames are alike.
    """
    precisions = np.full((len(data.trailers), len(data.genres)), np.nan)
    borders = np.searchsorted(data.trailer, np.arange(len(data.trailers) + 1))
    labelled_in_time = data.timed & ~data.weak
    for trailer in np.flatnonzero(labelled_in_time):
        own = slice(borders[trailer], borders[trailer + 1])
        for genre in range(len(data.genres)):
            precisions[trailer, genre] = frame_metrics.average_precision(
                data.y_true[own, genre], data.y_score[own, genre]
            )
    f1 = np.where(labelled_in_time[:, None], _decisions(_frame_confusion(data))["f1"], np.nan)
    return {"average_precision": precisions, "f1": f1}


def frames_averaged_over_trailers(
    genres: Sequence[str], values: Mapping[str, np.ndarray], weights: np.ndarray
) -> Table:
    """Means over trailers of what `per_trailer_values` found in each: every trailer counts alike."""
    per_genre = {}
    for name, found in values.items():
        defined = ~np.isnan(found)
        per_genre[name] = counts.ratio(weights @ np.where(defined, found, 0.0), weights @ defined.astype(np.float64))
    support = weights @ (~np.isnan(values["average_precision"])).astype(np.float64)
    return _table(genres, per_genre, support)


def segments(data: Aligned, weights: np.ndarray, config: EvaluationConfig) -> Table:
    """Cells of a fixed grid: precision, recall, F1, and the error rate with its parts in scope `all`."""
    confusion, errors = segment_metrics.cell_counts(
        data.references,
        data.detections,
        data.ends,
        data.timed,
        genres=len(data.genres),
        grid_seconds=config.grid_seconds,
    )
    table = _decision_table(data.genres, confusion, weights)
    table["all"] = segment_metrics.error_rates(weights.astype(np.float64) @ errors)
    return table


def events(data: Aligned, weights: np.ndarray, config: EvaluationConfig) -> Table:
    """Whole intervals with a collar: precision, recall, F1."""
    confusion = event_metrics.event_counts(
        data.references,
        data.detections,
        len(data.trailers),
        len(data.genres),
        collar_seconds=config.collar_seconds,
        offset_share=config.offset_share,
    )
    return _decision_table(data.genres, confusion, weights)


def detection(data: Aligned, weights: np.ndarray, config: EvaluationConfig) -> Table:
    """Average precision at each temporal IoU and their mean, per genre and macro."""
    tiou, trailers = np.asarray(config.tiou), len(data.trailers)
    names = [f"average_precision_at_{limit:.2f}" for limit in tiou]
    columns: dict[str, list[np.ndarray]] = {name: [] for name in [*names, "mean_average_precision"]}
    supports = []
    for genre in range(len(data.genres)):
        references, found = data.references.of_genre(genre), data.detections.of_genre(genre)
        right = detection_metrics.true_detections(references, found, tiou)
        exact = detection_metrics.average_precisions(references, found, right)
        level, levels = ranking.levels_of(found.score, np.any(right, axis=0), levels=DETECTION_LEVELS)
        cell = found.trailer * levels + level
        drawn_references = weights @ np.bincount(references.trailer, minlength=trailers).astype(np.float32)
        supports.append(drawn_references)
        tried = weights @ np.bincount(cell, minlength=trailers * levels).reshape(trailers, levels).astype(np.float32)
        at_limit = []
        for index in range(len(tiou)):
            hits = np.bincount(cell[right[index]], minlength=trailers * levels).reshape(trailers, levels)
            drawn_hits = weights @ hits.astype(np.float32)
            draws = detection_metrics.interpolated_average_precision(drawn_hits, tried, drawn_references)
            at_limit.append(_anchored(float(exact[index]), draws))
            columns[names[index]].append(at_limit[-1])
        columns["mean_average_precision"].append(np.mean(at_limit, axis=0))
    per_genre = {name: np.column_stack(values) for name, values in columns.items()}
    table = _table(data.genres, per_genre, np.column_stack(supports))
    del table["weighted"]
    return table


def _accuracy_table(genres: Sequence[str], y_true: np.ndarray, y_pred: np.ndarray, weights: np.ndarray) -> Table:
    """Share of the trailers decided rightly; not defined for a genre that all trailers of a draw show, or none."""
    drawn, showing = weights.sum(axis=1, keepdims=True), weights @ y_true.astype(np.float64)
    shares = counts.ratio(weights @ (y_true == y_pred).astype(np.float64), drawn)
    shares[(showing == 0) | (showing == drawn)] = np.nan
    return _table(genres, {"accuracy": shares}, showing)


def trailers(
    genres: Sequence[str], y_true: np.ndarray, y_score: np.ndarray, y_pred: np.ndarray, weights: np.ndarray
) -> Table:
    """Whole trailers, scores pooled: ranking, decisions, and in scope `all` figures of each trailer's own ranking.

    Parameters
    ----------
    y_true, y_score, y_pred : ndarray, shape (trailers, genres)
        Where each trailer shows exactly one genre, `all` says how often the one with the highest score is right, too.
    """
    confusion = np.stack([y_true & y_pred, ~y_true & y_pred, y_true & ~y_pred], axis=1)
    table = _merged(
        _ranking_table(genres, y_true, y_score, np.arange(len(y_true)), weights),
        _accuracy_table(genres, y_true, y_pred, weights),
        _decision_table(genres, confusion, weights),
    )
    per_trailer = {
        "sample_average_precision": trailer_metrics.sample_average_precisions(y_true, y_score),
        "label_ranking_average_precision": trailer_metrics.label_ranking_average_precisions(y_true, y_score),
    }
    table["all"] = {
        name: counts.ratio(weights @ np.nan_to_num(found), weights @ (~np.isnan(found)).astype(np.float64))
        for name, found in per_trailer.items()
    }
    wrong = counts.ratio(weights @ (y_true != y_pred).astype(np.float64), weights.sum(axis=1, keepdims=True))
    shown = weights @ y_true.astype(np.float64) > 0
    table["all"]["hamming_loss"] = counts.mean_of_defined(np.where(shown, wrong, np.nan))
    if (y_true.sum(axis=1) == 1).all() and y_true.any(axis=0).sum() > 1:
        table["all"] |= _first_genres(y_true, y_score, weights)
    return table


def _first_genres(y_true: np.ndarray, y_score: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Return how often the genre with the highest score is right, over trailers and over genres."""
    right = trailer_metrics.right_first_genres(y_true, y_score).astype(np.float64)
    showing = weights @ y_true.astype(np.float64)
    return {
        "top_1_accuracy": counts.ratio(weights @ right, weights.sum(axis=1)),
        "balanced_accuracy": counts.mean_of_defined(counts.ratio(weights @ (y_true * right[:, None]), showing)),
    }


def probability(
    genres: Sequence[str],
    y_true: np.ndarray,
    y_score: np.ndarray,
    trailer: np.ndarray,
    weights: np.ndarray,
    *,
    bins: int,
) -> Table:
    """Brier score and expected calibration error, per genre and macro."""
    trailers_number = weights.shape[1]
    exact_weights = weights.astype(np.float64)
    frames = exact_weights @ np.bincount(trailer, minlength=trailers_number)
    columns: dict[str, list[np.ndarray]] = {"brier": [], "expected_calibration_error": []}
    supports = []
    for genre in range(len(genres)):
        truth, score = y_true[:, genre], y_score[:, genre].astype(np.float64)
        supports.append(exact_weights @ np.bincount(trailer[truth], minlength=trailers_number))
        squares = np.bincount(trailer, weights=(score - truth) ** 2, minlength=trailers_number)
        columns["brier"].append(counts.ratio(exact_weights @ squares, frames))
        cell = trailer * bins + calibration.bin_of(score, bins=bins)
        per_bin = [
            exact_weights @ np.bincount(cell, weights=what, minlength=trailers_number * bins).reshape(-1, bins)
            for what in (np.ones(len(score)), truth.astype(np.float64), score)
        ]
        columns["expected_calibration_error"].append(calibration.expected_calibration_error(*per_bin))
    table = _table(
        genres, {name: np.column_stack(values) for name, values in columns.items()}, np.column_stack(supports)
    )
    del table["weighted"]
    return table


def ranking_levels(data: Aligned, y_score: np.ndarray, weights: np.ndarray, *, bins: int) -> dict[str, Table]:
    """Evaluate a scorer that has no thresholds of its own: frames, whole trailers, probability.

    Accuracy is at 0.5, or that of the highest score where genres exclude each other.

    Parameters
    ----------
    y_score : ndarray of float32, shape (frames, genres)
    """
    keep = data.timed_frames
    truth, score, trailer = data.y_true[keep], y_score[keep], data.trailer[keep]
    mean = trailer_metrics.pool_mean(y_score, data.trailer)
    maximum = trailer_metrics.pool_maximum(y_score, data.trailer)
    decided = frame_metrics.best_only(mean) if data.exclusive else mean >= calibration.DEFAULT_THRESHOLD
    of_trailers, numbers = trailer_metrics.true_genres(data.y_true, data.trailer), np.arange(len(mean))
    return {
        "frame_pooled": _ranking_table(data.genres, truth, score, trailer, weights),
        "trailer_mean": _merged(
            _ranking_table(data.genres, of_trailers, mean, numbers, weights),
            _accuracy_table(data.genres, of_trailers, decided, weights),
        ),
        "trailer_maximum": _ranking_table(data.genres, of_trailers, maximum, numbers, weights),
        "probability_after": probability(data.genres, truth, score, trailer, weights, bins=bins),
    }
