"""The exported network beside this package's: milliseconds per frame on the same frames, in turn.

    python -m benchmarks.exported [--size 112] [--frames 50] [--rounds 7] [--to savedmodel,onnx]

The article's network with fresh weights. The table shows medians over the rounds, and the ratio of each to this
package, which scores all frames in one call; others are asked for one frame after the other.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.tagging import make_run
from genre_classifier.config import ModelConfig
from genre_classifier.network.encoder import check_frames
from genre_classifier.network.exported_step import exported_step
from genre_classifier.network.streaming import ScoreStream
from genre_classifier.run_folder.export_model import MODEL_FORMATS, export_model, run_step
from genre_classifier.run_folder.run import load_run
from preprocessing.config import ClipConfig


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=112)
    parser.add_argument("--frames", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--to", default=",".join(MODEL_FORMATS))
    options = parser.parse_args()
    names, size = options.to.split(","), options.size
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "run", Path(folder) / "out"
        make_run(path, ModelConfig(rows=size, cols=size), ClipConfig(size=size))
        run = load_run(path)
        export_model(run, out, names)
        step, frames = exported_step(run.model), check_frames((options.frames, 3, size, size))
        runners = {name: MODEL_FORMATS[name].read(out / MODEL_FORMATS[name].file) for name in names}

        def one_by_one() -> None:
            stream = ScoreStream(run.model)
            for frame in frames:
                stream.feed(frame[None])

        sides = {
            "this package, in one call": lambda: ScoreStream(run.model).feed(frames),
            "this package, frame by frame": one_by_one,
            **{name: lambda name=name: run_step(runners[name], step, frames) for name in names},
        }
        seconds: dict[str, list[float]] = {side: [] for side in sides}
        for number in range(options.rounds + 1):
            for side, work in sides.items():
                started = time.perf_counter()
                work()
                if number:  # the first round compiles
                    seconds[side].append(time.perf_counter() - started)
    first, *_ = seconds.values()
    print("| | ms per frame | times this package |\n| --- | --- | --- |")
    for side, times in seconds.items():
        ratio = statistics.median(np.divide(times, first))
        print(f"| {side} | {1000 * statistics.median(times) / len(frames):.1f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
