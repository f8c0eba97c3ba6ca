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
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from genre_classifier.config import Bptt
from genre_classifier.network import forward
from genre_classifier.network.backend import TENSORFLOW, Tensor, program
from genre_classifier.network.convlstm import Moments
from genre_classifier.network.layers import FrameNormalization
from genre_classifier.network.memory import GROUP, let_go

if TENSORFLOW:
    import tensorflow as tf

Logs = dict[str, Tensor]


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
    ) -> None:
        self._model, self._norms = model, norms
        self._weights_for_run, self._initial_states = weights_for_run, initial_states
        self._chunk, self._truncated = chunk, bptt == "truncated"
        compile_program = (lambda function: function) if model.run_eagerly else program
        self._train_whole = compile_program(self._step_on_whole_batch)
        self._forward = compile_program(self._forward_chunk)
        self._backward = compile_program(self._backward_chunk)
        self._loss = compile_program(self._loss_and_gradient)
        self._apply = compile_program(self._apply_gradients)
        self._ready = False

    def __call__(self, x: Tensor, y: Any, weights: Any) -> Logs:
        """Train on one batch: frames, targets and sample weights, as Keras passes them; return Keras's logs."""
        if not self._ready:
            self._create_variables(x, y, weights)
        if self._chunk is None or x.shape[1] <= self._chunk:
            logs: Logs = self._train_whole(x, y, weights)
            return logs
        return self._train_in_chunks(x, y, weights, self._chunk)

    def _create_variables(self, x: Tensor, y: Any, weights: Any) -> None:
        """Create those of the optimizer and of the metrics: a program that creates any is traced twice."""
        model = self._model
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        measure_loss(model, x, y, tf.zeros((*x.shape[:2], len(model.outputs))), weights, training=True)
        model.reset_metrics()
        self._ready = True

    def _step_on_whole_batch(self, x: Tensor, y: Any, weights: Any) -> Logs:
        with tf.GradientTape() as tape:
            scores, _, moments = forward.run_layers(
                self._weights_for_run(),
                x,
                self._initial_states(ops.shape(x)[0]),
                batch_statistics=self._truncated,
            )
            loss, logs = measure_loss(self._model, x, y, scores, weights, training=True)
        gradients = tape.gradient(loss, [variable.value for variable in self._model.trainable_variables])
        self._apply_gradients(gradients, moments)
        return logs

    def _train_in_chunks(self, x: Tensor, y: Any, weights: Any, chunk: int) -> Logs:
        starts = range(0, x.shape[1], chunk)
        groups = [starts[number : number + GROUP] for number in range(0, len(starts), GROUP)]
        states = self._initial_states(x.shape[0])
        before_groups, scores, moments = [], [], None
        for group in groups:
            before_groups.append(states)
            borders = []
            for start in group:
                borders.append(states)
                part, states, measured = self._forward(_cut(x, start, chunk), states)
                scores.append(part)
                moments = measured if moments is None else tuple(map(operator.add, moments, measured))
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
        self._apply(sums, moments)
        return logs

    def _borders(self, x: Tensor, group: Sequence[int], chunk: int, states: forward.States) -> list[forward.States]:
        """Return the state before each chunk of a group."""
        borders = [states]
        for start in group[:-1]:
            borders.append(self._forward(_cut(x, start, chunk), borders[-1])[1])
        return borders

    def _forward_chunk(
        self, pixels: Tensor, states: forward.States
    ) -> tuple[Tensor, forward.States, tuple[Moments, ...]]:
        if self._truncated:
            return forward.run_layers(self._weights_for_run(), pixels, states, batch_statistics=True, keep=False)
        return forward.step_through(self._weights_for_run(), pixels, states, measure=True)

    def _loss_and_gradient(self, y: Any, scores: Tensor, weights: Any) -> tuple[Logs, Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(scores)
            loss, logs = measure_loss(self._model, scores, y, scores, weights, training=True)
        return logs, tape.gradient(loss, scores)

    def _backward_chunk(
        self, pixels: Tensor, states: forward.States, d_scores: Tensor, d_states: forward.States, sums: list[Tensor]
    ) -> tuple[forward.States, list[Tensor]]:
        """Return the gradient with respect to the state before the chunk, and the weights' gradients so far."""
        variables = [variable.value for variable in self._model.trainable_variables]
        with tf.GradientTape() as tape:
            tape.watch(states)
            scores, after, _ = forward.run_layers(
                self._weights_for_run(), pixels, states, batch_statistics=self._truncated
            )
        gradients, d_before = tape.gradient(
            (scores, after),
            (variables, states),
            (d_scores, d_states),
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        return d_before, [one + other for one, other in zip(sums, gradients, strict=True)]

    def _apply_gradients(self, gradients: list[Tensor], moments: tuple[Moments, ...]) -> None:
        """Move the weights, and the normalisations' statistics towards those of the batch."""
        self._model.optimizer.apply(gradients, self._model.trainable_variables)
        for norm, measured in zip(self._norms, moments, strict=True):
            mean, variance = forward.statistics(measured)
            norm.moving_mean.assign(norm.moving_mean * norm.momentum + mean * (1 - norm.momentum))
            norm.moving_variance.assign(norm.moving_variance * norm.momentum + variance * (1 - norm.momentum))


def _cut(x: Tensor, start: int, chunk: int) -> Tensor:
    let_go(x)
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
