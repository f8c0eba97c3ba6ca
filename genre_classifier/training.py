"""Training: from clips and labels to a run folder that can be resumed, used and judged."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from genre_classifier import checkpoints, history, provenance, runs, splits
from genre_classifier.augmentation import Augmentation
from genre_classifier.config import ModelConfig, TrainingConfig
from genre_classifier.dataset import Trailer, TrailerSequence, load_trailers
from genre_classifier.epochs import fit_epochs
from genre_classifier.evaluation.calibration import apply_temperature, best_f1_thresholds, fit_temperatures
from genre_classifier.genres import GENRES
from genre_classifier.losses import TrailerLoss
from genre_classifier.memory import require_training_memory
from genre_classifier.model import build_model
from genre_classifier.validation import raw_scores, validate
from preprocessing.clips import read_clip_config
from preprocessing.config import ClipConfig
from preprocessing.errors import InputError
from preprocessing.files import write_atomically


def train(
    clips: Path | str,
    labels: Path | str | pd.DataFrame,
    run: Path | str,
    *,
    model_config: ModelConfig | None = None,
    training_config: TrainingConfig | None = None,
    splits_file: Path | None = None,
    skip_unknown: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    command: str = "train(...)",
    on_note: Callable[[str], None] = lambda note: None,
) -> runs.Run:
    """Train a network and write its run folder.

    Parameters
    ----------
    clips : path
        A clips folder.
    labels : path or DataFrame
        A label file of any known format, or a label table.
    run : path
        The run folder; made when it is missing.
    model_config : ModelConfig, optional
        Sizes of the network; rows and cols are always those of the clips.
    training_config : TrainingConfig, optional
    splits_file : Path, optional
        A `splits.csv` to use instead of drawing one.
    skip_unknown : bool
        Count labels of trailers without a clip instead of refusing them.
    resume : bool
        Go on from the last finished epoch of the run; options that are not given are those of the run.
    overwrite : bool
        Replace a run folder that exists.
    callbacks : sequence of keras Callback
        Added to the project's own.
    command : str
        Recorded in `card.json`.
    on_note : callable
        Called with one line for each thing that a person should know.

    Returns
    -------
    Run
        With the model of the epoch that `TrainingConfig.keep` asks for; "best" without a validation split goes by the
        training loss.

    Raises
    ------
    InputError
        For unusable input; a run folder that exists without `resume` or `overwrite`; a resume with other data or other
        options.
    WorkError
        When the machine has too little memory for it, or the run folder cannot be written.
    """
    run = Path(run)
    clips = Path(clips)
    started = time.monotonic()
    exists = run.exists() and any(run.iterdir()) if run.is_dir() else run.exists()
    if resume and not (run / runs.CONFIG).is_file():
        raise InputError(f"{run}: expected a run to resume, found no {runs.CONFIG} in it")
    if exists and not (resume or overwrite):
        raise InputError(
            f"{run}: the run folder exists; resume it (--resume), replace it (--overwrite) or name another"
        )
    trailers = load_trailers(clips, labels, skip_unknown=skip_unknown, on_note=on_note)
    stored = runs.read_config(run) if resume else None
    training_config = training_config or (stored[1] if stored else TrainingConfig())
    model_config = dataclasses.replace(
        model_config or (stored[0] if stored else ModelConfig()), rows=trailers[0].rows, cols=trailers[0].cols
    )
    clip_config = read_clip_config(clips) or ClipConfig(
        frames=max(len(trailer.times) for trailer in trailers), size=trailers[0].rows
    )
    digest = provenance.data_digest(trailers)
    if stored:
        _refuse_changes(run, stored, (model_config, training_config, clip_config), digest)
    table = _split(trailers, training_config, splits_file or (run / runs.SPLITS if resume else None))
    where = str(splits_file or run / runs.SPLITS)
    parts = splits.apply_splits(trailers, table, where)
    _note_gaps(parts, training_config, on_note)
    longest = max(len(trailer.times) for trailer in parts["train"])
    require_training_memory(
        model_config,
        min(longest, training_config.crop_frames or longest),
        chunk=training_config.chunk,
        batch=training_config.batch_size,
        precision=training_config.precision,
    )

    if not resume:
        provenance.start_run_folder(run, overwrite=overwrite)
        runs.write_config(run, model_config, training_config, clip_config)
        splits.write_splits(run / runs.SPLITS, table)
        card = provenance.new_card(command=command, seed=training_config.seed, data_digest=digest, parts=parts)
        provenance.write_card(run, card)
    loaded = checkpoints.load_checkpoint(run, on_note=on_note) if resume else None
    _seed(training_config)
    if loaded:
        model, rows = loaded
        on_note(f"{run}: resumed after epoch {len(rows)}")
    else:
        model, rows = build_model(model_config), []
        compile_model(model, training_config)
    model.configure(chunk=training_config.chunk, bptt=training_config.bptt, precision=training_config.precision)
    sequence = training_sequence(parts["train"], training_config)
    sequence.epoch = len(rows)
    keeper = _EpochKeeper(run, parts["validation"], training_config, rows)
    try:
        if not history.should_stop(rows, training_config.patience) and len(rows) < training_config.epochs:
            fit_epochs(
                model,
                sequence,
                epochs=training_config.epochs,
                initial_epoch=len(rows),
                callbacks=[keeper, keras.callbacks.TensorBoard(run / "tensorboard", write_graph=False), *callbacks],
            )
    finally:
        if rows:
            _finish(run, parts["validation"], rows, training_config, time.monotonic() - started, on_note)
    return runs.load_run(run)


def compile_model(model: keras.Model, config: TrainingConfig) -> None:
    """Compile with AdamW and the project's loss for each output."""
    optimizer = keras.optimizers.AdamW(
        learning_rate=config.learning_rate, weight_decay=config.weight_decay, global_clipnorm=config.clip_norm
    )
    losses = [TrailerLoss(config.label_smoothing, name=f"{genre}_loss") for genre in GENRES]
    model.compile(optimizer=optimizer, loss=losses)


def training_sequence(trailers: Sequence[Trailer], config: TrainingConfig) -> TrailerSequence:
    """Return the batches of the training split, augmented, weighted and shuffled as the options say."""
    augmentation = Augmentation(
        **{field.name: getattr(config, field.name) for field in dataclasses.fields(Augmentation)}
    )
    return TrailerSequence(
        trailers,
        batch_size=config.batch_size,
        seed=config.seed,
        weak=config.weak,
        balance=balance_weights(trailers) if config.balance else None,
        augmentation=None if augmentation == Augmentation() else augmentation,
    )


def balance_weights(trailers: Sequence[Trailer]) -> np.ndarray:
    """Return the weights of frames without and with each genre that make both sides of a genre count alike.

    `frames / (2 * frames on that side)`, so that the mean weight is 1; a side without frames gets 1. Shape (2, 6).
    """
    positive = np.sum([trailer.targets.sum(axis=0) for trailer in trailers], axis=0, dtype=np.float64)
    frames = sum(len(trailer.targets) for trailer in trailers)
    sides = np.stack([frames - positive, positive])
    return np.where(sides > 0, frames / (2 * np.maximum(sides, 1)), 1.0).astype(np.float32)


def learning_rate_at(epoch: int, config: TrainingConfig) -> float:
    """Return the learning rate of an epoch, counted from 0."""
    if config.schedule == "constant":
        return config.learning_rate
    share = epoch / max(config.epochs - 1, 1)
    return config.learning_rate * (0.01 + 0.99 * (1 + math.cos(math.pi * share)) / 2)


class _EpochKeeper(keras.callbacks.Callback):
    """After each epoch: validate, record, keep the best model, save a checkpoint, and stop when it is time."""

    def __init__(
        self, run: Path, validation: Sequence[Trailer], config: TrainingConfig, rows: list[dict[str, float]]
    ) -> None:
        super().__init__()
        self.run, self.validation, self.config, self.rows = run, validation, config, rows

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.began = time.monotonic()
        self.model.optimizer.learning_rate = learning_rate_at(epoch, self.config)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = {} if logs is None else logs
        logs |= validate(self.model, self.validation, self.config)  # callbacks after this one see these figures
        row = {"epoch": float(epoch + 1), "learning_rate": learning_rate_at(epoch, self.config)}
        row |= {name: float(logs[name]) for name in history.COLUMNS if name in logs}
        row["seconds"] = time.monotonic() - self.began
        self.rows.append(row)
        if history.kept_row(self.rows, self.config.keep) == len(self.rows) - 1:
            checkpoints.save_model(self.run / runs.MODEL, self.model)
        # The checkpoint comes last: killed before it, the epoch is done again.
        checkpoints.save_checkpoint(self.run, self.model, self.rows)
        history.write_history(self.run / "history.csv", self.rows)
        if history.should_stop(self.rows, self.config.patience):
            self.model.stop_training = True


def _finish(
    run: Path,
    validation: Sequence[Trailer],
    rows: list[dict[str, float]],
    config: TrainingConfig,
    seconds: float,
    on_note: Callable[[str], None],
) -> None:
    """Write what the run folder owes its reader once training has ended, or was stopped."""
    write_atomically(run / "curves.png", history.curves_png(rows, config.keep))
    ones = dict.fromkeys(GENRES, 1.0)
    if validation:
        model = runs.load_run(run).model
        raw = np.concatenate([raw_scores(model, trailer, config) for trailer in validation])
        y_true = np.concatenate([trailer.targets for trailer in validation]) > 0
        temperatures = fit_temperatures(y_true, raw)
        thresholds = best_f1_thresholds(y_true, apply_temperature(raw, temperatures))
        named = [dict(zip(GENRES, map(float, values), strict=True)) for values in (thresholds, temperatures)]
        runs.write_thresholds(run / runs.THRESHOLDS, *named)
    else:
        on_note("no validation split: the thresholds are 0.5, and the scores are not calibrated")
        runs.write_thresholds(run / runs.THRESHOLDS, dict.fromkeys(GENRES, 0.5), ones)
    kept = rows[history.kept_row(rows, config.keep)]
    card = provenance.read_card(run)
    card |= {
        "epochs": len(rows),
        "kept_epoch": int(kept["epoch"]),
        "kept": {name: value for name, value in kept.items() if not math.isnan(value)},
        "seconds": round(card.get("seconds", 0.0) + seconds, 3),
    }
    provenance.write_card(run, card)


def _seed(config: TrainingConfig) -> None:
    keras.utils.set_random_seed(config.seed)
    if config.deterministic and keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def _split(trailers: Sequence[Trailer], config: TrainingConfig, given: Path | None) -> pd.DataFrame:
    if given is not None:
        return splits.read_splits(given)
    shares = (1 - config.validation_share - config.test_share, config.validation_share, config.test_share)
    genres = np.stack([trailer.genres for trailer in trailers])
    groups = [trailer.group for trailer in trailers]
    return splits.splits_table(trailers, splits.draw_splits(genres, groups, shares, seed=config.seed))


def _note_gaps(parts: dict[str, list[Trailer]], config: TrainingConfig, on_note: Callable[[str], None]) -> None:
    """Say which genres the training split does not show, and which splits are empty."""
    shown = np.any([trailer.genres for trailer in parts["train"]], axis=0)
    missing = [genre for genre, present in zip(GENRES, shown, strict=True) if not present]
    if missing:
        on_note(f"no training trailer shows {', '.join(missing)}: scores for it are defined, but mean nothing")
    if not parts["validation"] and config.keep == "best":
        on_note("no validation split: the epoch is chosen by the training loss")


def _refuse_changes(run: Path, stored: tuple[Any, ...], given: tuple[Any, ...], digest: str) -> None:
    for old, new in zip(stored, given, strict=True):
        for name, value in old.to_dict().items():
            if value != new.to_dict()[name]:
                raise InputError(
                    f"{run}: expected the options of the run to resume, found {name} = {new.to_dict()[name]!r} "
                    f"where it has {value!r}"
                )
    if provenance.read_card(run)["data_digest"] != digest:
        raise InputError(f"{run}: expected the clips and labels of the run to resume, found others")
