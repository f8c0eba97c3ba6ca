"""Tagging a video end to end, beside decoding alone and scoring alone; and memory, over a short and a long video.

    python -m benchmarks.tagging VIDEO [--rounds 3] [--only speed|memory]

Each round runs the three sides in turn on the same frames; the table shows medians over the rounds. End to end decodes
and scores at once, so it should take little longer than the slower of the two. Memory is the peak of each process in a
process of its own, for a minute and an hour of video at four scored frames per second.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

from benchmarks.peaks import peak_bytes
from genre_classifier.config import ModelConfig, TrainingConfig
from preprocessing.config import ClipConfig

# The demo's network on its small frames; the article's network on the others.
DEMO = {
    "trunk_filters": (8, 8),
    "trunk_pools": (2, 2),
    "branch_filters": 4,
    "dense_units": (16,),
    "head": "pooled",
    "inputs": "rgb+difference",
}
# And how many frames of the video: a whole trailer, or what a few minutes allow.
NETWORKS = {
    "demo, 32": (ModelConfig(rows=32, cols=32, **DEMO), 1000),
    "article, 112": (ModelConfig(rows=112, cols=112), 1000),
    "article, 400": (ModelConfig(), 100),
}
MINUTES = (1, 60)


def make_run(path: Path, config: ModelConfig, clips: ClipConfig) -> None:
    """Write a run with fresh weights: speed does not depend on them."""
    from genre_classifier.network.model import build_model
    from genre_classifier.run_folder.run import write_config

    path.mkdir()
    build_model(config).save(path / "model.keras")
    write_config(path, config, TrainingConfig(), clips)


def measure_speed(path: Path, video: Path, rounds: int) -> dict[str, float]:
    """Time the three sides in turn."""
    from genre_classifier.run_folder.run import load_run
    from genre_classifier.tagging.tag import score_frames, tag_trailer
    from preprocessing.sampled import sampled_frames

    run = load_run(path)
    with sampled_frames(video, run.clip_config) as stream:
        clip = np.stack([frame for _, frame in stream])
    sides: dict[str, Callable[[], object]] = {
        "decode": lambda: sum(1 for _ in sampled_frames(video, run.clip_config, exact=False)),
        "score": lambda: score_frames(run, clip),
        "tag": lambda: tag_trailer(run, video),
    }
    sides["score"]()  # compiles
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side, work in sides.items():
            started = time.perf_counter()
            work()
            seconds[side].append(time.perf_counter() - started)
    duration = tag_trailer(run, video).duration
    middle = {side: statistics.median(times) for side, times in seconds.items()}
    ratios = [tag / max(pair) for tag, *pair in zip(seconds["tag"], seconds["decode"], seconds["score"], strict=True)]
    return {
        "frames": len(clip),
        **{f"{side}_seconds": round(value, 3) for side, value in middle.items()},
        "video_seconds_per_second": round(duration / middle["tag"], 3),
        "frames_per_second": round(len(clip) / middle["tag"], 1),
        "tag_over_slower_side": round(statistics.median(ratios), 3),
    }


def peak_megabytes(run: Path, video: Path) -> dict[str, float]:
    """Tag in a fresh process; return the peak memory of it and of its reader."""
    program = [sys.executable, "-m", "benchmarks.tagging", str(video), "--peak-of", str(run)]
    return json.loads(subprocess.run(program, capture_output=True, text=True, check=True).stdout.splitlines()[-1])


def print_peak(run: Path, video: Path) -> None:
    """Tag, and print the peaks as JSON."""
    from genre_classifier.run_folder.run import load_run
    from genre_classifier.tagging.tag import tag_trailer

    reader = 0
    me = psutil.Process()

    def look(now: float, end: float) -> None:
        nonlocal reader
        if now % 2 < 0.25:  # now and then: looking takes longer than scoring
            reader = max([reader, *(child.memory_info().rss for child in me.children())])

    frames = len(tag_trailer(load_run(run), video, on_progress=look).scores)
    print(
        json.dumps({"frames": frames, "megabytes": round(peak_bytes() / 1e6), "reader_megabytes": round(reader / 1e6)})
    )


def measure_memory(folder: Path) -> dict[str, dict[str, float]]:
    """Compare a minute and an hour of a small video at the demo's size."""
    from preprocessing.video import write_video

    make_run(folder / "memory", NETWORKS["demo, 32"][0], ClipConfig(frames=10**6, size=32, fps=4))
    noise = np.random.default_rng(0).integers(0, 256, (16, 64, 96, 3), dtype=np.uint8)
    peaks = {}
    for minutes in MINUTES:
        video = folder / f"{minutes}.mp4"
        write_video(video, (noise[index % len(noise)] for index in range(minutes * 60 * 5)), 5)
        peaks[f"{minutes} min"] = peak_megabytes(folder / "memory", video)
    return peaks


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=("speed", "memory"))
    parser.add_argument("--peak-of", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak_of:
        print_peak(arguments.peak_of, arguments.video)
        return
    result: dict[str, object] = {"video": arguments.video.name}
    with tempfile.TemporaryDirectory() as folder:
        if arguments.only != "memory":
            print(
                "| network | frames | decode s | score s | tag s | video s/s | frames/s | tag / slower |\n|"
                + " --- |" * 8
            )
            for name, (config, frames) in NETWORKS.items():
                path = Path(folder) / name
                make_run(path, config, ClipConfig(frames=frames, size=config.rows))
                result[name] = found = measure_speed(path, arguments.video, arguments.rounds)
                print(f"| {name} | " + " | ".join(str(value) for value in found.values()) + " |", flush=True)
        if arguments.only != "speed":
            result["memory"] = peaks = measure_memory(Path(folder))
            for length, found in peaks.items():
                print(f"{length}: {found}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
