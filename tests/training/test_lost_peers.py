"""Of processes that train together, one waits or dies: the other says so, and both go on later."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest

from tests.support.peers import free_addresses, needs_jax, none_outlives_its_test, start  # noqa: F401
from tests.support.tiny_encoder import write_encoder
from tests.support.trailers import TWO, write_clips


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("backend", "victim"), [("tensorflow", 1), pytest.param("jax", 1, marks=needs_jax)])
def test_when_one_dies_the_other_says_so_and_both_resume(
    tmp_path: Path, backend: str, victim: int, request: pytest.FixtureRequest
) -> None:
    if backend == "jax" and not request.config.getoption("--faults-long"):
        pytest.skip("part of the long table (--faults-long); on TensorFlow it is tried each time")
    clips = tmp_path / "clips"
    write_clips(clips, [8] * 4, size=16, genres=TWO).to_csv(tmp_path / "labels.csv", index=False)
    sizes = ["--genres", ",".join(TWO), "--trunk-filters", "2,2", "--branch-filters", 2, "--batch-size", 2]
    sizes += ["--crop-frames", "none", "--test-share", 0]
    if backend == "tensorflow":  # the first one encodes, and the other waits; JAX would compile for longer
        sizes += ["--preset", "pretrained", "--encoder", write_encoder(tmp_path / "tiny.keras"), "--no-linear-paths"]
        sizes += ["--zoom", 0, "--encoder-fps", "none", "--motion-size", 8, "--encoder-cells", 2]

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
