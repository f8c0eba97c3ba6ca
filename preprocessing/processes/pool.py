"""Many jobs at once: child processes of this machine, used again and again, or those of a Dask cluster's workers."""

from __future__ import annotations

import atexit
import math
import re
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import joblib

from preprocessing.base.errors import InputError, WorkError
from preprocessing.base.extras import require_extra
from preprocessing.base.options import Value
from preprocessing.config import Jobs
from preprocessing.processes.child import Child, CrashError, Program

CONNECT_SECONDS = 10
_ADDRESS = re.compile(r"(tcp|tls)://(\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+):[0-9]{1,5}/?")


class Pool:
    """Child processes of one program that are started when needed and used again."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._idle: list[Child] = []
        self._busy: set[Child] = set()
        self._lock = threading.Lock()
        self._closed = False

    @contextmanager
    def _child(self) -> Iterator[Child]:
        """Lend a child."""
        child = self._borrow()
        try:
            yield child
        finally:
            with self._lock:
                self._busy.discard(child)
                keep = child.usable and not self._closed
                if keep:
                    self._idle.append(child)
            if not keep:
                child.close()

    def _borrow(self) -> Child:
        with self._lock:
            if self._closed:
                raise WorkError("stopped")
            child = self._idle.pop() if self._idle else Child(self._program)
            if not child.usable:  # it died while it had nothing to do
                child.close()
                child = Child(self._program)
            self._busy.add(child)
            return child

    def run(
        self,
        task: dict[str, Any],
        timeout: float = math.inf,
        *,
        on_alive: Callable[[dict[str, Any]], None] | None = None,
        on_answer: Callable[[dict[str, Any]], None] | None = None,
    ) -> dict[str, Any]:
        """Do one job whose result is a file; what its child answers on the way, and at the end, goes to `on_answer`.

        Returns
        -------
        dict
            `{"done": facts}`, `{"unchanged": True}`, or `{"failed": reason, "facts": what is known of it}`. A job that
            crashes its child is tried with as many as the program says.

        Raises
        ------
        WorkError
            If the result could not be written.
        """
        for _ in range(self._program.tries):
            facts: dict[str, Any] = {}
            with self._child() as child:
                child.ask(task)
                try:
                    for answer in child.answers(timeout, on_alive=on_alive):
                        facts = answer.get("facts", facts)
                        if on_answer is not None:
                            on_answer(answer)
                    return answer
                except InputError as error:
                    failed = {"failed": str(error), "facts": facts}
                    if not isinstance(error, CrashError):
                        return failed
        return failed

    def rest(self) -> None:
        """End the children that have nothing to do; others are started when they are needed."""
        with self._lock:
            idle, self._idle = self._idle, []
        for child in idle:
            child.close()

    def close(self) -> None:
        """End all children; jobs that run fail."""
        with self._lock:
            self._closed = True
            for child in self._busy:
                child.kill()
            for child in self._idle:
                child.close()
            self._idle.clear()


_SHARED: dict[Program, Pool] = {}
_SHARED_LOCK = threading.Lock()


def shared_pool(program: Program) -> Pool:
    """Return the pool of this process, for work that is sent here from elsewhere."""
    with _SHARED_LOCK:
        for other, pool in _SHARED.items():
            if other != program:
                pool.rest()  # it may hold a gigabyte, and may never be asked again
        if program not in _SHARED:
            _SHARED[program] = Pool(program)
            atexit.register(_SHARED[program].close)
        return _SHARED[program]


def check_options(*, jobs: int | None, scheduler: str | None) -> None:
    """Refuse options that `answers` cannot work with, before anything is written.

    Raises
    ------
    InputError
        If `jobs` is out of range, or `scheduler` is not an address.
    """
    Value(Jobs).check(jobs, "jobs")
    if scheduler is not None and not _ADDRESS.fullmatch(scheduler):
        raise InputError(f"scheduler must be an address such as tcp://host:8786, got {scheduler!r}")


@contextmanager
def answers(
    program: Program,
    tasks: Sequence[dict[str, Any]],
    *,
    jobs: int | None,
    scheduler: str | None,
    timeout: float = math.inf,
    on_alive: Callable[[int, dict[str, Any]], None] | None = None,
    on_answer: Callable[[int, dict[str, Any]], None] | None = None,
) -> Iterator[Iterator[dict[str, Any]]]:
    """Give an iterator over the jobs' answers, in the order of the jobs; what still runs at the end is ended.

    Parameters
    ----------
    program : Program
        What the child processes run.
    tasks : sequence of dict
        As the program takes them.
    jobs, scheduler
        As `check_options` takes them.
    timeout : float
        Seconds without a new frame after which a job is given up.
    on_alive : callable, optional
        Gets the number of a task and what its child says of its progress, in any thread. A cluster's children are not
        heard before they are done.
    on_answer : callable, optional
        Likewise gets all else that its child answers, in the order in which it comes; it must not raise an InputError.

    Raises
    ------
    InputError
        If Dask is wanted and missing.
    WorkError
        If the cluster does not answer.
    """
    if scheduler is not None:
        with _cluster(scheduler):
            parallel = joblib.Parallel(return_as="generator", batch_size=1)
            yield parallel(joblib.delayed(_run_there)(program, task, timeout) for task in tasks)
        return
    pool = Pool(program)

    def run(index: int) -> dict[str, Any]:
        return pool.run(
            tasks[index],
            timeout,
            on_alive=on_alive and partial(on_alive, index),
            on_answer=on_answer and partial(on_answer, index),
        )

    # Threads, because each only waits for a child process of its own.
    parallel = joblib.Parallel(
        n_jobs=min(jobs or joblib.cpu_count(), max(1, len(tasks))), backend="threading", return_as="generator"
    )
    results = parallel(joblib.delayed(run)(index) for index in range(len(tasks)))
    try:
        yield results
    finally:
        pool.close()
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # that not all is done: it was not wanted
            results.close()


def _run_there(program: Program, task: dict[str, Any], timeout: float) -> dict[str, Any]:
    return shared_pool(program).run(task, timeout)


@contextmanager
def _cluster(scheduler: str) -> Iterator[None]:
    distributed = require_extra("distributed", "Dask", extra="distributed", needed_by="a Dask scheduler")
    try:
        client = distributed.Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:  # TypeError: of TLS without certificates
        raise WorkError(f"{scheduler}: expected a Dask scheduler, found none that answers ({error})") from error
    with client, joblib.parallel_config(backend="dask", client=client):
        yield
