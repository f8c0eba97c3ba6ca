"""Movies of moving squares, and the two guesses that any predictor of them has to beat. Pure NumPy."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from genre_classifier.moving_squares.config import SquaresConfig

_MOVIES_AT_ONCE = 8  # so that what is worked on stays in the processor's cache


@dataclasses.dataclass(frozen=True)
class Squares:
    """Everything random about some movies. Squares beyond a movie's number have half-width 0: they cover nothing.

    Attributes
    ----------
    start : ndarray of int, shape (samples, squares, 2)
        Centre in the first frame, row and column, in pixels.
    step : ndarray of int, shape (samples, squares, 2)
        Movement per frame, in pixels.
    half_width : ndarray of int, shape (samples, squares)
        A square covers `[centre - half_width, centre + half_width)` along both axes.
    noise : ndarray of float32, shape (samples, frames, squares)
        What is added in each frame to the square widened by one pixel on each side.
    """

    start: np.ndarray
    step: np.ndarray
    half_width: np.ndarray
    noise: np.ndarray


def draw_squares(
    n_samples: int, n_frames: int, *, seed: int | Sequence[int] = 0, config: SquaresConfig | None = None
) -> Squares:
    """Draw the squares of `n_samples` movies and the noise of their `n_frames` frames.

    The noise is drawn last and frame by frame, so the same seed and a larger `n_frames` continue the same movies.
    """
    config = config or SquaresConfig()
    rng = np.random.default_rng(seed)
    many = (n_samples, config.max_squares)
    number = rng.integers(config.min_squares, config.max_squares, size=(n_samples, 1), endpoint=True)
    present = np.arange(config.max_squares) < number
    start = rng.integers(0, config.size, size=(*many, 2))
    step = rng.integers(-config.speed, config.speed, size=(*many, 2), endpoint=True)
    half_width = rng.integers(config.min_half_width, config.max_half_width, size=many, endpoint=True) * present
    # One draw decides both: below the chance there is noise, and in the lower half of that it is negative.
    draw = rng.random((n_frames, *many), dtype=np.float32)
    noise = np.where(draw < config.noise_chance / 2, -config.noise, config.noise) * (draw < config.noise_chance)
    noise = (noise * present).astype(np.float32).swapaxes(0, 1)
    return Squares(start, step, half_width, noise)


def render_movies(squares: Squares, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw the movies that `squares` describes.

    Parameters
    ----------
    squares : Squares
    size : int
        Rows and columns; what lies outside is cut off.

    Returns
    -------
    noisy : ndarray of float32, shape (samples, frames, rows, cols, 1)
        Squares add up, with noise, to at most 1. Negative noise on an empty pixel stays negative.
    shifted : ndarray of float32, shape (samples, frames, rows, cols, 1)
        The same squares one frame later, without noise: 0 or 1.
    """
    samples, frames, _ = squares.noise.shape
    noisy = np.empty((samples, frames, size, size), np.float32)
    shifted = np.empty_like(noisy)
    lines, margin = _lines(size, int(squares.half_width.max(initial=0)) + 1)
    time = np.arange(frames + 1)[:, None, None]
    for first in range(0, samples, _MOVIES_AT_ONCE):
        part = slice(first, first + _MOVIES_AT_ONCE)
        centre = squares.start[part, None] + squares.step[part, None] * time  # movies, frames + 1, squares, axes
        place = np.clip(centre, -margin, size + margin) + margin
        width = squares.half_width[part, None, :, None]
        inside = lines[width, place]
        around = lines[width + 1, place[:, :-1]]
        # A square is the product of its rows and its columns, so a frame, their sum, is a product of matrices.
        clean = inside[..., 0, :].swapaxes(-1, -2) @ inside[..., 1, :]
        border = (around[..., 0, :] * squares.noise[part, ..., None]).swapaxes(-1, -2) @ around[..., 1, :]
        border += clean[:, :-1]
        np.clip(border, -np.inf, 1, out=noisy[part])
        np.clip(clean[:, 1:], -np.inf, 1, out=shifted[part])
    return noisy[..., None], shifted[..., None]


def _lines(size: int, widest: int) -> tuple[np.ndarray, int]:
    """Return which pixels of a line lie inside, for every half-width and centre, and the offset of the centres."""
    margin = widest + 1
    half_width = np.arange(widest + 1)[:, None, None]
    distance = np.arange(size) - np.arange(-margin, size + margin + 1)[:, None]
    return ((distance >= -half_width) & (distance < half_width)).astype(np.float32), margin
