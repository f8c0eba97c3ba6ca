"""The report folder: `report.html`, `metrics.json`, `per_genre.csv`, `summary.md` and the pictures.

The page holds everything it shows, pictures and thumbnails included; all text from outside is escaped by Jinja2.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from genre_classifier.evaluation import document, sentences
from genre_classifier.evaluation.bootstrap import LEAST_SOURCES, Estimate
from genre_classifier.evaluation.comparison import Comparison
from genre_classifier.evaluation.document import NOT_DEFINED, About
from genre_classifier.evaluation.evaluate import Evaluation
from genre_classifier.evaluation.failures import WorstSegment
from genre_classifier.evaluation.glossary import BASELINES, LEVELS, METRICS, SCOPES
from genre_classifier.evaluation.judged_labels import write_activitynet
from genre_classifier.evaluation.plots import FAINT, INK, LEAST_BIN_FRAMES, MODEL_COLOUR, report_plots
from genre_classifier.genres import genre_looks
from genre_classifier.pages import data_url, render
from genre_classifier.tagging.tags import clock
from preprocessing.base.files import make_folder, write_atomically

REPORT, METRICS_FILE, PER_GENRE, SUMMARY, PLOTS, ACTIVITYNET = (
    "report.html",
    "metrics.json",
    "per_genre.csv",
    "summary.md",
    "plots",
    "activitynet",
)
# What the table of baselines shows: title, level, metric, scope; the lead is taken in the first.
_BASELINE_COLUMNS = (
    ("Frame AP, macro", "frame_pooled", "average_precision", "macro"),
    ("Frame AP, micro", "frame_pooled", "average_precision", "micro"),
    ("ROC-AUC, macro", "frame_pooled", "roc_auc", "macro"),
    ("Trailer AP, macro", "trailer_maximum", "average_precision", "macro"),
    ("Brier, macro", "probability_after", "brier", "macro"),
)
_WHOLE_TRAILER_COLUMNS = (
    ("Trailer AP, macro", "trailer_mean", "average_precision", "macro"),
    ("Trailer AP, micro", "trailer_mean", "average_precision", "micro"),
    ("ROC-AUC, macro", "trailer_mean", "roc_auc", "macro"),
    ("Accuracy, macro", "trailer_mean", "accuracy", "macro"),
)


@dataclasses.dataclass(frozen=True)
class SegmentPicture:
    """A picture of a worst segment.

    Attributes
    ----------
    jpeg : bytes
    width, height : int
        Of the video, in pixels: it is shown in these proportions, which a square clip has lost.
    """

    jpeg: bytes
    width: int
    height: int

    @property
    def uri(self) -> str:
        """Return the picture as a data URI."""
        return data_url(self.jpeg, "image/jpeg")


def write_report(
    out: Path,
    evaluation: Evaluation,
    about: About,
    *,
    comparison: Comparison | None = None,
    thumbnails: Mapping[WorstSegment, SegmentPicture] | None = None,
    viewers: Mapping[str, str] | None = None,
) -> Path:
    """Write every file of the report folder.

    Parameters
    ----------
    out : Path
        Created where missing.
    evaluation : Evaluation
    about : About
    comparison : Comparison, optional
        With another run.
    thumbnails : mapping of WorstSegment to Thumbnail, optional
    viewers : mapping of str to str, optional
        Trailer -> URL of its viewer page, relative to the report.

    Returns
    -------
    Path
        Of `report.html`, written last.
    """
    plots = report_plots(evaluation)
    make_folder(out / PLOTS)
    for name, markup in plots.items():
        write_atomically(out / PLOTS / f"{name}.svg", markup)
    write_atomically(out / METRICS_FILE, document.metrics_json(evaluation, about, comparison))
    write_activitynet(out / ACTIVITYNET, evaluation.data)
    table = document.per_genre_table(evaluation)
    write_atomically(out / PER_GENRE, table.to_csv(index=False, lineterminator="\n"))
    write_atomically(out / SUMMARY, sentences.markdown_summary(evaluation, about, comparison))
    page = report_html(
        evaluation, about, plots, comparison=comparison, thumbnails=thumbnails or {}, viewers=viewers or {}
    )
    write_atomically(out / REPORT, page)
    return out / REPORT


def report_html(
    evaluation: Evaluation,
    about: About,
    plots: Mapping[str, str],
    *,
    comparison: Comparison | None,
    thumbnails: Mapping[WorstSegment, SegmentPicture],
    viewers: Mapping[str, str],
) -> str:
    """Return the page."""
    context: dict[str, Any] = {
        "about": about,
        "e": evaluation,
        "data": evaluation.data,
        "config": evaluation.config,
        "genres": evaluation.data.genres,
        "opening": sentences.opening(evaluation, about),
        "against": sentences.against_baselines(evaluation),
        "caveats": sentences.caveats(evaluation, about),
        "everywhere": [
            genre for genre, of in evaluation.genres.items() if of["trailers"] == len(evaluation.data.trailers)
        ],
        "verdicts": document.baseline_verdicts(evaluation),
        "baseline_columns": _WHOLE_TRAILER_COLUMNS if evaluation.data.timed_by_weak_labels else _BASELINE_COLUMNS,
        "METRICS": METRICS,
        "LEVELS": LEVELS,
        "SCOPES": SCOPES,
        "BASELINES": BASELINES,
        "plots": {name: Markup(_with_page_colours(markup, evaluation.data.genres)) for name, markup in plots.items()},
        "comparison": comparison,
        "thumbnails": thumbnails,
        "viewers": viewers,
        "percent": f"{evaluation.config.confidence:.0%}",
        "least_bin_frames": LEAST_BIN_FRAMES,
        "least_sources": LEAST_SOURCES,
        "number": document.number,
        "clock": clock,
        "value": _value_cell,
        "estimate": _estimate_cell,
    }
    return render("report.html", **context)


# What the colours of a picture become where the page can be dark.
_PAGE_COLOURS = {
    INK.lower(): "var(--ink)",
    "#ffffff": "var(--back)",
    FAINT.lower(): "var(--soft)",
    "#606060": "var(--soft)",
    "#404040": "var(--ink)",
    "#e6e6e6": "var(--line)",
    "#dcdcdc": "var(--bar)",
    MODEL_COLOUR.lower(): "var(--model)",
}


def _with_page_colours(markup: str, genres: Sequence[str]) -> str:
    colours = {look.colour for look in genre_looks(genres).values()}
    becomes = _PAGE_COLOURS | {one.lower(): f"color-mix(in oklab, {one}, white var(--lift))" for one in colours}
    return re.sub(
        r"((?:fill|stroke): )(#[0-9a-f]{6})\b",
        lambda found: found[1] + becomes.get(found[2], found[2]),
        markup,
    )


def _value_cell(value: float, digits: int = 3) -> Markup:
    """Return a number as a table cell that sorts by its value."""
    text = document.number(value, digits)
    kind = "num undefined" if text == NOT_DEFINED else "num"
    return Markup('<td class="{}" data-sort="{}">{}</td>').format(kind, -1 if text == NOT_DEFINED else value, text)


def _estimate_cell(estimate: Estimate, digits: int = 3) -> Markup:
    """Return a value with its interval as a table cell that sorts by the value."""
    text = document.number(estimate.value, digits)
    if text == NOT_DEFINED:
        return Markup('<td class="num undefined" data-sort="-1">{}</td>').format(text)
    interval = document.interval(estimate, digits)
    small = Markup(' <span class="interval">{}</span>').format(interval) if interval else Markup("")
    return Markup('<td class="num" data-sort="{}">{}{}</td>').format(estimate.value, text, small)
