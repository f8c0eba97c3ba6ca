"""Ctrl-C is heard: where a library takes the exception for its own, it is raised once more.

Modules that try what can be imported, and objects that go away, may swallow whatever is raised while they run: a
command that is stopped in its first seconds, while TensorFlow is imported, would go on as if nothing had been said.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

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
