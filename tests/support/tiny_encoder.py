"""Tiny random networks that look and listen, in place of pretrained ones."""

from __future__ import annotations

import zipfile
from pathlib import Path

SIZE, CHANNELS = 20, 6  # of its frames, and of its maps, 5 x 5
SOUND_FEATURES = 5  # of what listens


def write_encoder(path: Path, *, seed: int = 1) -> Path:
    """Write it to a `.keras` file: pixels from 0 to 255 in, values around 1 out."""
    import keras

    keras.utils.set_random_seed(seed)
    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            layers.Rescaling(1 / 64),
            layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="early"),
            layers.Conv2D(CHANNELS, 3, strides=2, padding="same", activation="relu", name="late"),
        ]
    )
    network.save(path)
    return path


def write_huge(path: Path) -> Path:
    """Write the same network to a file that gives its last layer ten billion filters, of which it holds none."""
    return write_other(path, f'"filters": {CHANNELS}', '"filters": 10000000000')


def write_other(path: Path, words: str, others: str) -> Path:
    """Write the same network to a file that describes it in other words."""
    write_encoder(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    assert words.encode() in members["config.json"]
    members["config.json"] = members["config.json"].replace(words.encode(), others.encode())
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def write_sound_encoder(path: Path, *, samples: int = 4000, seed: int = 1) -> Path:
    """Write a tiny random network that listens, from `(samples,)` to `(SOUND_FEATURES,)`, to a `.keras` file."""
    import keras

    keras.utils.set_random_seed(seed)
    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input((samples,)),
            layers.Reshape((samples // 20, 20)),
            layers.Dense(SOUND_FEATURES, activation="relu"),
            layers.GlobalAveragePooling1D(),
        ]
    )
    network.save(path)
    return path
