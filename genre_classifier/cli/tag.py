"""`genre-classifier tag`: videos to scores, segments and pages to watch them on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from genre_classifier.cli.config_options import (
    GroupedCommand,
    GroupedOption,
    RunPath,
    config_options,
    given,
    sharing_options,
)
from genre_classifier.cli.output import note, say, say_files
from genre_classifier.config import SegmentConfig, TagConfig
from preprocessing.config import VideoLimits


@click.command("tag", cls=GroupedCommand)
@click.argument("run", type=RunPath())
@click.argument("videos", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="VIDEO...")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the results.")
@sharing_options
@click.option("--strict", is_flag=True, help="Exit with 1 if any video could not be read.")
@config_options(TagConfig(), leave_out=("chunk", "precision"))
@click.option(
    "--also",
    cls=GroupedOption,
    group="Further files",
    metavar="FORMATS",
    help="Also write every video of OUT for other programs, into OUT/exports: formats of `export --to`, with "
    "commas between.",
)
@config_options(
    SegmentConfig(),
    flags={"smooth_seconds": "--smooth", "min_seconds": "--min-segment", "min_gap_seconds": "--min-gap"},
)
@config_options(TagConfig(), only=("chunk", "precision"))
@config_options(VideoLimits())
def command(
    *,
    run: Path,
    videos: tuple[Path, ...],
    out: Path,
    jobs: int | None,
    scheduler: str | None,
    strict: bool,
    also: str | None,
    **options: Any,
) -> int:
    """Tag videos, or folders of them: which genre each shows when.

    Each video gets a folder in OUT with scores.csv, segments.csv, segments.vtt, segments.json, timeline.png and
    viewer.html; OUT gets index.html, summary.csv and segments.json. What is done already is not done again.

    \b
    Example:
      genre-classifier tag runs/mine new_trailer.mp4 --out tags/
      genre-classifier tag runs/mine trailers/ --out tags/ --overlay
      genre-classifier tag runs/mine trailers/ --out tags/ --also eaf,otio
      genre-classifier tag runs/mine trailers/ --out tags/ --scheduler tcp://host:8786
    """
    config, limits = TagConfig(**given(options, TagConfig)), VideoLimits(**given(options, VideoLimits))
    segments = SegmentConfig(**given(options, SegmentConfig))

    from genre_classifier.cli.progress import VideoTime
    from genre_classifier.exports.export import export_tags, read_formats
    from genre_classifier.run_folder.run import load_run
    from genre_classifier.tagging.folder import tag_videos
    from genre_classifier.tagging.summary import write_tags_index
    from genre_classifier.tagging.tasks import EXPORTS, Task, plan_tasks
    from preprocessing.base.errors import InputError
    from preprocessing.base.files import make_folder
    from preprocessing.sources import name_videos

    formats = () if also is None else read_formats(also, option="--also")
    loaded = load_run(run)
    named = name_videos(videos)
    make_folder(out)
    tasks = plan_tasks(named, out)
    progress = VideoTime((task.video for task in tasks), "tag")

    def on_done(task: Task, error: InputError | None) -> None:
        progress.finish(str(task.video))
        with progress.bar.external_write_mode():
            if error:
                note(f"genre-classifier: {error}")
            else:
                say(str(task.folder / "viewer.html"))

    try:
        failures = tag_videos(
            loaded,
            tasks,
            config=config,
            segments=segments,
            limits=limits,
            jobs=jobs,
            scheduler=scheduler,
            on_start=lambda task: progress.start(task.source),
            on_progress=lambda task, now, end, frames: progress.step(str(task.video), now, end, frames),
            on_done=on_done,
        )
    finally:
        progress.close()
    if len(failures) == len(tasks):
        return 2
    write_tags_index(out, failures)
    say(str(out / "index.html"))
    if formats:
        export_tags(out, out / EXPORTS, formats, on_video=say_files)
    return 1 if failures and strict else 0
