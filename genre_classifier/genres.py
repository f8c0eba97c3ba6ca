"""The six genres, in the one order used by every array, file and model output; and other tables' names for them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from preprocessing.errors import InputError

GENRES: tuple[str, ...] = ("comedy", "action", "terror", "thriller", "musical", "other")

# Names used by MovieLens (README of its data sets) and IMDb (title.basics), lower case. None: a name that is known, but
# says nothing about the six; such rows are counted and left out, or become `other` when asked.
GENRE_MAP: dict[str, str | None] = {
    **{genre: genre for genre in GENRES},
    "adventure": "action",
    "war": "action",
    "western": "action",
    "martial arts": "action",
    "horror": "terror",
    "mystery": "thriller",
    "crime": "thriller",
    "film-noir": "thriller",
    "suspense": "thriller",
    "music": "musical",
    "romantic comedy": "comedy",
    **dict.fromkeys(
        (
            "adult", "animation", "biography", "children", "children's", "documentary", "drama", "family", "fantasy",
            "game-show", "history", "imax", "news", "reality-tv", "romance", "sci-fi", "short", "sport", "talk-show",
            "(no genres listed)", "\\n",
        )
    ),
}  # fmt: skip


def canonical_genre(name: str, genre_map: Mapping[str, str | None] = GENRE_MAP) -> str | None:
    """Return the genre that a name stands for, or None for a known name outside the six.

    Raises
    ------
    KeyError
        If the map does not know the name. Case and surrounding blanks do not count.
    """
    return genre_map[name.strip().lower()]


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
