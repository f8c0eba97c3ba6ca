"""A network's `.keras` file: written whole or not at all; read with every kind of damage told in one line."""

from __future__ import annotations

import json
import shutil
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from genre_classifier.config import ModelConfig
from genre_classifier.network.memory import available_bytes, weight_bytes
from preprocessing.errors import InputError
from preprocessing.files import MOST_BYTES, atomic_path, file_digest

# Biases, scales, the description of the layers and the overhead of HDF5, for the largest networks that are of use.
_OVERHEAD_BYTES = 64e6
_LONGEST_REASON = 300  # characters; zipfile quotes what it finds, all of it


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
    """Return how large a network's unpacked file can be: weights, the optimizer's two moments, and a margin."""
    return 4 * weight_bytes(config) + _OVERHEAD_BYTES


def read_model(path: Path, *, limit: float | None = None, compiled: bool = False) -> Any:
    """Read a `.keras` file.

    Parameters
    ----------
    path : Path
    limit : float, optional
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
        If it is damaged, too large, describes a network that there is no room for, is of another version, or holds
        weights that are no numbers.
    """
    import keras

    import genre_classifier.network.losses
    import genre_classifier.network.model  # noqa: F401  both register what the file names

    expected = "expected a model of this version of genre-classifier"
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if limit is not None and unpacked > limit:
            raise InputError(
                f"{path}: {expected}, found a file that unpacks to {unpacked / 1e6:.0f} MB, where the network of its "
                f"config.json needs at most {limit / 1e6:.0f}"
            )
        if needed := _described_bytes(path):
            free = available_bytes()
            if needed > (free if limit is None else min(free, limit)):
                raise InputError(
                    f"{path}: {expected}, found the description of one of {needed / 1e6:.0f} MB, more than there is "
                    f"room for ({free / 1e6:.0f} MB are free), or than its config.json says"
                )
        model = keras.saving.load_model(path, compile=compiled)
        broken = not_finite(model)
    except (InputError, MemoryError):
        raise
    # zipfile, zlib, json, h5py and Keras each have errors of their own for damage; nothing else runs here.
    except Exception as error:
        reason = next(iter(str(error).strip().splitlines()), "")[:_LONGEST_REASON] or type(error).__name__
        raise InputError(f"{path}: {expected}, found: {reason}") from error
    if broken:
        raise InputError(f"{path}: {expected}, found weights that are no finite numbers ({broken})")
    return model


def _described_bytes(path: Path) -> float:
    """Return the size of the weights that a `.keras` file describes, and Keras would make before it reads any.

    0 where it describes no network of ours, or damage: Keras says what of it.
    """
    with zipfile.ZipFile(path) as archive, suppress(KeyError, TypeError, ValueError, RecursionError, OverflowError):
        if archive.getinfo("config.json").file_size <= MOST_BYTES:
            fields = json.loads(archive.read("config.json"))["config"]["config"]
            return weight_bytes(ModelConfig.from_dict(fields))
    return 0.0


def not_finite(model: Any) -> str | None:
    """Return the name of the first weight that holds a NaN or an infinity, None where all are numbers."""
    import keras

    for weight in model.weights:
        if not np.isfinite(keras.ops.convert_to_numpy(weight)).all():
            return str(weight.path)
    return None
