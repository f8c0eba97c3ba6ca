"""Training: from clips and labels to a run folder that can be resumed, used and judged."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from genre_classifier.config import ModelConfig, TrainingConfig
from genre_classifier.dataset.encoding import encode_trailers
from genre_classifier.dataset.sequence import TrailerSequence
from genre_classifier.dataset.splits import read_splits, write_splits
from genre_classifier.dataset.trailers import Trailer
from genre_classifier.network.encoder_engine import remember_encoder
from genre_classifier.network.losses import trailer_loss
from genre_classifier.network.model import build_model
from genre_classifier.network.peers import Peers
from genre_classifier.run_folder import checkpoints, layout, model_file
from genre_classifier.run_folder.card import new_card, read_start, write_card, write_model_card
from genre_classifier.run_folder.run import Run, load_run, write_config
from genre_classifier.training import history
from genre_classifier.training.cluster import join_workers
from genre_classifier.training.epochs import (
    EpochKeeper,
    TensorBoard,
    WarmUp,
    fit_epochs,
    learning_rate_at,
    recover,
)
from genre_classifier.training.plan import Plan, plan_training
from genre_classifier.training.reduction import start_from_components
from genre_classifier.training.regression import start_from_regression
from genre_classifier.training.validation import score_trailers, validate
from preprocessing.base.errors import InputError
from preprocessing.base.files import file_digest

logger = logging.getLogger(__name__)


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
    start: Path | str | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    on_encoding: Callable[[int], None] | None = None,
    on_encoded: Callable[[int], None] | None = None,
    on_chunk: Callable[[str, int, int, float], None] | None = None,
    command: str = "train(...)",
    workers: Sequence[str] = (),
    worker: int = 0,
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
        patience may change. Without a finished epoch it begins again, at the weights that it began at.
    overwrite : bool
        Replace a run folder that exists; files in it that no training writes stay.
    start : path, optional
        A run to go on from: its weights are the first ones, but for linear paths, whose regressions are fitted anew
        where most of the trailers that it learned from are given; its options are those that are not given, with a
        smaller learning rate (`genre_classifier.training.plan.going_on`), and its trailers stay in their splits.
    callbacks : sequence of keras Callback
        Added to the project's own.
    on_encoding, on_encoded : callable, optional
        Told the number of frames that an encoder has to go through first; frames done.
    on_chunk : callable, optional
        Told how far a step in chunks is: see `genre_classifier.network.model.GenreModel.configure`.
    command : str
        Recorded in `card.json`.
    workers : sequence of str
        `host:port` of each process of a training that several do together, each with its share of every batch; all are
        called alike, but for `worker`, and see the same clips, labels and run folder.
    worker : int
        Which of them this is. The first one, 0, writes the run folder.

    Returns
    -------
    Run
        With the model of the epoch that `TrainingConfig.keep` asks for; "best" and "loss" without a validation split go
        by the training loss.

    Raises
    ------
    InputError
        For unusable input; a run folder that exists without `resume` or `overwrite`, or that another training works
        in; a resume with other data or other options, or without a finished epoch and without the network that the run
        went on from; a run to start from whose network or clips are others, whose test trailers would be learned from,
        or in whose own folder the new run would be.
    WorkError
        When the machine has too little memory for it, the run folder cannot be written, or the weights run away.
    """
    run = Path(run)
    if start is not None and Path(start).resolve() == run.resolve():
        raise InputError(
            f"{run}: expected another folder than that of the run to start from, found the same, whose weights "
            f"would be gone before an epoch is done; name another, or go on with the run itself (--resume)"
        )
    started = time.monotonic()
    peers = join_workers(workers, worker)
    first = peers.rank == 0
    if resume:
        layout.require_run(run)
    with layout.run_lock(run) if first else nullcontext():
        if not resume and first:
            layout.require_free(run, overwrite=overwrite)
        plan = plan_training(
            Path(clips),
            labels,
            run,
            model_config=model_config,
            training_config=training_config,
            splits_file=splits_file,
            skip_unknown=skip_unknown,
            resume=resume,
            start=None if start is None else Path(start),
            peers=peers,
        )
        config = plan.training_config
        peers.require_equal(plan.fingerprint, "options, clips and labels")  # no process writes before all have read
        parts = _encoded(plan, Path(clips), peers, on_encoding, on_encoded)
        loaded = _load(run, plan) if resume and first else None
        _seed(config)
        if loaded:
            model, state = loaded
            rows, kept = state.rows, recover(run, model, state, parts["validation"], config, plan.model_config)
        else:
            model, rows, kept = build_model(plan.model_config), [], None
            compile_model(model, config)
            start_run = _start_again(run) if resume and first else plan.start
            if start_run is not None:
                model.set_weights(start_run.model.get_weights())
            paths = plan.model_config.linear_paths and first
            if paths and (start_run is None or _mostly_known(start_run.path, plan.trailers)):
                start_from_regression(model, parts["train"])  # of a run to start from, the branches stay
                _note_regression(model, parts["validation"], config, alone=start_run is None)
            elif start_run is None and plan.encoder is not None and first:
                start_from_components(model, parts["train"])
        assert config.chunk != "auto"  # the plan has settled it
        model.configure(
            chunk=config.chunk,
            bptt=config.bptt,
            precision=config.precision,
            seed=config.seed,
            peers=peers,
            on_chunk=on_chunk,
        )
        own_callbacks: list[keras.callbacks.Callback] = [WarmUp(config)] * (config.warmup_epochs > 0)
        keeper = None
        if first:
            _begin(run, plan, rows, command)  # only now, when all that can be wrong with the input has been found
            keeper = EpochKeeper(
                run,
                parts=parts,
                config=config,
                rows=rows,
                kept=kept,
                started=started,
                model_config=plan.model_config,
                require_same_data=plan.require_same_data,
            )
            keeper.publish()
            own_callbacks += [keeper, TensorBoard(run / layout.EVENTS, write_graph=False)]
        # By its figures a matched network may be the best: with the options of its end the run stays ended.
        ended = kept is not None and kept.moved_biases is not None and plan.before == config
        more = not (ended or history.should_stop(rows, config.patience, config.keep)) and len(rows) < config.epochs
        if rows and not more:
            _note_no_epoch(rows, config)
        done, goes_on = peers.total(len(rows), more and first)  # only the first one has rows
        if goes_on:
            sequence = training_sequence(
                parts["train"], config, grey_channels=plan.model_config.grey_channels, share=(peers.rank, peers.count)
            )
            sequence.epoch = int(done)
            try:
                fit_epochs(
                    model,
                    sequence,
                    epochs=config.epochs,
                    initial_epoch=int(done),
                    callbacks=[*own_callbacks, *callbacks],
                    peers=peers,
                )
            except KeyboardInterrupt:
                if keeper:
                    keeper.draw_curves()
                raise
        if keeper:
            changed = goes_on or keeper.match_stopped(model)
            keeper.draw_curves()
            if changed or not (run / layout.MODEL_CARD).exists():
                write_model_card(run)
        peers.total(0)  # no process reads before all is written
        return load_run(run)


def _encoded(
    plan: Plan,
    clips: Path,
    peers: Peers,
    on_start: Callable[[int], None] | None,
    on_frames: Callable[[int], None] | None,
) -> dict[str, list[Trailer]]:
    """Return the trailers of each split as the network takes them: encoded, where it has an encoder."""
    if plan.encoder is None and plan.sound_encoder is None:
        return plan.parts
    needed = [*plan.parts["train"], *plan.parts["validation"]]
    if peers.rank:  # the first process encodes
        peers.total(0)
    done = encode_trailers(
        needed,
        clips,
        plan.encoder,
        looks_per_second=plan.model_config.encoder_fps,
        sound_encoder=plan.sound_encoder,
        on_start=on_start,
        on_frames=on_frames,
    )
    if not peers.rank:
        peers.total(0)
    border = len(plan.parts["train"])
    return plan.parts | {"train": done[:border], "validation": done[border:]}


def _note_regression(model: Any, validation: Sequence[Trailer], config: TrainingConfig, *, alone: bool = True) -> None:
    """Say what the network reaches on trailers not learned from, before its branches learn.

    Untrained it is the regression of its paths `alone`; the branches of a run to start from count beside it.
    """
    if validation:
        found = validate(score_trailers(model, validation, config), config, model.config)
        what = "the regression reaches" if alone else "the regression and the branches of the run reach"
        logger.info(
            f"before training, {what} a macro AP of {found['val_macro_ap']:.3f} on the validation "
            f"trailers (loss {found['val_loss']:.3f})"
        )


def _begin(run: Path, plan: Plan, rows: checkpoints.Rows, command: str) -> None:
    """Write what a run folder holds before its first epoch, or what a resumed training changes of it."""
    if plan.before is None:
        if stays := layout.empty_run_folder(run):
            logger.warning(f"{run}: left as they are, because they are not files of a run: {', '.join(stays)}")
        if plan.encoder is not None:
            plan.encoder.save(run / layout.ENCODER)
            remember_encoder(file_digest(run / layout.ENCODER, "the encoder"), plan.encoder.digest)
        if plan.sound_encoder is not None:
            plan.sound_encoder.save(run / layout.SOUND_ENCODER)
        write_config(run, plan.model_config, plan.training_config, plan.clip_config)
        write_splits(run / layout.SPLITS, plan.splits)
        card = new_card(command=command, seed=plan.training_config.seed, data_digest=plan.digest, parts=plan.parts)
        if plan.start is not None:
            card["started_from"] = {"run": str(plan.start.path), "model_sha256": plan.start.sha256}
        write_card(run, card)
    elif plan.before != plan.training_config:
        _note_schedule(rows, plan.before, plan.training_config)
        write_config(run, plan.model_config, plan.training_config, plan.clip_config)


def compile_model(model: keras.Model, config: TrainingConfig) -> None:
    """Compile with AdamW and the project's loss for each output."""
    optimizer = keras.optimizers.AdamW(
        learning_rate=config.learning_rate, weight_decay=config.weight_decay, global_clipnorm=config.clip_norm
    )
    losses = [trailer_loss(config, name=f"{output}_loss") for output in model.output_names]
    model.compile(optimizer=optimizer, loss=losses)


def training_sequence(
    trailers: Sequence[Trailer],
    config: TrainingConfig,
    *,
    grey_channels: int = 0,
    share: tuple[int, int] = (0, 1),
) -> TrailerSequence:
    """Return the batches of the training split, augmented, weighted and shuffled as the options say."""
    return TrailerSequence(
        trailers,
        batch_size=config.batch_size,
        seed=config.seed,
        weak=config.weak,
        balance=balance_weights(trailers, config) if config.balance else None,
        augmentation=config,
        grey_channels=grey_channels,
        share=share,
    )


def balance_weights(trailers: Sequence[Trailer], config: TrainingConfig) -> np.ndarray:
    """Return the weights of frames without and with each genre that make both sides of a genre count alike.

    Counted as the loss counts: each trailer, or crop of it in an epoch, once, by the shares of its labelled frames.
    `all / (2 * that side)`, so that the mean weight is 1; a side without frames gets 1. Shape (2, genres).
    """
    known = [trailer for trailer in trailers if trailer.labelled.any()]
    crops = [len(TrailerSequence([trailer], augmentation=config)) for trailer in known]
    shares = [trailer.targets[trailer.labelled].mean(axis=0, dtype=np.float64) for trailer in known]
    positive = np.sum([count * share for count, share in zip(crops, shares, strict=True)], axis=0)
    sides = np.stack([sum(crops) - positive, positive])
    return np.divide(sum(crops), 2 * sides, out=np.ones_like(sides), where=sides > 0).astype(np.float32)


def _load(run: Path, plan: Plan) -> tuple[Any, checkpoints.State] | None:
    """Return the network and state to go on from; None where the first epoch was not finished."""
    layout.clean(run)
    loaded = checkpoints.load_checkpoint(run, limit=model_file.most_bytes(plan.model_config))
    if loaded is None:
        if (run / layout.MODEL).exists():
            raise InputError(
                f"{run / layout.CHECKPOINTS}: expected a checkpoint to resume from, found no usable one; "
                f"--overwrite trains from the beginning"
            )
        return None
    done = len(loaded[1].rows)
    if plan.training_config.epochs < done:
        found = f"epochs = {plan.training_config.epochs}"
        raise InputError(f"{run}: expected at least the {done} epochs that are done, found {found}")
    logger.info(f"{run}: resumed after epoch {done}")
    return loaded


def _start_again(run: Path) -> Run | None:
    """Return the run that a run without a finished epoch went on from; None where it began anew."""
    began = read_start(run)
    if began is None:
        return None
    old = Path(began.run)
    network = old / layout.MODEL
    digest = model_file.digest(network) if network.is_file() else None
    if digest != began.model_sha256:
        raise InputError(
            f"{network}: expected the network that {run} goes on from, by its digest in {layout.CARD}, found "
            f"{'another' if digest else 'no such file'}; put it back, or train again with --from and --overwrite"
        )
    logger.info(f"{run}: no epoch was finished: it begins again at the weights of {old}")
    return load_run(old)


def _mostly_known(run: Path, trailers: Sequence[Trailer]) -> bool:
    """Return whether most of what a run learned from is among trailers, so that its regressions may be fitted anew."""
    table = read_splits(run / layout.SPLITS)
    learned = table.loc[table["split"] == "train", "source"]
    left_out = int((~learned.isin([trailer.source for trailer in trailers])).sum())
    known = 2 * left_out <= len(learned)
    if left_out:
        done = "are fitted anew, without them" if known else "stay as they are, and learn nothing from these"
        logger.warning(
            f"{left_out} of the {len(learned)} trailers that {run} learned from are not among these: the regressions "
            f"of its linear paths {done}"
        )
    return known


def _seed(config: TrainingConfig) -> None:
    keras.utils.set_random_seed(config.seed)
    if config.deterministic and keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def _note_schedule(rows: checkpoints.Rows, old: TrainingConfig, new: TrainingConfig) -> None:
    """Say what more epochs do to the learning rate."""
    if rows and new.schedule == "cosine" and old.epochs != new.epochs > len(rows):
        before, after = learning_rate_at(len(rows) - 1, old), learning_rate_at(len(rows), new)
        logger.info(
            f"the learning rate falls along a cosine over all {new.epochs} epochs: it goes on at {after:.2g}, after "
            f"{before:.2g} in epoch {len(rows)}"
        )


def _note_no_epoch(rows: checkpoints.Rows, config: TrainingConfig) -> None:
    """Say why a resumed training trains no epoch, and what would."""
    if len(rows) < config.epochs:
        logger.warning(f"no epoch is trained: none was better for {config.patience} epochs; --patience none goes on")
    else:
        logger.info(f"no epoch is trained: {len(rows)} of {config.epochs} are done; a larger --epochs trains more")
