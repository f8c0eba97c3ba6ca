"""`genre-classifier preprocess`: exit codes and what it prints."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from genre_classifier import cli
from genre_classifier.cli.train import preset_for
from genre_classifier.config import PRESETS
from preprocessing import preprocess_directory
from preprocessing.clips import read_clip_config, read_clip_preset, write_clip_config
from preprocessing.config import ClipConfig
from preprocessing.manifest import read_manifest
from tests.support.media import Track, damage, flat_frames, tone, write_media, write_sounding


def run(*arguments: object) -> int:
    return cli.run(["preprocess", *map(str, arguments)])


@pytest.fixture
def trailers(tmp_path: Path) -> Path:
    folder = tmp_path / "trailers"
    folder.mkdir()
    write_media(folder / "good.mkv", flat_frames(8))
    (folder / "bad\nname.mp4").write_text("no video")
    return folder


def test_results_failures_and_exit_codes(trailers: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    options = ["--frames", 5, "--size", 16, "--jobs", 1]
    assert run(trailers, tmp_path / "clips", *options) == 0
    out, err = capfd.readouterr()
    assert out == f"{tmp_path / 'clips'}: 1 of 2 videos ready, 1 failed\n"
    assert err.splitlines() == ["bad\\x0aname.mp4: expected a video, found a file that no decoder opens"]
    assert read_manifest(tmp_path / "clips")["frames"].dropna().tolist() == [5]
    assert run(trailers, tmp_path / "clips", *options, "--strict") == 1


def test_sound_may_be_left_out_and_a_folder_without_it_stays_so(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "trailers").mkdir()
    write_sounding(tmp_path / "trailers" / "a.mkv", Track(tone(1.0)), frames=flat_frames(8))
    options = ["--frames", 5, "--size", 16, "--jobs", 1]
    assert run(tmp_path / "trailers", tmp_path / "heard", *options) == 0
    assert (tmp_path / "heard" / "sound_0.npy").exists()
    assert run(tmp_path / "trailers", tmp_path / "clips", *options, "--no-sound") == 0
    assert capfd.readouterr().err == ""
    assert run(tmp_path / "trailers", tmp_path / "clips", *options) == 0
    assert capfd.readouterr().err == (
        f"{tmp_path / 'clips'}: its clips were made without sound, so new ones get none either; preprocess into "
        f"another folder for clips with sound\n"
    )
    assert not list((tmp_path / "clips").glob("sound*"))
    assert read_clip_config(tmp_path / "clips") == ClipConfig(frames=5, size=16, sound=False)
    assert run(tmp_path / "trailers", tmp_path / "heard", *options, "--no-sound") == 2
    assert "its clips were made with sound True (now False)" in capfd.readouterr().err


def test_without_an_encoder_keras_is_not_imported(trailers: Path, tmp_path: Path) -> None:
    code = "import sys; from genre_classifier.cli import run; code = run(sys.argv[1:]); sys.stdout.flush(); "
    code += "print(code, sorted({'tensorflow', 'keras', 'openvino'} & set(sys.modules)))"
    command = [sys.executable, "-c", code, "preprocess", trailers, tmp_path / "clips", "--preset", "pretrained"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed.splitlines()[-1] == "0 []"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--encoder", "none.keras"], "none.keras: expected an image network (.keras), found no such file"),
        (["--encoder-fps", "4"], "nothing to encode with: expected --encoder or --sound-encoder"),
    ],
)
def test_an_encoder_that_cannot_be_used_is_said_before_anything_is_made(
    trailers: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    assert run(trailers, tmp_path / "clips", *options) == 2
    assert words in capfd.readouterr().err
    assert not (tmp_path / "clips").exists()


def test_lost_frames_are_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "trailers").mkdir()
    path = write_media(tmp_path / "trailers" / "a.mov", flat_frames(8), codec="prores", pix_fmt="yuv422p10le")
    damage(path, [3])
    assert run(tmp_path / "trailers", tmp_path / "clips", "--size", 16, "--strict") == 0
    assert capfd.readouterr().err.splitlines() == [
        "1 of them lost frames to damaged packets (skipped_packets in the manifest)"
    ]
    assert read_manifest(tmp_path / "clips")["frames"].tolist() == [7]


def test_a_video_that_is_away_is_told_and_keeps_its_clip(
    trailers: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (trailers / "bad\nname.mp4").unlink()
    (trailers / "good.mkv").rename(tmp_path / "stored.mkv")
    (trailers / "good.mkv").symlink_to(tmp_path / "stored.mkv")
    preprocess_directory(trailers, tmp_path / "clips", config=ClipConfig(frames=5, size=16))
    (tmp_path / "stored.mkv").rename(tmp_path / "away.mkv")
    options = ["--frames", 5, "--size", 16, "--jobs", 1]
    assert run(trailers, tmp_path / "clips", *options) == 0
    out, err = capfd.readouterr()
    assert out == f"{tmp_path / 'clips'}: 1 of 1 videos ready, 0 failed\n"
    assert err.splitlines() == [
        "good.mkv: expected a video file, found a link to nothing (its clip is kept)",
        "1 of them could not be read again; their clips are kept",
    ]
    assert (tmp_path / "clips" / "trailer_0.npy").exists()
    assert run(trailers, tmp_path / "clips", *options, "--strict") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing", "clips"], "missing: expected a folder of videos"),
        (["trailers", "clips", "--size", "0"], "size must be from 1 to 8192"),
        (["trailers", "clips", "--size", "99999"], "size must be from 1 to 8192"),
        (["trailers", "clips", "--fps", "-1"], "fps must be above 0"),
        (["trailers", "clips", "--fit", "squash"], "squash"),
        (["trailers", "clips", "--jobs", "0"], "jobs must be from 1 to 1000"),
        (["trailers", "clips", "--jobs", "1000000"], "jobs must be from 1 to 1000"),
        (["trailers", "clips", "--scheduler", "foo://x"], "an address such as tcp://host:8786"),
        (["trailers", "clips", "--scheduler", "tcp://"], "an address such as tcp://host:8786"),
        (["trailers", "clips", "--timeout", "0"], "timeout must be above 0 and at most 1000000 seconds"),
        (["trailers", "clips", "--timeout", "inf"], "timeout must be above 0 and at most 1000000 seconds"),
        (["trailers", "clips", "--timeout", "nan"], "timeout must be above 0 and at most 1000000 seconds"),
        (["trailers", "trailers/good.mkv"], "expected a folder to write clips to"),
    ],
)
def test_mistakes_get_one_line_and_exit_code_2(
    trailers: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(trailers.parent)
    assert run(*arguments) == 2
    _, err = capfd.readouterr()
    assert words in err
    assert "Traceback" not in err
    assert not (trailers.parent / "clips").exists()


@pytest.mark.parametrize("options", [[], ["--frames", 4]])
def test_a_preset_says_what_clips_it_wants_and_later_commands_know_it(
    trailers: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], options: list[object]
) -> None:
    clips = tmp_path / "clips"
    assert run(trailers, clips, "--preset", "small-data", *options) == 0
    wanted = PRESETS["small-data"].clips
    assert read_clip_config(clips) == (dataclasses.replace(wanted, frames=4) if options else wanted)
    assert run(trailers, clips, *options) == 0  # the folder's own preset
    assert read_clip_preset(clips) == "small-data"
    capfd.readouterr()
    assert preset_for(clips, None) == preset_for(clips, "small-data") == "small-data"
    assert capfd.readouterr().err == ""
    assert preset_for(clips, "article") == "article"
    assert capfd.readouterr().err == (
        f"--preset article learns from frames of 400 x 400 pixels, spread over the video; those of {clips} are of "
        f"32 x 32 pixels, 15 per second: `genre-classifier preprocess TRAILERS CLIPS --preset article` makes clips "
        f"that fit\n"
    )
    assert run(trailers, clips, "--preset", "article") == 2
    assert "its clips were made with" in capfd.readouterr().err


def test_clips_without_a_preset_are_for_the_article(tmp_path: Path) -> None:
    assert preset_for(tmp_path, None) == "article"
    write_clip_config(tmp_path, ClipConfig(), preset="of a later version")
    assert preset_for(tmp_path, None) == "article"


def test_too_little_disk_is_said_before_anything_is_made(
    trailers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (trailers / "bad\nname.mp4").unlink()
    frame = 3 * 100**2
    options = ["--size", 100, "--jobs", 1]
    free = 9 * frame  # the video has eight frames, and may have one more than it says
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(free, 0, free))
    assert run(trailers, tmp_path / "clips", *options) == 0
    free = 7 * frame
    assert run(trailers, tmp_path / "clips", *options) == 0  # its clip is there
    assert capfd.readouterr().err == ""
    assert run(trailers, tmp_path / "other", *options) == 1
    assert capfd.readouterr().err == (
        f"genre-classifier: {tmp_path / 'other'}: 1 clip takes about 0.27 MB of disk, and 0.21 MB are free; make "
        f"smaller ones (--preset small-data, a smaller --size, --fps or --frames, or --no-sound), or choose a folder "
        f"on another disk\n"
    )
    assert not [*(tmp_path / "other").glob("*.npy")]


def test_how_much_disk_clips_take_is_said(
    trailers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (trailers / "bad\nname.mp4").unlink()
    assert run(trailers, tmp_path / "clips", "--jobs", 1) == 0
    assert capfd.readouterr().err == ""  # it may be 480 MB by the options alone, but the file says that it is short
    monkeypatch.setattr("preprocessing.disk.SAID_FROM", 1e6)
    assert run(trailers, tmp_path / "more", "--jobs", 1) == 0
    assert re.search(r"^1 clip takes about 4\.32 MB of disk, and [\d.]+ GB are free$", capfd.readouterr().err, re.M)
