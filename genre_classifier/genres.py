"""Genres: the six of the article, which are the default; what other tables call them; names and looks of any others.

The genres of a run are an ordered tuple of names, `ModelConfig.genres`: columns of score tables, outputs of a network.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from preprocessing.base.errors import InputError
from preprocessing.base.files import abbreviated_repr

GENRES: tuple[str, ...] = ("comedy", "action", "terror", "thriller", "musical", "other")
OTHER = "other"  # in a trailer with intervals, what lies outside all of them
MOST_GENRES = 100

# Scopes of a report and columns of tables stand beside genres.
_TAKEN = frozenset({"all", "auto", "frame", "macro", "micro", "none", "nothing", "time", "weighted"})
_NAME = re.compile(r"[^\W_][\w'&+.-]{0,39}")

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
            "adult",
            "animation",
            "biography",
            "children",
            "children's",
            "documentary",
            "drama",
            "family",
            "fantasy",
            "game-show",
            "history",
            "imax",
            "news",
            "reality-tv",
            "romance",
            "sci-fi",
            "short",
            "sport",
            "talk-show",
            "(no genres listed)",
            "\\n",
        )
    ),
}


class GenreMap(dict[str, str | None]):
    """`GENRE_MAP` with what a user says beside it or instead.

    Attributes
    ----------
    said : dict
        What the user says, by `genre_name`: it comes before a genre's own name, the rest of the map after it.
    """

    def __init__(self, said: Mapping[str, str | None]) -> None:
        super().__init__({**GENRE_MAP, **said})
        self.said = dict(said)


def said_names(genre_map: Mapping[str, str | None]) -> Mapping[str, str | None]:
    """Return what a user says names stand for; nothing where a map is no user's."""
    return genre_map.said if isinstance(genre_map, GenreMap) else {}


def genre_name(text: str) -> str:
    """Return a genre as it is named everywhere: lower case, blanks as "-", a letter with its accent as one sign."""
    return "-".join(unicodedata.normalize("NFC", text.lower()).split())


def listed(names: Sequence[str], most: int = 10) -> str:
    """Return names for a message, with commas between; of very many the first ones and how many more there are."""
    return ", ".join(map(str, names[:most])) + (f" and {len(names) - most} more" if len(names) > most else "")


def genre_list(text: str) -> tuple[str, ...]:
    """Read names with commas between; InputError if no run can have these genres."""
    genres = tuple(genre_name(part) for part in text.split(",") if part.strip())
    check_genres(genres)
    return genres


def check_genres(genres: Sequence[str]) -> None:
    """Refuse genres that no run can have.

    Raises
    ------
    InputError
        Unless there are 1 to 100, each once, named as `genre_name` does: a letter or digit, then up to 39 letters,
        digits and signs of `'&+.-_`, and not as a part of reports and tables is.
    """
    if not 1 <= len(genres) <= MOST_GENRES:
        raise InputError(f"genres must be 1 to {MOST_GENRES} names, got {len(genres)}")
    for genre in genres:
        if not isinstance(genre, str) or not _NAME.fullmatch(genre) or genre != genre_name(genre):
            found = abbreviated_repr(genre)
            raise InputError(f"genres must be names of letters and digits in lower case, such as sci-fi, got {found}")
        if genre in _TAKEN:
            raise InputError(f"genres must not be called {genre!r}: reports and tables call something else so")
    if twice := [genre for genre in genres if genres.count(genre) > 1]:
        raise InputError(f"genres must be named once each, got {twice[0]!r} twice")


def canonical_genre(
    name: str, genres: Sequence[str] = GENRES, genre_map: Mapping[str, str | None] = GENRE_MAP
) -> str | None:
    """Return which of the genres a name stands for, or None for a known name that stands for none of them.

    What a user says (`GenreMap`) comes first, then a genre's own name, then the map. Case and surrounding blanks do not
    count, and a name that the map writes with "-" may have blanks there.

    Raises
    ------
    KeyError
        If neither knows the name.
    """
    own, plain, said = genre_name(name), name.strip().lower(), said_names(genre_map)
    if own in said:
        mapped = said[own]
    elif own in genres:
        mapped = own
    else:
        mapped = genre_map[plain if plain in genre_map else own]
    return mapped if mapped is not None and mapped in genres else None


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
# Two more, found as the colours farthest from these under the same conditions (CIEDE2000 of 15 and 11).
_COLOURS = ("#5A3C3C", "#962DFF", *GENRE_COLOURS.values())
PATTERNS = 4  # plain, and three that are drawn over a colour used before


class Look(NamedTuple):
    """How a genre is drawn: `#RRGGBB`, and the number of a pattern over it, 0 (plain) to `PATTERNS` - 1."""

    colour: str
    pattern: int = 0


def genre_looks(genres: Sequence[str]) -> dict[str, Look]:
    """Return how each genre of a run is drawn.

    The six of the article keep their colours; others take those that are left of eight, then the eight again under a
    pattern, so that 32 genres look different.
    """
    looks = {genre: Look(GENRE_COLOURS[genre]) for genre in genres if genre in GENRE_COLOURS}
    free = (
        look
        for number in range(MOST_GENRES)
        for colour in _COLOURS
        if (look := Look(colour, number % PATTERNS)) not in looks.values() or number >= PATTERNS
    )
    taken: set[str] = set(looks)
    for genre in genres:
        if genre not in taken:
            looks[genre] = next(free)
    return {genre: looks[genre] for genre in genres}
