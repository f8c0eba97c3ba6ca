"""The model class: a functional Keras model that can also be run chunk by chunk, with its state carried over."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from genre_classifier.layers import PACKAGE


@keras.saving.register_keras_serializable(PACKAGE)
class GenreModel(keras.Model):
    """A functional model over clips, with the means to run it over chunks of a clip.

    Built by `genre_classifier.model.build_model`; `keras.saving.load_model` gives one back.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # XLA for a whole step is several times slower on a CPU than its parts compiled one by one.
        self.supports_jit = False

    def initial_states(self, batch: int = 1) -> list[Any]:
        """Return the recurrent state before the first frame of `batch` clips."""
        _, _, channels, rows, cols = self.input_shape
        states: list[Any] = [self.get_layer("prepare").initial_state((batch, None, channels, rows, cols))]
        for number in range(1, self._stages() + 1):
            states.append(self.get_layer(f"trunk_{number}").initial_state(batch, rows, cols))
            pool = self.get_layer(f"trunk_{number}_pool").pool
            rows, cols = rows // pool, cols // pool
        for genre in self.output_names:
            states.append(self.get_layer(f"{genre}_convlstm").initial_state(batch, rows, cols))
        return states

    def run_chunk(self, pixels: Any, states: list[Any]) -> tuple[Any, list[Any]]:
        """Score one chunk.

        Parameters
        ----------
        pixels : tensor, shape (batch, frames, 3, rows, cols)
        states : list
            `initial_states`, or what this method gave for the chunk before.

        Returns
        -------
        scores : float32 tensor, shape (batch, frames, 6)
        states : list
        """
        after = []
        frames, _, state = self.get_layer("prepare").run(pixels, states[0])
        after.append(state)
        for number in range(1, self._stages() + 1):
            frames, state = self.get_layer(f"trunk_{number}").run(frames, states[number])
            after.append(state)
            frames = self.get_layer(f"trunk_{number}_norm")(frames, training=False)
            frames = self.get_layer(f"trunk_{number}_pool")(frames)
        scores = []
        for genre, state in zip(self.output_names, states[len(after) :], strict=True):
            maps, state = self.get_layer(f"{genre}_convlstm").run(frames, state)
            after.append(state)
            features = self.get_layer(f"{genre}_features")(self.get_layer(f"{genre}_pool")(maps))
            dense = 1
            while (layer := self._layer_or_none(f"{genre}_dense_{dense}")) is not None:
                features = layer(features)
                dense += 1
            scores.append(self.get_layer(genre)(features))
        return ops.concatenate(scores, axis=-1), after

    def _stages(self) -> int:
        return sum(layer.name.startswith("trunk_") and layer.name.endswith("_pool") for layer in self.layers)

    def _layer_or_none(self, name: str) -> Any:
        return next((layer for layer in self.layers if layer.name == name), None)
