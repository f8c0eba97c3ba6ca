"""Trainings that a test compares, in one process or in two at once, on any backend.

`python -m tests.support.two_trainers CLIPS OUT CASES RANK ADDRESS ADDRESS` is one of the two;
cases with commas between.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

# name -> options of `GenreModel.configure`, the network's own, and how many of five clips are a batch. Of batches of
# four, the last has a single one: with this seed, those of both epochs are of two shapes. Each is traced, so it is one
# case that has two.
CASES = {
    "whole": ({}, {}, 4),
    "chunks": ({"chunk": 3}, {}, 5),
    "through all chunks": ({"chunk": 3, "bptt": "full"}, {"inputs": "motion"}, 5),
}
CONFIG = {
    "seed": 2,
    "epochs": 2,
    "learning_rate": 1e-2,
    "warmup_epochs": 0.5,
    "weak": "pool",
    "balance": True,
}


def train_all(
    clips: Path, out: Path, cases: Sequence[str] = tuple(CASES), addresses: Sequence[str] = (), rank: int = 0
) -> None:
    """Train some cases; write weights, moving statistics, optimizer and losses to `<case>_<rank>.npz`.

    They begin with the weights in `start_<case>.npz` beside the clips, which the first one to train alone writes.
    """
    import dataclasses

    import keras

    from genre_classifier.config import TrainingConfig
    from genre_classifier.dataset.trailers import load_trailers
    from genre_classifier.network.model import build_model
    from genre_classifier.training.cluster import join_workers
    from genre_classifier.training.epochs import WarmUp, fit_epochs
    from genre_classifier.training.train import compile_model, training_sequence
    from tests.support.trailers import TINY_OF_TWO, TWO

    peers = join_workers(addresses, rank)
    trailers = load_trailers(clips, clips / "labels.csv", genres=TWO)
    for name in cases:
        options, sizes, batch_size = CASES[name]
        config = TrainingConfig(**CONFIG, batch_size=batch_size)
        keras.utils.set_random_seed(1 + rank)  # what the second one begins with does not count
        model = build_model(dataclasses.replace(TINY_OF_TWO, **sizes))
        start = clips / f"start_{name}.npz"
        if not start.exists():
            np.savez(start, *model.get_weights())
        if rank == 0:
            model.set_weights(list(np.load(start).values()))
        compile_model(model, config)
        model.configure(peers=peers, **options)
        losses: list[float] = []
        keeper = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs, to=losses: to.append(logs["loss"]))
        callbacks = [WarmUp(config), keeper]
        if rank == 0:  # as in `train`, where the first process alone knows the schedule
            callbacks.append(keras.callbacks.LearningRateScheduler(lambda epoch: 1e-2 / (1 + epoch)))
        sequence = training_sequence(trailers, config, share=(peers.rank, peers.count))
        fit_epochs(model, sequence, epochs=config.epochs, callbacks=callbacks, peers=peers)
        values = [variable.numpy() for variable in (*model.variables, *model.optimizer.variables)]
        np.savez(out / f"{name}_{rank}.npz", *values, losses=losses)


if __name__ == "__main__":
    clips, out, cases, rank, *addresses = sys.argv[1:]
    train_all(Path(clips), Path(out), cases.split(","), addresses, int(rank))
