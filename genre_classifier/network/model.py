"""The network of "An introduction to ConvLSTM": a shared trunk of ConvLSTM stages, then one branch per genre.

Input `(batch, frames, 3, rows, cols)`, channels first, RGB, 0 to 255, uint8 or any number type; the scaling to [0, 1]
is inside. Output: a list of tensors `(batch, frames, 1)`, one per genre in the order of `ModelConfig.genres`.
Inside, the layout is channels last, which is what a CPU runs fastest.

Clips of different lengths
--------------------------
A batch holds clips of one length: shorter ones are padded at the end with frames whose every pixel is -1
(`layers.PADDING`; such a batch is int16 or float, since uint8 cannot hold it). Nothing flows backwards in time, so a
padded frame never reaches a real one's score; BatchNormalization's statistics leave padded frames out. The outputs
carry no Keras mask: the scores of padded frames are numbers without meaning, and the loss leaves them out by sample
weights of zero, one `(batch, frames)` array per output, with the reduction `"mean_with_sample_weight"`, which makes
the loss the average over the real frames.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from genre_classifier.config import Bptt, ModelConfig, Precision
from genre_classifier.network import forward
from genre_classifier.network.backend import TENSORFLOW, Tensor, program, require_precision
from genre_classifier.network.jax_chunks import run_in_chunks
from genre_classifier.network.layers import PACKAGE, ConvLSTM2D, FrameFeatures, FrameNormalization, FramePooling, Frames
from genre_classifier.network.losses import TrailerLoss, exclusive_crossentropy
from genre_classifier.network.map_frames import JoinMaps, MapFrames
from genre_classifier.network.peers import Peers
from genre_classifier.network.senses import Column, Senses
from genre_classifier.network.training_step import OnChunk, TrainingStep, measure_loss, move_statistics, split_scores
from preprocessing.base.errors import InputError
from preprocessing.base.options import require

# Importing this module is enough for `keras.saving.load_model` to read a run's `model.keras`, its loss included.
__all__ = ["GenreModel", "TrailerLoss", "build_model"]


def build_model(config: ModelConfig | None = None) -> GenreModel:
    """Build the network, with fresh weights.

    Parameters
    ----------
    config : ModelConfig, optional
        Sizes; the defaults are the article's, on frames of 3 x 400 x 400.

    Returns
    -------
    GenreModel
        A functional `keras.Model`, not yet compiled. Seed it with `keras.utils.set_random_seed` beforehand.

    Raises
    ------
    InputError
        If a value is left to be decided by `train`, from the labels or the encoders.
    """
    config = config or ModelConfig()
    require(config.exclusive != "auto", "exclusive must be decided to build a network, got auto")
    for encoder, size in (("encoder", "encoder_channels"), ("sound_encoder", "sound_features")):
        known = getattr(config, encoder) is None or getattr(config, size) > 0
        require(known, f"{size} must be given to build a network with {encoder}, got {getattr(config, size)}")
    return GenreModel(config)


def output_names(genres: Sequence[str]) -> list[str]:
    """Return what the network calls its outputs: the genres, or `genre_<n>` where a layer cannot be called so."""
    # TensorFlow's letters, and none of the other layers' names.
    usable = re.compile(
        r"(?!(frames|prepare|senses|(trunk|genre)_\d.*)$)(?!.*_(convlstm|pool|features|path|logit|dense_\d+)$)"
        r"[a-z0-9][a-z0-9_.-]*"
    )
    return [genre if usable.fullmatch(genre) else f"genre_{number}" for number, genre in enumerate(genres, start=1)]


class Stage(NamedTuple):
    """Layers of one shared stage."""

    convlstm: ConvLSTM2D
    norm: FrameNormalization
    pool: FramePooling


class Branch(NamedTuple):
    """Layers of one genre's branch; `head` turns its pooled maps into its score."""

    convlstm: ConvLSTM2D
    pool: FramePooling
    head: Sequence[keras.Layer]

    def score(self, maps: Tensor) -> Tensor:
        """Turn pooled maps, `(batch, frames, rows, cols, channels)`, into scores in [0, 1], `(batch, frames, 1)`."""
        for layer in self.head:
            maps = layer(maps)
        return maps


@keras.saving.register_keras_serializable(PACKAGE)
class GenreModel(keras.Model):
    """A functional model over clips that scores and trains chunk by chunk, with its state carried over.

    `compile`, `fit`, `evaluate` and `predict` are those of every Keras model, with callbacks, optimizers, losses and
    metrics as usual; on TensorFlow they run the programs of `genre_classifier.network.forward`, as `configure` says.
    One batch is one step of the optimizer, however it is cut. Losses see the scores of whole clips, `(batch, frames,
    1)` per output.

    Parameters
    ----------
    config : ModelConfig
    name : str
    trainable : bool

    Attributes
    ----------
    prepare : Frames or MapFrames
    trunk : list of Stage
    branches : list of Branch
        In the order of the outputs.
    """

    def __init__(self, config: ModelConfig, *, name: str = "genres", trainable: bool = True) -> None:
        # Then scores are made of the logits of several senses, or of all genres.
        apart = config.linear_paths or config.one_genre_per_frame
        last = "zeros" if config.linear_paths else "glorot_uniform"
        # === Layers ===
        # In this order: Keras draws the seed of a layer's first weights when it makes the layer.
        convlstm = functools.partial(
            ConvLSTM2D,
            kernel_size=config.kernel_size,
            padding="same",
            data_format="channels_last",
            recurrent_activation="hard_sigmoid",
            return_sequences=True,
        )
        prepare = (
            Frames(config.inputs, name="prepare")
            if not config.maps_in_trunk
            else MapFrames(config.reduced_channels, config.grey_channels, config.encoder_dropout, name="prepare")
        )
        trunk = [
            Stage(
                convlstm(filters, name=f"trunk_{number}"),
                FrameNormalization(
                    momentum=config.norm_momentum, epsilon=config.norm_epsilon, name=f"trunk_{number}_norm"
                ),
                FramePooling(pool, config.pool_padding, name=f"trunk_{number}_pool"),
            )
            for number, (filters, pool) in enumerate(zip(config.trunk_filters, config.trunk_pools, strict=True), 1)
        ]
        branches = [
            Branch(
                convlstm(config.branch_filters, name=f"{output}_convlstm"),
                FramePooling(config.branch_pool, config.pool_padding, name=f"{output}_pool"),
                [
                    FrameFeatures(config.head, name=f"{output}_features"),
                    *(
                        keras.layers.Dense(units, activation="relu", name=f"{output}_dense_{number}")
                        for number, units in enumerate(config.dense_units, 1)
                    ),
                    # Untrained, it adds nothing to what the paths say.
                    keras.layers.Dense(1, name=f"{output}_logit", kernel_initializer=last)
                    if apart
                    else keras.layers.Dense(1, activation="sigmoid", name=output),
                ],
            )
            for output in output_names(config.genres)
        ]
        senses = Senses.of(config) if apart else None

        # === Functional model ===
        # float32 takes uint8 and padded int16 batches alike; a chunk at a time is cast, never a whole clip.
        pixels = keras.Input((None, *config.frame_shape), dtype="float32", name="frames")
        maps, *joined, real = prepare(pixels)
        for stage in trunk:
            maps = stage.pool(stage.norm(stage.convlstm(maps), real=real))
        if joined:
            maps = JoinMaps(name="join")(maps, *joined)
        scores = [branch.score(branch.pool(branch.convlstm(maps))) for branch in branches]
        inputs: Any = pixels
        if senses is not None:
            if config.features:
                shapes = config.features.items()
                inputs = {"frames": pixels} | {one: keras.Input((None, size), name=one) for one, size in shapes}
            found = senses.scores(keras.layers.Concatenate(name="logits")(scores), inputs)
            scores = [Column(number, name=output)(found) for number, output in enumerate(output_names(config.genres))]
        super().__init__(inputs=inputs, outputs=scores, name=name, trainable=trainable)

        # === Config ===
        self.config = config
        # Kept only now: the order of the weights, and of the optimizer's in a file, is that of the functional model.
        self.prepare, self.trunk, self.branches, self.senses = prepare, trunk, branches, senses
        # On a CPU, XLA for a whole step is several times slower than its parts compiled one by one.
        self.supports_jit = not TENSORFLOW
        self._programs: dict[str, Callable[..., Any]] = {}
        self.configure()

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` builds the network from."""
        return {"name": self.name, "trainable": self.trainable, "config": self.config.to_dict()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> GenreModel:
        """Build the network, with fresh weights, from `get_config`."""
        try:
            options = ModelConfig.from_dict(config["config"])
        except InputError as error:  # of another version; the caller adds the name of the file
            raise ValueError(str(error)) from error
        return cls(options, name=config["name"], trainable=config["trainable"])

    def configure(
        self,
        *,
        chunk: int | None = None,
        bptt: Bptt = "truncated",
        precision: Precision = "float32",
        seed: int = 0,
        peers: Peers | None = None,
        on_chunk: OnChunk | None = None,
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
            which costs one more forward pass. "full" normalises with the moving statistics (also when a clip fits
            in one chunk), so that the result does not depend on the chunk. Both update the moving statistics once per
            step, from all frames of the batch.
        precision : {"float32", "bfloat16"}
            Of the convolutions; state, gates, normalisation and Dense layers stay in float32.
        seed : int
            Of what training steps draw.
        peers : Peers, optional
            Processes that train together, each with its rows of every batch.
        on_chunk : callable, optional
            Told after each chunk of a step what was done with it, "scored" or "learned from", with how many of how many
            chunks this was done, and how far the step is, in frames of the batch. An exception ends the step before
            any weight moves. On JAX a step is one program, and nothing is told.

        Raises
        ------
        InputError
            If the machine has no bfloat16 arithmetic, or the backend cannot train in chunks.
        """
        require_precision(precision)
        backend = keras.backend.backend()
        if not TENSORFLOW and precision != "float32":
            raise InputError(f"precision bfloat16 needs the tensorflow backend of Keras; this is {backend}")
        if not (TENSORFLOW or backend == "jax") and (chunk is not None or bptt != "truncated"):
            raise InputError(
                f"training in chunks, and bptt full, need the tensorflow or the jax backend of Keras; this is {backend}"
            )
        self.chunk, self.bptt, self.precision, self.seed = chunk, bptt, precision, seed
        self._peers, self._on_chunk = peers or Peers(), on_chunk
        # Keras makes them again when it next needs them.
        self.train_function: Callable[..., Any] | None = None
        self.test_function: Callable[..., Any] | None = None
        self.predict_function: Callable[..., Any] | None = None

    def initial_states(self, batch: Tensor | int = 1) -> forward.States:
        """Return the recurrent state before the first frame of `batch` clips."""
        states: list[Any] = [self.prepare.initial_state(batch, *self.config.frame_shape[1:])]
        _, rows, cols = self.config.trunk_shape
        for stage in self.trunk:
            states.append(stage.convlstm.initial_state(batch, rows, cols))
            rows, cols = stage.pool.windows.windows(rows), stage.pool.windows.windows(cols)
        filters = self.config.branch_filters * len(self.branches)
        zeros = ops.zeros((batch, rows, cols, filters), dtype="float32")
        states.append((zeros, zeros))
        return tuple(states) if self.senses is None else (*states, self.senses.initial_state(batch))

    def weights_for_run(self, precision: str, *, training: bool = False) -> forward.Weights:
        """Return the layers' present weights as the programs of `genre_classifier.network.forward` take them."""
        prepare = self.prepare
        cells = [branch.convlstm.weights_for_run(precision) for branch in self.branches]
        stages = [
            forward.StageWeights(
                stage.convlstm.weights_for_run(precision), *stage.norm.weights_for_run(), stage.pool.windows
            )
            for stage in self.trunk
        ]
        return forward.Weights(
            prepare.weights_for_run(training=training) if isinstance(prepare, MapFrames) else prepare,
            stages,
            forward.fuse_cells(cells),
            self.branches[0].pool.windows,
            [branch.score for branch in self.branches],
            None if self.senses is None else functools.partial(self.senses.finish, training=training),
        )

    def score_chunk(
        self, pixels: Tensor, states: forward.States, *, precision: str = "float32"
    ) -> tuple[Tensor, forward.States]:
        """Score one chunk.

        Parameters
        ----------
        pixels : tensor or ndarray, shape (batch, frames, 3, rows, cols)
            Or an encoder's maps, `(batch, frames, channels, rows, cols)`, where the network has one.
        states : tuple
            `initial_states`, or what this method gave for the chunk before.
        precision : {"float32", "bfloat16"}

        Returns
        -------
        scores : float32 tensor, shape (batch, frames, genres)
        states : tuple

        Raises
        ------
        InputError
            If the machine has no bfloat16 arithmetic and `precision` asks for it, or the frames have another size.
        """
        self.require_size(pixels)
        if precision not in self._programs:
            require_precision(precision)

            def score(pixels: Tensor, states: forward.States) -> tuple[Tensor, forward.States]:
                scores, states, _ = forward.step_through(self.weights_for_run(precision), pixels, states)
                return scores, states

            self._programs[precision] = program(score, self.variables, open_axes=((1,), ()))
        return self._programs[precision](keras.tree.map_structure(ops.convert_to_tensor, pixels), states)

    def require_size(self, inputs: forward.Inputs) -> None:
        """Refuse frames of another size than the network's, or with other features beside them (InputError)."""
        features = [name for name in inputs if name != "frames"] if isinstance(inputs, Mapping) else []
        if sorted(features) != sorted(self.config.features):
            takes, given = (
                f"frames and features of {', '.join(names)}" if names else "frames alone"
                for names in (self.config.features, features)
            )
            raise InputError(f"expected {takes}, which this network was built for, found {given}")
        expected, found = self.config.frame_shape, tuple(forward.frames_of(inputs).shape[2:])
        if found != expected:
            shapes = ("x".join(map(str, shape)) for shape in (expected, found))
            raise InputError(
                "expected frames of {}, which this network was built for, found {}; build it with rows and cols of the "
                "clips (ModelConfig), or preprocess with its --size".format(*shapes)
            )

    def lower_logits(self, offsets: Mapping[str, float]) -> None:
        """Take a number off the logit of a genre's every score, for good: its output bias moves."""
        if self.senses is not None:
            prior = self.senses.total.prior
            prior.assign(prior - np.array([offsets.get(genre, 0.0) for genre in self.config.genres], np.float32))
            return
        branches = dict(zip(self.config.genres, self.branches, strict=True))
        for genre, offset in offsets.items():
            bias = branches[genre].head[-1].bias
            bias.assign(bias - offset)

    def export(self, filepath: Any, format: str = "tf_saved_model", **options: Any) -> None:
        """Write the network over whole clips, as `keras.Model.export`; outputs bear their genres.

        Raises
        ------
        InputError
            If the format is "onnx", whose converter loses the loop over frames without a word.
        """
        if format == "onnx":
            raise InputError(
                f"{filepath}: the network over whole clips cannot be written as onnx; `genre-classifier export-model "
                f"RUN OUT --to onnx` writes it as one step per frame"
            )
        named = keras.Model(self.inputs, dict(zip(self.output_names, self.outputs, strict=True)))
        named.export(filepath, format, **options)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """Return the loss of whole clips: that of `compile`, or of genres that exclude each other."""
        if self.config.exclusive != "yes":
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        loss = next((loss for loss in keras.tree.flatten(self.loss) if isinstance(loss, TrailerLoss)), TrailerLoss())
        smoothing = loss.label_smoothing
        return exclusive_crossentropy(list(y), list(y_pred), list(sample_weight or []), label_smoothing=smoothing)

    # What Keras calls. On TensorFlow and JAX it runs the programs of `forward`, elsewhere the functional model.

    def make_train_function(self, force: bool = False) -> None:
        """Make the function that `fit` calls once per batch."""
        if not TENSORFLOW:
            super().make_train_function(force)
        elif self.train_function is None or force:
            step = TrainingStep(
                self,
                norms=[stage.norm for stage in self.trunk],
                weights_for_run=lambda: self.weights_for_run(self.precision, training=True),
                initial_states=self.initial_states,
                chunk=self.chunk,
                bptt=self.bptt,
                peers=self._peers,
                on_chunk=self._on_chunk,
            )

            def train_on_next(iterator: Any) -> Any:
                x, y, weights = keras.utils.unpack_x_y_sample_weight(next(iterator))
                self.require_size(x)
                self._draw()
                return step(x, y, weights)

            self.train_function = train_on_next

    def train_on_batch(self, *args: Any, **options: Any) -> Any:
        """Take one step, as Keras does."""
        if TENSORFLOW:
            return super().train_on_batch(*args, **options)
        self._draw()
        with self._peers.step():
            self._peers.spread([*self.variables, *self.optimizer.variables, *self.metrics_variables])
            return super().train_on_batch(*args, **options)

    def reset_metrics(self) -> None:
        """Begin to measure again."""
        super().reset_metrics()
        self._peers.spread(self.metrics_variables)

    def _draw(self) -> None:
        if isinstance(self.prepare, MapFrames):
            self.prepare.draw(self.seed, int(self.optimizer.iterations))

    def stateless_call(
        self, trainable: Any, others: Any, *args: Any, return_losses: bool = False, **options: Any
    ) -> Any:
        """Run the network on given values of its variables: how Keras scores on JAX what it learns from."""
        if keras.backend.backend() != "jax" or not options.get("training"):
            return super().stateless_call(trainable, others, *args, return_losses=return_losses, **options)
        (pixels,) = args
        values = [
            *zip(self.trainable_variables, trainable, strict=True),
            *zip(self.non_trainable_variables, others, strict=True),
        ]
        with keras.StatelessScope(state_mapping=values) as scope:
            scores, moments = run_in_chunks(
                self.weights_for_run(self.precision, training=True),
                pixels,
                self.initial_states(forward.frames_of(pixels).shape[0]),
                chunk=self.chunk,
                truncated=self.bptt == "truncated",
            )
            move_statistics([stage.norm for stage in self.trunk], moments)
            after = [scope.get_current_value(variable) for variable in self.non_trainable_variables]
        found = split_scores(self, scores), after
        return (*found, []) if return_losses else found

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
        return split_scores(self, self._score_batch(keras.utils.unpack_x_y_sample_weight(args[0])[0]))

    def _score_batch(self, pixels: Tensor) -> Tensor:
        self.require_size(pixels)
        states = self.initial_states(ops.shape(forward.frames_of(pixels))[0])
        return forward.step_through(self.weights_for_run(self.precision), pixels, states)[0]
