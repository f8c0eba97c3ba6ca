"""`genre-classifier suggest`: which trailers of a clips folder to label next, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import click

from genre_classifier.cli.config_options import RunPath, sharing_options, value_option
from genre_classifier.cli.output import say
from genre_classifier.config import MAX_LABEL_MB, MaxLabelMb
from preprocessing.base.options import Count, option

_COUNT = Annotated[Count | None, option("How many trailers to suggest; none: all without a label.")]


@click.command("suggest")
@click.argument("run", type=RunPath())
@click.argument("clips", type=click.Path(path_type=Path))
@click.option(
    "--labels",
    type=click.Path(path_type=Path),
    help="What is labelled by now; without it, what the run was trained and judged on.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the results.")
@click.option("--tags", type=click.Path(path_type=Path), help="Folder that `tag` wrote, for links to its viewers.")
@click.option(
    "--label",
    type=click.Path(path_type=Path),
    metavar="VIDEOS",
    help="Folder of the videos: the first suggestions (--count, or 20) get label pages in OUT/pages, on which what the "
    "run finds is drawn lightly.",
)
@value_option("--count", _COUNT, default=None)
@value_option("--max-label-mb", MaxLabelMb, default=MAX_LABEL_MB, group="")
@sharing_options
def command(
    *,
    run: Path,
    clips: Path,
    labels: Path | None,
    out: Path,
    tags: Path | None,
    label: Path | None,
    count: int | None,
    max_label_mb: float,
    jobs: int | None,
    scheduler: str | None,
) -> None:
    """Say which clips without a label to label next: suggestions.csv and suggestions.html in OUT.

    First come trailers of which the network is unsure, and that look unlike all that are labelled or suggested before.
    Scores are kept in OUT/scores.

    \b
    Example:
      genre-classifier suggest runs/mine clips/ --out next/ --count 20
      genre-classifier suggest runs/mine clips/ --labels labels2.csv --tags tags/ --out next/
      genre-classifier suggest runs/mine clips/ --label trailers/ --out next/ --count 20
    """
    from genre_classifier.cli.label import write_pages
    from genre_classifier.cli.progress import progress_bar
    from genre_classifier.evaluation.suggestions.suggest import LABEL_PAGES, PAGE, TABLE, suggest
    from genre_classifier.tagging.tasks import INDEX

    with progress_bar(0, "scoring", "frame") as bar:

        def on_start(frames: int) -> None:
            bar.reset(total=frames)

        def label_pages(*what: Any, **options: Any) -> list[tuple[str, str]]:
            bar.close()
            return write_pages(*what, **options)

        suggest(
            run,
            clips,
            out,
            labels=labels,
            max_label_mb=max_label_mb,
            tags=tags,
            label=label,
            write_pages=label_pages,
            count=count,
            jobs=jobs,
            scheduler=scheduler,
            on_start=on_start,
            on_frames=bar.update,
        )
    for name in (TABLE, PAGE, *([f"{LABEL_PAGES}/{INDEX}"] if label else [])):
        say(str(out / name))
