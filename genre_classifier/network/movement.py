"""How things move, in a few numbers for each frame: what a linear path can tell genres by.

They look at three frames in a row, averaged to 16 x 16 grey cells, so that they do not depend on the size of the clip.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from keras import ops

from genre_classifier.network.backend import Tensor
from genre_classifier.network.layers import cell_weights

CELLS, WINDOW = 16, 4  # rows and columns of the picture, and of the windows in which directions are looked for
NUMBERS = 29  # of `movement_numbers`
LEVEL = 1 / 255  # one level of grey: smaller movement is noise
SHARES = (0.25, 0.5, 1.0, 2.0, 4.0)  # times the mean change: how unevenly the picture moves
SPEED = 0.02  # cells per frame: slower is still
FASTEST = 2.0  # cells per frame: what the gradients of one cell can tell

State = tuple[Tensor, Tensor]


def initial_state(batch: Tensor | int) -> State:
    """Return the state before a clip: the last two pictures, and how many frames there were."""
    return ops.zeros((batch, 2, CELLS, CELLS), "float32"), ops.zeros((batch, 1), "float32")


def movement_features(pixels: Tensor, state: State) -> tuple[Tensor, State]:
    """Describe how each frame of a chunk moves.

    Parameters
    ----------
    pixels : tensor, shape (batch, frames, 3, rows, cols)
        0 to 255.
    state : tuple
        `initial_state`, or what this function gave for the chunk before.

    Returns
    -------
    features : float tensor, shape (batch, frames, NUMBERS + 1)
        `movement_numbers`; and 1 where two frames came before, else 0, and the numbers too.
    state : tuple
    """
    last, count = state
    rows, cols = (cell_weights(size, CELLS) for size in pixels.shape[-2:])
    grey = ops.mean(ops.cast(pixels, "float32"), axis=2) * LEVEL
    pictures = ops.concatenate([last, ops.einsum("ar,btrc,dc->btad", rows, grey, cols)], axis=1)
    frames = ops.shape(grey)[1]
    places = count + ops.cast(ops.arange(frames), "float32")[None]
    known = ops.cast(places >= 2, "float32")[..., None]
    numbers = movement_numbers(pictures[:, 2:], pictures[:, 1:-1], pictures[:, :-2])
    state = pictures[:, -2:], count + ops.cast(frames, "float32")
    return ops.concatenate([ops.where(known > 0, numbers, 0.0), known], axis=-1), state


def movement_numbers(now: Tensor, before: Tensor, earlier: Tensor) -> Tensor:
    """Return numbers of three pictures in a row, grey in [0, 1], `(..., 16, 16)` to `(..., NUMBERS)`.

    How much moves, in logarithms; how jerkily: the change of the change, and how alike the last two are; how unevenly
    over the picture; which way and how fast (B. Lucas, T. Kanade, "An iterative image registration technique", 1981, in
    windows of 4 x 4 cells); and where, left and right alike.
    """
    change, last = now - before, before - earlier
    size, last_size = ops.abs(change), ops.abs(last)
    mean, last_mean = _mean(size), _mean(last_size)
    energy, last_energy = _mean(change * change), _mean(last * last)
    contrast = ops.sqrt(_spread(now))
    even = size / _wide(mean + LEVEL / 2)
    share = ops.log(even + 1e-3)
    much = [
        ops.log(mean + LEVEL),
        ops.log((_mean(ops.abs(change - last)) + LEVEL / 4) / (mean + last_mean + LEVEL / 4)),
        _mean(change * last) / (ops.sqrt(energy * last_energy) + LEVEL**2),
        _mean((size - _wide(mean)) * (last_size - _wide(last_mean)))
        / (ops.sqrt(_spread(size) * _spread(last_size)) + LEVEL**2),
        ops.abs(ops.log((mean + LEVEL) / (last_mean + LEVEL))),
        _mean(_windows(change) ** 2) / (energy + LEVEL**2),
        ops.log(mean + LEVEL / 4) - ops.log(contrast + LEVEL),
        # Soft borders: rounding decides nothing.
        *(_mean(ops.sigmoid(8.0 * (share - math.log(limit)))) for limit in SHARES),
    ]
    numbers = ops.stack([*much, *_flow_numbers(now, before, change, last)], axis=-1)
    where = _windows(even)
    halves = (where + where[..., ::-1])[..., : CELLS // WINDOW // 2] / 2
    return ops.concatenate(
        [numbers, ops.reshape(halves, (*ops.shape(halves)[:-2], NUMBERS - numbers.shape[-1]))], axis=-1
    )


def _flow_numbers(now: Tensor, before: Tensor, change: Tensor, last: Tensor) -> Sequence[Tensor]:
    """Return what directions and speeds say of the movement."""
    (right, down), (last_right, last_down) = _flow(now, change), _flow(before, last)
    speed = ops.sqrt(right * right + down * down)
    mean, jump = _mean(speed), _mean(ops.sqrt((right - last_right) ** 2 + (down - last_down) ** 2))
    return [
        ops.log(mean + SPEED),
        ops.sqrt(_mean(right) ** 2 + _mean(down) ** 2) / (mean + SPEED),
        ops.log(ops.sqrt(_spread(speed)) + SPEED),
        ops.log(jump + SPEED),
        ops.log((jump + SPEED) / (mean + SPEED)),
        _mean(ops.abs(right)) / (mean + SPEED),
        ops.log(ops.max(speed, axis=(-2, -1)) + SPEED),
        _mean((right[..., 1:] - right[..., :-1]) ** 2) / (mean**2 + 0.01),
        _mean((down[..., 1:, :] - down[..., :-1, :]) ** 2) / (mean**2 + 0.01),
    ]


def _flow(picture: Tensor, change: Tensor) -> tuple[Tensor, Tensor]:
    """Return cells per frame to the right and down, in windows: `(..., 4, 4)` each."""
    padded = ops.concatenate([picture[..., :1], picture, picture[..., -1:]], axis=-1)
    across = (padded[..., 2:] - padded[..., :-2]) / 2
    padded = ops.concatenate([picture[..., :1, :], picture, picture[..., -1:, :]], axis=-2)
    along = (padded[..., 2:, :] - padded[..., :-2, :]) / 2
    still = (3 * LEVEL) ** 2  # gradients of flat windows are noise
    xx, yy, xy = _windows(across * across) + still, _windows(along * along) + still, _windows(across * along)
    x, y = -_windows(across * change), -_windows(along * change)
    whole = xx * yy - xy * xy
    right, down = (yy * x - xy * y) / whole, (xx * y - xy * x) / whole
    return ops.clip(right, -FASTEST, FASTEST), ops.clip(down, -FASTEST, FASTEST)


def _mean(pictures: Tensor) -> Tensor:
    return ops.mean(pictures, axis=(-2, -1))


def _spread(pictures: Tensor) -> Tensor:
    return _mean((pictures - _wide(_mean(pictures))) ** 2)


def _wide(numbers: Tensor) -> Tensor:
    return numbers[..., None, None]


def _windows(pictures: Tensor) -> Tensor:
    """Return the means over windows side by side: `(..., 16, 16)` to `(..., 4, 4)`."""
    side = CELLS // WINDOW
    return ops.mean(ops.reshape(pictures, (*ops.shape(pictures)[:-2], side, WINDOW, side, WINDOW)), axis=(-3, -1))
