"""`suggestions.html`: a sortable table of the trailers to label next, with what speaks for each."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from genre_classifier.pages import render


def suggestions_html(table: pd.DataFrame, viewers: Mapping[str, str], *, run: str, labelled: int, waiting: int) -> str:
    """Return the page.

    Parameters
    ----------
    table : DataFrame
        As `genre_classifier.evaluation.suggestions.suggest.suggest` gives it.
    viewers : mapping of str to str
        Source -> URL of its viewer page, relative to this one.
    run : str
        Name of the run.
    labelled, waiting : int
        How many clips have a label, and how many have none.
    """
    rows = table.astype({"distance": object}).where(table.notna(), None).to_dict("records")
    longest = float(table["distance"].max()) if table["distance"].notna().any() else 1.0
    return render(
        "suggestions.html",
        rows=rows,
        viewers=viewers,
        run=run,
        labelled=labelled,
        waiting=waiting,
        longest=longest or 1.0,
    )
