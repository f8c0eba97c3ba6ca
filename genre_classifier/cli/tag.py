"""`genre-classifier tag`: videos to scores, segments and pages to watch them on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import click

from genre_classifier.cli.config_options import (
    GroupedCommand,
    GroupedOption,
    config_options,
    given,
    sharing_options,
    value_option,
)
from genre_classifier.cli.output import note, say
from genre_classifier.cli.run_path import RunPath
from genre_classifier.config import ExportConfig, Precision, PrecisionOption, SegmentConfig
from preprocessing.base.options import Count, option
from preprocessing.config import VideoLimits

_CHUNK = Annotated[
    Count,
    option("Scored at once: memory, not scores, depends on it.", unit="frames", group="Computation", le=1_000_000),
]


@click.command("tag", cls=GroupedCommand)
@click.argument("run", type=RunPath())
@click.argument("videos", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="VIDEO...")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the results.")
@sharing_options
@click.option("--strict", is_flag=True, help="Exit with 1 if any video could not be read.")
@click.option(
    "--overlay",
    cls=GroupedOption,
    group="Further files",
    is_flag=True,
    help="Also write overlay.mp4, a copy with the scores drawn on each frame.",
)
@click.option(
    "--embed",
    cls=GroupedOption,
    group="Further files",
    is_flag=True,
    help="Put a small copy of the video inside viewer.html.",
)
@click.option(
    "--label-studio",
    cls=GroupedOption,
    group="Further files",
    is_flag=True,
    help="Also write label_studio.json, predictions to correct there.",
)
@config_options(ExportConfig(), only=("label_studio_prefix",), group="Further files")
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
@value_option("--chunk", _CHUNK, default=None)
@value_option("--precision", PrecisionOption, default="float32")
@config_options(VideoLimits())
def command(
    run: Path,
    videos: tuple[Path, ...],
    out: Path,
    jobs: int | None,
    scheduler: str | None,
    strict: bool,
    overlay: bool,
    embed: bool,
    label_studio: bool,
    label_studio_prefix: str,
    also: str | None,
    chunk: int | None,
    precision: Precision,
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
    rules, limits = SegmentConfig(**given(options, SegmentConfig)), VideoLimits(**given(options, VideoLimits))

    from genre_classifier.cli.progress import VideoTime
    from genre_classifier.exports.export import export_tags, read_formats
    from genre_classifier.run_folder.run import load_run
    from genre_classifier.tagging.folder import tag_videos
    from genre_classifier.tagging.summary import write_tags_index
    from genre_classifier.tagging.tasks import EXPORTS, Extras, Task, plan_tasks
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
            precision=precision,
            limits=limits,
            segment_config=rules,
            jobs=jobs,
            scheduler=scheduler,
            extras=Extras(overlay, embed, label_studio, label_studio_prefix),
            on_start=lambda task: progress.start(task.source),
            on_progress=lambda task, now, end, frames: progress.step(str(task.video), now, end, frames),
            on_done=on_done,
            **({} if chunk is None else {"chunk": chunk}),
        )
    finally:
        progress.close()
    if len(failures) == len(tasks):
        return 2
    write_tags_index(out, failures)
    say(str(out / "index.html"))
    if formats:
        export_tags(out, out / EXPORTS, formats, on_file=lambda path: say(str(path)))
    return 1 if failures and strict else 0
