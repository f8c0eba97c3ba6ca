"""The arithmetic of a ConvLSTM, channels last: one convolution over `[x, h]` per frame, then the gates in one pass.

    z = conv([x, h], kernel) + bias            (batch, rows, cols, 4 filters): gates i, f, g, o
    c' = s(f) c + s(i) tanh(g)
    h' = s(o) tanh(c')

with s the recurrent activation: the same as `keras.layers.ConvLSTM2D` (Shi et al., "Convolutional LSTM network",
2015, without peepholes), where Keras convolves each gate apart.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from genre_classifier.network.backend import Tensor, fused, scan
from genre_classifier.network.memory import pooled_size


class ChannelSums(NamedTuple):
    """Sums over the real frames' pixels of a layer's outputs: what the statistics of a normalisation are made of.

    Attributes
    ----------
    count : scalar
        Pixels.
    total, squares : tensor, shape (channels,)
        Sum of the values and of their squares.
    """

    count: Tensor
    total: Tensor
    squares: Tensor

    def __add__(self, other: Any) -> ChannelSums:
        """Return the moments of two sets of pixels together."""
        return ChannelSums(*(one + another for one, another in zip(self, other, strict=True)))


class Cell(NamedTuple):
    """Weights of one ConvLSTM, ready for use.

    Attributes
    ----------
    kernel : tensor, shape (k, k, input channels + filters, 4 filters)
    bias : tensor, shape (4 filters,)
    recurrent_activation : {"hard_sigmoid", "sigmoid"}
    dtype : str
        Of the convolution; state and gates stay in float32.
    """

    kernel: Tensor
    bias: Tensor
    recurrent_activation: str
    dtype: str = "float32"


class PoolWindows(NamedTuple):
    """Max pooling over space, in windows side by side.

    Attributes
    ----------
    size : int
        Rows and columns of a window, in pixels.
    padding : {"same", "valid"}
        Whether windows that the picture fills only in part count ("same": what they lack is split between both sides,
        the odd pixel going to the end, as Keras does) or are left out ("valid").
    """

    size: int
    padding: str = "valid"

    def windows(self, pixels: int) -> int:
        """Return how many windows an axis of so many pixels has."""
        return pooled_size(pixels, self.size, self.padding)

    def margins(self, pixels: int) -> tuple[int, int]:
        """Return how many pixels the windows reach beyond the axis at its start and its end; negative: fall short."""
        over = self.windows(pixels) * self.size - pixels
        before = max(over, 0) // 2
        return before, over - before


WHOLE = PoolWindows(1)  # every pixel is a window of its own
State = tuple[Tensor, Tensor]  # h and c, each (batch, rows, cols, filters)


def join(frame: Tensor, h: Tensor, dtype: str) -> Tensor:
    """Put a frame and the hidden state side by side, as the convolution wants them."""
    return ops.concatenate([ops.cast(frame, dtype), ops.cast(h, dtype)], axis=-1)


def step(cell: Cell, joined: Tensor, c: Tensor) -> State:
    """Return `(h, c)` after one frame; `joined` is the frame beside h."""
    return gates_and_state(cell.recurrent_activation)(_convolve(cell, joined), cell.bias, c)


def run(cell: Cell, frames: Tensor, state: State) -> tuple[Tensor, State]:
    """Run over `(batch, frames, rows, cols, channels)`; return all h and the last state.

    Every backend can differentiate this; `genre_classifier.network.backpropagation.run` is the one to train with.
    """

    def one(state: State, frame: Tensor) -> tuple[State, tuple[Tensor]]:
        h, c = step(cell, join(frame, state[0], cell.dtype), state[1])
        return (h, c), (h,)

    (hs,), state = scan(one, tuple(state), frames, [(state[0].shape, "float32")])
    return hs, state


def run_and_pool(
    cell: Cell, frames: Tensor, state: State, real: Tensor, *, pool: PoolWindows = WHOLE, signs: Tensor = 1.0
) -> tuple[Tensor, State, ChannelSums]:
    """Run, measure h and pool it.

    Parameters
    ----------
    cell : Cell
    frames : tensor, shape (batch, frames, rows, cols, channels)
    state : tuple
    real : float tensor, shape (batch, frames)
        1 for real frames, 0 for padded ones, which the moments leave out.
    pool : Pool
        The windows over which h is pooled.
    signs : tensor, shape (filters,)
        1 or -1: h is multiplied by it before it is pooled.

    Returns
    -------
    outputs : tensor, shape (batch, frames, rows of windows, columns of windows, filters)
    state : tuple
    moments : Moments
        Of h before pooling.
    """

    def one(carry: Any, frame: tuple[Tensor, Tensor]) -> Any:
        (h, c), moments = carry
        h, c = step(cell, join(frame[0], h, cell.dtype), c)
        return ((h, c), moments + measure(h, frame[1])), (max_pool(h * signs, pool),)

    batch, rows, cols, filters = state[0].shape
    shape = (batch, pool.windows(rows), pool.windows(cols), filters)
    zeros = ops.zeros((filters,))
    start = (tuple(state), ChannelSums(ops.zeros(()), zeros, zeros))
    (outputs,), (state, moments) = scan(one, start, (frames, real), [(shape, "float32")])
    return outputs, state, moments


def window_taps(frames: Tensor, pool: PoolWindows) -> list[Tensor]:
    """Cut `(n, rows, cols, channels)` into the windows' first pixels, second pixels, ..., row by row."""
    _, rows, cols, _ = frames.shape
    margins = [pool.margins(rows), pool.margins(cols)]
    if any(side > 0 for both in margins for side in both):
        # What a window lacks is never its maximum.
        lacking = [(0, 0), *((max(before, 0), max(after, 0)) for before, after in margins), (0, 0)]
        frames = ops.pad(frames, lacking, constant_values=-np.inf)
    size, rows, cols = pool.size, pool.windows(rows) * pool.size, pool.windows(cols) * pool.size
    return [frames[:, i:rows:size, j:cols:size] for i in range(size) for j in range(size)]


def measure(frames: Tensor, real: Tensor) -> ChannelSums:
    """Add up `(n, rows, cols, channels)`; `real` `(n,)` is 1 for a real frame and 0 for a padded one."""
    _, rows, cols, channels = frames.shape
    flat = ops.reshape(frames, (-1, rows * cols, channels))
    # Matrix products: one pass over the memory, with all cores.
    total = ops.matmul(ops.ones((1, rows * cols)), flat)[:, 0]
    squares = ops.diagonal(ops.matmul(ops.swapaxes(flat, 1, 2), flat), axis1=1, axis2=2)
    total, squares = (ops.sum(real[:, None] * sums, axis=0) for sums in (total, squares))
    return ChannelSums(ops.sum(real) * (rows * cols), total, squares)


def max_pool(frames: Tensor, pool: PoolWindows) -> Tensor:
    """Pool `(n, rows, cols, channels)`."""
    if pool.size == 1:
        return frames
    return ops.max_pool(frames, pool.size, pool.size, padding=pool.padding, data_format="channels_last")


def _convolve(cell: Cell, joined: Tensor) -> Tensor:
    return ops.conv(joined, ops.cast(cell.kernel, cell.dtype), padding="same", data_format="channels_last")


def gates(z: Tensor, bias: Tensor, recurrent_activation: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the activated gates i, f, g, o in float32."""
    i, f, g, o = ops.split(ops.cast(z, "float32") + bias, 4, axis=-1)
    s = ops.hard_sigmoid if recurrent_activation == "hard_sigmoid" else ops.sigmoid
    return s(i), s(f), ops.tanh(g), s(o)


@functools.cache
def gates_and_state(recurrent_activation: str) -> Callable[..., State]:
    """Return a function of `(z, bias, c)` that gives the new `(h, c)`."""

    def update(z: Tensor, bias: Tensor, c: Tensor) -> State:
        i, f, g, o = gates(z, bias, recurrent_activation)
        c = f * c + i * g
        return o * ops.tanh(c), c

    return fused(update)
