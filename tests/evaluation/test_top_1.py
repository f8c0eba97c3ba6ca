"""Genres that exclude each other: the one with the highest score decides, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, precision_recall_fscore_support

from genre_classifier.config import EvaluationConfig
from genre_classifier.evaluation import resampling
from genre_classifier.evaluation.document import About
from genre_classifier.evaluation.evaluate import evaluate
from genre_classifier.evaluation.glossary import METRICS
from genre_classifier.evaluation.sentences import opening
from genre_classifier.tagging.segments import to_segments
from tests.support.evaluation_cases import label_table, made_up

GENRES = ["drama", "horror", "western"]


def figures(y_true, y_score, draws=4):
    weights = np.random.default_rng(1).integers(0, 4, (draws, len(y_true)))
    weights[0] = 1
    return resampling.trailers(GENRES, y_true, y_score, y_score >= 0.5, weights)["all"], weights


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


def exclusive_case(trailers=12, frames=40):
    """Labels with one genre at any time, and scores that sum to 1 and seldom reach a half."""
    labels, scores = made_up(trailers=trailers, frames=frames, genres=GENRES, columns=GENRES)
    return labels, {name: table.div(table.sum(axis=1), axis=0) for name, table in scores.items()}


def test_decisions_segments_and_events_are_those_of_the_highest_score():
    labels, scores = exclusive_case()
    found = evaluate(labels, scores, exclusive=True, config=EvaluationConfig(draws=10))
    data = found.data
    assert (data.y_pred.sum(axis=1) == 1).all()
    truth, first = data.y_true.argmax(axis=1), data.y_score.argmax(axis=1)
    expected = precision_recall_fscore_support(truth, first, average="macro")[:3]
    figures = [found.figure("frame_pooled", "macro", name).value for name in ("precision", "recall", "f1")]
    assert figures == pytest.approx(expected)
    assert found.figure("frame_pooled", "micro", "f1").value == pytest.approx(accuracy_score(truth, first))
    assert np.isnan(found.genres["drama"]["threshold"])
    # Segments as `tag` makes them: they fill every trailer.
    assert len(data.detections.start) == sum(len(to_segments(table, None)) for table in scores.values())
    assert (data.detections.end - data.detections.start).sum() == pytest.approx(data.seconds.sum())
    assert (found.co_occurrence[:, -1] == 0).all()  # nothing is left without a genre


def test_a_genre_that_does_not_count_still_wins_its_frames():
    labels, scores = exclusive_case()
    all_of, two = (
        evaluate(labels, scores, genres=genres, exclusive=True, config=EvaluationConfig(draws=2))
        for genres in (None, GENRES[:2])
    )
    for level in ("frame_pooled", "segment", "event", "trailer_mean", "trailer_maximum"):
        for genre in GENRES[:2]:
            for metric in ("precision", "recall", "f1"):
                one, other = (found.figure(level, genre, metric).value for found in (all_of, two))
                assert one == pytest.approx(other, nan_ok=True), (level, genre, metric)


def test_whole_trailers_have_the_genre_with_the_highest_mean_score():
    _, scores = exclusive_case(trailers=20)
    names = sorted(scores)
    shown = np.random.default_rng(5).integers(0, 3, 20)
    labels = label_table([(name, None, None, GENRES[genre]) for name, genre in zip(names, shown, strict=True)])
    baseline = {name: table.iloc[:, [1, 2, 0]].set_axis(GENRES, axis=1) for name, table in scores.items()}
    found = evaluate(labels, scores, exclusive=True, baselines={"movement_trailers": baseline})
    first = np.array([scores[name].mean().to_numpy().argmax() for name in names])
    other = np.array([baseline[name].mean().to_numpy().argmax() for name in names])
    expected, of_baseline = (
        np.mean([accuracy_score(shown == genre, decided == genre) for genre in range(3)]) for decided in (first, other)
    )
    assert found.figure("trailer_mean", "macro", "accuracy").value == pytest.approx(expected)
    assert found.baseline_figure("movement_trailers", "trailer_mean", "macro", "accuracy").value == pytest.approx(
        of_baseline
    )
    rows = {row["trailer"]: row for row in found.by_trailer}
    wrong = [2 / 3 if one != right else 0 for one, right in zip(first, shown, strict=True)]
    assert [rows[name]["error_rate"] for name in names] == pytest.approx(wrong)
    top_1 = found.figure("trailer_mean", "all", "top_1_accuracy")
    assert top_1.value == pytest.approx(np.mean(first == shown))
    said = opening(found, About("mine", "test", 0, dict.fromkeys(GENRES, 1.0)))
    assert f"The genre with the highest score is right in a share of {top_1.value:.3f}" in said
    assert "threshold" not in said
