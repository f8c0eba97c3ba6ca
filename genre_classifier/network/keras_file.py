"""A network's `.keras` file, from whomever: how large its network is, is known before any of it is made."""

from __future__ import annotations

import json
import math
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras

from genre_classifier.network.memory import FLOAT, file_bytes
from preprocessing.base.errors import InputError
from preprocessing.base.files import MOST_BYTES
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
        If it is damaged, unpacks to far more than its network needs, or describes a network that is too large or that
        there is no room for.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
            if unpacked <= most_bytes:
                described = _described_bytes(archive)
                most_bytes = min(most_bytes, file_bytes(described))
                _check_room(path, expected, described, most_bytes)
        if unpacked > most_bytes:
            found = f"a file that unpacks to {unpacked / 1e6:.0f} MB, where its network"
            raise InputError(f"{path}: {expected}, found {found} needs at most {most_bytes / 1e6:.0f}")
        return keras.saving.load_model(path, compile=compiled)
    except (InputError, MemoryError):
        raise
    # zipfile, zlib, json, h5py and Keras each have errors of their own for damage; nothing else runs here.
    except Exception as error:
        reason = next(iter(str(error).strip().splitlines()), "")[:_LONGEST_REASON] or type(error).__name__
        raise InputError(f"{path}: {expected}, found: {reason!r}") from error  # it may quote what the file holds


def _check_room(path: Path, expected: str, described: float, most_bytes: float) -> None:
    free = available_bytes()
    if described > min(free, most_bytes):
        room = "the config.json of its run says"
        if described > free:
            room = f"there is room for ({free / 1e6:.0f} MB are free)"
        raise InputError(
            f"{path}: {expected}, found the description of one of {described / 1e6:.0f} MB, more than {room}"
        )


def _described_bytes(archive: zipfile.ZipFile) -> float:
    """Return the size of the weights that a file describes, by making its layers without any.

    What Keras refuses here it would refuse later too, having made the layers before that one.
    """
    if (size := archive.getinfo("config.json").file_size) > MOST_BYTES:
        raise ValueError(f"a description of {size / 1e6:.0f} MB")
    layers = _uncompiled(json.loads(archive.read("config.json")))

    def weights() -> int:
        with keras.StatelessScope(initialize_variables=False):  # which puts off the values of all variables
            network = keras.saving.deserialize_keras_object(layers, safe_mode=True)
        return sum(math.prod(variable.shape) for variable in network.variables)

    # In a thread of its own: Keras keeps a list of what was put off for each, and catches up at the next occasion.
    with ThreadPoolExecutor(max_workers=1) as thread:
        return float(thread.submit(weights).result()) * FLOAT


def _uncompiled(part: Any) -> Any:
    """Return a description without optimizers and losses, which make values of their own."""
    if isinstance(part, dict):
        return {key: _uncompiled(value) for key, value in part.items() if key != "compile_config"}
    return [_uncompiled(value) for value in part] if isinstance(part, list) else part
