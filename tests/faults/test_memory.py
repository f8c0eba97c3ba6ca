"""What commands say of the memory that they will take, against what their processes took, at three sizes of frames.

Part of the long table: `pytest tests/faults/test_memory.py --faults-long 1` takes some minutes.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from benchmarks.peaks import peak_bytes
from tests.faults.bench import ROOT
from tests.support.media import write_media
from tests.support.tiny_encoder import write_encoder

FRAMES = 12
COMMANDS = (  # each says how much a process takes
    "train clips labels.csv run --epochs 1 --validation-share 0 --test-share 0",
    "tag run videos --out tags --jobs 2",
    "evaluate run clips labels.csv --out report --split all --draws 5 --jobs 2",
    "encode clips --encoder encoder.keras --jobs 2",
)


@pytest.fixture(autouse=True)
def _long(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--faults-long") or sys.platform != "linux":
        pytest.skip("part of the long table (--faults-long), on Linux")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("size", [64, 128, 256])
def test_processes_take_about_what_was_said_and_no_more(tmp_path: Path, size: int) -> None:
    (tmp_path / "videos").mkdir()
    for seed, name in enumerate(("a", "b", "c", "d")):
        frames = np.random.default_rng(seed).integers(0, 256, (FRAMES, size, size, 3), dtype=np.uint8)
        write_media(tmp_path / "videos" / f"{name}.mkv", frames)
    (tmp_path / "labels.csv").write_text(
        "trailer,start,end,genre\na.mkv,0,9,action\nb.mkv,0,9,comedy\nc.mkv,0,9,terror\nd.mkv,0,9,action\n"
    )
    write_encoder(tmp_path / "encoder.keras")
    _run(f"preprocess videos clips --frames {FRAMES} --size {size} --jobs 1", tmp_path)
    found = {}
    for command in COMMANDS:
        text, peak = _run(command, tmp_path)
        said = re.search(r"([\d.]+) GB of memory", text)
        assert said, (command, text)
        found[command.split()[0]] = (float(said[1]), round(peak / 1e9, 2))
    # Said in tenths of a GB. What is said is a peak that holds, and no other machine's.
    assert {name: both for name, both in found.items() if both[1] > both[0] + 0.1} == {}, found
    assert {name: both for name, both in found.items() if both[1] < both[0] / 3} == {}, found


def _run(command: str, folder: Path) -> tuple[str, int]:
    """Run a command; return what it said, and the highest peak of any of its processes, in bytes."""
    peak, log = 0, folder / "log"
    with log.open("w") as file:
        process = psutil.Popen(
            [sys.executable, "-m", "genre_classifier", *command.split()],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        while process.poll() is None:
            try:
                pids = [process.pid, *(child.pid for child in process.children(recursive=True))]
            except psutil.NoSuchProcess:
                break
            peak = max(peak, *map(peak_bytes, pids))
            time.sleep(0.02)
    text = log.read_text()
    assert process.wait() == 0, (command, text)
    return text, peak
