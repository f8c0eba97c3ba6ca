"""An untrusted `.keras` file: what it holds, and how large it is, is checked before Keras makes anything of it."""

from __future__ import annotations

import math
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras

from genre_classifier.network.keras_checks import Array, array_of, read_description, require_arrays
from genre_classifier.network.memory import FLOAT, file_bytes
from preprocessing.base.errors import InputError
from preprocessing.processes.machine import available_bytes

_LONGEST_REASON = 300  # characters; zipfile quotes what it finds, all of it


def load_network(path: Path, expected: str, *, most_bytes: float = math.inf, compiled: bool = False) -> Any:
    """Read a `.keras` file.

    Parameters
    ----------
    path : Path
    expected : str
        For messages: what the file should hold.
    most_bytes : float
        That it may unpack to, and that the weights it describes may take.
    compiled : bool
        With its optimizer and losses.

    Returns
    -------
    keras.Model

    Raises
    ------
    InputError
        If it is damaged, unpacks to far more than its network needs, describes a network that is too large or that
        does not fit into memory, or holds anything that `genre_classifier.network.keras_checks` refuses.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
            _require_small(path, expected, unpacked, most_bytes)
            arrays = _described_arrays(read_description(archive, compiled=compiled))
            described = float(FLOAT * sum(math.prod(array.shape) for array in arrays))
            most_bytes = min(most_bytes, file_bytes(described))
            _check_room(path, expected, described, most_bytes)
            _require_small(path, expected, unpacked, most_bytes)
            require_arrays(archive, arrays, compiled=compiled)
        return keras.saving.load_model(path, compile=compiled, safe_mode=True)
    except (InputError, MemoryError):
        raise
    # zipfile, zlib, json, h5py and Keras each have errors of their own for damage; nothing else runs here.
    except Exception as error:
        reason = next(iter(str(error).strip().splitlines()), "")[:_LONGEST_REASON] or type(error).__name__
        raise InputError(f"{path}: {expected}, found: {reason!r}") from error  # it may quote what the file holds


def _require_small(path: Path, expected: str, unpacked: int, most_bytes: float) -> None:
    if unpacked > most_bytes:
        found = f"a file that unpacks to {unpacked / 1e6:.0f} MB, where its network"
        raise InputError(f"{path}: {expected}, found {found} needs at most {most_bytes / 1e6:.0f}")


def _check_room(path: Path, expected: str, described: float, most_bytes: float) -> None:
    free = available_bytes()
    if described > min(free, most_bytes):
        room = "the config.json of its run says"
        if described > free:
            room = f"there is room for ({free / 1e6:.0f} MB are free)"
        raise InputError(
            f"{path}: {expected}, found the description of one of {described / 1e6:.0f} MB, more than {room}"
        )


def _described_arrays(description: dict[str, Any]) -> list[Array]:
    """Return what the weights of a described network are, by making its layers without any.

    What Keras refuses here it would refuse later too, having made the layers before that one.
    """
    layers = _uncompiled(description)

    def weights() -> list[Array]:
        with keras.StatelessScope(initialize_variables=False):  # which puts off the values of all variables
            network = keras.saving.deserialize_keras_object(layers, safe_mode=True)
        return [array_of(variable.shape, variable.dtype) for variable in network.variables]

    # In a thread of its own: Keras keeps a list of what was put off for each, and catches up at the next occasion.
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(weights).result()


def _uncompiled(part: Any) -> Any:
    """Return a description without optimizers and losses, which make values of their own."""
    if isinstance(part, dict):
        return {key: _uncompiled(value) for key, value in part.items() if key != "compile_config"}
    return [_uncompiled(value) for value in part] if isinstance(part, list) else part
