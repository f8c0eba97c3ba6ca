"""Uncertainty: levels against exact figures, draws against plain loops, coverage by simulation."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from genre_classifier.config import EvaluationConfig
from genre_classifier.evaluation import bootstrap
from genre_classifier.evaluation.evaluate import evaluate
from genre_classifier.genres import GENRES
from genre_classifier.metrics import calibration, counts, ranking
from tests.support.evaluation_cases import made_up


def test_row_zero_is_the_data_itself_and_seeds_repeat():
    weights = bootstrap.draw_weights(np.arange(7), draws=50, seed=3)
    assert weights.shape == (51, 7)
    np.testing.assert_array_equal(weights[0], 1)
    np.testing.assert_array_equal(weights.sum(axis=1), 7)
    np.testing.assert_array_equal(weights, bootstrap.draw_weights(np.arange(7), draws=50, seed=3))
    assert (weights != bootstrap.draw_weights(np.arange(7), draws=50, seed=4)).any()


def test_estimate_is_a_percentile_interval_over_defined_draws():
    draws = np.concatenate([[0.5], np.linspace(0, 1, 101)])
    found = bootstrap.estimate(draws, confidence=0.9, sources=5)
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.05, 0.95))
    mostly_undefined = np.where(np.arange(102) % 5 == 1, np.nan, draws)
    assert not bootstrap.estimate(mostly_undefined, confidence=0.9, sources=5).has_interval
    assert not bootstrap.estimate(draws, confidence=0.9, sources=1).has_interval
    nothing = bootstrap.estimate(np.full(102, np.nan), confidence=0.9, sources=5)
    assert nothing.to_json() == {"value": None, "low": None, "high": None}


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6), st.integers(0, 3)), min_size=1, max_size=60))
def test_levels_give_the_figures_of_the_repeated_items(rows):
    true, score, trailer = (np.array(column) for column in zip(*rows, strict=True))
    score = score / 6
    weights = bootstrap.draw_weights(np.arange(4), draws=5, seed=len(rows))
    found, tried = ranking.level_counts(true, score, trailer, 4).drawn(weights)
    precisions, areas = ranking.average_precision(found, tried), ranking.roc_auc(found, tried)
    for draw, weight in enumerate(weights):
        again = np.repeat(np.arange(len(rows)), weight[trailer].astype(int))  # the plain way: items taken again
        y_true, y_score = true[again], score[again]
        if y_true.any():
            assert precisions[draw] == pytest.approx(sk.average_precision_score(y_true, y_score))
        else:
            assert np.isnan(precisions[draw])
        if y_true.any() and not y_true.all():
            assert areas[draw] == pytest.approx(sk.roc_auc_score(y_true, y_score))
        else:
            assert np.isnan(areas[draw])


@pytest.mark.parametrize("prevalence", [0.01, 0.3])
def test_shared_levels_cost_less_than_a_thousandth(prevalence):
    rng = np.random.default_rng(0)
    true = rng.random(60_000) < prevalence
    score = 1 / (1 + np.exp(-(rng.normal(size=true.size) + 2 * true)))
    trailer = np.repeat(np.arange(20), 3000)
    found, tried = ranking.level_counts(true, score, trailer, 20).drawn(np.ones((1, 20), dtype=np.float32))
    assert found.shape[1] <= ranking.LEVELS
    assert ranking.average_precision(found, tried)[0] == pytest.approx(
        sk.average_precision_score(true, score), abs=1e-3
    )
    assert ranking.roc_auc(found, tried)[0] == pytest.approx(sk.roc_auc_score(true, score), abs=1e-3)


def test_draws_of_every_level_are_those_of_trailers_taken_again():
    """Evaluate copies of the drawn trailers under new names: each figure must be that of the draw."""
    labels, scores = made_up(trailers=5, frames=50)
    config = EvaluationConfig(draws=4, seed=2)
    options = {"thresholds": dict.fromkeys(GENRES, 0.55), "temperatures": dict.fromkeys(GENRES, 1.5)}
    whole = evaluate(labels, scores, config=config, **options)
    weights = bootstrap.draw_weights(np.arange(5), draws=4, seed=2)
    for draw in range(1, 5):
        copied_labels, copied_scores = [], {}
        for trailer, times_taken in zip(whole.data.trailers, weights[draw], strict=True):
            for copy in range(int(times_taken)):
                name = f"{trailer} copy {copy}"
                copied_labels.append(labels[labels["trailer"] == trailer].assign(trailer=name))
                copied_scores[name] = scores[trailer]
        taken = evaluate(pd.concat(copied_labels), copied_scores, config=config, **options)
        compared = 0
        for level, table in whole.levels.items():
            for scope, metrics in table.items():
                for metric, draws in metrics.items():
                    np.testing.assert_allclose(
                        draws[draw],
                        taken.levels[level][scope][metric][0],
                        atol=1e-5,
                        err_msg=f"{level} {scope} {metric}",
                    )
                    compared += 1
        assert compared > 300


def coverage(simulate, figure, truth, *, trailers, rounds=800, draws=300):
    """Share of simulated data sets whose 95 % interval holds the truth."""
    inside = 0
    for round_number in range(rounds):
        rng = np.random.default_rng([1, round_number])  # no stream in common with the draws
        values = figure(
            simulate(rng, trailers), bootstrap.draw_weights(np.arange(trailers), draws=draws, seed=round_number)
        )
        found = bootstrap.estimate(values, confidence=0.95, sources=trailers)
        inside += found.low <= truth <= found.high
    return inside / rounds


FRAMES = 40


def simulate_trailers(rng, trailers):
    """Frames whose labels and scores share a trailer's own difficulty: what makes intervals over frames too narrow."""
    difficulty = rng.normal(0, 0.7, size=(trailers, 1))
    true = rng.random((trailers, FRAMES)) < 0.3
    logits = 1.5 * true - 0.75 + difficulty + rng.normal(size=true.shape)
    return true, 1 / (1 + np.exp(-logits))


def f1_draws(data, weights):
    true, score = data
    pred = score >= 0.5
    per_trailer = [(true & pred).sum(1), (~true & pred).sum(1), (true & ~pred).sum(1)]
    return counts.f1(*(weights.astype(float) @ count for count in per_trailer))


def average_precision_draws(data, weights):
    true, score = data
    trailer = np.repeat(np.arange(len(true)), FRAMES)
    levels = ranking.level_counts(true.ravel(), score.ravel(), trailer, len(true), levels=256)
    return ranking.average_precision(*levels.drawn(weights))


def brier_draws(data, weights):
    true, score = data
    return weights.astype(float) @ ((score - true) ** 2).mean(axis=1) / weights.sum(axis=1)


@pytest.mark.slow
@pytest.mark.parametrize("figure", [f1_draws, average_precision_draws, brier_draws])
def test_intervals_hold_the_truth_as_often_as_they_say(figure):
    population = simulate_trailers(np.random.default_rng(10**6), 20_000)
    truth = figure(population, np.ones((1, 20_000), dtype=np.float32))[0]
    found = coverage(simulate_trailers, figure, truth, trailers=100)
    assert 0.92 <= found <= 0.97


def test_intervals_over_frames_would_hold_it_far_too_rarely():
    """The reason for drawing trailers, kept as a test."""
    truth = brier_draws(simulate_trailers(np.random.default_rng(10**6), 20_000), np.ones((1, 20_000)))[0]

    def over_frames(data, weights):
        true, score = data
        errors = ((score - true) ** 2).ravel()
        taken = np.random.default_rng(int(weights.sum())).integers(0, errors.size, (len(weights), errors.size))
        draws = errors[taken].mean(axis=1)
        draws[0] = errors.mean()
        return draws

    assert coverage(simulate_trailers, over_frames, truth, trailers=60, rounds=60, draws=100) < 0.9


def test_calibration_error_of_draws_is_that_of_the_repeated_frames():
    labels, scores = made_up(trailers=4, frames=40)
    whole = evaluate(labels, scores, config=EvaluationConfig(draws=3, seed=5))
    data, genre = whole.data, 0
    weights = bootstrap.draw_weights(np.arange(4), draws=3, seed=5)
    for draw in range(4):
        again = np.repeat(np.arange(len(data.times)), weights[draw][data.trailer].astype(int))
        bins = calibration.reliability(data.y_true[again, genre], data.y_score[again, genre])
        expected = calibration.expected_calibration_error(bins.frames, bins.positives, bins.score_sum)
        got = whole.levels["probability_after"][GENRES[genre]]["expected_calibration_error"][draw]
        assert got == pytest.approx(expected)
