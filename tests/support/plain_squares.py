"""The moving squares the slow way: one loop per movie, square and frame; a rollout that starts again at each step."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from genre_classifier.moving_squares.config import SquaresConfig
from genre_classifier.moving_squares.movies import Squares


def plain_movies(squares: Squares, size: int, margin: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Draw the movies on a canvas with room for whatever leaves the window, and cut the window out at the end."""
    samples, frames, most = squares.noise.shape
    canvas = (samples, frames, size + 2 * margin, size + 2 * margin, 1)
    noisy, shifted = np.zeros(canvas, np.float32), np.zeros(canvas, np.float32)
    for i in range(samples):
        for k in range(most):
            w = squares.half_width[i, k]
            if w == 0:  # this movie has fewer squares
                continue
            for t in range(frames):
                x, y = squares.start[i, k] + margin + squares.step[i, k] * t
                noisy[i, t, x - w : x + w, y - w : y + w, 0] += 1
                if squares.noise[i, t, k]:
                    noisy[i, t, x - w - 1 : x + w + 1, y - w - 1 : y + w + 1, 0] += squares.noise[i, t, k]
                x, y = squares.start[i, k] + margin + squares.step[i, k] * (t + 1)
                shifted[i, t, x - w : x + w, y - w : y + w, 0] += 1
    window = (slice(None), slice(None), slice(margin, -margin), slice(margin, -margin))
    noisy, shifted = noisy[window], shifted[window]
    noisy[noisy >= 1] = 1
    shifted[shifted >= 1] = 1
    return noisy, shifted


class PlainPredictor:
    """The predictor out of plain Keras layers, with the weights of another."""

    def __init__(self, config: SquaresConfig, weights: list[np.ndarray]) -> None:
        self.body: list[Any] = []
        for _ in range(config.layers):
            gates = {"recurrent_activation": "hard_sigmoid", "return_sequences": True}
            self.body.append(keras.layers.ConvLSTM2D(config.filters, config.kernel, padding="same", **gates))
            self.body.append(keras.layers.BatchNormalization())
        side, past = config.kernel // 2, config.kernel - 1
        self.pad = ((0, 0), (past, 0) if config.causal else (side, side), (side, side), (side, side), (0, 0))
        self.head = keras.layers.Conv3D(1, config.kernel, activation="sigmoid")
        self(np.zeros((1, 1, config.size, config.size, 1), np.float32))
        layers = [*self.body, self.head]
        counts = np.cumsum([len(layer.weights) for layer in layers])
        for layer, end in zip(layers, counts, strict=True):
            layer.set_weights(weights[end - len(layer.weights) : end])

    def __call__(self, movies: np.ndarray) -> np.ndarray:
        """Predict the next frame at every frame."""
        maps: Any = movies
        for layer in self.body:
            maps = layer(maps)
        return np.asarray(self.head(np.pad(np.asarray(maps), self.pad)))

    def roll_out(self, frames: np.ndarray, steps: int) -> np.ndarray:
        """Predict from all frames so far, append, and start again, as the original does."""
        given = frames.shape[1]
        for _ in range(steps):
            frames = np.concatenate([frames, self(frames)[:, -1:]], axis=1)
        return frames[:, given:]
