"""Segment and event figures against sed_eval, detection against a hand-worked case and ActivityNet's own arithmetic."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genre_classifier.metrics import counts
from genre_classifier.metrics import detection as detection_metrics
from genre_classifier.metrics import events as event_metrics
from genre_classifier.metrics import segments as segment_metrics
from genre_classifier.metrics.events import Events

sed_eval = pytest.importorskip("sed_eval")

THREE = ("a", "b", "c")
SETS = (THREE, ("alone",), tuple(f"genre-{number}" for number in range(20)))


def events(rows):
    """Rows of (trailer, genre, start, end[, score])."""
    rows = sorted(rows)
    columns = list(zip(*[(*row, 1.0)[:5] for row in rows], strict=True)) if rows else [[]] * 5
    trailer, genre, start, end, score = columns
    return Events(
        np.array(trailer, dtype=int),
        np.array(genre, dtype=int),
        np.array(start, dtype=float),
        np.array(end, dtype=float),
        np.array(score, dtype=float),
    )


def disjoint(rng, trailers, most, genres):
    """Random intervals, disjoint within genre and trailer, on tenths of a second; often none at all."""
    rows = []
    for trailer in range(trailers):
        for genre in range(genres):
            edges = np.sort(rng.choice(np.arange(1, 100), size=2 * rng.integers(0, most + 1), replace=False)) / 10
            rows += [(trailer, genre, start, end) for start, end in edges.reshape(-1, 2)]
    return rows


def shaken(rng, rows, genres):
    """Intervals near the given ones, some missing."""
    moved = []
    for trailer, genre, start, end in rows:
        if rng.random() < 0.7:
            new_start, new_end = np.clip(np.round([start + rng.normal(0, 0.4), end + rng.normal(0, 0.8)], 1), 0, 10)
            if new_end > new_start:
                moved.append((trailer, genre if rng.random() < 0.8 else int(rng.integers(genres)), new_start, new_end))
    return moved


def as_dicts(rows, trailer, genres):
    return [
        {"onset": start, "offset": end, "event_label": genres[genre], "file": "t"}
        for of, genre, start, end in rows
        if of == trailer
    ]


def cases(number, genres):
    rng = np.random.default_rng(7)
    for index in range(number):
        trailers = int(rng.integers(1, 4))
        truth = disjoint(rng, trailers, int(rng.integers(0, 4)), genres)
        found = shaken(rng, truth, genres) if index % 3 else disjoint(rng, trailers, int(rng.integers(0, 3)), genres)
        yield trailers, truth, found


def same(ours, theirs):
    np.testing.assert_allclose(float(ours), theirs, atol=1e-9)


@pytest.mark.parametrize("genres", SETS, ids=len)
def test_segment_figures_agree_with_sed_eval(genres):
    seen_empty = 0
    for trailers, truth, found in cases(200 if genres == THREE else 60, len(genres)):
        ends = np.full(trailers, 9.7)
        oracle = sed_eval.sound_event.SegmentBasedMetrics(list(genres), time_resolution=1.0)
        for trailer in range(trailers):
            of_both = (as_dicts(rows, trailer, genres) for rows in (truth, found))
            oracle.evaluate(*of_both, evaluated_length_seconds=9.7)
        confusion, errors = segment_metrics.cell_counts(
            events(truth), events(found), ends, np.ones(trailers, dtype=bool), genres=len(genres), grid_seconds=1.0
        )
        tp, fp, fn = confusion.sum(axis=(0, 2))
        assert (tp, fp, fn) == (oracle.overall["Ntp"], oracle.overall["Nfp"], oracle.overall["Nfn"])
        rates = segment_metrics.error_rates(errors.sum(axis=0))
        if truth:
            if found:
                same(counts.f1(tp, fp, fn), oracle.overall_f_measure()["f_measure"])
            for name, value in oracle.overall_error_rate().items():
                same(rates[name], value)
        else:
            seen_empty += 1
            assert np.isnan(rates["error_rate"])  # sed_eval divides by almost 0 here
        for genre, label in enumerate(genres):
            tp, fp, fn = confusion.sum(axis=0)[:, genre]
            assert tp == oracle.class_wise[label]["Ntp"]
            theirs = oracle.class_wise_f_measure(label)["f_measure"]
            if tp + fn and tp + fp:
                same(counts.f1(tp, fp, fn), theirs)
            else:
                # Stated difference: a genre on one side only has an F1 of 0 here, and none there.
                assert math.isnan(theirs)
                np.testing.assert_equal(float(counts.f1(tp, fp, fn)), 0.0 if fp or fn else np.nan)
    assert seen_empty > 5


@pytest.mark.parametrize("genres", SETS, ids=len)
def test_event_figures_agree_with_sed_eval(genres):
    hits = 0
    for trailers, truth, found in cases(200 if genres == THREE else 60, len(genres)):
        oracle = sed_eval.sound_event.EventBasedMetrics(
            list(genres), t_collar=0.5, percentage_of_length=0.5, empty_system_output_handling="zero_score"
        )
        for trailer in range(trailers):
            oracle.evaluate(as_dicts(truth, trailer, genres), as_dicts(found, trailer, genres))
        found_counts = event_metrics.event_counts(
            events(truth), events(found), trailers, len(genres), collar_seconds=0.5, offset_share=0.5
        ).sum(axis=0)
        assert found_counts[0].sum() == oracle.overall["Ntp"]
        hits += found_counts[0].sum()
        for genre, label in enumerate(genres):
            tp, fp, fn = found_counts[:, genre]
            theirs = oracle.class_wise[label]
            assert (tp, fp, fn) == (theirs["Ntp"], theirs["Nfp"], theirs["Nfn"])
            if tp + fn:
                same(counts.f1(tp, fp, fn), oracle.class_wise_f_measure(label)["f_measure"])
    assert hits > (100 if genres == THREE else 10)


def test_event_matching_takes_the_pairing_with_most_matches():
    # The first detection fits both labels, the second only the first label: greedy in order would find one.
    hits = event_metrics.matched(
        np.array([0.0, 0.4]),
        np.array([2.0, 2.4]),
        np.array([0.2, -0.3]),
        np.array([2.2, 1.7]),
        collar_seconds=0.5,
        offset_share=0.0,
    )
    assert hits == 2


def test_cells_count_up_to_the_end_of_the_trailer():
    active = segment_metrics.activity(events([(0, 0, 0.5, 1.0), (0, 1, 2.9, 9.0)]), 0, 3.5, 2, grid_seconds=1.0)
    np.testing.assert_array_equal(active[:, 0], [True, False, False, False])
    np.testing.assert_array_equal(active[:, 1], [False, False, True, True])


def test_trailers_that_are_not_timed_count_nothing():
    truth = events([(0, 0, 0, 5), (1, 0, 0, 5)])
    confusion, errors = segment_metrics.cell_counts(
        truth, truth, np.array([5.0, 5.0]), np.array([True, False]), genres=1, grid_seconds=1.0
    )
    assert confusion.sum() == 5
    assert errors[1].sum() == 0


def test_detection_of_a_hand_worked_case():
    # Trailer 0: labels [0, 10] and [20, 30]; trailer 1: label [0, 10].
    truth = events([(0, 0, 0, 10), (0, 0, 20, 30), (1, 0, 0, 10)])
    found = events(
        [
            (0, 0, 0, 9, 0.9),  # IoU 0.9 with the first
            (0, 0, 1, 10, 0.8),  # IoU 0.9 with the same: claimed already, false
            (0, 0, 20, 36, 0.7),  # IoU 10/16 = 0.625 with the second
            (1, 0, 40, 50, 0.6),  # false
            (1, 0, 0, 5, 0.5),  # IoU 0.5
        ]
    )
    tiou = np.array([0.5, 0.6, 0.7, 0.9, 0.95])
    right = detection_metrics.true_detections(truth, found, tiou)
    by_score = np.argsort(-found.score)
    np.testing.assert_array_equal(
        right[:, by_score],
        [
            [True, False, True, False, True],
            [True, False, True, False, False],
            [True, False, False, False, False],
            [True, False, False, False, False],
            [False, False, False, False, False],
        ],
    )
    # Precisions at the hits: 1, 2/3, 3/5; the envelope leaves them as they are.
    expected = [(1 + 2 / 3 + 3 / 5) / 3, (1 + 2 / 3) / 3, 1 / 3, 1 / 3, 0]
    np.testing.assert_allclose(detection_metrics.average_precisions(truth, found, right), expected)


def test_detection_without_labels_or_without_detections():
    some, none = events([(0, 0, 0, 5, 0.5)]), events([])
    tiou = np.array([0.5])
    right = detection_metrics.true_detections(none, some, tiou)
    assert np.isnan(detection_metrics.average_precisions(none, some, right)).all()
    right = detection_metrics.true_detections(some, none, tiou)
    assert detection_metrics.average_precisions(some, none, right).tolist() == [0.0]


def activitynet_average_precision(hits, references):
    """Compute `interpolated_prec_rec` of ActivityNet's eval_detection.py, written out as it stands there."""
    tp = np.cumsum(hits)
    precision = tp / np.arange(1, len(hits) + 1)
    recall = tp / references
    mprec = np.hstack([[0], precision, [0]])
    mrec = np.hstack([[0], recall, [1]])
    for i in range(len(mprec) - 1)[::-1]:
        mprec[i] = max(mprec[i], mprec[i + 1])
    idx = np.where(mrec[1::] != mrec[0:-1])[0] + 1
    return np.sum((mrec[idx] - mrec[idx - 1]) * mprec[idx])


@settings(max_examples=200)
@given(st.lists(st.booleans(), max_size=30), st.integers(0, 10))
def test_interpolated_precision_is_that_of_activitynet(hits, missed):
    references = max(1, sum(hits) + missed)
    ours = detection_metrics.interpolated_average_precision(
        np.array([hits], dtype=float), np.ones((1, len(hits))), np.array([references])
    )
    np.testing.assert_allclose(ours[0], activitynet_average_precision(np.array(hits), references), atol=1e-12)
