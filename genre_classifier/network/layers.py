"""Layers of the network: frames in, a fast ConvLSTM, pooling and the two heads.

All of them work on sequences `(batch, frames, ...)`, channels last inside, on every Keras backend.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from genre_classifier.config import INPUT_CHANNELS
from genre_classifier.network import backpropagation, convlstm
from genre_classifier.network.backend import Tensor, fused, scan

PACKAGE = "genre_classifier"
PADDING = -1  # value of every pixel of a padded frame; no uint8 frame can hold it
MAP_PADDING = -65504.0  # the same for an encoder's maps: the lowest of float16
# Of "motion": a mean change below half a grey level is noise; the typical change lies where tanh is not flat.
MOTION_FLOOR, MOTION_SCALE = 2e-3, 0.2


@keras.saving.register_keras_serializable(PACKAGE)
class Frames(keras.layers.Layer):
    """Turn pixels into what the first ConvLSTM sees: scaled, channels last, with or without differences.

    Parameters
    ----------
    inputs : {"rgb", "difference", "rgb+difference", "motion"}
        Frames scaled to [0, 1]; their differences from the frame before (in [-1, 1]; zero for the first frame of a
        clip); both, in this order, along the channel axis; or "motion", where and how things move, without colours,
        contrast and strength of the movement: `MOTION_SCALE * d / (mean of |d| over the frame + MOTION_FLOOR)`,
        d being the difference of the grey values (the mean of the three channels, in [0, 1]).
    """

    def __init__(self, inputs: str = "rgb", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.inputs = inputs

    def call(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return `(frames, mask)` of whole clips; see `run`."""
        batch, _, _, rows, cols = ops.shape(pixels)
        frames, _, _ = self.run(pixels, self.initial_state(batch, rows, cols))
        mask = self.mask(pixels)
        return frames, ops.ones_like(pixels[:, :, 0, 0, 0], dtype="bool") if mask is None else mask

    def run(self, pixels: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, None, tuple[Tensor, ...]]:
        """Prepare one chunk.

        Parameters
        ----------
        pixels : tensor, shape (batch, frames, 3, rows, cols)
            0 to 255; a padded frame holds -1 in every pixel.
        state : tuple
            Of the chunk before, or `initial_state`.

        Returns
        -------
        frames : float tensor, shape (batch, frames, rows, cols, INPUT_CHANNELS[inputs])
        joined : None
            Nothing goes to the branches past the trunk.
        state : tuple
            To be given with the next chunk.
        """
        batch, _, _, rows, cols = pixels.shape
        shape = (batch, rows, cols, INPUT_CHANNELS[self.inputs])

        def one(state: tuple[Tensor, ...], frame: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor]]:
            prepared, _, state = self.step(frame, state)
            return state, (prepared,)

        (frames,), state = scan(one, state, pixels, [(shape, "float32")])
        return frames, None, state

    def step(self, pixels: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, None, tuple[Tensor, ...]]:
        """Prepare one frame, `(batch, 3, rows, cols)`; return it, None, and the state after it."""
        prepared, state = _prepare(self.inputs)(pixels, state)
        return prepared, None, state

    def mask(self, pixels: Tensor) -> Tensor | None:
        """Return `(batch, frames)`, False for padded frames; None when the type of the pixels cannot hold padding."""
        if keras.backend.standardize_dtype(pixels.dtype).startswith("uint"):
            return None
        return ops.cast(pixels[:, :, 0, 0, 0], "float32") >= 0

    def initial_state(self, batch: Tensor | int, rows: int, cols: int) -> tuple[Tensor, ...]:
        """Return the state before a clip: the frame before, and whether there is one."""
        if self.inputs == "rgb":
            return ()
        channels = 1 if self.inputs == "motion" else 3
        return ops.zeros((batch, rows, cols, channels), "float32"), ops.zeros((batch, 1, 1, 1), "float32")

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, Any]:
        """Return the shapes of `(frames, mask)`."""
        batch, frames, _, rows, cols = input_shape
        return (batch, frames, rows, cols, INPUT_CHANNELS[self.inputs]), (batch, frames)

    def compute_output_spec(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return what `call` gives for a symbolic input."""
        frames, mask = self.compute_output_shape(pixels.shape)
        return keras.KerasTensor(frames, dtype=self.compute_dtype), keras.KerasTensor(mask, dtype="bool")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "inputs": self.inputs}


def cell_weights(pixels: int, cells: int) -> np.ndarray:
    """Return how much each pixel of an axis counts for each cell: float32, shape (cells, pixels), rows sum to 1."""
    borders = np.linspace(0, pixels, cells + 1)
    first, last = borders[:-1, None], borders[1:, None]
    places = np.arange(pixels)
    inside = np.clip(np.minimum(last, places + 1) - np.maximum(first, places), 0, None)
    return (inside * cells / pixels).astype(np.float32)


def even_motion(difference: Tensor) -> Tensor:
    """Divide differences of grey values, `(..., rows, cols, channels)`, by their mean size in the frame."""
    size = ops.mean(ops.abs(difference), axis=(-3, -2, -1), keepdims=True)
    return difference * (MOTION_SCALE / (size + MOTION_FLOOR))


@functools.cache
def _prepare(inputs: str) -> Callable[..., Any]:
    def prepare(pixels: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        frame = ops.transpose(ops.cast(pixels, "float32"), (0, 2, 3, 1)) * (1 / 255)
        if inputs == "rgb":
            return frame, state
        if inputs == "motion":
            frame = ops.mean(frame, axis=-1, keepdims=True)  # (batch, rows, cols, 1)
        before, started = state  # the first frame of a clip has nothing before it: its difference is zero
        difference = (frame - before) * started
        state = (frame, ops.ones_like(started))
        if inputs == "rgb+difference":
            return ops.concatenate([frame, difference], axis=-1), state
        return (even_motion(difference) if inputs == "motion" else difference), state

    return fused(prepare)


# Registered by the name that files have for it.
@keras.saving.register_keras_serializable(PACKAGE, name="FastConvLSTM2D")
class ConvLSTM2D(keras.layers.ConvLSTM2D):
    """`keras.layers.ConvLSTM2D` with one convolution per step instead of eight.

    Same arguments, same weights in the same order, same numbers to float32 rounding. Keras files weights under the
    name of a layer's class, so weights saved with one of the two load with the other. What the fast path does not
    cover (channels first, strides, dilation, dropout, valid padding, other activations, no bias, movies run backwards,
    a state that lasts) and masked sequences are left to Keras.
    """

    def call(
        self, sequences: Tensor, initial_state: Any = None, mask: Tensor | None = None, training: bool = False
    ) -> Any:
        """Run over `(batch, frames, rows, cols, channels)`."""
        if mask is not None or not self.is_fast:
            return super().call(sequences, initial_state=initial_state, mask=mask, training=training)
        if initial_state is None:
            initial_state = self.initial_state(ops.shape(sequences)[0], *sequences.shape[2:4])
        state = tuple(initial_state)
        if training:
            real = ops.ones_like(sequences[:, :, 0, 0, 0], dtype="float32")
            outputs, state, _ = backpropagation.run(self.weights_for_run(), sequences, state, real)
        else:
            outputs, state = convlstm.run(self.weights_for_run(), sequences, state)
        result = outputs if self.return_sequences else state[0]
        return [result, *state] if self.return_state else result

    @property
    def is_fast(self) -> bool:
        """Whether the arguments are among those that the fast path covers."""
        cell = self.cell
        return (
            cell.activation is keras.activations.tanh
            and cell.recurrent_activation in (keras.activations.sigmoid, keras.activations.hard_sigmoid)
            and cell.padding == "same"
            and cell.data_format == "channels_last"
            and set(cell.strides) == set(cell.dilation_rate) == {1}
            and cell.use_bias
            and not cell.dropout
            and not cell.recurrent_dropout
            and not self.go_backwards
            and not self.stateful
        )

    def weights_for_run(self, precision: str = "float32") -> convlstm.Cell:
        """Return the present weights as the functions of `genre_classifier.network.convlstm` take them.

        Parameters
        ----------
        precision : {"float32", "bfloat16"}
            Of the convolutions; state and gates stay in float32.
        """
        kernel = ops.concatenate([self.cell.kernel, self.cell.recurrent_kernel], axis=2)
        bias = ops.copy(self.cell.bias)  # a tensor of its present value
        return convlstm.Cell(kernel, bias, self.cell.recurrent_activation.__name__, precision)

    def initial_state(self, batch: Tensor | int, rows: int, cols: int) -> convlstm.State:
        """Return zeros for `(h, c)`, each `(batch, rows, cols, filters)`."""
        zeros = ops.zeros((batch, rows, cols, self.filters), dtype="float32")
        return zeros, zeros


@keras.saving.register_keras_serializable(PACKAGE)
class FrameNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` over the last axis, whose statistics leave padded frames out."""

    def call(self, frames: Tensor, real: Tensor | None = None, training: bool = False) -> Tensor:
        """Normalise `(batch, frames, rows, cols, channels)`; `real` is False for padded frames, `(batch, frames)`."""
        mask = None
        if training and real is not None:  # Keras wants the mask to have every axis but the last
            mask = ops.logical_and(real[:, :, None, None], ops.ones_like(frames[..., 0], dtype="bool"))
        return super().call(frames, training=training, mask=mask)

    def weights_for_run(self) -> tuple[Tensor, Tensor, Tensor, Tensor, float]:
        """Return the present gamma, beta, moving mean and moving variance, and epsilon."""
        weights = self.gamma, self.beta, self.moving_mean, self.moving_variance
        gamma, beta, mean, variance = (ops.copy(weight) for weight in weights)
        return gamma, beta, mean, variance, self.epsilon


@keras.saving.register_keras_serializable(PACKAGE)
class FramePooling(keras.layers.Layer):
    """Max pooling over the space of every frame: `(batch, frames, rows, cols, channels)`, windows side by side.

    Parameters
    ----------
    pool : int
        Rows and columns of a window.
    padding : {"valid", "same"}
        Whether windows that the picture fills only in part are dropped or kept, as in Keras.
    """

    def __init__(self, pool: int, padding: str = "valid", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.windows = convlstm.PoolWindows(pool, padding)

    def call(self, frames: Tensor) -> Tensor:
        """Pool."""
        _, steps, rows, cols, channels = frames.shape
        pooled = convlstm.max_pool(ops.reshape(frames, (-1, rows, cols, channels)), self.windows)
        if steps is None:
            steps = ops.shape(frames)[1]
        return ops.reshape(pooled, (-1, steps, *pooled.shape[1:]))

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the shape of the output."""
        batch, frames, rows, cols, channels = input_shape
        return batch, frames, self.windows.windows(rows), self.windows.windows(cols), channels

    def compute_output_spec(self, frames: Tensor) -> Tensor:
        """Return what `call` gives for a symbolic input."""
        return keras.KerasTensor(self.compute_output_shape(frames.shape), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "pool": self.windows.size, "padding": self.windows.padding}


@keras.saving.register_keras_serializable(PACKAGE)
class FrameFeatures(keras.layers.Layer):
    """Turn every frame's maps into one vector.

    Parameters
    ----------
    head : {"flat", "pooled"}
        Every pixel, in the order channels, rows, columns (that of the channels-first network of the article), or the
        mean of every channel followed by the maximum of every channel.
    """

    def __init__(self, head: str = "flat", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.head = head

    def call(self, frames: Tensor) -> Tensor:
        """Map `(batch, frames, rows, cols, channels)` to `(batch, frames, features)`."""
        if self.head == "pooled":
            return ops.concatenate([ops.mean(frames, axis=(2, 3)), ops.max(frames, axis=(2, 3))], axis=-1)
        _, steps, rows, cols, channels = frames.shape
        if steps is None:
            steps = ops.shape(frames)[1]
        return ops.reshape(ops.transpose(frames, (0, 1, 4, 2, 3)), (-1, steps, channels * rows * cols))

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the shape of the output."""
        batch, frames, rows, cols, channels = input_shape
        return batch, frames, 2 * channels if self.head == "pooled" else channels * rows * cols

    def compute_output_spec(self, frames: Tensor) -> Tensor:
        """Return what `call` gives for a symbolic input."""
        return keras.KerasTensor(self.compute_output_shape(frames.shape), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "head": self.head}
