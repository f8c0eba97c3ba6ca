"""Networks of others: files, and those of `keras.applications` with how each wants pixels to be."""

from __future__ import annotations

import os
import re
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from genre_classifier.network.keras_file import load_network
from preprocessing.base.errors import InputError
from preprocessing.base.files import abbreviated_repr, os_reason


def read_image_network(path: Path) -> keras.Model:
    """Read an image network from a `.keras` file.

    Raises
    ------
    InputError
        If it is not such a file, is too large, or does not take pictures of three channels.
    """
    expected = "expected an image network (.keras)"
    network = _read_network(path, expected)
    shapes = getattr(network, "input_shape", None)
    if not isinstance(shapes, tuple) or len(shapes) != 4 or shapes[-1] != 3 or None in shapes[1:]:
        raise InputError(f"{path}: {expected} that takes (rows, cols, 3), found one that takes {shapes}")
    return network


def read_sound_network(path: Path) -> keras.Model:
    """Read a network that listens from a `.keras` file.

    Raises
    ------
    InputError
        If it is not such a file, is too large, or does not map samples, `(batch, samples)`, to `(batch, features)`.
    """
    expected = "expected a sound network (.keras)"
    network = _read_network(path, expected)
    shapes = [getattr(network, name, None) for name in ("input_shape", "output_shape")]
    if not all(isinstance(shape, tuple) and len(shape) == 2 and shape[1] is not None for shape in shapes):
        raise InputError(
            f"{path}: {expected} from (samples,) to (features,), found one from {shapes[0]} to {shapes[1]}"
        )
    if isinstance(network.compute_output_shape(network.input_shape), dict):  # which names its only output
        network = keras.Model(network.inputs[0], network.outputs[0])
    return network


def _read_network(path: Path, expected: str) -> keras.Model:
    try:
        found = "" if path.is_file() else "a folder" if path.is_dir() else "no such file"
    except OSError as error:  # a name that is too long
        found = os_reason(error)
    if found:
        raise InputError(f"{path}: {expected}, found {found}")
    if not zipfile.is_zipfile(path):  # of which Keras would say that it is not there
        raise InputError(f"{path}: {expected}, found something else, or half of one")
    return load_network(path, expected)


def application_network(name: str) -> tuple[keras.Model, str]:
    """Return a network of `keras.applications` with the weights of ImageNet, and how it wants pixels to be scaled.

    Raises
    ------
    InputError
        If no network has that name, or its weights cannot be fetched.
    """
    build = getattr(keras.applications, name, None)
    known = sorted(word for word in dir(keras.applications) if word[0].isupper())
    if not (callable(build) and name in known):
        raise InputError(
            f"encoder {abbreviated_repr(name)}: expected a .keras file, or a name of keras.applications "
            f"({', '.join(known)})"
        )
    try:
        network = build(include_top=False, weights="imagenet", input_shape=_usual_size(build))
    except Exception as error:  # of the network, the server, or the file that came: keras has no kind of its own
        url = next(iter(re.findall(r"https?://\S+", str(error))), "")
        home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))  # where keras.utils.get_file keeps files
        file = url.rstrip(":.,").rsplit("/", 1)[-1] or "its weights"
        raise InputError(
            f"encoder {name}: its weights could not be fetched from "
            f"{url.rstrip(':.,') or abbreviated_repr(str(error))}; put {file} into {home / 'models'}, "
            f"or name a .keras file"
        ) from error
    return network, _mode_of(build)


def _usual_size(build: Callable[..., Any]) -> tuple[int, int, int]:
    """Return the size that a network of keras.applications was trained on: that of its architecture with its top."""
    shape = build(weights=None).input_shape
    return int(shape[1]), int(shape[2]), 3


def _mode_of(build: Any) -> str:
    """Return how a network of keras.applications scales pixels, by what its module does to a black and a red one."""
    prepare = sys.modules[build.__module__].preprocess_input
    black, red = prepare(np.array([[[[0.0, 0, 0], [255.0, 0, 0]]]], np.float32))[0, 0]
    if np.allclose([black, red], [[0, 0, 0], [255, 0, 0]]):
        return "none"
    if np.allclose([black, red], [[-1, -1, -1], [1, -1, -1]]):
        return "tf"
    return "torch" if red[0] > black[0] else "caffe"


def scaling_weights(scaling: str) -> list[np.ndarray]:
    """Return kernel and bias of the 1x1 convolution that scales RGB pixels as `keras.applications` does in a mode."""
    points = np.concatenate([np.zeros((1, 3)), np.eye(3)]).astype(np.float32)
    scaled = keras.applications.imagenet_utils.preprocess_input(points.reshape(1, 1, 4, 3).copy(), mode=scaling)
    bias, *rows = np.asarray(scaled).reshape(4, 3)
    return [np.stack([row - bias for row in rows])[None, None], bias]
