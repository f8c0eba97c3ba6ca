"""The run folder: a trained model with all that is needed to use it and to know where it came from."""

from __future__ import annotations

import dataclasses
import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genre_classifier.config import ModelConfig, TrainingConfig
from genre_classifier.evaluation.calibration import DEFAULT_THRESHOLD, apply_temperature
from genre_classifier.genres import GENRES
from preprocessing.config import ClipConfig
from preprocessing.errors import InputError
from preprocessing.files import read_document, write_atomically

SCHEMA = 1
_REMEDY = "was the run made by another version?"
MODEL, CONFIG, THRESHOLDS, SPLITS = "model.keras", "config.json", "thresholds.json", "splits.csv"


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
        Per genre; thresholds are on the calibrated scale.
    """

    path: Path
    model_config: ModelConfig
    training_config: TrainingConfig
    clip_config: ClipConfig
    thresholds: dict[str, float]
    temperatures: dict[str, float]

    @cached_property
    def model(self) -> Any:
        """Return the network, a `genre_classifier.network.GenreModel`.

        Raises
        ------
        InputError
            If `model.keras` cannot be loaded.
        """
        import keras

        import genre_classifier.model  # noqa: F401  registers the layers

        path = self.path / MODEL
        try:
            return keras.saving.load_model(path, compile=False)
        except (OSError, ValueError, TypeError, KeyError) as error:
            reason = str(error).strip().split("\n")[0]
            raise InputError(
                f"{path}: expected a model of this version of genre-classifier, found: {reason}"
            ) from error

    def calibrate(self, scores: np.ndarray | pd.DataFrame) -> Any:
        """Apply the temperatures to raw scores `(frames, 6)`; a DataFrame gives a DataFrame."""
        temperatures = np.array([self.temperatures[genre] for genre in GENRES])
        if isinstance(scores, pd.DataFrame):
            calibrated = apply_temperature(scores[list(GENRES)].to_numpy(), temperatures)
            return pd.DataFrame(calibrated, index=scores.index, columns=list(GENRES))
        return apply_temperature(scores, temperatures)


def load_run(path: Path | str) -> Run:
    """Read a run folder.

    Raises
    ------
    InputError
        If it is no run folder, has no model, or was written by a version with other options.
    """
    path = Path(path)
    if not (path / MODEL).is_file():
        found = "no such folder" if not path.is_dir() else "none in this folder"
        raise InputError(f"{path}: expected a run folder with a {MODEL} (`train` makes one), found {found}")
    model_config, training_config, clip_config = read_config(path)
    thresholds, temperatures = read_thresholds(path / THRESHOLDS)
    return Run(path, model_config, training_config, clip_config, thresholds, temperatures)


def write_config(path: Path, model: ModelConfig, training: TrainingConfig, clips: ClipConfig) -> None:
    """Write `config.json` of the run folder `path`."""
    document = {
        "schema": SCHEMA,
        "model": model.to_dict(),
        "training": training.to_dict(),
        "preprocessing": clips.to_dict(),
    }
    write_atomically(path / CONFIG, json.dumps(document, indent=2) + "\n")


def read_config(path: Path) -> tuple[ModelConfig, TrainingConfig, ClipConfig]:
    """Read `config.json` of the run folder `path`."""
    document = read_document(path / CONFIG, SCHEMA, "a JSON file of a run", _REMEDY)
    try:
        parts = document["model"], document["training"], document["preprocessing"]
        return ModelConfig.from_dict(parts[0]), TrainingConfig.from_dict(parts[1]), ClipConfig.from_dict(parts[2])
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path / CONFIG}: expected model, training and preprocessing options, found {error!r}"
        ) from error
    except InputError as error:
        raise InputError(f"{path / CONFIG}: {error}; was the run made by another version?") from error


def write_thresholds(path: Path, thresholds: dict[str, float], temperatures: dict[str, float]) -> None:
    """Write `thresholds.json`."""
    genres = {
        genre: {"threshold": float(thresholds[genre]), "temperature": float(temperatures[genre])} for genre in GENRES
    }
    write_atomically(path, json.dumps({"schema": SCHEMA, "genres": genres}, indent=2) + "\n")


def read_thresholds(path: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Read `thresholds.json`; where there is none yet, thresholds are 0.5 and temperatures 1."""
    if not path.exists():
        return dict.fromkeys(GENRES, DEFAULT_THRESHOLD), dict.fromkeys(GENRES, 1.0)
    document = read_document(path, SCHEMA, "a JSON file of a run", _REMEDY)
    try:
        genres = document["genres"]
        return (
            {genre: float(genres[genre]["threshold"]) for genre in GENRES},
            {genre: float(genres[genre]["temperature"]) for genre in GENRES},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: expected a threshold and a temperature per genre, found {error!r}") from error
