"""What stands in front of the first ConvLSTM where an encoder's maps come in, in place of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from genre_classifier.network.backend import Tensor
from genre_classifier.network.layers import MAP_PADDING, PACKAGE


class MapReduction(NamedTuple):
    """What `MapFrames` does to a clip, with its weights at one moment, as the programs take it.

    Attributes
    ----------
    kernels, biases : sequence of tensors, shapes (channels, reduced) and (reduced,)
        Of the maps, and of their change.
    """

    kernels: Sequence[Tensor]
    biases: Sequence[Tensor]

    def run(self, maps: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Prepare one chunk.

        Parameters
        ----------
        maps : tensor, shape (batch, frames, channels, rows, cols)
            A padded frame holds `MAP_PADDING` everywhere.
        state : tuple
            Of the chunk before, or `MapFrames.initial_state`.

        Returns
        -------
        frames : float tensor, shape (batch, frames, rows, cols, 2 * reduced)
        state : tuple
            To be given with the next chunk.
        """
        now = ops.transpose(ops.cast(maps, "float32"), (0, 1, 3, 4, 2))
        now = ops.where(now <= MAP_PADDING, 0.0, now)
        last, started = state
        before = ops.concatenate([last[:, None], now[:, :-1]], axis=1)
        reduced, change = (
            ops.matmul(part, kernel) + bias
            for part, kernel, bias in zip((now, ops.abs(now - before)), self.kernels, self.biases, strict=True)
        )
        # Only the first frame of the chunk can be the first of the clip.
        change = ops.concatenate([change[:, :1] * started[:, None], change[:, 1:]], axis=1)
        return ops.concatenate([reduced, change], axis=-1), (now[:, -1], ops.ones_like(started))

    def step(self, maps: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Prepare one frame, `(batch, channels, rows, cols)`; return it and the state after it."""
        frames, state = self.run(maps[:, None], state)
        return frames[:, 0], state

    def mask(self, maps: Tensor) -> Tensor:
        """Return `(batch, frames)`, False for padded frames."""
        return ops.cast(maps[:, :, 0, 0, 0], "float32") > MAP_PADDING


@keras.saving.register_keras_serializable(PACKAGE)
class MapFrames(keras.layers.Layer):
    """Reduce an encoder's maps, and how they change from frame to frame, by a trainable 1x1 convolution each.

    Single frames hold no movement: the size of the change, |maps - maps of the frame before|, does. The first frame of
    a clip has nothing before it: what is made of its change is zero.

    Parameters
    ----------
    channels : int
        Of each of the two reductions.
    dropout : float
        Share of the channels that a training step leaves out, the same ones for all of its frames; the others make up
        for it.
    """

    def __init__(self, channels: int, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.channels, self.dropout = channels, dropout
        self.seed_generator = keras.random.SeedGenerator() if dropout else None

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Make the weights for maps `(batch, frames, channels, rows, cols)`."""
        shape, names = (input_shape[2], self.channels), ("maps", "change")
        self.kernels = [self.add_weight(shape=shape, initializer="glorot_uniform", name=f"{n}_kernel") for n in names]
        self.biases = [self.add_weight(shape=shape[1:], initializer="zeros", name=f"{n}_bias") for n in names]
        # What each channel is multiplied with in the present training step.
        self.factors = self.add_weight(shape=(2, self.channels), initializer="ones", trainable=False, name="factors")
        self.built = True

    def call(self, maps: Tensor, training: bool = False) -> tuple[Tensor, Tensor]:
        """Return `(frames, mask)` of whole clips; see `MapReduction.run`."""
        batch, _, _, rows, cols = ops.shape(maps)
        reduction = self._reduction(self._drawn() if training and self.dropout else None)
        frames, _ = reduction.run(maps, self.initial_state(batch, rows, cols))
        return frames, reduction.mask(maps)

    def initial_state(self, batch: Tensor | int, rows: int, cols: int) -> tuple[Tensor, ...]:
        """Return the state before a clip: the maps before, and whether there are any."""
        zeros = ops.zeros((batch, rows, cols, self.kernels[0].shape[0]), "float32")
        return zeros, ops.zeros((batch, 1, 1, 1), "float32")

    def draw(self) -> None:
        """Draw which channels the training step that begins now leaves out."""
        if self.dropout:
            self.factors.assign(self._drawn())

    def weights_for_run(self, *, training: bool = False) -> MapReduction:
        """Return the present weights; for training without the channels that are left out."""
        return self._reduction(ops.copy(self.factors) if training and self.dropout else None)

    def _drawn(self) -> Tensor:
        return keras.random.dropout(ops.ones((2, self.channels)), self.dropout, seed=self.seed_generator)

    def _reduction(self, factors: Tensor | None) -> MapReduction:
        kernels, biases = [ops.copy(one) for one in self.kernels], [ops.copy(one) for one in self.biases]
        if factors is not None:
            kernels, biases = ([one * factors[which] for which, one in enumerate(part)] for part in (kernels, biases))
        return MapReduction(kernels, biases)

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, Any]:
        """Return the shapes of `(frames, mask)`."""
        batch, frames, _, rows, cols = input_shape
        return (batch, frames, rows, cols, 2 * self.channels), (batch, frames)

    def compute_output_spec(self, maps: Tensor, training: bool = False) -> tuple[Tensor, Tensor]:
        """Return what `call` gives for a symbolic input."""
        frames, mask = self.compute_output_shape(maps.shape)
        return keras.KerasTensor(frames, dtype=self.compute_dtype), keras.KerasTensor(mask, dtype="bool")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "channels": self.channels, "dropout": self.dropout}
