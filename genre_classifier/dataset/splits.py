"""Which trailers train, which choose (validation) and which judge (test): drawn by group, alike in genres.

`splits.csv` holds the columns trailer_id, source, split, group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from genre_classifier.dataset.trailer_labels import own_group
from preprocessing.base.errors import InputError
from preprocessing.base.files import abbreviated_repr, write_atomically
from preprocessing.base.tables import read_numbers, read_table

if TYPE_CHECKING:
    from genre_classifier.dataset.trailers import Trailer

SPLIT_NAMES = ("train", "validation", "test")


def draw_splits(genres: np.ndarray, groups: Sequence[str], shares: Sequence[float], *, seed: int = 0) -> list[str]:
    """Assign trailers to splits, whole groups at a time, so that each split has its share of every genre.

    Groups are handed out one by one, those with the rarest genre first, each to the split that still lacks most of
    that genre (iterative stratification; Sechidis, Tsoumakas, Vlahavas, "On the stratification of multi-label data",
    ECML PKDD 2011), ties going to the split that lacks most trailers and then to chance.

    Parameters
    ----------
    genres : ndarray of bool, shape (trailers, genres)
        Which genres each trailer shows.
    groups : sequence of str, length trailers
    shares : sequence of float, length 3
        Of train, validation and test; they add up to 1. A share above 0 gets at least one group where there are
        enough; the training split comes first.
    seed : int

    Returns
    -------
    list of str, length trailers
    """
    rng = np.random.default_rng(seed)
    names = sorted(set(groups))
    members = {name: [row for row, group in enumerate(groups) if group == name] for name in names}
    content = np.array([np.asarray(genres)[members[name]].sum(axis=0) for name in names], dtype=np.float64)
    sizes = np.array([len(members[name]) for name in names], dtype=np.float64)
    lacking_genres = np.outer(shares, content.sum(axis=0))  # (splits, genres)
    lacking_trailers = np.asarray(shares) * sizes.sum()  # (splits,)
    asked = [split for split, share in enumerate(shares) if share > 0]
    order = rng.permutation(len(names))
    left = set(order.tolist())
    chosen: dict[int, int] = {}

    def place(which: int, split: int) -> None:
        chosen[which] = split
        left.discard(which)
        lacking_genres[split] -= content[which]
        lacking_trailers[split] -= sizes[which]

    while left:
        # No split that was asked for stays empty while there are groups for it.
        empty = [split for split in asked if split not in chosen.values()]
        waiting = [which for which in order if which in left]
        present = content[waiting].sum(axis=0)
        if present.any():
            rarest = int(np.argmin(np.where(present > 0, present, np.inf)))
            which = max(waiting, key=lambda group: content[group, rarest])
        else:
            rarest, which = 0, waiting[0]
        candidates = empty if len(left) <= len(empty) else asked
        noise = rng.random(len(shares))
        place(which, max(candidates, key=lambda s: (lacking_genres[s, rarest], lacking_trailers[s], noise[s])))
    split_of_group = {names[which]: SPLIT_NAMES[split] for which, split in chosen.items()}
    return [split_of_group[group] for group in groups]


def keep_splits(trailers: Sequence[Trailer], before: pd.DataFrame, where: str) -> dict[int, str]:
    """Return the splits that trailers have in another run: their own there, or that of their group.

    Parameters
    ----------
    trailers : sequence of Trailer
    before : DataFrame
        The rows of that run's `splits.csv`.
    where : str
        The file, for the message.

    Returns
    -------
    dict of int to str
        By trailer id; trailers that are new are missing.

    Raises
    ------
    InputError
        If the table knows trailers by their ids alone, which another clips folder may give others.
    """
    if "source" not in before:
        raise InputError(
            f"{where}: expected the column source, by which trailers are known again, found none; add it to the file"
        )
    of_source = dict(zip(before["source"], before["split"], strict=True))
    groups = before["group"] if "group" in before else pd.Series(None, index=before.index, dtype=object)
    of_group = {
        group: split
        for trailer_id, group, split in zip(before["trailer_id"], groups, before["split"], strict=True)
        if group is not None and group != own_group(int(trailer_id))
    }
    of_group |= {trailer.group: of_source[trailer.source] for trailer in trailers if trailer.source in of_source}
    splits = {trailer.trailer_id: of_source.get(trailer.source, of_group.get(trailer.group)) for trailer in trailers}
    return {trailer_id: split for trailer_id, split in splits.items() if split is not None}


def require_kept(table: pd.DataFrame, kept: Mapping[int, str], run: str) -> None:
    """Refuse splits in which a test trailer of an earlier run would train or choose (InputError)."""
    split_of = dict(zip(table["trailer_id"].astype(int), table["split"], strict=True))
    for trailer_id, split in kept.items():
        if split == "test" != split_of.get(trailer_id, split):
            raise InputError(
                f"splits: expected the test trailers of {run} to stay in the split test, found trailer {trailer_id} in "
                f"{split_of[trailer_id]}: the network would be judged by what it has learned"
            )


def splits_table(trailers: Sequence[Trailer], splits: Sequence[str]) -> pd.DataFrame:
    """Return the rows of `splits.csv`."""
    rows = [
        (trailer.trailer_id, trailer.source, split, trailer.group)
        for trailer, split in zip(trailers, splits, strict=True)
    ]
    return pd.DataFrame(rows, columns=["trailer_id", "source", "split", "group"])


def write_splits(path: Path, table: pd.DataFrame) -> None:
    """Write `splits.csv`."""
    write_atomically(path, table.to_csv(index=False, lineterminator="\n"))


def read_splits(path: Path | str) -> pd.DataFrame:
    """Read and check a `splits.csv`: columns trailer_id and split, and maybe source and group.

    Raises
    ------
    InputError
        If it is not such a table, an id or a split is not valid, or a trailer or group is in two splits.
    """
    path = Path(path)
    table = read_table(path, "a table with columns trailer_id,split", columns=("trailer_id", "split"))
    table["trailer_id"] = read_numbers(path, table, "trailer_id", whole=True, least=0)
    for row, split in enumerate(table["split"], start=2):
        if split not in SPLIT_NAMES:
            raise InputError(
                f"{path}, row {row}: expected a split of {', '.join(SPLIT_NAMES)}, found {abbreviated_repr(split)}"
            )
    for name in ("source", "group"):
        if name in table:
            table[name] = table[name].replace("", None)
    check_leakage(table, str(path))
    return table


def splits_of_trailers(trailers: Sequence[Trailer], table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `splits.csv` for trailers out of a table that may be about another clips folder.

    A trailer is known again by its source, since another folder gives it another id; by its id where the table has no
    source. Trailers that the table does not name have no row.
    """
    source = table["source"] if "source" in table else pd.Series(None, index=table.index, dtype=object)
    named = source.notna()
    of_source = dict(zip(source[named], table.loc[named, "split"], strict=True))
    of_id = dict(zip(table.loc[~named, "trailer_id"].astype(int), table.loc[~named, "split"], strict=True))
    found = [(trailer, of_source.get(trailer.source, of_id.get(trailer.trailer_id))) for trailer in trailers]
    known = [(trailer, split) for trailer, split in found if split is not None]
    return splits_table([trailer for trailer, _ in known], [split for _, split in known])


def check_leakage(table: pd.DataFrame, where: str) -> None:
    """Refuse a table in which a trailer or a group is in two splits (InputError)."""
    for column in ("trailer_id", "source", "group"):
        if column in table:
            splits = table.dropna(subset=[column]).groupby(column)["split"].nunique()
            if (splits > 1).any():
                raise InputError(f"{where}: expected each {column} in one split, found {splits.idxmax()!r} in several")


def apply_splits(trailers: Sequence[Trailer], table: pd.DataFrame, where: str) -> dict[str, list[Trailer]]:
    """Sort trailers by a splits table; those it does not name are left out.

    Raises
    ------
    InputError
        If the table puts two trailers of one group into different splits, names no trailer for training, or would let
        one that is not checked judge.
    """
    split_of = dict(zip(table["trailer_id"].astype(int), table["split"], strict=True))
    named = [trailer for trailer in trailers if trailer.trailer_id in split_of]
    check_leakage(splits_table(named, [split_of[trailer.trailer_id] for trailer in named]), where)
    sorted_trailers: dict[str, list[Trailer]] = {split: [] for split in SPLIT_NAMES}
    for trailer in named:
        sorted_trailers[split_of[trailer.trailer_id]].append(trailer)
    for split in SPLIT_NAMES[1:]:
        if partly := next((trailer for trailer in sorted_trailers[split] if not trailer.labelled.all()), None):
            raise InputError(
                f"{where}: expected trailers with labels for all of their frames in the split {split}, found "
                f"{abbreviated_repr(partly.source)}, which is not checked: check it to its end, or let it train"
            )
    if not sorted_trailers["train"]:
        raise InputError(f"{where}: expected at least one labelled trailer in the split train, found none")
    return sorted_trailers
