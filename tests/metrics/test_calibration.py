"""Temperature, thresholds, Brier score and calibration error against known answers and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from genre_classifier.metrics import calibration


def test_the_temperature_that_distorted_the_scores_is_found():
    rng = np.random.default_rng(0)
    honest = rng.uniform(0.02, 0.98, size=(20_000, 3))
    y_true = rng.random(honest.shape) < honest
    temperatures = np.array([0.5, 1.0, 2.5])
    raw = expit(logit(honest) * temperatures)  # too flat, right, too sharp
    found = calibration.fit_temperatures(y_true, raw)
    np.testing.assert_allclose(found, temperatures, rtol=0.05)
    np.testing.assert_allclose(calibration.apply_temperature(raw, temperatures), honest, atol=1e-4)


def test_nothing_is_learned_where_there_is_nothing_to_learn():
    y_true = np.column_stack([np.zeros(5), np.ones(5)])
    raw = np.full((5, 2), 0.3)
    np.testing.assert_array_equal(calibration.fit_temperatures(y_true, raw), [1, 1])
    thresholds = calibration.best_f1_thresholds(y_true, raw)
    assert thresholds[0] == calibration.DEFAULT_THRESHOLD
    assert 0 < thresholds[1] <= 0.3  # everything is positive: everything is predicted


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1, width=32)), min_size=1, max_size=50))
def test_thresholds_are_ones_that_segments_accept(rows):
    y_true = np.array([[row[0]] for row in rows])
    y_score = np.array([[row[1]] for row in rows], dtype=np.float32)
    threshold = calibration.best_f1_thresholds(y_true, y_score)[0]
    assert 0 < threshold <= 1


def in_float64(raw, temperatures):
    """Calibrate as another program does that reads raw scores and temperatures."""
    return expit(logit(np.clip(raw.astype(np.float64), 1e-7, 1 - 1e-7)) / temperatures)


@pytest.mark.parametrize("temperature", [0.7, 1.3, 2.0, 3.3])
def test_a_threshold_that_admits_all_but_the_highest_or_everything_lies_on_no_score(temperature):
    raw = np.full((288, 1), 1e-9, dtype=np.float32)  # the network is sure, and wrong
    raw[:2] = 0.3
    y_true = np.ones((288, 1), dtype=bool)
    y_true[:5] = False
    found = calibration.fit_calibration(y_true, raw, ["comedy"])
    scores = calibration.apply_temperature(raw, np.array([temperature]))
    threshold = calibration.best_f1_thresholds(y_true, scores)
    assert (scores >= threshold).all()
    assert (in_float64(raw, temperature) >= threshold).all()
    assert (in_float64(raw, found.temperatures["comedy"]) >= found.thresholds["comedy"]).all()


@given(
    st.floats(0.2, 5),
    st.lists(st.tuples(st.booleans(), st.floats(2**-20, 1, width=32), st.integers(-3, 3)), min_size=1, max_size=30),
)
def test_rounding_moves_no_frame_across_a_threshold(temperature, rows):
    """Scores that differ in their last bits alone, of which a threshold between could not be written down."""
    y_true = np.array([[row[0]] for row in rows])
    near = np.array([[row[1] + row[2] * np.spacing(np.float32(row[1]))] for row in rows])
    raw = np.clip(near, 0, 1).astype(np.float32)
    scores = calibration.apply_temperature(raw, np.array([temperature]))
    threshold = calibration.best_f1_thresholds(y_true, scores)
    decided = scores >= threshold
    np.testing.assert_array_equal(in_float64(raw, temperature) >= threshold, decided)
    np.testing.assert_array_equal(scores.astype(np.float64) >= threshold.astype(np.float32), decided)


@given(st.floats(0.1, 10), st.lists(st.floats(0, 1, width=32), min_size=2, max_size=20))
def test_temperature_keeps_the_order_and_the_range(temperature, scores):
    raw = np.sort(np.array(scores, dtype=np.float32))[:, None]
    calibrated = calibration.apply_temperature(raw, np.array([temperature]))
    assert ((calibrated >= 0) & (calibrated <= 1)).all()
    assert (np.diff(calibrated[:, 0]) >= 0).all()


def test_temperature_one_changes_no_bit():
    raw = np.random.default_rng(0).random((10, 6)).astype(np.float32)
    np.testing.assert_array_equal(calibration.apply_temperature(raw, np.ones(6)), raw)


@given(
    st.lists(
        st.tuples(st.booleans(), st.booleans(), st.floats(0, 1, width=32), st.floats(0.01, 1)), min_size=2, max_size=30
    )
)
def test_lowered_logits_have_the_mean_of_the_truth_and_need_no_more(rows):
    y_true, y_score = np.array([row[:2] for row in rows]), np.array([[row[2], 1 - row[2]] for row in rows])
    weights = np.array([row[3] for row in rows])
    shares = np.average(y_true, axis=0, weights=weights)
    logits = logit(np.clip(y_score, 1e-7, 1 - 1e-7))
    matched = expit(logits - calibration.prevalence_offsets(y_true, y_score, weights))
    learnable = y_true.any(axis=0) & ~y_true.all(axis=0)
    np.testing.assert_allclose(np.average(matched, axis=0, weights=weights)[learnable], shares[learnable], atol=1e-9)
    np.testing.assert_allclose(matched[:, ~learnable], expit(logits)[:, ~learnable])  # nothing to learn


def test_the_offset_is_the_intercept_of_a_logistic_regression():
    rng = np.random.default_rng(2)
    logits, weights = rng.normal(1, 2, size=400), rng.uniform(0.1, 1, size=400)
    y_true = rng.random(400) < expit(logits - 0.8)
    offset = calibration.prevalence_offsets(y_true[:, None], expit(logits)[:, None], weights)[0]

    def log_loss(offset):
        return np.average(np.logaddexp(0, np.where(y_true, -1, 1) * (logits - offset)), weights=weights)

    assert min((-0.01, 0, 0.01), key=lambda step: log_loss(offset + step)) == 0
    assert offset == pytest.approx(0.8, abs=0.3)


def test_calibration_error_of_a_hand_worked_case():
    # Bins of 0.5: two frames at 0.2 with one positive, two at 0.9 with both positive.
    y_true, y_score = np.array([True, False, True, True]), np.array([0.2, 0.2, 0.9, 0.9])
    found = calibration.reliability(y_true, y_score, bins=2)
    np.testing.assert_array_equal(found.frames, [2, 2])
    np.testing.assert_allclose(found.mean_score, [0.2, 0.9])
    np.testing.assert_allclose(found.frequency, [0.5, 1.0])
    error = calibration.expected_calibration_error(found.frames, found.positives, found.score_sum)
    assert error == pytest.approx(0.5 * 0.3 + 0.5 * 0.1)


def test_edges_of_bins_and_empty_bins():
    found = calibration.reliability(np.array([True, True, True]), np.array([0.0, 0.5, 1.0]), bins=2)
    np.testing.assert_array_equal(found.frames, [1, 2])  # 0.5 falls into the bin above, 1 into the last
    empty = calibration.reliability(np.zeros(0, dtype=bool), np.zeros(0), bins=2)
    assert np.isnan(empty.frequency).all()
    assert np.isnan(calibration.expected_calibration_error(empty.frames, empty.positives, empty.score_sum))


def softmax(values):
    shares = np.exp(values - values.max(axis=-1, keepdims=True))
    return shares / shares.sum(axis=-1, keepdims=True)


def exclusive_frames(seed=0, frames=20_000):
    """Return logits of three genres that exclude each other, and frames that follow their softmax."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(frames, 3)) * 2
    shown = (rng.random((frames, 1)) > np.cumsum(softmax(logits), axis=1)[:, :2]).sum(axis=1)
    return logits, np.eye(3)[shown] > 0


def test_genres_that_exclude_each_other_have_one_temperature_and_go_on_summing_to_one():
    logits, y_true = exclusive_frames()
    raw = softmax(logits * 1.8).astype(np.float32)  # too sharp
    found = calibration.fit_temperatures(y_true, raw, exclusive=True)
    assert len(set(found)) == 1
    np.testing.assert_allclose(found, 1.8, rtol=0.05)
    calibrated = calibration.apply_temperature(raw, np.full(3, 1.8), exclusive=True)
    np.testing.assert_allclose(calibrated, softmax(logits), atol=1e-3)
    np.testing.assert_allclose(calibrated.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(calibrated.argmax(axis=1), raw.argmax(axis=1))
    np.testing.assert_array_equal(calibration.apply_temperature(raw, np.ones(3), exclusive=True), raw)
    named = calibration.fit_calibration(y_true, raw, ["a", "b", "c"], exclusive=True)
    assert set(named.temperatures.values()) == set(map(float, found))
    assert set(named.thresholds.values()) == {1 / 3}  # the highest score decides


def test_without_frames_nothing_is_fitted():
    assert calibration.no_calibration("abcd").thresholds["a"] == 0.5
    assert calibration.no_calibration("abcd", exclusive=True).thresholds["a"] == 0.25
    none = np.zeros((0, 4))
    assert calibration.fit_calibration(none, none, "abcd", exclusive=True) == (
        dict.fromkeys("abcd", 0.25),
        dict.fromkeys("abcd", 1.0),
    )


def test_one_genre_alone_says_nothing_of_the_temperature():
    y_true = np.eye(3)[[1, 1, 1]] > 0
    found = calibration.fit_temperatures(y_true, np.full((3, 3), 1 / 3), exclusive=True)
    np.testing.assert_array_equal(found, np.ones(3))


def test_shares_of_genres_that_exclude_each_other_are_matched():
    logits, y_true = exclusive_frames(frames=500)
    raw = softmax(logits + np.array([1.0, -0.5, 0.3]))
    weights = np.random.default_rng(1).uniform(0.5, 2, len(raw))
    offsets = calibration.prevalence_offsets(y_true, raw, weights, exclusive=True)
    matched = softmax(np.log(raw) - offsets)
    np.testing.assert_allclose(
        np.average(matched, axis=0, weights=weights), np.average(y_true, axis=0, weights=weights), atol=1e-6
    )
    assert offsets[0] > offsets[2] > offsets[1]
    assert offsets.sum() == pytest.approx(0, abs=1e-9)


def test_genres_that_no_frame_shows_keep_their_scores():
    logits, y_true = exclusive_frames(frames=500)
    raw = softmax(np.hstack([logits, np.zeros((500, 1))]))
    truth = np.hstack([y_true, np.zeros((500, 1), bool)])
    offsets = calibration.prevalence_offsets(truth, raw, np.ones(500), exclusive=True)
    assert offsets[3] == 0
    assert np.abs(offsets[:3]).max() > 1e-3
    for alone in (truth[:, [3, 3]], np.eye(2)[np.zeros(500, int)] > 0):
        np.testing.assert_array_equal(
            calibration.prevalence_offsets(alone, raw[:, :2], np.ones(500), exclusive=True), [0, 0]
        )
