"""`index.html`: a sortable table over many tagged videos."""

from __future__ import annotations

import pandas as pd

from genre_classifier.genres import GENRES
from genre_classifier.pages import render
from genre_classifier.palette import GENRE_COLOURS


def index_html(summary: pd.DataFrame, segments: dict[str, pd.DataFrame]) -> str:
    """Return the page.

    Parameters
    ----------
    summary : DataFrame
        As `write_index` writes it.
    segments : dict of str to DataFrame
        The segments of each folder.
    """
    rows = summary[summary["status"] == "ok"].to_dict("records")
    failed = summary[summary["status"] == "failed"].to_dict("records")
    return render("index.html", rows=rows, failed=failed, segments=segments, genres=GENRES, colours=GENRE_COLOURS)
