"""The history of a training, one row per epoch, and what follows from it: the best epoch, and when to stop.

Pure: everything that a resumed training needs to know about the past is in these rows.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from genre_classifier.config import Keep
from preprocessing.base.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GENRE_COLUMN = re.compile(r"val_(?!macro_ap$)(.+)_ap")


def columns(genres: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of `history.csv`.

    Epochs count from 1; losses are sums over the outputs; seconds are wall time of the epoch.
    """
    of_genres = (f"val_{genre}_ap" for genre in genres)
    return ("epoch", "loss", "val_loss", "val_macro_ap", *of_genres, "learning_rate", "seconds")


def genres_of(rows: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """Return the genres of which the rows hold figures, in their order."""
    names = dict.fromkeys(name for row in rows for name in row)
    return tuple(found[1] for name in names if (found := _GENRE_COLUMN.fullmatch(name)))


def _table(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=list(columns(genres_of(rows))))


def _badness(row: dict[str, float], keep: Keep) -> tuple[float, ...]:
    """Return what training makes small, the first number first; what is not defined is worst.

    The macro-AP on validation, negated, and the loss there between equal ones; or the loss alone. Without validation
    the loss of training.
    """
    validation = (-row.get("val_macro_ap", math.nan), row.get("val_loss", math.nan))
    figures = validation[1:] if keep == "loss" else validation
    if all(map(math.isnan, figures)):
        figures = (row.get("loss", math.nan),)
    return tuple(math.inf if math.isnan(value) else value for value in figures)


def best_row(rows: Sequence[dict[str, float]], keep: Keep) -> int:
    """Return the index of the best epoch; of equal ones the first."""
    return min(range(len(rows)), key=lambda index: _badness(rows[index], keep))


def kept_row(rows: Sequence[dict[str, float]], keep: Keep) -> int:
    """Return the index of the epoch whose network a run keeps."""
    return len(rows) - 1 if keep == "last" else best_row(rows, keep)


def should_stop(rows: Sequence[dict[str, float]], patience: int | None, keep: Keep) -> bool:
    """Return whether `patience` epochs have passed since the best one; without validation none is."""
    validated = any(not math.isnan(row.get("val_loss", math.nan)) for row in rows)
    return patience is not None and validated and len(rows) - 1 - best_row(rows, keep) >= patience


def write_history(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write `history.csv`."""
    write_atomically(path, _table(rows).to_csv(index=False, lineterminator="\n"))


def draw_losses(axis: Axes, rows: Sequence[dict[str, float]]) -> None:
    """Draw the losses of training and validation over the epochs."""
    table = _table(rows)
    for name, label, style in (("loss", "training", "-"), ("val_loss", "validation", "--")):
        if table[name].notna().any():
            axis.plot(table["epoch"], table[name], style, color="black", label=label)
    axis.set(xlabel="epoch", ylabel="loss, sum over genres")


def draw_precision(axis: Axes, rows: Sequence[dict[str, float]]) -> None:
    """Draw the average precision on validation over the epochs, per genre and their mean."""
    table = _table(rows)
    for genre in genres_of(rows):
        values = table[f"val_{genre}_ap"]
        if values.notna().any():
            axis.plot(table["epoch"], values, label=genre, linewidth=1)
    axis.plot(table["epoch"], table["val_macro_ap"], color="black", linewidth=2.5, label="mean")
    axis.set(xlabel="epoch", ylabel="validation average precision", ylim=(0, 1))


def curves_png(rows: Sequence[dict[str, float]], kept_epoch: int) -> bytes:
    """Return `curves.png`: the losses, and the average precisions where there is a validation split."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    validated = any(not math.isnan(row.get("val_macro_ap", math.nan)) for row in rows)
    drawings = [draw_losses, draw_precision] if validated else [draw_losses]
    figure = Figure(figsize=(5 * len(drawings), 4), layout="constrained")
    for draw, axis in zip(drawings, figure.subplots(1, len(drawings), squeeze=False)[0], strict=True):
        draw(axis, rows)
        axis.axvline(kept_epoch, color="grey", linewidth=0.8, linestyle=":", label="epoch kept")
        axis.legend(fontsize="small", frameon=False)
        axis.spines[["top", "right"]].set_visible(False)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
