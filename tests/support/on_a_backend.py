"""What a test compares between backends: steps from given weights, and the whole path. Run with KERAS_BACKEND set.

`python -m tests.support.on_a_backend FOLDER NAME`: FOLDER holds the weights to start from, clips, their
labels and a video; the steps go to `steps_NAME.npz`, the run to `run_NAME`, the tags to `tags_NAME`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from tests.support.trailers import TWO

FRAMES = 7
CASES = {"whole": {}, "chunks": {"chunk": 3}, "through all chunks": {"chunk": 3, "bptt": "full"}}
SIZES = [
    "--genres",
    ",".join(TWO),
    "--trunk-filters",
    "2,2",
    "--trunk-pools",
    "2,2",
    "--branch-filters",
    "2",
    "--dense-units",
    "4",
]


def steps(folder: Path, name: str) -> None:
    """Take one large step of each case; keep by how much each weight moved, and scores."""
    import keras

    from genre_classifier.config import ModelConfig
    from genre_classifier.network.model import build_model

    def loss() -> keras.losses.Loss:
        return keras.losses.BinaryCrossentropy(reduction="mean_with_sample_weight")

    sizes = {"genres": TWO, "norm_momentum": 0.5, "trunk_filters": (4, 3), "branch_filters": 2, "dense_units": (8, 4)}
    senses = {
        "inputs": "motion",
        "linear_paths": True,
        "encoder": "tiny",
        "encoder_fps": 2.0,
        "encoder_cells": 1,
        "encoder_channels": 5,
        "path_components": (4, 3),
    }
    rng = np.random.default_rng(5)
    clips = rng.integers(0, 256, (2, FRAMES, 3, 14, 13), dtype=np.uint8)
    targets = [rng.integers(0, 2, (2, FRAMES, 1)).astype("float32") for _ in TWO]
    shown = np.eye(len(TWO), dtype="float32")[rng.integers(0, len(TWO), (2, FRAMES))]
    one_each = [shown[..., genre, None] for genre in range(len(TWO))]
    looks = rng.normal(size=(2, FRAMES, 12)).astype("float32")
    networks = {  # JAX compiles each case anew, for many seconds: each way to train is tried with one network
        "frames": ({}, clips, targets, "whole"),
        "senses": (senses, {"frames": clips, "pictures": looks}, targets, "through all chunks"),
        "one genre": ({"exclusive": "yes"}, clips, one_each, "chunks"),
    }
    moved = {}
    assert {case for *_, case in networks.values()} == set(CASES)
    for network, (options, inputs, truth, case) in networks.items():
        model = build_model(ModelConfig(rows=14, cols=13, **sizes, **options))
        if not (folder / f"{network}.npz").exists():
            # Zeros, which paths and what stands beside them begin with, would keep everything before them where it is.
            weights = [rng.normal(0, 0.3, one.shape) if not one.any() else one for one in model.get_weights()]
            np.savez(folder / f"{network}.npz", *weights)
        start = list(np.load(folder / f"{network}.npz").values())
        model.set_weights(start)
        model.compile(keras.optimizers.SGD(1.0), [loss() for _ in TWO])
        model.configure(**CASES[case])
        model.train_on_batch(inputs, truth)
        moved |= {f"{network} {case} {number}": one - start[number] for number, one in enumerate(model.get_weights())}
        model.set_weights(start)
        moved[f"{network} scores"] = np.concatenate(model.predict(inputs, verbose=0), axis=-1)
    np.savez(folder / f"steps_{name}.npz", **moved)


def whole_path(folder: Path, name: str) -> None:
    """Train in chunks, resume, tag and evaluate."""
    from genre_classifier import cli

    clips, labels, run = f"{folder}/clips", f"{folder}/labels.csv", f"{folder}/run_{name}"
    for command in (
        ["train", clips, labels, run, *SIZES, "--epochs", "1", "--chunk", "4", "--bptt", "full", "--test-share", "0.4"],
        ["train", clips, labels, run, "--resume", "--epochs", "2"],
        ["tag", run, f"{folder}/video.mkv", "--out", f"{folder}/tags_{name}"],
        ["evaluate", run, clips, labels, "--out", f"{folder}/report_{name}", "--draws", "5", "--jobs", "1"],
    ):
        assert cli.run(command) == 0, command


if __name__ == "__main__":
    steps(Path(sys.argv[1]), sys.argv[2])
    whole_path(Path(sys.argv[1]), sys.argv[2])
