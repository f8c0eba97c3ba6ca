"""Movies of moving squares, the two guesses that a predictor has to beat, and how good a prediction is. Pure NumPy.

Figures compare frames `(movies, rows, cols)`, truth 0 or 1, predictions in [0, 1]. Each is taken over all pixels of all
movies; structural similarity over all windows of 7x7 pixels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

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


_SMALLEST = 1e-7  # the smallest probability that cross-entropy sees, as in Keras
_WINDOW = 7  # pixels
_C1, _C2 = 0.01**2, 0.03**2  # of Wang et al., for values in [0, 1]

Figures = dict[str, dict[str, list[float]]]


def binary_cross_entropy(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Return the mean of -log p(truth), p kept at least 1e-7 away from 0 and 1. Smaller is better."""
    p = np.clip(predicted.astype(np.float64), _SMALLEST, 1 - _SMALLEST)
    return float(-(truth * np.log(p) + (1 - truth) * np.log1p(-p)).mean())


def mean_squared_error(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Return the mean of the squared differences. Smaller is better."""
    return float(np.square(truth.astype(np.float64) - predicted).mean())


def structural_similarity(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Return the mean structural similarity over all windows of 7x7 pixels, at most 1. Larger is better.

    Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural similarity",
    2004, with uniform windows and sample covariances: the defaults of scikit-image.
    """
    rows, cols = (_box(size) for size in truth.shape[-2:])

    def mean(images: np.ndarray) -> np.ndarray:
        windows: np.ndarray = rows @ images @ cols.T
        return windows

    x, y = truth.astype(np.float64), predicted.astype(np.float64)
    mean_x, mean_y = mean(x), mean(y)
    sample = _WINDOW**2 / (_WINDOW**2 - 1)
    var_x, var_y = sample * (mean(x * x) - mean_x**2), sample * (mean(y * y) - mean_y**2)
    covariance = sample * (mean(x * y) - mean_x * mean_y)
    similarity = (2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)
    similarity /= (mean_x**2 + mean_y**2 + _C1) * (var_x + var_y + _C2)
    return float(similarity.mean())


def _box(size: int) -> np.ndarray:
    """Return the matrix that averages each window of a line of `size` pixels."""
    distance = np.arange(size) - np.arange(size - _WINDOW + 1)[:, None]
    return ((distance >= 0) & (distance < _WINDOW)) / _WINDOW


def f1_at_half(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Return F1 of the pixels predicted at 0.5 or more; 1 where there is nothing to find and nothing found."""
    true, said = truth >= 0.5, predicted >= 0.5
    both = int(true.sum()) + int(said.sum())
    return 2 * int((true & said).sum()) / both if both else 1.0


METRICS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "bce": binary_cross_entropy,
    "mse": mean_squared_error,
    "ssim": structural_similarity,
    "f1": f1_at_half,
}
LARGER_IS_BETTER = {"bce": False, "mse": False, "ssim": True, "f1": True}
TITLES = {
    "bce": "binary cross-entropy",
    "mse": "mean squared error",
    "ssim": "structural similarity",
    "f1": "F1 at 0.5",
}


def copy_last(frames: np.ndarray) -> np.ndarray:
    """Guess that each next frame is the one before it, cut to [0, 1]; `(movies, frames, ...)`."""
    return np.clip(frames, 0, 1)


def extrapolate(frames: np.ndarray) -> np.ndarray:
    """Guess that each pixel goes on as it did: clip(2 x_t - x_{t-1}, 0, 1). The first frame has no past: x_0."""
    before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    return np.clip(2 * frames - before, 0, 1)


BASELINES: dict[str, Callable[[np.ndarray], np.ndarray]] = {"copy": copy_last, "linear": extrapolate}


def roll_out_guess(guess: Callable[[np.ndarray], np.ndarray], frames: np.ndarray, steps: int) -> np.ndarray:
    """Feed a guess with its own answers, from its last two frames on; `(movies, steps, ...)`."""
    for _ in range(steps):
        frames = np.concatenate([frames, guess(frames[:, -2:])[:, -1:]], axis=1)
    return frames[:, frames.shape[1] - steps :]


def figures(truth: np.ndarray, predictions: Mapping[str, np.ndarray]) -> Figures:
    """Return `{predictor: {metric: [one figure per horizon]}}`.

    Parameters
    ----------
    truth : ndarray, shape (movies, horizons, rows, cols)
    predictions : mapping of str to ndarray, same shape
    """
    return {
        predictor: {
            name: [metric(truth[:, horizon], frames[:, horizon]) for horizon in range(truth.shape[1])]
            for name, metric in METRICS.items()
        }
        for predictor, frames in predictions.items()
    }


def wins_through(measured: Figures, predictor: str) -> dict[str, int]:
    """Return, per metric, the last horizon up to which `predictor` is better than every other one; 0 if never."""
    wins = {}
    for metric in METRICS:
        sign = 1 if LARGER_IS_BETTER[metric] else -1
        mine = np.array(measured[predictor][metric]) * sign
        others = [np.array(rest[metric]) * sign for name, rest in measured.items() if name != predictor]
        lost = np.flatnonzero(mine <= np.max(others, axis=0))
        wins[metric] = int(lost[0]) if len(lost) else len(mine)
    return wins
