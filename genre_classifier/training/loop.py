"""Epochs of a training whose clips are longer than memory: Keras's `fit`, but for how frames reach the network.

`fit` turns every batch into tensors, two or three of them ahead: gigabytes where a clip has a thousand frames of
400x400. Here a batch whose clips are trained in chunks stays on disk, and each chunk is read when it is its turn.
Callbacks, losses and the order of things are those of `fit`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import keras
import numpy as np

from genre_classifier.dataset.sequence import TrailerSequence
from genre_classifier.network.backend import TENSORFLOW
from genre_classifier.network.model import GenreModel
from genre_classifier.network.peers import Peers
from preprocessing.processes.prefetch import Prefetch


def fit_epochs(
    model: GenreModel,
    sequence: TrailerSequence,
    *,
    epochs: int,
    initial_epoch: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    peers: Peers | None = None,
) -> None:
    """Train on all batches of a sequence, epoch by epoch, until the last one or until a callback says stop.

    Parameters
    ----------
    model : GenreModel
        Compiled; a batch takes the memory of one chunk, as `model.configure` says.
    sequence : TrailerSequence
        At the epoch to begin with; it moves on by itself.
    epochs, initial_epoch : int
        Number of the last epoch, counted from 1, and how many of them are done.
    callbacks : sequence of keras Callback
        As for `fit`; `logs` holds means over the trailers of the epoch so far.
    peers : Peers, optional
        Processes that train together: the sequence gives this one its share of each batch. During an epoch `logs` is
        about that share, at its end about all; training stops when a callback of any of them says so.
    """
    peers = peers or Peers()
    listeners = keras.callbacks.CallbackList(
        list(callbacks),
        add_history=False,
        add_progbar=False,
        model=model,
        epochs=epochs,
        steps=len(sequence),
        verbose=0,
    )
    model.stop_training = False
    listeners.on_train_begin()
    logs: dict[str, Any] = {}
    for epoch in range(initial_epoch, epochs):
        listeners.on_epoch_begin(epoch)
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        together = [*model.variables, *model.optimizer.variables]
        peers.make_equal(together)  # the learning rate of this epoch too
        totals: dict[str, float] = {}
        trailers = 0
        with closing(Prefetch(_batches(model, sequence), ahead=1)) as batches:
            for step, (frames, targets, weights) in enumerate(batches):
                listeners.on_train_batch_begin(step)
                measured = model.train_on_batch(frames, targets, weights, return_dict=True)
                real = int((weights[0] > 0).any(axis=1).sum())
                trailers += real
                totals = {name: totals.get(name, 0.0) + value * real for name, value in measured.items()}
                logs = {name: float(total / max(trailers, 1)) for name, total in totals.items()}
                listeners.on_train_batch_end(step, logs)
        peers.make_own(together)
        sequence.on_epoch_end()
        everyone, *summed = peers.total(trailers, *totals.values())
        logs = {name: total / everyone for name, total in zip(totals, summed, strict=True)}
        listeners.on_epoch_end(epoch, logs)
        if peers.total(model.stop_training)[0]:
            break
    listeners.on_train_end(logs)


def _batches(model: GenreModel, sequence: TrailerSequence) -> Iterator[tuple[Any, Any, Any]]:
    """Yield the batches of an epoch; what is trained whole is read here, ahead of its turn."""
    for index in range(len(sequence)):
        frames, targets, weights = sequence.batch(index)
        # JAX wants a clip as a whole on its device; what is computed from it comes in chunks.
        chunked = TENSORFLOW and model.chunk is not None and model.chunk < frames.shape[1]
        yield frames if chunked else np.asarray(frames), targets, weights
