"""Layers of the network: frames in, a fast ConvLSTM, pooling and the two heads.

All of them work on sequences `(batch, frames, ...)`, channels last inside, on every Keras backend.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

PACKAGE = "genre_classifier"
PADDING = -1  # value of every pixel of a padded frame; no uint8 frame can hold it


@keras.saving.register_keras_serializable(PACKAGE)
class Frames(keras.layers.Layer):
    """Turn pixels into what the first ConvLSTM sees: scaled, channels last, with or without differences.

    Parameters
    ----------
    inputs : {"rgb", "difference", "rgb+difference"}
        Frames scaled to [0, 1], their differences from the frame before (in [-1, 1]; zero for the first frame of a
        clip), or both, in this order, along the channel axis.
    """

    def __init__(self, inputs: str = "rgb", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.inputs = inputs

    def call(self, pixels: Any) -> tuple[Any, Any]:
        """Return `(frames, mask)` of whole clips; see `run`."""
        frames, mask, _ = self.run(pixels, self.initial_state(ops.shape(pixels)))
        return frames, mask

    def run(self, pixels: Any, state: tuple[Any, ...]) -> tuple[Any, Any, tuple[Any, ...]]:
        """Prepare one chunk.

        Parameters
        ----------
        pixels : tensor, shape (batch, frames, 3, rows, cols)
            0 to 255; a padded frame holds -1 in every pixel.
        state : tuple
            Of the chunk before, or `initial_state`.

        Returns
        -------
        frames : float tensor, shape (batch, frames, rows, cols, 3 or 6)
        mask : bool tensor, shape (batch, frames)
            False for padded frames.
        state : tuple
            To be given with the next chunk.
        """
        mask = pixels[:, :, 0, 0, 0] >= 0 if _is_signed(pixels) else ops.ones_like(pixels[:, :, 0, 0, 0], dtype="bool")
        frames = ops.transpose(ops.cast(pixels, self.compute_dtype), (0, 1, 3, 4, 2)) * (1 / 255)
        if self.inputs == "rgb":
            return frames, mask, state
        last, started = state
        before = ops.concatenate([last[:, None], frames[:, :-1]], axis=1)
        # The first frame of a clip has nothing before it: its difference is zero.
        known = ops.concatenate([started, ops.ones_like(frames[:, 1:, 0, 0, 0])], axis=1)
        differences = (frames - before) * known[:, :, None, None, None]
        state = (frames[:, -1], ops.ones_like(started))
        if self.inputs == "rgb+difference":
            differences = ops.concatenate([frames, differences], axis=-1)
        return differences, mask, state

    def initial_state(self, shape: Any) -> tuple[Any, ...]:
        """Return the state before the first frame, for pixels of this shape."""
        if self.inputs == "rgb":
            return ()
        batch, _, channels, rows, cols = shape
        return (
            ops.zeros((batch, rows, cols, channels), dtype=self.compute_dtype),
            ops.zeros((batch, 1), dtype=self.compute_dtype),
        )

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, Any]:
        """Return the shapes of `(frames, mask)`."""
        batch, frames, channels, rows, cols = input_shape
        seen = 2 * channels if self.inputs == "rgb+difference" else channels
        return (batch, frames, rows, cols, seen), (batch, frames)

    def compute_output_spec(self, pixels: Any) -> tuple[Any, Any]:
        """Return what `call` gives for a symbolic input."""
        frames, mask = self.compute_output_shape(pixels.shape)
        return keras.KerasTensor(frames, dtype=self.compute_dtype), keras.KerasTensor(mask, dtype="bool")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "inputs": self.inputs}


def _is_signed(pixels: Any) -> bool:
    return not keras.backend.standardize_dtype(pixels.dtype).startswith("uint")


@keras.saving.register_keras_serializable(PACKAGE)
class FastConvLSTM2D(keras.layers.ConvLSTM2D):
    """`keras.layers.ConvLSTM2D` with one convolution per step instead of eight.

    Same arguments, same weights in the same order, same numbers to float32 rounding. Cases outside the network's own
    (strides, dilation, dropout, other paddings) and masks are left to Keras.
    """

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        """Run over `(batch, frames, rows, cols, channels)`, or channels first if the layer is told so."""
        return super().call(sequences, initial_state=initial_state, mask=mask, training=training)

    def run(self, sequences: Any, state: tuple[Any, Any]) -> tuple[Any, tuple[Any, Any]]:
        """Run one chunk, channels last: return its outputs and the state `(h, c)` after it."""
        kernel = ops.concatenate([self.cell.kernel, self.cell.recurrent_kernel], axis=2)

        h, c = state
        outputs = []
        for frame in ops.unstack(sequences, axis=1):
            gates = ops.conv(ops.concatenate([frame, h], axis=-1), kernel, padding="same", data_format="channels_last")
            gates = gates + self.cell.bias
            i, f, g, o = ops.split(gates, 4, axis=-1)
            c = self.recurrent_activation(f) * c + self.recurrent_activation(i) * self.activation(g)
            h = self.recurrent_activation(o) * self.activation(c)
            outputs.append(h)
        return ops.stack(outputs, axis=1), (h, c)

    def initial_state(self, batch: Any, rows: int, cols: int) -> tuple[Any, Any]:
        """Return zeros for `(h, c)`, each `(batch, rows, cols, filters)`."""
        zeros = ops.zeros((batch, rows, cols, self.filters), dtype=self.compute_dtype)
        return zeros, zeros


@keras.saving.register_keras_serializable(PACKAGE)
class FrameNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` over the last axis, whose statistics leave padded frames out."""

    def call(self, frames: Any, real: Any = None, training: bool = False) -> Any:
        """Normalise `(batch, frames, rows, cols, channels)`; `real` is False for padded frames, `(batch, frames)`."""
        mask = None
        if training and real is not None:  # Keras wants the mask to have every axis but the last
            mask = ops.logical_and(real[:, :, None, None], ops.ones_like(frames[..., 0], dtype="bool"))
        return super().call(frames, training=training, mask=mask)


@keras.saving.register_keras_serializable(PACKAGE)
class FramePooling(keras.layers.Layer):
    """Max pooling over the space of every frame: `(batch, frames, rows, cols, channels)`, windows side by side."""

    def __init__(self, pool: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pool = pool

    def call(self, frames: Any) -> Any:
        """Pool; rows and columns that fill no window are dropped."""
        _, steps, rows, cols, channels = frames.shape
        merged = ops.reshape(frames, (-1, rows, cols, channels))
        pooled = ops.max_pool(merged, self.pool, self.pool, data_format="channels_last")
        if steps is None:
            steps = ops.shape(frames)[1]
        return ops.reshape(pooled, (-1, steps, *pooled.shape[1:]))

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the shape of the output."""
        batch, frames, rows, cols, channels = input_shape
        return batch, frames, rows // self.pool, cols // self.pool, channels

    def compute_output_spec(self, frames: Any) -> Any:
        """Return what `call` gives for a symbolic input."""
        return keras.KerasTensor(self.compute_output_shape(frames.shape), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "pool": self.pool}


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

    def call(self, frames: Any) -> Any:
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

    def compute_output_spec(self, frames: Any) -> Any:
        """Return what `call` gives for a symbolic input."""
        return keras.KerasTensor(self.compute_output_shape(frames.shape), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "head": self.head}
