"""The tags folder: every video that is not done yet, one after the other or several at once.

A video is done when its `tags.json` is there, written last: a later command goes on where this one stopped.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from genre_classifier.config import SegmentConfig, TagConfig, scoring_chunk
from genre_classifier.network.encoder_engine import choose_engine
from genre_classifier.network.memory import encoder_bytes, scoring_bytes, sound_encoder_bytes
from genre_classifier.run_folder.layout import ENCODER, SOUND_ENCODER
from genre_classifier.run_folder.run import Run, run_digest, run_of_process
from genre_classifier.tagging.reading import VideoReading
from genre_classifier.tagging.segments import name_thresholds, used_thresholds
from genre_classifier.tagging.tasks import (
    STAMP,
    Stamp,
    Task,
    has_scores,
    is_done,
    made_with,
    make_stamp,
    read_record,
)
from preprocessing.base.errors import InputError
from preprocessing.config import VideoLimits
from preprocessing.processes.pool import check_options
from preprocessing.processes.serving import Answers
from preprocessing.processes.sharing import setting_up, share_out

logger = logging.getLogger(__name__)


def tag_videos(
    run: Run,
    tasks: Iterable[Task],
    *,
    config: TagConfig | None = None,
    segments: SegmentConfig | None = None,
    thresholds: Mapping[str, float] | None = None,
    limits: VideoLimits | None = None,
    jobs: int | None = None,
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
        How scores become segments. A video whose scores are stored already is not scored again for others.
    thresholds : mapping of str to float, optional
        As `genre_classifier.tagging.segments.read_thresholds` gives them: instead of the run's.
    limits : VideoLimits, optional
        What a video may cost.
    jobs : int, optional
        Videos at once, each in a process of its own; by default as many as there are cores. Fewer where videos or
        memory are fewer.
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
        If the model cannot be loaded, or thresholds are given for genres that exclude each other.
    WorkError
        If a file cannot be written, or the cluster does not answer.
    """
    check_options(jobs=jobs, scheduler=scheduler)
    config, segments, limits = config or TagConfig(), segments or SegmentConfig(), limits or VideoLimits()
    if config.encoder_engine != "auto" and run.model_config.has_encoders:
        run = dataclasses.replace(run, wanted_engine=choose_engine(config.encoder_engine))
    named = name_thresholds(thresholds or {}, run.genres)
    used_thresholds(run.deciding_thresholds, named)  # refuses what no video can have
    how = made_with(run_digest(run.path), config, segments, named, exclusive=run.exclusive)
    stamps: list[Stamp | InputError | None] = []  # None: done already
    tasks, from_scores = list(tasks), 0
    for task in tasks:
        try:
            stamp = make_stamp(task, how)
            done = is_done(task.folder, stamp)
            if not done and _is_made_again(run, task, stamp, config=config, segments=segments, limits=limits):
                done, from_scores = True, from_scores + 1
            stamps.append(None if done else stamp)
        except InputError as error:
            stamps.append(error)
    if from_scores:
        logger.info(f"{from_scores} scored before: segments and pages are made again from the stored scores")
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
        begin(index)
        task, stamp = waiting[index]
        step = on_progress and functools.partial(on_progress, task)
        tag_video(run, task, stamp, config=config, segments=segments, limits=limits, on_progress=step)

    # Children may run elsewhere, with another working folder.
    shared = {
        "run": str(run.path.absolute()),
        "run_digest": how["run"],
        "engine": run.encoder_engine if waiting and run.model_config.has_encoders else None,
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
    chunk = config.chunk or scoring_chunk(run.model_config.rows, run.model_config.cols)
    needed = scoring_bytes(run.model_config, chunk, precision=config.precision)
    if (file := run.path / ENCODER).is_file():
        needed += encoder_bytes(run.model_config, file.stat().st_size)
    if (file := run.path / SOUND_ENCODER).is_file():
        needed += sound_encoder_bytes(file.stat().st_size)
    return needed


def _is_made_again(
    run: Run, task: Task, stamp: Stamp, *, config: TagConfig, segments: SegmentConfig, limits: VideoLimits
) -> bool:
    """Make the segments of a video that is scored already, where no more than that is wanted; return whether it was."""
    if config.overlay or config.embed or not has_scores(task.folder, stamp):
        return False
    from genre_classifier.tagging.video_folder import segment_again  # draws

    try:
        segment_again(task, stamp, run.thresholds, config=config, segments=segments, limits=limits)
    except InputError:  # what is stored is damaged
        return False
    return True


def tag_again(
    tags: Path,
    *,
    thresholds: Mapping[str, float] | None = None,
    segments: Mapping[str, Any] | None = None,
    extras: Mapping[str, Any] | None = None,
    limits: VideoLimits | None = None,
    on_done: Callable[[Path, InputError | None], None] | None = None,
) -> list[tuple[str, str]]:
    """Make the segments of every video in a tags folder again from its stored scores, without the run.

    Parameters
    ----------
    tags : Path
        A folder that `tag_videos` filled.
    thresholds : mapping of str to float, optional
        As `genre_classifier.tagging.segments.read_thresholds` gives them; those of other genres stay.
    segments, extras : mapping, optional
        Fields of SegmentConfig and of TagConfig that change; the others stay.
    limits : VideoLimits, optional
        What a video may cost, where an overlay or a copy of it is made.
    on_done : callable, optional
        Called with the folder of each video, and the error if it stays as it was.

    Returns
    -------
    list of (str, str)
        Folder and reason of the videos that stay as they were.

    Raises
    ------
    InputError
        If nothing was tagged there, no video was scored for a genre with a threshold, or all genres exclude each other.
    WorkError
        If a file cannot be written.
    """
    from genre_classifier.tagging.video_folder import change_tags  # draws

    folders = sorted(path.parent for path in tags.glob(f"*/{STAMP}"))
    if not folders:
        raise InputError(f"{tags}: expected a folder that `tag` wrote, found no {STAMP} below it")
    genres: dict[str, None] = {}
    best_only = True
    for folder in folders:
        with suppress(InputError):  # said below
            record = read_record(folder)
            genres |= dict.fromkeys(record.shares)
            best_only &= record.exclusive
    named = name_thresholds(thresholds or {}, genres)
    if genres and best_only:
        used_thresholds(None, named)
    failures: list[tuple[str, str]] = []
    for folder in folders:
        failure = None
        try:
            change_tags(
                folder, thresholds=named, segments=segments or {}, extras=extras or {}, limits=limits or VideoLimits()
            )
        except InputError as error:
            failure = error
            failures.append((folder.name, str(error)))
        if on_done:
            on_done(folder, failure)
    return failures


def tag_task(task: dict[str, Any], answers: Answers) -> None:
    """Tag one video in a child process."""
    answers.alive()
    tag_video(
        run_of_process(task["run"], task["run_digest"], encoder=True, engine=task["engine"] and tuple(task["engine"])),
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
    frames = 0

    def count(now: float, end: float) -> None:
        nonlocal frames
        frames += 1
        if on_progress:
            on_progress(now, end, frames)

    with setting_up():  # a model that cannot be loaded is not the video's fault
        _ = run.eye
    with VideoReading(run, task.video, chunk=config.chunk, limits=limits) as reading:
        # TensorFlow, and what draws; meanwhile the video is decoded.
        from genre_classifier.tagging.tag import tag_reading
        from genre_classifier.tagging.video_folder import write_tags

        with setting_up():
            run.load()
        tags = tag_reading(
            run,
            reading,
            precision=config.precision,
            segment_config=segments,
            thresholds=stamp.made_with.get("thresholds"),
            on_progress=count,
        )
    write_tags(task, tags, stamp, config=config, limits=limits)
