"""Reader processes as seen by the parent: start them, ask them, give up on them, outlive their crashes."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

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
        import psutil  # late, because the reader process itself imports this module and has no use for it

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
