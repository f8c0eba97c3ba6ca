"""Turn folders of videos into clips: uint8 arrays of evenly spaced frames with their true times.

The names below are imported on first use, so that `import preprocessing` stays instant.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "preprocess_directory": "preprocessing.pipeline",
    "preprocess_trailer": "preprocessing.pipeline",
    "load_clip": "preprocessing.clips",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(_HOMES)
