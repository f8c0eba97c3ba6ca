"""How a network does on trailers that it does not learn from: loss, average precision of each genre, calibration.

Trailers are scored once; everything else follows from the scores.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np

from genre_classifier.config import ModelConfig, TrainingConfig
from genre_classifier.dataset.trailers import Trailer
from genre_classifier.metrics.calibration import (
    Calibration,
    fit_calibration,
    no_calibration,
    prevalence_offsets,
)
from genre_classifier.metrics.frames import average_precision
from genre_classifier.network.losses import exclusive_crossentropy, trailer_loss
from genre_classifier.network.streaming import score_clip

FEWEST_OF_A_THRESHOLD = 5  # trailers; of fewer it would follow the accidents of each
VALIDATION_CHUNK = 64  # frames scored at once; scores do not depend on it


class Scored(NamedTuple):
    """A trailer and what a network gives for its frames: raw scores, float32 (frames, genres)."""

    trailer: Trailer
    scores: np.ndarray


def score_trailers(model: keras.Model, trailers: Sequence[Trailer], config: TrainingConfig) -> list[Scored]:
    """Score trailers as the training's options say."""
    return [
        Scored(trailer, score_clip(model, trailer.open(), chunk=VALIDATION_CHUNK, precision=config.precision))
        for trailer in trailers
    ]


def calibrate(scored: Sequence[Scored], config: ModelConfig) -> Calibration:
    """Fit thresholds and temperatures on the frames of trailers; without trailers nothing is fitted.

    The threshold of a genre that fewer than `FEWEST_OF_A_THRESHOLD` trailers show stays where it is without any.
    """
    genres, exclusive = config.genres, config.one_genre_per_frame
    unfitted = no_calibration(genres, exclusive=exclusive)
    if not scored:
        return unfitted
    fitted = fit_calibration(*_pooled(scored), genres, exclusive=exclusive)
    shown = np.sum([trailer.genres for trailer, _ in scored], axis=0)
    rare = [genre for genre, count in zip(genres, shown, strict=True) if count < FEWEST_OF_A_THRESHOLD]
    return fitted._replace(thresholds=fitted.thresholds | {genre: unfitted.thresholds[genre] for genre in rare})


def logit_offsets(scored: Sequence[Scored], config: ModelConfig) -> dict[str, float]:
    """Return per genre how far the logits are too high for the share of the trailers; each trailer counts alike.

    See `genre_classifier.metrics.calibration.prevalence_offsets`.
    """
    counts = [int(trailer.labelled.sum()) for trailer, _ in scored]
    weights = np.concatenate([np.full(count, 1 / max(count, 1)) for count in counts])
    offsets = prevalence_offsets(*_pooled(scored), weights, exclusive=config.one_genre_per_frame)
    return dict(zip(config.genres, map(float, offsets), strict=True))


def validate(scored: Sequence[Scored], config: TrainingConfig, model_config: ModelConfig) -> dict[str, float]:
    """Return val_loss, val_macro_ap and val_<genre>_ap; NaN where they are not defined.

    Average precision is pooled over all frames; a genre without a positive frame is left out of the mean.
    """
    genres = model_config.genres
    if not scored:
        return dict.fromkeys(("val_loss", "val_macro_ap", *(f"val_{genre}_ap" for genre in genres)), math.nan)
    loss = trailer_loss(config)
    total = 0.0
    for trailer, scores in scored:
        weak = np.full(len(scores), trailer.weak and config.weak != "broadcast", dtype=np.float32)
        y_true = [np.stack([target, weak], axis=-1)[None] for target in trailer.targets.T]  # (1, frames, 2) each
        y_pred = [scores[None, :, column : column + 1] for column in range(len(genres))]
        if model_config.one_genre_per_frame:
            total += float(exclusive_crossentropy(y_true, y_pred, label_smoothing=config.label_smoothing))
        else:
            total += sum(float(loss(truth, found)) for truth, found in zip(y_true, y_pred, strict=True))
    truths, y_score = _pooled(scored)
    per_genre = [average_precision(truths[:, column], y_score[:, column]) for column in range(len(genres))]
    defined = [value for value in per_genre if value is not None and not math.isnan(value)]
    return {
        "val_loss": total / len(scored),
        "val_macro_ap": float(np.mean(defined)) if defined else math.nan,
        **{
            f"val_{genre}_ap": math.nan if value is None else float(value)
            for genre, value in zip(genres, per_genre, strict=True)
        },
    }


def _pooled(scored: Sequence[Scored]) -> tuple[np.ndarray, np.ndarray]:
    """Return the frames of all trailers that have labels, bool and float32, (frames, genres)."""
    return (
        np.concatenate([trailer.targets[trailer.labelled] for trailer, _ in scored]) > 0,
        np.concatenate([scores[trailer.labelled] for trailer, scores in scored]),
    )
