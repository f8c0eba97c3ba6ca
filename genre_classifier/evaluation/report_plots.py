"""The pictures of the report, by name: figures laid out from the drawings of `plots`, as SVG."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from genre_classifier import plots
from genre_classifier.evaluation.glossary import BASELINES
from genre_classifier.genres import GENRES
from genre_classifier.metrics import Evaluation
from genre_classifier.palette import GENRE_COLOURS

TIMELINES = 3


def report_plots(evaluation: Evaluation) -> dict[str, str]:
    """Draw every picture.

    Returns
    -------
    dict of str to str
        Name -> `<svg>` element: baselines, precision_recall, reliability, co_occurrence, cut_distance (where cuts are
        known), timelines (where a trailer is labelled in time).
    """
    drawn = {
        "baselines": plots.svg(
            lambda figure: _baselines(figure, evaluation),
            name="baselines",
            size_inches=(7.2, 3.4),
            title="Average precision per genre, network and baselines",
        ),
        "precision_recall": plots.svg(
            lambda figure: _precision_recall(figure, evaluation),
            name="pr",
            size_inches=(7.2, 4.6),
            title="Precision against recall per genre",
        ),
        "reliability": plots.svg(
            lambda figure: _reliability(figure, evaluation),
            name="reliability",
            size_inches=(7.2, 4.6),
            title="Share of frames that show the genre against score, per genre",
        ),
        "co_occurrence": plots.svg(
            lambda figure: plots.co_occurrence(figure.subplots(), evaluation.co_occurrence),
            name="cooccurrence",
            size_inches=(6.4, 3.1),
            title="Predicted genres by labelled genre",
        ),
    }
    if evaluation.cut_distance is not None:
        rows = evaluation.cut_distance
        drawn["cut_distance"] = plots.svg(
            lambda figure: plots.cut_distance(figure.subplots(), rows),
            name="cuts",
            size_inches=(6.4, 2.5),
            title="Share of wrong decisions by distance to the nearest cut",
        )
    shown = timeline_trailers(evaluation)
    if shown:
        drawn["timelines"] = plots.svg(
            lambda figure: _timelines(figure, evaluation, shown),
            name="timelines",
            size_inches=(7.2, 2.0 * len(shown)),
            title="Labels and predictions over time",
        )
    return drawn


def timeline_trailers(evaluation: Evaluation) -> list[str]:
    """Return the names of the lowest, the middle and the highest trailer by average precision."""
    names = [str(row["trailer"]) for row in evaluation.by_trailer]
    places = sorted({0, len(names) // 2, len(names) - 1}) if names else []
    return [names[place] for place in places][:TIMELINES]


def _baselines(figure: Figure, evaluation: Evaluation) -> None:
    axes = figure.subplots()
    key = (evaluation.judged_level, "average_precision")
    rows = (*GENRES, "macro")
    plots.genre_dots(
        axes,
        {row: evaluation.figure(key[0], row, key[1]) for row in rows},
        {
            BASELINES[name].title: {row: evaluation.baseline_figure(name, key[0], row, key[1]) for row in rows}
            for name in evaluation.baselines
        },
    )
    axes.set_xlabel(f"average precision over {'trailers' if evaluation.data.timed_by_weak_labels else 'frames'}")
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=8)


def _precision_recall(figure: Figure, evaluation: Evaluation) -> None:
    data = evaluation.data
    keep = data.timed_frames
    grid = figure.subplots(2, 3, sharex=True, sharey=True)
    for index, (genre, axes) in enumerate(zip(GENRES, grid.flat, strict=True)):
        point = tuple(evaluation.figure("frame_pooled", genre, name).value for name in ("recall", "precision"))
        plots.precision_recall(
            axes,
            data.y_true[keep, index],
            data.y_score[keep, index],
            colour=GENRE_COLOURS[genre],
            at=(point[0], point[1]),
        )
        value = evaluation.figure("frame_pooled", genre, "average_precision").value
        axes.set_title(genre if np.isnan(value) else f"{genre}, AP {value:.2f}")
    figure.supxlabel("recall", fontsize=9)
    figure.supylabel("precision", fontsize=9)


def _reliability(figure: Figure, evaluation: Evaluation) -> None:
    grid = figure.subplots(2, 3, sharex=True, sharey=True)
    for genre, axes in zip(GENRES, grid.flat, strict=True):
        plots.reliability_diagram(axes, **evaluation.reliability[genre])
        axes.set_title(genre)
    figure.supxlabel("mean score of the bin", fontsize=9)
    figure.supylabel("share of frames that show the genre", fontsize=9)


def _timelines(figure: Figure, evaluation: Evaluation, shown: list[str]) -> None:
    grid = figure.subplots(len(shown), 1, squeeze=False)
    for name, axes in zip(shown, grid.flat, strict=True):
        plots.timeline(axes, evaluation.data, evaluation.data.trailers.index(name))
        # A dollar sign would start a formula.
        axes.set_title(name.replace("$", r"\$"), loc="left", fontsize=9)
