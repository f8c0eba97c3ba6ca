"""A network's `.keras` file: written whole or not at all; read with every kind of damage told in one line."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from genre_classifier.config import ModelConfig
from genre_classifier.network.memory import file_bytes, weight_bytes
from preprocessing.base.errors import InputError
from preprocessing.base.files import atomic_path, file_digest


def save_model(path: Path, model: Any) -> None:
    """Write a `.keras` file, whole or not at all."""
    with atomic_path(path) as temporary:
        model.save(temporary)


def copy_model(source: Path, target: Path) -> None:
    """Copy a `.keras` file, whole or not at all."""
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    return file_digest(path, "a network (.keras)")


def most_bytes(config: ModelConfig) -> float:
    """Return how large the unpacked file of a run's network can be."""
    return file_bytes(weight_bytes(config))


def read_model(path: Path, *, limit: float = math.inf, compiled: bool = False) -> Any:
    """Read a `.keras` file.

    Parameters
    ----------
    path : Path
    limit : float
        Bytes; a file that would unpack to more is refused before anything of it is read.
    compiled : bool
        With its optimizer and losses.

    Returns
    -------
    keras.Model
        Its weights are finite numbers.

    Raises
    ------
    InputError
        If it is damaged, too large, describes a network that does not fit into memory, is of another version, or holds
        weights that are NaN or infinity.
    """
    import genre_classifier.network.losses  # noqa: F401
    import genre_classifier.network.model  # noqa: F401  both register what the file names
    from genre_classifier.network.keras_file import load_network

    expected = "expected a model of this version of genre-classifier"
    model = load_network(path, expected, most_bytes=limit, compiled=compiled)
    if broken := not_finite(model):
        raise InputError(f"{path}: {expected}, found weights that are not finite numbers ({broken})")
    return model


def not_finite(model: Any) -> str | None:
    """Return the name of the first weight that holds a NaN or an infinity, None where all are numbers."""
    import keras

    for weight in model.weights:
        if not np.isfinite(keras.ops.convert_to_numpy(weight)).all():
            return str(weight.path)
    return None
