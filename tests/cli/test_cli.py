"""The command line as a whole: help, exit codes, one-line messages, nothing half-written."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from genre_classifier import cli
from genre_classifier.cli import COMMANDS, group
from genre_classifier.config import PRESETS, ModelConfig, TrainingConfig
from genre_classifier.run_folder.run import read_config
from tests.support.tiny_run import make_run
from tests.support.trailers import write_clips

ROOT = Path(__file__).parents[2]


def test_help_loads_nothing_heavy():
    code = (
        "import sys\n"
        "from genre_classifier.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as stop:\n    assert stop.code == 0\n"
        "heavy = {'tensorflow', 'keras', 'pandas', 'cv2', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_ctrl_c_while_the_command_line_is_imported_is_a_line():
    code = (
        "import sys\n"
        "from genre_classifier.__main__ import main\n"
        "class Interrupted:\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'click':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupted())\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "genre-classifier: stopped\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example_and_a_place_in_the_readme(name):
    shown = CliRunner().invoke(group, [name, "--help"])
    assert shown.exit_code == 0
    assert f"\n    genre-classifier {name} " in shown.output, "an example on a line of its own"
    assert f"genre-classifier {name}" in (ROOT / "README.md").read_text()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("work")
    labels = write_clips(path / "clips", [4, 4, 4])
    labels.to_csv(path / "labels.csv", index=False)
    (path / "unknown_genre.csv").write_text("trailer,start,end,genre\n0,0,1,western movie\n")
    (path / "unknown_trailer.csv").write_text("trailer,start,end,genre\nnone.mp4,0,1,action\n")
    (path / "backwards.csv").write_text("trailer,start,end,genre\n0,2,1,action\n")
    (path / "text.csv").write_text("trailer,start,end,genre\n0,soon,1,action\n")
    (path / "empty").mkdir()
    (path / "no_video.mp4").write_text("these are words")
    make_run(path / "run")
    for name, array in (("shape", np.zeros((4, 12, 12, 3), np.uint8)), ("dtype", np.zeros((4, 3, 12, 12), np.float32))):
        write_clips(path / name, [4, 4, 4])
        np.save(path / name / "trailer_1.npy", array)
    return path


BAD = {
    "missing folder": ("preprocess nowhere out", "nowhere: expected a folder"),
    "empty folder": ("preprocess empty out", "empty: expected"),
    "unknown genre": ("train clips unknown_genre.csv out", "unknown_genre.csv, row 2: expected a genre"),
    "unknown trailer": ("train clips unknown_trailer.csv out", "'none.mp4'"),
    "end before start": ("train clips backwards.csv out", "backwards.csv, row 2: expected an end after its start"),
    "text for seconds": ("train clips text.csv out", "text.csv, row 2: expected seconds, found 'soon'"),
    "wrong shape": ("train shape labels.csv out", "trailer_1.npy: expected a clip of uint8"),
    "wrong dtype": ("train dtype labels.csv out", "trailer_1.npy: expected a clip of uint8"),
    "missing labels": ("train clips none.csv out", "none.csv: expected a label table"),
    "missing clips": ("train none labels.csv out", "none: expected"),
    "run without a model": ("tag clips no_video.mp4 --out out", "clips: expected a run folder"),
    "evaluate without a run": ("evaluate none clips labels.csv --out out", "none: expected a run folder"),
    "no video": ("tag run no_video.mp4 --out out", "no_video.mp4: expected a video"),
    "missing video": ("tag run missing.mp4 --out out", "missing.mp4: expected"),
    "unknown option": ("train clips labels.csv out --epoch 3", "--epoch"),
    "bad option value": ("train clips labels.csv out --epochs 0", "--epochs must be at least 1, got 0"),
    "too small for the network": ("train clips labels.csv out --trunk-pools 9,9", "12x12 are too small"),
    "negative seed": ("train clips labels.csv out --seed -1", "--seed must be from 0 to 4294967295, got -1"),
    "seed of 33 bits": ("train clips labels.csv out --seed 4294967296", "--seed must be from 0 to 4294967295"),
    "no kernel": ("train clips labels.csv out --kernel-size 0", "--kernel-size must be from 1 to 31 pixels, got 0"),
    "huge kernel": ("train clips labels.csv out --kernel-size 999", "--kernel-size must be from 1 to 31 pixels"),
    "endless decay": ("train clips labels.csv out --weight-decay inf", "--weight-decay must be at least 0 and below"),
    "neither number nor none": (
        "train clips labels.csv out --patience nun",
        "--patience must be a whole number of at least 1, or none; got 'nun'",
    ),
    "none where a number must be": (
        "train clips labels.csv out --epochs none",
        "--epochs must be a whole number of at least 1; got 'none'",
    ),
    "a file for a run folder": ("train clips labels.csv labels.csv --overwrite", "expected a folder to write a run to"),
    "endless trailers": (
        "synthesize out --duration inf",
        "--duration must be above 0 and at most 86400 seconds, got inf",
    ),
    "trailers of no length": (
        "synthesize out --duration nan",
        "--duration must be above 0 and at most 86400 seconds, got nan",
    ),
    "trailers shorter than a shot": ("synthesize out --duration 2", "duration must be at least 3 seconds, got 2"),
    "no trailers": ("synthesize out --trailers 0", "--trailers must be from 1 to 100000, got 0"),
    "fewer trailers than none": ("synthesize out --trailers -1", "--trailers must be from 1 to 100000, got -1"),
    "negative seed of trailers": ("synthesize out --seed -1", "--seed must be from 0 to 4294967295, got -1"),
    "a file for a trailers folder": ("synthesize labels.csv", "labels.csv: expected a folder to write trailers to"),
    "negative seed of the demo": ("demo --out out --seed -1", "--seed must be from 0 to 4294967295, got -1"),
    "resume with a preset": ("train clips labels.csv out --resume --preset article", "leave --preset out"),
    "unknown command": ("tran clips", "tran"),
    "labels of no known ending": ("labels labels.csv out.xml", "out.xml: expected a file ending"),
}


@pytest.mark.parametrize("case", sorted(BAD))
def test_a_mistake_gets_one_line_and_exit_code_2(folder, case, monkeypatch, capsys):
    arguments, expected = BAD[case]
    monkeypatch.chdir(folder)
    before = sorted(folder.rglob("*"))
    assert cli.run(arguments.split()) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert "Traceback" not in error
    message = [line for line in error.splitlines() if line.startswith("genre-classifier: ")]
    assert len(message) <= 1
    after = [path for path in folder.rglob("*") if path.is_file()]
    assert sorted(after) == [path for path in before if path.is_file()], "something half-written stayed behind"


@pytest.mark.slow
def test_a_preset_is_where_options_start_from(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    sizes = ["--trunk-filters", "2,2", "--branch-filters", "2", "--epochs", "1"]
    run = tmp_path / "run"
    assert cli.run(["train", "clips", "labels.csv", str(run), "--preset", "small-data", *sizes]) == 0
    model, training, _ = read_config(run)
    preset = PRESETS["small-data"]
    assert model == dataclasses.replace(preset.model, rows=12, cols=12, trunk_filters=(2, 2), branch_filters=2)
    assert training == dataclasses.replace(preset.training, epochs=1, chunk=None)  # whole trailers fit
    # As typed, also where another program gives the command line, such as the demo.
    card = json.loads((run / "card.json").read_text())
    assert card["command"] == f"genre-classifier train clips labels.csv {run} --preset small-data {' '.join(sizes)}"
    assert cli.run(["train", "clips", "labels.csv", str(run), "--resume", "--seed", "1"]) == 2
    assert "expected the options of the run to resume, found seed = 1" in capsys.readouterr().err


def test_the_article_is_the_default():
    assert PRESETS["article"].model == ModelConfig()
    assert PRESETS["article"].training == TrainingConfig()


def test_debug_shows_the_traceback(folder, monkeypatch):
    monkeypatch.chdir(folder)
    with pytest.raises(ValueError, match="expected an end after its start"):
        cli.run(["train", "clips", "backwards.csv", "out", "--debug"])
