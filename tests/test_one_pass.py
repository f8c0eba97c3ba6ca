"""`preprocess` with encoders: the files that `encode` would have made afterwards, also after a kill."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

import pytest

from genre_classifier import cli
from tests.support.folders import contents, make_trailers
from tests.support.tiny_encoder import write_encoder, write_sound_encoder

KILLED = """
import os, signal, sys
from genre_classifier import cli
from genre_classifier.dataset.encoding import LooksBeside

usual = LooksBeside.settle

def settle(self, row):
    if row["source"] == "c.mkv":
        os.kill(os.getpid(), signal.SIGKILL)
    usual(self, row)

LooksBeside.settle = settle
cli.run(sys.argv[1:])
"""


def run(*command):
    assert cli.run([str(part) for part in command]) == 0, command


def files(clips):
    """Return what a folder holds, but for encoders and what else names the moment at which something was written."""
    found = {name: content for name, content in contents(clips).items() if not name.endswith("encoder.keras")}
    return {name: re.sub(rb'"modified_ns": \d+', b"", content) for name, content in found.items()}


@pytest.mark.slow
def test_one_pass_makes_what_two_commands_make_and_goes_on_after_a_kill(tmp_path, capsys):
    videos = make_trailers(tmp_path / "videos")  # three, and a bad one
    eye, ear = write_encoder(tmp_path / "eye.keras"), write_sound_encoder(tmp_path / "ear.keras")
    encoders = ["--encoder", eye, "--sound-encoder", ear, "--encoder-engine", "keras", "--jobs", 1]
    small = ["--fps", 8, "--size", 16, "--jobs", 1]
    one_pass = ["preprocess", videos, tmp_path / "one", *small, *encoders]
    command = [sys.executable, "-c", KILLED, *map(str, one_pass)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == -signal.SIGKILL
    looks = next((tmp_path / "one" / "encoded").glob("*_2"))
    assert sorted(path.name for path in looks.glob("t*.npy")) == ["times_0.npy", "trailer_0.npy"]
    run(*one_pass)
    assert "3 of 4 videos ready, 1 failed" in capsys.readouterr().out
    run("preprocess", videos, tmp_path / "two", *small)
    run("encode", tmp_path / "two", *encoders)
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert len(list(looks.parent.glob("*/trailer_*.npy"))) == 6  # seen and heard
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "one").rglob("*")}
    run("encode", tmp_path / "one", *encoders)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "one").rglob("*")} == before
