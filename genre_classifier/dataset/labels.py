"""Label tables: who says what genre which part of a trailer shows.

A label table is a DataFrame with the columns trailer (str), start, end (float64 seconds; both NaN: a weak label, the
whole trailer), genre (as `genres.genre_name` writes it) and, optionally, group (str; trailers of one group are never
split) and checked (bool, the same for all rows of a trailer). A trailer has strong labels (intervals) or weak ones,
never both. Intervals of one genre of a trailer neither overlap nor touch: those that do are one (`join_intervals`).
`other` from 0 to infinity is a trailer that shows none of the other genres.

A trailer with intervals that is not checked has labels inside them alone: training leaves its other frames out, and
nothing is judged by it. Without the column all are checked: what lies outside their intervals is `other`.

`read_labels` and `write_labels` know five formats: see `genre_classifier.dataset.label_formats`.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd

from genre_classifier.config import MAX_LABEL_MB, ExportConfig
from genre_classifier.dataset import label_formats
from genre_classifier.genres import GENRE_MAP, GENRES, OTHER, canonical_genre, check_genres, genre_name
from preprocessing.errors import InputError
from preprocessing.files import shown
from preprocessing.tables import read_table

logger = logging.getLogger(__name__)

# Label Studio puts eight digits of a digest before the name of an uploaded file.
_UPLOADED = re.compile(r"^[0-9a-f]{8}-")


def read_labels(
    path: Path,
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
    path : Path
        `labels.csv`, a wide table, ActivityNet JSON, Label Studio JSON or DCASE tab-separated events.
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
    raw = label_formats.read_table(path, fps=fps, max_mb=max_mb)
    if unmapped_as_other and OTHER not in genres:
        raise InputError(f"expected `{OTHER}` among the genres to take others as, found {_listed(genres)}")
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
        others = f" (and {more} more: {_listed([shown(name) for name in list(unknown)[1:]])})" if more else ""
        raise InputError(
            f"{path}, {where}: expected a genre ({_listed(genres)}, or a MovieLens or IMDb name), found {shown(name)}"
            f"{others}; --genres names the genres of a run, --genre-map adds other names for them"
        )
    if unmapped:
        counts = ", ".join(f"{name} ({count})" for name, count in unmapped.most_common())
        what = "taken as other" if unmapped_as_other else "left out"
        outside = "the six" if of_article else f"{_listed(genres)} (--genres)"
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


def _read_checked(path: Path, labels: pd.DataFrame) -> pd.Series:
    """Return whether each row's trailer is checked: not where it says `no`, unless it is labelled as a whole."""
    said = labels["checked"].fillna("yes").str.strip().str.lower().replace("", "yes")
    if (wrong := ~said.isin(["yes", "no"])).any():
        where, found = labels.loc[wrong, ["where", "checked"]].iloc[0]
        raise InputError(f"{path}, {where}: expected checked to be yes or no, found {shown(found)}")
    per_trailer = said.groupby(labels["trailer"])
    if (several := per_trailer.min() != per_trailer.max()).any():
        raise InputError(
            f"{path}: expected one value of checked for each trailer, found both for {shown(several.idxmax())}"
        )
    return (said == "yes") | labels["start"].isna()


def is_checked(trailer_labels: pd.DataFrame) -> bool:
    """Return whether one trailer's labels say something about all of its frames."""
    return "checked" not in trailer_labels or bool(trailer_labels["checked"].all())


def only_checked(labels: pd.DataFrame) -> pd.DataFrame:
    """Return the labels of trailers that are checked, which alone can judge scores; how many are not is logged."""
    if "checked" not in labels:
        return labels
    unchecked = labels.loc[~labels["checked"], "trailer"].nunique()
    if unchecked:
        logger.warning(f"{unchecked} trailers are not checked, so that nothing can be judged by them: left out")
    return labels[labels["checked"]].drop(columns="checked")


def common_genres(path: Path, *, min_trailers: int = 1, max_mb: float = MAX_LABEL_MB) -> tuple[str, ...]:
    """Return the genres of a label table, by their own names, that enough trailers show.

    Parameters
    ----------
    path : Path
        In any format of `read_labels`.
    min_trailers : int
        Fewest trailers that show a genre.
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
    trailers = raw.groupby(raw["genre"].map(genre_name))["trailer"].nunique()
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


def _listed(names: Sequence[str], most: int = 10) -> str:
    return ", ".join(map(str, names[:most])) + (f" and {len(names) - most} more" if len(names) > most else "")


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


def read_genre_map(path: Path, genres: Sequence[str] = GENRES) -> dict[str, str | None]:
    """Read a table `name,genre` that adds to and overrides `GENRE_MAP`; an empty genre leaves the name out.

    Raises
    ------
    InputError
        If the file cannot be read, lacks a column, or maps to something that is none of `genres`.
    """
    table = read_table(path, "a table with columns name,genre", columns=("name", "genre"))
    overrides: dict[str, str | None] = {}
    for row, (name, genre) in enumerate(zip(table["name"], table["genre"], strict=True), start=2):
        genre = genre_name(genre)
        if genre and genre not in genres:
            raise InputError(f"{path}, row {row}: expected one of {_listed(genres)} or nothing, found {shown(genre)}")
        overrides[name.strip().lower()] = genre or None
    return {**GENRE_MAP, **overrides}


def write_labels(
    path: Path,
    labels: pd.DataFrame,
    *,
    file_format: str | None = None,
    spans: label_formats.Spans | None = None,
    config: ExportConfig | None = None,
) -> None:
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
    """
    label_formats.write_table(
        path,
        join_intervals(labels),
        file_format=file_format,
        spans=spans,
        config=config,
    )


def _check_intervals(path: Path, labels: pd.DataFrame) -> None:
    start, end = labels["start"], labels["end"]
    endless = (start == 0) & (end == np.inf) & (labels["genre"] == "other")
    for bad, expected in (
        (start.isna() != end.isna(), "both start and end, or neither for the whole trailer"),
        (start < 0, "a start of at least 0 seconds"),
        (end <= start, "an end after its start"),
        ((np.isinf(start) | np.isinf(end)) & ~endless, "finite seconds"),
    ):
        if bad.any():
            row = labels[bad].iloc[0]
            raise InputError(
                f"{path}, {row['where']}: expected {expected}, found start {row['start']}, end {row['end']}"
            )
    weak = start.isna()
    if mixed := sorted(set(labels["trailer"][weak]) & set(labels["trailer"][~weak])):
        raise InputError(
            f"{path}: expected intervals or whole-trailer labels, found both for trailer {shown(mixed[0])}"
        )
    if "group" in labels:
        groups = labels.groupby("trailer")["group"].nunique()
        if (groups > 1).any():
            raise InputError(f"{path}: expected one group for each trailer, found several for {shown(groups.idxmax())}")


def own_group(trailer_id: int) -> str:
    """Return the name of the group of a trailer that is in no other."""
    return f"trailer {trailer_id}"


def is_weak(trailer_labels: pd.DataFrame) -> bool:
    """Return whether one trailer's labels are about the whole trailer."""
    return bool(trailer_labels["start"].isna().all())


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
        raise InputError(f"labels: expected the genres {_listed(genres)}, found {shown(unknown[0])}; see --genres")
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
        raise InputError(
            f"labels name the trailer {shown(unknown[0])} (and {len(unknown) - 1} more) that the manifest of the clips "
            f"does not know; expected a source such as {example!r} or an id; correct it, or skip such rows "
            "(--skip-unknown)"
        )
    joined: dict[int, pd.DataFrame] = {}
    for name, rows in labels.groupby("trailer", sort=False):
        trailer_id = names[name]
        if trailer_id is None:
            continue
        if trailer_id in joined:
            twice = f"as {shown(joined[trailer_id]['trailer'].iloc[0])} and as {shown(name)}"
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
