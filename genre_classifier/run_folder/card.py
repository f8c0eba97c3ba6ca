"""Where a run comes from: `card.json`, and the digest of the data that it was trained on."""

from __future__ import annotations

import datetime
import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre_classifier.run_folder.layout import CARD, RUN_SCHEMA
from preprocessing.base.errors import InputError
from preprocessing.base.files import abbreviated_repr, read_json, write_atomically

if TYPE_CHECKING:
    from genre_classifier.dataset.trailers import Trailer

_PACKAGES = ("genre-classifier", "keras", "tensorflow", "numpy", "opencv-python", "pandas", "scikit-learn")


def data_digest(trailers: Sequence[Trailer]) -> str:
    """Return a SHA-256 over ids, sources, groups, times, targets and the size and head and tail of each clip.

    Reading gigabytes of frames at each start would cost more than it protects from.
    """
    digest = hashlib.sha256()
    for trailer in trailers:
        digest.update(repr((trailer.trailer_id, trailer.source, trailer.group, trailer.weak)).encode())
        digest.update(trailer.times.tobytes())
        digest.update(trailer.targets.tobytes())
        if not trailer.labelled.all():
            digest.update(trailer.labelled.tobytes())
        size = trailer.clip.stat().st_size
        digest.update(str(size).encode())
        with trailer.clip.open("rb") as clip:
            digest.update(clip.read(1 << 16))
            clip.seek(max(0, size - (1 << 16)))
            digest.update(clip.read())
    return digest.hexdigest()


def new_card(*, command: str, seed: int, data_digest: str, parts: Mapping[str, Sequence[Trailer]]) -> dict[str, Any]:
    """Return the card of a run that starts now."""
    return {
        "schema": RUN_SCHEMA,
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": command,
        "seed": seed,
        "data_digest": data_digest,
        "splits": {name: len(trailers) for name, trailers in parts.items()},
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
        "machine": platform.machine(),
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def write_card(run: Path, card: Mapping[str, Any]) -> None:
    """Write `card.json`."""
    write_atomically(run / CARD, json.dumps(card, indent=2) + "\n")


def read_card(run: Path) -> dict[str, Any]:
    """Read `card.json`; InputError if it cannot be."""
    path = run / CARD
    card = read_json(path, "the card of a run")
    if not isinstance(card, dict) or not isinstance(card.get("data_digest"), str):
        raise InputError(f"{path}: expected the card of a run, found no data_digest in it")
    if not isinstance(card.get("seconds", 0.0), int | float):
        raise InputError(f"{path}: expected seconds as a number, found {abbreviated_repr(card['seconds'])}")
    return card
