"""Suggested against random order: how many labelled trailers a network needs to find the genres of unseen frames.

Two pools of synthetic trailers: in the even one all six genres are shown alike, in the uneven one three trailers of
four show two genres alone. Both orders begin with the same few labelled trailers; then, a few at a time, either the
first of `suggest` or random ones are labelled, and a new network learns from all that are. Every network gets as many
steps, and is judged by the macro average precision over the frames of test trailers that show all genres and are in no
pool.

    python -m benchmarks.suggestions --out /tmp/suggestions --seeds 0 1 2

Prints tables and JSON. Clips and finished runs in `--out` are used again.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.weak_labels import NETWORK
from genre_classifier.config import TrainingConfig
from genre_classifier.dataset.labels import read_labels, write_labels
from genre_classifier.dataset.synthetic import SyntheticConfig, synthesize
from genre_classifier.dataset.trailers import load_trailers
from genre_classifier.evaluation.suggestions.suggest import suggest
from genre_classifier.genres import GENRES
from genre_classifier.metrics.frames import average_precision
from genre_classifier.network.streaming import score_clip
from genre_classifier.run_folder.run import load_run
from genre_classifier.training.train import train
from preprocessing import preprocess_directory
from preprocessing.clips import load_clip
from preprocessing.config import ClipConfig

# Folder of a pool -> how many trailers, of which genres.
POOLS: dict[str, dict[str, tuple[int, tuple[str, ...]]]] = {
    "even": {"all": (72, GENRES)},
    "uneven": {"common": (54, ("comedy", "other")), "all": (18, GENRES)},
}
TEST = {"all": (24, GENRES)}
LABELLED = (8, 16, 24)
TRAILERS = SyntheticConfig(duration=4.0)
CLIPS = ClipConfig(frames=32, size=32, fps=8)
STEPS = 100
TRAINING = TrainingConfig(
    batch_size=4,
    learning_rate=3e-3,
    schedule="cosine",
    patience=None,
    keep="last",
    validation_share=0.0,
    test_share=0.0,
)


def make_clips(out: Path, parts: dict[str, tuple[int, tuple[str, ...]]], seed: int) -> tuple[Path, pd.DataFrame]:
    """Make the trailers of a pool and their clips; return the clips folder and the labels."""
    trailers, clips, tables = out / "trailers", out / "clips", []
    for number, (name, (count, genres)) in enumerate(parts.items()):
        folder = trailers / name
        if not (folder / "labels.csv").exists():
            config = dataclasses.replace(TRAILERS, trailers=count, genres=genres)
            synthesize(folder, config, seed=1000 * number + seed)
        labels = read_labels(folder / "labels.csv")
        tables.append(labels.assign(trailer=f"{name}/" + labels["trailer"]))
    preprocess_directory(trailers, clips, config=CLIPS)
    return clips, pd.concat(tables, ignore_index=True)


def macro_precision(run: Path, clips: Path, labels: pd.DataFrame) -> float:
    """Return the macro average precision over the frames of test trailers."""
    model, test = load_run(run).model, load_trailers(clips, labels)
    y_true = np.concatenate([trailer.targets for trailer in test]) > 0
    y_score = np.concatenate([score_clip(model, load_clip(trailer.clip)) for trailer in test])
    return float(np.mean([average_precision(y_true[:, g], y_score[:, g]) for g in range(len(GENRES))]))


def learning_curve(out: Path, pool: str, seed: int, order: str) -> list[float]:
    """Label a pool in one order and return what is reached with each number of `LABELLED`."""
    clips, labels = make_clips(out / f"{pool}_{seed}", POOLS[pool], seed)
    test_clips, test_labels = make_clips(out / f"test_{seed}", TEST, seed + 500)
    sources = labels["trailer"].drop_duplicates().sort_values().to_numpy()
    at_random = [str(source) for source in np.random.default_rng(seed).permutation(sources)]
    known, reached = at_random[: LABELLED[0]], []
    for step, count in enumerate(LABELLED):
        run = out / f"run_{pool}_{seed}_{order if step else 'first'}_{count}"
        own = labels[labels["trailer"].isin(known)].reset_index(drop=True)
        if not (run / "curves.png").exists():
            epochs = -(-STEPS * TRAINING.batch_size // count)
            config = dataclasses.replace(TRAINING, seed=seed, epochs=epochs)
            train(clips, own, run, model_config=NETWORK, training_config=config, overwrite=True)
        reached.append(macro_precision(run, test_clips, test_labels))
        if count == LABELLED[-1]:
            break
        more = LABELLED[step + 1] - count
        if order == "suggested":
            file = out / "labelled.csv"
            write_labels(file, own)
            known = [*known, *suggest(run, clips, out / "next", labels=file, count=more, jobs=1)["source"]]
        else:
            known = at_random[: count + more]
    return reached


def labels_needed(curve: list[float], goal: float) -> float:
    """Return how many labelled trailers reach a goal, between two measured numbers in a straight line; NaN if none."""
    above = [step for step, value in enumerate(curve) if value >= goal]
    if not above:
        return float("nan")
    step = above[0]
    if step == 0:
        return float(LABELLED[0])
    share = (goal - curve[step - 1]) / (curve[step] - curve[step - 1])
    return LABELLED[step - 1] + share * (LABELLED[step] - LABELLED[step - 1])


def main() -> None:
    """Label every pool in both orders for each seed, and print what they reach."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--pools", nargs="+", choices=list(POOLS), default=list(POOLS))
    arguments = parser.parse_args()
    results: dict[str, dict[str, list[list[float]]]] = {}
    for pool in arguments.pools:
        curves = {
            order: [learning_curve(arguments.out, pool, seed, order) for seed in arguments.seeds]
            for order in ("suggested", "random")
        }
        results[pool] = curves
        print(f"\n{pool + ' pool, labelled:':<22}" + "".join(f"{count:>8}" for count in LABELLED))
        for order, rows in curves.items():
            print(f"{order:<22}" + "".join(f"{value:>8.3f}" for value in np.mean(rows, axis=0)))
        won = (np.array(curves["suggested"]) > np.array(curves["random"])).sum(axis=0)
        print(f"{'seeds won':<22}" + "".join(f"{number:>8}" for number in ["", *won[1:]]))
        goals = [row[-1] for row in curves["random"]]  # what random order reaches with all its labels
        for order, rows in curves.items():
            needed = [f"{labels_needed(row, goal):.1f}" for row, goal in zip(rows, goals, strict=True)]
            print(f"{order}: labels for what random order reaches with {LABELLED[-1]}: {', '.join(needed)}", flush=True)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
