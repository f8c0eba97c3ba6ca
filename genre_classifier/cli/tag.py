"""`genre-classifier tag`: videos to scores, segments and pages to watch them on."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from genre_classifier.cli.config_options import (
    GroupedCommand,
    GroupedOption,
    RunPath,
    config_options,
    given,
    is_given,
    require_use,
    sharing_options,
)
from genre_classifier.cli.output import note, say, say_files
from genre_classifier.config import SegmentConfig, TagConfig
from preprocessing.config import VideoLimits


@click.command("tag", cls=GroupedCommand)
@click.argument("run", type=RunPath())
@click.argument("videos", nargs=-1, type=click.Path(path_type=Path), metavar="VIDEO...")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the results.")
@click.option(
    "--again",
    is_flag=True,
    help="RUN is a folder OUT of an earlier `tag`: make its segments, pages and files again from the stored scores, "
    "with the options that are given; the others stay as they were.",
)
@sharing_options
@click.option("--strict", is_flag=True, help="Exit with 1 if any video could not be read.")
@config_options(TagConfig(), leave_out=("chunk", "precision", "encoder_engine"))
@click.option(
    "--also",
    cls=GroupedOption,
    group="Further files",
    metavar="FORMATS",
    help="Also write every video of OUT for other programs, into OUT/exports: formats of `export --to`, with "
    "commas between.",
)
@click.option(
    "--threshold",
    cls=GroupedOption,
    group="Segments",
    metavar="NUMBER|GENRE=NUMBER,...",
    help="The score, above 0 and at most 1, at which a segment begins: of all genres, or of those that are named. "
    "Genres that exclude each other have none.  "
    "[default: the run's]",
)
@config_options(
    SegmentConfig(),
    flags={"smooth_seconds": "--smooth", "min_seconds": "--min-segment", "min_gap_seconds": "--min-gap"},
)
@config_options(TagConfig(), only=("chunk", "precision", "encoder_engine"))
@config_options(VideoLimits())
def command(
    *,
    run: Path,
    videos: tuple[Path, ...],
    out: Path | None,
    again: bool,
    threshold: str | None,
    jobs: int | None,
    scheduler: str | None,
    strict: bool,
    also: str | None,
    **options: Any,
) -> int:
    """Tag videos, or folders of them: which genre each shows, and when.

    Each video gets a folder in OUT with scores.csv, segments.csv, segments.vtt, segments.json, timeline.png and
    viewer.html; OUT gets index.html, summary.csv and segments.json. What is done already is not done again, and stored
    scores are not computed again where only thresholds or other options of segments change.

    \b
    Example:
      genre-classifier tag runs/mine new_trailer.mp4 --out tags/
      genre-classifier tag runs/mine trailers/ --out tags/ --overlay
      genre-classifier tag runs/mine trailers/ --out tags/ --also eaf,otio
      genre-classifier tag runs/mine trailers/ --out tags/ --scheduler tcp://host:8786
      genre-classifier tag tags/ --again --threshold 0.4,action=0.3
    """
    config, limits = TagConfig(**given(options, TagConfig)), VideoLimits(**given(options, VideoLimits))
    segments = SegmentConfig(**given(options, SegmentConfig))
    _check_arguments(again)
    kept = again and not is_given("label_studio")  # of videos that have such a file
    require_use("label_studio_prefix", config.label_studio or kept, by="--label-studio")

    from genre_classifier.cli.progress import VideoTime
    from genre_classifier.exports.export import export_tags, read_formats
    from genre_classifier.run_folder.run import load_run
    from genre_classifier.tagging.folder import tag_again, tag_videos
    from genre_classifier.tagging.segments import read_thresholds
    from genre_classifier.tagging.summary import read_failures, write_tags_index
    from genre_classifier.tagging.tasks import EXPORTS, INDEX, PAGE, STAMP, SUMMARY, Task, plan_tasks
    from preprocessing.base.errors import InputError
    from preprocessing.base.files import make_folder
    from preprocessing.sources import name_videos

    formats = () if also is None else read_formats(also, option="--also")
    thresholds = None if threshold is None else read_thresholds(threshold)

    done = 0

    def written_at(path: Path) -> int | None:
        return path.stat().st_mtime_ns if path.is_file() else None

    def report(folder: Path, error: InputError | None) -> None:
        nonlocal done
        done += error is None
        if error:
            note(f"genre-classifier: {error}")
        else:
            say(str(folder / PAGE))

    def finish(tags: Path, failures: list[tuple[str, str]], unread: list[tuple[str, str]], *, changed: bool) -> int:
        if not done:
            return 2
        write_tags_index(tags, [*unread, *failures])
        say(str(tags / INDEX))
        if formats:
            export_tags(tags, tags / EXPORTS, formats, on_video=say_files)
        elif changed and (tags / EXPORTS).is_dir():
            note(f"genre-classifier: {tags / EXPORTS} holds the segments of before; --also FORMATS writes them again")
        return 1 if failures and strict else 0

    if again:
        failures = tag_again(
            run,
            thresholds=thresholds,
            segments=given(options, SegmentConfig),
            extras=given(options, TagConfig),
            limits=limits,
            on_done=report,
        )
        return finish(run, failures, read_failures(run / SUMMARY), changed=True)
    assert out is not None  # as _check_arguments says
    loaded = load_run(run)
    named = name_videos(videos)
    was_there = out.exists()
    make_folder(out)
    tasks = plan_tasks(named, out)
    before = [written_at(task.folder / STAMP) for task in tasks]
    progress = VideoTime((task.video for task in tasks), "tag")

    def on_done(task: Task, error: InputError | None) -> None:
        progress.finish(str(task.video))
        with progress.bar.external_write_mode():
            report(task.folder, error)

    try:
        failures = tag_videos(
            loaded,
            tasks,
            config=config,
            segments=segments,
            thresholds=thresholds,
            limits=limits,
            jobs=jobs,
            scheduler=scheduler,
            on_start=lambda task: progress.start(task.source),
            on_progress=lambda task, now, end, frames: progress.step(str(task.video), now, end, frames),
            on_done=on_done,
        )
    finally:
        progress.close()
        if not was_there:
            with suppress(OSError):  # what is not empty stays
                out.rmdir()
    changed = before != [written_at(task.folder / STAMP) for task in tasks]
    return finish(out, failures, [], changed=changed)


def _check_arguments(again: bool) -> None:
    """Refuse what does not go together with --again, and what lacks without it."""
    context = click.get_current_context()
    parameters = {parameter.name: parameter for parameter in context.command.params}
    if again:
        names = ("videos", "out", "jobs", "scheduler", "chunk", "precision", "encoder_engine")
        if wrong := [name for name in names if is_given(name)]:
            named = [parameters[name].get_error_hint(context) for name in wrong]
            raise click.UsageError(f"--again takes the scores that are stored in TAGS: leave {', '.join(named)} out")
        return
    for name in ("videos", "out"):
        if not context.params[name]:
            raise click.MissingParameter(ctx=context, param=parameters[name])
