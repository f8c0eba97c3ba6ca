"""The loss against arithmetic by hand: padded, weak and strong trailers in one batch."""

from __future__ import annotations

import numpy as np
import pytest

from genre_classifier.config import TrainingConfig
from genre_classifier.network.losses import (
    TrailerLoss,
    exclusive_crossentropy,
    linear_softmax_pool,
    mean_logit_pool,
    trailer_loss,
)


def cross_entropy(target: float, score: float) -> float:
    return -(target * np.log(score) + (1 - target) * np.log(1 - score))


def test_strong_weak_and_padded_trailers_in_one_batch():
    scores = np.array([[0.2, 0.9, 0.6], [0.5, 0.1, 0.99], [0.3, 0.7, 0.8]])
    targets = np.array([[0, 1, 1], [1, 1, 0], [0, 0, 0]])
    weak = np.array([0, 1, 1])
    weights = np.array([[1.0, 2.0, 1.0], [1.5, 1.5, 0.0], [0.5, 0.5, 0.5]])  # the second trailer has two real frames
    smoothing = 0.1

    def smooth(target: float) -> float:
        return target * 0.9 + 0.05

    strong = [weights[0, t] * cross_entropy(smooth(targets[0, t]), scores[0, t]) for t in range(3)]
    pooled_1 = (0.5**2 + 0.1**2) / (0.5 + 0.1)
    pooled_2 = (0.3**2 + 0.7**2 + 0.8**2) / (0.3 + 0.7 + 0.8)
    by_hand = np.mean(
        [sum(strong) / 3, 1.5 * cross_entropy(smooth(1), pooled_1), 0.5 * cross_entropy(smooth(0), pooled_2)]
    )
    y_true = np.stack([targets, np.repeat(weak[:, None], 3, axis=1)], axis=-1).astype(np.float32)
    loss = TrailerLoss(smoothing)(y_true, scores[..., None].astype(np.float32), weights.astype(np.float32))
    assert float(loss) == pytest.approx(by_hand, abs=1e-6)


def test_all_strong_without_weights_is_keras_own_cross_entropy():
    import keras

    rng = np.random.default_rng(0)
    scores = rng.uniform(0.01, 0.99, (4, 7, 1)).astype(np.float32)
    targets = rng.integers(0, 2, (4, 7, 1)).astype(np.float32)
    expected = float(keras.losses.BinaryCrossentropy()(targets, scores))
    assert float(TrailerLoss()(targets, scores)) == pytest.approx(expected, abs=1e-6)


def test_pooling_stays_defined_and_between_the_scores():
    scores = np.array([[0.0, 0.0], [1.0, 0.0], [0.4, 0.4]], np.float32)
    pooled = np.asarray(linear_softmax_pool(scores, np.ones((3, 2), bool)))
    np.testing.assert_allclose(pooled, [0, 1, 0.4], atol=1e-6)


def test_the_value_of_a_padded_frame_changes_nothing():
    rng = np.random.default_rng(1)
    scores = rng.uniform(0.1, 0.9, (2, 5, 1)).astype(np.float32)
    y_true = np.ones((2, 5, 2), np.float32)
    y_true[1, :, 1] = 0
    weights = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 0]], np.float32)
    loss = float(TrailerLoss()(y_true, scores, weights))
    scores[0, 3:], scores[1, 4:] = 0.999, 0.001
    y_true[0, 3:, 0], y_true[1, 4:, 0] = 0, 0
    assert float(TrailerLoss()(y_true, scores, weights)) == pytest.approx(loss, abs=1e-7)


def test_weak_trailers_can_be_learned_through_the_mean_of_their_logits():
    scores = np.array([[0.2, 0.9, 0.6, 0.5]], np.float32)
    logits = np.log(scores / (1 - scores))[0, :3]  # the fourth frame is padded
    pooled = 1 / (1 + np.exp(-logits.mean()))
    np.testing.assert_allclose(mean_logit_pool(scores, np.array([[1, 1, 1, 0]], bool)), [pooled], rtol=1e-5)
    y_true = np.array([[[1, 1]] * 4], np.float32)
    weights = np.array([[1, 1, 1, 0]], np.float32)
    loss = trailer_loss(TrainingConfig(weak="mean"))
    assert float(loss(y_true, scores[..., None], weights)) == pytest.approx(cross_entropy(1, pooled), abs=1e-5)
    extremes = np.asarray(mean_logit_pool(np.array([[0, 1], [1, 1], [0, 0]], np.float32), np.ones((3, 2), bool)))
    np.testing.assert_allclose(extremes, [0.5, 1, 0], atol=0.03)  # 1 - 1e-7 is not a number of float32


def softmax(logits):
    shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shares / shares.sum(axis=-1, keepdims=True)


def exclusive_batch():
    """Return scores, genres, weights and which trailer is weak: one strong, one weak, one padding."""
    rng = np.random.default_rng(4)
    scores = softmax(rng.normal(size=(3, 5, 3)) * 2)
    targets = np.eye(3)[[[0, 0, 1, 2, 0], [2, 2, 2, 2, 2], [0, 0, 0, 0, 0]]]
    targets[0, 3] = 0  # of no genre
    weights = np.array([[1, 2, 1, 1, 0], [1, 1, 1, 0, 0], [0, 0, 0, 0, 0]], float)
    return scores, targets, weights, np.array([0, 1, 0])


def by_output(scores, targets, weights, weak):
    """Split a batch as the network has it: one array for each genre."""
    flags = np.broadcast_to(weak[:, None], targets.shape[:2])
    y_true = [np.stack([targets[..., genre], flags], axis=-1).astype(np.float32) for genre in range(3)]
    y_pred = [scores[..., genre, None].astype(np.float32) for genre in range(3)]
    return y_true, y_pred, [weights.astype(np.float32)] * 3


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_genres_that_exclude_each_other_in_one_batch(smoothing):
    scores, targets, weights, weak = exclusive_batch()
    smooth = targets * (1 - smoothing) + smoothing / 3
    strong = [-weights[0, t] * smooth[0, t] @ np.log(scores[0, t]) for t in range(3)]
    pooled = softmax(np.log(scores[1, :3]).mean(axis=0))
    by_hand = (sum(strong) / 3 - smooth[1, 0] @ np.log(pooled)) / 2  # two trailers have labels
    batch = by_output(scores, targets, weights, weak)
    loss = exclusive_crossentropy(*batch, label_smoothing=smoothing)
    assert float(loss) == pytest.approx(by_hand, abs=1e-6)
    scores[0, 3:], scores[1, 3:], scores[2] = 1 / 3, 0.98, 0.5  # neither padding nor frames of no genre count
    assert float(exclusive_crossentropy(*by_output(scores, targets, weights, weak), label_smoothing=smoothing)) == (
        pytest.approx(by_hand, abs=1e-6)
    )


def test_without_weights_and_weak_labels_it_is_keras_own_cross_entropy():
    import keras

    rng = np.random.default_rng(0)
    scores = softmax(rng.normal(size=(4, 7, 3))).astype(np.float32)
    targets = np.eye(3, dtype=np.float32)[rng.integers(0, 3, (4, 7))]
    expected = float(keras.losses.CategoricalCrossentropy()(targets, scores))
    y_true, y_pred = ([one[..., genre, None] for genre in range(3)] for one in (targets, scores))
    assert float(exclusive_crossentropy(y_true, y_pred)) == pytest.approx(expected, abs=1e-6)


def test_a_batch_without_labels_adds_nothing():
    scores, targets, weights, weak = exclusive_batch()
    assert float(exclusive_crossentropy(*by_output(scores, targets, 0 * weights, weak))) == 0
