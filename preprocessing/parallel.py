"""Run reader jobs on this machine's cores or on a Dask cluster, through joblib, and yield their answers in order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import joblib

from preprocessing.errors import InputError, WorkError
from preprocessing.readers import ReaderPool, shared_pool

CONNECT_SECONDS = 10
LONGEST_TIMEOUT_SECONDS = 1_000_000


@contextmanager
def answers(
    tasks: list[dict[str, Any]], *, jobs: int | None, scheduler: str | None, timeout: float
) -> Iterator[Iterator[dict[str, Any]]]:
    """Give an iterator over the jobs' answers, in the order of the jobs; what still runs at the end is ended.

    Raises
    ------
    InputError
        If the number of jobs or the timeout is wrong, or Dask is wanted and missing.
    WorkError
        If the cluster does not answer.
    """
    if jobs is not None and jobs < 1:
        raise InputError(f"jobs must be at least 1, got {jobs}")
    if not 0 < timeout <= LONGEST_TIMEOUT_SECONDS:
        raise InputError(f"timeout must be between 0 and {LONGEST_TIMEOUT_SECONDS} seconds, got {timeout:g}")
    if scheduler is not None:
        with _cluster(scheduler):
            parallel = joblib.Parallel(return_as="generator", batch_size=1)
            yield parallel(joblib.delayed(_run_there)(task, timeout) for task in tasks)
        return
    pool = ReaderPool()
    # Threads, because each only waits for a reader process of its own.
    parallel = joblib.Parallel(n_jobs=jobs or joblib.cpu_count(), backend="threading", return_as="generator")
    results = parallel(joblib.delayed(pool.run)(task, timeout) for task in tasks)
    try:
        yield results
    finally:
        pool.close()
        results.close()


def _run_there(task: dict[str, Any], timeout: float) -> dict[str, Any]:
    return shared_pool().run(task, timeout)


@contextmanager
def _cluster(scheduler: str) -> Iterator[None]:
    try:
        from distributed import Client
    except ImportError as error:
        raise InputError("a Dask scheduler needs Dask: pip install 'genre-classifier[distributed]'") from error
    try:
        client = Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise WorkError(f"{scheduler}: expected a Dask scheduler, found none that answers ({error})") from error
    with client, joblib.parallel_config(backend="dask", client=client):
        yield
