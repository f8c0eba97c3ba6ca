"""Looks of the genres: told apart with every kind of colour vision, and seen on white and on dark pages."""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

import genre_classifier
from genre_classifier.genres import GENRE_COLOURS, GENRES, PATTERNS, genre_looks

# Machado, Oliveira and Fernandes, "A physiologically-based model for simulation of color vision deficiency", 2009,
# severity 1.0: matrices over linear RGB.
VISION = {
    "normal": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
# Ottosson, "A perceptual color space for image processing", 2020: what `color-mix(in oklab, ...)` computes in.
TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
TO_OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
# The six and two more: every colour that there is.
EIGHT = {genre: look.colour for genre, look in genre_looks((*GENRES, "seventh", "eighth")).items()}
PAGE_STYLE = (Path(genre_classifier.__file__).parent / "templates" / "page.css").read_text(encoding="utf-8")


def rgb(colour):
    return np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255


def linear(values):
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def encoded(values):
    values = np.clip(values, 0, 1)
    return np.where(values <= 0.0031308, 12.92 * values, 1.055 * values ** (1 / 2.4) - 0.055)


def lifted(colours, share):
    """Mix with white in Oklab, as the pages do when dark."""
    lab = np.cbrt(linear(colours) @ TO_LMS.T) @ TO_OKLAB.T
    lab = lab * (1 - share) + np.array([1.0, 0.0, 0.0]) * share
    return encoded((lab @ np.linalg.inv(TO_OKLAB).T) ** 3 @ np.linalg.inv(TO_LMS).T)


def contrast(first, second):
    """WCAG 2.2, contrast ratio."""
    high, low = sorted((float(linear(one) @ [0.2126, 0.7152, 0.0722]) for one in (first, second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def palettes():
    """The colours on a light page and, lifted as the style says, on a dark one, each with the panel behind them."""
    panels = re.findall(r"--panel: (#\w{6})", PAGE_STYLE)
    lifts = [float(lift) / 100 for lift in re.findall(r"--lift: (\d+)%", PAGE_STYLE)]
    assert len(panels) == len(lifts) == 2
    plain = np.array([rgb(colour) for colour in EIGHT.values()])
    return [(lifted(plain, lift) if lift else plain, rgb(panel)) for panel, lift in zip(panels, lifts, strict=True)]


def test_the_arithmetic_of_this_test():
    assert contrast(rgb("#ffffff"), rgb("#000000")) == pytest.approx(21)
    assert contrast(rgb("#ffffff"), rgb("#767676")) == pytest.approx(4.54, abs=0.01)
    np.testing.assert_allclose(lifted(rgb("#24549c"), 0.0), rgb("#24549c"), atol=1e-6)
    np.testing.assert_allclose(lifted(rgb("#24549c"), 1.0), 1, atol=1e-4)


@pytest.mark.parametrize("vision", VISION)
def test_every_two_genres_are_told_apart(vision):
    for (colours, _), least in zip(palettes(), (11.0, 10.0), strict=True):
        seen = encoded(linear(colours) @ np.array(VISION[vision]).T)
        lab = dict(zip(EIGHT, rgb2lab(seen[None])[0], strict=True))
        for first, second in itertools.combinations(EIGHT, 2):
            assert deltaE_ciede2000(lab[first], lab[second]) >= least, (first, second)


def test_every_genre_stands_out_from_the_page():
    for colours, panel in palettes():
        for genre, colour in zip(EIGHT, colours, strict=True):
            assert contrast(colour, panel) >= 3, genre


def test_genres_share_colours_under_patterns_and_no_look():
    names = [f"genre-{number}" for number in range(100)]
    most = 8 * PATTERNS
    for genres in (names, names[:most], [*names[:9], *reversed(GENRES), *names[9 : most - 6]], names[:1], GENRES):
        looks = genre_looks(genres)
        assert list(looks) == list(genres)
        assert len(set(looks.values())) == min(most, len(genres))
        assert all(look.colour in EIGHT.values() and 0 <= look.pattern < PATTERNS for look in looks.values())
        assert {genre: looks[genre] for genre in looks if genre in GENRES} == {
            genre: (GENRE_COLOURS[genre], 0) for genre in looks if genre in GENRES
        }
    assert len(set(EIGHT.values())) == 8
