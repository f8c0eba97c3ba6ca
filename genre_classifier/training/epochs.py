"""Epochs of a training: how they run, what is saved after each, and how a resumed training finds it again.

They run as Keras's `fit` runs them, but for how frames reach the network. `fit` turns every batch into tensors, two or
three of them ahead: gigabytes where a clip has a thousand frames of 400x400. Here a batch whose clips are trained in
chunks stays on disk, and each chunk is read when it is its turn.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import keras
import numpy as np

from genre_classifier.config import ModelConfig, TrainingConfig
from genre_classifier.dataset.sequence import TrailerSequence
from genre_classifier.dataset.trailers import Trailer
from genre_classifier.network.backend import TENSORFLOW
from genre_classifier.network.forward import frames_of
from genre_classifier.network.model import GenreModel
from genre_classifier.network.peers import Peers
from genre_classifier.run_folder import checkpoints, model_file
from genre_classifier.run_folder.card import read_card, write_card
from genre_classifier.run_folder.layout import CURVES, HISTORY, MODEL, THRESHOLDS, network_path
from genre_classifier.run_folder.run import read_thresholds, write_thresholds
from genre_classifier.training import history
from genre_classifier.training.validation import Scored, calibrate, logit_offsets, score_trailers, validate
from preprocessing.base.errors import InputError, WorkError
from preprocessing.base.files import write_atomically
from preprocessing.processes.prefetch import Prefetch

logger = logging.getLogger(__name__)


def learning_rate_at(epoch: int, config: TrainingConfig) -> float:
    """Return the learning rate of an epoch, counted from 0."""
    if config.schedule != "cosine":
        return config.learning_rate
    share = epoch / max(config.epochs - 1, 1)
    return config.learning_rate * (0.01 + 0.99 * (1 + math.cos(math.pi * share)) / 2)


class WarmUp(keras.callbacks.Callback):
    """Lets the learning rate rise batch by batch, in every process of a training."""

    def __init__(self, config: TrainingConfig) -> None:
        super().__init__()
        self._config, self._epoch = config, 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        begun, done = (self._epoch + count / self.params["steps"] for count in (batch, batch + 1))
        if begun < self._config.warmup_epochs:
            reached = min(1.0, done / self._config.warmup_epochs)
            self.model.optimizer.learning_rate = reached * learning_rate_at(self._epoch, self._config)


class TensorBoard(keras.callbacks.TensorBoard):
    """Epochs count from 1, as in `history.csv`."""

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        super().on_epoch_end(epoch + 1, logs)


class EpochKeeper(keras.callbacks.Callback):
    """After each epoch: validate, save, publish the network that the run keeps, and stop when it is time.

    The epoch is done when its checkpoint is in place, with everything that the run folder will hold of it. Publishing
    follows, and is done again by a resumed training that finds it half done.
    """

    def __init__(
        self,
        run: Path,
        *,
        parts: Mapping[str, Sequence[Trailer]],
        config: TrainingConfig,
        rows: checkpoints.Rows,
        kept: checkpoints.Kept | None,
        started: float,
        model_config: ModelConfig,
        require_same_data: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__()
        self._require_same_data = require_same_data
        self.run, self.training, self.validation = run, parts["train"], parts["validation"]
        self.config, self.rows, self.kept = config, rows, kept
        self._started, self._model_config = started, model_config
        self._seconds_before = float(read_card(run).get("seconds", 0.0))

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.began = time.monotonic()
        self.model.optimizer.learning_rate = learning_rate_at(epoch, self.config)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = {} if logs is None else logs
        if broken := model_file.not_finite(self.model):
            raise WorkError(
                f"{self.run}: after epoch {epoch + 1} the weights are not finite numbers ({broken}), and are not kept; "
                f"a smaller --learning-rate or --clip-norm may help"
            )
        scored = score_trailers(self.model, self.validation, self.config)
        logs |= validate(scored, self.config, self._model_config)  # callbacks after this one see these figures
        row = {"epoch": float(epoch + 1), "learning_rate": learning_rate_at(epoch, self.config)}
        row |= {name: float(logs[name]) for name in history.columns(self._model_config.genres) if name in logs}
        row["seconds"] = time.monotonic() - self.began
        self.rows.append(row)
        last = len(self.rows) == self.config.epochs
        if not last and history.should_stop(self.rows, self.config.patience, self.config.keep):
            last = True
            best = history.best_row(self.rows, self.config.keep) + 1
            logger.info(
                f"training ends after epoch {len(self.rows)} of {self.config.epochs}: none was better than epoch "
                f"{best} for {self.config.patience} epochs (--patience)"
            )
        if last and self.config.match_prevalence:
            logs |= self._match_prevalence()
        else:
            self._save(scored)
        if last:
            self.model.stop_training = True

    def match_stopped(self, model: GenreModel) -> bool:
        """Match the network of a stopped run that ends without another epoch, and return whether that was to do."""
        unmatched = self.config.match_prevalence and self.kept is not None and self.kept.moved_biases is None
        if unmatched:
            self.set_model(model)
            self._match_prevalence()
        return unmatched

    def _match_prevalence(self) -> dict[str, float]:
        """Move the output biases, save, and return the figures of the network then; see `TrainingConfig`.

        Before the checkpoint, which holds the moved ones: killed in between, the epoch is done again, and so is this.
        """
        offsets = logit_offsets(score_trailers(self.model, self.training, self.config), self._model_config)
        self.model.lower_logits(offsets)
        moved = {genre: -offset for genre, offset in offsets.items() if offset}
        listed = ", ".join(f"{genre} {value:+.2f}" for genre, value in moved.items())
        logger.info(f"output biases moved, so that mean scores match the shares of genres: {listed or 'none'}")
        scored = score_trailers(self.model, self.validation, self.config)
        figures = validate(scored, self.config, self._model_config)
        self.rows[-1] |= figures  # the row is that of the network that is kept
        self._save(scored, moved)
        return figures

    def _save(self, scored: Sequence[Scored], moved_biases: dict[str, float] | None = None) -> None:
        """Save the network of the last epoch, and publish the one that the run keeps."""
        self._require_same_data()
        keeps = history.kept_row(self.rows, self.config.keep) == len(self.rows) - 1
        self.kept = checkpoints.save_checkpoint(
            self.run,
            self.model,
            self.rows,
            kept=self.kept,
            calibration=calibrate(scored, self._model_config) if keeps else None,
            moved_biases=moved_biases,
        )
        self.publish()

    def publish(self) -> None:
        """Bring what users read up to the last finished epoch.

        Thresholds come before the network that they belong to: `load_run` gives neither with another's.
        """
        kept = self.kept
        if kept is None:
            return
        history.write_history(self.run / HISTORY, self.rows)
        model, thresholds = self.run / MODEL, self.run / THRESHOLDS
        stale = not model.is_file() or model_file.digest(model) != kept.sha256
        if stale or not _belong(thresholds, kept):  # a person may have changed those that do
            write_thresholds(thresholds, *kept.calibration, model_sha256=kept.sha256)
        if stale:
            model_file.copy_model(network_path(self.run, kept.epoch), model)
        row = self.rows[kept.epoch - 1]
        card = read_card(self.run)
        card.pop("moved_biases", None)  # of an earlier end
        card |= {
            "epochs": len(self.rows),
            "kept_epoch": kept.epoch,
            "kept": {name: value for name, value in row.items() if math.isfinite(value)},
            "seconds": round(self._seconds_before + time.monotonic() - self._started, 3),
        }
        if kept.moved_biases is not None:
            card["moved_biases"] = kept.moved_biases
        write_card(self.run, card)

    def draw_curves(self) -> None:
        """Draw `curves.png`."""
        if self.kept:
            write_atomically(self.run / CURVES, history.curves_png(self.rows, self.kept.epoch))


def _belong(thresholds: Path, kept: checkpoints.Kept) -> bool:
    try:
        return read_thresholds(thresholds, list(kept.calibration.thresholds))[1] == kept.sha256
    except InputError:
        return False


def recover(
    run: Path,
    model: Any,
    state: checkpoints.State,
    validation: Sequence[Trailer],
    config: TrainingConfig,
    model_config: ModelConfig,
) -> checkpoints.Kept:
    """Return the network that a resumed run keeps, of which there is a file."""
    if kept := state.kept:
        places = (run / MODEL, network_path(run, kept.epoch))
        if any(path.is_file() and model_file.digest(path) == kept.sha256 for path in places):
            return kept
    epoch = len(state.rows)
    best = history.kept_row(state.rows, config.keep) + 1
    if epoch != best:
        logger.warning(
            f"{run}: the network of epoch {best}, which was kept, is gone; that of epoch {epoch} takes its place"
        )
    kept = checkpoints.Kept(epoch, state.sha256, *calibrate(score_trailers(model, validation, config), model_config))
    checkpoints.write_state(run, dataclasses.replace(state, kept=kept))
    return kept


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
        As for `fit`; `logs` holds means over the trailers of the epoch so far, and after a batch `frames`, how many of
        the epoch's are done. `params` holds the frames of an epoch and the seconds of video that they stand for.
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
        frames=sequence.frames,
        seconds=sequence.seconds,
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
        trailers = done = 0
        with closing(Prefetch(_batches(model, sequence), ahead=1)) as batches:
            for step, (frames, targets, weights) in enumerate(batches):
                listeners.on_train_batch_begin(step)
                measured = model.train_on_batch(frames, targets, weights, return_dict=True)
                real = int((weights[0] > 0).any(axis=1).sum())
                trailers += real
                totals = {name: totals.get(name, 0.0) + value * real for name, value in measured.items()}
                logs = {name: float(total / max(trailers, 1)) for name, total in totals.items()}
                done += weights[0].size * sequence.share[1]
                listeners.on_train_batch_end(step, logs | {"frames": float(done)})
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
        chunked = TENSORFLOW and model.chunk is not None and model.chunk < frames_of(frames).shape[1]
        yield frames if chunked else keras.tree.map_structure(np.asarray, frames), targets, weights
