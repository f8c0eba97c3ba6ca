"""Processes that train together on JAX, each on one device: its arrays span them all, and XLA adds up what they have.

A batch is one array whose rows lie with the processes; variables are arrays of which each process has a whole copy.
This holds only during the steps of an epoch. Everything else is computed by one process for itself.
"""

from __future__ import annotations

import atexit
import ipaddress
import os
import re
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import jax
import keras
import numpy as np
from jax.experimental import multihost_utils

from genre_classifier.network.peers import Peers, interruptible
from preprocessing.base.errors import WorkError

_STATUS = re.compile(r"[A-Z_]+: ")  # how XLA begins its errors
_PATIENCE_S = 30 * 24 * 3600  # with those that have not started: when it runs out, JAX crashes
# Without a sign of life of another process, before JAX ends this one with a crash. What they do together fails at once
# and is told in a line, so this is for what they do alone, the first one's validation above all.
_HEARTBEAT_S = 3600


class JaxPeers(Peers):
    """Processes that train together.

    Parameters
    ----------
    addresses : sequence of str
        `host:port` of each, the same ones in the same order for all; JAX needs the first alone.
    rank : int
        Which of them this is.

    Raises
    ------
    WorkError
        If the others cannot be reached.
    """

    def __init__(self, addresses: Sequence[str], rank: int) -> None:
        super().__init__(len(addresses), rank)
        jax.config.update("jax_cpu_collectives_implementation", "gloo")  # the CPU's own cannot leave the process
        with self._others_named(), interruptible():
            try:
                jax.distributed.initialize(
                    addresses[0],
                    self.count,
                    rank,
                    coordinator_bind_address=_own_address(addresses[0]),
                    initialization_timeout=_PATIENCE_S,
                    heartbeat_timeout_seconds=_HEARTBEAT_S,
                )
            except RuntimeError as error:
                if isinstance(error, jax.errors.JaxRuntimeError):
                    raise
                raise WorkError(f"training by several processes needs a fresh process ({error})") from error
            devices = {device.process_index: device for device in reversed(jax.devices())}
        self._distribution = keras.distribution.DataParallel(
            devices=[devices[process] for process in sorted(devices)], auto_shard_dataset=False
        )
        mesh = self._distribution.device_mesh.backend_mesh
        self._everywhere = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())

    def total(self, *numbers: float) -> list[float]:
        # As whole numbers: JAX would make float32 of them.
        own = np.array(numbers, np.float64).view(np.uint32)
        with self._others_named():
            everyone = np.asarray(multihost_utils.process_allgather(own))
        return [float(one) for one in everyone.view(np.float64).sum(axis=0)]

    def make_equal(self, variables: Sequence[keras.Variable]) -> None:
        with self._others_named():
            values = multihost_utils.broadcast_one_to_all([np.asarray(variable.value) for variable in variables])
            for variable, value in zip(variables, values, strict=True):
                variable.assign(np.asarray(value))

    @contextmanager
    def step(self) -> Iterator[None]:
        with self._others_named(), self._distribution.scope():
            yield

    def spread(self, variables: Sequence[keras.Variable]) -> None:
        if keras.distribution.distribution() is None:
            return
        for variable in variables:
            if variable.value.is_fully_addressable:
                value = np.asarray(variable.value)
                variable.assign(jax.make_array_from_process_local_data(self._everywhere, value, value.shape))

    def make_own(self, variables: Sequence[keras.Variable]) -> None:
        for variable in variables:
            variable.assign(variable.value.addressable_data(0))

    @contextmanager
    def _others_named(self) -> Iterator[None]:
        """Say in one line what JAX says in many."""
        try:
            yield
        except (jax.errors.JaxRuntimeError, ValueError) as error:  # XLA's errors come as either
            reason = str(error).splitlines()[0] if str(error) else ""
            if isinstance(error, ValueError) and not _STATUS.match(reason):
                raise
            if reason.startswith("RESOURCE_EXHAUSTED"):
                raise WorkError(f"worker {self.rank} of {self.count}: {reason}") from error
            atexit.register(_leave)
            raise self.lost(reason) from error


def _own_address(address: str) -> str | None:
    """Return where the first process listens: there alone where it is a number of this machine; None: everywhere.

    A name may stand for another address here than on the other machines.
    """
    host, port = address.rsplit(":", 1)
    host = "127.0.0.1" if host == "localhost" else host.strip("[]")
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
        with socket.socket(family) as trial:
            trial.bind((host, 0))
    except (OSError, ValueError):
        return None
    return f"[{host}]:{port}" if family == socket.AF_INET6 else f"{host}:{port}"


def _leave() -> None:
    """End the process with nothing more done: JAX's own end waits for the others, and crashes where they are gone."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)
