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
