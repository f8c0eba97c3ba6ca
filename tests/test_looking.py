"""An encoder that looks at the videos themselves, from the videos to the report, with the commands that a user runs."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from genre_classifier import cli
from genre_classifier.dataset.encoding import looks_folder
from genre_classifier.dataset.looks import open_looks
from genre_classifier.dataset.trailers import open_inputs
from genre_classifier.network.encoder_engine import KERAS, choose_engine
from genre_classifier.run_folder.run import Run, load_run
from genre_classifier.tagging.scores import read_scores
from genre_classifier.tagging.tag import score_frames, tag_trailer
from preprocessing.base.errors import InputError
from preprocessing.clips import load_clip, load_times
from tests.support.media import flat_frames, write_media
from tests.support.tiny_encoder import write_encoder

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_plots")]

SMALL = [
    "--trunk-filters",
    "2,2",
    "--branch-filters",
    "2",
    "--dense-units",
    "4",
    "--batch-size",
    "7",
]  # one shape of batches: each is traced
CROPS = ["--crop-frames", "12", "--path-components", "4,3"]
GENRES = ["--genres", "drama,western"]
PRESET = ["--preset", "pretrained", "--test-share", "0", *SMALL, *CROPS, *GENRES, "--encoder"]


def run(*command, code=0):
    assert cli.run([str(part) for part in command]) == code, command


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Return a folder with videos, one of a single frame, clips, labels, an encoder and a run of two epochs."""
    work = tmp_path_factory.mktemp("work")
    write_encoder(work / "tiny.keras")
    run("synthesize", work / "videos", "--trailers", 6, "--duration", 3, *GENRES)
    write_media(work / "videos" / "short.mkv", flat_frames(1))
    run("preprocess", work / "videos", work / "clips", "--fps", 8, "--frames", 1000, "--size", 16, "--jobs", 2)
    names = [f"trailer_{number:03}.mp4" for number in range(6)]
    shown = pd.read_csv(work / "videos" / "labels.csv")
    one = [(name, "drama" if number % 2 else "western") for number, name in enumerate(names)] + [("short.mkv", "drama")]
    pd.DataFrame(one, columns=["trailer", "genre"]).to_csv(work / "one.csv", index=False)
    assert set(names) <= set(shown["trailer"])
    run("train", work / "clips", work / "one.csv", work / "run", *PRESET, work / "tiny.keras", "--epochs", 2)
    return work


def inputs_of(work, number):
    clip, times = work / "clips" / f"trailer_{number}.npy", load_times(work / "clips" / f"times_{number}.npy")
    looks = next((work / "clips" / "encoded").glob("*_2")) / clip.name
    return open_inputs(clip, times, looks=looks)


def test_scores_do_not_depend_on_how_a_clip_is_cut_and_sum_to_one(work):
    run_of = load_run(work / "run")
    assert run_of.model_config.one_genre_per_frame
    expected = score_frames(run_of, inputs_of(work, 0))
    np.testing.assert_allclose(expected.sum(axis=1), 1, atol=1e-5)
    for chunk in (1, 7):
        np.testing.assert_allclose(score_frames(run_of, inputs_of(work, 0), chunk=chunk), expected, atol=1e-5)
    with pytest.raises(InputError, match="expected frames and features of pictures"):
        score_frames(run_of, load_clip(work / "clips" / "trailer_0.npy"))


@pytest.mark.parametrize("name", ["trailer_001.mp4", "short.mkv"])
def test_a_video_gets_the_scores_of_its_clip_and_looks(work, tmp_path, name):
    run("tag", work / "run", work / "videos" / name, "--out", tmp_path)
    found = read_scores(tmp_path / name.split(".")[0] / "scores.csv")
    manifest = pd.read_csv(work / "clips" / "manifest.csv")
    number = int(manifest.loc[manifest["source"] == name, "trailer_id"].iloc[0])
    np.testing.assert_allclose(found, score_frames(load_run(work / "run"), inputs_of(work, number)), atol=1e-5)


def test_maps_that_are_no_numbers_are_told_with_the_video(work, monkeypatch):
    run_of = load_run(work / "run")

    def encode(frames):
        raise InputError("expected maps of finite numbers")

    monkeypatch.setattr(run_of.eye, "encode", encode)
    with pytest.raises(InputError, match=r"trailer_001\.mp4: expected maps of finite numbers"):
        tag_trailer(run_of, work / "videos" / "trailer_001.mp4")


def test_what_was_encoded_first_is_not_looked_at_again(work, tmp_path, capsys):
    shutil.copytree(work / "videos", tmp_path / "videos")
    shutil.copytree(work / "clips", tmp_path / "clips", ignore=shutil.ignore_patterns("encoded"))
    run("encode", tmp_path / "clips", "--encoder", work / "tiny.keras", "--jobs", 1)
    folder = next((tmp_path / "clips" / "encoded").iterdir())
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert len(open_looks(folder / "trailer_0.npy", np.zeros(1))) == 1
    shutil.rmtree(tmp_path / "videos")
    options = [*PRESET, work / "tiny.keras", "--epochs", 1]
    run("train", tmp_path / "clips", work / "one.csv", tmp_path / "run", *options)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_a_video_above_the_limits_that_are_given_is_not_looked_at(work, tmp_path, capsys):
    shutil.copytree(work / "videos", tmp_path / "videos")
    shutil.copytree(work / "clips", tmp_path / "clips", ignore=shutil.ignore_patterns("encoded"))
    capsys.readouterr()
    encode = ["encode", tmp_path / "clips", "--encoder", work / "tiny.keras", "--jobs", 1]
    run(*encode, "--max-video-seconds", 0.01)
    error = capsys.readouterr().err
    assert error.count("expected a video of at most 0.01 seconds (--max-video-seconds)") == 6  # one has a single frame
    assert "6 of 7 clips have no looks" in error
    run(*encode)
    assert "no looks" not in capsys.readouterr().err


def test_commands_that_look_at_videos_go_on_without_one_that_is_gone(work, tmp_path, capsys):
    shutil.copytree(work / "videos", tmp_path / "videos")
    shutil.copytree(work / "clips", tmp_path / "clips", ignore=shutil.ignore_patterns("encoded"))
    (tmp_path / "videos" / "trailer_002.mp4").unlink()
    capsys.readouterr()
    encode = ["--encoder", work / "tiny.keras", "--jobs", 1]
    run("encode", tmp_path / "clips", *encode)
    out, err = capsys.readouterr()
    assert out.endswith("_2: 6 clips encoded\n")
    assert f"{tmp_path / 'videos'}: expected the video 'trailer_002.mp4', of which" in err
    assert "1 of 7 clips have no looks: their videos could not be looked at; leave them out" in err
    options = ["--fps", 8, "--frames", 1000, "--size", 16]
    preprocess = ["preprocess", tmp_path / "videos", tmp_path / "clips", *options, *encode]
    run(*preprocess)
    assert "1 of 7 clips have no looks" in capsys.readouterr().err
    run(*preprocess, "--strict", code=1)
    # A training needs it, unless it is given labels of others alone.
    options = [*PRESET, work / "tiny.keras", "--epochs", 1]
    run("train", tmp_path / "clips", work / "one.csv", tmp_path / "run", *options, code=2)
    assert "expected the video 'trailer_002.mp4', of which" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("harm", "expected"),
    [
        (
            lambda videos: videos.rename(videos.with_name("moved")),
            "found none; put it back, or run `preprocess` on the",
        ),
        (lambda videos: (videos / "trailer_002.mp4").unlink(), "expected the video 'trailer_002.mp4', of which"),
        (
            lambda videos: shutil.copy(videos / "trailer_001.mp4", videos / "trailer_002.mp4"),
            "expected the video that its clip was made from, found another one; run `preprocess` again",
        ),
    ],
)
def test_videos_that_are_not_there_any_more_are_one_line(work, tmp_path, capsys, harm, expected):
    shutil.copytree(work / "videos", tmp_path / "videos")
    shutil.copytree(work / "clips", tmp_path / "clips", ignore=shutil.ignore_patterns("encoded"))
    harm(tmp_path / "videos")
    capsys.readouterr()
    options = [*PRESET, work / "tiny.keras", "--epochs", 1]
    run("train", tmp_path / "clips", work / "one.csv", tmp_path / "run", *options, code=2)
    message = capsys.readouterr().err.splitlines()
    assert expected in message[-1]
    assert not (tmp_path / "run" / "model.keras").exists()


def test_stored_scores_are_taken_while_the_looks_are_the_same_and_no_eye_is_needed(work, tmp_path, monkeypatch):
    shutil.copytree(work / "clips", tmp_path / "clips")
    command = ["evaluate", work / "run", tmp_path / "clips", work / "one.csv", "--out", tmp_path / "report"]
    command += ["--split", "all", "--draws", 5, "--jobs", 1]
    scores = tmp_path / "report" / "scores" / "scores_0.csv"
    run(*command)
    first = scores.read_bytes()
    scored = json.loads((scores.parent / "evaluation.json").read_text())
    assert scored["exclusive"] is True
    assert {"pictures_frames", "pictures_trailers"} < set(scored["baselines"])
    again = ["evaluate", "--scores", tmp_path / "report", work / "one.csv", "--out", tmp_path / "again", "--draws", 5]
    run(*again)
    with monkeypatch.context() as patch:
        patch.setattr(Run, "encoder", property(lambda self: pytest.fail("loaded")))
        run(*command)
    assert scores.read_bytes() == first
    looks = next((tmp_path / "clips" / "encoded").glob("*_2/trailer_0.npy"))
    np.save(looks, np.load(looks)[::-1] * np.float16(0.5))
    run(*command)
    assert scores.read_bytes() != first


def test_genres_that_overlap_are_learned_with_a_score_for_each(work, tmp_path, capsys):
    options = [*PRESET, work / "tiny.keras", "--epochs", 1]
    labels = (work / "one.csv").read_text() + "trailer_000.mp4,drama\n"
    (tmp_path / "more.csv").write_text(labels)
    run("train", work / "clips", tmp_path / "more.csv", tmp_path / "run", *options)
    assert load_run(tmp_path / "run").model_config.exclusive == "no"
    command = ["train", work / "clips", tmp_path / "more.csv", tmp_path / "other", *options]
    capsys.readouterr()
    run(*command, "--exclusive", "yes", code=2)
    message = capsys.readouterr().err
    assert "exclusive = yes needs trailers that show exactly one genre at any time, found drama, western in" in message


def test_a_training_that_is_gone_on_with_is_the_whole_one(work, tmp_path):
    options = [*PRESET, work / "tiny.keras", "--schedule", "constant"]
    options += ["--validation-share", "0.3", "--no-match-prevalence"]
    run("train", work / "clips", work / "one.csv", tmp_path / "run", *options, "--epochs", 1)
    run("train", work / "clips", work / "one.csv", tmp_path / "run", "--resume", "--epochs", 3)
    run("train", work / "clips", work / "one.csv", tmp_path / "whole", *options, "--epochs", 3)
    found, whole = (pd.read_csv(tmp_path / name / "history.csv").drop(columns="seconds") for name in ("run", "whole"))
    pd.testing.assert_frame_equal(found, whole, check_exact=True)
    for one, other in zip(
        load_run(tmp_path / "run").model.get_weights(), load_run(tmp_path / "whole").model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_a_run_to_go_on_from_brings_encoder_and_paths(work, tmp_path):
    train = ["train", work / "clips", work / "one.csv", tmp_path / "better", "--from", work / "run"]
    run(*train, "--epochs", 1, "--no-match-prevalence")
    before, after = load_run(work / "run").model, load_run(tmp_path / "better").model
    for name, path in before.senses.paths.items():
        for one, other in zip(path.get_weights(), after.senses.paths[name].get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_run_says_what_computed_its_maps_and_is_tagged_with_that_or_another(work, tmp_path, capsys):
    pytest.importorskip("openvino")
    train = ["train", work / "clips", work / "one.csv", tmp_path / "run"]
    run(*train, *PRESET, work / "tiny.keras", "--epochs", 1, "--encoder-engine", "openvino")
    trained = load_run(tmp_path / "run")
    engine = choose_engine("openvino")
    assert (trained.model_config.encoder_engine, trained.model_config.encoder_precision) == engine
    assert trained.encoder.engine == engine
    folder = looks_folder(work / "clips", trained.encoder, 2)
    assert len(list(folder.glob("trailer_*.npy"))) == 7
    tag = ["tag", tmp_path / "run", work / "videos" / "trailer_001.mp4", "--out"]
    run(*tag, tmp_path / "same")
    assert "scores differ" not in capsys.readouterr().err
    run(*tag, tmp_path / "other", "--encoder-engine", "keras")
    assert ("scores differ a little" in capsys.readouterr().err) == (engine.precision == "bfloat16")
    same, other = (read_scores(tmp_path / name / "trailer_001" / "scores.csv") for name in ("same", "other"))
    np.testing.assert_allclose(same, other, atol=0.05)
    # Elsewhere a training goes on with what there is.
    run(*train, "--resume", "--epochs", 2, "--encoder-engine", "keras")
    assert load_run(tmp_path / "run").model_config.encoder_engine == "keras"
    # Runs from before there was another engine.
    document = json.loads((tmp_path / "run" / "config.json").read_text())
    del document["model"]["encoder_engine"], document["model"]["encoder_precision"]
    (tmp_path / "run" / "config.json").write_text(json.dumps(document))
    assert load_run(tmp_path / "run").encoder_engine == KERAS
    run(*train, "--resume", "--epochs", 3)
