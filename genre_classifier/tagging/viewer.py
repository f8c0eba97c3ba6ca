"""`viewer.html`: the page on which a person watches a trailer with its scores running underneath.

This file gathers the data; the page itself is `templates/viewer.html` with its style and script.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from genre_classifier.genres import OTHER, genre_looks
from genre_classifier.pages import data_url, render
from genre_classifier.tagging.segments import frame_borders
from genre_classifier.tagging.tags import FEW_GENRES, Tags, as_jpeg, clock, poster


def viewer_html(
    tags: Tags,
    folder: Path,
    *,
    trailer: str | None = None,
    embedded: bytes | None = None,
    scored: bool = True,
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
    proposed : DataFrame, optional
        Segments (`start`, `end`, `genre`) that are drawn lightly, to be accepted or left.
    index : str
        URL of the page that lists this one and its neighbours; without it there are no links to them.
    link : str
        What that page links this one as.
    """
    source = data_url(embedded, "video/webm") if embedded else relative_url(tags.video, folder)
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
            "source": source,
            "embedded": embedded is not None,
            "trailer": trailer or tags.name,
            "kept": store_key(tags, trailer=trailer or tags.name, scored=scored),
            "proposed": [] if proposed is None else proposed[["genre", "start", "end"]].to_dict("records"),
        },
    )


def store_key(tags: Tags, *, trailer: str, scored: bool) -> str:
    """Return under what name a browser keeps what is marked on the page: edits of other scores begin anew."""
    seen = np.ascontiguousarray(tags.scores.to_numpy() if scored else tags.scores.index.to_numpy())
    return f"genre-classifier labels {trailer} {hashlib.sha256(seen.tobytes()).hexdigest()[:16]}"


def viewer_data(tags: Tags, *, scored: bool = True) -> dict[str, Any]:
    """Return what the page's script draws, as JSON types; seconds, and probabilities in [0, 1]."""
    times = tags.scores.index.to_numpy()
    looks = genre_looks(tags.genres)
    aspect = tags.thumbnails[0].picture.shape[1] / tags.thumbnails[0].picture.shape[0] if tags.thumbnails else 16 / 9
    shown_first = poster(tags.thumbnails)
    return {
        "name": tags.name,
        "scored": scored,
        "duration": tags.duration,
        "times": _rounded(times, 4),
        "borders": _rounded(frame_borders(times, duration=tags.duration), 4),
        "cuts": _rounded(np.array(tags.cuts), 4),
        "genres": [
            {
                "name": genre,
                "colour": looks[genre].colour,
                "pattern": looks[genre].pattern,
                "threshold": tags.thresholds[genre],
            }
            | ({"scores": _rounded(tags.scores[genre].to_numpy(), 4)} if scored else {})
            for genre in tags.shown_genres()
        ],
        "few": FEW_GENRES,
        "rules": tags.segment_config.to_dict(),
        "aspect": aspect,
        "poster": round(shown_first.time, 3) if shown_first else 0,
        "thumbnails": [
            {"time": round(thumbnail.time, 3), "image": data_url(as_jpeg(thumbnail.picture), "image/jpeg")}
            for thumbnail in tags.thumbnails
        ],
    }


def relative_url(video: Path, folder: Path) -> str:
    """Return the relative URL of a file from a page in `folder`; right for every byte that a file name can hold."""
    relative = os.path.relpath(os.path.abspath(video), os.path.abspath(folder))  # noqa: PTH100 - links stay links
    return "./" + quote(os.fsencode(relative))


def _rounded(values: np.ndarray, decimals: int) -> list[float]:
    # By way of text: float32 would show digits that it does not have.
    return [float(f"{value:.{decimals}f}") for value in values]
