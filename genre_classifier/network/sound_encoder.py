"""A pretrained network that listens: frozen, and applied to every second of a trailer's sound once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Self

import keras
import numpy as np
from keras import ops

from genre_classifier.network.backend import Tensor, program
from genre_classifier.network.encoder import BATCH, batch_bytes, network_digest, require_room
from genre_classifier.network.image_networks import read_sound_network
from genre_classifier.network.memory import BASE_BYTES, FLOAT
from preprocessing.base.errors import InputError
from preprocessing.base.files import atomic_path

_LARGEST = 65000.0  # of a feature: what is further from zero does not fit into float16


class SoundEncoder:
    """A frozen network from samples to features.

    Parameters
    ----------
    network : keras.Model
        `(batch, samples)`, float32 from -1 to 1, to `(batch, features)`.
    rate : int
        Samples per second that it takes.

    Attributes
    ----------
    network : keras.Model
    rate, samples, features : int
    """

    def __init__(self, network: keras.Model, rate: int) -> None:
        self.network, self.rate = network, rate
        self.network.trainable = False
        self.samples, self.features = network.input_shape[1], network.output_shape[1]

    @cached_property
    def digest(self) -> str:
        """Return a SHA-256 over layers, weights and rate: equal for encoders that give the same features."""
        return hashlib.sha256(f"{network_digest(self.network)} {self.rate}".encode()).hexdigest()

    @property
    def bytes_needed(self) -> float:
        """Return about how much memory a process takes that encodes with it."""
        return BASE_BYTES + FLOAT * 2 * self.network.count_params() + batch_bytes(self.network)

    def require_room(self, name: str) -> Self:
        """Return it; refuse, with the name, one that takes more memory than there is (InputError)."""
        require_room(self.network, name)
        return self

    def save(self, path: Path) -> None:
        """Write its network to a `.keras` file, whole or not at all; see `read_sound_encoder`."""
        with atomic_path(path) as temporary:
            self.network.save(temporary)

    @cached_property
    def _program(self) -> Callable[[Tensor], Tensor]:
        return program(self.steps(), self.network.variables)

    def steps(self) -> Callable[[Tensor], Tensor]:
        """Return the function that encodes a batch of samples inside a program; see `listen`."""

        def features(samples: Tensor) -> Tensor:
            found = self.network(ops.cast(samples, "float32"), training=False)
            return ops.cast(ops.clip(found, -_LARGEST, _LARGEST), "float16")

        return features

    def listen(self, patches: np.ndarray) -> np.ndarray:
        """Return the features, float16 (n, features), of stretches of sound, float32 (n, samples).

        Raises
        ------
        InputError
            If the network gives NaN or infinity.
        """
        encoded = np.empty((len(patches), self.features), np.float16)
        for start in range(0, len(patches), BATCH):  # always so many: features do not depend on the number
            part = np.zeros((BATCH, self.samples), np.float32)
            real = patches[start : start + BATCH]
            part[: len(real)] = real
            encoded[start : start + BATCH] = np.asarray(self._program(ops.convert_to_tensor(part)))[: len(real)]
        if not np.isfinite(encoded).all():
            raise InputError("expected finite numbers from the sound encoder, found others; use another one")
        return encoded


def read_sound_encoder(path: Path, rate: int) -> SoundEncoder:
    """Read a sound encoder from its `.keras` file; InputError as for `read_sound_network`, or without room for it."""
    return SoundEncoder(read_sound_network(path), rate).require_room(str(path))
