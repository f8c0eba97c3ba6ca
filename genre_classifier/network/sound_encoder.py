"""A pretrained network that listens: frozen, and applied to every second of a trailer's sound once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import keras
import numpy as np
from keras import ops

from genre_classifier.network.backend import Tensor
from genre_classifier.network.encoder_engine import KERAS, Engine
from genre_classifier.network.frame_encoder import batches
from genre_classifier.network.frozen import LARGEST, FrozenNetwork
from genre_classifier.network.image_networks import read_sound_network
from genre_classifier.network.memory import BATCH
from preprocessing.base.errors import InputError


class SoundEncoder(FrozenNetwork):
    """A frozen network from samples to features.

    Parameters
    ----------
    network : keras.Model
        `(batch, samples)`, float32 from -1 to 1, to `(batch, features)`.
    rate : int
        Samples per second that it takes.
    engine : Engine
        What is to compute the features; see `engine`.

    Attributes
    ----------
    network : keras.Model
    rate, samples, features : int
    """

    kind = "sound encoder"

    def __init__(self, network: keras.Model, rate: int, engine: Engine = KERAS) -> None:
        super().__init__(network, engine)
        self.rate = rate
        self.samples, self.features = network.input_shape[1], network.output_shape[1]

    @cached_property
    def digest(self) -> str:
        """Return a SHA-256 over layers, weights and rate: equal for encoders that give the same features."""
        return hashlib.sha256(f"{super().digest} {self.rate}".encode()).hexdigest()

    def steps(self, *, plain: bool = False) -> Callable[[Tensor], Tensor]:
        """Return the function that encodes a batch of samples inside a program; see `listen`."""

        def features(samples: Tensor) -> Tensor:
            found = self.network(ops.cast(samples, "float32"), training=False)
            return ops.cast(ops.clip(found, -LARGEST, LARGEST), "float16")

        return features

    def check_batch(self) -> np.ndarray:
        """Return tones in noise, which grow louder, float32 (batch, samples)."""
        rng, seconds = np.random.default_rng(0), np.arange(self.samples) / self.rate
        tones = np.sin(2 * np.pi * np.geomspace(50, self.rate / 4, BATCH)[:, None] * seconds)
        loud = np.geomspace(0.01, 0.5, BATCH)[:, None]
        return (loud * (tones + rng.uniform(-1, 1, tones.shape))).astype(np.float32)

    def listen(self, patches: np.ndarray) -> np.ndarray:
        """Return the features, float16 (n, features), of stretches of sound, float32 (n, samples).

        Raises
        ------
        InputError
            If the network gives NaN or infinity.
        """
        encoded = np.empty((len(patches), self.features), np.float16)
        for number, features in enumerate(self._outputs(batches(np.asarray(patches, np.float32)))):
            place = encoded[number * BATCH : (number + 1) * BATCH]
            place[:] = features[: len(place)]
        if not np.isfinite(encoded).all():
            raise InputError("expected finite numbers from the sound encoder, found others; use another one")
        return encoded


def read_sound_encoder(path: Path, rate: int, engine: Engine = KERAS) -> SoundEncoder:
    """Read a sound encoder from its `.keras` file; InputError as for `read_sound_network`, or without room for it."""
    return SoundEncoder(read_sound_network(path), rate, engine).require_room(str(path))
