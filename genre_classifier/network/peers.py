"""Processes that train one network together, each on its share of every batch, on one machine or on several.

Each holds the whole network and takes every step with all others: what they measured is summed, so that a step is that
of one process with the whole batch. `tf.distribute.MultiWorkerMirroredStrategy` brings the numbers around; variables
are ordinary ones, which stay equal because they begin equal and all that moves them is summed; before each epoch they
are made equal again, since other processors may round otherwise.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras

from genre_classifier.network.backend import TENSORFLOW, Tensor, program
from genre_classifier.network.convlstm import Moments
from preprocessing.errors import InputError, WorkError

if TENSORFLOW:
    import tensorflow as tf


logger = logging.getLogger(__name__)


class Peers:
    """The processes of a training; without arguments, this one alone.

    Parameters
    ----------
    addresses : sequence of str
        `host:port` of each, the same ones in the same order for all.
    rank : int
        Which of them this is.

    Attributes
    ----------
    count, rank : int

    Raises
    ------
    InputError
        If the backend cannot.
    WorkError
        If the others cannot be reached.
    """

    def __init__(self, addresses: Sequence[str] = (), rank: int = 0) -> None:
        self.count, self.rank, self._strategy = max(1, len(addresses)), rank, None
        if self.count == 1:
            return
        if not TENSORFLOW:
            raise InputError(
                f"training by several processes needs the tensorflow backend of Keras; this is "
                f"{keras.backend.backend()}"
            )
        logger.info(f"worker {rank} of {self.count}, {addresses[rank]}: waiting for the others")
        resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec({"worker": list(addresses)}), task_type="worker", task_id=rank, rpc_layer="grpc"
        )
        # Rings, and no other way that depends on the machine: the same sums everywhere.
        ring = tf.distribute.experimental.CommunicationImplementation.RING
        options = tf.distribute.experimental.CommunicationOptions(implementation=ring)
        with self.others_named(), _interruptible():
            try:
                self._strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver, options)
            except RuntimeError as error:  # TensorFlow was used before
                raise WorkError(f"training by several processes needs a fresh process ({error})") from error
        self._sum = self.program(self.summed)

    def program(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Compile a function of tensors in which the processes may add up what they have (`summed`)."""
        if self._strategy is None:
            return program(function)
        strategy = self._strategy
        together = program(lambda *arguments: strategy.run(function, args=arguments))

        def run(*arguments: Any) -> Any:
            with self.others_named():
                return together(*arguments)

        return run

    def summed(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return the sums over all processes, inside a `program`; differentiable."""
        if self._strategy is None:
            return list(tensors)
        here = [tf.identity(tensor) for tensor in tensors]  # an argument of the program lies on no device yet
        return list(tf.distribute.get_replica_context().all_reduce("SUM", here))

    def summed_moments(self, moments: Moments) -> Moments:
        """Return moments of the pixels of all processes, inside a `program`."""
        return Moments(*self.summed(moments))

    def share_of(self, real: Tensor) -> Tensor:
        """Return which share of the batch's trailers a mean over these rows stands for, inside a `program`.

        Parameters
        ----------
        real : bool tensor, shape (rows,)
            False for a row of padding.
        """
        (count,) = self.summed([tf.reduce_sum(tf.cast(real, "float32"))])
        return tf.cast(tf.shape(real)[0], "float32") / count

    def total(self, *numbers: float) -> list[float]:
        """Return the sums of numbers over all processes; waits until each has come to this call."""
        if self._strategy is None:
            return list(numbers)
        return [float(one) for one in self._sum([tf.constant(number, "float64") for number in numbers])]

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
        if self._strategy is None:
            return
        own = [variable.value if self.rank == 0 else tf.zeros_like(variable.value) for variable in variables]
        for kind in sorted({one.dtype.name for one in own}):
            chosen = [number for number, one in enumerate(own) if one.dtype.name == kind]
            for number, value in zip(chosen, self._sum([own[one] for one in chosen]), strict=True):
                variables[number].assign(value)

    @contextmanager
    def others_named(self) -> Iterator[None]:
        """Say in one line that another process is gone, where TensorFlow says it in many."""
        try:
            yield
        except tf.errors.OpError as error:
            if self.count == 1:
                raise
            reason = error.message.splitlines()[0] if error.message else type(error).__name__
            who = f"worker {self.rank} of {self.count}"
            if not isinstance(error, _of_others()):
                raise WorkError(f"{who}: {type(error).__name__}: {reason}") from error
            raise WorkError(
                f"{who}: another one is gone, or cannot be reached ({reason}); start all of them again, with --resume "
                f"where an epoch was finished"
            ) from error


def _of_others() -> tuple[type[Exception], ...]:
    """Return the errors by which TensorFlow says that another process is gone."""
    found = tf.errors
    return (
        found.UnavailableError, found.AbortedError, found.CancelledError, found.FailedPreconditionError,
        found.DeadlineExceededError, found.InternalError,
    )  # fmt: skip


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C end the process at once: it waits where Python does not hear it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
