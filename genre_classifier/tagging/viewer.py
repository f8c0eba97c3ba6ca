"""`viewer.html`: the page on which a person watches a trailer with its scores running underneath.

Without scores it is the page on which a person labels a video that no network has seen. This file gathers the data; the
page itself is `templates/viewer.html` with its style and script.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import numpy as np
import pandas as pd
from pydantic import Field

from genre_classifier.genres import OTHER, genre_looks
from genre_classifier.pages import data_url, render
from genre_classifier.tagging.segments import frame_borders
from genre_classifier.tagging.tags import FEW_GENRES, PEAK_SECONDS, Tags, Thumbnail, as_jpeg, clock, from_jpeg, poster
from preprocessing.base.documents import parse_as
from preprocessing.base.errors import InputError
from preprocessing.base.files import abbreviated_repr, parse_json, read_text


@dataclasses.dataclass(frozen=True)
class _Lane:
    name: str
    threshold: Annotated[float, Field(gt=0, le=1)] | None = None


@dataclasses.dataclass(frozen=True)
class _Picture:
    time: float
    image: str


@dataclasses.dataclass(frozen=True)
class Page:
    """What a page of `tag` holds that the files beside it do not.

    Attributes
    ----------
    source, embedded : str, bool
        From where it plays the video, and whether that is a copy inside the page.
    thumbnails, genres
        Its pictures, and the thresholds of its genres, which those that exclude each other do not have.
    peaks : tuple of float
        See `Tags`.
    """

    source: str
    embedded: bool
    thumbnails: tuple[_Picture, ...]
    genres: tuple[_Lane, ...]
    peaks: tuple[Annotated[float, Field(ge=0, le=1)], ...] = ()

    def thresholds(self) -> dict[str, float]:
        """Return them by genre."""
        return {lane.name: lane.threshold for lane in self.genres if lane.threshold is not None}

    def pictures(self, path: Path) -> tuple[Thumbnail, ...]:
        """Return the thumbnails, decoded; InputError, with the page's path, for one that is none."""
        found = []
        for one in self.thumbnails:
            try:
                picture = from_jpeg(base64.b64decode(one.image.removeprefix(_JPEG), validate=True))
            except ValueError as error:
                raise InputError(f"{path}: expected JPEG pictures, found {abbreviated_repr(one.image)}") from error
            found.append(Thumbnail(one.time, picture))
        return tuple(found)


_MOST_PAGE_BYTES = 500_000_000  # with a copy of three hours inside
_JPEG = "data:image/jpeg;base64,"
_DATA = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)


def read_page(path: Path) -> Page:
    """Read what `viewer_html` put into a page; InputError if it cannot be used."""
    expected = "the page that `tag` wrote"
    text = read_text(path, expected, most_bytes=_MOST_PAGE_BYTES)
    if (data := _DATA.search(text)) is None:
        raise InputError(f"{path}: expected {expected}, found none of its data; tag the video again")
    return parse_as(path, parse_json(path, data[1], expected), Page, expected)


def viewer_html(
    tags: Tags,
    folder: Path,
    *,
    trailer: str | None = None,
    embedded: bytes | None = None,
    scored: bool = True,
    before: Page | None = None,
    proposed: pd.DataFrame | None = None,
    index: str = "",
    link: str = "",
) -> str:
    """Return the page.

    Parameters
    ----------
    tags : Tags
    folder : Path
        Where the page will lie: the video is linked relative to it.
    trailer : str, optional
        What label tables call the video, for labels that are saved from the page; by default its file's name.
    embedded : bytes, optional
        A WebM copy of the video to put inside the page instead of the link.
    scored : bool
        False for a page to label what no network has seen: it shows no scores, and is for editing alone.
    before : Page, optional
        The page that this one takes the place of: pictures and video stay as they are there.
    proposed : DataFrame, optional
        Segments (`start`, `end`, `genre`) that are drawn lightly, to be accepted or left.
    index : str
        URL of the page that lists this one and its neighbours; without it there are no links to them.
    link : str
        What that page links this one as.
    """
    if before:
        pictures = [dataclasses.asdict(one) for one in before.thumbnails]
        own: dict[str, Any] = {"source": before.source, "embedded": before.embedded, "thumbnails": pictures}
    else:
        source = data_url(embedded, "video/webm") if embedded else relative_url(tags.video, folder)
        own = {"source": source, "embedded": embedded is not None}
    return render(
        "viewer.html",
        title=tags.name,
        tags=tags,
        duration=clock(tags.duration, decimals=1),
        rest=OTHER if OTHER in tags.genres else "none of these genres",
        index=index,
        link=link,
        data=viewer_data(tags, scored=scored)
        | {
            **own,
            "trailer": trailer or tags.name,
            "kept": store_key(tags, trailer=trailer or tags.name, scored=scored),
            "proposed": [] if proposed is None else proposed[["genre", "start", "end"]].to_dict("records"),
        },
    )


def store_key(tags: Tags, *, trailer: str, scored: bool) -> str:
    """Return under what name a browser keeps what is marked on the page: edits of other scores begin anew."""
    seen = np.ascontiguousarray(tags.scores.to_numpy() if scored else tags.scores.index.to_numpy()).tobytes()
    if not scored:  # other films of this name may have the same times
        with suppress(OSError):
            seen += str(tags.video.stat().st_size).encode()
    return f"genre-classifier labels {trailer} {hashlib.sha256(seen).hexdigest()[:16]}"


def viewer_data(tags: Tags, *, scored: bool = True) -> dict[str, Any]:
    """Return what the page's script draws, as JSON types; seconds, and probabilities in [0, 1]."""
    times = tags.scores.index.to_numpy()
    looks = genre_looks(tags.genres)
    aspect = tags.thumbnails[0].picture.shape[1] / tags.thumbnails[0].picture.shape[0] if tags.thumbnails else 16 / 9
    shown_first = poster(tags.thumbnails)
    return {
        "name": tags.name,
        "scored": scored,
        "duration": _rounded(np.array([tags.duration]), 4)[0],  # as the borders, which never lie behind it
        "times": _rounded(times, 4),
        "borders": _rounded(frame_borders(times, duration=tags.duration), 4),
        "cuts": _rounded(np.array(tags.cuts), 4),
        "peaks": _rounded(np.array(tags.peaks), 3),
        "peak_seconds": PEAK_SECONDS,
        "genres": [
            {
                "name": genre,
                "colour": looks[genre].colour,
                "pattern": looks[genre].pattern,
            }
            | ({} if tags.thresholds is None else {"threshold": tags.thresholds[genre]})
            | ({"scores": _rounded(tags.scores[genre].to_numpy(), 4)} if scored else {})
            for genre in tags.shown_genres()
        ],
        "few": FEW_GENRES,
        "rules": tags.segment_config.to_dict(),
        # The page cuts segments at thresholds itself; without thresholds there is nothing to move.
        "segments": None if tags.thresholds is not None else _segments(tags),
        "aspect": aspect,
        "poster": round(shown_first.time, 3) if shown_first else 0,
        "thumbnails": [
            {"time": round(thumbnail.time, 3), "image": data_url(as_jpeg(thumbnail.picture), "image/jpeg")}
            for thumbnail in tags.thumbnails
        ],
    }


def _segments(tags: Tags) -> list[dict[str, Any]]:
    """Return the segments as the page's script makes them: frames, seconds and mean score."""
    borders = frame_borders(tags.scores.index.to_numpy(), duration=tags.duration)
    edges = np.searchsorted(borders, tags.segments[["start", "end"]].to_numpy())
    return [
        {
            "name": row["genre"],
            "first": int(first),
            "stop": int(stop),
            "start": round(row["start"], 4),
            "end": round(row["end"], 4),
            "score": round(row["score"], 4),
        }
        for row, (first, stop) in zip(tags.segments.to_dict("records"), edges, strict=True)
    ]


def relative_url(video: Path, folder: Path) -> str:
    """Return the relative URL of a file from a page in `folder`; right for every byte that a file name can hold."""
    relative = os.path.relpath(os.path.abspath(video), os.path.abspath(folder))  # noqa: PTH100 - links stay links
    return "./" + quote(os.fsencode(relative))


def _rounded(values: np.ndarray, decimals: int) -> list[float]:
    # By way of text: float32 would show digits that it does not have.
    return [float(f"{value:.{decimals}f}") for value in values]
