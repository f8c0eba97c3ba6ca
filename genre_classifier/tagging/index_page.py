"""`index.html`: a sortable table over many tagged videos, each with a small timeline and a link to its page."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pandas as pd

from genre_classifier.genres import genre_looks
from genre_classifier.pages import render
from genre_classifier.tagging.result import clock


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
    rows = [
        _row({str(name): value for name, value in row.items()}, segments[str(row["folder"])], genres) for row in done
    ]
    return render("index.html", rows=rows, failed=failed, genres=genres, looks=genre_looks(genres))


def _row(video: dict[str, Any], segments: pd.DataFrame, genres: list[str]) -> dict[str, Any]:
    duration = video["duration"] or 1.0  # nothing can be seen of a video without length
    spans = [
        {
            "row": genres.index(one["genre"]),
            "genre": one["genre"],
            "left": round(1000 * one["start"] / duration, 2),
            "width": round(1000 * (one["end"] - one["start"]) / duration, 2),
        }
        for one in segments.to_dict("records")
    ]
    return {
        "source": video["source"],
        "link": quote(f"./{video['folder']}/viewer.html"),
        "seconds": video["duration"],
        "duration": clock(video["duration"]),
        "segments": video["segments"],
        # None: a genre that the run of this video does not know
        "shares": [None if pd.isna(share := video[f"{genre}_share"]) else round(100 * share, 1) for genre in genres],
        "spans": spans,
    }
