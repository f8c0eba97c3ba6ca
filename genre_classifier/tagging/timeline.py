"""`timeline.png`: thumbnails along the top, and one row per genre with its score over time and its segments.

Draws computed values; made for paper as well as screens: rows are named, segments are black bars, and colours only
repeat what the rows say.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch
from matplotlib.ticker import FuncFormatter

from genre_classifier.genres import Look, genre_looks
from genre_classifier.tagging.segments import frame_borders
from genre_classifier.tagging.tags import Tags, clock
from preprocessing.base.files import atomic_path

_INK = "#1a1a1a"
_FAINT = "#b8b8b8"
_WIDTH_INCHES, _ROW_INCHES, _MARGIN_INCHES = 11.0, 0.585, 1.79  # 5.3 inches for six genres
_MOST_ROWS, _LONGEST_NAME = 24, 16
_HATCHES = ("", "//", "..", "xx")  # by the number of the pattern
_DOTS_PER_INCH = 160
_TICK_SECONDS = (0.01, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
_MOST_TICKS = 13


def draw_genre_row(axes: Axes, tags: Tags, genre: str, *, look: Look, share: float) -> None:
    """Draw one genre's scores as an area, its threshold (if any) as a line and its segments as black bars below."""
    borders = frame_borders(tags.scores.index.to_numpy(), duration=tags.duration)
    values = tags.scores[genre].to_numpy()
    # As `axes.stairs` draws them, which also looks for the limits of the axes: half the time of the picture.
    axes.add_artist(StepPatch(values, borders, fill=True, facecolor=look.colour, alpha=0.85, linewidth=0))
    if look.pattern:
        hatch = _HATCHES[look.pattern]
        axes.add_artist(
            StepPatch(values, borders, fill=True, facecolor="none", edgecolor="white", hatch=hatch, linewidth=0)
        )
    if tags.thresholds is not None:
        axes.axhline(tags.thresholds[genre], color=_INK, linewidth=0.6, linestyle=(0, (4, 3)), alpha=0.7)
    axes.axhline(0, color=_FAINT, linewidth=0.6)
    mine = tags.segments[tags.segments["genre"] == genre]
    spans = list(zip(mine["start"], mine["end"] - mine["start"], strict=True))
    axes.broken_barh(spans, (-0.24, 0.16), facecolor=_INK, linewidth=0)
    axes.set_ylim(-0.3, 1.04)
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)
    name = genre if len(genre) <= _LONGEST_NAME else f"{genre[: _LONGEST_NAME - 1]}\N{HORIZONTAL ELLIPSIS}"
    points = min(11, 100 / len(name))  # as much as fits into the margin
    axes.text(
        -0.012,
        0.42,
        name,
        transform=axes.transAxes,
        ha="right",
        va="center",
        color=_INK,
        fontsize=points,
        parse_math=False,
    )
    axes.text(
        1.012,
        0.42,
        f"{share:.0%}",
        transform=axes.transAxes,
        ha="left",
        va="center",
        fontsize=11,
        color=_INK,
        fontweight="bold" if share else "normal",
        alpha=1 if share else 0.45,
    )


def draw_thumbnails(axes: Axes, tags: Tags) -> None:
    """Draw as many thumbnails as fit side by side, each over the time from which it was taken."""
    axes.set_axis_off()
    figure = axes.get_figure()
    if not tags.thumbnails or figure is None:
        return
    box = axes.get_position()
    width, height = figure.get_size_inches()  # type: ignore[union-attr]
    aspect = tags.thumbnails[0].picture.shape[1] / tags.thumbnails[0].picture.shape[0]
    places = max(1, int(box.width * width / (box.height * height * aspect)))
    times = np.array([thumbnail.time for thumbnail in tags.thumbnails])
    axes.set_ylim(0, 1)
    for place in range(places):
        left, right = tags.duration * place / places, tags.duration * (place + 1) / places
        picture = tags.thumbnails[int(np.abs(times - (left + right) / 2).argmin())].picture
        gap = (right - left) * 0.02
        axes.imshow(picture, extent=(left + gap, right - gap, 0, 1), aspect="auto", interpolation="antialiased")
    axes.set_xlim(0, tags.duration)


def timeline_figure(tags: Tags) -> Figure:
    """Return the whole picture for one video."""
    genres, looks = tags.shown_genres()[:_MOST_ROWS], genre_looks(tags.genres)
    height = _MARGIN_INCHES + _ROW_INCHES * len(genres)
    figure = Figure(figsize=(_WIDTH_INCHES, height), dpi=_DOTS_PER_INCH, facecolor="white")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        len(genres) + 1,
        1,
        height_ratios=[1.25] + [1.0] * len(genres),
        left=0.09,
        right=0.93,
        top=1 - 0.53 / height,
        bottom=0.53 / height,
        hspace=0.08,
    )
    draw_thumbnails(figure.add_subplot(grid[0]), tags)
    shares = tags.shares()
    step = next((one for one in _TICK_SECONDS if tags.duration / one <= _MOST_TICKS), _TICK_SECONDS[-1])
    ticks = np.arange(0, tags.duration * (1 + 1e-9), step)
    for row, genre in enumerate(genres, start=1):
        axes = figure.add_subplot(grid[row])
        draw_genre_row(axes, tags, genre, look=looks[genre], share=shares[genre])
        axes.set_xlim(0, tags.duration)
        # As lines, not as ticks with a grid: a tick takes as long to make as all lines of a row.
        axes.vlines(ticks, *axes.get_ylim(), color=_FAINT, linewidth=0.4, alpha=0.6, zorder=0.5)
        axes.set_xticks(ticks if row == len(genres) else [])
    axes.tick_params(axis="x", length=0, colors=_INK)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: clock(x, decimals=1 if step < 1 else 0)))
    # parse_math off: a file's name may hold dollar signs.
    figure.text(0.09, 1 - 0.29 / height, tags.name, fontsize=13, color=_INK, fontweight="bold", parse_math=False)
    figure.text(0.93, 1 - 0.29 / height, clock(tags.duration, decimals=1), fontsize=11, color=_INK, ha="right")
    dashed = "" if tags.thresholds is None else "dashed: threshold    "
    note = f"area: score, 0 to 1    {dashed}black: segment    percent: share of the time in segments"
    if left_out := len(tags.genres) - len(genres):
        note += f"    {left_out} more genres, each {shares[tags.shown_genres()[_MOST_ROWS]]:.0%} or less"
    figure.text(0.09, 0.12 / height, note, fontsize=8, color=_INK, alpha=0.8)
    return figure


def write_timeline(path: Path, tags: Tags) -> None:
    """Write the picture as PNG. Atomic."""
    with atomic_path(path) as temporary, warnings.catch_warnings():
        # A name in a script that the font lacks is drawn with empty boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        timeline_figure(tags).savefig(temporary, format="png")
