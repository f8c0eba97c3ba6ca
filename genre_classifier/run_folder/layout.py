"""What a run folder holds, by name; who may write to it, and what of it a training may remove."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from preprocessing.base.errors import InputError, WorkError
from preprocessing.base.files import TEMPORARY_NAME, read_document, read_text
from preprocessing.base.locks import LOCK_NAME, locked

RUN_SCHEMA = 1  # of config.json, thresholds.json and card.json
MODEL, CONFIG, THRESHOLDS, SPLITS, CARD = "model.keras", "config.json", "thresholds.json", "splits.csv", "card.json"
ENCODER = "encoder.keras"  # of a run with a pretrained image network
SOUND_ENCODER = "sound_encoder.keras"  # and of one with a network that listens
HISTORY, CURVES = "history.csv", "curves.png"
MODEL_CARD = "README.md"  # ours only with this line in it
CARD_MARK = "genre-classifier wrote this card, and writes it anew as long as this line is in it"
CHECKPOINTS, EVENTS = "checkpoints", "tensorboard"  # folders
HUB = "hf://"  # what the address of a run on the Hugging Face hub begins with

_NAMES = (MODEL, ENCODER, SOUND_ENCODER, CONFIG, THRESHOLDS, SPLITS, CARD, HISTORY, CURVES)
_OWN = re.compile("|".join(map(re.escape, _NAMES)))
_CHECKPOINT = re.compile(r"epoch_\d+\.(json|keras)")


def network_path(run: Path, epoch: int) -> Path:
    """Return the path of the network of an epoch, counted from 1, while it is kept."""
    return run / CHECKPOINTS / f"epoch_{epoch}.keras"


@contextmanager
def run_lock(run: Path) -> Iterator[None]:
    """Keep other trainings out of a run folder, which is made when it is missing.

    A folder that was made, and that nothing was written to, goes away again.

    Raises
    ------
    InputError
        If it cannot be made or written to, or another training works in it.
    """
    busy = "another training works in this run folder; wait for it, or name another"
    made = not os.path.lexists(run)
    try:
        with locked(run, purpose="a run", busy=busy):
            yield
    finally:
        if made:
            with suppress(OSError):  # not empty
                run.rmdir()


def is_fetched(run: Path) -> bool:
    """Return whether a run folder is one of the hub's cache, which holds what a repository holds and nothing else."""
    snapshots = run.absolute().parent
    return snapshots.name == "snapshots" and snapshots.parent.name.startswith("models--")


def require_run(run: Path) -> None:
    """Refuse a folder that holds no run to go on from (InputError)."""
    if not (run / CONFIG).is_file():
        raise InputError(f"{run}: expected a run to go on from, found no {CONFIG} in it")


def require_free(run: Path, *, overwrite: bool) -> None:
    """Refuse a folder that a new run must not be written to.

    A run without a finished epoch may be replaced.

    Raises
    ------
    InputError
        If it holds a run and `overwrite` is not set, or holds something else.
    """
    if all(path.name == LOCK_NAME or TEMPORARY_NAME.fullmatch(path.name) for path in run.iterdir()):
        return
    is_run = _is_run(run)
    if overwrite and not is_run:
        raise InputError(f"{run}: expected a run folder to overwrite, found another folder; not deleted")
    finished = any((run / name).exists() for name in (MODEL, THRESHOLDS, HISTORY)) or any(
        (run / CHECKPOINTS).glob("epoch_*.json")
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
        for folder in (*(run / EVENTS).glob("*"), run / EVENTS, run / CHECKPOINTS):
            if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
                folder.rmdir()
        return sorted({path.name for path in run.iterdir()} - {LOCK_NAME})
    except OSError as error:
        raise WorkError(f"{run}: the older run could not be removed: {error.strerror or error}") from error


def clean(run: Path) -> None:
    """Remove what killed trainings left half-written."""
    for path in _own_files(run):
        if TEMPORARY_NAME.fullmatch(path.name):
            with suppress(OSError):
                path.unlink()


def _is_run(run: Path) -> bool:
    try:
        document = read_document(run / CONFIG, RUN_SCHEMA, "the options of a run", "")
    except InputError:
        return False
    return {"model", "training", "preprocessing"} <= set(document)


def is_model_card(path: Path) -> bool:
    """Return whether a `README.md` is the model card of a run, not a text of the user."""
    try:
        return CARD_MARK in read_text(path, "a model card")
    except InputError:
        return False


def _own_files(run: Path) -> list[Path]:
    """Return the files of a run folder that a training writes, known by their names."""
    found = [
        path
        for folder, name in ((run, _OWN), (run / CHECKPOINTS, _CHECKPOINT))
        for path in (folder.iterdir() if folder.is_dir() else ())
        if name.fullmatch(path.name) or TEMPORARY_NAME.fullmatch(path.name)
    ]
    found += (run / EVENTS).rglob("events.out.tfevents.*")
    if is_model_card(run / MODEL_CARD):
        found.append(run / MODEL_CARD)
    return [path for path in found if path.is_file() or path.is_symlink()]
