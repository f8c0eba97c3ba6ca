"""Checkpoints of a training: the last two finished epochs, each with its digest, so that one good one is always left.

`checkpoints/epoch_<n>.keras` holds the weights and the optimizer; `epoch_<n>.json`, written after it, its digest and
the history up to it. A checkpoint counts only when both are there and agree.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from preprocessing.files import atomic_path, write_atomically

FOLDER = "checkpoints"
KEPT = 2


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def save_model(path: Path, model: Any) -> None:
    """Write a `.keras` file, whole or not at all."""
    with atomic_path(path) as temporary:
        # Keras takes the format from the ending.
        named = temporary.with_name(temporary.name + ".keras")
        try:
            model.save(named)
            named.replace(temporary)
        finally:
            named.unlink(missing_ok=True)


def save_checkpoint(run: Path, model: Any, rows: list[dict[str, float]]) -> None:
    """Save the state after `len(rows)` finished epochs; older ones than the last two are removed.

    Raises
    ------
    WorkError
        If it cannot be written; the checkpoints before it stay.
    """
    folder = run / FOLDER
    folder.mkdir(exist_ok=True)
    weights = folder / f"epoch_{len(rows)}.keras"
    save_model(weights, model)
    # JSON has no NaN: an undefined figure is null.
    history = [{name: None if math.isnan(value) else value for name, value in row.items()} for row in rows]
    write_atomically(weights.with_suffix(".json"), json.dumps({"sha256": _digest(weights), "history": history}))
    for old in _numbers(folder)[:-KEPT]:
        (folder / f"epoch_{old}.json").unlink(missing_ok=True)
        (folder / f"epoch_{old}.keras").unlink(missing_ok=True)


def load_checkpoint(run: Path, *, on_note: Callable[[str], None]) -> tuple[Any, list[dict[str, float]]] | None:
    """Load the newest good checkpoint.

    Returns
    -------
    (model, rows) or None
        A compiled model with its optimizer's state, and the history; None where no checkpoint is good.
    """
    import keras

    folder = run / FOLDER
    for number in reversed(_numbers(folder)):
        weights = folder / f"epoch_{number}.keras"
        try:
            state = json.loads(weights.with_suffix(".json").read_text())
            if state["sha256"] != _digest(weights):
                raise ValueError("its content does not match its digest")
            model = keras.saving.load_model(weights)
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = str(error).strip().split("\n")[0]
            on_note(f"{weights}: the checkpoint is damaged ({reason}); the one before it is used")
            continue
        rows = [{name: math.nan if value is None else value for name, value in row.items()} for row in state["history"]]
        return model, rows
    return None


def _numbers(folder: Path) -> list[int]:
    return sorted(int(path.stem.removeprefix("epoch_")) for path in folder.glob("epoch_*.json"))
