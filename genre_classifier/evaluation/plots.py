"""Pictures of an evaluation: each function draws computed values on a given Matplotlib axis.

Made for paper as well as screens: everything that a colour says is also said by a shape, a place or a word.
"""

from __future__ import annotations

import io
import itertools
import math
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from sklearn.metrics import precision_recall_curve

from genre_classifier.evaluation.alignment import Aligned
from genre_classifier.evaluation.bootstrap import Estimate
from genre_classifier.evaluation.evaluate import Evaluation
from genre_classifier.evaluation.glossary import BASELINES
from genre_classifier.genres import genre_looks
from genre_classifier.metrics.calibration import Reliability
from genre_classifier.metrics.events import Events

INK = "#1a1a1a"
# On a cell of a heat map, whose colour no page changes.
ON_LIGHT, ON_DARK = "#1b1b1b", "#fefefe"
FAINT = "#b0b0b0"
MODEL_COLOUR = "#0072B2"
# Over a colour that genres share, by the number of the pattern; segments that were predicted have lines the other way.
HATCHES = ("", "\\\\\\\\", "....", "----")
# Wider pictures keep their size and are moved in their box.
PAGE_INCHES = 7.2
MATRIX_GENRES = 10  # that a matrix has room for with words in its cells
# The share of fewer frames is noise.
LEAST_BIN_FRAMES = 10
_CURVE_POINTS = 200
_MARKERS = ("s", "D", "^", "v", "P", "X", "p", "*", "<")
_STYLE: Any = {  # any: Matplotlib's own type lists every setting by name
    "svg.fonttype": "none",  # text stays text: searchable, small
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica", "sans-serif"],
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#808080",
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.titlesize": 10,
}


def svg(draw: Callable[[Figure], None], *, name: str, size_inches: tuple[float, float], title: str) -> str:
    """Draw a figure and return it as an `<svg>` element to put inside a page.

    Parameters
    ----------
    draw : callable
        Given an empty figure with a constrained layout.
    name : str
        Distinguishes the identifiers of several pictures on one page; same name and content, same bytes.
    size_inches : tuple of float
        Width and height.
    title : str
        What the picture shows, for those who do not see it; plain text without markup.
    """
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=size_inches, layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Type": None, "Format": None})
    markup = buffer.getvalue()
    markup = markup[markup.index("<svg") :]
    # Groups are numbered alike in every picture; a page must not hold an identifier twice.
    markup = re.sub(r'\bid="', f'id="{name}-', markup)
    markup = re.sub(r'(xlink:href="|href="|url\()#', rf"\g<1>#{name}-", markup)
    if (wider := size_inches[0] / PAGE_INCHES) > 1:
        size = f"min-width: {38 * wider:.1f}rem; max-width: {46 * wider:.1f}rem"
        markup = markup.replace("<svg ", f'<svg style="{size}" ', 1)
    return markup.replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1)


def precision_recall(
    axes: Axes, y_true: np.ndarray, y_score: np.ndarray, *, colour: str, at: tuple[float, float]
) -> None:
    """Draw the curve, the prevalence as a dashed line, and the point of the decisions.

    Parameters
    ----------
    y_true, y_score : ndarray, shape (frames,)
    at : tuple of float
        Recall and precision of the decisions; NaN draws no point.
    """
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02))
    if not y_true.any():
        return not_defined(axes, "not defined: no frame is labelled")
    precisions, recalls, _ = precision_recall_curve(y_true, y_score)
    # The curve of a million frames is as good with 200 points.
    keep = np.unique(np.searchsorted(-recalls, -np.linspace(0, 1, _CURVE_POINTS)).clip(max=len(recalls) - 1))
    axes.step(recalls[keep], precisions[keep], where="post", color=colour, linewidth=1.6)
    axes.axhline(y_true.mean(), color=FAINT, linestyle="--", linewidth=1)
    if not np.isnan(at).any():
        axes.plot(*at, marker="o", markersize=6, markerfacecolor="white", markeredgecolor=INK)
    return None


def reliability_diagram(axes: Axes, before: Reliability, after: Reliability) -> None:
    """Draw the share of positive frames against the mean score, before and after the temperature.

    Bins of fewer than `LEAST_BIN_FRAMES` frames are left out.
    """
    axes.plot([0, 1], [0, 1], color=FAINT, linestyle="--", linewidth=1)
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    if not after.frames.sum():
        return not_defined(axes, "not defined: no frame")
    shares = after.frames / after.frames.sum()
    axes.bar(after.edges[:-1], shares, width=np.diff(after.edges), align="edge", color="#dcdcdc", linewidth=0, zorder=0)
    for what, marker, colour, fill in ((before, "o", FAINT, "white"), (after, "s", MODEL_COLOUR, MODEL_COLOUR)):
        used = what.frames >= LEAST_BIN_FRAMES
        if not used.any():
            continue
        axes.plot(
            what.mean_score[used],
            what.frequency[used],
            marker=marker,
            markersize=4,
            color=colour,
            markerfacecolor=fill,
            linewidth=1.2,
            clip_on=False,
        )
    return None


def genre_dots(axes: Axes, model: Mapping[str, Estimate], baselines: Mapping[str, Mapping[str, Estimate]]) -> None:
    """Draw a row per genre: the model's value with its interval as a bar, the baselines as open marks.

    Parameters
    ----------
    model : mapping of str to Estimate
        Row -> value.
    baselines : mapping of str to mapping
        Legend -> row -> value.
    """
    rows = list(model)[::-1]
    height = dict(zip(rows, range(len(rows)), strict=True))
    for row, estimate in model.items():
        if not estimate.defined:
            axes.text(0.01, height[row], "not defined", va="center", color="#606060", fontsize=8)
            continue
        if estimate.has_interval:
            axes.plot(
                [estimate.low, estimate.high],
                [height[row]] * 2,
                color=MODEL_COLOUR,
                linewidth=5,
                alpha=0.3,
                solid_capstyle="butt",
            )
    drawn = {row: estimate.value for row, estimate in model.items() if estimate.defined}
    axes.plot(
        list(drawn.values()), [height[row] for row in drawn], "o", color=MODEL_COLOUR, markersize=8, label="the network"
    )
    for (name, values), marker in zip(baselines.items(), itertools.cycle(_MARKERS), strict=False):
        drawn = {row: values[row].value for row in model if values[row].defined}
        axes.plot(
            list(drawn.values()),
            [height[row] for row in drawn],
            marker,
            markerfacecolor="white",
            markeredgecolor="#404040",
            markersize=6,
            label=name,
        )
    axes.set_yticks(range(len(rows)), rows)
    axes.set(xlim=(0, 1.02), ylim=(-0.6, len(rows) - 0.4))
    axes.grid(axis="x", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)


def co_occurrence(axes: Axes, shares: np.ndarray, genres: Sequence[str]) -> None:
    """Draw rows of true genres against columns of predicted ones (the last: nothing), each cell with its share."""
    many = len(genres) > MATRIX_GENRES
    axes.imshow(np.nan_to_num(shares), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        text = "n/d" if np.isnan(share) else f"{100 * share:.0f}" if many else f"{share:.0%}"
        weight = "bold" if row == column else "normal"
        axes.text(
            column,
            row,
            text,
            ha="center",
            va="center",
            color=ON_DARK if share > 0.55 else ON_LIGHT,
            weight=weight,
            fontsize=7 if many else None,
        )
    axes.set_xticks(range(len(genres) + 1), [*genres, "nothing"], rotation=90 if _crowded(genres) else 0)
    axes.set_yticks(range(len(genres)), genres)
    axes.set(xlabel="predicted, per cent" if many else "predicted", ylabel="labelled")
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def _crowded(genres: Sequence[str]) -> bool:
    """Return whether names do not fit beside each other under the columns of the co-occurrences."""
    return len(genres) > MATRIX_GENRES or max(map(len, genres)) > 60 // (len(genres) + 1)


def cut_distance(axes: Axes, rows: Sequence[Mapping[str, float]]) -> None:
    """Draw the share of wrong decisions by the distance to the nearest cut."""
    names = [
        f"over {row['from_seconds']:g}"
        if np.isinf(row["to_seconds"])
        else f"{row['from_seconds']:g} to {row['to_seconds']:g}"
        for row in rows
    ]
    rates = np.array([row["error_rate"] for row in rows])
    axes.bar(range(len(rows)), np.nan_to_num(rates), color=MODEL_COLOUR, width=0.7)
    for place, (row, rate) in enumerate(zip(rows, rates, strict=True)):
        text = "no frame" if np.isnan(rate) else f"{rate:.1%}\n{int(row['frames']):,} frames"
        axes.annotate(
            text, (place, np.nan_to_num(rate)), xytext=(0, 3), textcoords="offset points", ha="center", fontsize=8
        )
    axes.set_xticks(range(len(rows)), names)
    axes.set(
        xlabel="seconds to the nearest cut", ylabel="wrong decisions", ylim=(0, max(0.01, np.nanmax([*rates, 0])) * 1.3)
    )
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def timeline(axes: Axes, data: Aligned, trailer: int) -> None:
    """Draw one trailer: per genre the labelled intervals above and the predicted segments below."""
    last = len(data.genres) - 1
    for events, base, alpha, lines in ((data.references, 0.06, 1.0, ""), (data.detections, -0.38, 0.55, "////")):
        for genre, look in enumerate(genre_looks(data.genres).values()):
            spans = _spans(events, trailer, genre)
            axes.broken_barh(
                spans,
                (last - genre + base, 0.32),
                facecolor=look.colour,
                edgecolor="white",
                linewidth=0.3,
                alpha=alpha,
                hatch=lines + HATCHES[look.pattern] or None,
            )
    axes.set_yticks(range(last + 1), data.genres[::-1])
    axes.set(xlim=(0, data.ends[trailer]), ylim=(-0.55, last + 0.55), xlabel="seconds")
    axes.tick_params(axis="y", length=0)


def _spans(events: Events, trailer: int, genre: int) -> list[tuple[float, float]]:
    own = (events.trailer == trailer) & (events.genre == genre)
    return [(float(start), float(end - start)) for start, end in zip(events.start[own], events.end[own], strict=True)]


def not_defined(axes: Axes, why: str) -> None:
    """Say why there is nothing to draw."""
    axes.text(0.5, 0.5, why, transform=axes.transAxes, ha="center", va="center", color="#606060", fontsize=8)


TIMELINES = 3
_GRID_COLUMNS = 3
_TITLE_LETTERS = 28  # that fit over a plot of the grid


def report_plots(evaluation: Evaluation) -> dict[str, str]:
    """Draw every picture.

    Returns
    -------
    dict of str to str
        Name -> `<svg>` element: baselines; where a trailer is labelled in time precision_recall, reliability,
        co_occurrence, cut_distance (where cuts are known) and timelines.
    """
    genres = evaluation.data.genres
    more = len(genres) - 6  # than the sizes are given for
    grid_inches = (PAGE_INCHES, max(2.9, 2.3 * math.ceil(len(genres) / _GRID_COLUMNS)))
    letters = max(map(len, genres)) if _crowded(genres) else 0  # of names that stand upright
    drawn = {
        "baselines": svg(
            lambda figure: _baselines(figure, evaluation),
            name="baselines",
            size_inches=(PAGE_INCHES, max(1.9, 3.4 + 0.28 * more)),
            title="Average precision per genre, network and baselines",
        ),
    }
    if evaluation.data.timed_by_weak_labels:
        return drawn
    drawn |= {
        "precision_recall": svg(
            lambda figure: _precision_recall(figure, evaluation),
            name="pr",
            size_inches=grid_inches,
            title="Precision against recall per genre",
        ),
        "reliability": svg(
            lambda figure: _reliability(figure, evaluation),
            name="reliability",
            size_inches=grid_inches,
            title="Share of frames that show the genre against score, per genre",
        ),
        "co_occurrence": svg(
            lambda figure: co_occurrence(figure.subplots(), evaluation.co_occurrence, genres),
            name="cooccurrence",
            size_inches=(max(6.4, 6.4 + 0.3 * (more - 4)), max(1.4, 3.1 + 0.26 * more) + 0.08 * letters),
            title="Predicted genres by labelled genre",
        ),
    }
    if evaluation.cut_distance is not None:
        rows = evaluation.cut_distance
        drawn["cut_distance"] = svg(
            lambda figure: cut_distance(figure.subplots(), rows),
            name="cuts",
            size_inches=(6.4, 2.5),
            title="Share of wrong decisions by distance to the nearest cut",
        )
    shown = timeline_trailers(evaluation)
    if shown:
        drawn["timelines"] = svg(
            lambda figure: _timelines(figure, evaluation, shown),
            name="timelines",
            size_inches=(PAGE_INCHES, max(1.3, 2.0 + 0.18 * more) * len(shown)),
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
    rows = (*evaluation.data.genres, "macro")
    genre_dots(
        axes,
        {row: evaluation.figure(key[0], row, key[1]) for row in rows},
        {
            BASELINES[name].title: {row: evaluation.baseline_figure(name, key[0], row, key[1]) for row in rows}
            for name in evaluation.baselines
        },
    )
    axes.set_xlabel(f"average precision over {'trailers' if evaluation.data.timed_by_weak_labels else 'frames'}")
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=8)


def _genre_grid(figure: Figure, genres: Sequence[str]) -> list[Axes]:
    """Return a plot for each genre, as many rows as they need."""
    columns = min(_GRID_COLUMNS, len(genres))
    grid = figure.subplots(math.ceil(len(genres) / columns), columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes in grid[len(genres) :]:
        axes.remove()
    for axes in grid[max(0, len(genres) - columns) : len(genres)]:  # nothing is below these
        axes.tick_params(labelbottom=True)
    return list(grid[: len(genres)])


def _title(axes: Axes, text: str) -> None:
    axes.set_title("\n".join(textwrap.wrap(text, _TITLE_LETTERS)))


def _precision_recall(figure: Figure, evaluation: Evaluation) -> None:
    data = evaluation.data
    keep = data.timed_frames
    looks = genre_looks(data.genres)
    for index, (genre, axes) in enumerate(zip(data.genres, _genre_grid(figure, data.genres), strict=True)):
        point = tuple(evaluation.figure("frame_pooled", genre, name).value for name in ("recall", "precision"))
        precision_recall(
            axes,
            data.y_true[keep, index],
            data.y_score[keep, index],
            colour=looks[genre].colour,
            at=(point[0], point[1]),
        )
        value = evaluation.figure("frame_pooled", genre, "average_precision").value
        _title(axes, genre if np.isnan(value) else f"{genre}, AP {value:.2f}")
    figure.supxlabel("recall", fontsize=9)
    figure.supylabel("precision", fontsize=9)


def _reliability(figure: Figure, evaluation: Evaluation) -> None:
    genres = evaluation.data.genres
    for genre, axes in zip(genres, _genre_grid(figure, genres), strict=True):
        reliability_diagram(axes, **evaluation.reliability[genre])
        _title(axes, genre)
    figure.supxlabel("mean score of the bin", fontsize=9)
    figure.supylabel("share of frames that show the genre", fontsize=9)


def _timelines(figure: Figure, evaluation: Evaluation, shown: list[str]) -> None:
    grid = figure.subplots(len(shown), 1, squeeze=False)
    for name, axes in zip(shown, grid.flat, strict=True):
        timeline(axes, evaluation.data, evaluation.data.trailers.index(name))
        # A dollar sign would start a formula.
        axes.set_title(name.replace("$", r"\$"), loc="left", fontsize=9)
