"""The run folder: whole after a kill at any moment, its own files alone removed, damage told in one line."""

from __future__ import annotations

import json
import shutil
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from genre_classifier import checkpoints, epochs, model_file, provenance, runs
from genre_classifier.config import TrainingConfig
from genre_classifier.evaluation.calibration import fit_calibration
from genre_classifier.validation import Scored
from preprocessing.config import ClipConfig
from tests.trailers import TINY

CONFIG = TrainingConfig(epochs=3, seed=5)
QUALITY = {1: 0.3, 2: 0.0, 3: 0.6}  # of the scores after each epoch: the second is worse than the first


class Network:
    """Stands for a network in what matters to files: saved, read again, told from another, scored.

    The training itself is not what is tested here, and would take minutes.
    """

    weights = ()
    input_shape = (None, None, 3, 12, 12)

    def __init__(self, number: int) -> None:
        self.number = number
        self.optimizer = SimpleNamespace()

    def save(self, path: Path) -> None:
        path.write_text(f"network {self.number}")


def read_network(path: Path, **options: object) -> Network:
    return Network(int(path.read_text().removeprefix("network ")))


TARGETS = (np.random.default_rng(0).random((40, 6)) < 0.4).astype(np.float32)


def score_network(model: Network, trailers: object, config: TrainingConfig) -> list[Scored]:
    noise = np.random.default_rng(model.number).uniform(0.01, 0.99, TARGETS.shape)
    quality = QUALITY[model.number]
    scores = (quality * (0.1 + 0.8 * TARGETS) + (1 - quality) * noise).astype(np.float32)
    return [Scored(SimpleNamespace(targets=TARGETS, weak=False), scores)]


@pytest.fixture
def networks(monkeypatch):
    """Put `Network` in the place of the real ones."""
    monkeypatch.setattr(epochs, "score_trailers", score_network)
    monkeypatch.setattr(checkpoints, "read_model", read_network)
    monkeypatch.setattr(model_file, "read_model", read_network)


def start(run: Path) -> None:
    """Write what a training writes before its first epoch."""
    run.mkdir()
    runs.write_config(run, TINY, CONFIG, ClipConfig(size=12))
    provenance.write_card(run, provenance.new_card(command="train", seed=5, data_digest="", parts={}))


def go_on(run: Path) -> None:
    """Do what a training does after each epoch, from the last finished one on."""
    loaded = checkpoints.load_checkpoint(run, on_note=print)
    rows, kept = [], None
    if loaded:
        rows, kept = loaded[1].rows, epochs.recover(run, *loaded, (), CONFIG, print)
    keeper = epochs.EpochKeeper(run, (), CONFIG, rows, kept, time.monotonic())
    keeper.publish()
    for number in range(len(rows) + 1, 4):
        keeper.set_model(Network(number))
        keeper.on_epoch_begin(number - 1)
        keeper.on_epoch_end(number - 1, {"loss": 1.0})


class Killed(BaseException):
    """The process is gone."""


class Disk:
    """Counts what changes a folder, and lets nothing more happen from the `last` such step on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, last: int) -> None:
        self.steps, self._last = 0, last
        for owner, name in (
            (Path, "replace"), (Path, "unlink"), (Path, "mkdir"), (Path, "write_bytes"), (shutil, "copyfile"),
            (Path, "write_text"), (Path, "rmdir"),
        ):  # fmt: skip
            monkeypatch.setattr(owner, name, self._counted(getattr(owner, name)))

    def _counted(self, real):
        def step(*args, **kwargs):
            if self.steps >= self._last:
                raise Killed
            self.steps += 1
            return real(*args, **kwargs)

        return step


def test_killed_between_any_two_steps_a_run_is_whole_and_goes_on_to_the_same_end(networks, tmp_path, monkeypatch):
    """The network, its thresholds and the history belong together at every moment."""
    fitted = {n: fit_calibration(TARGETS, score_network(Network(n), (), CONFIG)[0].scores) for n in QUALITY}
    assert fitted[1] != fitted[3]
    undisturbed = tmp_path / "undisturbed"
    start(undisturbed)
    go_on(undisturbed)
    seen = set()
    for last in range(200):
        run = tmp_path / f"run_{last}"
        start(run)
        with monkeypatch.context() as patched:
            disk = Disk(patched, last)
            with suppress(Killed):
                go_on(run)
        if (run / "model.keras").exists():
            found = runs.load_run(run)
            number = found.model.number
            assert (found.thresholds, found.temperatures) == fitted[number], f"after {last} steps"
            assert len(pd.read_csv(run / "history.csv")) >= number
            seen.add(number)
        finished = disk.steps < last
        go_on(run)
        assert_same_end(run, undisturbed)
        if finished:
            break
    assert last > 30
    assert seen == {1, 3}


def assert_same_end(run: Path, other: Path) -> None:
    one, two = runs.load_run(run), runs.load_run(other)
    assert one.model.number == two.model.number == 3
    assert (one.thresholds, one.temperatures) == (two.thresholds, two.temperatures)
    assert json.loads((run / "card.json").read_text())["kept_epoch"] == 3
    histories = [pd.read_csv(folder / "history.csv").drop(columns="seconds") for folder in (run, other)]
    pd.testing.assert_frame_equal(*histories, check_exact=True)
    provenance.clean(run)
    names = [sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) for folder in (run, other)]
    assert names[0] == names[1]
