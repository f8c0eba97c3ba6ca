"""The run folder: a trained model with all that is needed to use it and to know where it came from."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from genre_classifier.config import ModelConfig, TrainingConfig
from genre_classifier.metrics.calibration import Calibration, apply_temperature, no_calibration
from genre_classifier.network.encoder_engine import (
    KERAS,
    Engine,
    engine_of_run,
    is_known_encoder,
    note_precision,
    remember_encoder,
    require_engine,
)
from genre_classifier.network.frame_encoder import FrameEncoder, kept_encoder
from genre_classifier.run_folder import model_file
from genre_classifier.run_folder.checkpoints import find_kept
from genre_classifier.run_folder.layout import CONFIG, ENCODER, MODEL, RUN_SCHEMA, SOUND_ENCODER, THRESHOLDS
from preprocessing.base.documents import read_as
from preprocessing.base.errors import InputError
from preprocessing.base.files import file_digest, write_atomically
from preprocessing.config import ClipConfig
from preprocessing.processes.sharing import setting_up

if TYPE_CHECKING:
    from genre_classifier.network.encoder import Encoder
    from genre_classifier.network.sound_encoder import SoundEncoder

_REMEDY = "was the run made by another version?"


@dataclasses.dataclass(frozen=True)
class Run:
    """A run folder that has been read; the model itself is loaded on first use.

    Attributes
    ----------
    path : Path
    model_config : ModelConfig
    training_config : TrainingConfig
    clip_config : ClipConfig
        How its clips were made, and so how a video is to be read for it.
    thresholds, temperatures : dict
        Per genre; thresholds are on the calibrated scale, and without meaning where genres exclude each other.
    sha256 : str
        Of the `model.keras` that the thresholds belong to.
    wanted_engine : Engine or None
        What is to compute the maps of its encoder; None: what did when it was trained, if this machine has it.
    """

    path: Path
    model_config: ModelConfig
    training_config: TrainingConfig
    clip_config: ClipConfig
    thresholds: dict[str, float]
    temperatures: dict[str, float]
    sha256: str
    wanted_engine: Engine | None = None

    def load(self, *, encoder: bool = True) -> None:
        """Load the network, and with `encoder` its encoders if it has any, now and not at their first use.

        Raises
        ------
        InputError
            See `model` and `encoder`.
        """
        _ = self.model, encoder and self.eye, encoder and self.sound_encoder

    @property
    def genres(self) -> tuple[str, ...]:
        """Return the genres that it scores, in the order of its outputs."""
        return self.model_config.genres

    @functools.cached_property
    def model(self) -> Any:
        """Return the network, a `genre_classifier.network.model.GenreModel`.

        Raises
        ------
        InputError
            If `model.keras` cannot be loaded, is not the network that `config.json` describes, or has been replaced
            since the run was read.
        """
        path = self.path / MODEL
        model = model_file.read_model(path, limit=model_file.most_bytes(self.model_config))
        _check_same(path, model_file.digest(path), self.sha256)
        expected, found = self.model_config.frame_shape, model.config.frame_shape
        if found != expected:
            raise InputError(
                f"{path}: expected a network for frames of {_by(expected)}, as {CONFIG} beside it says, found "
                f"one for {_by(found)}"
            )
        return model

    @functools.cached_property
    def encoder_engine(self) -> Engine:
        """Return what is to compute its encoders; say if its precision is not that of the training."""
        engine = self.wanted_engine or engine_of_run(self.model_config)
        note_precision(engine, self.model_config)
        return engine

    @functools.cached_property
    def encoder(self) -> Encoder | None:
        """Return the pretrained image network that frames go through first; None where the network takes pixels.

        Raises
        ------
        InputError
            If its file cannot be used, or is not what `config.json` describes.
        """
        if self.model_config.encoder is None:
            return None
        from genre_classifier.network.encoder import read_encoder

        encoder = read_encoder(self.path / ENCODER, self.encoder_engine)
        if encoder.digest != self.model_config.encoder_digest:
            raise InputError(
                f"{self.path / ENCODER}: expected the encoder that {CONFIG} beside it names "
                f"({self.model_config.encoder}), found another one"
            )
        return encoder

    @functools.cached_property
    def eye(self) -> FrameEncoder | None:
        """Return what computes the maps of frames: the encoder, or what it was converted to before, without Keras.

        That is taken only if Keras once read these bytes of the encoder's file, and they were the encoder of this run.

        Raises
        ------
        InputError
            As for `encoder`.
        """
        if self.model_config.encoder is None or self.encoder_engine == KERAS:
            return self.encoder
        digest = self.model_config.encoder_digest
        sha256 = file_digest(self.path / ENCODER, "the encoder of the run")
        if is_known_encoder(sha256, digest) and (kept := kept_encoder(digest, self.encoder_engine)) is not None:
            return kept
        encoder = self.encoder
        remember_encoder(sha256, digest)
        return encoder

    @functools.cached_property
    def sound_encoder(self) -> SoundEncoder | None:
        """Return the pretrained network that listens; None where the network hears nothing.

        Raises
        ------
        InputError
            As for `encoder`.
        """
        if self.model_config.sound_encoder is None:
            return None
        from genre_classifier.network.sound_encoder import read_sound_encoder

        encoder = read_sound_encoder(self.path / SOUND_ENCODER, self.model_config.sound_rate, self.encoder_engine)
        if encoder.digest != self.model_config.sound_digest:
            raise InputError(
                f"{self.path / SOUND_ENCODER}: expected the sound encoder that {CONFIG} beside it names "
                f"({self.model_config.sound_encoder}), found another one"
            )
        return encoder

    @property
    def exclusive(self) -> bool:
        """Return whether its genres exclude each other: the scores of a frame sum to 1."""
        return self.model_config.one_genre_per_frame

    @property
    def deciding_thresholds(self) -> dict[str, float] | None:
        """Return its thresholds; None where each frame belongs to the genre with the highest score."""
        return None if self.exclusive else self.thresholds

    def calibrate(self, scores: np.ndarray | pd.DataFrame) -> Any:
        """Apply the temperatures to raw scores `(frames, genres)`; a DataFrame gives a DataFrame."""
        temperatures = np.array([self.temperatures[genre] for genre in self.genres])
        if isinstance(scores, pd.DataFrame):
            calibrated = self.calibrate(scores[list(self.genres)].to_numpy())
            return pd.DataFrame(calibrated, index=scores.index, columns=list(self.genres))
        return apply_temperature(scores, temperatures, exclusive=self.exclusive)


def load_run(path: Path | str) -> Run:
    """Read a run folder.

    Raises
    ------
    InputError
        If it is not a run folder, has no model, or was written by a version with other options.
    """
    path = Path(path)
    if not (path / MODEL).is_file():
        found = "no such folder" if not path.is_dir() else "none in this folder"
        raise InputError(f"{path}: expected a run folder with a {MODEL} (`train` makes one), found {found}")
    model_config, training_config, clip_config = read_config(path)
    if model_config.rows != clip_config.size:
        raise InputError(
            f"{path / CONFIG}: expected one size of frames, found {model_config.rows} for the network and "
            f"{clip_config.size} from preprocessing"
        )
    sha256 = model_file.digest(path / MODEL)
    thresholds, temperatures = _calibration(path, sha256, model_config)
    return Run(path, model_config, training_config, clip_config, thresholds, temperatures, sha256)


def run_digest(path: Path) -> str:
    """Return a digest of all in a run folder that scores, and what is made of them, depend on."""
    digest = hashlib.sha256()
    for name in (MODEL, ENCODER, SOUND_ENCODER, CONFIG, THRESHOLDS):
        if (path / name).is_file():
            digest.update((path / name).read_bytes())
    return digest.hexdigest()


@functools.lru_cache(maxsize=1)
def run_of_process(path: str, digest: str, *, encoder: bool, engine: tuple[Any, ...] | None = None) -> Run:
    """Return the run that a child process works with, loaded; it is kept for the next task.

    Parameters
    ----------
    path : str
    digest : str
        What `run_digest` gave where the task was made: a run that is another by now is not used.
    encoder : bool
        Whether the process needs the run's encoder, too.
    engine : tuple, optional
        The `Engine` that the parent has chosen for it.

    Raises
    ------
    SetupError
        If it cannot be loaded, or is another one by now.
    """
    with setting_up():
        run = load_run(path)
        if engine is not None:
            run = dataclasses.replace(run, wanted_engine=require_engine(Engine(*engine)))
        run.load(encoder=encoder)
        _check_same(run.path, run_digest(run.path), digest)
    return run


def _check_same(path: Path, found: str, expected: str) -> None:
    if found != expected:
        raise InputError(f"{path}: expected the run of a moment ago; is it being trained? Try again")


def _by(size: tuple[int, ...]) -> str:
    return "x".join(map(str, size))


def _calibration(path: Path, sha256: str, config: ModelConfig) -> Calibration:
    """Return the calibration of the network with this digest: never that of another one.

    `thresholds.json` and `model.keras` are replaced one after the other; between the two, the checkpoints know what
    belongs to the network.
    """
    found = path / THRESHOLDS
    missing = not os.path.lexists(found)
    without = no_calibration(config.genres, exclusive=config.one_genre_per_frame)
    calibration, of = (without, None) if missing else read_thresholds(found, config.genres)
    if of == sha256 or (of is None and not missing):  # None: by hand
        return calibration
    if kept := find_kept(path, sha256):
        return kept.calibration
    if missing:
        return calibration
    raise InputError(
        f"{found}: expected the thresholds of {MODEL} beside it, found those of another network; `train --resume` "
        f"writes them again; without its line model_sha256 the file is used as it is"
    )


def write_config(path: Path, model: ModelConfig, training: TrainingConfig, clips: ClipConfig) -> None:
    """Write `config.json` of the run folder `path`."""
    document = {
        "schema": RUN_SCHEMA,
        "model": model.to_dict(),
        "training": training.to_dict(),
        "preprocessing": clips.to_dict(),
    }
    write_atomically(path / CONFIG, json.dumps(document, indent=2) + "\n")


@dataclasses.dataclass(frozen=True)
class _Config:
    """What `config.json` holds."""

    model: dict[str, Any]
    training: dict[str, Any]
    preprocessing: dict[str, Any]


def read_config(path: Path) -> tuple[ModelConfig, TrainingConfig, ClipConfig]:
    """Read `config.json` of the run folder `path`."""
    found = read_as(path / CONFIG, _Config, "the options of a run", schema=RUN_SCHEMA, remedy=_REMEDY)
    try:
        return (
            ModelConfig.from_dict({"encoder_engine": "keras"} | found.model),  # all that there was once
            TrainingConfig.from_dict(found.training),
            ClipConfig.from_dict(found.preprocessing),
        )
    except InputError as error:
        raise InputError(f"{path / CONFIG}: {error}; {_REMEDY}") from error


def write_thresholds(
    path: Path, thresholds: dict[str, float], temperatures: dict[str, float], *, model_sha256: str | None = None
) -> None:
    """Write `thresholds.json`, with the digest of the `model.keras` that they belong to."""
    genres = {
        genre: {"threshold": float(thresholds[genre]), "temperature": float(temperatures[genre])}
        for genre in thresholds
    }
    belongs = {"model_sha256": model_sha256} if model_sha256 else {}
    write_atomically(path, json.dumps({"schema": RUN_SCHEMA, **belongs, "genres": genres}, indent=2) + "\n")


@dataclasses.dataclass(frozen=True)
class _Decision:
    threshold: Annotated[float, Field(ge=0, le=1)]
    temperature: Annotated[float, Field(gt=0)]


@dataclasses.dataclass(frozen=True)
class _Thresholds:
    """What `thresholds.json` holds."""

    genres: dict[str, _Decision]
    model_sha256: str | None = None


def read_thresholds(path: Path, expected: Sequence[str]) -> tuple[Calibration, str | None]:
    """Read `thresholds.json`.

    Parameters
    ----------
    path : Path
    expected : sequence of str
        The genres of the run.

    Returns
    -------
    (Calibration, str or None)
        And the digest of the `model.keras` that it belongs to, where it says so.

    Raises
    ------
    InputError
        If it cannot be read, or a threshold is not in [0, 1] or a temperature not a positive number.
    """
    expected_file = "a threshold from 0 to 1 and a temperature above 0 per genre"
    found = read_as(path, _Thresholds, expected_file, schema=RUN_SCHEMA, remedy=_REMEDY)
    if missing := [genre for genre in expected if genre not in found.genres]:
        raise InputError(f"{path}: expected {expected_file}, found nothing for {missing[0]}")
    calibration = Calibration(
        {genre: found.genres[genre].threshold for genre in expected},
        {genre: found.genres[genre].temperature for genre in expected},
    )
    return calibration, found.model_sha256
