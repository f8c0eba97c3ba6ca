"""One colour per genre, the same in every picture and page."""

from __future__ import annotations

# Okabe and Ito, "Color Universal Design", 2008: told apart with every kind of colour vision. Names always stand beside.
GENRE_COLOURS: dict[str, str] = {
    "comedy": "#E69F00",
    "action": "#D55E00",
    "terror": "#CC79A7",
    "thriller": "#0072B2",
    "musical": "#009E73",
    "other": "#7F7F7F",
}
