"""`genre-classifier synthesize`: trailers whose genres are known for every frame."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("synthesize")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--trailers", type=int, help="How many.  [default: 30]")
@click.option("--duration", type=float, help="Seconds of each, at least.  [default: 12]")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True,
              help="The same seed gives the same pixels and labels.")  # fmt: skip
def command(folder: Path, trailers: int | None, duration: float | None, seed: int) -> None:
    """Write synthetic trailers (.mp4) and their labels.csv into DIR.

    \b
    Example:
      genre-classifier synthesize trailers/ --trailers 30 --seed 0
    """
    from genre_classifier.cli.output import say
    from genre_classifier.cli.progress import progress_bar
    from genre_classifier.dataset.synthetic import SyntheticConfig, synthesize

    options = {name: value for name, value in (("trailers", trailers), ("duration", duration)) if value is not None}
    config = SyntheticConfig(**options)  # type: ignore[arg-type]
    with progress_bar(config.trailers, "synthesize", "trailer") as bar:
        synthesize(folder, config, seed=seed, on_trailer=lambda path: bar.update())
    say(f"{config.trailers} trailers and labels.csv in {folder}")
