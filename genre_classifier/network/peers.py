"""Processes that train one network together, each on its share of every batch, on one machine or on several.

Each holds the whole network and takes every step with all others: what they measured is summed, so that a step is that
of one process with the whole batch. Before each epoch the first one's variables are given to all; between epochs each
has its own. The processes of TensorFlow and of JAX find each other in `tensorflow_peers` and `jax_peers`.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
from keras import ops

from genre_classifier.network.backend import OpenAxes, Tensor, program
from genre_classifier.network.convlstm import ChannelSums
from preprocessing.base.errors import InputError, WorkError


class Peers:
    """The processes of a training; this class itself: one process alone.

    Attributes
    ----------
    count, rank : int
        How many there are, and which of them this is.
    """

    def __init__(self, count: int = 1, rank: int = 0) -> None:
        self.count, self.rank = count, rank

    def program(self, function: Callable[..., Any], *, open_axes: OpenAxes = None) -> Callable[..., Any]:
        """Compile a function of tensors in which the processes may add up what they have (`summed`)."""
        return program(function, open_axes=open_axes)

    def summed(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return the sums over all processes, inside a `program`; differentiable."""
        return list(tensors)

    def summed_moments(self, moments: ChannelSums) -> ChannelSums:
        """Return moments of the pixels of all processes, inside a `program`."""
        return ChannelSums(*self.summed(moments))

    def share_of(self, real: Tensor) -> Tensor:
        """Return which share of the batch's trailers is in these rows, inside a `program`.

        Parameters
        ----------
        real : bool tensor, shape (rows,)
            False for a row of padding.
        """
        here = ops.sum(ops.cast(real, "float32"))
        (count,) = self.summed([here])
        return here / count

    def total(self, *numbers: float) -> list[float]:
        """Return the sums of numbers over all processes; waits until each has come to this call."""
        return list(numbers)

    def require_equal(self, digest: str, what: str) -> None:
        """Refuse to go on where processes differ in something, of which each gives a digest in hexadecimal.

        Raises
        ------
        InputError
            In all of them.
        """
        own = float(int(digest[:12], 16))  # so many digits that their sums are exact
        if self.total(own) != [self.count * own]:
            raise InputError(
                f"worker {self.rank} of {self.count}: expected the same {what} for all workers, found others"
            )

    def make_equal(self, variables: Sequence[keras.Variable]) -> None:
        """Give the variables of all processes the values of the first one's."""

    @contextmanager
    def step(self) -> Iterator[None]:
        """Let Keras take a step of all processes, on variables that are spread."""
        yield

    def spread(self, variables: Sequence[keras.Variable]) -> None:
        """Make variables, whose values are equal in all processes, those of all of them, inside a `step`."""

    def make_own(self, variables: Sequence[keras.Variable]) -> None:
        """Make the variables this process's own again, after the steps of an epoch."""

    def lost(self, reason: str) -> WorkError:
        """Return the error that says that another process is gone."""
        return WorkError(
            f"worker {self.rank} of {self.count}: another one is gone, or cannot be reached ({reason}); start all of "
            f"them again, with --resume where an epoch was finished"
        )


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C end the process at once, with a line: it waits where Python does not hear it.

    No thread of this process can say the line, since TensorFlow lets none run while it waits. A shell beside it does,
    which sees it end before it has written that all went well.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    watcher = subprocess.Popen(
        ["/bin/sh", "-c", "read -r line || echo genre-classifier: stopped >&2"],
        stdin=subprocess.PIPE,
        stderr=_messages(),
        start_new_session=True,  # a Ctrl-C of the terminal is not for it
    )
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        watcher.communicate(b"done\n")


def _messages() -> int | None:
    """Return where Python's stderr goes, which the command line keeps apart from that of native libraries."""
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        return None
