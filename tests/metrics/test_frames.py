"""Frame-level metrics against scikit-learn and hand-made cases."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from genre_classifier.metrics import counts
from genre_classifier.metrics import frames as frame_metrics

# Few distinct scores, so that ties are common.
LABELS_AND_SCORES = st.lists(st.tuples(st.booleans(), st.integers(0, 8)), max_size=60).map(
    lambda rows: (np.array([row[0] for row in rows], dtype=bool), np.array([row[1] / 8 for row in rows]))
)


@given(LABELS_AND_SCORES)
def test_ranking_metrics_agree_with_scikit_learn(case):
    y_true, y_score = case
    found = frame_metrics.average_precision(y_true, y_score)
    if y_true.any():
        assert found == pytest.approx(sk.average_precision_score(y_true, y_score), abs=1e-12)
    else:
        assert np.isnan(found)
    auc = frame_metrics.roc_auc(y_true, y_score)
    assert np.isnan(auc) == (y_true.all() or not y_true.any())
    if not np.isnan(auc):
        assert auc == pytest.approx(sk.roc_auc_score(y_true, y_score))


@given(LABELS_AND_SCORES, st.sampled_from([0.1, 0.5, 0.875]))
def test_decisions_agree_with_scikit_learn(case, threshold):
    y_true, y_score = case
    y_pred = y_score >= threshold
    tp, fp, fn = (cell.sum() for cell in (y_true & y_pred, ~y_true & y_pred, y_true & ~y_pred))
    if not y_true.size:
        assert np.isnan(counts.f1(tp, fp, fn))
        return
    expected = sk.precision_recall_fscore_support(y_true, y_pred, labels=[True], zero_division=np.nan)[:3]
    got = counts.precision(tp, fp), counts.recall(tp, fn), counts.f1(tp, fp, fn)
    for ours, theirs in zip(got, expected, strict=True):
        np.testing.assert_allclose(ours, theirs[0])


@given(LABELS_AND_SCORES)
def test_best_f1_is_the_best_of_all_thresholds(case):
    y_true, y_score = case
    best, threshold = frame_metrics.best_f1(y_true, y_score)
    if not y_true.any():
        assert np.isnan(best)
        assert np.isnan(threshold)
        return
    levels = np.unique(y_score)
    apart = np.diff(levels, prepend=-1) > 1e-5 * levels  # closer ones cannot be told apart in float32
    tried = [sk.f1_score(y_true, y_score >= limit) for limit in levels[apart]]
    assert best == pytest.approx(max(tried))
    assert sk.f1_score(y_true, y_score >= threshold) == pytest.approx(best)


def test_trapezoidal_area_is_more_optimistic_than_average_precision():
    # One positive first, one last of four: recall 0.5 at precision 1, recall 1 at precision 0.5.
    y_true, y_score = np.array([True, False, False, True]), np.array([0.9, 0.6, 0.4, 0.1])
    assert frame_metrics.average_precision(y_true, y_score) == pytest.approx(0.5 * 1 + 0.5 * 0.5)
    # Points (recall, precision): (0, 1), (.5, 1), (.5, .5), (.5, 1/3), (1, .5).
    assert frame_metrics.trapezoidal_area(y_true, y_score) == pytest.approx(0.5 + 0.5 * (1 / 3 + 0.5) / 2)
    assert np.isnan(frame_metrics.trapezoidal_area(np.zeros(3, dtype=bool), np.zeros(3)))


@pytest.mark.parametrize(
    ("y_true", "y_score", "message"),
    [
        (np.array([True]), np.array([0.1, 0.2]), "one shape"),
        (np.array([1]), np.array([0.1]), "bools"),
        (np.array([True]), np.array([1.1]), r"in \[0, 1\]"),
        (np.array([True]), np.array([np.nan]), r"in \[0, 1\]"),
    ],
)
def test_validate_names_what_is_wrong(y_true, y_score, message):
    with pytest.raises(ValueError, match=message):
        frame_metrics.average_precision(y_true, y_score)


def test_means_leave_out_what_is_not_defined():
    values = np.array([[0.5, np.nan, 1.0], [np.nan, np.nan, np.nan]])
    np.testing.assert_allclose(counts.mean_of_defined(values), [0.75, np.nan])
    np.testing.assert_allclose(counts.weighted_mean_of_defined(values, np.array([3, 5, 1])), [2.5 / 4, np.nan])
