"""Tag every frame of a film trailer with six genres.

The names below are imported on first use, so that `import genre_classifier` loads neither Keras nor TensorFlow.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

# TensorFlow turns oneDNN on by itself only where the CPU has AVX-512 or better. Without it a training step takes a
# sixth more CPU time on AVX2, and convolutions with channels first do not run on a CPU at all.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

_HOMES = {
    "GENRES": "genre_classifier.genres",
    "ModelConfig": "genre_classifier.config",
    "TrainingConfig": "genre_classifier.config",
    "PRESETS": "genre_classifier.presets",
    "build_model": "genre_classifier.model",
    "TrailerSequence": "genre_classifier.dataset",
    "train": "genre_classifier.training",
    "load_run": "genre_classifier.runs",
    "tag_trailer": "genre_classifier.tagging",
    "evaluate": "genre_classifier.metrics",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(_HOMES)
