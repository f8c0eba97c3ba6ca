"""The other side of `child`: a process that takes jobs on stdin, one at a time, and answers on stdout.

Each job is a line of JSON, and so is each answer. While it works it says `{"alive": frames}` every now and then. Bytes
may follow a line, which then says how many.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, BinaryIO

from preprocessing.base.errors import InputError, WorkError
from preprocessing.base.files import os_reason

ALIVE_SECONDS = 0.25


class Answers:
    """The way back to the parent; several threads share it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._frames = 0
        self._said = 0.0

    def say(self, answer: dict[str, Any], payload: bytes | memoryview = b"") -> None:
        """Send one answer, and bytes that belong to it."""
        with self._lock:
            self._file.write(json.dumps(answer).encode() + b"\n")
            self._file.write(payload)
            self._file.flush()

    def alive(self, **facts: Any) -> None:
        """Count a frame, and now and then say so, with what else is known."""
        self._frames += 1
        now = time.monotonic()
        if now - self._said >= ALIVE_SECONDS:
            self._said = now
            self.say({"alive": self._frames, **facts})


def serve(work: Callable[[dict[str, Any], Answers], dict[str, Any]]) -> None:
    """Answer jobs until stdin closes; then exit at once, even in the middle of a job.

    Parameters
    ----------
    work : callable
        Does a job and returns its last answer. A WorkError of it, and one of the operating system, becomes `stopped`,
        any other exception `failed`.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    # What a library prints must not get between the answers.
    answers = Answers(os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)
    jobs: list[bytes] = []
    arrived = threading.Semaphore(0)

    def listen() -> None:
        for line in sys.stdin.buffer:
            jobs.append(line)
            arrived.release()
        os._exit(0)  # the parent is gone, and the answers with it

    threading.Thread(target=listen, daemon=True).start()
    while True:
        arrived.acquire()
        job = json.loads(jobs.pop(0))
        os.ftruncate(2, 0)  # messages about the last one
        os.lseek(2, 0, os.SEEK_SET)
        try:
            answer = work(job, answers)
        except InputError as error:
            answer = {"failed": str(error)}
        except WorkError as error:
            answer = {"stopped": str(error)}
        except OSError as error:
            answer = {"stopped": f"{error.filename or 'a file'}: {os_reason(error)}"}
        except Exception as error:  # noqa: BLE001 - any error of a library must cost one task, and say why
            first = next(iter(str(error).strip().splitlines()), "")
            answer = {"failed": f"{type(error).__name__}: {first}"}
        answers.say(answer)
