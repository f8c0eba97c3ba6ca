"""The loss of one output: frames where frames are labelled, a pooled score where only the trailer is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from genre_classifier.config import TrainingConfig
from genre_classifier.network.backend import Tensor
from genre_classifier.network.layers import PACKAGE

_EPSILON = 1e-7


def binary_crossentropy(targets: Tensor, scores: Tensor) -> Tensor:
    """Return the elementwise binary cross-entropy of scores in [0, 1], in nats; scores are kept 1e-7 off 0 and 1."""
    scores = ops.clip(scores, _EPSILON, 1 - _EPSILON)
    return -(targets * ops.log(scores) + (1 - targets) * ops.log(1 - scores))


def linear_softmax_pool(scores: Tensor, valid: Tensor) -> Tensor:
    """Pool the scores of a trailer's frames into one: sum of squares over sum, `(batch, frames)` to `(batch,)`.

    Source: Wang, Li, Metze, "A comparison of five multiple instance learning pooling functions for sound event
    detection with weak labeling", ICASSP 2019, eq. 5: each frame weighs in by its own score.
    """
    scores = ops.where(valid, scores, 0.0)
    return ops.sum(scores * scores, axis=1) / ops.maximum(ops.sum(scores, axis=1), _EPSILON)


def mean_logit_pool(scores: Tensor, valid: Tensor) -> Tensor:
    """Pool the scores of a trailer's frames into the score of their mean logit, `(batch, frames)` to `(batch,)`."""
    scores = ops.clip(scores, _EPSILON, 1 - _EPSILON)
    logits = ops.where(valid, ops.log(scores) - ops.log(1 - scores), 0.0)
    count = ops.maximum(ops.sum(ops.cast(valid, "float32"), axis=1), 1.0)
    return ops.sigmoid(ops.sum(logits, axis=1) / count)


POOLS = {"pool": linear_softmax_pool, "mean": mean_logit_pool}


@keras.saving.register_keras_serializable(PACKAGE)
class TrailerLoss(keras.losses.Loss):
    """Binary cross-entropy of one genre, averaged over the frames of each trailer and over the trailers of a batch.

    Called with `y_true` `(batch, frames, 2)` (target; 1 where the trailer's label is weak) or `(batch, frames, 1)`
    (all strong), `y_pred` `(batch, frames, 1)` and `sample_weight` `(batch, frames)`, 0 for padded frames. A weak
    trailer's loss is that of its pooled score; each frame counts with its weight, and the sum is divided by the number
    of real frames. A row with only padded frames is not a trailer.

    Parameters
    ----------
    label_smoothing : float
        Targets become `target * (1 - s) + s / 2`.
    pooling : {"pool", "mean"}
        Of weak trailers: linear softmax, or the mean of the logits.
    """

    def __init__(self, label_smoothing: float = 0.0, pooling: str = "pool", name: str = "trailer_loss") -> None:
        super().__init__(name=name)
        self.label_smoothing, self.pooling = label_smoothing, pooling

    def __call__(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        """Return the loss, a scalar."""
        y_pred = ops.cast(ops.convert_to_tensor(y_pred), "float32")
        y_true = ops.cast(ops.convert_to_tensor(y_true), "float32")
        targets, scores = y_true[..., 0], y_pred[..., 0]  # (batch, frames)
        targets = targets * (1 - self.label_smoothing) + self.label_smoothing / 2
        weights = ops.ones_like(scores) if sample_weight is None else ops.cast(sample_weight, "float32")
        valid = weights > 0
        losses = binary_crossentropy(targets, scores)
        if y_true.shape[-1] == 2:
            pooled = POOLS[self.pooling](scores, valid)[:, None]  # (batch, 1)
            losses = ops.where(y_true[..., 1] > 0, binary_crossentropy(targets, pooled), losses)
        real_frames = ops.maximum(ops.sum(ops.cast(valid, "float32"), axis=1), 1.0)
        rows = ops.cast(ops.any(valid, axis=1), "float32")
        return ops.sum(ops.sum(losses * weights, axis=1) / real_frames) / ops.maximum(ops.sum(rows), 1.0)

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the loss."""
        return {"label_smoothing": self.label_smoothing, "pooling": self.pooling, "name": self.name}


def exclusive_crossentropy(
    y_true: Sequence[Tensor],
    y_pred: Sequence[Tensor],
    sample_weight: Sequence[Tensor] = (),
    *,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Return the cross-entropy of genres of which each frame shows exactly one, a scalar.

    Averaged over the frames of each trailer and over the trailers of a batch, like `TrailerLoss`. A weak trailer's loss
    is that of the softmax of its frames' mean logits.

    Parameters
    ----------
    y_true, y_pred, sample_weight : sequence of tensors, one for each genre
        As `TrailerLoss` takes them; the scores of a frame sum to 1. Frames without a label, or of no genre, weigh 0.
    label_smoothing : float
        Targets become `target * (1 - s) + s / genres`.
    """
    targets = ops.stack([ops.cast(one[..., 0], "float32") for one in y_true], axis=-1)  # (batch, frames, genres)
    logs = ops.log(ops.clip(ops.concatenate([ops.cast(one, "float32") for one in y_pred], axis=-1), _EPSILON, 1.0))
    weights = ops.sum(targets, axis=-1)
    if len(sample_weight):
        weights = weights * sum(ops.cast(one, "float32") for one in sample_weight) / len(sample_weight)
    valid = ops.cast(weights > 0, "float32")
    count = ops.maximum(ops.sum(valid, axis=1), 1.0)
    smoothed = targets * (1 - label_smoothing) + label_smoothing / targets.shape[-1]
    losses = -ops.sum(smoothed * logs, axis=-1)
    if y_true[0].shape[-1] == 2:
        # Logarithms of a softmax are its logits, but for a number that all genres share, and their mean is too.
        mean = ops.sum(logs * valid[..., None], axis=1) / count[:, None]
        pooled = -ops.sum(smoothed * ops.log_softmax(mean, axis=-1)[:, None], axis=-1)
        losses = ops.where(y_true[0][..., 1] > 0, pooled, losses)
    rows = ops.cast(ops.any(valid > 0, axis=1), "float32")
    return ops.sum(ops.sum(losses * weights, axis=1) / count) / ops.maximum(ops.sum(rows), 1.0)


def trailer_loss(config: TrainingConfig, *, name: str = "trailer_loss") -> TrailerLoss:
    """Return the loss of an output that a training's options ask for."""
    return TrailerLoss(config.label_smoothing, "pool" if config.weak == "broadcast" else config.weak, name=name)
