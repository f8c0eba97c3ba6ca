"""Where the reduction of an encoder's maps begins: at what differs between the trailers it learns from.

A hundred trailers are too few to find a few dozen good directions among a thousand channels by gradients alone. The
principal components of the training trailers are such directions, each scaled to a variance of 1; training goes on from
there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.decomposition import PCA

from genre_classifier.dataset.trailers import Trailer
from preprocessing.clips import open_array
from preprocessing.processes.machine import release_pages

STRETCH = 64  # frames whose mean is one sample: components of single frames are mostly noise
_FLOOR = 1e-6  # of a component's variance: what never changes is left as small as it is


def start_from_components(model: Any, trailers: Sequence[Trailer]) -> None:
    """Set the weights of a model's reduction from its training trailers.

    Where they have fewer components than the reduction has channels, the rest keep their random weights.

    Parameters
    ----------
    model : GenreModel
        With an encoder's maps as input.
    trailers : sequence of Trailer
        Encoded.
    """
    layer = model.prepare
    both = _samples(trailers, layer.kernels[0].shape[0])
    for samples, kernel, bias in zip(both, layer.kernels, layer.biases, strict=True):
        weights, shift = components(samples, kernel.shape[1])
        weights = weights / layer.scale
        found = weights.shape[1]
        kernel.assign(np.concatenate([weights, np.asarray(kernel)[:, found:]], axis=1))
        bias.assign(np.concatenate([shift, np.asarray(bias)[found:]]))


def components(samples: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return kernel and bias that map samples to their principal components, of mean 0 and variance 1.

    Parameters
    ----------
    samples : ndarray of float, shape (samples, channels)
    count : int
        Most components.

    Returns
    -------
    kernel : ndarray of float32, shape (channels, components)
    bias : ndarray of float32, shape (components,)
    """
    count = min(count, len(samples) - 1, samples.shape[1])
    if count == 0:
        return np.zeros((samples.shape[1], 0), np.float32), np.zeros(0, np.float32)
    fitted = PCA(count, svd_solver="randomized", random_state=0).fit(samples)
    kernel = fitted.components_.T / np.sqrt(np.maximum(fitted.explained_variance_, _FLOOR))
    return kernel.astype(np.float32), (-fitted.mean_ @ kernel).astype(np.float32)


def _samples(trailers: Sequence[Trailer], channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return means of maps and of their change over stretches of frames, per cell: (samples, channels) each."""
    means, changes = [], []
    for trailer in trailers:
        assert trailer.encoded is not None
        maps = open_array(trailer.encoded, "an encoded clip (.npy)")
        for start in range(0, len(maps), STRETCH):
            part = np.asarray(maps[max(start - 1, 0) : start + STRETCH, :channels], np.float32)
            change = np.abs(np.diff(part, axis=0))
            means.append(part.mean(axis=0).reshape(len(part[0]), -1).T)
            if len(change):
                changes.append(change.mean(axis=0).reshape(len(part[0]), -1).T)
            release_pages(maps)
    return np.concatenate(means), np.concatenate(changes or means)
