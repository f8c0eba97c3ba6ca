"""Label tables of several sources as one: what a person corrected later takes the place of what was there."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

logger = logging.getLogger(__name__)

_MOST_NAMED = 5


def merge_labels(tables: Sequence[tuple[Path, pd.DataFrame]]) -> pd.DataFrame:
    """Return one label table in which the last table that names a trailer says all about it.

    What is replaced by something else is logged. A trailer's group stays where the later table knows none.

    Parameters
    ----------
    tables : sequence of (Path, DataFrame)
        Files, for what is logged, and their label tables as `read_labels` gives them.

    Returns
    -------
    DataFrame
        In the order of the tables, each with the trailers that no later one names.
    """
    merged: list[pd.DataFrame] = []
    for path, table in tables:
        changed, kept = [], []
        for earlier in merged:
            again = earlier["trailer"].isin(table["trailer"])
            changed += [name for name in earlier.loc[again, "trailer"].unique() if not _agree(earlier, table, name)]
            table = _with_groups(table, earlier[again])
            kept.append(earlier[~again])
        if changed:
            more = f" and {len(changed) - _MOST_NAMED} more" if len(changed) > _MOST_NAMED else ""
            named = ", ".join(map(repr, changed[:_MOST_NAMED]))
            logger.warning(f"{path}: takes the place of what earlier files say of {named}{more}")
        merged = [*kept, table]
    filled = [table for table in merged if len(table)]
    table = pd.concat(filled or merged[-1:], ignore_index=True)
    return table.assign(checked=table["checked"].fillna(True).astype(bool)) if "checked" in table else table


def _agree(one: pd.DataFrame, other: pd.DataFrame, trailer: str) -> bool:
    """Return whether two tables have the same labels of a trailer."""
    columns = ["genre", "start", "end"]
    mine = (table.loc[table["trailer"] == trailer, columns] for table in (one, other))
    first, second = (rows.sort_values(columns, ignore_index=True) for rows in mine)
    return bool(first.equals(second))


def _with_groups(table: pd.DataFrame, earlier: pd.DataFrame) -> pd.DataFrame:
    if "group" not in earlier or earlier["group"].isna().all():
        return table
    groups = dict(zip(earlier["trailer"], earlier["group"], strict=True))
    known = table["group"] if "group" in table else pd.Series(None, index=table.index, dtype=object)
    return table.assign(group=known.where(known.notna(), table["trailer"].map(groups)))
