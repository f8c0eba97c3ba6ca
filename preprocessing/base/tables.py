"""Tables read whole: each cell as text or as a number, or one line that names the row and what was found in it."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import pandas as pd

from preprocessing.base import files
from preprocessing.base.errors import InputError
from preprocessing.base.files import MOST_BYTES, abbreviated_repr, read_text


def read_table(
    path: Path, expected: str, *, columns: Sequence[str] = (), separator: str = ",", most_bytes: int = MOST_BYTES
) -> pd.DataFrame:
    """Read a table with a header line; every cell is text, an empty one the empty string.

    Blank lines are skipped. Row `i` of the result is called row `i + 2` in messages: the header is row 1.

    Parameters
    ----------
    path, expected, most_bytes
        As for `read_text`.
    columns : sequence of str
        Those that must be there; others are kept.
    separator : str
        Between cells.

    Raises
    ------
    InputError
        As `read_text`; and if a quote is not closed, a row has more or fewer cells than the header, a column is
        missing or there twice.
    """
    text = read_text(path, expected, most_bytes=most_bytes)
    try:
        # newline="": line breaks inside quotes stay as they are.
        rows = [row for row in csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True) if row]
    except csv.Error as error:
        raise InputError(f"{path}: expected {expected}, found no table ({csv_reason(error)})") from error
    if not rows:
        raise InputError(f"{path}: expected {expected}, found an empty file")
    header = rows.pop(0)
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise InputError(f"{path}, row {number}: expected {len(header)} cells, found {len(row)}")
    if missing := [name for name in columns if name not in header]:
        names, found = ",".join(columns), abbreviated_repr(",".join(header))
        raise InputError(f"{path}: expected the columns {names}; missing {','.join(missing)}, found {found}")
    if (twice := next((name for name in header if header.count(name) > 1), None)) is not None:
        raise InputError(f"{path}: expected each column once, found {abbreviated_repr(twice)} twice")
    return pd.DataFrame(rows, columns=header, dtype=str)


def csv_reason(error: csv.Error) -> str:
    r"""Return why Python's reader refuses a table, for a message: the separator in it may be a tab, written as `\t`."""
    return str(error).replace("\t", "\\t")


def read_numbers(
    path: Path,
    table: pd.DataFrame,
    name: str,
    *,
    whole: bool = False,
    empty: bool = False,
    least: float = -math.inf,
    most: float = math.inf,
) -> pd.Series:
    """Return a column of `read_table` as numbers.

    Parameters
    ----------
    path : Path
        For the message.
    table : DataFrame
    name : str
        Of the column.
    whole : bool
        Whole numbers of 64 bits only.
    empty : bool
        Take an empty cell for an unknown number.
    least, most : float
        Limits, both included.

    Returns
    -------
    Series
        float64 with NaN for unknown, every digit read; or, if `whole`, Int64 with NA.

    Raises
    ------
    InputError
        If a cell is empty without `empty`, no finite number, not whole, or beyond the limits; names its row.
    """
    kind, number = ("a whole number", files.parse_int64) if whole else ("a number", files.parse_finite)
    limits = "" if math.isinf(least) and math.isinf(most) else f" from {least:g} to {most:g}"
    values: list[float | None] = []
    for row, cell in enumerate(table[name], start=2):
        try:
            value = None if empty and not cell.strip() else number(cell)
            if value is not None and not least <= value <= most:
                raise ValueError
        except ValueError:
            raise InputError(
                f"{path}, row {row}: expected {kind}{limits} in column {name}, found {abbreviated_repr(cell)}"
            ) from None
        values.append(value)
    return pd.Series(values, index=table.index, dtype="Int64" if whole else "float64", name=name)
