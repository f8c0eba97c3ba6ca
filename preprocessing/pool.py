"""Many jobs at once: reader processes of this machine, used again and again, or those of a Dask cluster's workers."""

from __future__ import annotations

import atexit
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import joblib

from preprocessing.config import Jobs, Timeout
from preprocessing.errors import InputError, WorkError
from preprocessing.options import Value
from preprocessing.readers import Reader

CONNECT_SECONDS = 10
_ADDRESS = re.compile(r"(tcp|tls)://(\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+):[0-9]{1,5}/?")


class ReaderPool:
    """Reader processes that are started when needed and used again."""

    def __init__(self) -> None:
        self._idle: list[Reader] = []
        self._busy: set[Reader] = set()
        self._lock = threading.Lock()
        self._closed = False

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """Lend a reader."""
        reader = self._borrow()
        try:
            yield reader
        finally:
            with self._lock:
                self._busy.discard(reader)
                keep = reader.usable and not self._closed
                if keep:
                    self._idle.append(reader)
            if not keep:
                reader.close()

    def _borrow(self) -> Reader:
        with self._lock:
            if self._closed:
                raise WorkError("stopped")
            reader = self._idle.pop() if self._idle else Reader()
            if not reader.usable:  # it died while it had nothing to do
                reader.close()
                reader = Reader()
            self._busy.add(reader)
            return reader

    def run(self, task: dict[str, Any], timeout: float) -> dict[str, Any]:
        """Do one job that writes a clip.

        Returns
        -------
        dict
            `{"done": manifest fields}`, `{"unchanged": True}`, or `{"failed": reason, "facts": what is known of it}`.

        Raises
        ------
        WorkError
            If the clip could not be written.
        """
        facts: dict[str, Any] = {}
        with self.reader() as reader:
            reader.ask(task)
            try:
                for answer in reader.answers(timeout):
                    facts = answer.get("facts", facts)
            except InputError as error:
                return {"failed": str(error), "facts": facts}
        return answer

    def close(self) -> None:
        """End all readers; jobs that run fail."""
        with self._lock:
            self._closed = True
            for reader in self._busy:
                reader.kill()
            for reader in self._idle:
                reader.close()
            self._idle.clear()


_SHARED: list[ReaderPool] = []
_SHARED_LOCK = threading.Lock()


def shared_pool() -> ReaderPool:
    """Return the pool of this process, for work that is sent here from elsewhere."""
    with _SHARED_LOCK:
        if not _SHARED:
            _SHARED.append(ReaderPool())
            atexit.register(_SHARED[0].close)
        return _SHARED[0]


def check_options(*, jobs: int | None, scheduler: str | None, timeout: float) -> None:
    """Refuse options that `answers` cannot work with, before anything is written.

    Raises
    ------
    InputError
        If the number of jobs, the address or the timeout is none.
    """
    Value(Jobs).check(jobs, "jobs")
    Value(Timeout).check(float(timeout), "timeout")
    if scheduler is not None and not _ADDRESS.fullmatch(scheduler):
        raise InputError(f"scheduler must be an address such as tcp://host:8786, got {scheduler!r}")


@contextmanager
def answers(
    tasks: list[dict[str, Any]], *, jobs: int | None, scheduler: str | None, timeout: float
) -> Iterator[Iterator[dict[str, Any]]]:
    """Give an iterator over the jobs' answers, in the order of the jobs; what still runs at the end is ended.

    The options are those that `check_options` takes.

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
            yield parallel(joblib.delayed(_run_there)(task, timeout) for task in tasks)
        return
    pool = ReaderPool()
    # Threads, because each only waits for a reader process of its own.
    parallel = joblib.Parallel(
        n_jobs=min(jobs or joblib.cpu_count(), max(1, len(tasks))), backend="threading", return_as="generator"
    )
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
    except (OSError, ValueError, TypeError) as error:  # TypeError: of TLS without certificates
        raise WorkError(f"{scheduler}: expected a Dask scheduler, found none that answers ({error})") from error
    with client, joblib.parallel_config(backend="dask", client=client):
        yield
