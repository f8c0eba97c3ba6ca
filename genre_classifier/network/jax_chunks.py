"""Scores to learn from on JAX: a clip in chunks, of which each is computed again when its gradient is needed.

`jax.checkpoint` around a chunk and a scan over chunks are what `genre_classifier.network.training_step` does by hand on
TensorFlow: memory for the maps of one chunk, and the state before each. The clip itself lies on the device as a whole.
"""

from __future__ import annotations

import functools
import operator
from typing import Any

import keras
from keras import ops

from genre_classifier.network import forward
from genre_classifier.network.backend import Tensor
from genre_classifier.network.convlstm import ChannelSums


def run_in_chunks(
    weights: forward.Weights, inputs: forward.Inputs, states: forward.States, *, chunk: int | None, truncated: bool
) -> tuple[Tensor, tuple[ChannelSums, ...]]:
    """Score whole clips so that they can be differentiated.

    Parameters
    ----------
    weights : Weights
    inputs : tensor, shape (batch, frames, 3, rows, cols), or dict of tensors
        See `genre_classifier.network.forward.Inputs`.
    states : tuple
        Before the first frame.
    chunk : int or None
        Frames whose maps are held at once; None: all.
    truncated : bool
        Whether the gradient stops at the borders of chunks, and each chunk is normalised with its own statistics.

    Returns
    -------
    scores : float32 tensor, shape (batch, frames, genres)
    moments : tuple of Moments
        Of each stage, over all frames.
    """
    import jax

    frames = forward.frames_of(inputs).shape[1]
    length = frames if chunk is None else min(chunk, frames)

    @jax.checkpoint
    def one(states: forward.States, inputs: forward.Inputs) -> tuple[Tensor, forward.States, tuple[ChannelSums, ...]]:
        return forward.run_layers(weights, inputs, states, batch_statistics=truncated)

    def step(states: forward.States, inputs: forward.Inputs) -> Any:
        scores, states, moments = one(states, inputs)
        if truncated:
            states = keras.tree.map_structure(jax.lax.stop_gradient, states)
        return states, (scores, moments)

    whole = frames - frames % length
    batch = forward.frames_of(inputs).shape[0]

    def in_parts(one: Tensor) -> Tensor:
        parts = ops.reshape(one[:, :whole], (batch, whole // length, length, *one.shape[2:]))
        return ops.swapaxes(parts, 0, 1)

    states, (scores, measured) = jax.lax.scan(step, states, keras.tree.map_structure(in_parts, inputs))
    scores = ops.reshape(ops.swapaxes(scores, 0, 1), (batch, whole, -1))
    moments = keras.tree.map_structure(functools.partial(ops.sum, axis=0), measured)
    if whole < frames:
        _, (rest, more) = step(states, keras.tree.map_structure(lambda one: one[:, whole:], inputs))
        scores, moments = ops.concatenate([scores, rest], axis=1), tuple(map(operator.add, moments, more))
    return scores, moments
