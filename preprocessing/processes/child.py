"""A child process as its parent sees it: start it, ask it, give up on it, outlive its crash.

It runs a module that serves (`preprocessing.processes.serving`): each job is a line of JSON, and so is each answer.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from preprocessing.base.errors import InputError, WorkError
from preprocessing.processes.prefetch import Prefetch

# Answers that wait here: frames, of which the pipe holds less than one.
ANSWERS_AHEAD = 2


class CrashError(InputError):
    """The child is gone, and what it was asked is not done."""


@dataclasses.dataclass(frozen=True)
class Program:
    """What a child process runs.

    Attributes
    ----------
    module : str
        Served by `python -m`.
    name : str
        What messages call the process.
    tries : int
        How many children a job may cost: more than 1 where the job is hardly to blame.
    environment : tuple of (str, str)
        Variables that it gets beside those of this process.
    """

    module: str
    name: str
    tries: int = 1
    environment: tuple[tuple[str, str], ...] = ()


class Child:
    """One child process.

    Raises
    ------
    WorkError
        If it cannot be started.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        # FFmpeg's messages are evidence: settings of the user must not switch them off.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENCV_")}
        environment |= dict(program.environment)
        package = str(Path(__file__).resolve().parents[2])
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
        try:
            with tempfile.TemporaryFile() as messages:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", program.module],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=messages,
                    env=environment,
                )
        except OSError as error:  # no file handles, processes or memory left, or no room for the messages
            raise WorkError(f"a {program.name} process could not be started: {error.strerror or error}") from error
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
        with suppress(OSError):  # a dead child is noticed at its answer
            self._jobs.write(json.dumps(task).encode() + b"\n")
            self._jobs.flush()

    def answers(
        self, timeout: float = math.inf, *, on_alive: Callable[[dict[str, Any]], None] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield the answers to a job; the last is `done` or `unchanged`. Its bytes come with a `frame`.

        Parameters
        ----------
        timeout : float
            Seconds without a new frame after which it is given up.
        on_alive : callable, optional
            Gets what the child says of its progress.

        Raises
        ------
        CrashError
            With the reason alone: the job crashed the child.
        InputError
            With the reason alone: the job cannot be done, or brought no frame for `timeout` seconds.
        WorkError
            With the reason alone: the result could not be written.
        """
        frames, deadline = -1, time.monotonic() + timeout
        while True:
            try:
                answer = self._answers.take(min(max(0.0, deadline - time.monotonic()), threading.TIMEOUT_MAX))
            except TimeoutError:
                given_up = f"no new frame for {timeout:g} seconds: given up (a longer --timeout waits longer)"
                raise InputError(given_up) from None
            except StopIteration:
                raise CrashError(self._how_it_crashed()) from None
            if (alive := answer.get("alive")) is not None:
                if on_alive is not None:
                    on_alive(answer)
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
        import psutil  # late: a reader, which imports this module too, has no use for it

        if hasattr(psutil.Process, "rlimit"):  # on Linux and FreeBSD
            memory, _ = psutil.Process().rlimit(psutil.RLIMIT_AS)
            limit = "" if memory == psutil.RLIM_INFINITY else f"; its memory is limited to {memory / 1e6:.0f} MB"
        return f"{self._program.name} crashed ({how}{limit})"

    def kill(self) -> None:
        """End the process at once; `close` must follow."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End the process at once, and close its pipes."""
        self.kill()
        self._answers.close()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


def _read_answers(pipe: IO[bytes]) -> Iterator[dict[str, Any]]:
    """Yield what a child answers, and under `bytes` the payload of a `frame`, until it ends."""
    while (line := pipe.readline()).endswith(b"\n"):
        answer = json.loads(line)
        if size := answer.get("frame"):
            answer["bytes"] = pipe.read(size)
            if len(answer["bytes"]) < size:
                return
        yield answer
