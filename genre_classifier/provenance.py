"""Where a run comes from: `card.json`, and the digest of the data that it was trained on."""

from __future__ import annotations

import datetime
import hashlib
import json
import platform
import shutil
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre_classifier.runs import CONFIG, MODEL
from preprocessing.errors import InputError, WorkError
from preprocessing.files import write_atomically

if TYPE_CHECKING:
    from genre_classifier.dataset import Trailer

CARD = "card.json"
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
        "schema": 1,
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
    try:
        card: dict[str, Any] = json.loads((run / CARD).read_text(encoding="utf-8"))
        return card | {"data_digest": card["data_digest"]}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{run / CARD}: expected the card of a run, found: {error!r}") from error


def start_run_folder(run: Path, *, overwrite: bool) -> None:
    """Make the folder, emptied of an older run when told to.

    Raises
    ------
    InputError
        If `overwrite` would delete a folder that is no run.
    WorkError
        If the folder cannot be made.
    """
    try:
        if overwrite and run.is_dir() and any(run.iterdir()):
            if not ((run / CONFIG).is_file() or (run / MODEL).is_file()):
                raise InputError(f"{run}: expected a run folder to overwrite, found a folder that is none; not deleted")
            shutil.rmtree(run)
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WorkError(f"{run}: the run folder could not be made: {error.strerror or error}") from error
