"""How often the genre with the highest score is right, against scikit-learn, where trailers show one genre each."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from genre_classifier.evaluation import resampling
from genre_classifier.evaluation.glossary import METRICS

GENRES = ["drama", "horror", "western"]


def figures(y_true, y_score, draws=4):
    weights = np.random.default_rng(1).integers(0, 4, (draws, len(y_true)))
    weights[0] = 1
    return resampling.trailers(GENRES, y_true, y_score, np.full(3, 0.5), weights)["all"], weights


def test_figures_equal_those_of_scikit_learn_in_every_draw():
    rng = np.random.default_rng(0)
    shown = rng.choice(3, 60, p=[0.7, 0.2, 0.1])
    y_score = rng.random((60, 3)) + 0.4 * np.eye(3)[shown]
    found, weights = figures(np.eye(3)[shown] > 0, y_score / 2)
    for draw, times in enumerate(weights):
        truth, first = np.repeat(shown, times), np.repeat(y_score.argmax(axis=1), times)
        assert found["top_1_accuracy"][draw] == pytest.approx(accuracy_score(truth, first))
        assert found["balanced_accuracy"][draw] == pytest.approx(balanced_accuracy_score(truth, first))
    assert found["balanced_accuracy"][0] < found["top_1_accuracy"][0]


@pytest.mark.parametrize(
    "y_true", [np.array([[1, 0, 1], [0, 1, 0]]), np.array([[1, 0, 0], [0, 0, 0]]), np.eye(3)[[1, 1]]]
)
def test_where_trailers_show_several_genres_none_or_always_the_same_there_are_no_such_figures(y_true):
    found, _ = figures(y_true > 0, np.random.default_rng(0).random(y_true.shape))
    assert "top_1_accuracy" not in found
    assert "hamming_loss" in found


def test_the_report_knows_what_they_are():
    assert {"top_1_accuracy", "balanced_accuracy"} <= set(METRICS)
