"""What stands in front of the first ConvLSTM where encoded frames come in, in place of pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from genre_classifier.network.backend import Tensor
from genre_classifier.network.layers import MAP_PADDING, PACKAGE, even_motion


class MapReduction(NamedTuple):
    """What `MapFrames` does to a clip, with its weights at one moment, as the programs take it.

    Attributes
    ----------
    kernels, biases : sequence of tensors, shapes (channels, reduced) and (reduced,)
        Of the maps, and of their change.
    """

    kernels: Sequence[Tensor]
    biases: Sequence[Tensor]

    def run(self, maps: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, Tensor | None, tuple[Tensor, ...]]:
        """Prepare one chunk.

        Parameters
        ----------
        maps : tensor, shape (batch, frames, channels, rows, cols)
            A padded frame holds `MAP_PADDING` everywhere.
        state : tuple
            Of the chunk before, or `MapFrames.initial_state`.

        Returns
        -------
        frames : float tensor
            For the trunk: the reduced maps, `(batch, frames, rows, cols, both reduced)`; or, where maps come with a
            small grey picture, the movement in it, `(batch, frames, size, size, 1)`.
        joined : float tensor or None
            For the branches: the reduced maps, where the trunk does not see them.
        state : tuple
            To be given with the next chunk.
        """
        now = ops.transpose(ops.cast(maps, "float32"), (0, 1, 3, 4, 2))
        now = ops.where(now <= MAP_PADDING, 0.0, now)
        last, started = state
        before = ops.concatenate([last[:, None], now[:, :-1]], axis=1)
        state = now[:, -1], ops.ones_like(started)
        seen = self.kernels[0].shape[0]  # by the encoder; the rest is grey
        parts = now[..., :seen], ops.abs(now[..., :seen] - before[..., :seen])
        reduced, change = (
            ops.matmul(part, kernel) + bias for part, kernel, bias in zip(parts, self.kernels, self.biases, strict=True)
        )
        reduced = ops.concatenate([reduced, _unless_first(change, started)], axis=-1)
        if seen == now.shape[-1]:
            return reduced, None, state
        difference = _unless_first((now[..., seen:] - before[..., seen:]) * (1 / 255), started)
        return _picture(even_motion(difference)), reduced, state

    def step(self, maps: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, Tensor | None, tuple[Tensor, ...]]:
        """Prepare one frame, `(batch, channels, rows, cols)`; return what `run` does of it."""
        frames, joined, state = self.run(maps[:, None], state)
        return frames[:, 0], None if joined is None else joined[:, 0], state

    def mask(self, maps: Tensor) -> Tensor:
        """Return `(batch, frames)`, False for padded frames."""
        return ops.cast(maps[:, :, 0, 0, 0], "float32") > MAP_PADDING


def _unless_first(change: Tensor, started: Tensor) -> Tensor:
    """Set to zero what changes with the first frame of a clip, which can only be the first of the chunk."""
    return ops.concatenate([change[:, :1] * started[:, None], change[:, 1:]], axis=1)


def _picture(cells: Tensor) -> Tensor:
    """Put `(batch, frames, cells, cells, side * side)` together: `(batch, frames, cells * side, cells * side, 1)`."""
    batch, frames, rows, cols = ops.shape(cells)[:4]
    side = round(int(cells.shape[-1]) ** 0.5)
    parts = ops.reshape(cells, (batch * frames, rows, cols, side, side))
    return ops.reshape(ops.transpose(parts, (0, 1, 3, 2, 4)), (batch, frames, rows * side, cols * side, 1))


def join_maps(frames: Tensor, joined: Tensor) -> Tensor:
    """Add maps of fewer rows and columns as channels: each pixel gets those of the cell that its centre lies in."""
    for axis in (-3, -2):
        count, cells = frames.shape[axis], joined.shape[axis]
        joined = ops.take(joined, ((np.arange(count) + 0.5) * cells / count).astype(np.int32), axis=axis)
    return ops.concatenate([frames, joined], axis=-1)


@keras.saving.register_keras_serializable(PACKAGE)
class JoinMaps(keras.layers.Layer):
    """`join_maps` as a layer."""

    def call(self, frames: Tensor, joined: Tensor) -> Tensor:
        """Join."""
        return join_maps(frames, joined)

    def compute_output_spec(self, frames: Tensor, joined: Tensor) -> Tensor:
        """Return what `call` gives for symbolic inputs."""
        return keras.KerasTensor((*frames.shape[:-1], frames.shape[-1] + joined.shape[-1]), dtype=self.compute_dtype)


@keras.saving.register_keras_serializable(PACKAGE)
class MapFrames(keras.layers.Layer):
    """Reduce an encoder's maps, and how they change from frame to frame, by a trainable 1x1 convolution each.

    Single frames hold no movement: the size of the change, |maps - maps of the frame before|, does. The first frame of
    a clip has nothing before it: what is made of its change is zero. Where a small grey picture comes with the maps,
    its movement is what the trunk sees, as `genre_classifier.network.layers.Frames` with "motion" makes it.

    Parameters
    ----------
    channels : tuple of int
        Of the reduction of the maps, and of that of their change.
    grey : int
        The last channels of a frame are so many pixels of a small grey picture.
    dropout : float
        Share of the channels that a training step leaves out, the same ones for all of its frames; the others make up
        for it.
    """

    def __init__(self, channels: Sequence[int], grey: int = 0, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.channels, self.grey, self.dropout = tuple(channels), grey, dropout
        self.seed_generator = keras.random.SeedGenerator() if dropout else None

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Make the weights for maps `(batch, frames, channels, rows, cols)`."""
        inputs, named = input_shape[2] - self.grey, list(zip(("maps", "change"), self.channels, strict=True))
        self.kernels = [
            self.add_weight(
                shape=(inputs, count), initializer=keras.initializers.RandomNormal(stddev=1.0), name=f"{name}_kernel"
            )
            for name, count in named
        ]
        self.biases = [
            self.add_weight(shape=(count,), initializer="zeros", name=f"{name}_bias") for name, count in named
        ]
        # Kernels are kept this much larger than they act, so that a step of the optimizer changes a thousand weights at
        # once no more than it should (Karras et al., "Progressive growing of GANs", ICLR 2018, section 4.1).
        self.scale = 1 / math.sqrt(inputs)
        # What each channel is multiplied with in the present training step.
        self.factors = self.add_weight(shape=(sum(self.channels),), initializer="ones", trainable=False, name="factors")
        self.built = True

    def call(self, maps: Tensor, training: bool = False) -> tuple[Tensor, ...]:
        """Return `(frames, mask)` of whole clips, or `(frames, joined, mask)`; see `MapReduction.run`."""
        batch, _, _, rows, cols = ops.shape(maps)
        factors = None
        if training and self.dropout:  # where Keras trains the functional model
            factors = keras.random.dropout(ops.ones((sum(self.channels),)), self.dropout, seed=self.seed_generator)
        reduction = self._reduction(factors)
        frames, joined, _ = reduction.run(maps, self.initial_state(batch, rows, cols))
        mask = reduction.mask(maps)
        return (frames, mask) if joined is None else (frames, joined, mask)

    def initial_state(self, batch: Tensor | int, rows: int, cols: int) -> tuple[Tensor, ...]:
        """Return the state before a clip: the maps before, and whether there are any."""
        zeros = ops.zeros((batch, rows, cols, self.kernels[0].shape[0] + self.grey), "float32")
        return zeros, ops.zeros((batch, 1, 1, 1), "float32")

    def draw(self, seed: int, step: int) -> None:
        """Draw which channels a training step leaves out: the same ones whenever that step comes."""
        if self.dropout:
            kept = np.random.default_rng([seed, step]).random(sum(self.channels)) >= self.dropout
            self.factors.assign(kept.astype(np.float32) / (1 - self.dropout))

    def weights_for_run(self, *, training: bool = False) -> MapReduction:
        """Return the present weights; for training without the channels that are left out."""
        return self._reduction(ops.copy(self.factors) if training and self.dropout else None)

    def _reduction(self, factors: Tensor | None) -> MapReduction:
        kernels, biases = [one * self.scale for one in self.kernels], [ops.copy(one) for one in self.biases]
        if factors is not None:
            parts = factors[: self.channels[0]], factors[self.channels[0] :]
            kernels = [one * part for one, part in zip(kernels, parts, strict=True)]
            biases = [one * part for one, part in zip(biases, parts, strict=True)]
        return MapReduction(kernels, biases)

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the shapes of what `call` gives."""
        batch, frames, _, rows, cols = input_shape
        reduced = (batch, frames, rows, cols, sum(self.channels))
        if not self.grey:
            return reduced, (batch, frames)
        side = round(self.grey**0.5)
        return (batch, frames, rows * side, cols * side, 1), reduced, (batch, frames)

    def compute_output_spec(self, maps: Tensor, training: bool = False) -> tuple[Tensor, ...]:
        """Return what `call` gives for a symbolic input."""
        *frames, mask = self.compute_output_shape(maps.shape)
        return (
            *(keras.KerasTensor(shape, dtype=self.compute_dtype) for shape in frames),
            keras.KerasTensor(mask, dtype="bool"),
        )

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "channels": list(self.channels), "grey": self.grey, "dropout": self.dropout}
