"""`genre-classifier squares`: the moving-squares predictor, trained, judged and drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from genre_classifier.cli.config_options import GroupedCommand, config_options, given, is_given
from genre_classifier.cli.output import say
from genre_classifier.moving_squares.config import PRESETS, SquaresConfig

_PRESET = "quick"


@click.command("squares", cls=GroupedCommand)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to fill.")
@click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    default=_PRESET,
    show_default=True,
    help="quick: a smaller network, a few minutes on two cores. original: the full schedule, days. Every option below "
    f"changes one of its numbers, and shows the default of {_PRESET}.",
)
@click.option("--resume", is_flag=True, help="Go on after the last finished epoch, with the options of the run.")
@config_options(PRESETS[_PRESET])
def command(out: Path, preset: str, resume: bool, **options: Any) -> None:
    """Train a ConvLSTM to predict the next frame of movies of moving squares, and show how good it is.

    Writes the model, its history, figures per horizon beside two simple guesses, and pictures of a rollout.

    \b
    Example:
      genre-classifier squares --preset quick --out squares/
      genre-classifier squares --resume --epochs 12 --out squares/
    """
    import dataclasses

    from genre_classifier.cli.progress import progress_bar
    from genre_classifier.moving_squares.run import read_config, run_squares

    if resume and is_given("preset"):
        raise click.UsageError("--resume goes on with the options of the run: leave --preset out")
    base = read_config(out) if resume else PRESETS[preset]
    config = dataclasses.replace(base, **given(options, SquaresConfig))
    with progress_bar(None, "training", "batch") as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        metrics = run_squares(out, config, resume=resume, on_step=show)
    for line in [*summary(metrics), str(out)]:
        say(line)


def summary(metrics: dict[str, Any]) -> list[str]:
    """Return the rollout's figures as a table, a line per frame ahead, and where the network stops winning."""
    rollout = metrics["rollout"]
    columns = [(metric, name) for metric in metrics["wins_through"] for name in rollout]
    lines = [f"rollout of {metrics['movies']} unseen movies from {metrics['given']} frames"]
    lines.append("ahead" + "".join(f"{metric if name == 'network' else '':>9s}" for metric, name in columns))
    lines.append("     " + "".join(f"{name:>9s}" for _, name in columns))
    for horizon in range(len(rollout["network"]["mse"])):
        values = (rollout[name][metric][horizon] for metric, name in columns)
        lines.append(f"{horizon + 1:5d}" + "".join(f"{value:9.4f}" for value in values))
    wins = ", ".join(f"{metric} {horizon}" for metric, horizon in metrics["wins_through"].items())
    return [*lines, f"the network is better than both guesses up to frame: {wins}"]
