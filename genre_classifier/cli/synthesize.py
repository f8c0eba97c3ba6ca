"""`genre-classifier synthesize`: trailers whose genres are known for every frame."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import click

from genre_classifier.cli.config_options import config_options, given, value_option
from genre_classifier.config import SyntheticConfig
from genre_classifier.genres import GENRES, genre_list
from preprocessing.base.options import Seed, option


@click.command("synthesize")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@config_options(SyntheticConfig(), only=("trailers", "duration"))
@click.option(
    "--genres", metavar="NAMES", help="Genres that they show, with commas between.  [default: the article's six]"
)
@click.option(
    "--alike",
    metavar="NAMES",
    help="Two of them that are drawn alike; only their sound differs.  [default: none]",
)
@value_option("--seed", Annotated[Seed, option("The same seed gives the same pixels and labels.")], default=0)
def command(folder: Path, genres: str | None, alike: str | None, seed: int, **options: Any) -> None:
    """Write synthetic trailers (.mp4) and their labels.csv into DIR.

    \b
    Example:
      genre-classifier synthesize trailers/ --trailers 30 --seed 0
      genre-classifier synthesize movies/ --genres drama,romance,sci-fi,other
      genre-classifier synthesize heard/ --alike terror,thriller
    """
    from genre_classifier.cli.output import say
    from genre_classifier.cli.progress import progress_bar
    from genre_classifier.dataset.synthetic import synthesize

    config = SyntheticConfig(
        **given(options, SyntheticConfig),
        genres=genre_list(genres) if genres else GENRES,
        alike=genre_list(alike) if alike else (),
    )
    with progress_bar(config.trailers, "synthesize", "trailer") as bar:
        synthesize(folder, config, seed=seed, on_trailer=lambda path: bar.update())
    say(f"{config.trailers} trailers and labels.csv in {folder}")
