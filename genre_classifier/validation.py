"""How a network does on trailers that it does not learn from: the loss and the average precision of each genre."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import numpy as np

from genre_classifier.config import TrainingConfig
from genre_classifier.dataset import Trailer
from genre_classifier.evaluation.frame_metrics import average_precision
from genre_classifier.genres import GENRES
from genre_classifier.losses import TrailerLoss
from genre_classifier.streaming import score_clip
from preprocessing.clips import load_clip

SCORING_CHUNK = 64  # frames scored at once; scores do not depend on it


def validate(model: keras.Model, trailers: Sequence[Trailer], config: TrainingConfig) -> dict[str, float]:
    """Return val_loss, val_macro_ap and val_<genre>_ap; NaN where they are not defined.

    Average precision is pooled over all frames; a genre without a positive frame is left out of the mean.
    """
    scored = [(trailer, raw_scores(model, trailer, config)) for trailer in trailers]
    if not scored:
        return dict.fromkeys(("val_loss", "val_macro_ap", *(f"val_{genre}_ap" for genre in GENRES)), math.nan)
    loss = TrailerLoss(config.label_smoothing)
    total = 0.0
    for trailer, scores in scored:
        weak = np.full(len(scores), trailer.weak and config.weak == "pool", dtype=np.float32)
        for column in range(len(GENRES)):
            y_true = np.stack([trailer.targets[:, column], weak], axis=-1)[None]  # (1, frames, 2)
            total += float(loss(y_true, scores[None, :, column : column + 1]))
    y_true = np.concatenate([trailer.targets for trailer, _ in scored]) > 0
    y_score = np.concatenate([scores for _, scores in scored])
    per_genre = [average_precision(y_true[:, column], y_score[:, column]) for column in range(len(GENRES))]
    defined = [value for value in per_genre if value is not None and not math.isnan(value)]
    return {
        "val_loss": total / len(scored),
        "val_macro_ap": float(np.mean(defined)) if defined else math.nan,
        **{
            f"val_{genre}_ap": math.nan if value is None else float(value)
            for genre, value in zip(GENRES, per_genre, strict=True)
        },
    }


def raw_scores(model: keras.Model, trailer: Trailer, config: TrainingConfig) -> np.ndarray:
    """Return the raw scores of one trailer, float32 (frames, 6)."""
    return score_clip(model, load_clip(trailer.clip), chunk=SCORING_CHUNK, precision=config.precision)
