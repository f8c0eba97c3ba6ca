"""The model class: a functional Keras model that scores and trains chunk by chunk, with its state carried over."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import ops

from genre_classifier.config import Bptt, Precision
from genre_classifier.network import forward
from genre_classifier.network.backend import TENSORFLOW, program, require_precision
from genre_classifier.network.chunked_training import ChunkedTraining, measure_loss, train_whole
from genre_classifier.network.layers import PACKAGE
from preprocessing.errors import InputError


@keras.saving.register_keras_serializable(PACKAGE)
class GenreModel(keras.Model):
    """A functional model over clips that scores and trains chunk by chunk.

    Built by `genre_classifier.network.model.build_model`; `keras.saving.load_model` gives one back. `compile`, `fit`,
    `evaluate` and `predict` are those of every Keras model, with callbacks, optimizers, losses and metrics as usual;
    on TensorFlow they run the programs of `genre_classifier.network.forward`, as `configure` says. One batch is one
    step of the optimizer, however it is cut. Losses see the scores of whole clips, `(batch, frames, 1)` per output.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # On a CPU, XLA for a whole step is several times slower than its parts compiled one by one.
        self.supports_jit = not TENSORFLOW
        self._programs: dict[str, Callable[..., Any]] = {}
        self.configure()

    def configure(
        self, *, chunk: int | None = None, bptt: Bptt = "truncated", precision: Precision = "float32"
    ) -> None:
        """Say how `fit`, `evaluate` and `predict` run from now on. Not saved with the model.

        Parameters
        ----------
        chunk : int or None
            Frames that training holds in memory at once; None takes each batch whole. Scoring always goes frame by
            frame.
        bptt : {"truncated", "full"}
            Where clips are longer than a chunk: "truncated" stops the gradient at the borders of chunks, and the
            normalisation uses each chunk's own statistics; "full" gives the gradient through the whole clip, exact,
            at the price of one more forward pass. "full" normalises with the moving statistics (also when a clip fits
            in one chunk), so that the result does not depend on the chunk. Both update the moving statistics once per
            step, from all frames of the batch.
        precision : {"float32", "bfloat16"}
            Of the convolutions; state, gates, normalisation and Dense layers stay in float32.

        Raises
        ------
        InputError
            If the machine has no bfloat16 arithmetic, or the backend cannot train in chunks.
        """
        require_precision(precision)
        if not TENSORFLOW and (chunk is not None or bptt != "truncated" or precision != "float32"):
            raise InputError(
                f"training in chunks, bptt full and precision bfloat16 need the tensorflow backend of Keras; "
                f"this is {keras.backend.backend()}"
            )
        self.chunk, self.bptt, self.precision = chunk, bptt, precision
        # Keras makes them anew when it next needs them.
        self.train_function: Callable[..., Any] | None = None
        self.test_function: Callable[..., Any] | None = None
        self.predict_function: Callable[..., Any] | None = None

    def initial_states(self, batch: int = 1) -> forward.States:
        """Return the recurrent state before the first frame of `batch` clips."""
        _, _, channels, rows, cols = self.input_shape
        states: list[Any] = [self.get_layer("prepare").initial_state((batch, None, channels, rows, cols))]
        for number in range(1, self._stages + 1):
            states.append(self.get_layer(f"trunk_{number}").initial_state(batch, rows, cols))
            pool = self.get_layer(f"trunk_{number}_pool").windows
            rows, cols = pool.windows(rows), pool.windows(cols)
        filters = sum(self.get_layer(f"{genre}_convlstm").filters for genre in self.output_names)
        zeros = ops.zeros((batch, rows, cols, filters), dtype="float32")
        return (*states, (zeros, zeros))

    def score_chunk(
        self, pixels: Any, states: forward.States, *, precision: str = "float32"
    ) -> tuple[Any, forward.States]:
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
            If the machine has no bfloat16 arithmetic and `precision` asks for it, or the frames have another size.
        """
        self.require_size(pixels)
        if precision not in self._programs:
            require_precision(precision)

            def score(pixels: Any, states: forward.States) -> tuple[Any, forward.States]:
                scores, states, _ = forward.step_through(self.network(precision), pixels, states)
                return scores, states

            self._programs[precision] = program(score, self.variables)
        return self._programs[precision](ops.convert_to_tensor(pixels), states)

    def require_size(self, pixels: Any) -> None:
        """Refuse frames of another size than the network's (InputError)."""
        expected, found = self.input_shape[2:], tuple(pixels.shape[2:])
        if found != expected:
            shapes = ("x".join(map(str, shape)) for shape in (expected, found))
            raise InputError(
                "expected frames of {}, which this network was built for, found {}; build it with rows and cols of the "
                "clips (ModelConfig), or preprocess with its --size".format(*shapes)
            )

    def network(self, precision: str) -> forward.Network:
        """Return the layers' present weights as the programs take them."""
        cells = [self.get_layer(f"{genre}_convlstm").weights_for_run(precision) for genre in self.output_names]
        branches = forward.Branches(
            forward.fuse_cells(cells),
            self.get_layer(f"{self.output_names[0]}_pool").windows,
            [functools.partial(self._run_head, genre) for genre in self.output_names],
        )
        stages = [self._stage(f"trunk_{number}", precision) for number in range(1, self._stages + 1)]
        return forward.Network(self.get_layer("prepare"), stages, branches)

    def lower_logits(self, offsets: Mapping[str, float]) -> None:
        """Take a number off the logit of a genre's every score, for good: its output bias moves."""
        for genre, offset in offsets.items():
            bias = self.get_layer(genre).bias
            bias.assign(bias - offset)

    def _stage(self, name: str, precision: str) -> forward.Stage:
        norm = self.get_layer(f"{name}_norm")
        return forward.Stage(
            cell=self.get_layer(name).weights_for_run(precision),
            gamma=ops.copy(norm.gamma),
            beta=ops.copy(norm.beta),
            moving_mean=ops.copy(norm.moving_mean),
            moving_variance=ops.copy(norm.moving_variance),
            epsilon=norm.epsilon,
            pool=self.get_layer(f"{name}_pool").windows,
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

    def export(self, filepath: Any, format: str = "tf_saved_model", **options: Any) -> None:
        """Write the network for programs without this package, as `keras.Model.export`; outputs bear their genres."""
        named = keras.Model(self.inputs, dict(zip(self.output_names, self.outputs, strict=True)))
        named.export(filepath, format, **options)

    # What Keras calls, on TensorFlow; other backends run the functional model.

    def make_train_function(self, force: bool = False) -> None:
        """Make the function that `fit` calls once per batch."""
        if not TENSORFLOW:
            super().make_train_function(force)
        elif self.train_function is None or force:
            self.train_function = ChunkedTraining(self).train_on_next

    def train_step(self, *args: Any) -> Any:
        """Train on one batch, whole."""
        if not TENSORFLOW:
            return super().train_step(*args)
        return train_whole(self, args[0])

    def test_step(self, *args: Any) -> Any:
        """Evaluate one batch."""
        if not TENSORFLOW:
            return super().test_step(*args)
        x, y, weights = keras.utils.unpack_x_y_sample_weight(args[0])
        return measure_loss(self, x, y, self._score_batch(x), weights, training=False)[1]

    def predict_step(self, *args: Any) -> Any:
        """Score one batch."""
        if not TENSORFLOW:
            return super().predict_step(*args)
        return self.split_scores(self._score_batch(keras.utils.unpack_x_y_sample_weight(args[0])[0]))

    def split_scores(self, scores: Any) -> list[Any]:
        """Turn `(batch, frames, genres)` into the model's list of outputs."""
        return ops.split(scores, len(self.output_names), axis=-1)

    def _score_batch(self, pixels: Any) -> Any:
        self.require_size(pixels)
        states = self.initial_states(ops.shape(pixels)[0])
        return forward.step_through(self.network(self.precision), pixels, states)[0]
