"""The run folder: whole after a kill at any moment, its own files alone removed, damage told in one line."""

from __future__ import annotations

import io
import json
import shutil
import time
import zipfile
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from genre_classifier.config import TrainingConfig
from genre_classifier.dataset.splits import read_splits
from genre_classifier.evaluation.scoring import _note_other_preprocessing
from genre_classifier.genres import GENRES
from genre_classifier.metrics.calibration import fit_calibration
from genre_classifier.run_folder import card, checkpoints, layout, model_file
from genre_classifier.run_folder.run import load_run, read_thresholds, write_config, write_thresholds
from genre_classifier.training import epochs
from genre_classifier.training.validation import Scored
from preprocessing.base.errors import InputError, WorkError
from preprocessing.clips import write_clip_config
from preprocessing.config import ClipConfig
from tests.support.notes import logged
from tests.support.tiny_encoder import write_huge
from tests.support.tiny_run import make_run
from tests.support.trailers import TINY

CONFIG = TrainingConfig(epochs=3, seed=5)
PARTS: dict[str, tuple[()]] = {"train": (), "validation": ()}
QUALITY = {1: 0.3, 2: 0.0, 3: 0.6}  # of the scores after each epoch: the second is worse than the first


class Network:
    """Stands for a network in what matters to files: saved, read again, told from another, scored.

    The training itself is not what is tested here, and would take minutes.
    """

    weights = ()
    input_shape = (None, None, 3, 12, 12)
    config = TINY

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
    trailer = SimpleNamespace(targets=TARGETS, labelled=TARGETS[:, 0] >= 0, weak=False)
    trailer.genres = np.full(len(GENRES), 5)  # as many trailers of each as a threshold takes
    return [Scored(trailer, scores)]


@pytest.fixture
def networks(monkeypatch):
    """Put `Network` in the place of the real ones."""
    monkeypatch.setattr(epochs, "score_trailers", score_network)
    monkeypatch.setattr(checkpoints, "read_model", read_network)
    monkeypatch.setattr(model_file, "read_model", read_network)


def start(run: Path) -> None:
    """Write what a training writes before its first epoch."""
    run.mkdir()
    write_config(run, TINY, CONFIG, ClipConfig(size=12))
    card.write_card(run, card.new_card(command="train", seed=5, data_digest="", parts={}))


def go_on(run: Path) -> None:
    """Do what a training does after each epoch, from the last finished one on."""
    loaded = checkpoints.load_checkpoint(run)
    rows, kept = [], None
    if loaded:
        rows, kept = loaded[1].rows, epochs.recover(run, *loaded, (), CONFIG, TINY)
    keeper = epochs.EpochKeeper(
        run, parts=PARTS, config=CONFIG, rows=rows, kept=kept, started=time.monotonic(), model_config=TINY
    )
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
            (Path, "replace"),
            (Path, "unlink"),
            (Path, "mkdir"),
            (Path, "write_bytes"),
            (shutil, "copyfile"),
            (Path, "write_text"),
            (Path, "rmdir"),
        ):
            monkeypatch.setattr(owner, name, self._counted(getattr(owner, name)))

    def _counted(self, real):
        def step(*args, **kwargs):
            if self.steps >= self._last:
                raise Killed
            self.steps += 1
            return real(*args, **kwargs)

        return step


@pytest.mark.slow
def test_killed_between_any_two_steps_a_run_is_whole_and_goes_on_to_the_same_end(networks, tmp_path, monkeypatch):
    """The network, its thresholds and the history belong together at every moment."""
    fitted = {n: fit_calibration(TARGETS, score_network(Network(n), (), CONFIG)[0].scores, GENRES) for n in QUALITY}
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
            found = load_run(run)
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
    one, two = load_run(run), load_run(other)
    assert one.model.number == two.model.number == 3
    assert (one.thresholds, one.temperatures) == (two.thresholds, two.temperatures)
    assert json.loads((run / "card.json").read_text())["kept_epoch"] == 3
    histories = [pd.read_csv(folder / "history.csv").drop(columns="seconds") for folder in (run, other)]
    pd.testing.assert_frame_equal(*histories, check_exact=True)
    layout.clean(run)
    names = [sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) for folder in (run, other)]
    assert names[0] == names[1]


# --- damage ----------------------------------------------------------------------------------------------------------


def one_line(caught: pytest.ExceptionInfo[BaseException]) -> str:
    """Return the message, which must fit a line of a terminal."""
    text = str(caught.value)
    assert text.isprintable(), text
    assert len(text) < 400
    return text


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return a run with a checkpoint, with real networks, untrained."""
    import keras

    from genre_classifier.training.train import compile_model

    run = make_run(tmp_path_factory.mktemp("damage") / "run")
    model = keras.saving.load_model(run / "model.keras")
    compile_model(model, CONFIG)
    calibration, _ = read_thresholds(run / "thresholds.json", GENRES)
    assert checkpoints.save_checkpoint(run, model, [{"loss": 1.0}], calibration=calibration).epoch == 1
    card.write_card(run, card.new_card(command="train", seed=5, data_digest="", parts={}))
    return run


@pytest.fixture
def run(whole, tmp_path):
    """Return a copy to damage."""
    return Path(shutil.copytree(whole, tmp_path / "run"))


def flipped(path: Path, share: float) -> None:
    data = bytearray(path.read_bytes())
    data[int(share * len(data))] ^= 16
    path.write_bytes(data)


@pytest.mark.parametrize(
    "share",
    [
        pytest.param(share, marks=pytest.mark.slow if number % 5 else ())
        for number, share in enumerate(np.linspace(0.01, 0.99, 12).round(2))
    ],
)
def test_a_flipped_bit_in_a_network_is_a_line(run, share):
    """Or nothing, where it says nothing: dates, padding."""
    whole, message = load_run(run).model.get_weights(), ""
    flipped(run / "model.keras", share)
    try:
        weights = load_run(run).model.get_weights()
    except InputError as error:
        message = str(error)
    if message:
        assert message.startswith(f"{run / 'model.keras'}: expected a model of this version")
        assert message.isprintable()
        assert len(message) < 400
    else:
        assert all(np.array_equal(*pair) for pair in zip(whole, weights, strict=True))
    flipped(layout.network_path(run, 1), share)
    with logged() as notes:
        assert checkpoints.load_checkpoint(run) is None
    assert "expected the network of this epoch, by its digest" in notes[0]


def with_member(path: Path, name: str, content: bytes) -> None:
    with zipfile.ZipFile(path) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in (members | {name: content}).items():
            archive.writestr(member, data)


def with_weights(path: Path, value: float) -> None:
    import keras

    model = keras.saving.load_model(path)
    model.set_weights([np.full_like(weight, value) for weight in model.get_weights()])
    model.save(path)


def with_array(path: Path, shape: tuple[int, ...]) -> None:
    """Add an array of which nothing is stored, so that it is zeros when it is read."""
    import h5py

    with zipfile.ZipFile(path) as archive:
        weights = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(weights, "a") as file:
        file.create_dataset("more", shape, "float32", chunks=True, compression="gzip")
    with_member(path, "model.weights.h5", weights.getvalue())


def other_size(path: Path) -> None:
    from genre_classifier.network.model import build_model

    build_model(TINY).save(path)


DEEP = "[" * 100_000 + "]" * 100_000
NETWORKS = {
    "cut short": (lambda path: path.write_bytes(path.read_bytes()[:-100]), "File is not a zip file"),
    "empty": (lambda path: path.write_bytes(b""), "File is not a zip file"),
    "text": (lambda path: path.write_text("words"), "File is not a zip file"),
    "nested": (lambda path: with_member(path, "config.json", DEEP.encode()), "recursion"),
    "no JSON": (lambda path: with_member(path, "config.json", b"\xff{"), "decode"),
    "another program's": (lambda path: with_member(path, "config.json", b"{}"), "found"),
    "no weights": (lambda path: with_member(path, "model.weights.h5", b""), "found"),
    "3 GB in 3 MB": (lambda path: with_member(path, "more", bytes(200_000_000)), "unpacks to 200 MB, where"),
    "4 GB in nothing": (lambda path: with_array(path, (1000, 1000, 1000)), "weights '/more' of (1000, 1000, 1000)"),
    "NaN": (lambda path: with_weights(path, np.nan), "found weights that are not finite numbers (trunk_1/"),
    "infinity": (lambda path: with_weights(path, np.inf), "found weights that are not finite numbers (trunk_1/"),
    "other frames": (other_size, "expected a network for frames of 3x16x16, as config.json"),
}


def described(path: Path, **fields: object) -> None:
    with zipfile.ZipFile(path) as archive:
        document = json.loads(archive.read("config.json"))
    document["config"]["config"] |= fields
    with_member(path, "config.json", json.dumps(document).encode())


@pytest.mark.parametrize("both", [False, True])
def test_a_network_too_large_is_refused_before_it_is_made(run, both, monkeypatch):
    monkeypatch.setattr("keras.saving.load_model", lambda *_, **__: pytest.fail("it was made"))
    described(run / "model.keras", branch_filters=100_000)
    if both:
        document = json.loads((run / "config.json").read_text())
        document["model"]["branch_filters"] = 100_000
        (run / "config.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"model\.keras: .* found the description of one of \d+ MB, more than"):
        _ = load_run(run).model


def test_a_large_network_of_another_kind_is_refused_before_it_is_made(run, monkeypatch):
    monkeypatch.setattr("keras.saving.load_model", lambda *_, **__: pytest.fail("it was made"))
    write_huge(run / "model.keras")
    with pytest.raises(InputError, match=r"model\.keras: .* found the description of one of 1480000 MB, more than"):
        _ = load_run(run).model


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_damaged_network_is_a_line(run, kind, monkeypatch):
    damage, expected = NETWORKS[kind]
    damage(run / "model.keras")
    if kind.startswith("3 GB"):
        monkeypatch.setattr("keras.saving.load_model", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(InputError) as caught:
        _ = load_run(run).model
    assert expected in one_line(caught)


def test_a_network_replaced_while_it_is_used_is_not_taken_for_the_one_before(run):
    loaded = load_run(run)
    with_weights(run / "model.keras", 0.5)
    with pytest.raises(InputError, match="expected the run of a moment ago"):
        _ = loaded.model


def read_checkpoint(run: Path) -> None:
    with logged() as notes:
        found = checkpoints.load_checkpoint(run)
    if found is None:
        raise InputError(notes[0])


READERS = {
    "config.json": load_run,
    "thresholds.json": load_run,
    "card.json": card.read_card,
    "checkpoints/epoch_1.json": read_checkpoint,
    "splits.csv": lambda run: read_splits(run / "splits.csv"),
}
KEYS = ("genres", "model", "training", "preprocessing", "sha256", "history", "kept", "data_digest")
TEXTS = {
    "nested": DEEP,
    "words": "words",
    "nothing": "",
    "a list": "[1]",
    "a null": "null",
    "no keys": '{"schema": 1}',
    "another schema": '{"schema": "1\\u001b[0m"}',
    "keys of no use": json.dumps({"schema": 1} | {key: [1] for key in KEYS}),
    "a number that is none": '{"schema": 1, "data_digest": "", "seconds": NaN}',
    "binary": "\0\1\2",
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("text", TEXTS)
def test_a_damaged_file_of_a_run_is_a_line(run, name, text):
    (run / name).write_text(TEXTS[text])
    with pytest.raises(InputError) as caught:
        READERS[name](run)
    assert Path(name).name in one_line(caught) or "epoch 1" in str(caught.value)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("one", "found 'one'"),
        ("", "found ''"),
        ("nan", "found 'nan'"),
        ("1e999", "found '1e999'"),
        ("-1", "found '-1'"),
        ("1.5", "found '1.5'"),
        ("99999999999999999999", "found '9999"),
    ],
)
def test_an_id_that_is_none_in_splits_is_a_line(tmp_path, cell, expected):
    (tmp_path / "splits.csv").write_text(f"trailer_id,split\n0,train\n{cell},train\n")
    with pytest.raises(InputError) as caught:
        read_splits(tmp_path / "splits.csv")
    assert "row 3: expected a whole number" in one_line(caught)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", 0),
        ("temperature", -1),
        ("temperature", "inf"),
        ("temperature", "nan"),
        ("temperature", None),
        ("threshold", "nan"),
        ("threshold", 1.5),
        ("threshold", -0.1),
        ("threshold", "much"),
    ],
)
def test_a_calibration_that_is_none_is_refused(run, name, value):
    document = json.loads((run / "thresholds.json").read_text())
    document["genres"]["terror"][name] = value
    (run / "thresholds.json").write_text(json.dumps(document))
    with pytest.raises(InputError) as caught:
        load_run(run)
    assert f"as 'genres.terror.{name}'" in one_line(caught)


def test_a_run_whose_network_and_preprocessing_differ_is_refused(run):
    document = json.loads((run / "config.json").read_text())
    document["preprocessing"]["size"] = 48
    (run / "config.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match="expected one size of frames, found 16 for the network and 48 from preproc"):
        load_run(run)


def test_thresholds_of_another_network_are_refused_unless_a_person_says_so(run):
    calibration, of = read_thresholds(run / "thresholds.json", GENRES)
    assert of is None  # by hand
    write_thresholds(run / "thresholds.json", *calibration, model_sha256="0" * 64)
    with pytest.raises(InputError, match=r"expected the thresholds of model.keras beside it, found those of another"):
        load_run(run)
    write_thresholds(run / "thresholds.json", *calibration)
    assert load_run(run).temperatures == calibration.temperatures


@pytest.mark.slow
def test_weights_that_run_away_end_the_training_and_are_not_kept(networks, tmp_path, monkeypatch):
    start(tmp_path / "run")
    go_on(tmp_path / "run")
    before = sorted((tmp_path / "run").rglob("*"))
    monkeypatch.setattr(model_file, "not_finite", lambda model: "trunk_1/kernel")
    keeper = epochs.EpochKeeper(
        tmp_path / "run", parts=PARTS, config=CONFIG, rows=[], kept=None, started=time.monotonic(), model_config=TINY
    )
    keeper.set_model(Network(1))
    keeper.on_epoch_begin(0)
    with pytest.raises(WorkError, match=r"after epoch 1 the weights are not finite numbers \(trunk_1/kernel\)"):
        keeper.on_epoch_end(0, {"loss": np.nan})
    assert sorted((tmp_path / "run").rglob("*")) == before


def test_clips_made_otherwise_are_said(run, tmp_path):
    with logged() as notes:
        _note_other_preprocessing(load_run(run), tmp_path)  # by hand: nothing is known
        write_clip_config(tmp_path, ClipConfig(frames=40, size=16, sound=False))  # the pictures are the same
        _note_other_preprocessing(load_run(run), tmp_path)
        assert notes == []
        write_clip_config(tmp_path, ClipConfig(frames=40, size=16, fps=8.0, fit="crop"))
        _note_other_preprocessing(load_run(run), tmp_path)
    (note,) = notes
    assert note.endswith("fps 8.0, not None; fit crop, not stretch")
