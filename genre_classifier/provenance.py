"""Where a run comes from: `card.json`, and the digest of the data that it was trained on."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre_classifier.checkpoints import FOLDER
from genre_classifier.runs import CONFIG, MODEL, SCHEMA, SPLITS, THRESHOLDS
from preprocessing.errors import InputError, WorkError
from preprocessing.files import TEMPORARY_SUFFIX, read_document, read_json, shown, write_atomically
from preprocessing.locks import locked

if TYPE_CHECKING:
    from genre_classifier.dataset import Trailer

CARD = "card.json"
_EVENTS = "tensorboard"
_OWN = re.compile("|".join(map(re.escape, (MODEL, CONFIG, THRESHOLDS, SPLITS, CARD, "history.csv", "curves.png"))))
_CHECKPOINT = re.compile(r"epoch_\d+\.(json|keras)")
# As `preprocessing.files.atomic_path` calls them; version 0.1.0 put the name in front.
_TEMPORARY = re.compile(rf"\.(\d+-[0-9a-f]{{8}}|.+\.\d+){re.escape(TEMPORARY_SUFFIX)}(\..*)?")
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
    path = run / CARD
    card = read_json(path, "the card of a run")
    if not isinstance(card, dict) or not isinstance(card.get("data_digest"), str):
        raise InputError(f"{path}: expected the card of a run, found no data_digest in it")
    if not isinstance(card.get("seconds", 0.0), int | float):
        raise InputError(f"{path}: expected seconds as a number, found {shown(card['seconds'])}")
    return card


@contextmanager
def held(run: Path) -> Iterator[None]:
    """Keep other trainings out of a run folder, which is made when it is missing.

    A folder that was made, and that nothing was written to, goes away again.

    Raises
    ------
    InputError
        If it cannot be made or written to, or another training works in it.
    """
    busy = "another training works in this run folder; wait for it, or name another"
    made = not os.path.lexists(run)
    with locked(run, purpose="a run", busy=busy):
        try:
            yield
        finally:
            if made:
                with suppress(OSError):  # not empty
                    run.rmdir()


def require_free(run: Path, *, overwrite: bool) -> None:
    """Refuse a folder that a new run must not be written to.

    A run without a finished epoch is in nobody's way.

    Raises
    ------
    InputError
        If it holds a run and `overwrite` is not set, or holds something else.
    """
    if all(_TEMPORARY.fullmatch(path.name) for path in run.iterdir()):
        return
    is_run = _is_run(run)
    if overwrite and not is_run:
        raise InputError(f"{run}: expected a run folder to overwrite, found a folder that is none; not deleted")
    finished = any((run / name).exists() for name in (MODEL, THRESHOLDS, "history.csv")) or any(
        (run / FOLDER).glob("epoch_*.json")
    )
    if not overwrite and (finished or not is_run):
        raise InputError(
            f"{run}: the run folder exists; resume it (--resume), replace it (--overwrite) or name another"
        )


def empty_run_folder(run: Path) -> list[str]:
    """Remove the files of an older run, and only those; return the names of what stays.

    Raises
    ------
    WorkError
        If one of them cannot be removed.
    """
    try:
        # The configuration goes last: without it, the rest would be no run to overwrite.
        for path in sorted(_own_files(run), key=lambda path: path.name == CONFIG):
            path.unlink()
        for folder in (*(run / _EVENTS).glob("*"), run / _EVENTS, run / FOLDER):
            if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
                folder.rmdir()
        return sorted(path.name for path in run.iterdir())
    except OSError as error:
        raise WorkError(f"{run}: the older run could not be removed: {error.strerror or error}") from error


def clean(run: Path) -> None:
    """Remove what killed trainings left half-written."""
    for path in _own_files(run):
        if _TEMPORARY.fullmatch(path.name):
            with suppress(OSError):
                path.unlink()


def _is_run(run: Path) -> bool:
    try:
        document = read_document(run / CONFIG, SCHEMA, "the options of a run", "")
    except InputError:
        return False
    return {"model", "training", "preprocessing"} <= set(document)


def _own_files(run: Path) -> list[Path]:
    """Return the files of a run folder that a training writes, known by their names."""
    found = [
        path
        for folder, name in ((run, _OWN), (run / FOLDER, _CHECKPOINT))
        for path in (folder.iterdir() if folder.is_dir() else ())
        if name.fullmatch(path.name) or _TEMPORARY.fullmatch(path.name)
    ]
    found += (run / _EVENTS).rglob("events.out.tfevents.*")
    return [path for path in found if path.is_file() or path.is_symlink()]
