"""What several processes bring: the commands `tag` and `encode` with `--jobs 1` and with more.

    python -m benchmarks.sharing [--encoder efficientnet_lite0.keras] [--jobs 2] [--rounds 3]

Sixteen synthetic trailers of 24 seconds, and networks with fresh weights, so that nothing but the work counts. Each
command runs as a process of its own, from its start to its end, with few jobs and with many in turn; the median of
several rounds, and the most memory that all of its processes held together (proportional set size: shared pages count
once).
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from benchmarks.tagging import make_run
from genre_classifier.config import ModelConfig
from preprocessing.config import ClipConfig

TRAILERS, SECONDS = 16, 24
SIZES = {112: 500, 400: 60}  # and how many frames of each trailer are scored


def run_all(command: Sequence[str]) -> tuple[float, float]:
    """Run a command of this package; return its seconds, and the peak of all of its processes in bytes."""
    began, peak = time.perf_counter(), 0.0
    with subprocess.Popen([sys.executable, "-m", "genre_classifier", *command], stdout=subprocess.DEVNULL) as process:
        parent = psutil.Process(process.pid)
        while process.poll() is None:
            held = 0.0
            for one in [parent, *parent.children(recursive=True)]:
                try:
                    held += one.memory_full_info().pss
                except psutil.Error:  # it has just ended
                    continue
            peak = max(peak, held)
            time.sleep(0.3)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return time.perf_counter() - began, peak


def main() -> None:
    """Measure each command and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", help="A pretrained image network (.keras), for encode.")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        videos = str(work / "videos")
        run_all(["synthesize", videos, "--trailers", str(TRAILERS), "--duration", str(SECONDS)])
        commands: dict[str, tuple[list[str], Path]] = {}
        for size, frames in SIZES.items():
            clips = ClipConfig(frames=frames, size=size)
            make_run(work / f"run_{size}", ModelConfig(rows=size, cols=size), clips)
            commands[f"tag, {size} x {size}"] = (
                ["tag", str(work / f"run_{size}"), videos, "--out", str(work / "tags")],
                work / "tags",
            )
        if options.encoder:
            run_all(["preprocess", videos, str(work / "clips"), "--fps", "12", "--size", "224"])
            commands["encode, 224 x 224"] = (
                ["encode", str(work / "clips"), "--encoder", options.encoder],
                work / "clips" / "encoded",
            )
        print(f"{'':<20}{'jobs':>6}{'seconds':>9}{'per hour':>10}{'peak GB':>9}")
        for name, (command, made) in commands.items():
            taken: dict[int, list[tuple[float, float]]] = {1: [], options.jobs: []}
            for _ in range(options.rounds):
                for jobs, found in taken.items():
                    shutil.rmtree(made, ignore_errors=True)
                    found.append(run_all([*command, "--jobs", str(jobs)]))
            for jobs, found in taken.items():
                seconds = statistics.median(one for one, _ in found)
                peak = max(peak for _, peak in found)
                hourly = 3600 * TRAILERS / seconds
                print(f"{name:<20}{jobs:>6}{seconds:>9.1f}{hourly:>10.0f}{peak / 1e9:>9.2f}", flush=True)


if __name__ == "__main__":
    main()
