"""Training: from clips and labels to a run folder that can be resumed, used and judged."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from genre_classifier.config import ModelConfig, TrainingConfig
from genre_classifier.dataset import splits
from genre_classifier.dataset.augmentation import Augmentation
from genre_classifier.dataset.trailers import Trailer, TrailerSequence, load_trailers
from genre_classifier.genres import GENRES
from genre_classifier.network.losses import TrailerLoss
from genre_classifier.network.memory import require_training_memory
from genre_classifier.network.model import build_model
from genre_classifier.run_folder import checkpoints, layout, model_file
from genre_classifier.run_folder.card import data_digest, new_card, read_card, write_card
from genre_classifier.run_folder.run import Run, load_run, read_config, write_config
from genre_classifier.training import history
from genre_classifier.training.epochs import EpochKeeper, TensorBoard, learning_rate_at, recover
from genre_classifier.training.loop import fit_epochs
from preprocessing.clips import CONFIG_NAME, read_clip_config
from preprocessing.config import ClipConfig
from preprocessing.errors import InputError

logger = logging.getLogger(__name__)

_CHANGEABLE = ("epochs", "patience")  # by a resumed run: what was trained stays the same


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
) -> Run:
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
        Go on from the last finished epoch of the run; options that are not given are those of the run. Epochs and
        patience may change.
    overwrite : bool
        Replace a run folder that exists; files in it that no training writes stay.
    callbacks : sequence of keras Callback
        Added to the project's own.
    command : str
        Recorded in `card.json`.

    Returns
    -------
    Run
        With the model of the epoch that `TrainingConfig.keep` asks for; "best" without a validation split goes by the
        training loss.

    Raises
    ------
    InputError
        For unusable input; a run folder that exists without `resume` or `overwrite`, or that another training works
        in; a resume with other data or other options.
    WorkError
        When the machine has too little memory for it, the run folder cannot be written, or the weights run away.
    """
    run, clips = Path(run), Path(clips)
    started = time.monotonic()
    if resume and not (run / layout.CONFIG).is_file():
        raise InputError(f"{run}: expected a run to resume, found no {layout.CONFIG} in it")
    with layout.held(run):
        if not resume:
            layout.require_free(run, overwrite=overwrite)
        trailers = load_trailers(clips, labels, skip_unknown=skip_unknown)
        stored = read_config(run) if resume else None
        training_config = training_config or (stored[1] if stored else TrainingConfig())
        model_config = dataclasses.replace(
            model_config or (stored[0] if stored else ModelConfig()), rows=trailers[0].rows, cols=trailers[0].cols
        )
        clip_config = _clip_config(clips, trailers)
        digest = data_digest(trailers)
        if stored:
            _refuse_changes(run, stored, (model_config, training_config, clip_config), digest)
        table = _split(trailers, training_config, splits_file or (run / layout.SPLITS if resume else None))
        parts = splits.apply_splits(trailers, table, str(splits_file or run / layout.SPLITS))
        _note_gaps(parts, training_config)
        longest = max(len(trailer.times) for trailer in parts["train"])
        require_training_memory(
            model_config,
            min(longest, training_config.crop_frames or longest),
            chunk=training_config.chunk,
            batch=training_config.batch_size,
            precision=training_config.precision,
        )
        loaded = _load(run, model_config, training_config) if resume else None
        _seed(training_config)
        if loaded:
            model, state = loaded
            rows, kept = state.rows, recover(run, model, state, parts["validation"], training_config)
        else:
            model, rows, kept = build_model(model_config), [], None
            compile_model(model, training_config)
        model.configure(chunk=training_config.chunk, bptt=training_config.bptt, precision=training_config.precision)
        # Only now, when all that can be wrong with the input has been found.
        if not resume:
            if stays := layout.empty_run_folder(run):
                logger.warning(f"{run}: left as they are, being no files of a run: {', '.join(stays)}")
            write_config(run, model_config, training_config, clip_config)
            splits.write_splits(run / layout.SPLITS, table)
            card = new_card(command=command, seed=training_config.seed, data_digest=digest, parts=parts)
            write_card(run, card)
        elif stored and stored[1] != training_config:
            _note_schedule(rows, stored[1], training_config)
            write_config(run, model_config, training_config, clip_config)
        keeper = EpochKeeper(run, parts, training_config, rows, kept, started)
        keeper.publish()
        if not history.should_stop(rows, training_config.patience) and len(rows) < training_config.epochs:
            sequence = training_sequence(parts["train"], training_config)
            sequence.epoch = len(rows)
            try:
                fit_epochs(
                    model,
                    sequence,
                    epochs=training_config.epochs,
                    initial_epoch=len(rows),
                    callbacks=[keeper, TensorBoard(run / layout.EVENTS, write_graph=False), *callbacks],
                )
            except KeyboardInterrupt:
                keeper.draw_curves()
                raise
        keeper.draw_curves()
        return load_run(run)


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


def _load(run: Path, model_config: ModelConfig, config: TrainingConfig) -> tuple[Any, checkpoints.State] | None:
    """Return the network and state to go on from; None where the first epoch was not finished."""
    layout.clean(run)
    loaded = checkpoints.load_checkpoint(run, limit=model_file.most_bytes(model_config))
    if loaded is None:
        if (run / layout.MODEL).exists():
            raise InputError(
                f"{run / layout.CHECKPOINTS}: expected a checkpoint to resume from, found none that is good; "
                f"--overwrite trains anew"
            )
        return None
    done = len(loaded[1].rows)
    if config.epochs < done:
        raise InputError(f"{run}: expected at least the {done} epochs that are done, found epochs = {config.epochs}")
    logger.info(f"{run}: resumed after epoch {done}")
    return loaded


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


def _note_gaps(parts: dict[str, list[Trailer]], config: TrainingConfig) -> None:
    """Say which genres the training split does not show, and which splits are empty."""
    shown = np.any([trailer.genres for trailer in parts["train"]], axis=0)
    missing = [genre for genre, present in zip(GENRES, shown, strict=True) if not present]
    if missing:
        logger.warning(f"no training trailer shows {', '.join(missing)}: scores for it are defined, but mean nothing")
    if not parts["validation"] and config.keep == "best":
        logger.warning("no validation split: the epoch is chosen by the training loss")
    if not parts["validation"]:
        scores = "only matched to the shares of genres" if config.match_prevalence else "not calibrated"
        logger.warning(f"no validation split: the thresholds are 0.5, and the scores are {scores}")


def _note_schedule(rows: checkpoints.Rows, old: TrainingConfig, new: TrainingConfig) -> None:
    """Say what more epochs do to the learning rate, and why there may be none."""
    if rows and new.schedule == "cosine" and old.epochs != new.epochs > len(rows):
        before, after = learning_rate_at(len(rows) - 1, old), learning_rate_at(len(rows), new)
        logger.info(
            f"the learning rate falls along a cosine over all {new.epochs} epochs: it goes on at {after:.2g}, after "
            f"{before:.2g} in epoch {len(rows)}"
        )
    if len(rows) < new.epochs and history.should_stop(rows, new.patience):
        logger.warning(f"no epoch is trained: none was better for {new.patience} epochs; --patience none goes on")


def _clip_config(clips: Path, trailers: Sequence[Trailer]) -> ClipConfig:
    """Return how the clips were made; of clips made by hand, what can be said of them."""
    rows, cols = trailers[0].rows, trailers[0].cols
    recorded = read_clip_config(clips)
    if recorded is None:
        return ClipConfig(frames=max(len(trailer.times) for trailer in trailers), size=rows)
    if not recorded.size == rows == cols:
        raise InputError(
            f"{clips / CONFIG_NAME}: expected the size of the clips, found {recorded.size} where "
            f"{trailers[0].clip.name} has {rows}x{cols}"
        )
    if longest := next((trailer for trailer in trailers if len(trailer.times) > recorded.frames), None):
        raise InputError(
            f"{clips / CONFIG_NAME}: expected clips of at most the {recorded.frames} frames recorded, found "
            f"{len(longest.times)} in {longest.clip.name}"
        )
    return recorded


def _refuse_changes(run: Path, stored: tuple[Any, ...], given: tuple[Any, ...], digest: str) -> None:
    for old, new in zip(stored, given, strict=True):
        for name, value in old.to_dict().items():
            if name not in _CHANGEABLE and value != new.to_dict()[name]:
                raise InputError(
                    f"{run}: expected the options of the run to resume, found {name} = {new.to_dict()[name]!r} "
                    f"where it has {value!r}"
                )
    if read_card(run)["data_digest"] != digest:
        raise InputError(f"{run}: expected the clips and labels of the run to resume, found others")
