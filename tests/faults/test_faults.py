"""Every command, disturbed by every fault, ends in a result or a line, and goes on to what an undisturbed one writes.

Commands run as processes of their own. A seeded sample of the table runs by default; `--faults-long SEEDS` runs all of
it, each pair with so many seeds: `pytest tests/faults/test_faults.py --faults-long 1` takes an hour.
"""

from __future__ import annotations

import signal

import numpy as np
import pytest

from tests.faults.bench import COMMANDS, Bench, Done
from tests.faults.faults import FAULTS

pytestmark = pytest.mark.slow

# Of what takes seconds: one command for each kind of fault.
SAMPLE = (
    ("preprocess", "SIGKILL", 0),
    ("labels", "SIGINT", 1),
    ("preprocess", "SIGTERM", 2),
    ("synthesize", "a full disk", 3),
    ("labels", "an obstacle", 4),
    ("preprocess", "few descriptors", 5),
    ("preprocess", "two at once", 6),
    ("preprocess", "an input cut while running", 7),
    ("export", "an input replaced between runs", 8),
)
EXTRAS = {"export": ("pympi", "opentimelineio"), "export-model": ("tf2onnx", "onnxruntime")}
SIGNALS = (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Take the sample, or the whole table."""
    seeds = metafunc.config.getoption("--faults-long")
    cases = [(name, fault, seed) for name in COMMANDS for fault in FAULTS for seed in range(seeds)] or SAMPLE
    metafunc.parametrize(("name", "fault", "seed"), cases, ids=[", ".join(map(str, case)) for case in cases])


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


@pytest.mark.timeout(900)
def test_a_disturbed_command_ends_in_order_and_can_be_run_again(bench: Bench, name: str, fault: str, seed: int) -> None:
    for module in EXTRAS.get(name, ()):
        pytest.importorskip(module, reason=f"{name} needs an extra")
    rng = np.random.default_rng([seed, *f"{name}/{fault}".encode()])
    for done in FAULTS[fault](bench, name, rng):
        check_end(done, fault)
    bench.again(COMMANDS[name])
    expected, _ = bench.undisturbed(name)
    found = bench.result(COMMANDS[name])
    assert list(found) == list(expected)
    other = {path: (found[path], expected[path]) for path in found if found[path] != expected[path]}
    assert not other, {path: tuple(str(one)[:1000] for one in both) for path, both in other.items()}


def check_end(done: Done, fault: str) -> None:
    """Success, or a line that says why; after a signal, the process may be gone."""
    # With so little memory Python itself may break down where none of our code is at work to say it in a line.
    pythons_own = fault == "little memory" and "genre_classifier" not in done.stderr
    assert "Traceback" not in done.stderr or pythons_own, done.stderr
    stopped = fault.startswith("SIG") or fault == "a clock set back"
    if done.code and not (stopped and done.code in SIGNALS):
        assert done.code in (1, 2, 130), done
        assert "did not end well" not in done.stderr, done.stderr
        told = any(line.startswith(("genre-classifier: ", "Error: ")) for line in done.stderr.splitlines())
        assert told or (pythons_own and "Traceback" in done.stderr), done
