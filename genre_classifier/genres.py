"""The six genres, in the one order used by every array, file and model output; and other tables' names for them."""

from __future__ import annotations

from collections.abc import Mapping

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


# The hues of Okabe and Ito ("Color Universal Design", 2008), moved until every two differ by a CIEDE2000 of 11 with any
# kind of colour vision, and each stands out from white and from dark pages by 3:1. Names always stand beside.
GENRE_COLOURS: dict[str, str] = {
    "comedy": "#BA8A10",
    "action": "#A93C08",
    "terror": "#DF5DB0",
    "thriller": "#24549C",
    "musical": "#2A9468",
    "other": "#6E6E74",
}
