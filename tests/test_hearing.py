"""A network that listens, from the videos to the report, with the commands that a user runs.

Two genres look alike and sound different: what tells them apart must come by way of the sound.
"""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from genre_classifier import cli
from genre_classifier.dataset.trailers import open_inputs
from genre_classifier.run_folder.run import Run, load_run
from genre_classifier.tagging.scores import read_scores
from genre_classifier.tagging.tag import score_frames
from genre_classifier.tagging.viewer import read_page
from preprocessing.clips import load_times
from tests.support.folders import contents
from tests.support.media import Track, flat_frames, tone, write_media, write_sounding
from tests.support.tiny_encoder import write_encoder, write_sound_encoder

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_plots")]

SMALL = ["--trunk-filters", "2,2", "--branch-filters", "2", "--dense-units", "4", "--batch-size", "2"]
PRESET = ["--preset", "pretrained", "--test-share", "0", *SMALL, "--crop-frames", "12", "--genres", "drama,western"]
LOW, HIGH = 200, 3000  # hertz
CLIPS = 12


def run(*command, code=0):
    assert cli.run([str(part) for part in command]) == code, command


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Return a folder with videos, of which one is silent, clips, labels, encoders and a run that hears alone."""
    work = tmp_path_factory.mktemp("work")
    write_encoder(work / "eye.keras")
    write_sound_encoder(work / "ear.keras")
    (work / "videos").mkdir()
    rows = []
    for number in range(CLIPS):
        pitch = HIGH if number % 2 else LOW
        track = Track(tone(2.5 + number / 10, hertz=pitch * (1 + number / 100)))
        write_sounding(work / "videos" / f"{number:02}.mkv", track, frames=flat_frames(60, seed=number))
        rows.append((f"{number:02}.mkv", "drama" if number % 2 else "western"))
    write_media(work / "videos" / "silent.mkv", flat_frames(40, seed=99))
    rows.append(("silent.mkv", "drama"))
    pd.DataFrame(rows, columns=["trailer", "genre"]).to_csv(work / "labels.csv", index=False)
    run("preprocess", work / "videos", work / "clips", "--fps", 8, "--frames", 1000, "--size", 16, "--jobs", 2)
    ear = ["--encoder", "none", "--sound-encoder", work / "ear.keras"]
    run("train", work / "clips", work / "labels.csv", work / "run", *PRESET, *ear, "--epochs", 2)
    return work


def inputs_of(work, number):
    clip, times = work / "clips" / f"trailer_{number}.npy", load_times(work / "clips" / f"times_{number}.npy")
    return open_inputs(clip, times, heard=next((work / "clips" / "encoded").iterdir()) / clip.name)


def test_what_only_sound_tells_is_told(work):
    network = load_run(work / "run")
    assert network.model_config.features == {"sound": 12}
    manifest = pd.read_csv(work / "clips" / "manifest.csv").set_index("source")
    for number in range(CLIPS):
        scores = score_frames(network, inputs_of(work, int(manifest.loc[f"{number:02}.mkv", "trailer_id"])))
        assert (scores.mean(axis=0).argmax() == 0) == (number % 2 == 1)
    assert np.isnan(manifest.loc["silent.mkv", "sound"])


def test_scores_do_not_depend_on_how_a_clip_is_cut(work):
    network = load_run(work / "run")
    expected = score_frames(network, inputs_of(work, 3))
    for chunk in (1, 5):
        np.testing.assert_allclose(score_frames(network, inputs_of(work, 3), chunk=chunk), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["03.mkv", "silent.mkv"])
def test_a_video_gets_the_scores_of_its_clip_and_its_sound_is_shown(work, tmp_path, name):
    run("tag", work / "run", work / "videos" / name, "--out", tmp_path)
    folder = tmp_path / name.removesuffix(".mkv")
    manifest = pd.read_csv(work / "clips" / "manifest.csv").set_index("source")
    expected = score_frames(load_run(work / "run"), inputs_of(work, int(manifest.loc[name, "trailer_id"])))
    np.testing.assert_allclose(read_scores(folder / "scores.csv"), expected, atol=1e-5)
    peaks = read_page(folder / "viewer.html").peaks
    if name == "silent.mkv":
        assert peaks == ()
    else:
        assert len(peaks) == np.ceil(10 * manifest.loc[name, "sound"])
        assert 0.1 < min(peaks[:20]) <= max(peaks) <= 1
    run("tag", "--again", tmp_path, "--min-segment", 1)
    assert read_page(folder / "viewer.html").peaks == peaks


def test_an_eye_and_an_ear_together_and_what_was_encoded_first(work, tmp_path, capsys):
    shutil.copytree(work / "clips", tmp_path / "clips", ignore=shutil.ignore_patterns("encoded"))
    shutil.copytree(work / "videos", tmp_path / "videos")
    both = ["--encoder", work / "eye.keras", "--sound-encoder", work / "ear.keras"]
    encoded = tmp_path / "clips" / "encoded"
    by_jobs = {}
    for jobs in (1, 2):
        shutil.rmtree(encoded, ignore_errors=True)
        run("encode", tmp_path / "clips", *both, "--jobs", jobs)
        assert capsys.readouterr().out.count(f"{CLIPS + 1} clips encoded") == 2
        by_jobs[jobs] = {name: data for name, data in contents(encoded).items() if name.endswith(".npy")}
    assert by_jobs[1] == by_jobs[2]
    before = {path: path.stat().st_mtime_ns for path in encoded.rglob("*.npy")}
    assert len(before) == (CLIPS + 1) * 3  # looks, their times, and what was heard
    trained = tmp_path / "run"
    options = [*PRESET, *both, "--path-components", "4,3", "--validation-share", 0.3, "--epochs", 1]
    run("train", tmp_path / "clips", work / "labels.csv", trained, *options)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    run("train", tmp_path / "clips", work / "labels.csv", trained, "--resume", "--epochs", 2)
    assert set(load_run(trained).model_config.features) == {"pictures", "sound"}
    run(
        "evaluate",
        trained,
        tmp_path / "clips",
        work / "labels.csv",
        "--out",
        tmp_path / "report",
        "--draws",
        5,
        "--split",
        "all",
    )
    found = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert {"sound_frames", "sound_trailers", "pictures_frames", "all_trailers"} <= set(found["baselines"])


def test_stored_scores_are_taken_while_what_was_heard_is_the_same_and_no_ear_is_needed(work, tmp_path, monkeypatch):
    shutil.copytree(work / "clips", tmp_path / "clips")
    command = ["evaluate", work / "run", tmp_path / "clips", work / "labels.csv", "--out", tmp_path / "report"]
    command += ["--split", "all", "--draws", 5, "--jobs", 1]

    def scores():
        return (tmp_path / "report" / "scores" / "scores_0.csv").read_bytes()

    run(*command)
    first = scores()
    with monkeypatch.context() as patch:
        patch.setattr(Run, "sound_encoder", property(lambda self: pytest.fail("loaded")))
        run(*command)
    assert scores() == first
    # What was heard of a clip, made anew: other numbers, with the note of what it was made from.
    heard = next((tmp_path / "clips" / "encoded").glob("*/trailer_0.npy"))
    np.save(heard, np.load(heard)[::-1] * np.float16(0.5))
    run(*command)
    assert scores() != first
    changed = scores()
    sound = tmp_path / "clips" / "sound_0.npy"
    np.save(sound, np.load(sound)[::2])
    run(*command)
    assert scores() not in (first, changed)


def test_a_run_whose_ear_was_replaced_is_one_line(work, tmp_path, capsys):
    shutil.copytree(work / "run", tmp_path / "run")
    write_sound_encoder(tmp_path / "run" / "sound_encoder.keras", seed=2)
    run("tag", tmp_path / "run", work / "videos" / "03.mkv", "--out", tmp_path / "tags", code=2)
    assert "expected the sound encoder that config.json beside it names" in capsys.readouterr().err


def test_clips_that_were_made_without_sound_are_one_line_that_says_what_to_do(work, tmp_path, capsys):
    made = ["--fps", 8, "--frames", 1000, "--size", 16, "--no-sound"]
    run("preprocess", work / "videos", tmp_path / "clips", *made)
    ear = ["--encoder", "none", "--sound-encoder", work / "ear.keras"]
    run("train", tmp_path / "clips", work / "labels.csv", tmp_path / "run", *PRESET, *ear, "--epochs", 1, code=2)
    expected = (
        "expected sound beside the clips (sound_<id>.npy), which were made without; `preprocess` into a new folder"
    )
    assert expected in capsys.readouterr().err
    report = ["--out", tmp_path / "report", "--split", "all"]
    run("evaluate", work / "run", tmp_path / "clips", work / "labels.csv", *report, code=2)
    assert expected in capsys.readouterr().err
    run("encode", tmp_path / "clips", *ear, code=2)
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "clips" / "encoded").exists()
    run("train", work / "clips", work / "labels.csv", tmp_path / "run", *ear, code=2)
    assert "sound_encoder needs linear_paths" in capsys.readouterr().err


def test_videos_of_which_none_sounds_are_learned_from_by_what_is_seen(work, tmp_path, capsys):
    (tmp_path / "videos").mkdir()
    rows = []
    for number in range(4):
        write_media(tmp_path / "videos" / f"{number}.mkv", flat_frames(30, seed=number))
        rows.append((f"{number}.mkv", "drama" if number % 2 else "western"))
    pd.DataFrame(rows, columns=["trailer", "genre"]).to_csv(tmp_path / "labels.csv", index=False)
    made = ["--fps", 8, "--frames", 1000, "--size", 16]
    run("preprocess", tmp_path / "videos", tmp_path / "clips", *made)
    ear = ["--encoder", "none", "--sound-encoder", work / "ear.keras"]
    run("train", tmp_path / "clips", tmp_path / "labels.csv", tmp_path / "run", *PRESET, *ear, "--epochs", 1)
    assert "4 of 4 trailers have no sound: they are judged by what is seen" in capsys.readouterr().err
    run("tag", tmp_path / "run", tmp_path / "videos", "--out", tmp_path / "tags")
    assert np.isfinite(read_scores(tmp_path / "tags" / "0" / "scores.csv")).all(axis=None)
