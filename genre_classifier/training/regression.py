"""Where the linear paths begin: at logistic regression on the trailers that are learned from (scikit-learn).

The score of a weakly labelled trailer is the mean of its frames' logits (`weak = mean`), and the mean of a linear
function is that function of the mean: regression on means over time is the linear path, for frames and trailers alike.
A trailer labelled in intervals gives one mean for each set of genres that it shows.

How strongly each sense's regression is held back is chosen by cross-validation that keeps groups together.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from genre_classifier.dataset.looks import HeldLooks, open_looks
from genre_classifier.dataset.trailers import Trailer
from genre_classifier.network.model import GenreModel
from genre_classifier.network.senses import MOVEMENT, SensePath, movement_features
from genre_classifier.training.reduction import components
from preprocessing.clips import load_clip
from preprocessing.processes.machine import release_pages

logger = logging.getLogger(__name__)

STRENGTHS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)  # scikit-learn's C
INNER_FOLDS = 5
CHUNK = 256  # frames whose features are in memory at once
STRETCH = 64  # frames whose mean is one sample for the components: those of single frames are mostly noise


def start_from_regression(model: GenreModel, trailers: Sequence[Trailer]) -> None:
    """Fit the linear paths of a model whose weights are fresh, and set them.

    Parameters
    ----------
    model : GenreModel
        With `linear_paths`.
    trailers : sequence of Trailer
        To learn from, with what its encoders see.
    """
    targets = [_label_sets(trailer) for trailer in trailers]
    groups = np.concatenate([[trailer.group] * len(sets) for trailer, sets in zip(trailers, targets, strict=True)])
    y_true = np.array([labels for sets in targets for labels in sets], bool)
    assert model.senses is not None
    for sense, path in model.senses.paths.items():
        features = [_features(model, sense, trailer) for trailer in trailers]
        _set_components(path, features)
        means = np.concatenate(
            [_means(path, one, trailer, sets) for one, trailer, sets in zip(features, trailers, targets, strict=True)]
        )
        kernel, bias, strength = fit_regression(means, y_true, groups, exclusive=model.config.exclusive == "yes")
        path.linear_kernel.assign(kernel)
        path.linear_bias.assign(bias)
        logger.info(f"regression on {sense}: {means.shape[1]} components of {len(means)} samples, C = {strength:g}")


def fit_regression(
    x: np.ndarray, y_true: np.ndarray, groups: np.ndarray, *, exclusive: bool
) -> tuple[np.ndarray, np.ndarray, float]:
    """Fit regularised logistic regression, its strength by cross-validation over groups.

    Parameters
    ----------
    x : ndarray of float, shape (samples, components)
    y_true : ndarray of bool, shape (samples, genres)
    groups : ndarray of str, shape (samples,)
    exclusive : bool
        One multinomial regression, instead of one regression for each genre.

    Returns
    -------
    kernel : ndarray of float32, shape (components, genres)
    bias : ndarray of float32, shape (genres,)
    strength : float
        scikit-learn's C: the larger, the less it is held back.
    """
    fit = _fit_multinomial if exclusive else _fit_each
    folds = min(INNER_FOLDS, len(np.unique(groups)))
    losses = np.zeros(len(STRENGTHS))
    if folds > 1:
        for train, test in GroupKFold(folds).split(x, groups=groups):
            for number, strength in enumerate(STRENGTHS):
                kernel, bias = fit(x[train], y_true[train], strength)
                losses[number] += _loss(x[test] @ kernel + bias, y_true[test], exclusive)
    strength = STRENGTHS[int(np.argmin(losses))]
    return *fit(x, y_true, strength), strength


def _fit_each(x: np.ndarray, y_true: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray]:
    kernel = np.zeros((x.shape[1], y_true.shape[1]), np.float32)
    # Of a genre that all or none show: the logit of Laplace's rule of succession.
    shown = (y_true.sum(axis=0) + 1) / (len(y_true) + 2)
    bias = np.log(shown / (1 - shown)).astype(np.float32)
    for genre, column in enumerate(y_true.T):
        if 0 < column.sum() < len(column):
            fitted = LogisticRegression(C=strength, max_iter=1000).fit(x, column)
            kernel[:, genre], bias[genre] = fitted.coef_[0], fitted.intercept_[0]
    return kernel, bias


def _fit_multinomial(x: np.ndarray, y_true: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray]:
    shown = np.flatnonzero(y_true.any(axis=0))
    kernel = np.zeros((x.shape[1], y_true.shape[1]), np.float32)
    bias = np.full(y_true.shape[1], np.log(1 / (len(y_true) + 2)), np.float32)
    if len(shown) < 2:
        bias[shown] = 0.0
        return kernel, bias
    fitted = LogisticRegression(C=strength, max_iter=1000).fit(x, y_true.argmax(axis=1))
    coefficients, intercepts = fitted.coef_, fitted.intercept_
    if len(shown) == 2:  # scikit-learn gives the logit of the second alone
        coefficients, intercepts = (
            np.stack([-coefficients[0], coefficients[0]]) / 2,
            np.stack([-intercepts[0], intercepts[0]]) / 2,
        )
    kernel[:, shown], bias[shown] = coefficients.T, intercepts
    return kernel, bias


def _loss(logits: np.ndarray, y_true: np.ndarray, exclusive: bool) -> float:
    if exclusive:
        logits = logits - logits.max(axis=1, keepdims=True)
        log_sum = np.log(np.exp(logits).sum(axis=1))
        return float((log_sum - logits[y_true]).sum())
    return float((np.logaddexp(0, logits) - logits * y_true).sum())


def _label_sets(trailer: Trailer) -> np.ndarray:
    """Return the sets of genres that a trailer shows at one time, bool (sets, genres)."""
    return np.unique(trailer.targets[trailer.labelled] > 0, axis=0)


def _features(model: GenreModel, sense: str, trailer: Trailer) -> np.ndarray | HeldLooks:
    """Return a sense's features of every frame of a trailer, float (frames, features)."""
    if sense != MOVEMENT:
        assert trailer.looks is not None
        return open_looks(trailer.looks, trailer.times)
    clip = load_clip(trailer.clip)
    state, parts = model.prepare.initial_state(1, *clip.shape[2:]), []
    for start in range(0, len(clip), CHUNK):
        pixels = keras.ops.convert_to_tensor(np.asarray(clip[start : start + CHUNK])[None])
        parts.append(np.asarray(movement_features(pixels, state)[0]))
        grey = keras.ops.mean(keras.ops.cast(pixels[:, -1], "float32"), axis=1)[..., None] * (1 / 255)
        state = grey, keras.ops.ones_like(state[1])
        release_pages(clip)
    return np.concatenate(parts)


def _set_components(path: SensePath, features: Sequence[Any]) -> None:
    """Set a path's components: of the means over stretches of frames, of mean 0 and variance 1."""
    samples = np.concatenate([_stretches(one) for one in features])
    known, places = samples[:, sum(path.widths) :] > 0, np.cumsum([0, *path.widths])
    for number, (kernel, shift) in enumerate(zip(path.kernels, path.shifts, strict=True)):
        part = samples[known[:, number], places[number] : places[number + 1]]
        if len(part) < 2:
            continue
        weights, bias = components(part, kernel.shape[1])
        kernel.assign(np.pad(weights, [(0, 0), (0, kernel.shape[1] - weights.shape[1])]))
        shift.assign(np.pad(bias, (0, kernel.shape[1] - len(bias))))


def _stretches(features: Any) -> np.ndarray:
    """Return the means over stretches of frames of what is known, float32 (stretches, features)."""
    parts = []
    for start in range(0, len(features), STRETCH):
        parts.append(np.asarray(features[start : start + STRETCH], np.float32).mean(axis=0))
    return np.stack(parts)


def _means(path: SensePath, features: Any, trailer: Trailer, sets: np.ndarray) -> np.ndarray:
    """Return the mean components of a trailer for each set of genres that it shows, float (sets, components)."""
    reduced = np.concatenate(
        [
            np.asarray(path.reduce(keras.ops.cast(np.asarray(features[start : start + CHUNK]), "float32")))
            for start in range(0, len(features), CHUNK)
        ]
    )
    same = [((trailer.targets > 0) == labels).all(axis=1) & trailer.labelled for labels in sets]
    return np.stack([reduced[frames].mean(axis=0) for frames in same])
