"""A run folder with a tiny, untrained network, whose scores still differ from frame to frame."""

from __future__ import annotations

import dataclasses
import functools
import tempfile
from pathlib import Path

from genre_classifier.config import ModelConfig, TrainingConfig
from genre_classifier.genres import GENRES
from preprocessing.config import ClipConfig

SIZE = 16
CONFIG = ModelConfig(
    rows=SIZE,
    cols=SIZE,
    trunk_filters=(4, 3),
    trunk_pools=(2, 2),
    branch_filters=2,
    branch_pool=2,
    dense_units=(8, 4),
)


@functools.cache
def _network(config: ModelConfig) -> bytes:
    """Return the network's file, made once: building and saving it takes seconds."""
    import keras

    from genre_classifier.network.model import build_model

    keras.utils.set_random_seed(5)
    model = build_model(config)
    # Fresh weights score every frame near 0.5: larger ones spread the scores out.
    model.set_weights([weight * 3 if weight.ndim > 1 else weight for weight in model.get_weights()])
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model.keras")
        return (Path(folder) / "model.keras").read_bytes()


def make_run(path: Path, *, frames: int = 40, genres: tuple[str, ...] = GENRES, exclusive: bool = False) -> Path:
    """Write the folder; with `exclusive` of a network whose genres exclude each other."""
    from genre_classifier.run_folder.run import write_config, write_thresholds

    config = dataclasses.replace(CONFIG, genres=genres, exclusive="yes" if exclusive else "no")
    path.mkdir(parents=True)
    (path / "model.keras").write_bytes(_network(config))
    write_config(path, config, TrainingConfig(), ClipConfig(frames=frames, size=SIZE))
    temperatures = {genre: 0.5 if exclusive else 0.5 + 0.25 * index for index, genre in enumerate(genres)}
    write_thresholds(path / "thresholds.json", dict.fromkeys(genres, 0.5), temperatures)
    return path
