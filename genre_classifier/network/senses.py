"""Senses beside the trunk: movement in numbers, pictures and sound, each on a path of its own to the logits.

A path begins as regularised regression: components of its features, standardised once and for all, times one weight per
genre. What is not linear in it (the ConvLSTM branches for movement, a small Dense head for an encoder's features)
ends in weights of zero at first, so that the untrained network is the regression, and training goes on from there.

The logits of a frame are the weighted mean over the senses that are there. Each training step leaves some senses out:
alone, each of them has to tell the genres; and one that is missing, as sound often is, costs little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from genre_classifier.config import ModelConfig
from genre_classifier.network.backend import Tensor
from genre_classifier.network.layers import PACKAGE

MOVEMENT, PICTURES, SOUND = "movement", "pictures", "sound"


def with_change(values: np.ndarray) -> np.ndarray:
    """Return an encoder's values with their change, as the network takes them.

    Parameters
    ----------
    values : ndarray of float, shape (looks, channels)
        In the order of time.

    Returns
    -------
    ndarray of float16, shape (looks, 2 * channels + 2)
        The values; their absolute difference from the look before; 1 where there are values, and 1 where there is a
        look before.
    """
    values = np.asarray(values, np.float32)
    change = np.abs(np.diff(values, axis=0, prepend=values[:1]))
    ones = np.ones((len(values), 1), np.float32)
    return np.hstack([values, change, ones, np.arange(len(values))[:, None] > 0]).astype(np.float16)


def movement_features(pixels: Tensor, state: tuple[Tensor, ...]) -> Tensor:
    """Return how much moves in each frame as a few numbers, which do not depend on the size of the frames.

    Parameters
    ----------
    pixels : tensor, shape (batch, frames, 3, rows, cols)
    state : tuple
        Of `genre_classifier.network.layers.Frames` with "motion" before the first of them.

    Returns
    -------
    float tensor, shape (batch, frames, MOVEMENT_NUMBERS + 1)
        See `movement_numbers`; and 1 where there is a frame before.
    """
    before, started = state
    grey = ops.mean(ops.cast(pixels, "float32"), axis=2) * (1 / 255)
    earlier = ops.concatenate([before[:, None, ..., 0], grey[:, :-1]], axis=1)
    known = ops.concatenate([started[:, :, 0, 0], ops.ones_like(grey[:, 1:, 0, 0])], axis=1)[..., None]
    return ops.concatenate([movement_numbers(grey - earlier) * known, known], axis=-1)


MOVEMENT_NUMBERS = 4
CHANGED = 16.5 / 255  # means of three whole numbers are never equal to it, so that rounding decides nothing


def movement_numbers(difference: Tensor) -> Tensor:
    """Return numbers of differences of grey values in [-1, 1], `(..., rows, cols)` to `(..., MOVEMENT_NUMBERS)`."""
    size = ops.abs(difference)
    mean = ops.mean(size, axis=(-2, -1))
    spread = ops.sqrt(ops.mean(size * size, axis=(-2, -1)))
    changed = ops.mean(ops.cast(size > CHANGED, "float32"), axis=(-2, -1))
    most = ops.max(ops.mean(size, axis=-1), axis=-1)
    return ops.stack([ops.log(mean + 1e-3), ops.log(spread + 1e-3), changed, ops.log(most + 1e-3)], axis=-1)


@keras.saving.register_keras_serializable(PACKAGE)
class SensePath(keras.layers.Layer):
    """From a sense's features to a logit per genre: a linear part, and a small Dense head that begins at zero.

    Parameters
    ----------
    genres : int
    widths : sequence of int
        Of the kinds of features that stand side by side; one number for each kind follows them, 1 where it is known and
        0 where not. What is not known counts as the mean of the training trailers.
    components : sequence of int
        Of each kind: how many principal components of it are used.
    units : int
        Of the hidden layer of the head; 0 leaves the path linear.
    """

    def __init__(
        self, genres: int, widths: Sequence[int], components: Sequence[int], *, units: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.genres, self.widths, self.components, self.units = genres, tuple(widths), tuple(components), units

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Make the weights."""
        kinds = list(zip(self.widths, self.components, strict=True))
        # Fixed: a hundred trailers are too few to find good directions among a thousand channels by gradients.
        self.kernels = [
            self.add_weight(shape=shape, initializer="zeros", trainable=False, name=f"components_{number}")
            for number, shape in enumerate(kinds, 1)
        ]
        self.shifts = [
            self.add_weight(shape=(count,), initializer="zeros", trainable=False, name=f"shift_{number}")
            for number, (_, count) in enumerate(kinds, 1)
        ]
        inputs = sum(self.components)
        self.linear_kernel = self.add_weight(shape=(inputs, self.genres), initializer="zeros", name="linear_kernel")
        self.linear_bias = self.add_weight(shape=(self.genres,), initializer="zeros", name="linear_bias")
        self.head = []
        if self.units:
            self.head = [
                self.add_weight(shape=(inputs, self.units), initializer="glorot_uniform", name="hidden_kernel"),
                self.add_weight(shape=(self.units,), initializer="zeros", name="hidden_bias"),
                self.add_weight(shape=(self.units, self.genres), initializer="zeros", name="output_kernel"),
            ]
        self.built = True

    def reduce(self, features: Tensor) -> Tensor:
        """Return the components of features, `(..., widths and one more for each)` to `(..., components)`."""
        places = np.cumsum([0, *self.widths])
        parts = []
        for number, (kernel, shift) in enumerate(zip(self.kernels, self.shifts, strict=True)):
            known = features[..., places[-1] + number, None]
            parts.append((ops.matmul(features[..., places[number] : places[number + 1]], kernel) + shift) * known)
        return ops.concatenate(parts, axis=-1)

    def call(self, features: Tensor) -> Tensor:
        """Return logits, `(batch, frames, genres)`."""
        reduced = self.reduce(ops.cast(features, "float32"))
        logits = ops.matmul(reduced, self.linear_kernel) + self.linear_bias
        if self.head:
            hidden_kernel, hidden_bias, output_kernel = self.head
            logits += ops.matmul(ops.relu(ops.matmul(reduced, hidden_kernel) + hidden_bias), output_kernel)
        return logits

    def known(self, features: Tensor) -> Tensor:
        """Return 1 where there is something of this sense and 0 where not, `(batch, frames)`."""
        return ops.cast(features[..., sum(self.widths)], "float32")

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the shape of the output."""
        return (*input_shape[:-1], self.genres)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "genres": self.genres,
            "widths": list(self.widths),
            "components": list(self.components),
            "units": self.units,
        }


@keras.saving.register_keras_serializable(PACKAGE)
class SenseMean(keras.layers.Layer):
    """The weighted mean of the senses' logits, over the senses that a frame has, as scores.

    Parameters
    ----------
    senses, genres : int
    dropout : float
        Share of the training steps that leave a sense out; one is always kept.
    exclusive : bool
        Whether each frame shows exactly one genre: a softmax over the genres instead of a sigmoid for each.
    """

    def __init__(
        self, senses: int, genres: int, *, dropout: float = 0.0, exclusive: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.senses, self.genres, self.dropout, self.exclusive = senses, genres, dropout, exclusive

    def build(self, input_shape: Any) -> None:
        """Make the weights."""
        shape = (self.senses, self.genres)
        # How much each sense counts for each genre: from the regression, not trained.
        self.trust = self.add_weight(shape=shape, initializer="ones", trainable=False, name="trust")
        self.offset = self.add_weight(shape=(self.genres,), initializer="zeros", trainable=False, name="offset")
        # Which senses the present training step keeps.
        self.kept = self.add_weight(shape=(self.senses,), initializer="ones", trainable=False, name="kept")
        self.built = True

    def draw(self, seed: int, step: int) -> None:
        """Draw which senses a training step leaves out: the same ones whenever that step comes."""
        rng = np.random.default_rng([seed, step])
        kept = rng.random(self.senses) >= self.dropout
        kept[rng.integers(self.senses)] = True
        self.kept.assign(kept.astype(np.float32))

    def call(self, logits: Tensor, known: Tensor, training: bool = False) -> Tensor:
        """Return scores, `(batch, frames, genres)`.

        Parameters
        ----------
        logits : tensor, shape (batch, frames, senses, genres)
        known : tensor, shape (batch, frames, senses)
            1 where a frame has something of a sense, 0 where not.
        training : bool
            Whether senses are left out.
        """
        share = known[..., None] * self.trust
        if training:
            share = share * self.kept[:, None]
        mean = ops.sum(logits * share, axis=-2) / ops.maximum(ops.sum(share, axis=-2), 1e-6) - self.offset
        return ops.softmax(mean, axis=-1) if self.exclusive else ops.sigmoid(mean)

    def compute_output_spec(self, logits: Tensor, known: Tensor, training: bool = False) -> Tensor:
        """Return what `call` gives for symbolic inputs."""
        return keras.KerasTensor((*logits.shape[:2], self.genres), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        options = {"senses": self.senses, "genres": self.genres, "dropout": self.dropout, "exclusive": self.exclusive}
        return {**super().get_config(), **options}


@keras.saving.register_keras_serializable(PACKAGE)
class MovementFeatures(keras.layers.Layer):
    """`movement_features` of whole clips, as a layer."""

    def call(self, pixels: Tensor) -> Tensor:
        """Map `(batch, frames, 3, rows, cols)` to `(batch, frames, MOVEMENT_NUMBERS + 1)`."""
        zeros = ops.zeros_like(pixels[:, 0, 0, :, :, None], dtype="float32")
        return movement_features(pixels, (zeros, zeros[:, :1, :1]))

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the shape of the output."""
        return *input_shape[:2], MOVEMENT_NUMBERS + 1


@keras.saving.register_keras_serializable(PACKAGE)
class Column(keras.layers.Layer):
    """One genre's scores out of all: `(batch, frames, genres)` to `(batch, frames, 1)`.

    Parameters
    ----------
    number : int
        Of the genre.
    """

    def __init__(self, number: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.number = number

    def call(self, scores: Tensor) -> Tensor:
        """Cut."""
        return scores[..., self.number, None]

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the shape of the output."""
        return *input_shape[:-1], 1

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "number": self.number}


class Senses:
    """The paths of all senses, and what becomes of their logits.

    Parameters
    ----------
    paths : dict of str to SensePath
        By the name of the sense; that of movement comes first, and goes beside the trunk and the branches. Empty where
        the branches alone decide.
    mean : SenseMean
    """

    def __init__(self, paths: dict[str, SensePath], mean: SenseMean) -> None:
        self.paths, self.mean = paths, mean
        self._movement = MovementFeatures(name="movement_features")

    @classmethod
    def of(cls, config: ModelConfig) -> Senses:
        """Return them with fresh weights, as a network's options say."""
        genres, paths = len(config.genres), {}
        if config.linear_paths:
            numbers = (MOVEMENT_NUMBERS,)
            paths[MOVEMENT] = SensePath(genres, numbers, numbers, name=f"{MOVEMENT}_path")
        if PICTURES in config.features:
            width = (config.features[PICTURES] - 2) // 2
            paths[PICTURES] = SensePath(
                genres, (width, width), config.encoder_components, units=config.path_units, name=f"{PICTURES}_path"
            )
        mean = SenseMean(
            max(1, len(paths)), genres, dropout=config.sense_dropout, exclusive=config.exclusive == "yes", name="senses"
        )
        return cls(paths, mean)

    def scores(self, logits: Tensor, inputs: Any) -> Tensor:
        """Return the scores of whole clips from the logits of their branches; see `finish`."""
        return self._joined(logits, inputs, self._movement, training=None)

    def finish(self, logits: Tensor, inputs: Any, state: tuple[Tensor, ...], *, training: bool) -> Tensor:
        """Return scores, `(batch, frames, genres)`.

        Parameters
        ----------
        logits : tensor, shape (batch, frames, genres)
            Of the branches.
        inputs : tensor or dict of tensors
            See `genre_classifier.network.forward.Inputs`.
        state : tuple
            Of the preparation, before this chunk.
        training : bool
            Whether senses are left out.
        """
        return self._joined(logits, inputs, lambda pixels: movement_features(pixels, state), training=training)

    def _joined(self, logits: Tensor, inputs: Any, movement: Any, *, training: bool | None) -> Tensor:
        per_sense, known = [], []
        for name, path in self.paths.items():
            if name == MOVEMENT:
                features = movement(inputs["frames"] if isinstance(inputs, Mapping) else inputs)
                per_sense.append(path(features) + logits)
                known.append(ops.ones_like(features[..., 0]))
            else:
                features = ops.cast(inputs[name], "float32")
                per_sense.append(path(features))
                known.append(path.known(features))
        if not per_sense:
            per_sense, known = [logits], [ops.ones_like(logits[..., 0])]
        options = {} if training is None else {"training": training}
        return self.mean(ops.stack(per_sense, axis=-2), ops.stack(known, axis=-1), **options)
