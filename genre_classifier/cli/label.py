"""`genre-classifier label`: pages on which videos are labelled by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from genre_classifier.cli.config_options import GroupedCommand, config_options, given
from genre_classifier.cli.output import note, say
from preprocessing.config import VideoLimits


@click.command("label", cls=GroupedCommand)
@click.argument("videos", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="VIDEO...")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the pages.")
@click.option("--genres", metavar="NAMES", help="Genres to mark, with commas between.  [default: the article's six]")
@config_options(VideoLimits())
def command(videos: tuple[Path, ...], out: Path, genres: str | None, **options: Any) -> int:
    """Write a page for each video, or for each in a folder, on which you mark its genres.

    The pages need no server, and keep what is marked until it is saved as a label file, which the browser puts into its
    folder of downloads; `labels` joins those files. A page that is written again keeps what was marked on it.

    \b
    Example:
      genre-classifier label trailers/ --out pages/
      genre-classifier labels Downloads/*.labels.csv labels.csv
    """
    from genre_classifier.cli.progress import VideoTime
    from genre_classifier.genres import GENRES, genre_list
    from genre_classifier.tagging.tasks import plan_tasks
    from genre_classifier.tagging.viewer import write_label_page
    from preprocessing.base.errors import InputError
    from preprocessing.base.files import make_folder
    from preprocessing.sources import name_videos

    limits = VideoLimits(**given(options, VideoLimits))
    named = genre_list(genres) if genres else GENRES
    tasks = plan_tasks(name_videos(videos), out)
    make_folder(out)
    failed = 0
    progress = VideoTime((task.video for task in tasks), "label")
    try:
        for task in tasks:
            page, key = out / f"{task.folder.name}.html", str(task.video)
            progress.start(task.source)

            def step(now: float, end: float, frames: int, key: str = key) -> None:
                progress.step(key, now, end, frames)

            try:
                write_label_page(page, task.video, task.source, genres=named, limits=limits, on_progress=step)
            except InputError as error:
                failed += 1
                with progress.bar.external_write_mode():
                    note(f"genre-classifier: {error}")
            else:
                with progress.bar.external_write_mode():
                    say(str(page))
            progress.finish(key)
    finally:
        progress.close()
    return 2 if failed == len(tasks) else 0
