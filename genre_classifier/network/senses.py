"""Senses beside the trunk: movement in numbers, pictures and sound, each on a linear path of its own to the logits.

A path is regularised logistic regression (`genre_classifier.training.regression`): components of its features,
standardised once and for all, times one weight per genre. What the paths of a frame say is added up, with what the
trunk and its branches learn. These begin at zero, so that the untrained network is the regression; and they learn to
tell the genres alone, without the paths, for regression knows the trailers that it learned from, and would leave them
nothing to learn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from genre_classifier.config import ModelConfig
from genre_classifier.network import movement
from genre_classifier.network.backend import Tensor
from genre_classifier.network.layers import PACKAGE

MOVEMENT, PICTURES, SOUND = "movement", "pictures", "sound"


@keras.saving.register_keras_serializable(PACKAGE)
class SensePath(keras.layers.Layer):
    """From a sense's features to a logit per genre, linearly. Its weights are set, not trained.

    Parameters
    ----------
    genres : int
    widths : sequence of int
        Of the kinds of features that stand side by side; one number for each kind follows them, 1 where it is known and
        0 where not. What is not known counts as the mean of the trailers that were learned from.
    components : sequence of int
        Of each kind: how many components of it are used.
    """

    def __init__(self, genres: int, widths: Sequence[int], components: Sequence[int], **kwargs: Any) -> None:
        super().__init__(trainable=False, **kwargs)
        self.genres, self.widths, self.components = genres, tuple(widths), tuple(components)

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Make the weights."""
        kinds = list(enumerate(zip(self.widths, self.components, strict=True), 1))
        self.kernels = [self.add_weight(shape=kind, initializer="zeros", name=f"kernel_{n}") for n, kind in kinds]
        self.shifts = [self.add_weight(shape=kind[1:], initializer="zeros", name=f"shift_{n}") for n, kind in kinds]
        shape = (sum(self.components), self.genres)
        self.linear_kernel = self.add_weight(shape=shape, initializer="zeros", name="linear_kernel")
        self.linear_bias = self.add_weight(shape=(self.genres,), initializer="zeros", name="linear_bias")
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
        """Return logits, `(batch, frames, genres)`: 0 where nothing of the sense is known."""
        features = ops.cast(features, "float32")
        known = features[..., sum(self.widths), None]
        return (ops.matmul(self.reduce(features), self.linear_kernel) + self.linear_bias) * known

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the shape of the output."""
        return (*input_shape[:-1], self.genres)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        options = {"genres": self.genres, "widths": list(self.widths), "components": list(self.components)}
        config = {name: value for name, value in super().get_config().items() if name != "trainable"}
        return {**config, **options}


@keras.saving.register_keras_serializable(PACKAGE)
class SenseSum(keras.layers.Layer):
    """The sum of the branches' logits and those of the paths, as scores.

    Parameters
    ----------
    genres : int
    branch_weight : float or None
        How much the branches' logits count beside the paths; None where there are no paths.
    exclusive : bool
        Whether each frame shows exactly one genre: a softmax over the genres instead of a sigmoid for each.
    """

    def __init__(
        self, genres: int, *, branch_weight: float | None = None, exclusive: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.genres, self.branch_weight, self.exclusive = genres, branch_weight, exclusive

    def build(self, *shapes: Any, **named_shapes: Any) -> None:
        """Make the weight, which is not trained."""
        # The logits of what is known before anything is seen: the shares of genres.
        self.prior = self.add_weight(shape=(self.genres,), initializer="zeros", trainable=False, name="prior")
        self.built = True

    def call(self, logits: Tensor, paths: Tensor, training: bool = False) -> Tensor:
        """Return scores, `(batch, frames, genres)`.

        Parameters
        ----------
        logits : tensor, shape (batch, frames, genres)
            Of the branches.
        paths : tensor, shape (batch, frames, genres)
            The sum of all paths.
        training : bool
            Whether the branches learn: then without the paths.
        """
        if self.branch_weight is not None and not training:
            logits = self.branch_weight * logits + paths
        logits = logits + self.prior
        return ops.softmax(logits, axis=-1) if self.exclusive else ops.sigmoid(logits)

    def compute_output_spec(self, logits: Tensor, paths: Tensor, training: bool = False) -> Tensor:
        """Return what `call` gives for symbolic inputs."""
        return keras.KerasTensor(logits.shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        options = {"genres": self.genres, "branch_weight": self.branch_weight, "exclusive": self.exclusive}
        return {**super().get_config(), **options}


@keras.saving.register_keras_serializable(PACKAGE)
class MovementFeatures(keras.layers.Layer):
    """`genre_classifier.network.movement.movement_features` of whole clips, as a layer."""

    def call(self, pixels: Tensor) -> Tensor:
        """Map `(batch, frames, 3, rows, cols)` to `(batch, frames, movement.NUMBERS + 1)`."""
        return movement.movement_features(pixels, movement.initial_state(ops.shape(pixels)[0]))[0]

    def compute_output_spec(self, pixels: Tensor) -> Tensor:
        """Return what `call` gives for a symbolic input."""
        return keras.KerasTensor((*pixels.shape[:2], movement.NUMBERS + 1), dtype=self.compute_dtype)


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
        By the name of the sense. Empty where the branches alone decide.
    total : SenseSum
    """

    def __init__(self, paths: dict[str, SensePath], total: SenseSum) -> None:
        self.paths, self.total = paths, total
        self._movement = MovementFeatures(name="movement_features")

    @classmethod
    def of(cls, config: ModelConfig) -> Senses:
        """Return them with fresh weights, as a network's options say."""
        genres, paths = len(config.genres), {}
        if config.linear_paths:
            paths[MOVEMENT] = SensePath(genres, (movement.NUMBERS,), (movement.NUMBERS,), name="movement_path")
        for name, features in config.features.items():
            width = (features - 2) // 2
            paths[name] = SensePath(genres, (width, width), config.components[name], name=f"{name}_path")
        weight = config.branch_weight
        if weight == "auto":  # built by hand: nobody has said how many trailers it will learn from
            weight = ModelConfig.branch_weight
        assert weight != "auto"
        exclusive = config.one_genre_per_frame
        total = SenseSum(genres, branch_weight=weight if paths else None, exclusive=exclusive, name="senses")
        return cls(paths, total)

    def initial_state(self, batch: Tensor | int) -> Any:
        """Return the state before a clip."""
        return movement.initial_state(batch) if MOVEMENT in self.paths else ()

    def scores(self, logits: Tensor, inputs: Any) -> Tensor:
        """Return the scores of whole clips; see `finish`."""
        features = {MOVEMENT: self._movement(_frames(inputs))} if MOVEMENT in self.paths else {}
        return self._total(logits, inputs, features)

    def finish(self, logits: Tensor, inputs: Any, state: Any, *, training: bool) -> tuple[Tensor, Any]:
        """Return scores, `(batch, frames, genres)`, and the state after a chunk.

        Parameters
        ----------
        logits : tensor, shape (batch, frames, genres)
            Of the branches.
        inputs : tensor or dict of tensors
            See `genre_classifier.network.forward.Inputs`.
        state : tuple
            Before the chunk.
        training : bool
            See `SenseSum.call`.
        """
        features = {}
        if MOVEMENT in self.paths:
            features[MOVEMENT], state = movement.movement_features(_frames(inputs), state)
        return self._total(logits, inputs, features, training=training), state

    def _total(self, logits: Tensor, inputs: Any, features: dict[str, Tensor], **options: Any) -> Tensor:
        said = [path(features[name] if name in features else inputs[name]) for name, path in self.paths.items()]
        total = sum(said[1:], start=said[0]) if said else ops.zeros_like(logits)
        return self.total(logits, total, **options)


def _frames(inputs: Any) -> Tensor:
    return inputs["frames"] if isinstance(inputs, Mapping) else inputs
