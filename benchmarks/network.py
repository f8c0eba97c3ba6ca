"""The network against plain Keras: frames per second, peak memory, and where the time goes.

    python -m benchmarks.network [--sizes 400 112] [--rounds 5] [--full] [--plain channels_last] [--json FILE]

Speed: all sides in one process, in turn, the median of several rounds; ratios are medians over the rounds. "bare
convolutions" are the convolutions of the network and nothing else, the limit of what a prediction can reach. CPU time
(of all cores) stands beside wall time, since it depends less on what else the machine does. Memory: the peak of a
process of its own per row, beside what `genre_classifier.network.memory` says beforehand. `--full` adds the article's
scale: scoring 100, 1000 and 4000 frames, and `genre-classifier train` on one trailer of 1000 frames, of 3 x 400 x 400.
`--plain channels_last` leaves plain Keras with channels first out: on a CPU without AVX-512, 8 frames of 400 x 400 were
not predicted in four minutes.
"""

from __future__ import annotations

import argparse
import collections
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

from benchmarks.peaks import peak_bytes, run_and_measure
from benchmarks.plain_network import build_plain_model, copy_weights
from genre_classifier.config import ModelConfig, scoring_chunk
from genre_classifier.network.backend import has_bfloat16
from genre_classifier.network.memory import layer_maps, scoring_bytes, training_bytes
from genre_classifier.network.model import build_model
from genre_classifier.network.streaming import score_clip

PLAIN = ("channels_first", "channels_last")
PRECISIONS = ("float32", "bfloat16") if has_bfloat16() else ("float32",)
FRAMES = 8  # what a training step of plain Keras can hold at 400x400
FULL_CHUNK, FULL_TRAINED, FULL_SCORED = 8, 1000, (100, 1000, 4000)

Side = Callable[[], Any]


def pixels_of(frames: int, size: int) -> np.ndarray:
    """Return noise, uint8 `(1, frames, 3, size, size)`."""
    return np.random.default_rng(0).integers(0, 256, (1, frames, 3, size, size), dtype=np.uint8)


def make_model(config: ModelConfig, side: str) -> keras.Model:
    """Build and compile the network of one side: a layout of plain Keras, or a precision of this project."""
    model = build_plain_model(config, side) if side in PLAIN else build_model(config)
    model.compile("adam", "binary_crossentropy", jit_compile=False)
    if side not in PLAIN:
        model.configure(precision=side)
    return model


def make_sides(size: int, plain: Sequence[str]) -> dict[str, dict[str, Side]]:
    """Return the calls to be timed, by task and side."""
    config = ModelConfig(rows=size, cols=size)
    pixels, y = pixels_of(FRAMES, size), [np.ones((1, FRAMES, 1), np.float32)] * 6
    first = make_model(config, "float32")
    sides: dict[str, dict[str, Side]] = {"predict": {}, "train": {}}
    for name in (*plain, *PRECISIONS):
        model = make_model(config, name)
        copy_weights(first, model)
        x = tf.constant(pixels.astype(np.float32) if name in PLAIN else pixels)
        sides["predict"][name] = lambda model=model, x=x: model.predict_on_batch(x)
        sides["train"][name] = lambda model=model, x=x: model.train_on_batch(x, y)
    for precision in PRECISIONS:
        sides["predict"][f"bare convolutions {precision}"] = bare_convolutions(config, precision)
    return sides


def bare_convolutions(config: ModelConfig, precision: str) -> Side:
    """Return a call that runs the convolutions of the network's ConvLSTMs on `FRAMES` frames."""
    inputs = []
    for maps in layer_maps(config):
        channels, side = maps.inputs + maps.filters, math.isqrt(maps.pixels)
        joined = tf.random.normal((1, side, side, channels))
        kernel = tf.random.normal((3, 3, channels, 4 * maps.filters))
        inputs.append((tf.cast(joined, precision), tf.cast(kernel, precision)))

    @tf.function(autograph=False)
    def run() -> Any:
        def convolve(*_: Any) -> list[Any]:
            return [tf.nn.conv2d(joined, kernel, 1, "SAME") for joined, kernel in inputs]

        return tf.while_loop(
            lambda index, _: index < FRAMES, lambda index, _: (index + 1, convolve()), (1, convolve()), None, 1
        )

    return run


def time_sides(sides: dict[str, Side], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Run the sides in turn; return milliseconds per frame of every round, wall and CPU."""
    taken: dict[str, dict[str, list[float]]] = {name: {"wall": [], "cpu": []} for name in sides}
    for number in range(rounds + 2):
        for name, run in sides.items():
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            if number >= 2:  # the first two compile
                taken[name]["wall"].append(1e3 * (time.perf_counter() - wall) / FRAMES)
                taken[name]["cpu"].append(1e3 * (time.process_time() - cpu) / FRAMES)
    return taken


def speed_rows(size: int, rounds: int, plain: Sequence[str]) -> list[dict[str, Any]]:
    """Time everything at one size."""
    rows = []
    for task, sides in make_sides(size, plain).items():
        taken = time_sides(sides, rounds)
        for name, times in taken.items():
            row = {"size": size, "task": task, "side": name, "frames_per_s": 1e3 / statistics.median(times["wall"])}
            for clock in ("wall", "cpu"):
                row[f"{clock}_ms"] = statistics.median(times[clock])
                for layout in plain:
                    ratios = [a / b for a, b in zip(taken[layout][clock], times[clock], strict=True)]
                    row[f"{clock}_x_{layout}"] = statistics.median(ratios)
            rows.append(row)
    return rows


def shares(size: int, task: str, precision: str) -> dict[str, float]:
    """Return the share of the time per kind of operation, from TensorFlow's own profiler."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    model = make_model(ModelConfig(rows=size, cols=size), precision)
    x, y = tf.constant(pixels_of(FRAMES, size)), [np.ones((1, FRAMES, 1), np.float32)] * 6
    run = (lambda: model.predict_on_batch(x)) if task == "predict" else (lambda: model.train_on_batch(x, y))
    run()
    run()
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        run()
        tf.profiler.experimental.stop()
        space = xplane_pb2.XSpace()
        space.ParseFromString(next(Path(folder).rglob("*.xplane.pb")).read_bytes())
    total: collections.Counter[str] = collections.Counter()
    for plane in space.planes:
        if plane.name.startswith("/host:CPU"):
            for line in plane.lines:
                for event in line.events:
                    name = plane.event_metadata[event.metadata_id].name
                    if kind := _kind(name):
                        total[kind] += event.duration_ps
    whole = sum(total.values())
    return {name: picoseconds / whole for name, picoseconds in total.most_common(14)}


def _kind(name: str) -> str:
    """Return what an event of the profiler is to be counted as, or nothing for one that contains others."""
    if name.endswith("_fusion") or name.startswith("wrapped_"):
        return "compiled gates, pooling and their gradients"
    if ":" not in name or "::" in name or ": " in name:
        return ""
    path, operation = name.rsplit(":", 1)
    if operation in ("XlaLaunch", "_XlaRun", "While", "StatelessWhile", "PartitionedCall", "StatefulPartitionedCall"):
        return ""
    if "Conv2D" in operation:
        # Loops and operations are numbered in the order of the layers, and in training back from the last one.
        return f"{operation.removeprefix('_MklNative')} ({path.split('/')[0]}, {path.split('/')[-1]})"
    if path.startswith(("adam", "Adam")):
        return "optimizer"
    return operation.removeprefix("_Mkl").removeprefix("Native")


def memory_rows(size: int, full: bool, plain: Sequence[str]) -> list[dict[str, Any]]:
    """Measure peaks, each in a process of its own."""
    work = [(task, side, FRAMES) for task in ("predict", "train") for side in (*plain, *PRECISIONS)]
    if full:
        work += [("score", "float32", frames) for frames in FULL_SCORED]
    rows = []
    for task, side, frames in work:
        arguments = [sys.executable, "-m", "benchmarks.network", "--one", task, side, str(frames), str(size)]
        output = subprocess.run(arguments, check=True, capture_output=True, text=True).stdout
        rows.append(json.loads(output.splitlines()[-1]))
        print(_memory_line(rows[-1]), flush=True)
    if full:
        rows.append(measure_train_command(FULL_TRAINED, size))
        print(_memory_line(rows[-1]), flush=True)
    return rows


def write_clip(path: Path, frames: int, size: int) -> None:
    """Write noise as a clip; not through a memory map, whose pages would count."""
    with path.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (frames, 3, size, size)}
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, frames, FRAMES):
            file.write(pixels_of(FRAMES, size)[0][: frames - start].tobytes())


def measure_train_command(frames: int, size: int) -> dict[str, Any]:
    """Train the article's network on one trailer for one epoch, by the command that a user runs."""
    with tempfile.TemporaryDirectory() as folder:
        clips, labels, run = (str(Path(folder) / name) for name in ("clips", "labels.csv", "run"))
        Path(clips).mkdir()
        write_clip(Path(clips) / "trailer_0.npy", frames, size)
        np.save(Path(clips) / "times_0.npy", np.arange(frames) / 8)
        Path(labels).write_text(f"trailer,start,end,genre\n0,0,{frames / 16},action\n0,{frames / 16},{frames},comedy\n")
        options = f"--epochs 1 --chunk {FULL_CHUNK} --bptt full --validation-share 0 --test-share 0".split()
        command = [sys.executable, "-m", "genre_classifier", "train", clips, labels, run, *options]
        seconds, peak = run_and_measure(command)
    estimate = training_bytes(ModelConfig(rows=size, cols=size), frames, chunk=FULL_CHUNK)
    return {
        "task": "train command",
        "side": "float32",
        "frames": frames,
        "size": size,
        "seconds": seconds,
        "peak_gb": peak / 1e9,
        "estimate_gb": estimate / 1e9,
    }


def measure_one(task: str, side: str, frames: int, size: int) -> dict[str, Any]:
    """Do one piece of work in this process; return its peak."""
    config = ModelConfig(rows=size, cols=size)
    model = make_model(config, side)
    wall, estimate = time.perf_counter(), None
    if task in ("predict", "train"):
        x = pixels_of(frames, size)
        if task == "predict":
            model.predict_on_batch(x)
        else:
            model.train_on_batch(x, [np.ones((1, frames, 1), np.float32)] * 6)
            estimate = training_bytes(config, frames, precision=side) if side in PRECISIONS else None
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "clip.npy"
            write_clip(path, frames, size)
            score_clip(model, np.load(path, mmap_mode="r"), precision=side)
            estimate = scoring_bytes(config, scoring_chunk(config.rows, config.cols), precision=side)
    seconds = time.perf_counter() - wall
    return {
        "task": task,
        "side": side,
        "frames": frames,
        "size": size,
        "seconds": seconds,
        "peak_gb": peak_bytes() / 1e9,
        "estimate_gb": None if estimate is None else estimate / 1e9,
    }


def _speed_line(row: dict[str, Any]) -> str:
    line = f"{row['size']:4} {row['task']:8} {row['side']:28} {row['frames_per_s']:8.1f} "
    for clock in ("wall", "cpu"):
        ratios = (row.get(f"{clock}_x_{layout}") for layout in PLAIN)
        cells = (f"{'' if ratio is None else f'{ratio:.2f}':>8}" for ratio in ratios)
        line += f"{row[f'{clock}_ms']:10.1f} " + " ".join(cells)
    return line


def _memory_line(row: dict[str, Any]) -> str:
    estimate = "" if row["estimate_gb"] is None else f"{row['estimate_gb']:8.2f}"
    return (
        f"{row['task']:13} {row['side']:15} {row['frames']:6} {row['peak_gb']:8.2f} {estimate:>8} {row['seconds']:8.1f}"
    )


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[400, 112])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--plain", nargs="+", choices=PLAIN, default=list(PLAIN), help="Layouts of plain Keras.")
    parser.add_argument("--only", choices=("speed", "memory", "shares"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        task, side, frames, size = options.one
        print(json.dumps(measure_one(task, side, int(frames), int(size))))
        return
    results: dict[str, Any] = {}
    if options.only in (None, "speed"):
        clocks = "".join(f"{f'ms {clock}':>10} {'x first':>8} {'x last':>8}" for clock in ("wall", "cpu"))
        print(f"{'size':>4} {'task':8} {'side':28} {'frames/s':>8} {clocks}")
        results["speed"] = []
        for size in options.sizes:
            for row in speed_rows(size, options.rounds, options.plain):
                results["speed"].append(row)
                print(_speed_line(row), flush=True)
    if options.only in (None, "shares"):
        results["shares"] = {}
        for task in ("predict", "train"):
            for precision in PRECISIONS:
                results["shares"][f"{task} {precision}"] = found = shares(options.sizes[0], task, precision)
                print(f"\n{task} {precision} {options.sizes[0]}: share of the time")
                for name, share in found.items():
                    print(f"  {share:6.1%}  {name}", flush=True)
    if options.only in (None, "memory"):
        print(f"\n{'task':13} {'side':15} {'frames':>6} {'peak GB':>8} {'said':>8} {'seconds':>8}")
        results["memory"] = memory_rows(options.sizes[0], options.full, options.plain)
    print(json.dumps(results))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
