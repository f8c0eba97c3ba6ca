"""What a training is about to do, decided and checked before anything is written: options, trailers, splits, memory."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genre_classifier.config import (
    FEWEST_TO_VALIDATE,
    FROM_RATE,
    FROM_WARMUP_EPOCHS,
    HALF_WEIGHT_TRAILERS,
    PRESETS,
    VALIDATION_SHARE,
    ModelConfig,
    TrainingConfig,
)
from genre_classifier.dataset import splits
from genre_classifier.dataset.copies import group_copies, note_near_copies
from genre_classifier.dataset.heard import require_sound
from genre_classifier.dataset.trailers import Trailer, data_digest, load_trailers
from genre_classifier.genres import listed
from genre_classifier.metrics.calibration import DEFAULT_THRESHOLD
from genre_classifier.network.encoder import Encoder, build_encoder, read_encoder
from genre_classifier.network.encoder_engine import Engine, choose_engine, engine_of_run, note_precision
from genre_classifier.network.memory import choose_chunk, frame_multiplications, require_training_memory
from genre_classifier.network.peers import Peers
from genre_classifier.network.sound_encoder import SoundEncoder, read_sound_encoder
from genre_classifier.run_folder import layout
from genre_classifier.run_folder.card import read_card
from genre_classifier.run_folder.run import Run, load_run, read_config
from preprocessing.base.errors import InputError, WorkError
from preprocessing.base.files import abbreviated_repr
from preprocessing.base.options import require
from preprocessing.clips import CONFIG_NAME, read_clip_config
from preprocessing.config import ClipConfig
from preprocessing.manifest import read_manifest

logger = logging.getLogger(__name__)

# By a run that goes on: what was trained stays the same, whatever computes what the encoder sees on this machine, and
# whether the clips have sound, which says nothing about the pictures.
_CHANGEABLE = ("epochs", "patience", "encoder_engine", "encoder_precision", "sound")
_AUTO = ("chunk", "keep", "schedule", "validation_share")  # the plan says what "auto" is
# Of trailers with a genre, and without it: fewer choose an epoch by chance.
FEWEST_OF_A_SIDE = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """A training that can begin.

    Attributes
    ----------
    model_config, training_config, clip_config : ModelConfig, TrainingConfig, ClipConfig
        Its options, and how its clips were made.
    before : TrainingConfig or None
        The options of the run that is resumed.
    splits : DataFrame
        The rows of `splits.csv`.
    parts : dict of str to list of Trailer
        The trailers of each split.
    digest : str
        Of the data.
    encoder : Encoder or None
        What the clips go through before the network sees them.
    sound_encoder : SoundEncoder or None
        What their sound goes through.
    start : Run or None
        Whose weights are the first ones.
    """

    model_config: ModelConfig
    training_config: TrainingConfig
    clip_config: ClipConfig
    before: TrainingConfig | None
    splits: pd.DataFrame
    parts: dict[str, list[Trailer]]
    digest: str
    encoder: Encoder | None
    sound_encoder: SoundEncoder | None
    start: Run | None
    trailers: list[Trailer]
    stamps: list[_Stamp]

    def require_same_data(self) -> None:
        """Refuse to go on with clips that are not those that were planned with.

        Raises
        ------
        WorkError
            If a clip was replaced, changed or removed.
        """
        changed = [
            trailer.clip
            for trailer, stamp in zip(self.trailers, self.stamps, strict=True)
            if _stamp(trailer.clip) != stamp
        ]
        if changed and not (all(clip.is_file() for clip in changed) and data_digest(self.trailers) == self.digest):
            raise WorkError(
                f"{changed[0]}: expected the clip that the training began with, found another or none; the epoch is "
                f"not kept. Put it back, and go on with --resume"
            )

    @property
    def fingerprint(self) -> str:
        """Return a digest of all that the processes of one training must agree in."""
        parts = (self.model_config.to_dict(), self.training_config.to_dict(), self.digest, self.splits.to_csv())
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def plan_training(
    clips: Path,
    labels: Path | str | pd.DataFrame,
    run: Path,
    *,
    model_config: ModelConfig | None,
    training_config: TrainingConfig | None,
    splits_file: Path | None,
    skip_unknown: bool,
    resume: bool,
    start: Path | None = None,
    peers: Peers | None = None,
) -> Plan:
    """Decide everything that a training needs; nothing is written.

    Parameters
    ----------
    clips, labels, run, model_config, training_config, splits_file, skip_unknown, resume, start
        As for `genre_classifier.training.train.train`.
    peers : Peers, optional
        Those that train together, each on its share of every batch.

    Raises
    ------
    InputError
        For input that cannot be used, or that is not that of the run to resume or to start from.
    WorkError
        When the machine has too little memory for it.
    """
    peers = peers or Peers()
    stored = read_config(run) if resume else None
    first = load_run(start) if start is not None else None
    before = stored[:2] if stored else (first.model_config, going_on(first.path)) if first else None
    model_config = model_config or (before[0] if before else ModelConfig())
    training_config = training_config or (before[1] if before else TrainingConfig())
    if before:
        training_config = _settled(training_config, {name: getattr(before[1], name) for name in _AUTO})
    trailers = load_trailers(clips, labels, genres=model_config.genres, skip_unknown=skip_unknown)
    trailers = group_copies(trailers, read_manifest(clips))
    model_config = dataclasses.replace(model_config, rows=trailers[0].rows, cols=trailers[0].cols)
    if before and model_config.exclusive == "auto":
        model_config = dataclasses.replace(model_config, exclusive=before[0].exclusive)
    anew = "with --overwrite or in another folder" if stored else "without --from"
    model_config = _decide_exclusive(model_config, trailers, run if stored else start, anew)
    if not (stored and stored[1].weak == "pool"):  # of a run from before this rule
        training_config = _settle_weak(training_config, model_config)
    if model_config.branch_weight == "auto":
        weight = before[0].branch_weight if before else _branch_weight(len(trailers))
        model_config = dataclasses.replace(model_config, branch_weight=weight)
    encoder = _encoder(model_config, run if stored else start, before[0] if before else None)
    if encoder is not None:
        if model_config.maps_in_trunk:
            _refuse_changed_pixels(training_config)
        model_config = dataclasses.replace(
            model_config,
            encoder_channels=encoder.channels,
            encoder_digest=encoder.digest,
        )
    engine = encoder.engine if encoder else _engine(model_config, before[0] if before else None)
    sound_encoder = _sound_encoder(model_config, run if stored else start, engine)
    if sound_encoder is not None:
        require_sound(
            clips,
            [trailer.trailer_id for trailer in trailers],
            otherwise="Without --sound-encoder the network learns from pictures alone",
        )
        model_config = dataclasses.replace(
            model_config, sound_features=sound_encoder.features, sound_digest=sound_encoder.digest
        )
    if frozen := encoder or sound_encoder:
        model_config = dataclasses.replace(
            model_config, encoder_engine=frozen.engine.name, encoder_precision=frozen.engine.precision
        )
    clip_config = _clip_config(clips, trailers)
    stamps = [_stamp(trailer.clip) for trailer in trailers]  # before the digest: what changes in between is noticed
    digest = data_digest(trailers)
    if stored:
        _refuse_changes(run, stored, (model_config, training_config, clip_config))
        _refuse_other_data(run, digest)
    kept: dict[int, str] = {}
    if first:
        stored_sizes = (first.model_config, first.clip_config)
        _refuse_changes(first.path, stored_sizes, (model_config, clip_config), what="start from")
        of_first = first.path / layout.SPLITS
        kept = splits.keep_splits(trailers, splits.read_splits(of_first), str(of_first))
    given = splits_file or (run / layout.SPLITS if resume else None)
    enough = len(trailers) >= FEWEST_TO_VALIDATE
    training_config = _settled(training_config, {"validation_share": VALIDATION_SHARE if enough else 0.0})
    if given:
        table = splits.splits_of_trailers(trailers, splits.read_splits(given))
    else:
        table = _split(trailers, training_config, kept)
    if left_out := [trailer.source for trailer in trailers if trailer.trailer_id not in set(table["trailer_id"])]:
        logger.warning(
            f"{given}: {len(left_out)} of {len(trailers)} labelled trailers have no row and are left out, such as "
            f"{abbreviated_repr(left_out[0])}"
        )
    if first:
        splits.require_kept(table, kept, str(first.path))
    parts = splits.apply_splits(trailers, table, str(splits_file or run / layout.SPLITS))
    note_near_copies(parts)
    thin = _thin_genres(parts, model_config.genres)
    keep = "last" if not parts["validation"] else "loss" if thin else "best"
    schedule = "constant" if parts["validation"] else "cosine"
    training_config = _settled(training_config, {"keep": keep, "schedule": schedule})
    _note_gaps(parts, model_config, training_config, thin)
    require(
        training_config.batch_size >= peers.count,
        f"batch_size must be at least {peers.count}, a trailer for each worker, got {training_config.batch_size}",
    )
    training_config = _fit_into_memory(parts["train"], model_config, training_config, peers)
    if first:
        logger.info(
            f"goes on from {first.path} at a learning rate of {training_config.learning_rate:.3g}, after "
            f"{first.training_config.learning_rate:.3g} there (--learning-rate), reached after "
            f"{training_config.warmup_epochs:g} epochs (--warmup-epochs)"
        )
    resumed = stored[1] if stored else None
    return Plan(
        model_config=model_config,
        training_config=training_config,
        clip_config=clip_config,
        before=resumed,
        splits=table,
        parts=parts,
        digest=digest,
        encoder=encoder,
        sound_encoder=sound_encoder,
        start=first,
        trailers=trailers,
        stamps=stamps,
    )


def going_on(run: Path) -> TrainingConfig:
    """Return the options with which another training goes on from a run: its own, with a smaller learning rate.

    A run that went on from another one has the smaller rate already, and keeps it.
    """
    config = read_config(run)[1]
    if read_card(run).get("started_from"):
        return config
    return dataclasses.replace(config, learning_rate=FROM_RATE * config.learning_rate, warmup_epochs=FROM_WARMUP_EPOCHS)


def _decide_exclusive(
    config: ModelConfig, trailers: Sequence[Trailer], run: Path | None = None, anew: str = ""
) -> ModelConfig:
    """Return options that say whether genres exclude each other; refuse labels that contradict them.

    Parameters
    ----------
    config : ModelConfig
    trailers : sequence of Trailer
    run : Path, optional
        The run that is gone on from, which decides it.
    anew : str
        How to train without that run.
    """
    if config.exclusive == "no":
        return config
    other = next((one for one in trailers if (one.targets[one.labelled].sum(axis=1) != 1).any()), None)
    if other is not None and config.one_genre_per_frame:
        shown = [genre for genre, there in zip(config.genres, other.genres, strict=True) if there]
        decided, way_out = "exclusive = yes", "train with --exclusive no"
        if run is not None:
            decided, way_out = f"{run}: a run with exclusive = yes", f"train anew {anew}"
        raise InputError(
            f"{decided} needs trailers that show exactly one genre at any time, found {listed(shown) or 'none'} in "
            f"{abbreviated_repr(other.source)}; correct its labels, or {way_out}"
        )
    return dataclasses.replace(config, exclusive="yes" if other is None else "no")


def _settle_weak(config: TrainingConfig, model_config: ModelConfig) -> TrainingConfig:
    """Return options that name the pooling that is used: the loss of genres that exclude each other has the mean."""
    if not (model_config.one_genre_per_frame and config.weak == "pool"):
        return config
    logger.info(
        "genres exclude each other: trailers labelled as a whole are learned through the mean of their logits "
        "(--weak mean)"
    )
    return dataclasses.replace(config, weak="mean")


def _branch_weight(trailers: int) -> float:
    """Return how much branches count beside linear paths, by the number of labelled trailers."""
    return round(trailers**2 / (trailers**2 + HALF_WEIGHT_TRAILERS**2), 3)


def _encoder(config: ModelConfig, run: Path | None, before: ModelConfig | None) -> Encoder | None:
    """Return the encoder, of the run that is gone on from if there is one."""
    if config.encoder is None:
        return None
    if run is not None and before is not None:
        engine = _engine(config, before)
        note_precision(engine, before)
        return read_encoder(run / layout.ENCODER, engine)
    return build_encoder(config, config.rows, config.cols) if config.maps_in_trunk else build_encoder(config)


def _engine(config: ModelConfig, before: ModelConfig | None) -> Engine:
    """Return what is to compute encoders: what did in the run that is gone on from, unless another one is asked for."""
    if before is not None and config.encoder_engine == before.encoder_engine:
        return engine_of_run(before)
    return choose_engine(config.encoder_engine)


def _sound_encoder(config: ModelConfig, run: Path | None, engine: Engine) -> SoundEncoder | None:
    """Return the sound encoder, of the run that is gone on from if there is one."""
    if config.sound_encoder is None:
        return None
    return read_sound_encoder(
        Path(config.sound_encoder) if run is None else run / layout.SOUND_ENCODER, config.sound_rate, engine
    )


def _refuse_changed_pixels(config: TrainingConfig) -> None:
    """Refuse random changes that a clip which is encoded already cannot go through."""
    for name in ("zoom", "shift", "brightness", "contrast"):
        require(
            not getattr(config, name),
            f"{name} must be 0 with an encoder, which sees every clip once, as it is; got {getattr(config, name)}",
        )


def _split(trailers: Sequence[Trailer], config: TrainingConfig, kept: Mapping[int, str]) -> pd.DataFrame:
    """Draw the splits of trailers that do not have one already."""
    assert config.validation_share != "auto"
    shares = (1 - config.validation_share - config.test_share, config.validation_share, config.test_share)
    # Nothing can be judged by a trailer that is not checked: with all of its group it trains.
    partly = {trailer.group for trailer in trailers if not trailer.labelled.all()}
    drawn = [trailer for trailer in trailers if trailer.group not in partly and trailer.trailer_id not in kept]
    names = {trailer.trailer_id: kept.get(trailer.trailer_id, "train") for trailer in trailers}
    if drawn:
        genres, groups = np.stack([trailer.genres for trailer in drawn]), [trailer.group for trailer in drawn]
        found = splits.draw_splits(genres, groups, shares, seed=config.seed)
        names |= zip((trailer.trailer_id for trailer in drawn), found, strict=True)
    return splits.splits_table(trailers, list(names.values()))


def _settled(config: TrainingConfig, values: Mapping[str, Any]) -> TrainingConfig:
    """Return the options with values for those that are auto; what was asked for stays."""
    return dataclasses.replace(
        config, **{name: value for name, value in values.items() if getattr(config, name) == "auto"}
    )


def _fit_into_memory(
    trailers: Sequence[Trailer], model_config: ModelConfig, config: TrainingConfig, peers: Peers
) -> TrainingConfig:
    """Return the options with a chunk that fits into memory, the same in all processes; refuse one that does not."""
    longest = max(len(trailer.times) for trailer in trailers)
    frames = min(longest, config.crop_frames or longest)
    asked: dict[str, Any] = {"batch": -(-config.batch_size // peers.count), "precision": config.precision}
    if config.chunk == "auto":
        own = choose_chunk(model_config, frames, **asked) or frames
        shortest = int(min(peers.total(*(own if rank == peers.rank else 0 for rank in range(peers.count)))))
        config = _settled(config, {"chunk": None if shortest == frames else shortest})
        if config.chunk is not None:
            logger.info(
                f"a step on whole trailers of {frames} frames does not fit into memory: they are learned from in "
                f"chunks of {config.chunk} frames (--chunk)"
            )
    assert config.chunk != "auto"
    needed = require_training_memory(model_config, frames, chunk=config.chunk, **asked)
    logger.info(f"a step on {frames} frames takes up to {needed / 1e9:.1f} GB of memory")
    return config


def _thin_genres(parts: Mapping[str, Sequence[Trailer]], genres: Sequence[str]) -> list[str]:
    """Return the genres about which validation trailers say little: too few of them show it, or do not."""
    validation = parts["validation"]
    known = np.any([trailer.genres for trailer in (*parts["train"], *validation)], axis=0)
    shown = np.sum([trailer.genres for trailer in validation], axis=0, initial=0) * known
    fewest = np.minimum(shown, len(validation) - shown)
    return [
        genre for genre, there, count in zip(genres, known, fewest, strict=True) if there and count < FEWEST_OF_A_SIDE
    ]


def _note_gaps(
    parts: dict[str, list[Trailer]], model_config: ModelConfig, config: TrainingConfig, thin: Sequence[str]
) -> None:
    """Say which genres the training split does not show, and what the validation split cannot say."""
    shown = np.any([trailer.genres for trailer in parts["train"]], axis=0)
    missing = [genre for genre, present in zip(model_config.genres, shown, strict=True) if not present]
    if missing:
        logger.warning(f"no training trailer shows {', '.join(missing)}: scores for it are defined, but mean nothing")
    if count := len(parts["validation"]):
        if thin and config.keep == "loss":
            logger.warning(
                f"{count} validation trailers say little about {', '.join(thin)}: fewer than {FEWEST_OF_A_SIDE} "
                f"of them show it, or fewer than {FEWEST_OF_A_SIDE} do not. The epoch is chosen by their loss"
            )
        return
    chosen = "the last epoch is kept" if config.keep == "last" else "the epoch is chosen by the training loss"
    scores = "only matched to the shares of genres" if config.match_prevalence else "not calibrated"
    decides = (
        "the highest score decides" if model_config.one_genre_per_frame else f"the thresholds are {DEFAULT_THRESHOLD}"
    )
    logger.warning(f"no validation trailers: {chosen}, {decides}, and the scores are {scores}")


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


def _refuse_changes(run: Path, stored: tuple[Any, ...], given: tuple[Any, ...], *, what: str = "resume") -> None:
    for old, new in zip(stored, given, strict=True):
        for name, value in old.to_dict().items():
            if name not in _CHANGEABLE and value != new.to_dict()[name]:
                raise InputError(
                    f"{run}: expected the options of the run to {what}, found {name} = {new.to_dict()[name]!r} "
                    f"where it has {value!r}"
                )


_Stamp = tuple[int, int, int] | None


def _stamp(path: Path) -> _Stamp:
    """Return by what a file differs from one that took its place, without reading it."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _refuse_other_data(run: Path, digest: str) -> None:
    if read_card(run)["data_digest"] != digest:
        raise InputError(
            f"{run}: expected the clips and labels of the run to resume, found others. Options about labels "
            f"(--genre-map, --skip-unknown, --unmapped-as-other) have to be given again, as its command in card.json "
            f"has them; on other data train another run"
        )


# A multiplication in a network of small maps takes about so many times as long as in one of the article's maps: by the
# training steps in docs/measurements.md, 1246 frames per second of `small-data` and 9.0 of the article's network.
_SMALL_MAPS = 1.8


def fastest_preset(config: ModelConfig, epoch_seconds: float, seconds_per_frame: float) -> tuple[str, float]:
    """Return the preset that trains fastest on the same trailers, and how many seconds it takes on this machine.

    Parameters
    ----------
    config : ModelConfig
        What is trained.
    epoch_seconds : float
        How long an epoch takes.
    seconds_per_frame : float
        Of video, in the clips.
    """
    own, found = frame_multiplications(config), []
    for name, preset in PRESETS.items():
        if preset.model.encoder is None and preset.clips.fps is not None:
            size = preset.clips.size
            model = dataclasses.replace(preset.model, rows=size, cols=size, genres=config.genres)
            frames = seconds_per_frame * preset.clips.fps  # for each frame of the clips
            work = preset.training.epochs * frames * frame_multiplications(model) * _SMALL_MAPS
            found.append((epoch_seconds * work / own, name))
    seconds, name = min(found)
    return name, seconds
