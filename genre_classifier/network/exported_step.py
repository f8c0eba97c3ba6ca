"""The network as one step for programs without this package: a frame and the state in, scores and the next state out.

A loop over frames, gates compiled by XLA and layers of this package do not leave it; one frame of plain operations
does. It is `forward.step_through`, the program that scores here too, traced over a single frame.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import keras
from keras import ops

from genre_classifier.network import forward
from genre_classifier.network.backend import TENSORFLOW, Tensor, plain_operations
from genre_classifier.network.encoder import Encoder
from genre_classifier.network.model import GenreModel
from genre_classifier.network.sound_encoder import SoundEncoder
from preprocessing.base.errors import InputError

FRAME, SCORES, STARTED, MAPS = "frame", "scores", "started", "maps"
SAMPLES, HEARD = "samples", "features"
FEATURES = "features_"  # before the name of a sense
NEXT = "next_"  # before the name of a state: what it is after the frame


class ExportedStep(NamedTuple):
    """One step, and what goes in and out of it.

    Attributes
    ----------
    function : tf.function
        Takes the frame, then the features of each sense, then each state, and gives a dict: "scores", float32
        (1, genres), raw, and for each state "next_<its name>", of its shape.
    frame : tuple of int
        Shape of the frame, (1, 3, rows, cols); uint8, RGB.
    states : dict
        Shapes of the states by their names, in their order; float32, zeros before the first frame.
    features : dict
        Shapes of what encoders say of the frame, by name; float32.
    """

    function: Any
    frame: tuple[int, ...]
    states: dict[str, tuple[int, ...]]
    features: dict[str, tuple[int, ...]]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Return the names of what goes in, in their order."""
        return FRAME, *self.features, *self.states


class ExportedEncoder(NamedTuple):
    """An encoder beside the step: one that looks at the video itself, or one that listens.

    Attributes
    ----------
    function : tf.function
        Takes a frame, uint8 RGB (1, 3, rows, cols), and gives a dict: "maps", float32 (1, channels, cells, cells); or
        takes samples, float32 (1, samples), and gives "features", float32 (1, features). Both are rounded to float16.
    name : str
        Of what goes in.
    shape : tuple of int
        Of what goes in.
    output : str
        The name of what comes out.
    """

    function: Any
    name: str
    shape: tuple[int, ...]
    output: str

    @property
    def inputs(self) -> tuple[str, ...]:
        """Return the names of what goes in."""
        return (self.name,)


Exported: TypeAlias = ExportedStep | ExportedEncoder


def exported_step(model: GenreModel, *, encoder: Encoder | None = None) -> ExportedStep:
    """Make the step of a network, with its present weights.

    Parameters
    ----------
    model : GenreModel
    encoder : Encoder, optional
        The pretrained image network in front of it, which becomes a part of the step. Not one that looks at the video
        itself: what it says of the frame goes in beside it.

    Raises
    ------
    InputError
        If the backend is not TensorFlow.
    """
    tf = _tensorflow()

    weights = model.weights_for_run("float32")  # outside of the function: constants of it
    encode = (lambda frame: frame) if encoder is None else encoder.steps(plain=True)
    start = model.initial_states()
    shapes = [tuple(int(size) for size in state.shape) for state in keras.tree.flatten(start)]
    states = dict(zip(_state_names(model, start), shapes, strict=True))
    config = model.config
    frame = (1, 3, config.rows, config.cols)
    features: dict[str, tuple[int, ...]] = {f"{FEATURES}{name}": (1, width) for name, width in config.features.items()}

    def step(frame: Tensor, *others: Tensor) -> dict[str, Tensor]:
        beside, before = others[: len(features)], others[len(features) :]
        with plain_operations():
            inputs: forward.Inputs = encode(frame)[:, None]
            if features:
                said = zip(config.features, beside, strict=True)
                inputs = {"frames": inputs} | {name: one[:, None] for name, one in said}
            packed = keras.tree.pack_sequence_as(start, list(before))
            scores, after, _ = forward.step_through(weights, inputs, packed)
            following = dict(zip(states, keras.tree.flatten(after), strict=True))
            if STARTED in states:  # always one: and OpenVINO, which reads the ONNX file, drops a constant output
                known = dict(zip(states, before, strict=True))
                following[STARTED] = ops.maximum(following[STARTED], known[STARTED])
        return {SCORES: scores[:, 0], **{f"{NEXT}{name}": state for name, state in following.items()}}

    signature = [
        tf.TensorSpec(frame, tf.uint8, name=FRAME),
        *(tf.TensorSpec(shape, tf.float32, name=name) for name, shape in (features | states).items()),
    ]
    return ExportedStep(tf.function(step, input_signature=signature, autograph=False), frame, states, features)


def exported_encoder(encoder: Encoder | SoundEncoder) -> ExportedEncoder:
    """Make the function of an encoder beside the step; InputError as for `exported_step`."""
    tf = _tensorflow()
    if isinstance(encoder, SoundEncoder):
        name, dtype, output = SAMPLES, tf.float32, HEARD
        shape: tuple[int, ...] = (1, encoder.samples)
    else:
        name, dtype, output = FRAME, tf.uint8, MAPS
        shape = (1, 3, encoder.rows, encoder.cols)
    said = encoder.steps(plain=True)

    def encode(found: Tensor) -> dict[str, Tensor]:
        with plain_operations():
            return {output: ops.cast(said(found), "float32")}

    signature = [tf.TensorSpec(shape, dtype, name=name)]
    return ExportedEncoder(tf.function(encode, input_signature=signature, autograph=False), name, shape, output)


def _tensorflow() -> Any:
    if not TENSORFLOW:
        raise InputError(
            f"exporting a network needs the tensorflow backend of Keras; this is {keras.backend.backend()} "
            f"(KERAS_BACKEND=tensorflow)"
        )
    import tensorflow as tf

    return tf


def _state_names(model: GenreModel, states: forward.States) -> list[str]:
    prepared = ("before", STARTED) if states[0] else ()
    layers = (*(stage.convlstm.name for stage in model.trunk), "branches")
    moving = ("movement_pictures", "movement_frames") if model.senses is not None and states[-1] else ()
    return [*prepared, *(f"{layer}_{part}" for layer in layers for part in ("h", "c")), *moving]
