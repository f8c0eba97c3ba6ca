"""One optimizer step on a batch of clips, whole or in chunks, at the memory of one chunk (TensorFlow).

A batch longer than a chunk takes two passes. The first scores all chunks. Then the loss, any loss, is computed on the
scores of the whole clips, and with it its gradient with respect to every score. The second pass goes through the
chunks again, last to first, and takes that gradient to the weights; the gradient with respect to the state goes on to
the chunk before (full) or stops (truncated). This is gradient checkpointing (Chen et al., "Training deep nets with
sublinear memory cost", 2016) over time: the first pass stores the state before every `GROUP`-th chunk, and the second
recomputes the states inside a group when it comes to it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
from keras import ops

from genre_classifier.config import Bptt
from genre_classifier.network import forward
from genre_classifier.network.backend import TENSORFLOW, Tensor, program
from genre_classifier.network.convlstm import ChannelSums
from genre_classifier.network.forward import frames_of
from genre_classifier.network.layers import FrameNormalization
from genre_classifier.network.memory import GROUP
from genre_classifier.network.peers import Peers
from preprocessing.processes.machine import release_pages

if TENSORFLOW:
    import tensorflow as tf

Logs = dict[str, Tensor]
OnChunk = Callable[[str, int, int, float], None]

# Learning from a chunk computes it again, with its gradient: so many times the work of scoring it.
_LEARNING = 3


class TrainingStep:
    """A function that trains a model on one batch; compiled once, used for every batch.

    Parameters
    ----------
    model : keras.Model
        Compiled: gives the loss, the metrics, the optimizer and the trainable variables.
    norms : sequence of FrameNormalization
        Whose moving statistics follow the batches, in the order of the trunk.
    weights_for_run : callable
        Gives the model's present weights, as functions of its trainable variables.
    initial_states : callable
        Gives the state before the first frame of so many clips.
    chunk : int or None
        Frames that are held in memory at once; None takes each batch whole.
    bptt : {"truncated", "full"}
        Whether the gradient stops at the borders of chunks.
    peers : Peers
        Who takes this step together, each with its rows of the batch.
    on_chunk : callable, optional
        See `GenreModel.configure`.
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        norms: Sequence[FrameNormalization],
        weights_for_run: Callable[[], forward.Weights],
        initial_states: Callable[[Tensor | int], forward.States],
        chunk: int | None,
        bptt: Bptt,
        peers: Peers,
        on_chunk: OnChunk | None = None,
    ) -> None:
        self._model, self._norms = model, norms
        self._weights_for_run, self._initial_states = weights_for_run, initial_states
        self._chunk, self._truncated = chunk, bptt == "truncated"
        self._peers, self._on_chunk = peers, on_chunk
        alone, together = (_eagerly, _eagerly) if model.run_eagerly else (program, peers.program)
        # The last batch of an epoch has fewer clips, and the last chunk of a clip fewer frames.
        inputs, states = (0, 1), (0,)
        self._whole = together(self._whole_gradients, open_axes=(inputs,) * 3)
        self._forward = together(self._forward_chunk, open_axes=(inputs, states))
        self._backward = together(self._backward_chunk, open_axes=(inputs, states, inputs, states, ()))
        self._loss = together(self._loss_and_gradient, open_axes=(inputs,) * 3)
        self._total = together(self._summed)
        self._apply = alone(self._apply_gradients)
        self._ready = False

    def __call__(self, x: Tensor, y: Any, weights: Any) -> Logs:
        """Train on one batch: frames, targets and sample weights, as Keras passes them; return Keras's logs."""
        if not self._ready:
            self._create_variables(x, y, weights)
        if self._chunk is None or frames_of(x).shape[1] <= self._chunk:
            logs: Logs
            logs, gradients, moments = self._whole(x, y, weights)
            self._apply(gradients, moments)
            return logs
        return self._train_in_chunks(x, y, weights, self._chunk)

    def _create_variables(self, x: Tensor, y: Any, weights: Any) -> None:
        """Create those of the optimizer and of the metrics: a program that creates any is traced twice."""
        model = self._model
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        measure_loss(model, x, y, tf.zeros((*frames_of(x).shape[:2], len(model.outputs))), weights, training=True)
        model.reset_metrics()
        self._ready = True

    def _whole_gradients(self, x: Tensor, y: Any, weights: Any) -> tuple[Logs, list[Tensor], tuple[ChannelSums, ...]]:
        with tf.GradientTape() as tape:
            scores, _, moments = forward.run_layers(
                self._weights_for_run(),
                x,
                self._initial_states(ops.shape(frames_of(x))[0]),
                batch_statistics=self._truncated,
                joined=self._peers.summed_moments,
            )
            loss, logs = self._measure(x, y, scores, weights)
        gradients = tape.gradient(loss, [variable.value for variable in self._model.trainable_variables])
        return logs, *self._summed(gradients, moments)

    def _measure(self, x: Tensor, y: Any, scores: Tensor, weights: Any) -> tuple[Tensor, Logs]:
        """Return what these rows add to the loss of the batch, and the logs over these rows."""
        loss, logs = measure_loss(self._model, x, y, scores, weights, training=True)
        if self._peers.count > 1:
            loss = loss * self._peers.share_of(ops.any(keras.tree.flatten(weights)[0] > 0, axis=1))
        return loss, logs

    def _summed(
        self, gradients: list[Tensor], moments: tuple[ChannelSums, ...]
    ) -> tuple[list[Tensor], tuple[ChannelSums, ...]]:
        """Add up what all processes have; where statistics of the batch were used, the moments are summed already."""
        if not self._truncated:
            moments = tuple(map(self._peers.summed_moments, moments))
        return self._peers.summed(gradients), moments

    def _train_in_chunks(self, x: Tensor, y: Any, weights: Any, chunk: int) -> Logs:
        rows, frames = frames_of(x).shape[:2]
        starts = range(0, frames, chunk)
        groups = [starts[number : number + GROUP] for number in range(0, len(starts), GROUP)]
        states = self._initial_states(rows)
        before_groups, scores, moments = [], [], None
        for group in groups:
            before_groups.append(states)
            borders = []
            for start in group:
                borders.append(states)
                part, states, measured = self._forward(_cut(x, start, chunk), states)
                scores.append(part)
                moments = measured if moments is None else tuple(map(operator.add, moments, measured))
                self._tell("scored", len(scores), len(starts), rows * min(start + chunk, frames))
        logs, d_scores = self._loss(y, tf.concat(scores, axis=1), weights)
        none = keras.tree.map_structure(tf.zeros_like, states)
        d_states, sums = none, [tf.zeros(variable.shape) for variable in self._model.trainable_variables]
        for group in reversed(groups):
            before = before_groups.pop()
            if not borders:  # those of the last group are still there
                borders = self._borders(x, group, chunk, before)
            for start in reversed(group):
                d_states, sums = self._backward(
                    _cut(x, start, chunk), borders.pop(), d_scores[:, start : start + chunk], d_states, sums
                )
                if self._truncated:
                    d_states = none
                number = len(starts) - start // chunk
                self._tell("learned from", number, len(starts), rows * (frames + _LEARNING * (frames - start)))
        self._apply(*self._total(sums, moments))
        return logs

    def _tell(self, done: str, number: int, chunks: int, scorings: int) -> None:
        """Say how far the step is; learning from a frame counts as several scorings."""
        if self._on_chunk is not None:
            self._on_chunk(done, number, chunks, self._peers.count * scorings / (1 + _LEARNING))

    def _borders(self, x: Tensor, group: Sequence[int], chunk: int, states: forward.States) -> list[forward.States]:
        """Return the state before each chunk of a group."""
        borders = [states]
        for start in group[:-1]:
            borders.append(self._forward(_cut(x, start, chunk), borders[-1])[1])
        return borders

    def _forward_chunk(
        self, pixels: Tensor, states: forward.States
    ) -> tuple[Tensor, forward.States, tuple[ChannelSums, ...]]:
        if self._truncated:
            return forward.run_layers(
                self._weights_for_run(),
                pixels,
                states,
                batch_statistics=True,
                keep=False,
                joined=self._peers.summed_moments,
            )
        return forward.step_through(self._weights_for_run(), pixels, states, measure=True)

    def _loss_and_gradient(self, y: Any, scores: Tensor, weights: Any) -> tuple[Logs, Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(scores)
            loss, logs = self._measure(scores, y, scores, weights)
        return logs, tape.gradient(loss, scores)

    def _backward_chunk(
        self, pixels: Tensor, states: forward.States, d_scores: Tensor, d_states: forward.States, sums: list[Tensor]
    ) -> tuple[forward.States, list[Tensor]]:
        """Return the gradient with respect to the state before the chunk, and the weights' gradients so far."""
        variables = [variable.value for variable in self._model.trainable_variables]
        with tf.GradientTape() as tape:
            tape.watch(states)
            scores, after, _ = forward.run_layers(
                self._weights_for_run(),
                pixels,
                states,
                batch_statistics=self._truncated,
                joined=self._peers.summed_moments,
            )
        gradients, d_before = tape.gradient(
            (scores, after),
            (variables, states),
            (d_scores, d_states),
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        return d_before, [one + other for one, other in zip(sums, gradients, strict=True)]

    def _apply_gradients(self, gradients: list[Tensor], moments: tuple[ChannelSums, ...]) -> None:
        """Move the weights, and the normalisations' statistics towards those of the batch."""
        self._model.optimizer.apply(gradients, self._model.trainable_variables)
        move_statistics(self._norms, moments)


def _eagerly(function: Callable[..., Any], *, open_axes: Any = None) -> Callable[..., Any]:
    return function


def move_statistics(norms: Sequence[FrameNormalization], moments: Sequence[ChannelSums]) -> None:
    """Move the statistics of normalisations towards those of a batch."""
    for norm, measured in zip(norms, moments, strict=True):
        mean, variance = forward.statistics(measured)
        norm.moving_mean.assign(norm.moving_mean * norm.momentum + mean * (1 - norm.momentum))
        norm.moving_variance.assign(norm.moving_variance * norm.momentum + variance * (1 - norm.momentum))


def _cut(x: forward.Inputs, start: int, chunk: int) -> forward.Inputs:
    if isinstance(x, Mapping):
        return {name: _cut(one, start, chunk) for name, one in x.items()}
    release_pages(x)
    return tf.convert_to_tensor(x[:, start : start + chunk])


def measure_loss(
    model: keras.Model, x: Tensor, y: Any, scores: Tensor, weights: Any, *, training: bool
) -> tuple[Tensor, Logs]:
    """Return the compiled loss of whole clips, and the logs after updating the metrics with them."""
    outputs = split_scores(model, scores)
    loss = model.compute_loss(x=x, y=y, y_pred=outputs, sample_weight=weights, training=training)
    tracker = next(metric for metric in model.metrics if metric.name == "loss")
    tracker.update_state(loss, sample_weight=ops.shape(scores)[0])
    return loss, model.compute_metrics(x, y, outputs, sample_weight=weights)


def split_scores(model: keras.Model, scores: Tensor) -> list[Tensor]:
    """Turn `(batch, frames, genres)` into the model's list of outputs."""
    parts: list[Tensor] = ops.split(scores, len(model.outputs), axis=-1)
    return parts
