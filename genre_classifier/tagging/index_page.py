"""`index.html`: a sortable table over many tagged videos, each with a small timeline and a link to its page.

This file gathers the data; the table is drawn by `templates/index.js`, a page of it at a time.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pandas as pd

from genre_classifier.genres import genre_looks
from genre_classifier.pages import render
from genre_classifier.tagging.tags import clock


def index_html(summary: pd.DataFrame, segments: dict[str, pd.DataFrame]) -> str:
    """Return the page.

    Parameters
    ----------
    summary : DataFrame
        As `write_index` makes it: a row per video, done or failed.
    segments : dict of str to DataFrame
        For each folder of the summary, its segments.
    """
    done = summary[summary["status"] == "ok"].to_dict("records")
    failed = summary[summary["status"] == "failed"].to_dict("records")
    genres = [str(name).removesuffix("_share") for name in summary.columns if str(name).endswith("_share")]
    looks = genre_looks(genres)
    videos = [
        _video({str(name): value for name, value in row.items()}, segments[str(row["folder"])], genres) for row in done
    ]
    data = {"genres": [{"name": genre, "colour": looks[genre].colour} for genre in genres], "videos": videos}
    return render("index.html", rows=len(done), data=data, failed=failed, genres=genres, looks=looks)


def _video(video: dict[str, Any], segments: pd.DataFrame, genres: list[str]) -> dict[str, Any]:
    """Return a row of the table as JSON types: shares in percent, spans as genre, begin and width in thousandths."""
    per_mille = 1000 / (video["duration"] or 1.0)  # nothing can be seen of a video without length
    columns = (segments[name].tolist() for name in ("genre", "start", "end"))
    return {
        "source": video["source"],
        "link": quote(f"./{video['folder']}/viewer.html"),
        "seconds": video["duration"],
        "duration": clock(video["duration"]),
        "segments": int(video["segments"]),
        # None: a genre that the run of this video does not know
        "shares": [None if pd.isna(share := video[f"{genre}_share"]) else round(100 * share, 1) for genre in genres],
        "spans": [
            [genres.index(genre), round(per_mille * start, 1), round(per_mille * (end - start), 1)]
            for genre, start, end in zip(*columns, strict=True)
        ],
    }
