"""The standard streams of the process, and Ctrl-C: closed or full streams do no harm, and native messages wait aside.

TensorFlow's start-up and FFmpeg's complaints go straight to file descriptor 2, and no setting of theirs silences all
of them. They are kept in a file without a name, whose end is printed when the process does not end well: the one line
that says why (`Check failed: ...`) is often the last before an abort, when no code of the process itself runs any more.
So a watcher, forked at the start, waits for that; where there is no fork, on Windows, the words are let through.

Modules that try what can be imported, and objects that go away, may swallow whatever is raised while they run: a
command that is stopped in its first seconds, while TensorFlow is imported, would go on. So Ctrl-C is raised once more.
"""

from __future__ import annotations

import faulthandler
import io
import os
import re
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from genre_classifier.cli.output import one_line

_KEPT_BYTES, _KEPT_LINES = 8000, 20  # the end of what libraries wrote
_STACK_BYTES, _STACK_LINES = 2000, 8  # the beginning of the stack, whose end is always the same
_WELL = b"."
# Why a process died is no information (I) and no warning (W), which TensorFlow writes at every start.
_GREETING = re.compile(
    r"([\d-]+ [\d:.]+: )?[IW](\d{4})? .*|WARNING: All log messages before absl.*|To enable the following instructions.*"
)


class _Forgiving(io.FileIO):
    """A file whose writing cannot fail: where messages are lost, the work and its exit code are not."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except OSError:
            return len(memoryview(data).cast("B"))


def open_standard_streams() -> None:
    """Make file descriptors 0, 1 and 2, and Python's stdout and stderr, something that can be written to.

    The number of a closed one would go to the next file that is opened, a model say, and messages into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    sys.stderr = _messages(2)


def give_up_stdout() -> None:
    """Drop what stdout did not take, so that Python does not try, and fail, once more at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)
        with suppress(OSError):
            sys.stdout.flush()


@contextmanager
def native_messages_aside() -> Iterator[None]:
    """Keep for stderr this program's own words: file descriptor 2 leads into a file, Python's stderr where it did.

    Its end is printed if an error leaves the block, or the process dies in it in any way; a fatal signal
    shows the Python line that it hit, too.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    alive = _start_aside()
    try:
        yield
    except SystemExit:
        _end_well(alive)
        raise
    _end_well(alive)


def _start_aside() -> int | None:
    """Return the pipe that tells the watcher how this process ends; None, and nothing changed, where none can work."""
    # With the first process of a container every other one, a watcher too, is killed.
    if not hasattr(os, "fork") or os.getpid() == 1:
        return None
    try:
        # Open until the process ends.
        kept, stack = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115
        terminal, (watched, alive) = os.dup(2), os.pipe()
        # Ctrl-C, and other signals to the whole group of processes, are not for the watcher.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            if os.fork() == 0:
                _watch(watched, terminal, kept.fileno(), stack.fileno())
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    except OSError:  # no place for a file, no handles: loud is better than mute
        return None
    os.close(watched)
    os.dup2(kept.fileno(), 2)
    sys.stderr = _messages(terminal)
    faulthandler.enable(stack, all_threads=False)
    return alive


def _end_well(alive: int | None) -> None:
    if alive is not None:
        with suppress(BrokenPipeError):  # someone killed the watcher
            os.write(alive, _WELL)


def _messages(number: int) -> io.TextIOWrapper:
    raw = _Forgiving(number, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", line_buffering=True, write_through=True
    )


def _watch(watched: int, terminal: int, kept: int, stack: int) -> None:
    """Wait until the other end of the pipe `watched` is closed; never return."""
    try:
        for number, source in enumerate((watched, terminal, kept, stack)):
            os.dup2(source, number)
        os.closerange(4, 4096)  # the end of the pipe that must close with the other process, and what is not ours
        if os.read(0, 1) != _WELL:
            size = os.fstat(2).st_size
            written = _lines(os.pread(2, _KEPT_BYTES, max(0, size - _KEPT_BYTES)))
            words = [line for line in written if not _GREETING.fullmatch(line)][-_KEPT_LINES:]
            if words := [*words, *_lines(os.pread(3, _STACK_BYTES, 0))[:_STACK_LINES]]:
                heading = "genre-classifier: did not end well; the last that its libraries wrote:"
                os.write(1, "\n".join([heading, *words, ""]).encode("utf-8", errors="backslashreplace"))
    finally:
        os._exit(0)


def _lines(data: bytes) -> list[str]:
    text = data.decode("utf-8", errors="backslashreplace")
    return [one_line(line) for line in text.splitlines() if line.strip()]


_AGAIN_SECONDS = 0.5


@contextmanager
def reraised_interrupts() -> Iterator[None]:
    """Raise KeyboardInterrupt at Ctrl-C, and again while it neither is handled nor has left the block.

    Handled means that an `except` or a `finally` is at work because of it: that takes as long as it needs.
    """
    if not hasattr(signal, "SIGALRM") or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield  # on Windows; or who started us decided otherwise
        return
    alarm = signal.signal(signal.SIGALRM, _again)
    unraisable = sys.unraisablehook

    def quiet(found: sys.UnraisableHookArgs) -> None:
        if not issubclass(found.exc_type, KeyboardInterrupt):  # which is raised again
            unraisable(found)

    sys.unraisablehook = quiet
    signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.unraisablehook = unraisable
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGALRM, alarm)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
    raise KeyboardInterrupt


def _again(_number: int, _frame: FrameType | None) -> None:
    signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
    error = sys.exception()
    while error and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    if error is None:
        raise KeyboardInterrupt
