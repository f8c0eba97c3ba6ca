"""Two processes that train together give what one process gives with the whole batch, and say when one is gone."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from genre_classifier.network.peers import Peers
from genre_classifier.training.cluster import find_workers
from preprocessing.base.errors import InputError
from tests.support.tiny_encoder import write_encoder
from tests.support.trailers import TWO, write_clips
from tests.support.two_trainers import CASES, train_all

needs_jax = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed (extra: jax)")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return five clips of two lengths, one of them labelled as a whole: the last batch of four has a single one."""
    folder = tmp_path_factory.mktemp("clips")
    write_clips(folder, [8, 8, 5, 8, 8], weak=(3,), genres=TWO).to_csv(folder / "labels.csv", index=False)
    return folder


def free_addresses() -> list[str]:
    with socket.socket() as one, socket.socket() as two:
        for each in (one, two):
            each.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in (one, two)]


STARTED: list[subprocess.Popen[bytes]] = []


def start(command: Sequence[object], log: Path, backend: str = "tensorflow") -> subprocess.Popen[bytes]:
    environment = os.environ | {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "KERAS_BACKEND": backend}
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", *map(str, command)], stdout=file, stderr=file, env=environment
        )
    STARTED.append(process)
    return process


@pytest.fixture(autouse=True)
def _none_outlives_its_test() -> Iterator[None]:
    """End what a test that failed has left: it would wait for its peer, or train, for hours."""
    yield
    while STARTED:
        process = STARTED.pop()
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def alone(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what one process gives, on TensorFlow."""
    folder = tmp_path_factory.mktemp("alone")
    train_all(clips, folder)
    return folder


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("backend", "cases"),
    [("tensorflow", list(CASES)), pytest.param("jax", ["chunks"], marks=needs_jax)],  # a case takes JAX a minute
)
def test_a_step_of_two_is_that_of_one_with_the_whole_batch(
    clips: Path, alone: Path, tmp_path: Path, backend: str, cases: list[str]
) -> None:
    common = ["tests.support.two_trainers", clips, tmp_path, ",".join(cases)]
    addresses = free_addresses()
    both = [start([*common, rank, *addresses], tmp_path / f"log_{rank}", backend) for rank in (0, 1)]
    assert [process.wait() for process in both] == [0, 0], (tmp_path / "log_0").read_text()[-3000:]
    for case in cases:
        expected = np.load(alone / f"{case}_0.npz")
        for rank in (0, 1):
            found = np.load(tmp_path / f"{case}_{rank}.npz")
            assert found.files == expected.files
            for name in found.files:
                np.testing.assert_allclose(found[name], expected[name], atol=1e-5, err_msg=f"{case} {rank} {name}")
        first, second = (np.load(tmp_path / f"{case}_{rank}.npz") for rank in (0, 1))
        assert all((first[name] == second[name]).all() for name in first.files)  # to the last bit


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("backend", "victim"), [("tensorflow", 1), pytest.param("jax", 1, marks=needs_jax)])
def test_when_one_dies_the_other_says_so_and_both_resume(tmp_path: Path, backend: str, victim: int) -> None:
    clips = tmp_path / "clips"
    write_clips(clips, [8] * 4, size=16, genres=TWO).to_csv(tmp_path / "labels.csv", index=False)
    encoder = write_encoder(tmp_path / "tiny.keras")
    sizes = [
        "--genres",
        ",".join(TWO),
        "--preset",
        "pretrained",
        "--encoder",
        encoder,
        "--no-linear-paths",
        "--zoom",
        0,
        "--encoder-fps",
        "none",
        "--motion-size",
        8,
        "--encoder-cells",
        2,
        "--trunk-filters",
        "2,2",
        "--branch-filters",
        2,
        "--batch-size",
        2,
        "--crop-frames",
        "none",
        "--test-share",
        0,
    ]

    def together(run: str, *options: object) -> list[subprocess.Popen[bytes]]:
        workers = ",".join(free_addresses())
        common = ["genre_classifier", "train", clips, tmp_path / "labels.csv", tmp_path / run, "--workers", workers]
        return [start([*common, "--worker", rank, *options], tmp_path / f"log_{rank}", backend) for rank in (0, 1)]

    processes = together("two", *sizes, "--epochs", 100_000)
    while not (tmp_path / "two" / "history.csv").exists():
        assert processes[0].poll() is None, (tmp_path / "log_0").read_text()[-3000:]
        time.sleep(0.05)
    processes[victim].kill()
    processes[victim].wait()
    assert processes[1 - victim].wait() == 1
    log = (tmp_path / f"log_{1 - victim}").read_text()
    said = [line for line in log.splitlines() if line.startswith("genre-classifier: ")]
    assert len(said) == 1
    assert f"worker {1 - victim} of 2: another one is gone" in said[0]
    done = len(pd.read_csv(tmp_path / "two" / "history.csv"))
    config = json.loads((tmp_path / "two" / "config.json").read_text())
    config["training"] |= {"epochs": done + 2}
    (tmp_path / "two" / "config.json").write_text(json.dumps(config))
    for process in together("two", "--resume"):
        assert process.wait() == 0, (tmp_path / "log_0").read_text()[-3000:]
    assert pd.read_csv(tmp_path / "two" / "history.csv")["epoch"].tolist() == list(range(1, done + 3))


def test_who_trains_together() -> None:
    two = ("a:1", "b:2")
    assert find_workers("a:1,b:2", 1, {}) == (two, 1)
    assert find_workers(None, None, {}) == ((), 0)
    config = {"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 1}}
    assert find_workers(None, None, {"TF_CONFIG": json.dumps(config)}) == (two, 1)
    config = {"cluster": {"chief": ["a:1"], "worker": ["b:2"]}, "task": {"type": "worker", "index": 0}}
    assert find_workers(None, None, {"TF_CONFIG": json.dumps(config)}) == (two, 1)
    assert find_workers(None, None, {"TF_CONFIG": "{}"}) == ((), 0)
    assert find_workers("none", None, {"TF_CONFIG": json.dumps(config)}) == ((), 0)
    assert find_workers("c:3,d:4", 0, {"TF_CONFIG": json.dumps(config)}) == (("c:3", "d:4"), 0)


def test_slurm_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {
        "SLURM_STEP_NUM_TASKS": "4",
        "SLURM_PROCID": "2",
        "SLURM_STEP_NODELIST": "node[1-2]",
        "SLURM_STEP_TASKS_PER_NODE": "2(x2)",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert find_workers(None, None, environment) == (
        ("node1:8888", "node1:8889", "node2:8888", "node2:8889"),
        2,
    )


@pytest.mark.parametrize(
    ("workers", "worker", "environment", "words"),
    [
        ("a:1,b:2", None, {}, "--workers needs --worker"),
        (None, 0, {}, "--worker needs --workers"),
        ("a:1,b", 0, {}, "expected addresses such as node1:2222, found 'b'"),
        ("a:1,a:1", 0, {}, "a different address"),
        ("a:1,b:2", 2, {}, "expected the number of one of 2 processes, from 0, found 2"),
        (None, None, {"TF_CONFIG": "{"}, "TF_CONFIG: expected a cluster and a task"),
        (None, None, {"TF_CONFIG": "[]"}, "TF_CONFIG: expected a cluster and a task"),
        (
            None,
            None,
            {"TF_CONFIG": '{"cluster": {"worker": ["a:1"]}, "task": {"type": "ps", "index": 0}}'},
            "TF_CONFIG",
        ),
        (
            None,
            None,
            {"TF_CONFIG": '{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 1e400}}'},
            "TF_CONFIG: expected a cluster and a task",
        ),
        (None, None, {"TF_CONFIG": "[" * 100_000}, "TF_CONFIG: expected a cluster and a task"),
        (None, None, {"SLURM_STEP_NUM_TASKS": "abc"}, "expected a number of processes in SLURM_STEP_NUM_TASKS, found"),
        (None, None, {"SLURM_STEP_NUM_TASKS": "9" * 5000}, "in SLURM_STEP_NUM_TASKS, found"),
        (None, None, {"TF_CONFIG": '{"cluster": {"worker": 3}, "task": {"type": "worker", "index": 0}}'}, "TF_CONFIG"),
    ],
)
def test_what_names_no_processes_is_refused(workers, worker, environment, words):
    with pytest.raises(InputError, match=words):
        find_workers(workers, worker, environment)


def listening(process: int) -> set[str]:
    """Return the addresses, with ports, at which a process listens, as Linux writes them: in hexadecimal."""
    files, found = set(), set()
    for one in Path(f"/proc/{process}/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            files.add(str(one.readlink()))
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{process}/net/{table}").read_text().splitlines()[1:]:
            parts = line.split()
            if parts[3] == "0A" and f"socket:[{parts[9]}]" in files:
                found.add(parts[1])
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="needs Linux")
@pytest.mark.parametrize("backend", ["tensorflow", pytest.param("jax", marks=needs_jax)])
def test_one_that_waits_listens_where_it_says_and_ends_with_a_line(tmp_path: Path, backend: str) -> None:
    addresses = free_addresses()
    write_clips(tmp_path / "clips", [8] * 5, size=16).to_csv(tmp_path / "labels.csv", index=False)
    command = ["genre_classifier", "train", tmp_path / "clips", tmp_path / "labels.csv", tmp_path / "run"]
    process = start([*command, "--workers", ",".join(addresses), "--worker", 0], tmp_path / "log", backend)
    port = f":{int(addresses[0].rsplit(':', 1)[1]):04X}"
    while not (own := {one for one in listening(process.pid) if one.endswith(port)}):
        assert process.poll() is None, (tmp_path / "log").read_text()[-3000:]
        time.sleep(0.05)
    everywhere = {f"{'0' * digits}{port}" for digits in (8, 32)}
    log = (tmp_path / "log").read_text()
    if backend == "jax":
        assert not own & everywhere
        assert "listens on port" not in log
    else:  # which cannot be told otherwise
        assert own <= everywhere
        assert f"TensorFlow listens on port {addresses[0].rsplit(':', 1)[1]} for every machine" in log
    process.send_signal(signal.SIGINT)
    assert process.wait() in (-signal.SIGINT, 130)
    while "stopped" not in (log := (tmp_path / "log").read_text()):
        time.sleep(0.05)
    assert [line for line in log.splitlines() if "stopped" in line] == ["genre-classifier: stopped"]
    assert "Traceback" not in log


@needs_jax
def test_jax_listens_at_a_number_of_this_machine_alone() -> None:
    from genre_classifier.training.jax_peers import _own_address

    assert _own_address("127.0.0.1:7000") == _own_address("localhost:7000") == "127.0.0.1:7000"
    assert _own_address("node1:7000") is None
    assert _own_address("192.0.2.1:7000") is None  # an address that no machine has


def test_processes_that_disagree_do_not_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    peers = Peers()
    peers.require_equal("ab" * 32, "options")
    monkeypatch.setattr(Peers, "total", lambda self, *numbers: [number + 1 for number in numbers])
    with pytest.raises(InputError, match="worker 0 of 1: expected the same options for all workers"):
        peers.require_equal("ab" * 32, "options")


def test_alone_nothing_is_added() -> None:
    peers = Peers()
    assert peers.total(1.5, 2) == [1.5, 2]
    assert (peers.rank, peers.count) == (0, 1)
