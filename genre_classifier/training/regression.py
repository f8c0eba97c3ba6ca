"""The linear paths of a network: logistic regression on the trailers that are learned from (scikit-learn).

The score of a weakly labelled trailer is the mean of its frames' logits (`weak = mean`), and the mean of a linear
function is that function of the mean: regression on means over time is the linear path, for frames and trailers alike.
A trailer labelled in intervals gives one mean for each set of genres that it shows.

Each sense is regressed by itself, and the logits are added, each without the share of the genre, which counts once: on
fights, moods and film trailers alike that was better than one regression on all of them.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import keras
import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from genre_classifier.dataset.looks import HeldLooks, open_looks
from genre_classifier.dataset.trailers import Trailer
from genre_classifier.network import movement
from genre_classifier.network.model import GenreModel
from genre_classifier.network.senses import MOVEMENT, SensePath
from preprocessing.clips import load_clip
from preprocessing.processes.machine import release_pages

logger = logging.getLogger(__name__)

STRENGTH = 0.1  # scikit-learn's C: small, for a few dozen components and a few dozen trailers
CHUNK = 256  # frames whose features are in memory at once
_LEAST_SPREAD = 1e-3  # of the largest: a component below it is rounding


def start_from_regression(model: GenreModel, trailers: Sequence[Trailer]) -> None:
    """Fit the linear paths of a model, and set them.

    Parameters
    ----------
    model : GenreModel
        With `linear_paths`.
    trailers : sequence of Trailer
        To learn from, with what its encoders see.
    """
    assert model.senses is not None
    exclusive = model.config.exclusive == "yes"
    sets = [np.unique(trailer.targets[trailer.labelled] > 0, axis=0) for trailer in trailers]
    y_true = np.concatenate(sets)
    prior = prior_logits(y_true, exclusive=exclusive)
    model.senses.total.prior.assign(prior)
    for sense, path in model.senses.paths.items():
        parts = []
        for trailer, labels in zip(trailers, sets, strict=True):
            features = _features(sense, trailer)
            same = [((trailer.targets > 0) == one).all(axis=1) & trailer.labelled for one in labels]
            parts.append(_means(features, same, path.widths))
        means = np.concatenate(parts)  # (samples, features)
        known = means[:, sum(path.widths)] > 0
        if not known.any():
            logger.warning(f"no training trailer has {sense}: nothing is learned from it")
            continue
        _set_components(path, means[known])
        x = np.asarray(path.reduce(keras.ops.convert_to_tensor(means[known].astype(np.float32))))
        kernel, bias = fit_regression(x, y_true[known], exclusive=exclusive)
        path.linear_kernel.assign(kernel)
        path.linear_bias.assign(bias - prior)


def prior_logits(y_true: np.ndarray, *, exclusive: bool) -> np.ndarray:
    """Return the logits of the shares of genres, by Laplace's rule of succession: float32, shape (genres,)."""
    shares = (y_true.sum(axis=0) + 1) / (len(y_true) + (y_true.shape[1] if exclusive else 2))
    return np.log(shares if exclusive else shares / (1 - shares)).astype(np.float32)


def fit_regression(x: np.ndarray, y_true: np.ndarray, *, exclusive: bool) -> tuple[np.ndarray, np.ndarray]:
    """Fit regularised logistic regression.

    Parameters
    ----------
    x : ndarray of float, shape (samples, components)
        Standardised.
    y_true : ndarray of bool, shape (samples, genres)
    exclusive : bool
        One multinomial regression, instead of one regression for each genre.

    Returns
    -------
    kernel : ndarray of float32, shape (components, genres)
    bias : ndarray of float32, shape (genres,)
        A genre that all samples show, or none, has a kernel of zeros and the logit of its share.
    """
    kernel = np.zeros((x.shape[1], y_true.shape[1]), np.float32)
    bias = prior_logits(y_true, exclusive=exclusive)
    shown = np.flatnonzero(y_true.any(axis=0))
    if not exclusive:
        for genre in shown[~y_true[:, shown].all(axis=0)]:
            fitted = _regression().fit(x, y_true[:, genre])
            kernel[:, genre], bias[genre] = fitted.coef_[0], fitted.intercept_[0]
    elif len(shown) == 2:  # scikit-learn gives the logit of the second alone
        fitted = _regression().fit(x, y_true[:, shown[1]])
        for genre, side in zip(shown, (-0.5, 0.5), strict=True):
            kernel[:, genre], bias[genre] = side * fitted.coef_[0], side * fitted.intercept_[0]
    elif len(shown) > 2:
        fitted = _regression().fit(x, y_true.argmax(axis=1))
        kernel[:, shown], bias[shown] = fitted.coef_.T, fitted.intercept_
    return kernel, bias


def _regression() -> LogisticRegression:
    return LogisticRegression(C=STRENGTH, max_iter=1000)


def _features(sense: str, trailer: Trailer) -> np.ndarray | HeldLooks:
    """Return a sense's features of every frame of a trailer, float (frames, features)."""
    if sense != MOVEMENT:
        assert trailer.looks is not None
        return open_looks(trailer.looks, trailer.times)
    clip = load_clip(trailer.clip)
    state, parts = movement.initial_state(1), []
    for start in range(0, len(clip), CHUNK):
        pixels = keras.ops.convert_to_tensor(np.asarray(clip[start : start + CHUNK])[None])
        features, state = movement.movement_features(pixels, state)
        parts.append(np.asarray(features[0]))
        release_pages(clip)
    return np.concatenate(parts)


def _means(features: np.ndarray | HeldLooks, same: Sequence[np.ndarray], widths: Sequence[int]) -> np.ndarray:
    """Return the mean features of some sets of frames, where they are known: float64 (sets, features).

    A kind of features that no frame of a set has is 0 throughout, and so is its last number; elsewhere that is 1.
    """
    kinds = np.arange(len(widths))
    kind_of = np.concatenate([np.repeat(kinds, widths), kinds])  # of each feature
    sums, counts = np.zeros((len(same), len(kind_of))), np.zeros((len(same), len(kinds)))
    for start in range(0, len(features), CHUNK):
        part = np.asarray(features[start : start + CHUNK], np.float64)
        known = part[:, -len(kinds) :] > 0
        part = part * known[:, kind_of]
        for number, frames in enumerate(same):
            chosen = frames[start : start + CHUNK]
            sums[number] += part[chosen].sum(axis=0)
            counts[number] += known[chosen].sum(axis=0)
    return sums / np.maximum(counts, 1)[:, kind_of]


def _set_components(path: SensePath, means: np.ndarray) -> None:
    """Set a path's components: principal ones of standardised features, of mean 0 and variance 1."""
    places = np.cumsum([0, *path.widths])
    for number, (kernel, shift) in enumerate(zip(path.kernels, path.shifts, strict=True)):
        width, count = kernel.shape
        samples = means[means[:, places[-1] + number] > 0, places[number] : places[number + 1]]
        if not len(samples):
            continue  # of zeros, as they are: such a kind says nothing
        scaler = StandardScaler().fit(samples)
        weights, bias = np.diag(1 / scaler.scale_), -scaler.mean_ / scaler.scale_
        if count < width:
            weights, bias = _principal(scaler.transform(samples), weights, bias, count)
        kernel.assign(np.pad(weights, [(0, 0), (0, count - weights.shape[1])]).astype(np.float32))
        shift.assign(np.pad(bias, (0, count - len(bias))).astype(np.float32))


def _principal(scaled: np.ndarray, weights: np.ndarray, bias: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    count = min(count, len(scaled) - 1, scaled.shape[1])
    if count < 1:
        return np.zeros((len(weights), 0)), np.zeros(0)
    fitted = PCA(count, svd_solver="randomized", random_state=0).fit(scaled)
    spread = np.sqrt(fitted.explained_variance_)
    turned = (fitted.components_ / np.maximum(spread, _LEAST_SPREAD * spread[0])[:, None]).T
    return weights @ turned, (bias - fitted.mean_) @ turned
