"""Processes that a test starts to train together, and ends."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

needs_jax = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed (extra: jax)")


def free_addresses() -> list[str]:
    """Return two addresses of this machine at which nobody listens."""
    with socket.socket() as one, socket.socket() as two:
        for each in (one, two):
            each.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in (one, two)]


STARTED: list[subprocess.Popen[bytes]] = []


def start(command: Sequence[object], log: Path, backend: str = "tensorflow") -> subprocess.Popen[bytes]:
    """Start `python -m COMMAND`, which writes all that it says to a file."""
    environment = os.environ | {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "KERAS_BACKEND": backend}
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", *map(str, command)], stdout=file, stderr=file, env=environment
        )
    STARTED.append(process)
    return process


@pytest.fixture(autouse=True)
def none_outlives_its_test() -> Iterator[None]:
    """End what a test that failed has left: it would wait for its peer, or train, for hours."""
    yield
    while STARTED:
        process = STARTED.pop()
        process.kill()
        process.wait()
