"""`genre-classifier label`: pages on which videos are labelled by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genre_classifier.cli.config_options import GroupedCommand, config_options, given
from genre_classifier.cli.output import note, say
from preprocessing.config import VideoLimits

if TYPE_CHECKING:
    from genre_classifier.tagging.tasks import Task
    from preprocessing.base.errors import InputError


@click.command("label", cls=GroupedCommand)
@click.argument("videos", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="VIDEO...")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the pages.")
@click.option("--genres", metavar="NAMES", help="Genres to mark, with commas between.  [default: the article's six]")
@config_options(VideoLimits())
def command(videos: tuple[Path, ...], out: Path, genres: str | None, **options: Any) -> int:
    """Write a page for each video, or for each in a folder, on which you mark its genres.

    The pages need no server, and keep what is marked until it is saved as a label file, which the browser puts into its
    folder of downloads; `labels` joins those files. A page that is written again keeps what was marked on it.
    index.html in OUT lists the pages, and what is done.

    \b
    Example:
      genre-classifier label trailers/ --out pages/
      genre-classifier labels Downloads/*.labels.csv labels.csv
    """
    from genre_classifier.genres import GENRES, genre_list
    from genre_classifier.tagging.tasks import INDEX, plan_tasks
    from preprocessing.base.files import make_folder
    from preprocessing.sources import name_videos

    limits = VideoLimits(**given(options, VideoLimits))
    named = genre_list(genres) if genres else GENRES
    tasks = plan_tasks(name_videos(videos), out)
    make_folder(out)
    failures = write_pages(tasks, out, genres=named, limits=limits)
    if len(failures) == len(tasks):
        return 2
    say(str(out / INDEX))
    return 0


def write_pages(tasks: Sequence[Task], out: Path, **options: Any) -> list[tuple[str, str]]:
    """Write label pages as `write_label_pages` does, with a bar, and a line for each."""
    from genre_classifier.cli.progress import VideoTime
    from genre_classifier.tagging.label_pages import write_label_pages

    progress = VideoTime((task.video for task in tasks), "label")

    def on_done(task: Task, page: Path, error: InputError | None) -> None:
        progress.finish(str(task.video))
        with progress.bar.external_write_mode():
            if error:
                note(f"genre-classifier: {error}")
            else:
                say(str(page))

    try:
        return write_label_pages(
            tasks,
            out,
            on_start=lambda task: progress.start(task.source),
            on_progress=lambda task, now, end, frames: progress.step(str(task.video), now, end, frames),
            on_done=on_done,
            **options,
        )
    finally:
        progress.close()
