"""The moving-squares companion as one piece of work: train, judge on unseen movies, draw; everything in one folder.

config.json     every number                      metrics.json    figures per horizon
model.keras     the trained predictor             horizons.png    the same as curves
history.csv     losses, one row per epoch         1_animate.png   ... each step beside the truth
checkpoints/    what a resumed training needs     strip.png, rollout.gif   the same steps in one picture
"""

from __future__ import annotations

import dataclasses
import io
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image

from genre_classifier.moving_squares.config import SquaresConfig
from genre_classifier.moving_squares.movies import (
    BASELINES,
    METRICS,
    TITLES,
    Figures,
    figures,
    roll_out_guess,
    wins_through,
)
from genre_classifier.moving_squares.predictor import (
    HistoryRow,
    build_predictor,
    generate_movies,
    roll_out,
    train_predictor,
)
from genre_classifier.network.memory import BASE_BYTES, FLOAT
from genre_classifier.run_folder.checkpoints import State, load_checkpoint, save_checkpoint
from genre_classifier.run_folder.layout import CONFIG, HISTORY, MODEL
from genre_classifier.run_folder.model_file import read_model, save_model
from preprocessing.base.errors import InputError, WorkError
from preprocessing.base.files import abbreviated_repr, make_folder, read_json, write_atomically
from preprocessing.processes.machine import available_bytes

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


logger = logging.getLogger(__name__)

_CHANGEABLE = {"epochs", "given", "predicted", "movie"}  # by a resumed run: the training stays the same
_SEEN, _UNSEEN = 0, 1  # second part of the movies' seeds
_MOVIES_AT_ONCE = 20  # in a rollout, to bound its memory


def read_config(folder: Path) -> SquaresConfig:
    """Read the numbers of a run; InputError if they are missing."""
    path, expected = folder / CONFIG, "the options of a moving-squares run (a JSON object)"
    fields = read_json(path, expected)
    if not isinstance(fields, dict):
        raise InputError(f"{path}: expected {expected}, found {abbreviated_repr(fields)}")
    try:
        return SquaresConfig.from_dict(fields)
    except (InputError, TypeError) as error:
        raise InputError(f"{path}: expected {expected}, found: {error}") from error


def run_squares(
    folder: Path,
    config: SquaresConfig,
    *,
    resume: bool = False,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Train, evaluate and draw.

    Parameters
    ----------
    folder : Path
        Made if missing.
    config : SquaresConfig
    resume : bool
        Go on after the last finished epoch of the run in `folder`.
    on_step : callable
        Called after each batch with the batches done and their total; with messages for the user.

    Returns
    -------
    dict
        What `metrics.json` holds; see `evaluate_predictor`.

    Raises
    ------
    InputError
        If there is a run and `resume` is not asked for, or the other way round, or its training had other numbers.
    WorkError
        If the folder cannot be written.
    """
    _check_folder(folder, config, resume=resume)
    _require_memory(config)
    loaded = load_checkpoint(folder) if resume else None
    if loaded and config.epochs < (done := len(loaded[1].rows)):
        raise InputError(f"{folder}: expected at least the {done} epochs that are done, found epochs = {config.epochs}")
    make_folder(folder)
    write_atomically(folder / CONFIG, json.dumps(config.to_dict(), indent=2) + "\n")

    model, rows = _trained(folder, config, loaded, on_step=on_step)
    noisy, shifted = unseen_movies(config)
    measured = evaluate_predictor(model, noisy, shifted, config)
    metrics = {
        "schema": 1,
        "epoch": _best(rows) + 1,
        "train_seconds": round(sum(row["seconds"] for row in rows), 1),
        **measured,
    }
    write_atomically(folder / "metrics.json", json.dumps(metrics, indent=2) + "\n")
    write_atomically(folder / "horizons.png", png(horizons_figure(measured)))
    _draw_movie(folder, model, noisy[config.movie], shifted[config.movie], config)
    return metrics


def unseen_movies(config: SquaresConfig) -> tuple[np.ndarray, np.ndarray]:
    """Return the movies kept for the figures, long enough for them: `(noisy, shifted)` of `generate_movies`."""
    return generate_movies(config.unseen, config.given + config.predicted, seed=(config.seed, _UNSEEN), config=config)


def evaluate_predictor(
    model: keras.Model, noisy: np.ndarray, shifted: np.ndarray, config: SquaresConfig
) -> dict[str, Any]:
    """Measure a predictor beside the guesses, against movies without noise.

    Returns
    -------
    dict
        movies, given; "rollout" and "one_step", each `{predictor: {metric: [figure per horizon]}}` with predictors
        network, copy and linear: a rollout sees the `given` first frames and then its own, a single step all noisy
        frames up to the one before; "wins_through": per metric, the horizon up to which the network's rollout is
        better than both guesses.
    """
    first, horizons = noisy[:, : config.given], config.predicted
    shown = noisy[:, :-1]
    truth = shifted[:, config.given - 1 : -1, ..., 0]
    parts = [first[start : start + _MOVIES_AT_ONCE] for start in range(0, len(first), _MOVIES_AT_ONCE)]
    rollout = {"network": np.concatenate([roll_out(model, part, horizons) for part in parts])}
    one_step = {"network": model.predict(shown, batch_size=_MOVIES_AT_ONCE, verbose=0)[:, config.given - 1 :]}
    for name, guess in BASELINES.items():
        rollout[name] = roll_out_guess(guess, first, horizons)
        one_step[name] = guess(shown)[:, config.given - 1 :]
    measured = {
        kind: figures(truth, {name: frames[..., 0] for name, frames in predictions.items()})
        for kind, predictions in (("rollout", rollout), ("one_step", one_step))
    }
    wins = wins_through(measured["rollout"], "network")
    return {"movies": len(noisy), "given": config.given, **measured, "wins_through": wins}


def _check_folder(folder: Path, config: SquaresConfig, *, resume: bool) -> None:
    exists = (folder / CONFIG).is_file()
    if exists and not resume:
        raise InputError(f"{folder}: expected a folder without a run, found one; go on with --resume or name another")
    if resume:
        stored = read_config(folder)
        for field in dataclasses.fields(config):
            old, new = getattr(stored, field.name), getattr(config, field.name)
            if old != new and field.name not in _CHANGEABLE:
                raise InputError(f"{folder}: expected the run's own {field.name} {old} to resume it, found {new}")


def _require_memory(config: SquaresConfig) -> None:
    """Refuse (WorkError) what cannot fit: the movies, and what one step of the training keeps for its gradient."""
    pixels, channels = config.size**2, config.filters
    movies = 2 * FLOAT * config.samples * config.frames * pixels
    kept = 6 * FLOAT * config.batch_size * config.frames * pixels * channels * config.layers  # four gates, h and c
    weights = 4 * FLOAT * config.layers * config.kernel**2 * 2 * channels * 4 * channels  # Adam's moments, gradients
    needed, free = BASE_BYTES + movies + kept + weights, available_bytes()
    if needed > free:
        raise WorkError(
            f"moving squares of these sizes need at least {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free: "
            "use fewer or smaller movies, a smaller batch, or a smaller network"
        )


def _trained(
    folder: Path,
    config: SquaresConfig,
    loaded: tuple[keras.Model, State] | None,
    *,
    on_step: Callable[[int, int], None],
) -> tuple[keras.Model, list[HistoryRow]]:
    """Train to the last epoch, every one saved as it ends; return the best epoch's predictor and the history."""
    if loaded:
        model, rows = loaded[0], loaded[1].rows
        logger.info(f"{folder}: resumed after epoch {len(rows)}")
    else:
        keras.utils.set_random_seed(config.seed)
        model, rows = build_predictor(config), []

    def keep(rows: list[HistoryRow]) -> None:
        if _best(rows) == len(rows) - 1:
            save_model(folder / MODEL, model)
        save_checkpoint(folder, model, rows)
        table = pd.DataFrame(rows).astype({"epoch": int})  # of a checkpoint, all numbers are fractions
        write_atomically(folder / HISTORY, table.to_csv(index=False, lineterminator="\n"))

    seen = config.samples - config.unseen
    noisy, shifted = generate_movies(seen, config.frames, seed=(config.seed, _SEEN), config=config)
    rows = train_predictor(model, noisy, shifted, config=config, history=rows, on_step=on_step, on_epoch=keep)
    return read_model(folder / MODEL), rows


def _best(rows: list[HistoryRow]) -> int:
    """Return the index of the epoch with the smallest validation loss, or loss without validation."""
    losses = [row.get("val_loss", row["loss"]) for row in rows]
    return losses.index(min(losses))


def _draw_movie(
    folder: Path, model: keras.Model, noisy: np.ndarray, shifted: np.ndarray, config: SquaresConfig
) -> None:
    """Draw the rollout of one movie: a picture per step, all of them as an animation, and a strip with the guesses."""
    given, steps = noisy[: config.given], config.predicted
    rollouts = {"network": roll_out(model, given[None], steps)[0, ..., 0]}
    for name, guess in BASELINES.items():
        rollouts[name] = roll_out_guess(guess, given[None], steps)[0, ..., 0]
    track = np.concatenate([given[..., 0], rollouts["network"]])
    truth = np.concatenate([noisy[:1], shifted[:-1]])[..., 0]
    drawn = [
        step_picture(frame, right, predicted=step >= config.given)
        for step, (frame, right) in enumerate(zip(track, truth, strict=True))
    ]
    for step, picture in enumerate(drawn, start=1):
        write_atomically(folder / f"{step}_animate.png", png(picture))
    write_atomically(folder / "rollout.gif", gif(drawn))
    write_atomically(folder / "strip.png", png(strip_figure(given[..., 0], truth[config.given :], rollouts)))
