"""Pooled against broadcast training on weak labels: which learns the frames better from whole-trailer labels.

Synthetic trailers of two to four shots keep only the names of their genres for training; the test trailers keep their
intervals, so that frames are judged. Both sides see the same trailers, in the same order, from the same weights.

    python -m benchmarks.weak_labels --out /tmp/weak --seeds 0 1 2

Prints a table and JSON. Clips and finished runs in `--out` are used again.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np

from genre_classifier.config import ModelConfig, TrainingConfig
from genre_classifier.dataset.labels import read_labels
from genre_classifier.dataset.splits import apply_splits, read_splits
from genre_classifier.dataset.synthetic import SyntheticConfig, synthesize
from genre_classifier.dataset.trailers import load_trailers
from genre_classifier.genres import GENRES
from genre_classifier.metrics.frames import average_precision
from genre_classifier.network.streaming import score_clip
from genre_classifier.run_folder.run import load_run
from genre_classifier.training.train import train
from preprocessing import preprocess_directory
from preprocessing.clips import load_clip
from preprocessing.config import ClipConfig

TRAILERS = SyntheticConfig(trailers=90, duration=5.0)
CLIPS = ClipConfig(frames=60, size=32, fps=8)
NETWORK = ModelConfig(
    trunk_filters=(8, 8),
    trunk_pools=(2, 2),
    branch_filters=4,
    dense_units=(16,),
    head="pooled",
    inputs="rgb+difference",
    norm_momentum=0.9,
)
TRAINING = TrainingConfig(
    epochs=30,
    batch_size=4,
    learning_rate=3e-3,
    schedule="cosine",
    patience=None,
    validation_share=0.1,
    test_share=0.25,
)


def frame_precision(out: Path, seed: int, weak: str) -> np.ndarray:
    """Train one side and return the average precision per genre over the frames of the test trailers."""
    trailers, clips, run = out / f"trailers_{seed}", out / f"clips_{seed}", out / f"run_{seed}_{weak}"
    if not (trailers / "labels.csv").exists():
        synthesize(trailers, TRAILERS, seed=seed)
    preprocess_directory(trailers, clips, config=CLIPS)
    strong = read_labels(trailers / "labels.csv")
    names = strong.drop(columns=["start", "end"]).drop_duplicates()
    stripped = names.assign(start=np.nan, end=np.nan)[strong.columns]
    if not (run / "curves.png").exists():
        config = dataclasses.replace(TRAINING, seed=seed, weak=weak)
        train(clips, stripped, run, model_config=NETWORK, training_config=config, overwrite=True)
    model = load_run(run).model
    test = apply_splits(load_trailers(clips, strong), read_splits(run / "splits.csv"), str(run))["test"]
    y_true = np.concatenate([trailer.targets for trailer in test]) > 0
    y_score = np.concatenate([score_clip(model, load_clip(trailer.clip)) for trailer in test])
    return np.array([average_precision(y_true[:, g], y_score[:, g]) for g in range(len(GENRES))])


def main() -> None:
    """Run both sides for each seed and print what they reach."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    results: dict[str, list[np.ndarray]] = {"pool": [], "broadcast": []}
    for seed in arguments.seeds:
        for weak, rows in results.items():
            rows.append(frame_precision(arguments.out, seed, weak))
    print(f"{'':<10}{'pool':>8}{'broadcast':>12}{'seeds won by pool':>20}")
    pool, broadcast = (np.stack(results[weak]) for weak in ("pool", "broadcast"))  # (seeds, genres)
    for g, genre in enumerate(GENRES):
        won = int((pool[:, g] > broadcast[:, g]).sum())
        print(f"{genre:<10}{pool[:, g].mean():>8.3f}{broadcast[:, g].mean():>12.3f}{won:>14} of {len(pool)}")
    won = int((pool.mean(axis=1) > broadcast.mean(axis=1)).sum())
    print(f"{'mean':<10}{pool.mean():>8.3f}{broadcast.mean():>12.3f}{won:>14} of {len(pool)}")
    print(json.dumps({weak: np.stack(rows).round(4).tolist() for weak, rows in results.items()}))


if __name__ == "__main__":
    main()
