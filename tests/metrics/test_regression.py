"""Logistic regression as scikit-learn has it, also for shares of a sample and few samples."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from genre_classifier.metrics import regression


def drawn(seed, classes=3, samples=60):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, samples)
    return rng.normal(size=(samples, 5)) + np.eye(classes, 5)[labels], labels


@pytest.mark.parametrize("classes", [2, 3])
def test_exclusive_genres_have_the_probabilities_of_one_regression(classes):
    x, labels = drawn(classes, classes)
    y_true = np.eye(4, dtype=bool)[labels]  # others are never shown
    kernel, bias = regression.fit_regression(x, y_true, exclusive=True)
    logits = (x @ kernel + bias)[:, :classes]
    found = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    judge = LogisticRegression(C=regression.STRENGTH, max_iter=1000).fit(x, labels)
    np.testing.assert_allclose(found, judge.predict_proba(x), atol=1e-4)
    assert not kernel[:, classes:].any()
    np.testing.assert_allclose(bias[classes:], np.log(1 / 64), rtol=1e-5)


def test_each_genre_has_a_regression_of_its_own():
    x, labels = drawn(5)
    y_true = np.column_stack([labels == 0, labels != 1, np.ones(60), np.zeros(60)]).astype(bool)
    kernel, bias = regression.fit_regression(x, y_true, exclusive=False)
    for genre in (0, 1):
        judge = LogisticRegression(C=regression.STRENGTH, max_iter=1000).fit(x, y_true[:, genre])
        np.testing.assert_allclose(x @ kernel[:, genre] + bias[genre], judge.decision_function(x), atol=1e-3)
    assert not kernel[:, 2:].any()
    np.testing.assert_allclose(bias[2:], [np.log(61), -np.log(61)], rtol=1e-5)


def test_a_share_counts_as_so_many_samples():
    x, labels = drawn(6, classes=2, samples=20)
    shares = np.where(labels == 1, 0.75, 0.25)[:, None]
    found = regression.fit_regression(x, shares, exclusive=False)
    counted = np.concatenate([np.arange(4) < 4 * share for share in shares[:, 0]])
    judge = LogisticRegression(C=regression.STRENGTH / 4, max_iter=1000).fit(np.repeat(x, 4, axis=0), counted)
    np.testing.assert_allclose(x @ found[0] + found[1], judge.decision_function(x)[:, None], atol=1e-3)


@pytest.mark.parametrize("exclusive", [False, True])
def test_each_group_of_several_samples_has_a_bias_which_is_left_out(exclusive):
    x, labels = drawn(7)
    groups = [f"film {number % 4}" if number < 40 else f"another {number}" for number in range(60)]
    kernel, bias = regression.fit_regression(x, np.eye(3)[labels] > 0, exclusive=exclusive, groups=groups)
    biases = regression.GROUP_SPREAD * np.array([[one == f"film {n}" for n in range(4)] for one in groups])
    wide = np.hstack([x, biases])
    judges = [labels] if exclusive else [labels == genre for genre in range(3)]
    fitted = [LogisticRegression(C=regression.STRENGTH, max_iter=1000).fit(wide, one) for one in judges]
    np.testing.assert_allclose(kernel, np.concatenate([one.coef_ for one in fitted])[:, :5].T, atol=1e-3)
    np.testing.assert_allclose(bias, np.concatenate([one.intercept_ for one in fitted]), atol=1e-3)
    alone = regression.fit_regression(x, np.eye(3)[labels] > 0, exclusive=exclusive)
    apart = regression.fit_regression(
        x, np.eye(3)[labels] > 0, exclusive=exclusive, groups=[""] * 30 + [str(number) for number in range(30)]
    )
    np.testing.assert_array_equal(apart[0], alone[0])


def test_what_tells_groups_apart_is_not_taken_for_a_genre():
    rng = np.random.default_rng(0)
    group = rng.integers(0, 8, 160)
    size = rng.normal(0, 2, 8)  # of a group's pictures, say: groups of large ones happen to show the genre more often
    shown = rng.random(160) < 1 / (1 + np.exp(-2 * size[group]))
    x = np.column_stack([shown + rng.normal(0, 1, 160), size[group]])
    kernel, _ = regression.fit_regression(x, shown[:, None], exclusive=False)
    fitted, _ = regression.fit_regression(x, shown[:, None], exclusive=False, groups=[f"film {one}" for one in group])
    assert fitted[0, 0] > 0.9 * kernel[0, 0] > 0.3
    assert abs(fitted[1, 0]) < 0.9 * abs(kernel[1, 0])


@pytest.mark.parametrize(("features", "count"), [(4, 4), (40, 6)])
def test_components_have_mean_0_and_variance_1_and_do_not_correlate_where_principal(features, count):
    rng = np.random.default_rng(features)
    samples = rng.normal(3, 7, size=(30, features)) * np.arange(1, features + 1)
    kernel, shift = regression.fit_components(samples, count)
    found = samples @ kernel + shift
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(found.std(axis=0), 1, rtol=0.02)
    if count < features:
        np.testing.assert_allclose(np.corrcoef(found.T), np.eye(count), atol=1e-3)


def test_few_samples_and_such_as_never_vary_leave_components_at_zero():
    rng = np.random.default_rng(0)
    few = rng.normal(size=(3, 20))
    kernel, shift = regression.fit_components(few, 5)
    assert kernel.shape == (20, 5)
    assert not kernel[:, 2:].any()
    assert not shift[2:].any()
    assert kernel[:, :2].any(axis=0).all()
    for samples in (np.full((6, 20), 0.1), few[:1]):
        kernel, shift = regression.fit_components(samples, 5)
        assert kernel.shape == (20, 5)
        np.testing.assert_array_equal(samples @ kernel + shift, 0)
