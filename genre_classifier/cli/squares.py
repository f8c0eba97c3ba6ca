"""`genre-classifier squares`: the moving-squares predictor, trained, judged and drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from genre_classifier.cli.config_options import config_options, given
from genre_classifier.squares_config import PRESETS, SquaresConfig


@click.command("squares")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to fill.")
@click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    help="quick: a smaller network, a few minutes on two cores. original: the full schedule, days.  [default: quick]",
)
@click.option("--resume", is_flag=True, help="Go on after the last finished epoch, with the options of the run.")
@config_options(SquaresConfig)
def command(out: Path, preset: str | None, resume: bool, **options: Any) -> None:
    """Train a ConvLSTM to predict the next frame of movies of moving squares, and show how good it is.

    Writes the model, its history, figures per horizon beside two simple guesses, and pictures of a rollout. The
    defaults below are those of the preset "original".

    \b
    Example:
      genre-classifier squares --preset quick --out squares/
      genre-classifier squares --resume --epochs 12 --out squares/
    """
    import dataclasses

    from genre_classifier.cli.progress import progress_bar
    from genre_classifier.squares_run import read_config, run_squares

    if resume and preset:
        raise click.UsageError("--resume goes on with the options of the run: leave --preset out")
    base = read_config(out) if resume else PRESETS[preset or "quick"]
    config = dataclasses.replace(base, **given(options, SquaresConfig))
    with progress_bar(None, "training", "batch") as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        metrics = run_squares(out, config, resume=resume, on_step=show, on_note=lambda text: click.echo(text, err=True))
    click.echo("\n".join(summary(metrics)))
    click.echo(str(out))


def summary(metrics: dict[str, Any]) -> list[str]:
    """Return the rollout's figures as lines of a table, and where the network stops winning."""
    horizons = range(1, len(metrics["rollout"]["network"]["mse"]) + 1)
    lines = [f"rollout of {metrics['movies']} unseen movies, {metrics['given']} frames given; frames ahead:"]
    lines.append(" " * 14 + "".join(f"{horizon:8d}" for horizon in horizons))
    for metric in metrics["wins_through"]:
        for name, values in metrics["rollout"].items():
            lines.append(f"{metric:6s}{name:8s}" + "".join(f"{value:8.4f}" for value in values[metric]))
    wins = ", ".join(f"{metric} {horizon}" for metric, horizon in metrics["wins_through"].items())
    return [*lines, f"the network is better than both guesses through horizon: {wins}"]
