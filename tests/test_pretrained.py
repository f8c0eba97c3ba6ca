"""A pretrained image network that sees every frame of the clips, with the commands that a user runs."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from genre_classifier import cli
from genre_classifier.config import EncoderConfig
from genre_classifier.network.encoder import build_encoder, check_frames
from genre_classifier.network.encoder_engine import Engine
from genre_classifier.run_folder.run import Run, load_run
from genre_classifier.tagging.scores import read_scores
from genre_classifier.tagging.tag import score_frames
from preprocessing.base.errors import InputError
from preprocessing.clips import load_clip
from tests.support.tiny_encoder import write_encoder

pytestmark = pytest.mark.slow

SMALL = [
    "--trunk-filters",
    "2,2",
    "--branch-filters",
    "2",
    "--dense-units",
    "4",
    "--reduced-channels",
    "3,4",
    "--motion-size",
    "8",
    "--batch-size",
    "5",  # one shape of batches: each is traced
    "--crop-frames",
    "12",
    "--genres",
    "drama,western",
    "--no-linear-paths",
    "--encoder-fps",
    "none",
    "--encoder-cells",
    "2",
    "--zoom",
    "0",
    "--exclusive",
    "no",
]


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Return a folder with videos, clips, labels, an encoder and a run of two epochs."""
    work = tmp_path_factory.mktemp("work")
    write_encoder(work / "tiny.keras")
    commands = [
        ["synthesize", f"{work}/videos", "--trailers", "5", "--duration", "4", "--genres", "drama,western"],
        ["preprocess", f"{work}/videos", f"{work}/clips", "--frames", "24", "--size", "20", "--jobs", "2"],
        [
            "train",
            f"{work}/clips",
            f"{work}/videos/labels.csv",
            f"{work}/run",
            "--preset",
            "pretrained",
            "--encoder",
            f"{work}/tiny.keras",
            "--epochs",
            "2",
            *SMALL,
        ],
    ]
    for command in commands:
        assert cli.run(command) == 0, command
    return work


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.npy")}


def test_a_run_holds_its_encoder_and_can_be_moved(work, tmp_path):
    shutil.copytree(work / "run", tmp_path / "moved")
    run = load_run(tmp_path / "moved")
    assert run.model_config.encoder == f"{work}/tiny.keras"
    assert run.encoder.digest == run.model_config.encoder_digest
    assert (work / "clips" / "encoded" / run.encoder.output_digest[:16] / "trailer_0.npy").is_file()
    clip = load_clip(work / "clips" / "trailer_0.npy")
    scores = score_frames(run, clip)
    assert scores.shape == (len(clip), 2)
    for chunk in (1, 7, 1000):
        np.testing.assert_allclose(score_frames(run, clip, chunk=chunk), scores, atol=1e-5)


def test_a_video_gets_the_scores_of_its_clip(work, tmp_path):
    assert cli.run(["tag", f"{work}/run", f"{work}/videos/trailer_001.mp4", "--out", str(tmp_path)]) == 0
    found = read_scores(tmp_path / "trailer_001" / "scores.csv")
    expected = score_frames(load_run(work / "run"), load_clip(work / "clips" / "trailer_1.npy"))
    np.testing.assert_allclose(found.to_numpy(), expected, atol=1e-5)


def test_a_resumed_run_is_the_uninterrupted_one(work, tmp_path):
    before = bytes_of(next((work / "clips" / "encoded").iterdir()))
    files = [f"{work}/clips", f"{work}/videos/labels.csv"]
    train = ["train", *files, "--preset", "pretrained", "--encoder", f"{work}/tiny.keras", *SMALL]
    assert cli.run([*train[:3], f"{tmp_path}/whole", *train[3:], "--epochs", "3", "--schedule", "constant"]) == 0
    assert (
        cli.run(
            [
                *train[:3],
                f"{tmp_path}/parts",
                *train[3:],
                "--epochs",
                "1",
                "--schedule",
                "constant",
                "--no-match-prevalence",
            ]
        )
        == 0
    )
    assert cli.run(["train", *files, f"{tmp_path}/parts", "--resume", "--epochs", "3"]) == 0
    whole, parts = (pd.read_csv(tmp_path / name / "history.csv")["loss"] for name in ("whole", "parts"))
    np.testing.assert_array_equal(whole, parts)
    assert bytes_of(next((work / "clips" / "encoded").iterdir())) == before


def test_the_report_compares_with_the_encoder_alone(work, tmp_path, capsys):
    labels = f"{work}/videos/labels.csv"
    out = str(tmp_path / "report")
    assert (
        cli.run(["evaluate", f"{work}/run", f"{work}/clips", labels, "--out", out, "--split", "all", "--draws", "20"])
        == 0
    )
    assert "The encoder alone" in capsys.readouterr().out
    scored = json.loads((tmp_path / "report" / "scores" / "evaluation.json").read_text())["baselines"]
    assert {"pictures_frames", "pictures_trailers", "all_frames", "all_trailers"} < set(scored)
    assert (tmp_path / "report" / "scores" / "all_trailers" / "scores_0.csv").is_file()
    assert cli.run(["evaluate", "--scores", out, labels, "--out", f"{out}2", "--draws", "20"]) == 0


def test_another_encoder_in_the_run_is_refused(work, tmp_path, capsys):
    shutil.copytree(work / "run", tmp_path / "run")
    other = write_encoder(tmp_path / "other.keras", seed=9)
    every = ["--encoder-fps", "none", "--encoder-cells", "2", "--motion-size", "8"]
    assert cli.run(["encode", f"{work}/clips", "--encoder", str(other), *every, "--jobs", "1"]) == 0
    folder = Path(capsys.readouterr().out.split(": ")[0])
    shutil.copy(folder / "encoder.keras", tmp_path / "run" / "encoder.keras")
    with pytest.raises(InputError, match="expected the encoder that config"):
        _ = load_run(tmp_path / "run").encoder
    shutil.rmtree(folder)


def test_another_encoder_in_the_run_is_refused_where_its_own_was_converted_before(work, tmp_path, monkeypatch):
    pytest.importorskip("openvino")
    shutil.copytree(work / "run", tmp_path / "run")

    def run():
        return dataclasses.replace(load_run(tmp_path / "run"), wanted_engine=Engine("openvino", "float32"))

    frames = check_frames((1, 3, 20, 20))
    expected = run().eye.encode(frames)
    with monkeypatch.context() as patch:
        patch.setattr(Run, "encoder", property(lambda self: pytest.fail("read by Keras")))
        np.testing.assert_array_equal(run().eye.encode(frames), expected)
    own = tmp_path / "run" / "encoder.keras"
    other = EncoderConfig(encoder=str(write_encoder(tmp_path / "other.keras", seed=9)), encoder_engine="keras")
    build_encoder(other, 20, 20).save(own)
    with pytest.raises(InputError, match=r"encoder\.keras: expected the encoder that config\.json beside it names"):
        _ = run().eye
    own.unlink()
    with pytest.raises(InputError, match=r"encoder\.keras: expected .* found"):
        _ = run().eye


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--encoder", "nowhere.keras"], "nowhere.keras: expected an image network (.keras), found no such file"),
        (["--encoder", "Nothing"], "expected a .keras file, or a name of keras.applications"),
        (["--zoom", "0.1"], "zoom must be 0 with an encoder"),
        (["--motion-size", "7"], "motion_size must be a multiple of encoder_cells = 2, got 7"),
    ],
)
def test_what_cannot_work_is_refused_in_a_line(work, tmp_path, capsys, options, expected):
    command = [
        "train",
        f"{work}/clips",
        f"{work}/videos/labels.csv",
        f"{tmp_path}/run",
        "--preset",
        "pretrained",
        "--encoder",
        f"{work}/tiny.keras",
        *SMALL,
        *options,
    ]
    assert cli.run(command) == 2
    message = capsys.readouterr().err
    errors = [line for line in message.splitlines() if line.startswith("genre-classifier:")]
    assert len(errors) == 1
    assert expected in errors[0]
    assert not (tmp_path / "run").exists()


def test_a_run_that_is_gone_on_from_brings_its_encoder(work, tmp_path):
    start = Path(shutil.copytree(work / "run", tmp_path / "start"))
    config = json.loads((start / "config.json").read_text())
    config["model"]["encoder"] = str(tmp_path / "gone.keras")  # as on another machine
    (start / "config.json").write_text(json.dumps(config))
    command = [
        "train",
        str(work / "clips"),
        str(work / "videos" / "labels.csv"),
        str(tmp_path / "better"),
        "--from",
        str(start),
    ]
    assert cli.run([*command, "--epochs", "1"]) == 0
    assert load_run(tmp_path / "better").encoder.digest == load_run(start).encoder.digest
