"""The network as one step for programs without this package: a frame and the state in, scores and the next state out.

A loop over frames, gates compiled by XLA and layers of this package do not leave it; one frame of plain operations
does. It is `forward.step_through`, the program that scores here too, traced over a single frame.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
from keras import ops

from genre_classifier.network import forward
from genre_classifier.network.backend import TENSORFLOW, Tensor, plain_operations
from genre_classifier.network.encoder import Encoder
from genre_classifier.network.model import GenreModel
from preprocessing.base.errors import InputError

FRAME, SCORES, STARTED = "frame", "scores", "started"
NEXT = "next_"  # before the name of a state: what it is after the frame


class ExportedStep(NamedTuple):
    """One step, and what goes in and out of it.

    Attributes
    ----------
    function : tf.function
        Takes the frame, then each state, and gives a dict: "scores", float32 (1, genres), raw, and for each state
        "next_<its name>", of its shape.
    frame : tuple of int
        Shape of the frame, (1, 3, rows, cols); uint8, RGB.
    states : dict
        Shapes of the states by their names, in their order; float32, zeros before the first frame.
    """

    function: Any
    frame: tuple[int, ...]
    states: dict[str, tuple[int, ...]]


def exported_step(model: GenreModel, *, encoder: Encoder | None = None) -> ExportedStep:
    """Make the step of a network, with its present weights.

    Parameters
    ----------
    model : GenreModel
    encoder : Encoder, optional
        The pretrained image network in front of it, which becomes a part of the step.

    Raises
    ------
    InputError
        If the backend is not TensorFlow.
    """
    if not TENSORFLOW:
        raise InputError(
            f"exporting a network needs the tensorflow backend of Keras; this is {keras.backend.backend()} "
            f"(KERAS_BACKEND=tensorflow)"
        )
    import tensorflow as tf

    weights = model.weights_for_run("float32")  # outside of the function: constants of it
    encode = (lambda frame: frame) if encoder is None else encoder.steps(plain=True)
    start = model.initial_states()
    shapes = [tuple(int(size) for size in state.shape) for state in keras.tree.flatten(start)]
    states = dict(zip(_state_names(model, start), shapes, strict=True))
    config = model.config
    frame = (1, 3, config.rows, config.cols)

    def step(frame: Tensor, *before: Tensor) -> dict[str, Tensor]:
        with plain_operations():
            seen = encode(frame)
            packed = keras.tree.pack_sequence_as(start, list(before))
            scores, after, _ = forward.step_through(weights, seen[:, None], packed)
            following = dict(zip(states, keras.tree.flatten(after), strict=True))
            if STARTED in states:  # always one: and OpenVINO, which reads the ONNX file, drops a constant output
                known = dict(zip(states, before, strict=True))
                following[STARTED] = ops.maximum(following[STARTED], known[STARTED])
        return {SCORES: scores[:, 0], **{f"{NEXT}{name}": state for name, state in following.items()}}

    signature = [
        tf.TensorSpec(frame, tf.uint8, name=FRAME),
        *(tf.TensorSpec(shape, tf.float32, name=name) for name, shape in states.items()),
    ]
    return ExportedStep(tf.function(step, input_signature=signature, autograph=False), frame, states)


def _state_names(model: GenreModel, states: forward.States) -> list[str]:
    prepared = ("before", STARTED) if states[0] else ()
    layers = (*(stage.convlstm.name for stage in model.trunk), "branches")
    return [*prepared, *(f"{layer}_{part}" for layer in layers for part in ("h", "c"))]
