"""The model class: a functional Keras model that can also be run chunk by chunk, with its state carried over."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from genre_classifier import programs
from genre_classifier.acceleration import program, require_precision
from genre_classifier.layers import PACKAGE


@keras.saving.register_keras_serializable(PACKAGE)
class GenreModel(keras.Model):
    """A functional model over clips that scores and trains chunk by chunk.

    Built by `genre_classifier.model.build_model`; `keras.saving.load_model` gives one back. `fit`, `evaluate` and
    `predict` work as in every Keras model; `chunked` says how they run. The settings of `chunked` are not saved.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # XLA for a whole step is several times slower on a CPU than its parts compiled one by one.
        self.supports_jit = False
        self._programs: dict[str, Callable[..., Any]] = {}

    def initial_states(self, batch: int = 1) -> programs.States:
        """Return the recurrent state before the first frame of `batch` clips."""
        _, _, channels, rows, cols = self.input_shape
        states: list[Any] = [self.get_layer("prepare").initial_state((batch, None, channels, rows, cols))]
        for number in range(1, self._stages + 1):
            states.append(self.get_layer(f"trunk_{number}").initial_state(batch, rows, cols))
            pool = self.get_layer(f"trunk_{number}_pool").pool
            rows, cols = rows // pool, cols // pool
        filters = sum(self.get_layer(f"{genre}_convlstm").filters for genre in self.output_names)
        zeros = ops.zeros((batch, rows, cols, filters), dtype="float32")
        return (*states, (zeros, zeros))

    def score_chunk(
        self, pixels: Any, states: programs.States, *, precision: str = "float32"
    ) -> tuple[Any, programs.States]:
        """Score one chunk.

        Parameters
        ----------
        pixels : tensor or ndarray, shape (batch, frames, 3, rows, cols)
        states : tuple
            `initial_states`, or what this method gave for the chunk before.
        precision : {"float32", "bfloat16"}

        Returns
        -------
        scores : float32 tensor, shape (batch, frames, 6)
        states : tuple

        Raises
        ------
        InputError
            If the machine has no bfloat16 arithmetic and `precision` asks for it.
        """
        if precision not in self._programs:
            require_precision(precision)

            def score(pixels: Any, states: programs.States) -> tuple[Any, programs.States]:
                scores, states, _ = programs.step_through(self.network(precision), pixels, states)
                return scores, states

            self._programs[precision] = program(score)
        return self._programs[precision](ops.convert_to_tensor(pixels), states)

    def network(self, precision: str) -> programs.Network:
        """Return the layers' present weights as the programs take them."""
        cells = [self.get_layer(f"{genre}_convlstm").weights_for_run(precision) for genre in self.output_names]
        branches = programs.Branches(
            programs.fuse_cells(cells),
            self.get_layer(f"{self.output_names[0]}_pool").pool,
            [functools.partial(self._run_head, genre) for genre in self.output_names],
        )
        stages = [self._stage(f"trunk_{number}", precision) for number in range(1, self._stages + 1)]
        return programs.Network(self.get_layer("prepare"), stages, branches)

    def _stage(self, name: str, precision: str) -> programs.Stage:
        norm = self.get_layer(f"{name}_norm")
        variables = (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
        return programs.Stage(
            self.get_layer(name).weights_for_run(precision),
            *(ops.copy(variable) for variable in variables),
            norm.epsilon,
            self.get_layer(f"{name}_pool").pool,
        )

    def _run_head(self, genre: str, maps: Any) -> Any:
        names = {layer.name for layer in self.layers}
        values = self.get_layer(f"{genre}_features")(maps)
        number = 1
        while (name := f"{genre}_dense_{number}") in names:
            values = self.get_layer(name)(values)
            number += 1
        return self.get_layer(genre)(values)

    @functools.cached_property
    def _stages(self) -> int:
        names = {layer.name for layer in self.layers}
        return next(number for number in range(len(names)) if f"trunk_{number + 1}" not in names)
