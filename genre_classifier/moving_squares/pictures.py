"""Pictures of moving squares: each step beside the truth, a strip, an animation, and the figures per horizon."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image

from genre_classifier.moving_squares.movies import METRICS, TITLES, Figures

_GIF_MILLISECONDS = 300  # of each step
_LINES = {"network": ("#0072B2", "o"), "copy": ("#D55E00", "s"), "linear": ("#7F7F7F", "^")}


def draw_frame(axes: Axes, frame: np.ndarray) -> None:
    """Draw one frame, `(rows, cols)`; 0 is dark and 1 bright in every picture."""
    axes.imshow(frame, vmin=0, vmax=1, cmap="viridis", interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])


def step_picture(frame: np.ndarray, truth: np.ndarray, *, predicted: bool) -> Image.Image:
    """Draw one step beside the truth, with the words of the original."""
    figure = Figure(figsize=(10, 5), dpi=64, layout="tight")
    canvas = FigureCanvasAgg(figure)
    titles = ("Predictions !" if predicted else "Initial trajectory", "Ground truth")
    for axes, picture, title in zip(figure.subplots(1, 2), (frame, truth), titles, strict=True):
        draw_frame(axes, picture)
        axes.text(1, 3, title, fontsize=20, color="white")
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def png(picture: Image.Image | Figure) -> bytes:
    """Return a picture as PNG."""
    buffer = io.BytesIO()
    if isinstance(picture, Figure):
        picture.savefig(buffer, format="png", dpi=110)
    else:
        picture.save(buffer, format="PNG")
    return buffer.getvalue()


def gif(pictures: Sequence[Image.Image]) -> bytes:
    """Return an animation that repeats for ever."""
    buffer = io.BytesIO()
    first, *rest = pictures
    first.save(buffer, format="GIF", save_all=True, append_images=rest, duration=_GIF_MILLISECONDS, loop=0)
    return buffer.getvalue()


def strip_figure(given: np.ndarray, truth: np.ndarray, rollouts: Mapping[str, np.ndarray]) -> Figure:
    """Draw the frames given, and below the truth every rollout that goes on from them.

    Parameters
    ----------
    given : ndarray, shape (frames, rows, cols)
    truth : ndarray, shape (steps, rows, cols)
    rollouts : mapping of str to ndarray, each the shape of `truth`
    """
    columns = len(given) + len(truth)
    layout = ConstrainedLayoutEngine(w_pad=0.01, h_pad=0.01, wspace=0, hspace=0)
    figure = Figure(figsize=(0.6 * columns + 0.8, 0.62 * (1 + len(rollouts)) + 0.3), layout=layout)
    for row, axes_of_row in enumerate(figure.subplots(1 + len(rollouts), columns)):
        name, frames = [("truth", truth), *rollouts.items()][row]
        for column, axes in enumerate(axes_of_row):
            if column >= len(given):
                draw_frame(axes, frames[column - len(given)])
            elif row == 0:
                draw_frame(axes, given[column])
            else:
                axes.set_axis_off()
            if row == 0:
                step = "given" if column == 0 else f"+{column - len(given) + 1}" if column >= len(given) else ""
                axes.set_title(step, fontsize=8)
            if column == (0 if row == 0 else len(given)):
                axes.set_ylabel(name, fontsize=8)
    return figure


def horizons_figure(measured: Mapping[str, Any]) -> Figure:
    """Draw the four figures per horizon: rollouts as lines, the network's single steps dashed.

    Parameters
    ----------
    measured : mapping
        "rollout" and "one_step", as `genre_classifier.moving_squares.run.evaluate_predictor` gives them.
    """
    rollout: Figures = measured["rollout"]
    figure = Figure(figsize=(12, 3.4), layout="constrained")
    for axes, metric in zip(figure.subplots(1, len(METRICS)), METRICS, strict=True):
        for name, (colour, marker) in _LINES.items():
            values = rollout[name][metric]
            axes.plot(range(1, len(values) + 1), values, color=colour, marker=marker, markersize=4, label=name)
        single = measured["one_step"]["network"][metric]
        horizons = range(1, len(single) + 1)
        axes.plot(horizons, single, color=_LINES["network"][0], linestyle="--", linewidth=1, label="network, one step")
        axes.set(title=TITLES[metric], xlabel="frames ahead")
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure
