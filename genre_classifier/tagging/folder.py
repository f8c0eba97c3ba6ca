"""The tags folder: every video that is not done yet, one after the other or several at once.

A video is done when its `tags.json` is there, written last: a later command goes on where this one stopped.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from genre_classifier.config import SCORING_CHUNK, Precision, SegmentConfig
from genre_classifier.network.memory import encoder_bytes, scoring_bytes
from genre_classifier.run_folder.layout import ENCODER
from genre_classifier.tagging.tasks import Extras, Settings, Task, is_done, make_stamp
from preprocessing.base.errors import InputError
from preprocessing.config import VideoLimits
from preprocessing.processes.child import Program
from preprocessing.processes.pool import answers, check_options
from preprocessing.processes.sharing import failure, share_out

if TYPE_CHECKING:
    from genre_classifier.run_folder.run import Run

OnStart = Callable[[Task], None]
OnProgress = Callable[[Task, float, float, int], None]
Outcome = InputError | None  # what became of a video: None, or why it could not be read


class _Work(NamedTuple):
    """Videos to tag, each with its stamp, and how."""

    run: Run
    waiting: Sequence[tuple[Task, dict[str, Any]]]
    settings: Settings
    on_start: OnStart
    on_progress: OnProgress


def tag_videos(
    run: Run,
    tasks: Iterable[Task],
    *,
    chunk: int = SCORING_CHUNK,
    precision: Precision = "float32",
    limits: VideoLimits | None = None,
    segment_config: SegmentConfig | None = None,
    extras: Extras | None = None,
    jobs: int | None = None,
    scheduler: str | None = None,
    on_start: OnStart | None = None,
    on_progress: OnProgress | None = None,
    on_done: Callable[[Task, Outcome], None] | None = None,
) -> list[tuple[str, str]]:
    """Tag every video that is not done yet, and write its files. They do not depend on how many work, and where.

    Parameters
    ----------
    run, chunk, precision, limits, segment_config
        See `genre_classifier.tagging.tag.tag_trailer`.
    tasks : iterable of Task
        See `genre_classifier.tagging.tasks.plan_tasks`.
    extras : Extras, optional
        What to write beside the usual files.
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
        If the model cannot be loaded.
    WorkError
        If a file cannot be written, or the cluster does not answer.
    """
    check_options(jobs=jobs, scheduler=scheduler)
    settings = Settings(
        chunk, precision, limits or VideoLimits(), segment_config or SegmentConfig(), extras or Extras()
    )
    made_with = settings.made_with(run.path)
    stamps: list[dict[str, Any] | InputError | None] = []  # None: done already
    tasks = list(tasks)
    for task in tasks:
        try:
            stamp = make_stamp(task, made_with)
            stamps.append(None if is_done(task.folder, stamp) else stamp)
        except InputError as error:
            stamps.append(error)
    waiting = [(task, stamp) for task, stamp in zip(tasks, stamps, strict=True) if isinstance(stamp, dict)]
    lock = threading.Lock()

    def start(task: Task) -> None:
        if on_start:
            with lock:
                on_start(task)

    def progress(task: Task, now: float, end: float, frames: int) -> None:
        if on_progress:
            with lock:
                on_progress(task, now, end, frames)

    failures: list[tuple[str, str]] = []
    with _outcomes(_Work(run, waiting, settings, start, progress), jobs, scheduler) as outcomes:
        for task, found in zip(tasks, stamps, strict=True):
            outcome = next(outcomes) if isinstance(found, dict) else found
            if outcome is not None:
                failures.append((task.source, str(outcome)))
            if on_done:
                with lock:
                    on_done(task, outcome)
    return failures


@contextmanager
def _outcomes(work: _Work, jobs: int | None, scheduler: str | None) -> Iterator[Iterator[Outcome]]:
    """Give an iterator over what became of each video."""
    config = work.run.model_config
    needed = scoring_bytes(config, work.settings.chunk, precision=work.settings.precision)
    if config.encoder is not None:
        needed += encoder_bytes(config, (work.run.path / ENCODER).stat().st_size)
    jobs, program = share_out(
        "genre_classifier.tagging.tagging_worker",
        "tagger",
        tasks=len(work.waiting),
        jobs=jobs,
        scheduler=scheduler,
        needed_bytes=needed,
    )
    if jobs == 1 and scheduler is None:
        yield _tagged_here(work)
    else:
        with _tagged_elsewhere(work, program, jobs, scheduler) as outcomes:
            yield outcomes


def _tagged_here(work: _Work) -> Iterator[Outcome]:
    from genre_classifier.tagging.video_folder import tag_video  # TensorFlow, which is of no use where children work

    for index, (task, stamp) in enumerate(work.waiting):
        if index == 0:
            _ = work.run.model, work.run.encoder  # here, since a model that cannot be loaded is no fault of a video
        work.on_start(task)
        try:
            tag_video(work.run, task, stamp, work.settings, on_progress=functools.partial(work.on_progress, task))
            yield None
        except InputError as error:
            yield error


@contextmanager
def _tagged_elsewhere(work: _Work, program: Program, jobs: int, scheduler: str | None) -> Iterator[Iterator[Outcome]]:
    # Children may run elsewhere, with another working folder.
    shared = {
        "run": str(work.run.path.absolute()),
        "run_digest": work.waiting[0][1]["made_with"]["run"],
        "settings": work.settings.to_dict(),
    }
    questions = [
        shared
        | {
            "video": str(task.video.absolute()),
            "source": task.source,
            "folder": str(task.folder.absolute()),
            "stamp": stamp,
        }
        for task, stamp in work.waiting
    ]
    begun: set[int] = set()

    def alive(index: int, answer: dict[str, Any]) -> None:
        task = work.waiting[index][0]
        if index not in begun:
            begun.add(index)
            work.on_start(task)
        if "end" in answer:
            work.on_progress(task, answer["now"], answer["end"], answer["frames"])

    with answers(program, questions, jobs=jobs, scheduler=scheduler, on_alive=alive) as results:
        yield (failure(task.video, answer) for (task, _), answer in zip(work.waiting, results, strict=True))
