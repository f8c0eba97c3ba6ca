"""How a stage that computes is shared out among child processes: how many, their threads, and their results.

Two processes of one thread compute more than one process of two threads (docs/scaling.md), and nothing that this
package computes depends on the number of threads.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import joblib

from preprocessing.base.errors import InputError
from preprocessing.processes.child import Program
from preprocessing.processes.machine import available_bytes
from preprocessing.processes.pool import answers

logger = logging.getLogger(__name__)

# About what a process takes until it has begun: it imports TensorFlow, and reads a network (docs/measurements.md).
START_SECONDS = 5.0
# A child that dies was more likely killed than at fault: what it was doing is done once more, by another one.
TRIES = 2
_GPU = Path("/dev/nvidia0")  # told without loading TensorFlow
_THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")


class SetupError(InputError):
    """What all tasks of a stage need cannot be used: the stage ends, and no task is blamed."""


@contextmanager
def setting_up() -> Iterator[None]:
    """Turn an InputError of the block into a SetupError."""
    try:
        yield
    except InputError as error:
        raise SetupError(str(error)) from error


@contextmanager
def share_out(
    function: str,
    tasks: Sequence[dict[str, Any]],
    *,
    here: Callable[[int], Any],
    files: Sequence[Path],
    name: str,
    needed_bytes: float,
    jobs: int | None,
    scheduler: str | None = None,
    seconds: float | None = None,
    on_alive: Callable[[int, dict[str, Any]], None] | None = None,
) -> Iterator[Iterator[Any]]:
    """Give an iterator over the results of a stage's tasks, in their order; what still runs at the end is ended.

    A task's result is what its function returns, or the InputError that says why its file cannot be used.

    Parameters
    ----------
    function : str
        What child processes do, as `module:function`: it gets a task and the `Answers` to report its progress to, and
        returns what JSON can hold. A SetupError of it (see `setting_up`) ends the stage.
    tasks : sequence of dict
        What JSON can hold.
    here : callable
        Does the task of a number in this process, which is best where one process is enough.
    files : sequence of Path
        The file that each task is about, for messages.
    name : str
        What messages call a child process.
    needed_bytes : float
        Of each process, at its peak: no more of them than the free memory holds.
    jobs : int or None
        As the user wants it; None: as many as there are cores, or a single one where there is a GPU, which they would
        have to share, or where others would only have begun when this one is done. No more than there are tasks.
    scheduler : str, optional
        Address of a Dask cluster, which decides about processes itself: a thread of it is a job of one thread.
    seconds : float, optional
        About how long all tasks take in this process, where that is known.
    on_alive : callable, optional
        As for `preprocessing.processes.pool.answers`.

    Raises
    ------
    InputError
        From the iterator, if what the stage works with cannot be used.
    WorkError
        If a result cannot be written, or the cluster does not answer.
    """
    if jobs is None and seconds is not None and seconds < START_SECONDS:
        jobs = 1
    jobs, threads = _processes(len(tasks), needed_bytes, jobs, scheduler)
    if jobs == 1 and scheduler is None:
        yield (_result(here, index) for index in range(len(tasks)))
        return
    environment = (
        *((one, str(threads)) for one in _THREADS),
        ("TF_FORCE_GPU_ALLOW_GROWTH", "true"),  # else the first one takes all of a GPU's memory
        ("GENRE_CLASSIFIER_PROGRAM", "1"),  # `genre_classifier.PROGRAM`: Keras imports only what such a process needs
    )
    program = Program("preprocessing.processes.stage_worker", name, tries=TRIES, environment=environment)
    questions = [{"function": function, "task": task} for task in tasks]
    with answers(program, questions, jobs=jobs, scheduler=scheduler, on_alive=on_alive) as results:
        yield (_answered(file, answer) for file, answer in zip(files, results, strict=True))


def has_gpu() -> bool:
    """Return whether the machine has a GPU that networks run on."""
    return _GPU.exists()


def own_threads() -> int:
    """Return with how many threads this process is to compute: those that `share_out` gave it, or as many as cores."""
    given = os.environ.get(_THREADS[0], "")
    return int(given) if given.isdigit() and int(given) else int(joblib.cpu_count())


def _processes(tasks: int, needed_bytes: float, jobs: int | None, scheduler: str | None) -> tuple[int, int]:
    """Return how many processes are to work, and with how many threads each."""
    wanted = max(1, min(jobs or (1 if has_gpu() else joblib.cpu_count()), tasks))
    free = available_bytes()
    fit = wanted if scheduler else max(1, min(wanted, int(free / needed_bytes)))
    if fit < wanted:
        logger.warning(
            f"{fit} at once, not {wanted}: each takes about {needed_bytes / 1e9:.1f} GB, and "
            f"{free / 1e9:.1f} GB are free"
        )
    elif fit > 1 and not scheduler:
        logger.info(f"{fit} at once, each in about {needed_bytes / 1e9:.1f} GB of memory")
    return fit, 1 if scheduler else max(1, joblib.cpu_count() // fit)


def _result(here: Callable[[int], Any], index: int) -> Any:
    try:
        return here(index)
    except SetupError:
        raise
    except InputError as error:
        return error


def _answered(file: Path, answer: dict[str, Any]) -> Any:
    """Return the result of a child's answer; a file is called as it was given here."""
    if "failed" in answer:
        return InputError(f"{file}: {answer['failed'].removeprefix(f'{file.absolute()}: ')}")
    done = answer["done"]
    if isinstance(done, dict) and "setup_failed" in done:
        raise SetupError(done["setup_failed"])
    return done
