"""Figures of predicted movies against scikit-learn and scikit-image; guesses and wins against hand-worked cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import structural_similarity as skimage_ssim
from sklearn import metrics as sklearn_metrics

from genre_classifier.moving_squares.movies import (
    METRICS,
    copy_last,
    extrapolate,
    f1_at_half,
    figures,
    roll_out_guess,
    wins_through,
)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(7, 20), cols=st.integers(7, 20), share=st.floats(0.05, 0.95))
def test_figures_are_those_of_the_libraries(seed: int, rows: int, cols: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    truth = (rng.random((3, rows, cols)) < share).astype(np.float32)
    predicted = np.clip(rng.normal(truth, 0.5), 0, 1).astype(np.float32)  # many exact zeros and ones
    flat, flat_predicted = truth.ravel(), predicted.ravel()
    confident = np.clip(flat_predicted.astype(np.float64), 1e-7, 1 - 1e-7)
    ssim = [skimage_ssim(true, said, data_range=1) for true, said in zip(truth, predicted, strict=True)]
    expected = {
        "bce": sklearn_metrics.log_loss(flat, confident, labels=[0, 1]),
        "mse": sklearn_metrics.mean_squared_error(flat, flat_predicted),
        "ssim": np.mean(ssim),
        "f1": sklearn_metrics.f1_score(flat, flat_predicted >= 0.5, zero_division=1),
    }
    found = {name: metric(truth, predicted) for name, metric in METRICS.items()}
    assert found == pytest.approx(expected, abs=1e-5)


def test_f1_without_anything_to_find() -> None:
    nothing = np.zeros((1, 2, 2))
    assert f1_at_half(nothing, nothing) == 1
    assert f1_at_half(nothing, nothing + 1) == 0


def test_guesses() -> None:
    pixels = np.array([[-0.1, 0.2, 0.5, 0.4]])  # one movie of one pixel
    np.testing.assert_allclose(copy_last(pixels), [[0, 0.2, 0.5, 0.4]])
    np.testing.assert_allclose(extrapolate(pixels), [[0, 0.5, 0.8, 0.3]])
    np.testing.assert_allclose(roll_out_guess(copy_last, pixels, 3), [[0.4, 0.4, 0.4]])
    np.testing.assert_allclose(roll_out_guess(extrapolate, pixels, 6), [[0.3, 0.2, 0.1, 0, 0, 0]], atol=1e-12)


def test_figures_per_horizon_and_where_winning_stops() -> None:
    truth = np.zeros((2, 3, 8, 8))
    truth[:, :, :4] = 1
    worse = np.abs(truth - 0.3)
    mixed = np.abs(truth - np.array([0.1, 0.3, 0.2])[:, None, None])  # at the second horizon as bad as the other
    measured = figures(truth, {"network": mixed, "copy": worse})
    assert measured["network"]["mse"] == pytest.approx([0.01, 0.09, 0.04])
    wins = wins_through(measured, "network")
    assert wins["mse"] == wins["bce"] == wins["ssim"] == 1
    assert wins["f1"] == 0  # both are right about every pixel: no win
    assert wins_through(figures(truth, {"network": truth, "copy": worse}), "network")["mse"] == 3
