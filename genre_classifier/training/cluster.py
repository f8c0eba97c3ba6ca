"""Which processes train together: as the command line says, or what a scheduler wrote into the environment."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from preprocessing.base.errors import InputError
from preprocessing.base.files import abbreviated_repr

if TYPE_CHECKING:
    from genre_classifier.network.peers import Peers

logger = logging.getLogger(__name__)

_ADDRESS = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+):[0-9]{1,5}")
_LOOPBACK = re.compile(r"localhost|127(\.[0-9]+){3}|\[::1\]")
SLURM_PORT = 8888  # TensorFlow's own choice (tf.distribute.cluster_resolver.SlurmClusterResolver)


def find_workers(
    workers: str | None, worker: int | None, environment: Mapping[str, str]
) -> tuple[tuple[str, ...], int]:
    """Return the addresses of all processes, and which of them this is; none where it trains alone.

    Parameters
    ----------
    workers : str or None
        `host:port` of each with commas between, or "none"; without them, TF_CONFIG counts, and then what Slurm's `srun`
        says.
    worker : int or None
        Number of this process among them, from 0.
    environment : mapping
        As `os.environ`.

    Raises
    ------
    InputError
        If they cannot be understood.
    """
    if workers == "none":
        return (), 0
    if workers is not None:
        addresses = tuple(workers.split(","))
        if worker is None:
            raise InputError("--workers needs --worker: which of them this process is, from 0")
        return _checked(addresses, worker, "--workers")
    if worker is not None:
        raise InputError("--worker needs --workers: host:port of each process, with commas between")
    if text := environment.get("TF_CONFIG"):
        return _of_tf_config(text)
    tasks = environment.get("SLURM_STEP_NUM_TASKS", "1")
    if not re.fullmatch("[0-9]{1,9}", tasks):
        raise InputError(
            f"Slurm: expected a number of processes in SLURM_STEP_NUM_TASKS, found {abbreviated_repr(tasks)}; "
            "--workers names them, or none"
        )
    if int(tasks) > 1:
        return _of_slurm()
    return (), 0


def join_workers(addresses: Sequence[str], worker: int) -> Peers:
    """Meet the processes that train together, on the backend of Keras; wait until all are there.

    Parameters
    ----------
    addresses : sequence of str
        `host:port` of each; none or one: this process trains alone.
    worker : int
        Which of them this is.

    Raises
    ------
    InputError
        If the backend cannot.
    WorkError
        If the others cannot be reached.
    """
    import keras  # only where it is needed: seconds

    from genre_classifier.network.peers import Peers

    if len(addresses) < 2:
        return Peers()
    backend = keras.backend.backend()
    if backend not in ("tensorflow", "jax"):
        raise InputError(
            f"training by several processes needs the tensorflow or the jax backend of Keras; this is {backend}"
        )
    logger.info(f"worker {worker} of {len(addresses)}, {addresses[worker]}: waiting for the others")
    if backend == "jax":
        from genre_classifier.training.jax_peers import JaxPeers

        return JaxPeers(addresses, worker)
    from genre_classifier.training.tensorflow_peers import TensorFlowPeers

    host, port = addresses[worker].rsplit(":", 1)
    if _LOOPBACK.fullmatch(host):
        logger.warning(
            f"worker {worker} of {len(addresses)}: TensorFlow listens on port {port} for every machine, not on {host} "
            f"alone, and asks for no password; close the port in the firewall, or train on JAX (KERAS_BACKEND=jax)"
        )
    return TensorFlowPeers(addresses, worker)


def _of_tf_config(text: str) -> tuple[tuple[str, ...], int]:
    """Read TF_CONFIG (tensorflow.org, "Multi-worker training with Keras"); a chief is the first worker."""
    try:
        document = json.loads(text)
        if isinstance(document, dict) and "cluster" not in document:  # as TensorFlow takes it: alone
            return (), 0
        cluster, task = document["cluster"], document["task"]
        chiefs, workers = cluster.get("chief", []), cluster.get("worker", [])
        if task["type"] not in ("chief", "worker"):
            raise KeyError(task["type"])
        rank = int(task["index"]) + (len(chiefs) if task["type"] == "worker" else 0)
        addresses = tuple(map(str, [*chiefs, *workers]))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise InputError(
            f"TF_CONFIG: expected a cluster and a task as TensorFlow reads them, found {abbreviated_repr(text)}"
        ) from error
    if len(addresses) < 2:
        return (), 0
    return _checked(addresses, rank, "TF_CONFIG")


def _of_slurm() -> tuple[tuple[str, ...], int]:
    import tensorflow as tf  # only where it is needed: seconds

    # It counts places for processes in GPUs, and sets none: more than any node has tasks.
    try:
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
            port_base=SLURM_PORT, gpus_per_node=1000, gpus_per_task=1, auto_set_gpu=False
        )
        addresses = tuple(resolver.cluster_spec().as_dict()["worker"])
        rank = resolver.get_task_info()[1]
    except (RuntimeError, ValueError, KeyError) as error:
        raise InputError(f"Slurm: its variables name no workers ({error}); --workers names them, or none") from error
    return _checked(addresses, rank, "Slurm")


def _checked(addresses: tuple[str, ...], rank: int, source: str) -> tuple[tuple[str, ...], int]:
    for address in addresses:
        if not _ADDRESS.fullmatch(address):
            raise InputError(f"{source}: expected addresses such as node1:2222, found {abbreviated_repr(address)}")
    if len(set(addresses)) < len(addresses):
        raise InputError(f"{source}: expected a different address for each process, found one twice")
    if not 0 <= rank < len(addresses):
        raise InputError(f"{source}: expected the number of one of {len(addresses)} processes, from 0, found {rank}")
    return addresses, rank
