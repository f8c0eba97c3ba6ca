"""Score tables: one row per frame, one column per genre, indexed by seconds; in and out of `scores.csv`.

Pure pandas; never imports Keras.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd

from genre_classifier.genres import GENRES, check_genres
from preprocessing.base.errors import InputError
from preprocessing.base.files import abbreviated_repr, read_text, write_atomically


def scores_table(times: np.ndarray, scores: np.ndarray, genres: Sequence[str] = GENRES) -> pd.DataFrame:
    """Join times and scores into a table.

    Parameters
    ----------
    times : ndarray of float, shape (frames,)
        Seconds since the start of the container.
    scores : ndarray of float, shape (frames, genres)
        Probabilities in [0, 1].
    genres : sequence of str
        Names of the columns, in their order.

    Returns
    -------
    DataFrame
        Index `time` (float64 seconds), one float32 column per genre.
    """
    index = pd.Index(np.asarray(times, dtype=np.float64), name="time")
    return pd.DataFrame(np.asarray(scores, dtype=np.float32), index=index, columns=list(genres))


def write_scores(path: Path, scores: pd.DataFrame) -> None:
    """Write `scores.csv`: columns frame, time (seconds), then the genres. Atomic.

    What is read back equals what was written, to the last bit: a frame on the border of a label stays on its side.
    """
    table = scores.reset_index()
    table["time"] = [repr(float(time)) for time in scores.index]  # float_format is enough for float32 only
    table.insert(0, "frame", np.arange(len(table)))
    write_atomically(path, table.to_csv(index=False, float_format="%.9g"))


def read_scores(path: Path) -> pd.DataFrame:
    """Read what `write_scores` wrote.

    Raises
    ------
    InputError
        If the file is missing, lacks a column or has one twice, holds a score outside [0, 1], a genre that cannot be
        one, or times that do not increase.
    """
    expected = "a scores table (frame,time, then genres)"
    text = read_text(path, expected)
    try:
        header = pd.read_csv(StringIO(text), header=None, nrows=1, dtype=str, keep_default_na=False).iloc[0]
        table = pd.read_csv(StringIO(text), dtype={"time": str})
    except ValueError as error:
        reason = " ".join(str(error).split())  # some of pandas' end in a newline
        raise InputError(f"{path}: expected {expected}, found no table ({reason})") from error
    if (twice := header.duplicated()).any():  # which pandas would rename
        raise InputError(f"{path}: expected each column once, found {abbreviated_repr(header[twice].iloc[0])} twice")
    genres = [name for name in table.columns if name not in ("frame", "time")]
    if "time" not in table.columns or not genres:
        raise InputError(f"{path}: expected {expected}, found {abbreviated_repr(','.join(table.columns))}")
    try:
        check_genres(genres)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    for name in genres:
        if not pd.api.types.is_numeric_dtype(table[name]) or pd.api.types.is_bool_dtype(table[name]):
            raise InputError(f"{path}: expected numbers in column {name}, found text")
    try:  # NumPy reads every digit; pandas' own parser rounds
        times = table["time"].to_numpy(dtype=object).astype(np.float64)
    except ValueError as error:
        raise InputError(f"{path}: expected numbers in column time, found text") from error
    values = table[genres].to_numpy(dtype=np.float32)
    if (wrong := ~((values >= 0) & (values <= 1))).any():
        raise InputError(f"{path}: expected scores between 0 and 1, found {values[wrong][0]}")
    if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        row = int((~np.isfinite(times) | (np.diff(times, prepend=-np.inf) <= 0)).argmax())
        found = f"{times[row]:g} in row {row + 2}"
        raise InputError(f"{path}: expected strictly increasing seconds in column time, found {found}")
    return scores_table(times, values, genres)
