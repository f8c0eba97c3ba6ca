"""Training: the run folder, repeatability, resuming after a kill, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import psutil
import pytest

from genre_classifier import cli
from genre_classifier.config import ModelConfig, TrainingConfig
from genre_classifier.dataset.sequence import TrailerSequence
from genre_classifier.dataset.splits import read_splits, write_splits
from genre_classifier.dataset.trailers import load_trailers
from genre_classifier.genres import GENRES
from genre_classifier.metrics.frames import average_precision
from genre_classifier.network.memory import training_bytes
from genre_classifier.run_folder import checkpoints, layout
from genre_classifier.run_folder.run import load_run, write_config
from genre_classifier.training import history
from genre_classifier.training.epochs import TensorBoard
from genre_classifier.training.plan import _refuse_changes, going_on, plan_training
from genre_classifier.training.train import balance_weights, compile_model, learning_rate_at, train, training_sequence
from genre_classifier.training.validation import Scored, calibrate, score_trailers, validate
from preprocessing.base.errors import InputError, WorkError
from preprocessing.clips import write_clip_config
from preprocessing.config import ClipConfig
from tests.support.notes import logged
from tests.support.trailers import TINY, TINY_OF_TWO, TWO, write_clips

CONFIG = TrainingConfig(
    epochs=4,
    learning_rate=1e-2,
    schedule="cosine",
    batch_size=2,
    flip=True,
    shift=0.1,
    deterministic=True,
    seed=5,
    validation_share=0.25,
    test_share=0.15,
    keep="best",
    chunk=None,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Return clips, six of which are trained on: three full batches, for TensorFlow traces each shape of batches."""
    clips = tmp_path_factory.mktemp("clips")
    labels = write_clips(clips, [8] * 9, weak=(3, 4), genres=TWO)
    labels.to_csv(clips / "labels.csv", index=False)
    return clips, clips / "labels.csv"


@pytest.fixture(scope="module")
def six(tmp_path_factory):
    """Return clips of all six genres."""
    clips = tmp_path_factory.mktemp("six")
    labels = write_clips(clips, [8] * 9, weak=(3, 4))
    labels.to_csv(clips / "labels.csv", index=False)
    return clips, clips / "labels.csv"


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """Return a run that was trained without interruption."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    train(*data, run, model_config=TINY_OF_TWO, training_config=CONFIG)
    return run


def last_weights(run: Path) -> list[np.ndarray]:
    model, _ = checkpoints.load_checkpoint(run)
    return [variable.numpy() for variable in (*model.weights, *model.optimizer.variables)]


def assert_same_bits(left: Path, right: Path) -> None:
    pairs = list(zip(last_weights(left), last_weights(right), strict=True))
    assert len(pairs) > 20
    for first, second in pairs:
        np.testing.assert_array_equal(first, second)
    drop = ["seconds"]
    pd.testing.assert_frame_equal(
        pd.read_csv(left / "history.csv").drop(columns=drop),
        pd.read_csv(right / "history.csv").drop(columns=drop),
        check_exact=True,
    )


def test_the_run_folder_holds_every_file(finished, data):
    names = {path.name for path in finished.iterdir()}
    assert names == {
        "model.keras",
        "config.json",
        "thresholds.json",
        "splits.csv",
        "history.csv",
        "card.json",
        "curves.png",
        "tensorboard",
        "checkpoints",
        "README.md",
    }
    assert tensorboard_epochs(finished) == [1, 2, 3, 4]  # as in history.csv
    card = json.loads((finished / "card.json").read_text())
    assert {"versions", "seed", "data_digest", "command", "seconds", "kept_epoch", "splits"} <= set(card)
    run = load_run(finished)
    assert run.model_config.rows == 12
    assert run.training_config == CONFIG
    scores = [np.asarray(score) for score in run.model.predict(np.load(data[0] / "trailer_0.npy")[None], verbose=0)]
    assert [score.shape for score in scores] == [(1, 8, 1)] * 2
    assert set(run.thresholds) == set(TWO)
    rows = pd.read_csv(finished / "history.csv")
    best = rows[rows["val_macro_ap"] == rows["val_macro_ap"].max()]
    assert card["kept_epoch"] == best.loc[best["val_loss"].idxmin(), "epoch"]


def tensorboard_epochs(run: Path) -> list[int]:
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    events = [event for path in (run / "tensorboard").rglob("events*") for event in EventFileLoader(str(path)).Load()]
    return sorted({event.step for event in events if any(v.tag == "epoch_loss" for v in event.summary.value)})


@pytest.mark.slow
def test_a_finished_run_is_given_more_epochs(finished, data, tmp_path):
    run = tmp_path / "longer"
    shutil.copytree(finished, run)
    longer = dataclasses.replace(CONFIG, epochs=5, patience=None)
    with logged() as notes:
        train(*data, run, training_config=longer, resume=True)
    assert any("a cosine over all 5 epochs: it goes on at 0.0001, after 0.0001 in epoch 4" in note for note in notes)
    assert load_run(run).training_config == longer
    rows, before = pd.read_csv(run / "history.csv"), pd.read_csv(finished / "history.csv")
    pd.testing.assert_frame_equal(rows.iloc[:4], before, check_exact=True)
    assert rows["learning_rate"].iloc[4] == pytest.approx(learning_rate_at(4, longer))


def test_a_finished_run_without_its_network_is_rebuilt(finished, data, tmp_path):
    run = tmp_path / "rebuilt"
    shutil.copytree(finished, run)
    names = ("model.keras", "thresholds.json", "history.csv", "curves.png")
    expected = {name: (run / name).read_bytes() for name in names}
    for name in names:
        (run / name).unlink()
    train(*data, run, resume=True)
    assert {name: (run / name).read_bytes() for name in names[:-1]} == {name: expected[name] for name in names[:-1]}
    assert (run / "curves.png").exists()


def test_without_a_checkpoint_nothing_is_begun_again_over_a_finished_network(finished, data, tmp_path):
    run = tmp_path / "bare"
    shutil.copytree(finished, run)
    shutil.rmtree(run / "checkpoints")
    before = (run / "model.keras").read_bytes()
    with pytest.raises(InputError, match="expected a checkpoint to resume from"):
        train(*data, run, resume=True)
    assert (run / "model.keras").read_bytes() == before


def test_ctrl_c_scores_nothing_and_leaves_the_run_as_it_was(finished, data, tmp_path, monkeypatch):
    run = tmp_path / "stopped"
    shutil.copytree(finished, run)
    longer = dataclasses.replace(CONFIG, epochs=5)

    def stop(model, *_, **__):
        raise KeyboardInterrupt

    scored = []
    monkeypatch.setattr("genre_classifier.training.train.fit_epochs", stop)
    monkeypatch.setattr("genre_classifier.training.epochs.score_trailers", lambda *_: scored.append(1))
    (run / "curves.png").unlink()
    with pytest.raises(KeyboardInterrupt):
        train(*data, run, training_config=longer, resume=True)
    assert not scored
    assert (run / "curves.png").exists()
    assert load_run(run).thresholds == load_run(finished).thresholds


@pytest.mark.slow
def test_a_full_disk_in_the_first_epoch_is_said_and_does_not_block_the_next_try(data, tmp_path, monkeypatch):
    def no_space(path, model):
        raise WorkError(f"{path}: could not be written: No space left on device")

    def one_epoch(model, *_, callbacks, **__):
        callbacks[0].set_model(model)
        callbacks[0].on_epoch_begin(0)
        callbacks[0].on_epoch_end(0, {"loss": 1.0})

    run = tmp_path / "full"
    with monkeypatch.context() as patched:
        patched.setattr("genre_classifier.training.train.fit_epochs", one_epoch)
        patched.setattr(checkpoints, "save_model", no_space)
        with pytest.raises(WorkError, match=r"epoch_1.keras: could not be written: No space left on device"):
            train(*data, run, model_config=TINY_OF_TWO, training_config=CONFIG)
    assert (run / "config.json").exists()
    layout.require_free(run, overwrite=False)  # as for a folder that is empty
    assert layout.empty_run_folder(run) == []


def test_two_trainings_in_one_folder_are_refused(finished, data, tmp_path):
    run = tmp_path / "busy"
    shutil.copytree(finished, run)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with layout.run_lock(run):
        for how in ({"resume": True}, {"overwrite": True}, {}):
            with pytest.raises(InputError, match="another training works in this run folder"):
                train(*data, run, model_config=TINY_OF_TWO, training_config=CONFIG, **how)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_clips_that_are_not_what_is_recorded_of_them_are_refused(data, tmp_path):
    clips = tmp_path / "clips"
    shutil.copytree(data[0], clips)
    for recorded, expected in (
        (
            ClipConfig(size=48),
            r"json: expected the size of the clips, found 48 where trailer_0.npy has 12",
        ),
        (ClipConfig(size=12, frames=6), r"at most the 6 frames recorded, found 8 in trailer_0.npy"),
    ):
        write_clip_config(clips, recorded)
        with pytest.raises(InputError, match=expected):
            train(clips, data[1], tmp_path / "run", model_config=TINY_OF_TWO)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_the_last_epoch_is_kept_when_asked(data, tmp_path):
    config = dataclasses.replace(CONFIG, keep="last", crop_frames=3, epochs=3)
    run = train(*data, tmp_path / "run", model_config=TINY_OF_TWO, training_config=config)
    kept = [variable.numpy() for variable in run.model.weights]
    last, _ = checkpoints.load_checkpoint(run.path)
    for one, other in zip(kept, last.weights, strict=True):
        np.testing.assert_array_equal(one, other.numpy())
    assert json.loads((run.path / "card.json").read_text())["kept_epoch"] == 3


MATCHED = dataclasses.replace(
    CONFIG,
    keep="last",
    weak="broadcast",
    match_prevalence=True,
    crop_frames=3,
    epochs=2,
    patience=None,
    validation_share=0.0,
)


class Stop(keras.callbacks.Callback):
    """Interrupts the last epoch."""

    def on_train_batch_end(self, batch, logs=None):
        if self.model.optimizer.iterations.numpy() == self.params["steps"] * MATCHED.epochs:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_mean_scores_of_training_trailers_are_the_shares_of_genres(tmp_path):
    """Long trailers give most crops and are of two genres: without matching, the network learns these shares."""
    genres = GENRES[:3]
    labels = write_clips(tmp_path / "clips", [24, 6, 24, 6, 6, 6, 6, 6], weak=tuple(range(8)), genres=genres)
    data = (tmp_path / "clips", labels.drop(columns=["start", "end"]).assign(start=np.nan, end=np.nan))
    sizes = dataclasses.replace(TINY, genres=genres)
    with pytest.raises(KeyboardInterrupt):
        train(*data, tmp_path / "run", model_config=sizes, training_config=MATCHED, callbacks=[Stop()])
    assert "moved_biases" not in json.loads((tmp_path / "run" / "card.json").read_text())
    with logged() as notes:
        run = train(*data, tmp_path / "run", resume=True)
    train_ids = read_splits(run.path / "splits.csv").query("split == 'train'")["trailer_id"].tolist()
    trailers = [trailer for trailer in load_trailers(*data, genres=genres) if trailer.trailer_id in train_ids]
    means = np.mean([scores.mean(axis=0) for _, scores in score_trailers(run.model, trailers, MATCHED)], axis=0)
    shares = np.mean([trailer.genres for trailer in trailers], axis=0)
    shown = shares > 0
    assert shown.sum() > 2
    np.testing.assert_allclose(means[shown], shares[shown], atol=1e-5)
    moved = json.loads((run.path / "card.json").read_text())["moved_biases"]
    assert set(moved) == {genre for genre, one in zip(genres, shown, strict=True) if one}
    assert f"{next(iter(moved))} {next(iter(moved.values())):+.2f}" in notes[-1]


def idle(model, sequence, *, epochs, initial_epoch=0, callbacks=(), peers=None):
    """Take the place of `fit_epochs`, with epochs that teach nothing."""
    callbacks = [callback for callback in callbacks if not isinstance(callback, TensorBoard)]
    model.stop_training = False
    for callback in callbacks:
        callback.set_model(model)
    for epoch in range(initial_epoch, epochs):
        for callback in callbacks:
            callback.on_epoch_begin(epoch)
        for callback in callbacks:
            callback.on_epoch_end(epoch, {"loss": 1.0})
        if model.stop_training:
            break


@pytest.fixture
def no_lessons(monkeypatch):
    monkeypatch.setattr("genre_classifier.training.train.fit_epochs", idle)


@pytest.fixture(scope="module")
def uneven(tmp_path_factory):
    """Return clips most of which show one genre, so that scores about 0.5 are far from its share."""
    clips = tmp_path_factory.mktemp("uneven")
    return clips, write_clips(clips, [8] * 9, weak=(0, 2, 4, 6, 8), genres=TWO)


def test_figures_of_a_matched_network_are_those_after_its_biases_moved(uneven, tmp_path, no_lessons):
    config = dataclasses.replace(MATCHED, epochs=1, validation_share=0.25)
    run = train(*uneven, tmp_path / "run", model_config=TINY_OF_TWO, training_config=config)
    card = json.loads((run.path / layout.CARD).read_text())
    assert abs(card["moved_biases"]["comedy"]) > 1
    judges = read_splits(run.path / layout.SPLITS).query("split == 'validation'")["trailer_id"].tolist()
    trailers = [one for one in load_trailers(*uneven, genres=TWO) if one.trailer_id in judges]
    expected = validate(score_trailers(run.model, trailers, config), config, run.model_config)
    row = pd.read_csv(run.path / layout.HISTORY).iloc[-1]
    for name, value in expected.items():
        assert card["kept"][name] == pytest.approx(value, rel=1e-5), name
        assert row[name] == pytest.approx(value, rel=1e-5), name


class StopAfter(keras.callbacks.Callback):
    """Interrupts the training when so many epochs are done."""

    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 == self.epochs:
            raise KeyboardInterrupt


def mean_scores_and_shares(run, data, config):
    """Return means over the training trailers of a run."""
    learned = read_splits(run.path / layout.SPLITS).query("split == 'train'")["trailer_id"].tolist()
    trailers = [one for one in load_trailers(*data, genres=run.genres) if one.trailer_id in learned]
    scores = np.mean([scores.mean(axis=0) for _, scores in score_trailers(run.model, trailers, config)], axis=0)
    return scores, np.mean([trailer.targets.mean(axis=0) for trailer in trailers], axis=0)


def moved_biases(run):
    return json.loads((run / layout.CARD).read_text()).get("moved_biases")


def test_prevalence_is_matched_also_where_a_stopped_run_ends_without_another_epoch(uneven, tmp_path, no_lessons):
    config, run = dataclasses.replace(MATCHED, epochs=4), tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(*uneven, run, model_config=TINY_OF_TWO, training_config=config, callbacks=[StopAfter(1)])
    assert moved_biases(run) is None
    short = dataclasses.replace(config, epochs=1)
    with logged() as notes:
        done = train(*uneven, run, training_config=short, resume=True)
    assert "output biases moved" in "".join(notes)
    np.testing.assert_allclose(*mean_scores_and_shares(done, uneven, config), atol=1e-5)
    assert abs(moved_biases(run)["comedy"]) > 1
    before = {name: (run / name).read_bytes() for name in (layout.MODEL, layout.HISTORY, layout.THRESHOLDS)}
    with logged() as notes:
        train(*uneven, run, resume=True)  # it is matched once
    assert "no epoch is trained: 1 of 1 are done; a larger --epochs trains more" in notes
    assert {name: (run / name).read_bytes() for name in before} == before
    # Another epoch begins at the moved biases, and makes a network whose biases are not moved.
    with pytest.raises(KeyboardInterrupt):
        train(*uneven, run, training_config=config, resume=True, callbacks=[StopAfter(2)])
    assert moved_biases(run) is None
    train(*uneven, run, training_config=dataclasses.replace(config, epochs=2), resume=True)
    assert moved_biases(run) is not None


def test_a_run_that_lost_patience_is_matched_once_and_stays_ended(uneven, tmp_path, no_lessons):
    """With its biases moved the last epoch is the best one; that is no reason to go on."""
    config = dataclasses.replace(MATCHED, epochs=6, patience=2, validation_share=0.25)
    with logged() as notes:
        ended = train(*uneven, tmp_path / "run", model_config=TINY_OF_TWO, training_config=config)
    assert "training ends after epoch 3 of 6: none was better than epoch 1 for 2 epochs (--patience)" in notes
    rows = pd.read_csv(ended.path / layout.HISTORY)
    assert len(rows) == 3
    assert rows["val_loss"].iloc[2] < rows["val_loss"].iloc[1] == rows["val_loss"].iloc[0]
    with logged() as notes:
        assert train(*uneven, ended.path, resume=True).sha256 == ended.sha256
    assert "no epoch is trained: none was better for 2 epochs; --patience none goes on" in notes
    assert len(pd.read_csv(ended.path / layout.HISTORY)) == 3


def test_prevalence_is_matched_where_less_patience_ends_a_stopped_run(uneven, tmp_path, no_lessons):
    config = dataclasses.replace(MATCHED, epochs=6, validation_share=0.25)
    with pytest.raises(KeyboardInterrupt):
        train(*uneven, tmp_path / "run", model_config=TINY_OF_TWO, training_config=config, callbacks=[StopAfter(3)])
    impatient = dataclasses.replace(config, patience=2)
    done = train(*uneven, tmp_path / "run", training_config=impatient, resume=True)
    assert len(pd.read_csv(done.path / layout.HISTORY)) == 3
    np.testing.assert_allclose(*mean_scores_and_shares(done, uneven, config), atol=1e-5)


def test_prevalence_is_matched_only_where_that_means_something():
    for options in ({"keep": "best"}, {"weak": "pool"}):
        with pytest.raises(InputError, match="match_prevalence needs keep = last and weak = broadcast"):
            dataclasses.replace(MATCHED, **options)


@pytest.mark.slow
def test_one_seed_is_one_run_and_another_is_another(finished, data, tmp_path):
    train(*data, tmp_path / "again", model_config=TINY_OF_TWO, training_config=CONFIG)
    assert_same_bits(finished, tmp_path / "again")


KILLED = """
import os, signal, sys
import keras
from genre_classifier.training.train import train
from tests.training.test_train import CONFIG, TINY_OF_TWO

class Kill(keras.callbacks.Callback):
    seen = 0
    def on_train_batch_end(self, batch, logs=None):
        Kill.seen += 1
        if Kill.seen == int(sys.argv[4]):
            os.kill(os.getpid(), signal.SIGKILL)

train(sys.argv[1], sys.argv[2], sys.argv[3], model_config=TINY_OF_TWO, training_config=CONFIG, callbacks=[Kill()])
"""


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_bits(finished, data, tmp_path):
    run = tmp_path / "killed"
    # three steps an epoch: the eighth falls into the third epoch
    command = [sys.executable, "-c", KILLED, *map(str, data), str(run), "8"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr[-2000:]
    assert len(pd.read_csv(run / "history.csv")) == 2
    with logged() as notes:
        train(*data, run, resume=True)
    assert f"{run}: resumed after epoch 2" in notes
    assert_same_bits(finished, run)


@pytest.mark.slow
def test_a_damaged_checkpoint_falls_back_to_the_one_before(finished, data, tmp_path):
    run = tmp_path / "damaged"
    shutil.copytree(finished, run)
    newest = run / "checkpoints" / "epoch_4.keras"
    newest.write_bytes(newest.read_bytes()[:-1000])
    with logged() as notes:
        train(*data, run, resume=True)
    assert any("epoch 4 is damaged" in note for note in notes)
    assert f"{run}: resumed after epoch 3" in notes
    assert_same_bits(finished, run)


def test_a_full_disk_leaves_the_last_checkpoint_good(finished, tmp_path, monkeypatch):
    run = tmp_path / "full"
    shutil.copytree(finished, run)
    model, state = checkpoints.load_checkpoint(run)
    rows = state.rows
    before = sorted(path.name for path in (run / "checkpoints").iterdir())
    assert {"epoch_3.json", "epoch_3.keras", "epoch_4.json", "epoch_4.keras"} <= set(before)

    def no_space(path):
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model, "save", no_space)
    with pytest.raises(WorkError, match=r"epoch_5.keras: could not be written: No space left"):
        checkpoints.save_checkpoint(run, model, [*rows, rows[-1]])
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == before
    assert checkpoints.load_checkpoint(run) is not None


def test_resuming_with_other_options_or_data_is_refused(finished, data, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    with pytest.raises(InputError, match=r"found seed = 9 where it has 5"):
        train(*data, run, training_config=dataclasses.replace(CONFIG, seed=9), resume=True)
    with pytest.raises(InputError, match=r"at least the 4 epochs that are done, found epochs = 3"):
        train(*data, run, training_config=dataclasses.replace(CONFIG, epochs=3), resume=True)
    labels = pd.read_csv(data[1], dtype={"trailer": str})
    labels.loc[0, "genre"] = "action"
    given_again = r"found others\. Options about labels .* given again, as its command in card\.json"
    with pytest.raises(InputError, match=given_again):
        train(data[0], labels, run, resume=True)
    with pytest.raises(InputError, match="the run folder exists"):
        train(*data, run)
    with pytest.raises(InputError, match="expected a run to go on from"):
        train(*data, tmp_path / "none", resume=True)
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before
    assert not (tmp_path / "none").exists()


def test_too_little_memory_is_said_before_anything_is_written(data, tmp_path, monkeypatch):
    monkeypatch.setattr("genre_classifier.network.memory.available_bytes", lambda: 1e6)
    with pytest.raises(WorkError, match=r"needs about \d.\d GB, and 0.0 GB are free: .*larger machine"):
        train(*data, tmp_path / "run", model_config=TINY_OF_TWO)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("config", [None, "{}", '{"schema": 1}', '{"name": "project", "version": "1.0.0"}', "[]"])
def test_only_a_run_folder_is_overwritten(data, tmp_path, config):
    (tmp_path / "thesis.txt").write_text("years of work")
    (tmp_path / "model.keras").write_text("somebody's")
    if config:
        (tmp_path / "config.json").write_text(config)
    with pytest.raises(InputError, match="not deleted"):
        train(*data, tmp_path, overwrite=True)
    assert len(list(tmp_path.iterdir())) == (3 if config else 2)


def test_only_the_files_of_a_run_are_removed(finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    own = [run / "notes.txt", run / "checkpoints" / "best.keras", run / "tensorboard" / "train" / "mine.txt"]
    for path in own:
        path.write_text("mine")
    (run / "folder").mkdir()
    (run / ".7-0123abcd.part.keras").write_text("half a network")
    layout.require_free(run, overwrite=True)
    assert layout.empty_run_folder(run) == ["checkpoints", "folder", "notes.txt", "tensorboard"]
    assert sorted(path for path in run.rglob("*") if path.is_file()) == sorted(own)


@pytest.mark.slow
def test_one_trailer_alone_trains_without_validation(data, tmp_path):
    labels = pd.read_csv(data[1], dtype={"trailer": str})
    config = TrainingConfig(epochs=1, validation_share=0.0, test_share=0.0)
    with logged() as notes:
        one = labels[labels["trailer"] == "0"]
        run = train(
            data[0],
            one,
            tmp_path / "one",
            model_config=dataclasses.replace(TINY, genres=GENRES[:3]),
            training_config=config,
        )
    assert set(run.thresholds.values()) == {0.5}
    assert any("no training trailer shows terror" in note for note in notes)
    assert list(read_splits(run.path / "splits.csv")["split"]) == ["train"]


def test_validation_figures_go_to_their_own_genre(six):
    """Scores known per output: each genre's figure is scikit-learn's for that output, in that order."""
    from sklearn.metrics import average_precision_score

    trailers = load_trailers(*six)
    keras.utils.set_random_seed(1)
    from genre_classifier.network.model import build_model

    model = build_model(TINY)
    figures = validate(score_trailers(model, trailers, CONFIG), CONFIG, TINY)
    scores = np.concatenate(
        [np.concatenate(model.predict(np.load(t.clip)[None], verbose=0), axis=-1)[0] for t in trailers]
    )
    truth = np.concatenate([t.targets for t in trailers])
    for column, genre in enumerate(GENRES):
        expected = average_precision_score(truth[:, column], scores[:, column])
        assert figures[f"val_{genre}_ap"] == pytest.approx(expected, abs=1e-6)
        assert average_precision(truth[:, column] > 0, scores[:, column]) == pytest.approx(expected)
    expected_loss = model_loss_by_hand(truth, scores, trailers)
    assert figures["val_loss"] == pytest.approx(expected_loss, rel=1e-5)


def model_loss_by_hand(truth, scores, trailers) -> float:
    total, start = 0.0, 0
    for trailer in trailers:
        y, p = truth[start : start + 8], scores[start : start + 8]
        start += 8
        if trailer.weak:
            y, p = y[:1], (p**2).sum(axis=0, keepdims=True) / p.sum(axis=0, keepdims=True)
        total += -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean(axis=0).sum()
    return total / len(trailers)


@pytest.mark.slow
def test_the_sequence_serves_a_hand_written_fit(data):
    from genre_classifier.network.model import build_model

    model = build_model(TINY_OF_TWO)
    model.compile("adam", loss=["binary_crossentropy"] * 2)
    result = model.fit(TrailerSequence(load_trailers(*data, genres=TWO), batch_size=2), epochs=2, verbose=0)
    assert np.isfinite(result.history["loss"]).all()


@pytest.mark.slow
def test_epochs_over_mapped_clips_do_not_grow(tmp_path):
    labels = write_clips(tmp_path, [40] * 6, size=96, genres=TWO)  # 40 MB of frames in all
    from genre_classifier.network.model import build_model

    model = build_model(dataclasses.replace(TINY_OF_TWO, rows=96, cols=96, trunk_pools=(4, 2)))
    compile_model(model, CONFIG)
    sequence = TrailerSequence(load_trailers(tmp_path, labels, genres=TWO), weak="pool")
    process, sizes = psutil.Process(), []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            sizes.append(process.memory_info().rss)

    model.fit(sequence, epochs=9, verbose=0, callbacks=[Watch()])
    # A leak of one clip (1.1 MB) per step would be 40 MB over the last 6 epochs.
    assert sizes[-1] - sizes[2] < 27e6


def test_balance_weights_by_hand(six):
    trailers = [t for t in load_trailers(*six) if not t.weak][:1]  # comedy for 4 frames, action for 4
    weights = balance_weights(trailers, TrainingConfig())
    np.testing.assert_allclose(weights[:, 0], [1, 1])
    np.testing.assert_allclose(weights[:, 2], [0.5, 1])  # never shown: 8 / (2 * 8), and 1 where there is no frame


@pytest.mark.parametrize(
    "options", [{}, {"batch_size": 2}, {"crop_frames": 5}, {"crop_frames": 5, "crops_per_epoch": 1}]
)
def test_rows_with_a_genre_and_without_it_count_alike_whatever_their_lengths(tmp_path, options):
    labels = write_clips(tmp_path, [40, 10, 10, 10], weak=(0, 1, 2, 3), genres=TWO)
    labels["genre"] = [TWO[0], TWO[1], TWO[1], TWO[1]]
    config = TrainingConfig(balance=True, weak="broadcast", **options)
    sequence = training_sequence(load_trailers(tmp_path, labels, genres=TWO), config)
    rows, sides = 0, np.zeros((2, 2))  # (genres, without and with it)
    for index in range(len(sequence)):
        _, targets, weights = sequence.batch(index)
        rows += len(weights[0])
        for genre in range(2):
            for target, weight in zip(targets[genre][..., 0], weights[genre], strict=True):
                sides[genre, int(target.max())] += weight.sum() / (weight > 0).sum()  # as the loss takes a row
    np.testing.assert_allclose(sides, rows / 2, rtol=1e-6)


def test_balance_weights_count_the_labelled_part_of_a_trailer(tmp_path):
    labels = write_clips(tmp_path, [40, 12], weak=(0,), genres=TWO)  # the second begins with the other genre
    labels = labels.iloc[:2].assign(checked=[True, False])
    trailers = load_trailers(tmp_path, labels, genres=TWO)
    assert [int(one.labelled.sum()) for one in trailers] == [40, 6]
    np.testing.assert_allclose(balance_weights(trailers, TrainingConfig()), 1)
    unknown = dataclasses.replace(trailers[1], labelled=np.zeros(12, dtype=bool))
    np.testing.assert_allclose(balance_weights([*trailers, unknown], TrainingConfig()), 1)


def test_the_schedule_falls_to_a_hundredth():
    assert learning_rate_at(0, CONFIG) == pytest.approx(1e-2)
    assert learning_rate_at(3, CONFIG) == pytest.approx(1e-4)
    assert learning_rate_at(3, TrainingConfig(epochs=4)) == TrainingConfig().learning_rate


def test_the_kept_epoch_and_the_end_of_patience():
    losses = (1.0, 0.9, 0.7, 0.8)
    rows = [
        {"val_macro_ap": value, "val_loss": loss, "loss": 1.0}
        for value, loss in zip((0.1, 0.4, 0.3, 0.4), losses, strict=True)
    ]
    assert history.best_row(rows, "best") == 3  # as good as the second, at a smaller loss
    assert history.best_row(rows, "loss") == 2
    assert history.should_stop(rows[:3], 1, "best")
    assert not history.should_stop(rows, 1, "best")
    assert history.should_stop(rows, 1, "loss")
    assert not history.should_stop(rows, 2, "loss")
    assert not history.should_stop(rows, None, "loss")
    assert [history.kept_row(rows, keep) for keep in ("best", "loss", "last")] == [3, 2, 3]
    alone = [{"val_macro_ap": np.nan, "val_loss": np.nan, "loss": value} for value in (3.0, 1.0, 2.0)]
    assert history.best_row(alone, "best") == history.best_row(alone, "loss") == 1
    assert not history.should_stop(alone, 1, "best")  # patience is about validation


def planned(tmp_path, trailers: int, **options):
    """Return the options that a plan settles on, and the lines that it says."""
    labels = write_clips(tmp_path / "clips", [8] * trailers)
    with logged() as notes:
        plan = plan_training(
            tmp_path / "clips",
            labels,
            tmp_path / "run",
            model_config=TINY,
            training_config=TrainingConfig(**options),
            splits_file=None,
            skip_unknown=False,
            resume=False,
        )
    return plan.training_config, len(plan.parts["validation"]), "\n".join(notes)


@pytest.mark.parametrize(("exclusive", "settled"), [("yes", "mean"), ("no", "pool")])
def test_pooling_of_genres_that_exclude_each_other_is_by_the_mean(tmp_path, exclusive, settled):
    labels = write_clips(tmp_path / "clips", [8] * 4)
    given = {"model_config": dataclasses.replace(TINY, exclusive=exclusive), "splits_file": None, "skip_unknown": False}
    with logged() as notes:
        plan = plan_training(
            tmp_path / "clips", labels, tmp_path / "run", training_config=TrainingConfig(), resume=False, **given
        )
    assert plan.training_config.weak == settled
    assert ("through the mean of their logits (--weak mean)" in "".join(notes)) == (exclusive == "yes")
    # The options of a run are not changed when it is resumed.
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / layout.CARD).write_text(json.dumps({"data_digest": plan.digest}))
    write_splits(tmp_path / "run" / layout.SPLITS, plan.splits)
    for stored, asked in {("pool", "pool"), (settled, "pool"), (settled, settled)}:
        config = dataclasses.replace(plan.training_config, weak=stored)
        write_config(tmp_path / "run", plan.model_config, config, plan.clip_config)
        again = plan_training(
            tmp_path / "clips",
            labels,
            tmp_path / "run",
            training_config=dataclasses.replace(config, weak=asked),
            resume=True,
            **given,
        )
        assert again.training_config.weak == stored


def test_fewer_than_twenty_trailers_all_learn_and_the_last_epoch_of_a_falling_rate_is_kept(tmp_path):
    config, validation, notes = planned(tmp_path, 19)
    assert (config.validation_share, config.keep, config.schedule, validation) == (0.0, "last", "cosine", 0)
    assert "no validation trailers: the last epoch is kept" in notes


def test_what_is_asked_for_wins_over_the_number_of_trailers(tmp_path):
    config, validation, notes = planned(tmp_path, 12, validation_share=0.25, keep="best")
    assert (config.validation_share, config.keep, config.schedule, validation) == (0.25, "best", "constant", 3)
    assert "validation trailers" not in notes


def test_few_validation_trailers_choose_the_epoch_by_their_loss(tmp_path):
    config, validation, notes = planned(tmp_path, 20)
    assert (config.validation_share, config.keep, config.schedule, validation) == (0.15, "loss", "constant", 3)
    assert "3 validation trailers say little about comedy, action" in notes


def test_enough_validation_trailers_choose_by_the_mean_average_precision(tmp_path):
    config, validation, notes = planned(tmp_path, 24, validation_share=0.5, test_share=0.0)
    assert (config.keep, validation) == ("best", 12)
    assert "say little" not in notes


def test_the_chunk_is_whole_trailers_where_they_fit_and_else_the_largest_that_does(tmp_path, monkeypatch):
    assert planned(tmp_path, 4)[0].chunk is None
    free = training_bytes(TINY, 8, chunk=3) / 0.9 + 1
    assert training_bytes(TINY, 8, chunk=4) > 0.9 * free
    monkeypatch.setattr("genre_classifier.network.memory.available_bytes", lambda: free)
    config, _, notes = planned(tmp_path, 4)
    assert config.chunk == 3
    assert "a step on whole trailers of 8 frames does not fit into memory" in notes


@pytest.mark.slow
def test_a_run_goes_on_with_the_chunk_that_it_began_with(data, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(
            "genre_classifier.network.memory.available_bytes", lambda: training_bytes(TINY_OF_TWO, 8, chunk=4) / 0.9 + 1
        )
        first = dataclasses.replace(CONFIG, epochs=1, chunk="auto", batch_size=1)
        run = train(*data, tmp_path / "made", model_config=TINY_OF_TWO, training_config=first)
    assert run.training_config.chunk == 4
    longer = dataclasses.replace(first, epochs=2)
    assert train(*data, run.path, training_config=longer, resume=True).training_config.chunk == 4


def test_thresholds_of_genres_that_few_trailers_show_stay(tmp_path):
    labels = write_clips(tmp_path / "clips", [8] * 9)
    trailers = load_trailers(tmp_path / "clips", labels)
    rng = np.random.default_rng(4)
    scored = [Scored(one, rng.uniform(0, 0.4, (8, 6)).astype(np.float32)) for one in trailers]
    shown = np.sum([one.genres for one in trailers], axis=0)
    assert {int(count) for count in shown} == {2, 3, 4}
    assert set(calibrate(scored, ModelConfig()).thresholds.values()) == {0.5}
    often = calibrate(scored * 2, ModelConfig())
    enough = {genre for genre, count in zip(GENRES, 2 * shown, strict=True) if count >= 5}
    assert {genre for genre, value in often.thresholds.items() if value != 0.5} == enough
    assert 0 < len(enough) < 6


@pytest.mark.slow
def test_trailers_that_are_not_checked_train_and_judge_nothing(data, tmp_path):
    clips, labels = data
    table = pd.read_csv(labels, dtype={"trailer": str})
    table["checked"] = np.where(table["trailer"].isin(["0", "1", "2"]), "no", "yes")
    table = table[(table["checked"] == "yes") | (table["start"] == 0)]
    table.to_csv(tmp_path / "labels.csv", index=False)
    config = dataclasses.replace(CONFIG, epochs=1, validation_share=0.4, test_share=0.4)
    train(clips, tmp_path / "labels.csv", tmp_path / "run", model_config=TINY_OF_TWO, training_config=config)
    splits = read_splits(tmp_path / "run" / layout.SPLITS).set_index("trailer_id")["split"]
    assert (splits[[0, 1, 2]] == "train").all()
    assert (splits != "train").sum() >= 3
    (tmp_path / "splits.csv").write_text("trailer_id,split\n0,train\n1,test\n3,validation\n")
    with pytest.raises(InputError, match=r"in the split test, found 'trailer_1\.npy', which is not checked"):
        train(
            clips,
            tmp_path / "labels.csv",
            tmp_path / "other",
            model_config=TINY_OF_TWO,
            training_config=config,
            splits_file=tmp_path / "splits.csv",
        )


def test_whether_clips_have_sound_is_no_other_option_of_a_run(tmp_path):
    _refuse_changes(tmp_path, (ClipConfig(sound=False),), (ClipConfig(),))
    with pytest.raises(InputError, match=r"found size = 32 where it has 400"):
        _refuse_changes(tmp_path, (ClipConfig(sound=False),), (ClipConfig(size=32),))


@pytest.mark.slow
def test_a_run_goes_on_from_another_with_more_labels(data, finished, tmp_path):
    clips, labels = data
    config = dataclasses.replace(CONFIG, epochs=1, learning_rate=1e-30)
    with pytest.raises(InputError, match=r"expected the options of the run to start from, found branch_filters = 3"):
        train(
            clips,
            labels,
            tmp_path / "x",
            start=finished,
            model_config=dataclasses.replace(TINY_OF_TWO, branch_filters=3),
        )
    train(clips, labels, tmp_path / "more", training_config=config, start=finished)
    before, after = load_run(finished), load_run(tmp_path / "more")
    for one, other in zip(before.model.trainable_weights, after.model.trainable_weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    old, new = (read_splits(run / layout.SPLITS) for run in (finished, tmp_path / "more"))
    assert old.to_dict() == new.to_dict()
    card = json.loads((tmp_path / "more" / layout.CARD).read_text())
    assert card["started_from"]["model_sha256"] == before.sha256
    judged = old.loc[old["split"] == "test", "trailer_id"].iloc[0]
    other = old.assign(split=old["split"].where(old["trailer_id"] != judged, "train"))
    other.to_csv(tmp_path / "splits.csv", index=False)
    with pytest.raises(InputError, match=f"stay in the split test, found trailer {judged} in train"):
        train(clips, labels, tmp_path / "y", start=finished, splits_file=tmp_path / "splits.csv")
    assert not (tmp_path / "y").exists()


@pytest.mark.slow
def test_splits_of_another_clips_folder_are_those_of_the_same_sources(data, finished, tmp_path):
    clips, labels = data
    old = read_splits(finished / layout.SPLITS)
    renumbered = old.assign(trailer_id=old["trailer_id"].to_numpy()[::-1])
    renumbered.drop(index=renumbered.index[renumbered["split"] == "train"][0]).to_csv(tmp_path / "s.csv", index=False)
    given = {"training_config": dataclasses.replace(CONFIG, epochs=1), "splits_file": tmp_path / "s.csv"}
    with logged() as notes:
        train(clips, labels, tmp_path / "run", model_config=TINY_OF_TWO, **given)
    kept = read_splits(tmp_path / "run" / layout.SPLITS)
    left_out = old.loc[old["split"] == "train", "source"].iloc[0]
    pd.testing.assert_frame_equal(kept, old[old["source"] != left_out].reset_index(drop=True))
    said = f"s.csv: 1 of {len(old)} labelled trailers have no row and are left out, such as {left_out!r}"
    assert any(said in note for note in notes)


def test_what_was_stopped_in_its_first_epoch_begins_again_at_the_run_that_it_went_on_from(
    data, finished, tmp_path, monkeypatch
):
    old, run, begun = tmp_path / "old", tmp_path / "run", []

    def stop(model, *_, **__):
        begun.append([variable.numpy() for variable in (*model.weights, *model.optimizer.variables)])
        raise RuntimeError("stopped")

    monkeypatch.setattr("genre_classifier.training.train.fit_epochs", stop)
    shutil.copytree(finished, old)
    with pytest.raises(RuntimeError, match="stopped"):
        train(*data, run, start=old)
    network, elsewhere = old / layout.MODEL, tmp_path / "elsewhere.keras"
    shutil.move(network, elsewhere)
    put_back = r"; put it back, or train again with --from and --overwrite"
    with pytest.raises(InputError, match=rf"old/model\.keras: expected the network .*, found no such file{put_back}"):
        train(*data, run, resume=True)
    network.write_bytes(b"another")
    with pytest.raises(InputError, match=rf"old/model\.keras: expected the network .*, found another{put_back}"):
        train(*data, run, resume=True)
    shutil.move(elsewhere, network)
    with logged() as notes, pytest.raises(RuntimeError, match="stopped"):
        train(*data, run, resume=True)
    assert f"{run}: no epoch was finished: it begins again at the weights of {old}" in notes
    first, again = begun
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)


def learning_rates(run):
    config = json.loads((run / layout.CONFIG).read_text())["training"]
    return config["learning_rate"], config["warmup_epochs"]


@pytest.mark.slow
def test_going_on_from_a_run_begins_at_a_tenth_of_its_rate(data, finished, tmp_path, monkeypatch):
    seen = []

    class Rates(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(float(self.model.optimizer.learning_rate))

    with logged() as notes:
        first = train(*data, tmp_path / "first", start=finished, callbacks=[Rates()])
    assert learning_rates(first.path) == (pytest.approx(1e-3), 0.5)
    assert "at a learning rate of 0.001, after 0.01 there (--learning-rate)" in "".join(notes)
    steps = len(seen) // CONFIG.epochs
    half, full = -(-steps // 2), learning_rate_at(0, CONFIG) / 10
    expected = [min(1, 2 * (batch + 1) / steps) * full for batch in range(steps)]
    assert half > 1
    np.testing.assert_allclose(seen[:steps], expected, rtol=1e-5)
    np.testing.assert_allclose(seen[steps : 2 * steps], learning_rate_at(1, CONFIG) / 10, rtol=1e-5)

    # What went on at the smaller rate keeps it; a rate that is given counts. The options are written before the work.
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("genre_classifier.training.train.fit_epochs", stop)
    command = ["train", *map(str, data), str(tmp_path / "second"), "--from", str(first.path), "--epochs", "1"]
    assert cli.run(command) == 130
    assert learning_rates(tmp_path / "second") == learning_rates(first.path)
    assert cli.run([*command, "--overwrite", "--learning-rate", "0.02", "--warmup-epochs", "0"]) == 130
    assert learning_rates(tmp_path / "second") == (0.02, 0.0)


@pytest.mark.parametrize("warmup", [0.0, 0.5])
def test_a_run_that_went_on_from_another_hands_on_its_rate_whatever_its_warm_up(tmp_path, warmup):
    config = dataclasses.replace(CONFIG, warmup_epochs=warmup)
    write_config(tmp_path, TINY, config, ClipConfig(size=12))
    card = {"data_digest": "", "started_from": {"run": "old", "model_sha256": ""}}
    (tmp_path / layout.CARD).write_text(json.dumps(card))
    assert going_on(tmp_path) == config
    (tmp_path / layout.CARD).write_text(json.dumps({"data_digest": ""}))  # it began anew
    assert going_on(tmp_path).learning_rate == pytest.approx(CONFIG.learning_rate / 10)
    assert going_on(tmp_path).warmup_epochs == 0.5


@pytest.mark.slow
def test_no_epoch_is_kept_of_clips_that_were_replaced_meanwhile(data, finished, tmp_path):
    clips = Path(shutil.copytree(data[0], tmp_path / "clips"))
    whole = (clips / "trailer_0.npy").read_bytes()

    class Replace(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            (tmp_path / "new.npy").write_bytes(whole)  # another file with the same content: not another clip
            (tmp_path / "new.npy").replace(clips / "trailer_0.npy")
            if epoch == 2:
                shutil.copy(clips / "trailer_1.npy", clips / "trailer_0.npy")

    run = tmp_path / "run"
    with pytest.raises(WorkError, match=r"trailer_0\.npy: expected the clip that the training began with"):
        train(clips, data[1], run, model_config=TINY_OF_TWO, training_config=CONFIG, callbacks=[Replace()])
    assert pd.read_csv(run / layout.HISTORY)["epoch"].tolist() == [1, 2]
    (clips / "trailer_0.npy").write_bytes(whole)
    train(clips, data[1], run, resume=True)
    for found, expected in zip(last_weights(run), last_weights(finished), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("how", ["start", "resume"])
def test_labels_that_no_longer_exclude_each_other_are_said_of_the_run_that_is_gone_on_from(tmp_path, how):
    anew = {"start": "without --from", "resume": "with --overwrite or in another folder"}[how]
    labels, run = write_clips(tmp_path / "clips", [8] * 3, weak=(0, 1, 2)), tmp_path / "run"
    run.mkdir()
    (run / layout.MODEL).write_bytes(b"")  # it is not read so soon
    write_config(run, dataclasses.replace(TINY, exclusive="yes"), CONFIG, ClipConfig(frames=8, size=12))
    (run / layout.CARD).write_text(json.dumps({"data_digest": ""}))
    two = pd.concat([labels, labels.iloc[:1].assign(genre=labels["genre"].iloc[1])])
    expected = (
        rf"run: a run with exclusive = yes needs trailers that show exactly one genre at any time, found "
        rf"\w+, \w+ in 'trailer_0\.npy'; correct its labels, or train anew {anew}$"
    )
    for model_config in (None, dataclasses.replace(TINY, exclusive="auto")):
        with pytest.raises(InputError, match=expected):
            plan_training(
                tmp_path / "clips",
                two,
                tmp_path / "other" if how == "start" else run,
                model_config=model_config,
                training_config=None,
                splits_file=None,
                skip_unknown=False,
                resume=how == "resume",
                start=run if how == "start" else None,
            )


def test_a_run_is_not_trained_from_itself(data, finished, tmp_path, monkeypatch):
    def stop(*_, **__):
        raise RuntimeError("stopped")

    monkeypatch.setattr("genre_classifier.training.train.fit_epochs", stop)
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "link").symlink_to(tmp_path / "run")
    for start in ("run", "link"):
        with pytest.raises(InputError, match=r"run: expected another folder than that of the run to start from, found"):
            train(*data, tmp_path / "run", start=tmp_path / start, overwrite=True)
    assert load_run(tmp_path / "run").sha256 == load_run(finished).sha256
