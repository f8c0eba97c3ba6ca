"""Checkpoints of a training: its last finished epochs, each with its digest, so that one good one is always left.

`checkpoints/epoch_<n>.keras` holds the weights and the optimizer. `epoch_<n>.json`, written after it, holds its digest,
the history up to it, and which epoch's network the run keeps, with its digest, thresholds and temperatures: the epoch
is done when this file is in place, and not before. A checkpoint counts only when both are there and agree. The last two
stay, and those of the networks that these keep.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import math
from contextlib import suppress
from pathlib import Path
from typing import Any

from genre_classifier.metrics.calibration import Calibration
from genre_classifier.run_folder.layout import CHECKPOINTS, network_path
from genre_classifier.run_folder.model_file import digest, read_model, save_model
from preprocessing.base.documents import read_as
from preprocessing.base.errors import InputError
from preprocessing.base.files import not_written, write_atomically

logger = logging.getLogger(__name__)

KEPT = 2

Rows = list[dict[str, float]]


@dataclasses.dataclass(frozen=True)
class Kept:
    """The network that a run keeps for its users.

    Attributes
    ----------
    epoch : int
        Counted from 1.
    sha256 : str
        Of its `.keras` file.
    thresholds, temperatures : dict
        Its calibration, fitted on its scores.
    moved_biases : dict or None
        How far its output biases were moved per genre, which ends a training; None if they were not.
    """

    epoch: int
    sha256: str
    thresholds: dict[str, float]
    temperatures: dict[str, float]
    moved_biases: dict[str, float] | None = None

    @property
    def calibration(self) -> Calibration:
        """Return thresholds and temperatures together."""
        return Calibration(self.thresholds, self.temperatures)


@dataclasses.dataclass(frozen=True)
class State:
    """What `epoch_<n>.json` holds.

    Attributes
    ----------
    sha256 : str
        Of `epoch_<n>.keras`.
    rows : list of dict
        The history, one row per finished epoch.
    kept : Kept or None
        None where the run keeps no network by this way: the squares.
    """

    sha256: str
    rows: Rows
    kept: Kept | None = None


def save_checkpoint(
    run: Path,
    model: Any,
    rows: Rows,
    *,
    kept: Kept | None = None,
    calibration: Calibration | None = None,
    moved_biases: dict[str, float] | None = None,
) -> Kept | None:
    """Save the state after `len(rows)` finished epochs, and remove what is not needed any more.

    Parameters
    ----------
    run : Path
    model : keras.Model
    rows : list of dict
    kept : Kept, optional
        The network that the run has kept so far.
    calibration : Calibration, optional
        Of this epoch's network, if the run keeps it from now on.
    moved_biases : dict, optional
        Likewise.

    Returns
    -------
    Kept or None
        The network that the run keeps now.

    Raises
    ------
    WorkError
        If it cannot be written; the checkpoints before it stay.
    """
    try:
        (run / CHECKPOINTS).mkdir(exist_ok=True)
    except OSError as error:
        raise not_written(run / CHECKPOINTS, error) from error
    weights = network_path(run, len(rows))
    save_model(weights, model)
    sha256 = digest(weights)
    if calibration is not None:
        kept = Kept(len(rows), sha256, *calibration, moved_biases)
    write_state(run, State(sha256, rows, kept))
    _remove_others(run, len(rows))
    return kept


def write_state(run: Path, state: State) -> None:
    """Write `epoch_<n>.json` of the epoch that `state` ends with."""
    # JSON has neither NaN nor infinity: a figure that is not defined is null.
    history = [{name: value if math.isfinite(value) else None for name, value in row.items()} for row in state.rows]
    document: dict[str, Any] = {"sha256": state.sha256, "history": history}
    if state.kept:
        document["kept"] = dataclasses.asdict(state.kept)
    write_atomically(network_path(run, len(state.rows)).with_suffix(".json"), json.dumps(document))


@dataclasses.dataclass(frozen=True)
class _StateFile:
    sha256: str
    history: list[dict[str, float | None]]
    kept: Kept | None = None


def read_state(run: Path, epoch: int) -> State:
    """Read `epoch_<n>.json`; InputError if it cannot be used."""
    path = network_path(run, epoch).with_suffix(".json")
    expected = "the state of a training"
    found = read_as(path, _StateFile, expected)
    rows = [{name: math.nan if value is None else value for name, value in row.items()} for row in found.history]
    if len(rows) != epoch:
        raise InputError(f"{path}: expected {expected} after {epoch} epochs, found {len(rows)} in its history")
    if found.kept and found.kept.thresholds.keys() != found.kept.temperatures.keys():
        raise InputError(f"{path}: expected {expected}, found thresholds and temperatures of different genres")
    return State(found.sha256, rows, found.kept)


def load_checkpoint(run: Path, *, limit: float = math.inf) -> tuple[Any, State] | None:
    """Load the newest good checkpoint.

    Parameters
    ----------
    run : Path
    limit : float
        See `genre_classifier.run_folder.model_file.read_model`.

    Returns
    -------
    (model, state) or None
        A compiled model with its optimizer's state, and the training's; None where no checkpoint is good.
    """
    for epoch in reversed(_epochs(run)):
        weights = network_path(run, epoch)
        try:
            state = read_state(run, epoch)
            if state.sha256 != digest(weights):
                raise InputError(f"{weights}: expected the network of this epoch, by its digest, found another")
            return read_model(weights, limit=limit, compiled=True), state
        except InputError as error:
            logger.warning(f"the checkpoint after epoch {epoch} is damaged, and left out: {error}")
    return None


def find_kept(run: Path, sha256: str) -> Kept | None:
    """Return the checkpoints' record of the network with this digest, or None."""
    return next((kept for kept in _all_kept(run, _epochs(run)) if kept.sha256 == sha256), None)


def _all_kept(run: Path, epochs: list[int]) -> list[Kept]:
    found = []
    for epoch in epochs:
        try:
            kept = read_state(run, epoch).kept
        except InputError:
            continue
        if kept:
            found.append(kept)
    return found


def _epochs(run: Path) -> list[int]:
    """Return the epochs with a state, in order."""
    numbers = (path.stem.removeprefix("epoch_") for path in (run / CHECKPOINTS).glob("epoch_*.json"))
    return sorted(int(number) for number in numbers if number.isdecimal())


def _remove_others(run: Path, epoch: int) -> None:
    """Remove what neither this epoch nor the one before it needs; later ones were damaged, and are done again."""
    last = [number for number in _epochs(run) if number <= epoch][-KEPT:]
    needed = {f"epoch_{number}" for number in (*last, *(kept.epoch for kept in _all_kept(run, last)))}
    for ending in (".json", ".keras"):
        for path in (run / CHECKPOINTS).glob(f"epoch_*{ending}"):
            if path.stem not in needed:
                with suppress(OSError):  # it does no harm
                    path.unlink()
