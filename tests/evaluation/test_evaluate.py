"""The whole evaluation: alignment of labels and scores, what is not defined, trailers, comparison."""

import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from genre_classifier.config import EvaluationConfig, SegmentConfig
from genre_classifier.evaluation.alignment import align, reference_intervals
from genre_classifier.evaluation.bootstrap import Estimate
from genre_classifier.evaluation.comparison import compare, verdict
from genre_classifier.evaluation.evaluate import evaluate
from genre_classifier.genres import GENRES
from genre_classifier.metrics import trailers as trailer_metrics
from genre_classifier.tagging.scores import scores_table
from preprocessing.base.errors import InputError
from tests.support.evaluation_cases import TWENTY, label_table, made_up

FEW = EvaluationConfig(draws=30)
OTHER = GENRES.index("other")


def test_reference_intervals_join_clip_and_fill_with_other():
    labels = label_table(
        [("t", 1.0, 2.0, "comedy"), ("t", 2.0, 3.0, "comedy"), ("t", 2.5, 99.0, "action"), ("t", 50.0, 60.0, "terror")]
    )
    times = np.arange(10) * 0.5  # ends at 4.75
    assert reference_intervals(labels, times, GENRES) == [
        (1.0, 3.0, GENRES.index("comedy")),  # two that touch are one
        (2.5, 4.75, GENRES.index("action")),  # cut at the end of the trailer; terror lies behind it
        (0.0, 1.0, OTHER),
    ]


def test_a_gap_without_a_frame_is_no_event():
    labels = label_table([("t", 0.0, 1.1, "comedy"), ("t", 1.2, 9.0, "comedy")])
    assert reference_intervals(labels, np.arange(5) * 0.5, GENRES) == [(0.0, 1.1, 0), (1.2, 2.25, 0)]


def test_weak_trailers_take_part_only_where_time_does_not_matter():
    labels, scores = made_up(trailers=3, frames=20)
    names = sorted(scores)
    weak = label_table([(names[0], None, None, "comedy"), (names[0], None, None, "musical")])
    labels = weak.merge(labels[labels["trailer"] != names[0]], how="outer")
    data = align(labels, scores)
    assert data.timed.tolist() == [False, True, True]
    assert data.references.trailer.min() == 1
    assert not data.timed_by_weak_labels
    found = evaluate(labels, scores, config=FEW)
    assert sum(found.genres[genre]["frames"] for genre in GENRES) == 40
    assert found.sources_at("frame_pooled") == 2
    assert found.sources_at("trailer_maximum") == 3
    assert found.genres["musical"]["trailers"] >= 1


def test_weak_labels_alone_are_spread_and_said_to_be():
    _, scores = made_up(trailers=2, frames=20)
    labels = label_table([(name, None, None, "comedy") for name in scores])
    found = evaluate(labels, scores, config=FEW)
    assert found.data.timed_by_weak_labels
    assert found.genres["comedy"]["prevalence"] == 1


def test_trailers_labelled_as_wholes_are_judged_as_wholes():
    """Ranking and decisions of mean scores, for the model and for baselines; scikit-learn judges."""
    _, scores = made_up(trailers=12, frames=20, seed=3)
    names = sorted(scores)
    pairs = [(name, GENRES[number % 3]) for number, name in enumerate(names)] + [(names[0], "other")]
    labels = label_table([(name, None, None, genre) for name, genre in pairs])
    truth = np.array([[(name, genre) in pairs for genre in GENRES] for name in names])
    rng = np.random.default_rng(0)
    # Means that know the genre somewhat; single frames far from them.
    level = np.clip(0.35 + 0.3 * truth + rng.normal(0, 0.2, truth.shape), 0.05, 0.95)
    scores = {
        name: scores[name] * 0 + np.clip(own + np.where(np.arange(20) % 2, 0.4, -0.4)[:, None], 0, 1)
        for name, own in zip(names, level, strict=True)
    }
    other = {name: 1 - table for name, table in scores.items()}
    found = evaluate(
        labels, scores, baselines={"movement_trailers": other}, thresholds=dict.fromkeys(GENRES, 0.45), config=FEW
    )
    assert found.judged_level == "trailer_mean"
    assert list(found.baselines) == ["prevalence", "movement_trailers"]  # not the model's own average
    mean = np.array([scores[name].to_numpy().astype(float).mean(axis=0) for name in names])
    shown = [index for index in range(len(GENRES)) if truth[:, index].any()]
    assert len(shown) == 4

    def expected(y_score, threshold):
        return {
            "average_precision": np.mean([sk.average_precision_score(truth[:, g], y_score[:, g]) for g in shown]),
            "roc_auc": np.mean([sk.roc_auc_score(truth[:, g], y_score[:, g]) for g in shown]),
            "accuracy": np.mean([sk.accuracy_score(truth[:, g], y_score[:, g] >= threshold) for g in shown]),
        }

    for metric, value in expected(mean, 0.45).items():
        estimate = found.figure("trailer_mean", "macro", metric)
        assert estimate.value == pytest.approx(value)
        assert estimate.low < value < estimate.high
        assert np.isnan(found.figure("trailer_mean", "thriller", metric).value)  # no trailer shows it
    for metric, value in expected(1 - mean, 0.5).items():
        assert found.baseline_figure("movement_trailers", "trailer_mean", "macro", metric).value == pytest.approx(value)
    lead = expected(mean, 0.45)["average_precision"] - expected(1 - mean, 0.5)["average_precision"]
    assert found.lead("movement_trailers").value == pytest.approx(lead)
    hardest = [(row["average_precision"], -row["error_rate"]) for row in found.by_trailer]
    assert hardest == sorted(hardest)
    own = {row["trailer"]: row for row in found.by_trailer}[names[0]]
    assert own["average_precision"] == pytest.approx(sk.average_precision_score(truth[0], mean[0]))
    assert own["f1"] == pytest.approx(sk.f1_score(truth[0], mean[0] >= 0.45))
    assert own["error_rate"] == pytest.approx(np.mean(truth[0] != (mean[0] >= 0.45)))


def test_a_genre_that_all_trailers_show_or_none_has_no_accuracy():
    _, scores = made_up(trailers=4, frames=10)
    labels = label_table([(name, None, None, "comedy") for name in scores])
    found = evaluate(labels, scores, config=FEW)
    for scope in ("comedy", "action", "macro"):
        assert np.isnan(found.figure("trailer_mean", scope, "accuracy").value)


@pytest.mark.parametrize("columns", [("comedy",), GENRES, TWENTY, ("sketch", "comedy", "other")], ids=len)
def test_frame_figures_are_those_of_scikit_learn(columns):
    labels, scores = made_up(genres=(*columns, "a gap"), columns=columns, trailers=20, frames=50)
    found = evaluate(labels, scores, thresholds=dict.fromkeys(columns, 0.4), config=FEW)
    assert found.data.genres == columns
    y_true, y_score = found.data.y_true, found.data.y_score
    y_pred = y_score >= 0.4

    def ours(scope, metric):
        return found.figure("frame_pooled", scope, metric).value

    def decisions(true, positive):
        return sk.precision_recall_fscore_support(true, positive, average="binary", zero_division=0)[:3]

    support = y_true.sum(axis=0)
    assert support.all()
    for names, theirs, predicted in (
        (["average_precision"], sk.average_precision_score, y_score),
        (["roc_auc"], sk.roc_auc_score, y_score),
        (["precision", "recall", "f1"], decisions, y_pred),
    ):
        each = np.array([theirs(y_true[:, g], predicted[:, g]) for g in range(len(columns))])
        for scope, expected in (
            *zip(columns, each, strict=True),
            ("macro", each.mean(axis=0)),
            ("weighted", np.average(each, axis=0, weights=support)),
            ("micro", theirs(y_true.ravel(), predicted.ravel())),
        ):
            assert [ours(scope, name) for name in names] == pytest.approx(np.atleast_1d(expected))
    per_trailer = []
    for number in range(len(found.data.trailers)):
        own = found.data.trailer == number
        if y_true[own, 0].any():
            per_trailer.append(sk.average_precision_score(y_true[own, 0], y_score[own, 0]))
    assert found.figure("frame_per_trailer", columns[0], "average_precision").value == pytest.approx(
        np.mean(per_trailer)
    )


@pytest.mark.parametrize("columns", [GENRES, TWENTY], ids=len)
def test_trailer_figures_are_those_of_scikit_learn(columns):
    labels, scores = made_up(trailers=12, frames=30, genres=columns[:4], columns=columns)
    found = evaluate(labels, scores, config=FEW)
    data = found.data
    y_true = np.array([data.y_true[data.trailer == number].any(axis=0) for number in range(12)])
    pools = {
        "trailer_mean": lambda own: own.astype(float).mean(axis=0),
        "trailer_maximum": lambda own: own.max(axis=0),
        "trailer_linear_softmax": lambda own: (own.astype(float) ** 2).sum(axis=0) / own.astype(float).sum(axis=0),
    }
    for level, pool in pools.items():
        y_score = np.array([pool(data.y_score[data.trailer == number]) for number in range(12)])
        value = found.figure(level, "all", "sample_average_precision").value
        assert value == pytest.approx(sk.average_precision_score(y_true, y_score, average="samples"))
        value = found.figure(level, "all", "label_ranking_average_precision").value
        assert value == pytest.approx(sk.label_ranking_average_precision_score(y_true, y_score))
        value = found.figure(level, "all", "hamming_loss").value
        assert value == pytest.approx(sk.hamming_loss(y_true[:, :4], y_score[:, :4] >= 0.5))
        value = found.figure(level, "micro", "average_precision").value
        assert value == pytest.approx(sk.average_precision_score(y_true, y_score, average="micro"))
        assert np.isnan(found.figure(level, "musical", "average_precision").value)
        present = sk.average_precision_score(y_true[:, :4], y_score[:, :4], average="macro")
        assert found.figure(level, "macro", "average_precision").value == pytest.approx(present)


def test_linear_softmax_of_silence_is_silence():
    pooled = trailer_metrics.pool_linear_softmax(np.array([[0.0, 0.5], [0.0, 1.0]]), np.array([0, 0]))
    np.testing.assert_allclose(pooled, [[0, 1.25 / 1.5]])


def test_a_genre_that_is_absent_enters_no_mean():
    labels, scores = made_up(genres=("comedy", "action"))
    found = evaluate(labels, scores, config=FEW)
    comedy, action, terror = (
        found.figure("frame_pooled", genre, "average_precision") for genre in ("comedy", "action", "terror")
    )
    assert not terror.defined
    assert not terror.has_interval
    macro = found.figure("frame_pooled", "macro", "average_precision").value
    assert macro == pytest.approx((comedy.value + action.value) / 2)
    assert found.figure("detection", "macro", "mean_average_precision").defined
    assert not found.figure("frame_pooled", "terror", "recall").defined
    assert np.isnan(found.genres["terror"]["best_f1"])
    assert np.isnan(found.co_occurrence[GENRES.index("terror")]).all()


def test_a_genre_that_is_never_predicted_has_no_precision_and_an_f1_of_zero():
    labels, scores = made_up()
    found = evaluate(labels, scores, thresholds={"comedy": 1.0}, config=FEW)
    assert not found.figure("frame_pooled", "comedy", "precision").defined
    assert found.figure("frame_pooled", "comedy", "f1").value == 0
    assert found.figure("event", "comedy", "f1").value == 0
    assert found.figure("detection", "comedy", "mean_average_precision").value == 0


def test_one_trailer_of_one_frame_gives_figures_and_no_intervals():
    labels = label_table([("t", 0.0, 1.0, "comedy")])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = evaluate(labels, {"t": scores_table(np.array([0.0]), np.full((1, 6), 0.7))}, config=FEW)
    score = found.figure("frame_pooled", "macro", "average_precision")
    assert score.value == 1
    assert not score.has_interval
    assert not found.figure("frame_pooled", "comedy", "roc_auc").defined


def test_temperature_moves_probabilities_and_thresholds_but_not_ranks():
    labels, scores = made_up()
    plain = evaluate(labels, scores, config=FEW)
    warm = evaluate(labels, scores, temperatures=dict.fromkeys(GENRES, 3.0), config=FEW)
    key = ("frame_pooled", "macro", "average_precision")
    assert warm.figure(*key).value == pytest.approx(plain.figure(*key).value, abs=1e-6)
    before, after = (
        warm.figure(level, "macro", "brier").value for level in ("probability_before", "probability_after")
    )
    assert before == pytest.approx(plain.figure("probability_before", "macro", "brier").value)
    assert after != pytest.approx(before)


def test_baselines_stand_beside_the_model():
    labels, scores = made_up(skill=3.0)
    random = {name: table * 0 + np.random.default_rng(0).random(table.shape) for name, table in scores.items()}
    found = evaluate(labels, scores, baselines={"colour_histogram": random, "movement_frames": scores}, config=FEW)
    assert list(found.baselines) == ["prevalence", "colour_histogram", "movement_frames", "trailer_average"]
    prevalence = np.mean([found.genres[genre]["prevalence"] for genre in GENRES])
    assert found.baseline_figure("prevalence", "frame_pooled", "macro", "average_precision").value == pytest.approx(
        prevalence
    )
    assert found.lead("colour_histogram").low > 0.1
    same = found.lead("movement_frames")
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_baseline_with_other_frames_is_refused():
    labels, scores = made_up(trailers=2)
    short = {name: table.iloc[:-1] for name, table in scores.items()}
    with pytest.raises(InputError, match=r"59 frames of trailer 'trailer_000.mp4', its scores 60"):
        evaluate(labels, scores, baselines={"colour_histogram": short}, config=FEW)


def test_labels_and_scores_without_a_common_trailer_are_refused():
    labels, scores = made_up(trailers=2)
    with pytest.raises(InputError, match=r"no trailer has both scores and labels: 2 with scores \(such as 'x'\)"):
        evaluate(labels, {"x": scores["trailer_000.mp4"], "y": scores["trailer_001.mp4"]})


def test_labels_of_other_trailers_change_nothing():
    labels, scores = made_up(trailers=4)
    some = {name: scores[name] for name in sorted(scores)[:2]}
    whole = evaluate(labels, some, config=FEW)
    cut = evaluate(labels[labels["trailer"].isin(list(some))], some, config=FEW)
    assert whole.figure("frame_pooled", "macro", "f1") == cut.figure("frame_pooled", "macro", "f1")


def test_segments_follow_the_options_given():
    labels, scores = made_up()
    plain, long = (
        evaluate(labels, scores, segments=SegmentConfig(min_seconds=seconds), config=FEW) for seconds in (0.5, 5.0)
    )
    assert len(long.data.detections) < len(plain.data.detections)


def test_comparison_finds_the_better_run_and_not_a_difference_with_itself():
    labels, scores = made_up(trailers=20, skill=3.0)
    _, worse_scores = made_up(trailers=20, skill=1.0)
    config = EvaluationConfig(draws=200)
    good, bad = (evaluate(labels, table, config=config) for table in (scores, worse_scores))
    verdicts = {(row.level, row.scope, row.metric): row.verdict for row in compare(good, bad, other="bad").differences}
    assert verdicts["frame_pooled", "macro", "average_precision"] == "better"
    assert verdicts["segment", "all", "error_rate"] == "better"  # lower, that is
    back = {(row.level, row.scope, row.metric): row.verdict for row in compare(bad, good, other="good").differences}
    assert back["frame_pooled", "macro", "average_precision"] == "worse"
    assert {row.verdict for row in compare(good, good, other="itself").differences} == {"not shown"}


def test_comparison_of_different_trailers_or_labels_is_refused():
    labels, scores = made_up(trailers=3)
    first = evaluate(labels, scores, config=FEW)
    fewer = evaluate(labels, dict(list(scores.items())[:2]), config=FEW)
    with pytest.raises(InputError, match="1 are in one only"):
        compare(first, fewer, other="fewer")
    relabelled = evaluate(labels.assign(genre="comedy"), scores, config=FEW)
    with pytest.raises(InputError, match="same frames and labels"):
        compare(first, relabelled, other="relabelled")


@pytest.mark.parametrize(
    ("low", "high", "lower_is_better", "expected"),
    [
        (0.1, 0.2, False, "better"),
        (-0.2, -0.1, False, "worse"),
        (-0.2, -0.1, True, "better"),
        (-0.1, 0.1, False, "not shown"),
        (float("nan"), float("nan"), False, "not shown"),
    ],
)
def test_verdicts(low, high, lower_is_better, expected):
    assert verdict(Estimate((low + high) / 2, low, high), lower_is_better=lower_is_better) == expected


@given(st.integers(1, 5), st.integers(0, 2**16))
def test_label_ranking_agrees_with_scikit_learn(trailers, seed):
    rng = np.random.default_rng(seed)
    y_true, y_score = rng.random((trailers, 6)) < 0.4, rng.integers(0, 4, (trailers, 6)) / 3  # ties, empty rows
    found = trailer_metrics.label_ranking_average_precisions(y_true, y_score)
    assert found.mean() == pytest.approx(sk.label_ranking_average_precision_score(y_true, y_score))


@pytest.mark.slow
def test_evaluating_stored_scores_never_imports_keras():
    heavy = "{'keras', 'tensorflow', 'jax'}"
    code = f"import sys, genre_classifier.evaluation.run_evaluation; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_means_over_genres_take_those_that_judged_trailers_show():
    labels, scores = made_up(genres=GENRES[:2])
    found = evaluate(labels, scores, config=FEW)
    for level, metric in (
        ("probability_before", "brier"),
        ("probability_after", "expected_calibration_error"),
        ("frame_pooled", "f1"),
        ("segment", "f1"),
        ("event", "f1"),
        ("trailer_mean", "f1"),
        ("detection", "mean_average_precision"),
    ):
        shown = [found.figure(level, genre, metric).value for genre in GENRES[:2]]
        assert found.figure(level, "macro", metric).value == pytest.approx(np.mean(shown)), (level, metric)
        assert found.figure(level, "macro", metric).has_interval
    data = found.data
    borders = np.searchsorted(data.trailer, np.arange(len(data.trailers)))
    mean = np.add.reduceat(data.y_score, borders) / np.bincount(data.trailer)[:, None]
    truth = np.logical_or.reduceat(data.y_true, borders)
    two = sk.hamming_loss(truth[:, :2], mean[:, :2] >= 0.5)
    assert found.figure("trailer_mean", "all", "hamming_loss").value == pytest.approx(two)


def test_intervals_draw_groups_where_the_labels_name_them():
    """Each trailer eight times over says no more than once."""
    labels, scores = made_up(trailers=6, skill=1.0)
    copies = {f"{name}/{copy}": table for name, table in scores.items() for copy in range(8)}
    parts = [labels.assign(trailer=labels["trailer"] + f"/{copy}", group=labels["trailer"]) for copy in range(8)]
    config = EvaluationConfig(draws=400)
    once = evaluate(labels, scores, config=config)
    grouped = evaluate(pd.concat(parts, ignore_index=True), copies, config=config)
    single = evaluate(pd.concat(parts, ignore_index=True).drop(columns="group"), copies, config=config)
    assert grouped.sources_at("frame_pooled") == 6
    assert single.sources_at("frame_pooled") == 48

    def width(found):
        figure = found.figure("frame_pooled", "macro", "average_precision")
        return figure.high - figure.low

    assert width(grouped) == pytest.approx(width(once), rel=0.2)
    assert width(single) < 0.6 * width(once)
    one = evaluate(parts[0].assign(group="g"), {f"{name}/0": table for name, table in scores.items()}, config=FEW)
    assert not one.figure("frame_pooled", "macro", "average_precision").has_interval
