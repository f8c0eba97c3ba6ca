"""How a stage that computes is shared out among child processes: how many, and with how many threads each.

Two processes of one thread compute more than one process of two threads (docs/scaling.md), and nothing that this
package computes depends on the number of threads.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import joblib

from preprocessing.base.errors import InputError
from preprocessing.processes.child import Program
from preprocessing.processes.machine import available_bytes

logger = logging.getLogger(__name__)

# A child that dies was more likely killed than at fault: what it was doing is done once more, by another one.
TRIES = 2
_GPU = Path("/dev/nvidia0")  # told without loading TensorFlow


def share_out(
    module: str, name: str, *, tasks: int, needed_bytes: float, jobs: int | None, scheduler: str | None = None
) -> tuple[int, Program]:
    """Return how many processes are to work, and what they run; 1 is best done by the calling process itself.

    Parameters
    ----------
    module, name : str
        What they run, and what messages call it.
    tasks : int
        More processes than these would be idle.
    needed_bytes : float
        Of each process, at its peak: no more of them than the free memory holds.
    jobs : int or None
        As the user wants it; None: as many as there are cores, or a single one where there is a GPU, which they would
        have to share.
    scheduler : str, optional
        Address of a Dask cluster, which decides about processes itself: a thread of it is a job of one thread.
    """
    wanted = max(1, min(jobs or (1 if _GPU.exists() else joblib.cpu_count()), tasks))
    free = available_bytes()
    fit = wanted if scheduler else max(1, min(wanted, int(free / needed_bytes)))
    if fit < wanted:
        logger.warning(
            f"{fit} at once, not {wanted}: each takes about {needed_bytes / 1e9:.1f} GB, and "
            f"{free / 1e9:.1f} GB are free"
        )
    elif fit > 1 and not scheduler:
        logger.info(f"{fit} at once, each in about {needed_bytes / 1e9:.1f} GB of memory")
    threads = str(1 if scheduler else max(1, joblib.cpu_count() // fit))
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
    # Else the first one takes all of a GPU's memory.
    environment = (*((one, threads) for one in names), ("TF_FORCE_GPU_ALLOW_GROWTH", "true"))
    return fit, Program(module, name, tries=TRIES, environment=environment)


def no_run(error: InputError) -> dict[str, Any]:
    """Return a child's answer where what it works with cannot be used: no fault of the task."""
    return {"done": {"no_run": str(error)}}


def failure(path: Path, answer: dict[str, Any]) -> InputError | None:
    """Return why a child could not do what it was asked of a file, which is called as it was given here; else None.

    Raises
    ------
    InputError
        If what the child works with cannot be used.
    """
    if reason := answer.get("done", {}).get("no_run"):
        raise InputError(reason)
    if "failed" not in answer:
        return None
    return InputError(f"{path}: {answer['failed'].removeprefix(f'{path.absolute()}: ')}")
