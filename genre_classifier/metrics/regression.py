"""Regularised logistic regression (scikit-learn), on standardised components of features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

STRENGTH = 0.1  # scikit-learn's C: small, for a few dozen components and a few dozen trailers
# The spread of the groups' own biases, where that of a weight is 1: between 1.5 and 2.5 nothing differs.
GROUP_SPREAD = 2.0
_LEAST_SPREAD = 1e-3  # of the largest: a component below it is rounding
_NO_SPREAD = 1e-6  # standard deviations


def prior_logits(y_true: np.ndarray, *, exclusive: bool) -> np.ndarray:
    """Return the logits of the shares of genres, by Laplace's rule of succession: float32, shape (genres,)."""
    shares = (y_true.sum(axis=0) + 1) / (len(y_true) + (y_true.shape[1] if exclusive else 2))
    return np.log(shares if exclusive else shares / (1 - shares)).astype(np.float32)


def fit_regression(
    x: np.ndarray, y_true: np.ndarray, *, exclusive: bool, groups: Sequence[str] | np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Fit regularised logistic regression.

    Parameters
    ----------
    x : ndarray of float, shape (samples, components)
        Standardised.
    y_true : ndarray of bool or float, shape (samples, genres)
        Which genre a sample shows, or which share of it does: it counts by that share for the genre, and by the rest
        against it.
    exclusive : bool
        One multinomial regression, instead of one regression for each genre. The genres of a sample sum to 1.
    groups : sequence of str, optional
        Which group each sample is of, such as the collection that a film comes from; empty for none. While the
        regression is fitted, each group of several samples has a bias of its own beside the common one, so that what
        tells groups apart is not taken for what tells genres apart: a random intercept of a mixed model. It says
        nothing of other groups, and is left out of what is returned.

    Returns
    -------
    kernel : ndarray of float32, shape (components, genres)
    bias : ndarray of float32, shape (genres,)
        A genre that all samples show, or none, has a kernel of zeros and the logit of its share.
    """
    y_true, features = np.asarray(y_true, np.float64), x.shape[1]
    if groups is not None:
        x = np.hstack([x, _group_columns(np.asarray(groups))])
    kernel = np.zeros((x.shape[1], y_true.shape[1]), np.float32)
    bias = prior_logits(y_true, exclusive=exclusive)
    shown = np.flatnonzero(y_true.any(axis=0))
    if not exclusive:
        for genre in shown[(y_true[:, shown] < 1).any(axis=0)]:
            share = y_true[:, genre]
            fitted = _fitted(x, np.column_stack([1 - share, share]))
            kernel[:, genre], bias[genre] = fitted.coef_[0], fitted.intercept_[0]
    elif len(shown) == 2:  # scikit-learn gives the logit of the second alone
        fitted = _fitted(x, y_true[:, shown])
        for genre, side in zip(shown, (-0.5, 0.5), strict=True):
            kernel[:, genre], bias[genre] = side * fitted.coef_[0], side * fitted.intercept_[0]
    elif len(shown) > 2:
        fitted = _fitted(x, y_true[:, shown])
        kernel[:, shown], bias[shown] = fitted.coef_.T, fitted.intercept_
    return kernel[:features], bias


def _group_columns(groups: np.ndarray) -> np.ndarray:
    """Return a column for each group of several samples, which says which samples are of it."""
    names, counts = np.unique(groups[groups != ""], return_counts=True)
    return GROUP_SPREAD * (groups[:, None] == names[counts > 1])


def _fitted(x: np.ndarray, shares: np.ndarray) -> LogisticRegression:
    """Fit classes of which each sample has shares, (samples, classes); each class has some."""
    samples, classes = np.nonzero(shares)
    regression = LogisticRegression(C=STRENGTH, max_iter=1000)
    return regression.fit(x[samples], classes, sample_weight=shares[samples, classes])


def fit_components(samples: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return how features become components of mean 0 and variance 1: all of them, or principal ones.

    Parameters
    ----------
    samples : ndarray of float, shape (samples, features)
    count : int
        How many components; where the samples have fewer, the others are 0.

    Returns
    -------
    kernel : ndarray of float32, shape (features, count)
    shift : ndarray of float32, shape (count,)
        `samples @ kernel + shift` are the components.
    """
    scaler = StandardScaler().fit(samples)
    kernel, shift = np.diag(1 / scaler.scale_), -scaler.mean_ / scaler.scale_
    if count < samples.shape[1]:
        turned, mean = _principal(scaler.transform(samples), count)
        kernel, shift = kernel @ turned, (shift - mean) @ turned
    missing = count - len(shift)
    return np.pad(kernel, [(0, 0), (0, missing)]).astype(np.float32), np.pad(shift, (0, missing)).astype(np.float32)


def _principal(scaled: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    count = min(count, len(scaled) - 1, scaled.shape[1])
    if count < 1 or scaled.std(axis=0).max() < _NO_SPREAD:
        return np.zeros((scaled.shape[1], 0)), np.zeros(scaled.shape[1])
    fitted = PCA(count, svd_solver="randomized", random_state=0).fit(scaled)
    spread = np.sqrt(fitted.explained_variance_)
    return (fitted.components_ / np.maximum(spread, _LEAST_SPREAD * spread[0])[:, None]).T, fitted.mean_
