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
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from genre_classifier.network import forward
from genre_classifier.network.backend import TENSORFLOW, program
from genre_classifier.network.backpropagation import Moments
from genre_classifier.network.memory import GROUP, let_go

if TENSORFLOW:
    import tensorflow as tf

if TYPE_CHECKING:
    from genre_classifier.network.genre_model import GenreModel


class ChunkedTraining:
    """The train function of a model; compiled once, used for every batch."""

    def __init__(self, model: GenreModel) -> None:
        self._model = model
        compile_program = (lambda function: function) if model.run_eagerly else program
        self._train_whole = compile_program(model.train_step)
        self._forward = compile_program(self._forward_chunk)
        self._backward = compile_program(self._backward_chunk)
        self._loss = compile_program(self._loss_and_gradient)
        self._apply = compile_program(self._apply_gradients)

    def train_on_next(self, iterator: Iterator[Any]) -> Any:
        """Take the next batch of an iterator through one step of the optimizer; return Keras's logs."""
        data = next(iterator)
        x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
        self._model.require_size(x)
        if self._model.chunk is None or x.shape[1] <= self._model.chunk:
            return self._train_whole(data)
        return self._train_in_chunks(x, y, weights, self._model.chunk)

    def _train_in_chunks(self, x: Any, y: Any, weights: Any, chunk: int) -> Any:
        model = self._model
        starts = range(0, x.shape[1], chunk)
        groups = [starts[number : number + GROUP] for number in range(0, len(starts), GROUP)]
        states = model.initial_states(x.shape[0])
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
        d_states, sums = none, [tf.zeros(variable.shape) for variable in model.trainable_variables]
        for group in reversed(groups):
            before = before_groups.pop()
            if not borders:  # those of the last group are still there
                borders = self._borders(x, group, chunk, before)
            for start in reversed(group):
                d_states, sums = self._backward(
                    _cut(x, start, chunk), borders.pop(), d_scores[:, start : start + chunk], d_states, sums
                )
                if model.bptt == "truncated":
                    d_states = none
        self._apply(sums, moments)
        return logs

    def _borders(self, x: Any, group: Sequence[int], chunk: int, states: forward.States) -> list[forward.States]:
        """Return the state before each chunk of a group."""
        borders = [states]
        for start in group[:-1]:
            borders.append(self._forward(_cut(x, start, chunk), borders[-1])[1])
        return borders

    def _forward_chunk(self, pixels: Any, states: forward.States) -> Any:
        network = self._model.network(self._model.precision)
        if self._model.bptt == "full":
            return forward.step_through(network, pixels, states, measure=True)
        return forward.run_layers(network, pixels, states, batch_statistics=True, keep=False)

    def _loss_and_gradient(self, y: Any, scores: Any, weights: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(scores)
            loss, logs = measure_loss(self._model, scores, y, scores, weights, training=True)
        return logs, tape.gradient(loss, scores)

    def _backward_chunk(self, pixels: Any, states: Any, d_scores: Any, d_states: Any, sums: list[Any]) -> Any:
        """Return the gradient with respect to the state before the chunk, and the weights' gradients so far."""
        variables = [variable.value for variable in self._model.trainable_variables]
        with tf.GradientTape() as tape:
            tape.watch(states)
            scores, after, _ = forward.run_layers(
                self._model.network(self._model.precision),
                pixels,
                states,
                batch_statistics=self._model.bptt == "truncated",
            )
        gradients, d_before = tape.gradient(
            (scores, after),
            (variables, states),
            (d_scores, d_states),
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        return d_before, [one + other for one, other in zip(sums, gradients, strict=True)]

    def _apply_gradients(self, gradients: list[Any], moments: Any) -> None:
        self._model.optimizer.apply(gradients, self._model.trainable_variables)
        update_statistics(self._model, moments)


def _cut(x: Any, start: int, chunk: int) -> Any:
    let_go(x)
    return tf.convert_to_tensor(x[:, start : start + chunk])


def train_whole(model: GenreModel, data: Any) -> Any:
    """Take one batch through one step of the optimizer, all frames at once; return Keras's logs."""
    x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
    with tf.GradientTape() as tape:
        scores, _, moments = forward.run_layers(
            model.network(model.precision),
            x,
            model.initial_states(ops.shape(x)[0]),
            batch_statistics=model.bptt == "truncated",
        )
        loss, logs = measure_loss(model, x, y, scores, weights, training=True)
    gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
    model.optimizer.apply(gradients, model.trainable_variables)
    update_statistics(model, moments)
    return logs


def measure_loss(model: GenreModel, x: Any, y: Any, scores: Any, weights: Any, *, training: bool) -> tuple[Any, Any]:
    """Return the compiled loss of whole clips, and the logs after updating the metrics with them."""
    outputs = model.split_scores(scores)
    loss = model.compute_loss(x=x, y=y, y_pred=outputs, sample_weight=weights, training=training)
    tracker = next(metric for metric in model.metrics if metric.name == "loss")
    tracker.update_state(loss, sample_weight=ops.shape(scores)[0])
    return loss, model.compute_metrics(x, y, outputs, sample_weight=weights)


def update_statistics(model: GenreModel, moments: tuple[Moments, ...]) -> None:
    """Move the normalisations' statistics towards those of one batch."""
    for number, measured in enumerate(moments, start=1):
        norm = model.get_layer(f"trunk_{number}_norm")
        mean, variance = forward.statistics(measured)
        norm.moving_mean.assign(norm.moving_mean * norm.momentum + mean * (1 - norm.momentum))
        norm.moving_variance.assign(norm.moving_variance * norm.momentum + variance * (1 - norm.momentum))
