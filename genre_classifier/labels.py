"""Label tables: who says what genre which part of a trailer shows.

A label table is a DataFrame with the columns trailer (str), start, end (float64 seconds; both NaN: a weak label, the
whole trailer), genre (one of `GENRES`) and, optionally, group (str; trailers of one group are never split). A trailer
has strong labels (intervals) or weak ones, never both.

`read_labels` and `write_labels` know five formats; the formats themselves are in `label_formats.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from genre_classifier import label_formats
from genre_classifier.genres import GENRE_MAP, GENRES, canonical_genre
from preprocessing.errors import InputError

OTHER = GENRES.index("other")


def read_labels(
    path: Path,
    *,
    genre_map: Mapping[str, str | None] = GENRE_MAP,
    unmapped_as_other: bool = False,
    on_note: Callable[[str], None] | None = None,
) -> pd.DataFrame:
    """Read a label table in any of the known formats, found out from the file's name and content.

    Parameters
    ----------
    path : Path
        `labels.csv`, a wide table, ActivityNet JSON, Label Studio JSON or DCASE tab-separated events.
    genre_map : mapping
        From lower-case names to genres; None leaves the name out. See `read_genre_map`.
    unmapped_as_other : bool
        Names that map to None become `other` instead of being left out.
    on_note : callable, optional
        Called with one line about names that were left out, with their counts.

    Returns
    -------
    DataFrame
        A validated label table.

    Raises
    ------
    InputError
        Naming the file and row: an unknown genre, a text where seconds belong, an end that is not after its start, a
        trailer with both intervals and weak labels, a file of no known format.
    """
    raw = label_formats.read_table(path)
    genres, unmapped = [], Counter[str]()
    for where, name in zip(raw["where"], raw["genre"], strict=True):
        try:
            genre = canonical_genre(name, genre_map)
        except KeyError:
            raise InputError(
                f"{path}, {where}: expected a genre ({', '.join(GENRES)}, or a MovieLens or IMDb name), found {name!r}"
            ) from None
        if genre is None:
            unmapped[name.strip()] += 1
            genre = "other" if unmapped_as_other else None
        genres.append(genre)
    if unmapped and on_note:
        counts = ", ".join(f"{name} ({count})" for name, count in unmapped.most_common())
        what = "taken as other" if unmapped_as_other else "left out"
        on_note(f"{path}: genres outside the six, {what}: {counts}")
    labels = raw.assign(genre=np.array(genres, dtype=object)).loc[[genre is not None for genre in genres]]
    _check_intervals(path, labels)
    return labels.drop(columns="where").drop_duplicates().reset_index(drop=True)


def read_genre_map(path: Path) -> dict[str, str | None]:
    """Read a table `name,genre` that adds to and overrides `GENRE_MAP`; an empty genre leaves the name out.

    Raises
    ------
    InputError
        If the file cannot be read, lacks a column, or maps to something that is not one of the six.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected a table with columns name,genre, found: {error}") from error
    if not {"name", "genre"} <= set(table.columns):
        raise InputError(f"{path}: expected columns name,genre, found {','.join(map(str, table.columns))}")
    overrides: dict[str, str | None] = {}
    for row, (name, genre) in enumerate(zip(table["name"], table["genre"], strict=True), start=2):
        genre = genre.strip().lower()
        if genre and genre not in GENRES:
            raise InputError(f"{path}, row {row}: expected one of {', '.join(GENRES)} or nothing, found {genre!r}")
        overrides[name.strip().lower()] = genre or None
    return {**GENRE_MAP, **overrides}


def write_labels(
    path: Path, labels: pd.DataFrame, *, file_format: str | None = None, on_note: Callable[[str], None] | None = None
) -> None:
    """Write a label table.

    Parameters
    ----------
    path : Path
        Its ending chooses the format: .csv, .tsv or .json (ActivityNet).
    labels : DataFrame
        A label table.
    file_format : str, optional
        One of `label_formats.WRITERS`, where the ending does not tell.
    on_note : callable, optional
        Called with one line for each kind of thing that the format cannot hold.
    """
    label_formats.write_table(path, labels, file_format=file_format, on_note=on_note or (lambda note: None))


def _check_intervals(path: Path, labels: pd.DataFrame) -> None:
    start, end = labels["start"], labels["end"]
    for bad, expected in (
        (start.isna() != end.isna(), "both start and end, or neither for the whole trailer"),
        (start < 0, "a start of at least 0 seconds"),
        (end <= start, "an end after its start"),
        (np.isinf(start) | np.isinf(end), "finite seconds"),
    ):
        if bad.any():
            row = labels[bad].iloc[0]
            raise InputError(f"{path}, {row['where']}: expected {expected}, found start {row.start}, end {row.end}")
    weak = start.isna()
    if mixed := sorted(set(labels["trailer"][weak]) & set(labels["trailer"][~weak])):
        raise InputError(f"{path}: expected intervals or whole-trailer labels, found both for trailer {mixed[0]!r}")
    if "group" in labels:
        groups = labels.groupby("trailer")["group"].nunique()
        if (groups > 1).any():
            raise InputError(f"{path}: expected one group for each trailer, found several for {groups.idxmax()!r}")


def is_weak(trailer_labels: pd.DataFrame) -> bool:
    """Return whether one trailer's labels are about the whole trailer."""
    return bool(trailer_labels["start"].isna().all())


def frame_targets(trailer_labels: pd.DataFrame, times: np.ndarray) -> np.ndarray:
    """Turn one trailer's labels into targets per frame.

    Parameters
    ----------
    trailer_labels : DataFrame
        The rows of one trailer.
    times : ndarray of float, shape (frames,)
        Seconds of the clip's frames.

    Returns
    -------
    ndarray of float32, shape (frames, 6)
        1 where the genre applies. Weak labels apply to every frame. A frame at time t is inside an interval when
        start <= t < end; with intervals, a frame outside all of them is `other`.
    """
    targets = np.zeros((len(times), len(GENRES)), dtype=np.float32)
    columns = trailer_labels["genre"].map(GENRES.index).to_numpy(dtype=np.intp)
    if is_weak(trailer_labels):
        targets[:, columns] = 1
        return targets
    intervals = trailer_labels[["start", "end"]].to_numpy(dtype=np.float64)
    for (start, end), column in zip(intervals, columns, strict=True):
        targets[(times >= start) & (times < end), column] = 1
    targets[targets.sum(axis=1) == 0, OTHER] = 1
    return targets


def labels_for_trailers(
    labels: pd.DataFrame,
    manifest: pd.DataFrame,
    *,
    skip_unknown: bool = False,
    on_note: Callable[[str], None] | None = None,
) -> dict[int, pd.DataFrame]:
    """Join a label table with a clips folder.

    Parameters
    ----------
    labels : DataFrame
        A label table; `trailer` is a manifest source or a trailer id (a source wins).
    manifest : DataFrame
        As `preprocessing.manifest.read_manifest` gives it.
    skip_unknown : bool
        Count labels of trailers that the manifest does not know instead of refusing them.
    on_note : callable, optional
        Called with one line each about labels without clips and clips without labels.

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
    names = {str(name): by_source.get(str(name), by_id.get(str(name))) for name in labels["trailer"].unique()}
    without_clip = [name for name, trailer_id in names.items() if trailer_id is None]
    unknown = [name for name in without_clip if name not in failed]
    if unknown and not skip_unknown:
        example = next(iter(by_source), "none")
        raise InputError(
            f"labels name the trailer {unknown[0]!r} (and {len(unknown) - 1} more) that the manifest of the clips does "
            f"not know; expected a source such as {example!r} or an id; correct it, or skip such rows (--skip-unknown)"
        )
    joined: dict[int, pd.DataFrame] = {}
    for name, rows in labels.groupby("trailer", sort=False):
        trailer_id = names[str(name)]
        if trailer_id is None:
            continue
        if trailer_id in joined:
            raise InputError(f"labels name the trailer {trailer_id} twice, by its id and by its source {name!r}")
        joined[trailer_id] = rows
    if not joined:
        raise InputError(
            f"no label has a clip: {len(names)} labelled trailers, {len(done)} clips, none in common; the column "
            "`trailer` must hold manifest sources or ids"
        )
    if on_note:
        if without_clip:
            on_note(f"{len(without_clip)} labelled trailers have no clip and are left out, such as {without_clip[0]!r}")
        if unlabelled := sorted(set(by_id.values()) - set(joined)):
            on_note(f"{len(unlabelled)} clips have no label and are left out, such as trailer {unlabelled[0]}")
    return dict(sorted(joined.items()))
