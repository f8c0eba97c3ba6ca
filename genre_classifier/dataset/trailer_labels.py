"""What label tables say of single trailers: which clip each belongs to, and what holds of which frame.

Several tables become one: what a person corrected later takes the place of what was there.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd

from genre_classifier.genres import GENRES, OTHER, listed
from preprocessing.base.errors import InputError
from preprocessing.base.files import abbreviated_repr

logger = logging.getLogger(__name__)

_MOST_NAMED = 5
# Label Studio puts eight digits of a digest before the name of an uploaded file.
_UPLOADED = re.compile(r"^[0-9a-f]{8}-")


def is_weak(trailer_labels: pd.DataFrame) -> bool:
    """Return whether one trailer's labels are about the whole trailer."""
    return bool(trailer_labels["start"].isna().all())


def is_checked(trailer_labels: pd.DataFrame) -> bool:
    """Return whether one trailer's labels say something about all of its frames."""
    return "checked" not in trailer_labels or bool(trailer_labels["checked"].all())


def only_checked(labels: pd.DataFrame) -> pd.DataFrame:
    """Return the labels of trailers that are checked, which alone can judge scores; how many are not is logged.

    Raises
    ------
    InputError
        If none is.
    """
    if "checked" not in labels:
        return labels
    unchecked = labels.loc[~labels["checked"], "trailer"].nunique()
    if unchecked and not labels["checked"].any():
        raise InputError(
            f"labels: expected trailers that are checked, found none: {unchecked} say `no` in the column checked, and "
            "cannot judge; say `yes` of those that somebody has watched to the end"
        )
    if unchecked:
        logger.warning(f"{unchecked} trailers are not checked and cannot judge: left out")
    return labels[labels["checked"]].drop(columns="checked")


def own_group(trailer_id: int) -> str:
    """Return the name of the group of a trailer that is in no other."""
    return f"trailer {trailer_id}"


def labels_for_trailers(
    labels: pd.DataFrame,
    manifest: pd.DataFrame,
    *,
    skip_unknown: bool = False,
    quiet: bool = False,
) -> dict[int, pd.DataFrame]:
    """Join a label table with a clips folder.

    Parameters
    ----------
    labels : DataFrame
        A label table; `trailer` is a manifest source or a trailer id (a source wins), or the name that Label Studio
        gave an uploaded file: a digest before it, signs escaped as in an address.
    manifest : DataFrame
        As `preprocessing.manifest.read_manifest` gives it.
    skip_unknown : bool
        Count labels of trailers that the manifest does not know instead of refusing them.
    quiet : bool
        Log nothing about labels without clips and clips without labels.

    Returns
    -------
    dict
        From trailer id to that trailer's rows, in the order of ids.

    Raises
    ------
    InputError
        For a trailer that the manifest does not know, for one that is named both by its source and by its id, or when
        no label has a clip.
    """
    done = manifest[manifest["status"] == "ok"]
    by_source = {str(source): int(i) for source, i in zip(done["source"], done["trailer_id"], strict=True)}
    by_id = {str(i): i for i in by_source.values()}
    failed = set(manifest.loc[manifest["status"] != "ok", "source"].astype(str))
    known = {name: _known_name(str(name), by_source.keys() | failed) for name in labels["trailer"].unique()}
    names = {name: by_source.get(source, by_id.get(source)) for name, source in known.items()}
    without_clip = [name for name, trailer_id in names.items() if trailer_id is None]
    unknown = [name for name in without_clip if known[name] not in failed]
    if unknown and not skip_unknown:
        example = next(iter(by_source), "none")
        _refuse_other_signs(unknown, by_source)
        raise InputError(
            f"labels name the trailer {abbreviated_repr(unknown[0])} (and {len(unknown) - 1} more) that the manifest "
            f"of the clips does not know; expected a source such as {example!r} or an id; correct it, or skip "
            "such rows (--skip-unknown)"
        )
    joined: dict[int, pd.DataFrame] = {}
    for name, rows in labels.groupby("trailer", sort=False):
        trailer_id = names[name]
        if trailer_id is None:
            continue
        if trailer_id in joined:
            twice = f"as {abbreviated_repr(joined[trailer_id]['trailer'].iloc[0])} and as {abbreviated_repr(name)}"
            raise InputError(f"labels name the trailer {trailer_id} twice, {twice}; give its labels under one name")
        joined[trailer_id] = rows
    if not joined:
        raise InputError(
            f"no label has a clip: {len(names)} labelled trailers, {len(done)} clips, none in common; the column "
            "`trailer` must hold manifest sources or ids"
        )
    if not quiet:
        if without_clip:
            logger.warning(
                f"{len(without_clip)} labelled trailers have no clip and are left out, such as {without_clip[0]!r}"
            )
        if unlabelled := sorted(set(by_id.values()) - set(joined)):
            logger.warning(f"{len(unlabelled)} clips have no label and are left out, such as trailer {unlabelled[0]}")
    return dict(sorted(joined.items()))


def _known_name(name: str, sources: Set[str]) -> str:
    """Return the source that a name stands for: itself, unless only what Label Studio made of it is unknown."""
    plain = _UPLOADED.sub("", name)
    return next((one for one in (name, unquote(name), plain, unquote(plain)) if one in sources), name)


def _refuse_other_signs(names: Sequence[str], sources: Mapping[str, int]) -> None:
    """Say so (InputError) where a name looks like a source and is written with other signs."""
    alike = {unicodedata.normalize("NFC", source): source for source in sources}
    for name in names:
        if source := alike.get(unicodedata.normalize("NFC", name)):
            raise InputError(
                f"labels name the trailer {abbreviated_repr(name)} with other signs than the manifest of the clips "
                "does: letters with accents are one sign in the one and two in the other (Unicode NFC, NFD); write the "
                f"name as the file has it, or give the id {sources[source]}"
            )


def frame_targets(trailer_labels: pd.DataFrame, times: np.ndarray, genres: Sequence[str] = GENRES) -> np.ndarray:
    """Turn one trailer's labels into targets per frame.

    Parameters
    ----------
    trailer_labels : DataFrame
        The rows of one trailer.
    times : ndarray of float, shape (frames,)
        Seconds of the clip's frames.
    genres : sequence of str
        Of the columns.

    Returns
    -------
    ndarray of float32, shape (frames, genres)
        1 where the genre applies. Weak labels apply to every frame. A frame at time t is inside an interval when
        start <= t < end; with intervals, a frame outside all of them is `other`, where that is one of the genres.

    Raises
    ------
    InputError
        If the labels name another genre.
    """
    genres = list(genres)
    if unknown := sorted(set(trailer_labels["genre"]) - set(genres)):
        raise InputError(
            f"labels: expected the genres {listed(genres)}, found {abbreviated_repr(unknown[0])}; see --genres"
        )
    targets = np.zeros((len(times), len(genres)), dtype=np.float32)
    columns = trailer_labels["genre"].map(genres.index).to_numpy(dtype=np.intp)
    if is_weak(trailer_labels):
        targets[:, columns] = 1
        return targets
    intervals = trailer_labels[["start", "end"]].to_numpy(dtype=np.float64)
    for (start, end), column in zip(intervals, columns, strict=True):
        targets[(times >= start) & (times < end), column] = 1
    if OTHER in genres:
        targets[targets.sum(axis=1) == 0, genres.index(OTHER)] = 1
    return targets


def labels_past_ends(trailers: Iterable[tuple[str, pd.DataFrame, np.ndarray]]) -> str | None:
    """Say which intervals begin after their trailer has ended, and whether that is so of most of what is labelled.

    Parameters
    ----------
    trailers : iterable of (str, DataFrame, ndarray)
        Name, rows of its labels and seconds of its frames (at least one). A trailer ends half a step after its last
        frame.

    Returns
    -------
    str or None
        A line for the user; None where there is nothing to say.
    """
    total, late, names = 0, 0, []
    labelled = past = 0.0  # seconds
    for name, rows, times in trailers:
        intervals = rows.loc[np.isfinite(rows["end"]), ["start", "end"]].to_numpy(dtype=np.float64)
        start, stop = intervals[:, 0], intervals[:, 1]
        end = times[-1] + (times[-1] - times[-2]) / 2 if len(times) > 1 else np.inf
        gone = int((start >= end).sum())
        total, late = total + len(intervals), late + gone
        names += [abbreviated_repr(name)] * (gone > 0)
        labelled += float((stop - start).sum())
        past += float(np.maximum(0.0, stop - np.maximum(start, end)).sum())
    said = []
    if late:
        said.append(
            f"{late} of {total} intervals begin after the end of their trailer, and nothing is labelled by them: in "
            f"{listed(names, _MOST_NAMED)}."
        )
    if past > labelled / 2:
        said.append(
            "Most of the labelled time lies past the ends of the trailers: are its times milliseconds? They have to be "
            "seconds."
        )
    return " ".join(said) or None


def labelled_frames(trailer_labels: pd.DataFrame, times: np.ndarray) -> np.ndarray:
    """Return which frames of a trailer its labels are about: all, or those inside intervals where it is not checked.

    Parameters
    ----------
    trailer_labels, times
        As for `frame_targets`.

    Returns
    -------
    ndarray of bool, shape (frames,)
    """
    if is_checked(trailer_labels):
        return np.ones(len(times), dtype=bool)
    known = np.zeros(len(times), dtype=bool)
    for start, end in trailer_labels[["start", "end"]].to_numpy(dtype=np.float64):
        known |= (times >= start) & (times < end)
    return known


_MOST_NAMED = 5


def merge_labels(tables: Sequence[tuple[Path, pd.DataFrame]], named: Sequence[Set[str]] | None = None) -> pd.DataFrame:
    """Return one label table in which the last file that names a trailer says all about it.

    What is replaced by something else is logged. A trailer's group stays where the later table knows none.

    Parameters
    ----------
    tables : sequence of (Path, DataFrame)
        Files, for what is logged, and their label tables as `read_labels` gives them.
    named : sequence of set of str, optional
        The trailers that each file names, also those of which its table holds no label, because the genres that it
        gives them are left out. By default those in the tables.

    Returns
    -------
    DataFrame
        In the order of the tables, each with the trailers that no later one names.
    """
    merged: list[pd.DataFrame] = []
    named = [set(table["trailer"]) for _, table in tables] if named is None else named
    for (path, table), names in zip(tables, named, strict=True):
        changed, kept = [], []
        for earlier in merged:
            again = earlier["trailer"].isin(names)
            changed += [name for name in earlier.loc[again, "trailer"].unique() if not _agree(earlier, table, name)]
            table = _with_groups(table, earlier[again])
            kept.append(earlier[~again])
        if changed:
            said = listed([repr(name) for name in changed], _MOST_NAMED)
            logger.warning(f"{path}: takes the place of what earlier files say of {said}")
        left = set(table["trailer"])
        if emptied := [name for name in changed if name not in left]:
            said = listed([repr(name) for name in emptied], _MOST_NAMED)
            logger.warning(f"{path}: no label is left of {said}: all genres that this file gives them are left out")
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
