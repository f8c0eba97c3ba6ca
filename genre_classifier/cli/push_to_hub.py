"""`genre-classifier push-to-hub`: a run folder into a repository of the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

import click

from genre_classifier.cli.output import say


@click.command("push-to-hub")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("repository", metavar="OWNER/NAME")
@click.option("--public", is_flag=True, help="Make a new repository public; otherwise it is private.")
def command(run: Path, repository: str, public: bool) -> None:
    """Put the run RUN, with its model card, into the repository OWNER/NAME on huggingface.co, in one commit.

    Every command that reads a run then takes hf://OWNER/NAME, or hf://OWNER/NAME@REVISION, in the place of RUN.
    Everyone who can read it sees its trailers (splits.csv) and its command line (card.json, README.md).

    \b
    Example:
      hf auth login
      genre-classifier push-to-hub runs/mine me/trailer-genres
      genre-classifier tag hf://me/trailer-genres new_trailer.mp4 --out tags/
    """
    from genre_classifier.run_folder.hub import push_run

    say(push_run(run, repository, public=public))
