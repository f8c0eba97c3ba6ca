"""Two processes that train together give what one process gives with the whole batch; who they are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from genre_classifier.network.peers import Peers
from genre_classifier.training.cluster import find_workers
from preprocessing.base.errors import InputError
from tests.support.peers import free_addresses, needs_jax, none_outlives_its_test, start  # noqa: F401
from tests.support.trailers import TWO, write_clips
from tests.support.two_trainers import CASES, train_all


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return five clips of two lengths, one of them labelled as a whole."""
    folder = tmp_path_factory.mktemp("clips")
    write_clips(folder, [8, 8, 5, 8, 8], weak=(3,), genres=TWO).to_csv(folder / "labels.csv", index=False)
    return folder


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
