"""Label tables: who says what genre which part of a trailer shows.

A label table is a DataFrame with the columns trailer (str), start, end (float64 seconds; both NaN: a weak label, the
whole trailer), genre (as `genres.genre_name` writes it) and, optionally, group (str; trailers of one group are never
split) and checked (bool), each the same for all rows of a trailer. A trailer has strong labels (intervals) or weak
ones, never both. Intervals of one genre of a trailer neither overlap nor touch: those that do are one
(`join_intervals`). `other` from 0 to infinity is a trailer that shows none of the other genres.

A trailer with intervals that is not checked has labels inside them alone: training leaves its other frames out, and
nothing is judged by it. Without the column all are checked: what lies outside their intervals is `other`.

`read_labels` and `write_labels` know five formats: see `genre_classifier.dataset.label_formats`. What a table says of
single trailers and their frames: `genre_classifier.dataset.trailer_labels`.
"""

from __future__ import annotations

import logging
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from genre_classifier.config import MAX_LABEL_MB, ExportConfig
from genre_classifier.dataset import label_formats
from genre_classifier.dataset.trailer_labels import labels_for_trailers, merge_labels
from genre_classifier.genres import (
    GENRE_MAP,
    GENRES,
    OTHER,
    GenreMap,
    canonical_genre,
    check_genres,
    genre_name,
    listed,
    said_names,
)
from preprocessing.base.errors import InputError
from preprocessing.base.files import abbreviated_repr
from preprocessing.base.tables import read_table
from preprocessing.manifest import read_manifest

logger = logging.getLogger(__name__)


def read_labels(
    path: Path | str | Sequence[Path],
    *,
    genres: Sequence[str] = GENRES,
    genre_map: Mapping[str, str | None] = GENRE_MAP,
    unmapped_as_other: bool = False,
    fps: float | None = None,
    max_mb: float = MAX_LABEL_MB,
) -> pd.DataFrame:
    """Read a label table in any of the known formats, found out from the file's name and content.

    Parameters
    ----------
    path : path or sequence of Path
        `labels.csv`, a wide table, ActivityNet JSON, Label Studio JSON or DCASE tab-separated events. Several become
        one table, in which the last file that names a trailer says all about it: see `merge_labels`.
    genres : sequence of str
        What the table's names may stand for: these names themselves, or those that `genre_map` gives them. Other names
        are errors beside the article's six, whose tables are known, and left out beside any others.
    genre_map : mapping
        From lower-case names to genres; a name that stands for none of `genres` is left out. See `read_genre_map`.
    unmapped_as_other : bool
        Such names become `other` instead, which must be one of the genres.
    fps : float, optional
        Frames per second of Label Studio's tasks that do not say theirs; unless given, what it assumes is logged.
    max_mb : float
        Megabytes; a larger file is refused unread.

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
    tables, named = [], []
    for one in [Path(path)] if isinstance(path, Path | str) else path:
        raw = label_formats.read_table(one, fps=fps, max_mb=max_mb)
        tables.append((one, _label_table(one, raw, genres, genre_map, unmapped_as_other=unmapped_as_other)))
        named.append(set(raw["trailer"]))
    if not tables:
        raise InputError("expected one or more files of labels, found none")
    return merge_labels(tables, named)


def _label_table(
    path: Path,
    raw: pd.DataFrame,
    genres: Sequence[str],
    genre_map: Mapping[str, str | None],
    *,
    unmapped_as_other: bool,
) -> pd.DataFrame:
    """Return what `label_formats.read_table` read of a file as a label table; see `read_labels`."""
    if "group" in raw:
        raw = _one_group_each(path, raw)
    if unmapped_as_other and OTHER not in genres:
        raise InputError(f"expected `{OTHER}` among the genres to take others as, found {listed(genres)}")
    found, unmapped, unknown = [], Counter[str](), dict[str, str]()
    for where, name in zip(raw["where"], raw["genre"], strict=True):
        genre = None
        try:
            genre = canonical_genre(name, genres, genre_map)
        except KeyError:
            unknown.setdefault(name, where)
        if genre is None:
            unmapped[name.strip()] += 1
            genre = OTHER if unmapped_as_other else None
        found.append(genre)
    of_article = tuple(genres) == GENRES
    if unknown and (of_article or not any(found)):
        (name, where), more = next(iter(unknown.items())), len(unknown) - 1
        others = f" (and {more} more: {listed([abbreviated_repr(name) for name in list(unknown)[1:]])})" if more else ""
        raise InputError(
            f"{path}, {where}: expected a genre ({listed(genres)}, or a MovieLens or IMDb name), found "
            f"{abbreviated_repr(name)}{others}; --genres names the genres of a run, --genre-map adds other names "
            f"for them"
        )
    if unmapped:
        counts = ", ".join(f"{name} ({count})" for name, count in unmapped.most_common())
        what = "taken as other" if unmapped_as_other else "left out"
        outside = "the six" if of_article else f"{listed(genres)} (--genres)"
        logger.warning(f"{path}: genres outside {outside}, {what}: {counts}")
    labels = raw.assign(genre=np.array(found, dtype=object)).loc[[genre is not None for genre in found]]
    _check_intervals(path, labels)
    if "checked" in labels:
        labels = labels.assign(checked=_read_checked(path, labels))
    labels = labels.drop(columns="where").drop_duplicates()
    joined = join_intervals(labels)
    if len(joined) < len(labels):
        count = len(labels) - len(joined)
        logger.warning(f"{path}: {count} intervals overlap or touch another one of their genre: joined with it")
    return joined


def _one_group_each(path: Path, raw: pd.DataFrame) -> pd.DataFrame:
    """Return a table in which all rows of a trailer have the group that any of them names."""
    # One name is one group, however its accents are encoded: else one film lands in train and in test.
    names = raw["group"].map(lambda name: unicodedata.normalize("NFC", name).strip() or None, na_action="ignore")
    if names.isna().all():
        return raw.drop(columns="group")
    groups = names.groupby(raw["trailer"]).transform("first")
    if (other := names.notna() & (names != groups)).any():
        trailer, one, two = (abbreviated_repr(column[other].iloc[0]) for column in (raw["trailer"], groups, names))
        raise InputError(f"{path}: expected one group for each trailer, found {one} and {two} for {trailer}")
    return raw.assign(group=groups)


def _read_checked(path: Path, labels: pd.DataFrame) -> pd.Series:
    """Return whether each row's trailer is checked: not where it says `no`, unless it is labelled as a whole."""
    said = labels["checked"].fillna("yes").str.strip().str.lower().replace("", "yes")
    if (wrong := ~said.isin(["yes", "no"])).any():
        where, found = labels.loc[wrong, ["where", "checked"]].iloc[0]
        raise InputError(f"{path}, {where}: expected checked to be yes or no, found {abbreviated_repr(found)}")
    per_trailer = said.groupby(labels["trailer"])
    if (several := per_trailer.min() != per_trailer.max()).any():
        raise InputError(
            f"{path}: expected one value of checked for each trailer, found both for "
            f"{abbreviated_repr(several.idxmax())}"
        )
    return (said == "yes") | labels["start"].isna()


def common_genres(
    path: Path,
    *,
    min_trailers: int = 1,
    clips: Path | None = None,
    genre_map: Mapping[str, str | None] = GENRE_MAP,
    max_mb: float = MAX_LABEL_MB,
) -> tuple[str, ...]:
    """Return the genres of a label table, by their own names or a user's, that enough trailers show.

    Parameters
    ----------
    path : Path
        In any format of `read_labels`.
    min_trailers : int
        Fewest trailers that show a genre.
    clips : Path, optional
        A clips folder: only trailers that have a clip in it count.
    genre_map : mapping
        As `read_genre_map` gives it. Only what the user says counts.
    max_mb : float
        Megabytes; a larger file is refused unread.

    Returns
    -------
    tuple of str
        In the order of the alphabet, `other` last.

    Raises
    ------
    InputError
        If the file cannot be read, or no genre, or more than a run can have, is shown by enough trailers.
    """
    # Names do not depend on the rate.
    raw = label_formats.read_table(path, fps=ExportConfig.label_studio_fps, max_mb=max_mb)
    if clips is not None:
        raw = pd.concat(labels_for_trailers(raw, read_manifest(clips), skip_unknown=True, quiet=True).values())
    said = said_names(genre_map)
    named = [said.get(name, name) for name in map(genre_name, raw["genre"])]  # None: the user leaves it out
    trailers = raw.groupby(np.array(named, dtype=object))["trailer"].nunique()
    genres: list[str] = []
    rare: list[str] = []
    for name, count in trailers.items():
        try:
            check_genres([str(name)])
        except InputError:  # MovieLens writes "(no genres listed)"
            continue
        (genres if count >= min_trailers else rare).append(str(name))
    genres.sort(key=lambda genre: (genre == OTHER, genre))
    if not genres:
        raise InputError(f"{path}: expected a genre shown by at least {min_trailers} trailers, found none")
    check_genres(genres)
    logger.info(f"genres: {', '.join(f'{genre} ({trailers[genre]})' for genre in genres)}")
    if rare:
        counts = ", ".join(f"{name} ({trailers[name]})" for name in rare)
        logger.warning(f"{path}: genres of fewer than {min_trailers} trailers, left out: {counts}")
    return tuple(genres)


def join_intervals(labels: pd.DataFrame) -> pd.DataFrame:
    """Return a label table in which intervals of one genre that overlap or touch are one; the order stays."""
    labels = labels.reset_index(drop=True)
    strong = labels[labels["start"].notna()].sort_values(["trailer", "genre", "start"], kind="stable")
    keys = [strong["trailer"], strong["genre"]]
    reached = strong["end"].groupby(keys).cummax().groupby(keys).shift()
    begins = ~(strong["start"] <= reached)
    ends = strong["end"].groupby(begins.cumsum()).max()
    joined = strong[begins].assign(end=ends.to_numpy())
    return pd.concat([labels[labels["start"].isna()], joined]).sort_index().reset_index(drop=True)


def read_genre_map(path: Path, genres: Sequence[str] | None = GENRES) -> GenreMap:
    """Read a table `name,genre` that adds to and overrides `GENRE_MAP`; an empty genre leaves the name out.

    Parameters
    ----------
    path : Path
    genres : sequence of str, optional
        What names may stand for; None: any genre that a run can have, for `common_genres`.

    Raises
    ------
    InputError
        If the file cannot be read, lacks a column, or maps to something outside `genres`.
    """
    table = read_table(path, "a table with columns name,genre", columns=("name", "genre"))
    said: dict[str, str | None] = {}
    for row, (name, genre) in enumerate(zip(table["name"], table["genre"], strict=True), start=2):
        genre = genre_name(genre)
        if genre and genres is not None and genre not in genres:
            raise InputError(
                f"{path}, row {row}: expected one of {listed(genres)} or nothing, found {abbreviated_repr(genre)}"
            )
        if genre:
            try:
                check_genres([genre])
            except InputError as error:
                raise InputError(f"{path}, row {row}: {error}") from error
        said[genre_name(name)] = genre or None
    return GenreMap(said)


def write_labels(
    path: Path,
    labels: pd.DataFrame,
    *,
    file_format: str | None = None,
    spans: label_formats.Spans | None = None,
    config: ExportConfig | None = None,
) -> pd.DataFrame:
    """Write a label table, its intervals joined (`join_intervals`).

    Parameters
    ----------
    path : Path
        Its ending chooses the format: .csv, .tsv or .json (ActivityNet).
    labels : DataFrame
        A label table.
    file_format : str, optional
        One of `label_formats.WRITERS`, where the ending does not tell.
    spans : mapping of str to Span, optional
        What is judged of each trailer: see `judged_labels`.
    config : ExportConfig, optional
        What formats of other programs say beside the labels.

    Returns
    -------
    DataFrame
        The labels that the file holds: what its format cannot hold is logged.

    Raises
    ------
    InputError
        If there are no labels to write.
    """
    return label_formats.write_table(
        path,
        join_intervals(labels),
        file_format=file_format,
        spans=spans,
        config=config,
    )


def _check_intervals(path: Path, labels: pd.DataFrame) -> None:
    start, end = labels["start"], labels["end"]
    endless = (start == 0) & (end == np.inf) & (labels["genre"] == OTHER)
    shows_more = labels["trailer"].isin(labels.loc[labels["genre"] != OTHER, "trailer"])
    for bad, expected in (
        (start.isna() != end.isna(), "both start and end, or neither for the whole trailer"),
        (start < 0, "a start of at least 0 seconds"),
        (end <= start, "an end after its start"),
        ((np.isinf(start) | np.isinf(end)) & ~endless, "finite seconds"),
        (endless & shows_more, "`other` from 0 to inf only in a trailer that shows nothing else"),
    ):
        if bad.any():
            row = labels[bad].iloc[0]
            raise InputError(
                f"{path}, {row['where']}: expected {expected}, found start {row['start']}, end {row['end']}"
            )
    weak = start.isna()
    if mixed := sorted(set(labels["trailer"][weak]) & set(labels["trailer"][~weak])):
        raise InputError(
            f"{path}: expected intervals or whole-trailer labels, found both for trailer {abbreviated_repr(mixed[0])}"
        )
