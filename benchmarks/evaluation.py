"""How long an evaluation takes and how much memory it needs: made-up scores of many trailers.

    python -m benchmarks.evaluation [--trailers 1000] [--frames 1000] [--draws 1000] [--genres 6]

Prints a table and a line of JSON. The aim at 1000 trailers of 1000 frames and six genres, with 1000 bootstrap draws:
under 60 seconds and 2 GB on two cores. The time without the bootstrap (one draw) stands beside it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Sequence

import numpy as np
import pandas as pd

from benchmarks.peaks import peak_bytes
from genre_classifier.config import EvaluationConfig
from genre_classifier.evaluation.evaluate import evaluate
from genre_classifier.tagging.scores import scores_table

_STEP_SECONDS = 0.12  # a trailer of two minutes in 1000 frames
_INTERVALS = 20


def made_up(
    trailers: int, frames: int, genres: Sequence[str], seed: int = 0
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Return labels with twenty intervals per trailer, and smooth scores that know them somewhat."""
    rng = np.random.default_rng(seed)
    times = np.arange(frames) * _STEP_SECONDS
    rows, scores = [], {}
    for number in range(trailers):
        name = f"trailer_{number:05d}.mp4"
        inner = np.sort(rng.uniform(0, frames * _STEP_SECONDS, _INTERVALS - 1))
        truth = np.zeros((frames, len(genres)), dtype=np.float32)
        for start, end in itertools.pairwise([0, *inner, frames * _STEP_SECONDS]):
            genre = int(rng.integers(len(genres)))
            rows.append((name, start, end, genres[genre]))
            truth[(times >= start) & (times < end), genre] = 1
        noise = np.repeat(rng.normal(size=(frames // 10 + 1, len(genres))), 10, axis=0)[:frames]
        logits = 2 * truth - 1.5 + noise + 0.3 * rng.normal(size=truth.shape)
        scores[name] = scores_table(times, 1 / (1 + np.exp(-logits)), genres)
    return pd.DataFrame(rows, columns=["trailer", "start", "end", "genre"]), scores


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("trailers", "frames", "draws"):
        parser.add_argument(f"--{name}", type=int, default=1000)
    parser.add_argument("--genres", type=int, default=6)
    options = parser.parse_args()
    genres = [f"genre-{number}" for number in range(options.genres)]
    labels, scores = made_up(options.trailers, options.frames, genres)
    before = peak_bytes() / 1e9
    figures = {}
    for name, draws in (("one draw", 1), (f"{options.draws} draws", options.draws)):
        started, cpu = time.perf_counter(), time.process_time()
        found = evaluate(labels, scores, config=EvaluationConfig(draws=draws))
        figures[name] = {
            "seconds": round(time.perf_counter() - started, 1),
            "cpu_seconds": round(time.process_time() - cpu, 1),
            "peak_gb": round(peak_bytes() / 1e9, 2),
        }
    headline = found.figure("frame_pooled", "macro", "average_precision")
    print(f"{options.trailers} trailers x {options.frames} frames x {len(genres)} genres; data alone {before:.2f} GB")
    print(f"{'':>12} {'seconds':>9} {'CPU':>9} {'peak GB':>9}")
    for name, row in figures.items():
        print(f"{name:>12} {row['seconds']:>9} {row['cpu_seconds']:>9} {row['peak_gb']:>9}")
    print(f"macro frame AP {headline.value:.4f} ({headline.low:.4f} to {headline.high:.4f})")
    print(
        json.dumps({"trailers": options.trailers, "frames": options.frames, "genres": len(genres), "figures": figures})
    )


if __name__ == "__main__":
    main()
