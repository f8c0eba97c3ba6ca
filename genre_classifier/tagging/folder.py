"""The tags folder: every video that is not done yet, one after the other or several at once.

A video is done when its `tags.json` is there, written last: a later command goes on where this one stopped.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from genre_classifier.config import SegmentConfig, TagConfig
from genre_classifier.network.memory import encoder_bytes, scoring_bytes
from genre_classifier.run_folder.layout import ENCODER
from genre_classifier.run_folder.run import Run, run_of_process
from genre_classifier.tagging.scores import write_scores
from genre_classifier.tagging.segments import activitynet, label_studio, webvtt, write_segments
from genre_classifier.tagging.tags import Tags, as_jpeg, poster
from genre_classifier.tagging.tasks import (
    INDEX,
    LABEL_STUDIO,
    OVERLAY,
    POSTER,
    STAMP,
    Stamp,
    TagsRecord,
    Task,
    is_done,
    made_with,
    make_stamp,
    require_same_video,
    write_record,
)
from genre_classifier.tagging.timeline import write_timeline
from genre_classifier.tagging.video_copies import embedded_copy, write_overlay
from genre_classifier.tagging.viewer import viewer_html
from preprocessing.base.errors import InputError
from preprocessing.base.files import make_folder, remove_leftovers, write_atomically
from preprocessing.config import VideoLimits
from preprocessing.processes.pool import check_options
from preprocessing.processes.serving import Answers
from preprocessing.processes.sharing import setting_up, share_out


def tag_videos(
    run: Run,
    tasks: Iterable[Task],
    *,
    config: TagConfig | None = None,
    segments: SegmentConfig | None = None,
    limits: VideoLimits | None = None,
    jobs: int | None = 1,
    scheduler: str | None = None,
    on_start: Callable[[Task], None] | None = None,
    on_progress: Callable[[Task, float, float, int], None] | None = None,
    on_done: Callable[[Task, InputError | None], None] | None = None,
) -> list[tuple[str, str]]:
    """Tag every video that is not done yet, and write its files. They do not depend on how many work, and where.

    Parameters
    ----------
    run : Run
    tasks : iterable of Task
        See `genre_classifier.tagging.tasks.plan_tasks`.
    config : TagConfig, optional
    segments : SegmentConfig, optional
        How scores become segments.
    limits : VideoLimits, optional
        What a video may cost.
    jobs : int or None
        Videos at once, each in a process of its own; None: as many as there are cores. Fewer where there are not so
        many videos, or not so much memory.
    scheduler : str, optional
        Address of a Dask scheduler, `tcp://host:port`; its workers must see run, videos and tags folder under the same
        names.
    on_start : callable, optional
        Called before each video that is tagged, not for those that are done already.
    on_progress : callable, optional
        Called now and then with a video, the time of the frame that was just scored, that of its last one, and how many
        frames are scored; not for those on a cluster.
    on_done : callable, optional
        Called after each video, in their order, with the error if it could not be read.

    Returns
    -------
    list of (str, str)
        Source and reason of the videos that could not be read; the others are done.

    Raises
    ------
    InputError
        If the model cannot be loaded.
    WorkError
        If a file cannot be written, or the cluster does not answer.
    """
    check_options(jobs=jobs, scheduler=scheduler)
    config, segments, limits = config or TagConfig(), segments or SegmentConfig(), limits or VideoLimits()
    how = made_with(run.path, config, segments)
    stamps: list[Stamp | InputError | None] = []  # None: done already
    tasks = list(tasks)
    for task in tasks:
        try:
            stamp = make_stamp(task, how)
            stamps.append(None if is_done(task.folder, stamp) else stamp)
        except InputError as error:
            stamps.append(error)
    waiting = [(task, stamp) for task, stamp in zip(tasks, stamps, strict=True) if isinstance(stamp, Stamp)]
    lock = threading.Lock()
    begun: set[int] = set()

    def begin(index: int) -> None:
        if on_start and index not in begun:
            begun.add(index)
            with lock:
                on_start(waiting[index][0])

    def alive(index: int, answer: dict[str, Any]) -> None:
        begin(index)
        if on_progress and "end" in answer:
            with lock:
                on_progress(waiting[index][0], answer["now"], answer["end"], answer["frames"])

    def here(index: int) -> None:
        with setting_up():  # a model that cannot be loaded is no fault of the video
            run.load()
        begin(index)
        task, stamp = waiting[index]
        step = on_progress and functools.partial(on_progress, task)
        tag_video(run, task, stamp, config=config, segments=segments, limits=limits, on_progress=step)

    # Children may run elsewhere, with another working folder.
    shared = {
        "run": str(run.path.absolute()),
        "run_digest": how["run"],
        "config": config.to_dict(),
        "segments": segments.to_dict(),
        "limits": limits.to_dict(),
    }
    questions = [
        shared
        | {
            "video": str(task.video.absolute()),
            "source": task.source,
            "folder": str(task.folder.absolute()),
            "stamp": vars(stamp),
        }
        for task, stamp in waiting
    ]
    failures: list[tuple[str, str]] = []
    with share_out(
        f"{__name__}:tag_task",
        questions,
        here=here,
        files=[task.video for task, _ in waiting],
        name="tagger",
        needed_bytes=_needed_bytes(run, config),
        jobs=jobs,
        scheduler=scheduler,
        on_alive=alive,
    ) as outcomes:
        for task, found in zip(tasks, stamps, strict=True):
            outcome = next(outcomes) if isinstance(found, Stamp) else found
            if outcome is not None:
                failures.append((task.source, str(outcome)))
            if on_done:
                with lock:
                    on_done(task, outcome)
    return failures


def _needed_bytes(run: Run, config: TagConfig) -> float:
    needed = scoring_bytes(run.model_config, config.chunk, precision=config.precision)
    if run.model_config.encoder is not None:
        needed += encoder_bytes(run.model_config, (run.path / ENCODER).stat().st_size)
    return needed


def tag_task(task: dict[str, Any], answers: Answers) -> None:
    """Tag one video in a child process."""
    answers.alive()
    tag_video(
        run_of_process(task["run"], task["run_digest"], encoder=True),
        Task(Path(task["video"]), task["source"], Path(task["folder"])),
        Stamp(**task["stamp"]),
        config=TagConfig.from_dict(task["config"]),
        segments=SegmentConfig.from_dict(task["segments"]),
        limits=VideoLimits.from_dict(task["limits"]),
        on_progress=lambda now, end, frames: answers.alive(now=now, end=end, frames=frames),
    )


def tag_video(
    run: Run,
    task: Task,
    stamp: Stamp,
    *,
    config: TagConfig,
    segments: SegmentConfig,
    limits: VideoLimits,
    on_progress: Callable[[float, float, int], None] | None = None,
) -> None:
    """Tag one video and write its files.

    Parameters
    ----------
    run : Run
    task : Task
    stamp : Stamp
        See `genre_classifier.tagging.tasks.make_stamp`.
    config, segments, limits
        As for `tag_videos`.
    on_progress : callable, optional
        Called after each frame with its time, that of the last one, and how many frames are scored.

    Raises
    ------
    InputError
        If the video cannot be read.
    WorkError
        If a file cannot be written.
    """
    from genre_classifier.tagging.tag import tag_trailer  # TensorFlow, which is of no use where children work

    frames = 0

    def count(now: float, end: float) -> None:
        nonlocal frames
        frames += 1
        if on_progress:
            on_progress(now, end, frames)

    tags = tag_trailer(
        run,
        task.video,
        chunk=config.chunk,
        precision=config.precision,
        limits=limits,
        segment_config=segments,
        on_progress=count,
    )
    require_same_video(task, stamp)
    write_tags(task, tags, stamp, config=config, limits=limits)


def write_tags(task: Task, tags: Tags, stamp: Stamp, *, config: TagConfig, limits: VideoLimits) -> None:
    """Write all files of one video, `tags.json` last."""
    folder = task.folder
    make_folder(folder)
    for stale in (STAMP, OVERLAY, POSTER, LABEL_STUDIO):
        (folder / stale).unlink(missing_ok=True)
    remove_leftovers(folder)
    write_scores(folder / "scores.csv", tags.scores)
    write_segments(folder / "segments.csv", tags.segments)
    write_atomically(folder / "segments.vtt", webvtt(tags.segments))
    write_atomically(folder / "segments.json", activitynet({task.source: tags.segments}))
    record = TagsRecord(
        **vars(stamp),
        duration=tags.duration,
        frames=len(tags.scores),
        segments_found=len(tags.segments),
        shares=tags.shares(),
        fps=tags.fps,
        size=tags.size,
        cuts=tags.cuts,
        start=tags.start,
    )
    if config.label_studio:
        write_atomically(folder / LABEL_STUDIO, label_studio([(record, tags.segments)]))
    write_timeline(folder / "timeline.png", tags)
    if picture := poster(tags.thumbnails):
        write_atomically(folder / POSTER, as_jpeg(picture.picture))
    if config.overlay:
        write_overlay(folder / OVERLAY, tags, limits=limits)
    copy = embedded_copy(tags.video, limits=limits) if config.embed else None
    link = quote(f"./{folder.name}/viewer.html")
    page = viewer_html(tags, folder, trailer=task.source, embedded=copy, index=f"../{INDEX}", link=link)
    write_atomically(folder / "viewer.html", page)
    require_same_video(task, stamp)  # which copies have read, too
    write_record(folder, record)
