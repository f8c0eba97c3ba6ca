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

from keras import ops

from genre_classifier.acceleration import fused, scan

RECURRENT_ACTIVATIONS = ("hard_sigmoid", "sigmoid")


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

    kernel: Any
    bias: Any
    recurrent_activation: str
    dtype: str = "float32"


State = tuple[Any, Any]  # h and c, each (batch, rows, cols, filters)


def join(frame: Any, h: Any, dtype: str) -> Any:
    """Put a frame and the hidden state side by side, as the convolution wants them."""
    return ops.concatenate([ops.cast(frame, dtype), ops.cast(h, dtype)], axis=-1)


def step(cell: Cell, joined: Any, c: Any) -> State:
    """Return `(h, c)` after one frame; `joined` is the frame beside h."""
    return _gates(cell.recurrent_activation)(_convolve(cell, joined), cell.bias, c)


def run(cell: Cell, frames: Any, state: State) -> tuple[Any, State]:
    """Run over `(batch, frames, rows, cols, channels)`; return all h and the last state.

    Every backend can differentiate this; `genre_classifier.backpropagation.run` is the one to train with.
    """

    def one(state: State, frame: Any) -> tuple[State, tuple[Any]]:
        h, c = step(cell, join(frame, state[0], cell.dtype), state[1])
        return (h, c), (h,)

    (hs,), state = scan(one, tuple(state), frames, [(state[0].shape, "float32")])
    return hs, state


def _convolve(cell: Cell, joined: Any) -> Any:
    return ops.conv(joined, ops.cast(cell.kernel, cell.dtype), padding="same", data_format="channels_last")


def gates(z: Any, bias: Any, recurrent_activation: str) -> tuple[Any, Any, Any, Any]:
    """Return the activated gates i, f, g, o in float32."""
    i, f, g, o = ops.split(ops.cast(z, "float32") + bias, 4, axis=-1)
    s = ops.hard_sigmoid if recurrent_activation == "hard_sigmoid" else ops.sigmoid
    return s(i), s(f), ops.tanh(g), s(o)


@functools.cache
def _gates(recurrent_activation: str) -> Callable[..., State]:
    def update(z: Any, bias: Any, c: Any) -> State:
        i, f, g, o = gates(z, bias, recurrent_activation)
        c = f * c + i * g
        return o * ops.tanh(c), c

    return fused(update)
