"""Reader processes as seen by the parent: start them, ask them, give up on them, outlive their crashes."""

from __future__ import annotations

import atexit
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import joblib
import psutil

from preprocessing.config import ClipConfig, CopyConfig
from preprocessing.errors import InputError, WorkError
from preprocessing.prefetch import Prefetch

# Answers of a reader process that wait here: frames, of which its pipe holds less than one.
ANSWERS_AHEAD = 2


def job(
    video: Path,
    config: ClipConfig,
    *,
    clip: Path | None = None,
    known: str | None = None,
    thumbnails: int = 0,
    exact: bool = True,
) -> dict[str, Any]:
    """Return a job for a reader process.

    Parameters
    ----------
    video : Path
        What to read.
    config : ClipConfig
        Which frames, and of what size.
    clip : Path, optional
        Where the clip goes; without one the frames are streamed back.
    known : str, optional
        SHA-256 of the video when its clip was made: if it still has it, nothing is done.
    thumbnails : int
        Of a stream: how many of its frames come with a small picture.
    exact : bool
        Of a stream: know the times for sure before the first frame, or else start again where they were wrong.
    """
    return {
        "video": str(video),
        "copy": None,
        "config": config.to_dict(),
        "clip": clip and str(clip),
        "known": known,
        "thumbnails": thumbnails,
        "exact": exact,
    }


def copy_job(video: Path, config: CopyConfig) -> dict[str, Any]:
    """Return a job for a reader process that streams the pictures of a copy of the video."""
    return {"video": str(video), "copy": dataclasses.asdict(config)}


class Reader:
    """One reader process (`preprocessing.worker`).

    Raises
    ------
    WorkError
        If it cannot be started.
    """

    def __init__(self) -> None:
        # FFmpeg's messages are evidence, so nobody's settings may hush them; and a video may lie behind any number of
        # audio packets.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENCV_")}
        environment["OPENCV_FFMPEG_READ_ATTEMPTS"] = str(10**9)
        package = str(Path(__file__).resolve().parents[1])
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
        try:
            with tempfile.TemporaryFile() as messages:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "preprocessing.worker"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=messages,
                    env=environment,
                )
        except OSError as error:  # no file handles, processes or memory left, or no room for the messages
            raise WorkError(f"a process to read videos could not be started: {error.strerror or error}") from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._jobs = self._process.stdin
        # Read in a thread: on Windows nothing waits for a pipe with a timeout.
        self._answers = Prefetch(_read_answers(self._process.stdout), ahead=ANSWERS_AHEAD)
        self._answered = True

    @property
    def usable(self) -> bool:
        """Whether it can take another job: it lives, and has finished its last one."""
        return self._answered and self._process.poll() is None

    def ask(self, task: dict[str, Any]) -> None:
        """Send a job."""
        self._answered = False
        with suppress(OSError):  # a dead reader is noticed at its answer
            self._jobs.write(json.dumps(task).encode() + b"\n")
            self._jobs.flush()

    def answers(self, timeout: float) -> Iterator[dict[str, Any]]:
        """Yield the answers to a job; the last is `done` or `unchanged`. Its bytes come with a `frame`.

        Raises
        ------
        InputError
            With the reason alone: the video cannot be read, crashed the reader, or brought no frame for `timeout`
            seconds.
        WorkError
            With the reason alone: the result could not be written.
        """
        frames, deadline = -1, time.monotonic() + timeout
        while True:
            try:
                answer = self._answers.take(max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                given_up = f"no new frame for {timeout:g} seconds: given up (a longer --timeout waits longer)"
                raise InputError(given_up) from None
            except StopIteration:
                raise InputError(self._how_it_crashed()) from None
            if (alive := answer.get("alive")) is not None:
                if alive > frames:
                    frames, deadline = alive, time.monotonic() + timeout
                continue
            self._answered = not answer.keys() & {"frame", "times", "facts", "fps"}
            if "failed" in answer:
                raise InputError(answer["failed"])
            if "stopped" in answer:
                raise WorkError(answer["stopped"])
            yield answer
            if self._answered:
                return
            deadline = time.monotonic() + timeout

    def _how_it_crashed(self) -> str:
        status = self._process.wait()
        how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        limit = ""
        if hasattr(psutil.Process, "rlimit"):  # on Linux and FreeBSD
            memory, _ = psutil.Process().rlimit(psutil.RLIMIT_AS)
            limit = "" if memory == psutil.RLIM_INFINITY else f"; its memory is limited to {memory / 1e6:.0f} MB"
        return f"reader crashed ({how}{limit})"

    def kill(self) -> None:
        """End the process at once; `close` must follow."""
        self._process.kill()

    def close(self) -> None:
        """End the process at once, and let go of it."""
        self.kill()
        self._process.wait()
        self._answers.close()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


def _read_answers(pipe: IO[bytes]) -> Iterator[dict[str, Any]]:
    """Yield what a reader process answers, and under `bytes` the payload of a `frame`, until it ends."""
    while (line := pipe.readline()).endswith(b"\n"):
        answer = json.loads(line)
        if size := answer.get("frame"):
            answer["bytes"] = pipe.read(size)
            if len(answer["bytes"]) < size:
                return
        yield answer


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


CONNECT_SECONDS = 10
LONGEST_TIMEOUT_SECONDS = 1_000_000
MOST_JOBS = 1000  # each is a process: more is a slip
_ADDRESS = re.compile(r"(tcp|tls)://(\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+):[0-9]{1,5}/?")


def check_options(*, jobs: int | None, scheduler: str | None, timeout: float) -> None:
    """Refuse options that `answers` cannot work with, before anything is written.

    Raises
    ------
    InputError
        If the number of jobs, the address or the timeout is none.
    """
    if jobs is not None and not 1 <= jobs <= MOST_JOBS:
        raise InputError(f"jobs must be from 1 to {MOST_JOBS}, got {jobs}")
    if not 0 < timeout <= LONGEST_TIMEOUT_SECONDS:
        raise InputError(f"timeout must be between 0 and {LONGEST_TIMEOUT_SECONDS} seconds, got {timeout:g}")
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
