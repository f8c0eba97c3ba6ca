"""Processes that train together on TensorFlow: `tf.distribute.MultiWorkerMirroredStrategy` brings the numbers around.

Variables are ordinary ones, which stay equal because they begin equal and all that moves them is summed; before each
epoch they are made equal again, since other processors may round otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from genre_classifier.network.backend import OpenAxes, Tensor, program
from genre_classifier.network.peers import Peers, interruptible
from preprocessing.base.errors import WorkError


class TensorFlowPeers(Peers):
    """Processes that train together.

    Parameters
    ----------
    addresses : sequence of str
        `host:port` of each, the same ones in the same order for all.
    rank : int
        Which of them this is.

    Raises
    ------
    WorkError
        If the others cannot be reached.
    """

    def __init__(self, addresses: Sequence[str], rank: int) -> None:
        super().__init__(len(addresses), rank)
        resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec({"worker": list(addresses)}), task_type="worker", task_id=rank, rpc_layer="grpc"
        )
        # Always rings, not a method that depends on the machine: the same sums everywhere.
        ring = tf.distribute.experimental.CommunicationImplementation.RING
        options = tf.distribute.experimental.CommunicationOptions(implementation=ring)
        with self._others_named(), interruptible():
            try:
                self._strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver, options)
            except RuntimeError as error:  # TensorFlow was used before
                raise WorkError(f"training by several processes needs a fresh process ({error})") from error
        self._sum = self.program(self.summed)

    def program(self, function: Callable[..., Any], *, open_axes: OpenAxes = None) -> Callable[..., Any]:
        together = program(lambda *arguments: self._strategy.run(function, args=arguments), open_axes=open_axes)

        def run(*arguments: Any) -> Any:
            with self._others_named():
                return together(*arguments)

        return run

    def summed(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        here = [tf.identity(tensor) for tensor in tensors]  # an argument of the program lies on no device yet
        return list(tf.distribute.get_replica_context().all_reduce("SUM", here))

    def total(self, *numbers: float) -> list[float]:
        return [float(one) for one in self._sum([tf.constant(number, "float64") for number in numbers])]

    def make_equal(self, variables: Sequence[keras.Variable]) -> None:
        own = [variable.value if self.rank == 0 else tf.zeros_like(variable.value) for variable in variables]
        for kind in sorted({one.dtype.name for one in own}):
            chosen = [number for number, one in enumerate(own) if one.dtype.name == kind]
            for number, value in zip(chosen, self._sum([own[one] for one in chosen]), strict=True):
                variables[number].assign(value)

    @contextmanager
    def _others_named(self) -> Iterator[None]:
        """Say in one line what TensorFlow says in many."""
        try:
            yield
        except tf.errors.OpError as error:
            reason = error.message.splitlines()[0] if error.message else type(error).__name__
            if isinstance(error, _OF_OTHERS):
                raise self.lost(reason) from error
            raise WorkError(f"worker {self.rank} of {self.count}: {type(error).__name__}: {reason}") from error


# By which TensorFlow says that another process is gone.
_OF_OTHERS = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.FailedPreconditionError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)
