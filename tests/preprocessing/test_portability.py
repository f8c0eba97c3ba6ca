"""Without the modules and calls that only POSIX systems have, everything imports and a video becomes a clip."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from preprocessing import load_clip
from tests.support.media import flat_frames, write_media

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
# Python runs this in every process that it starts, readers too. Only our own modules are refused: other libraries
# have their own ways on other systems.
SITECUSTOMIZE = """
import builtins, os, signal
usual = builtins.__import__
def refuse(name, globals=None, locals=None, fromlist=(), level=0):
    package = ((globals or {}).get("__package__") or "").partition(".")[0]
    if package in ("preprocessing", "genre_classifier") and name in ("fcntl", "posix", "pwd", "resource", "select"):
        raise ModuleNotFoundError(f"No module named {name!r}")
    return usual(name, globals, locals, fromlist, level)
builtins.__import__ = refuse
for name in ("fork", "forkpty", "killpg", "mkfifo", "pread", "pwrite", "O_DIRECTORY"):
    delattr(os, name)
for name in ("pthread_sigmask", "sigwait", "SIGALRM", "SIGHUP", "SIGSTOP"):
    delattr(signal, name)
signal.signal(signal.SIGINT, signal.default_int_handler)  # as a terminal starts it, whoever runs the tests
"""
IMPORTS = """
import importlib, os, pkgutil, sys
import genre_classifier.cli, preprocessing
assert not hasattr(os, "fork")
for package in (preprocessing, genre_classifier.cli):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
        print(module.name)
"""


def run(folder: Path, *arguments: str) -> str:
    path = os.pathsep.join([str(folder), str(ROOT)])
    command = [sys.executable, *arguments]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Return a folder that makes every Python whose path it is on miss what POSIX systems have."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SITECUSTOMIZE)
    return folder


def test_every_module_imports(elsewhere: Path) -> None:
    imported = run(elsewhere, "-c", IMPORTS).split()
    assert {"preprocessing.reader_process", "preprocessing.base.locks", "genre_classifier.cli.streams"} <= set(imported)
    assert len(imported) > 25


def test_a_video_becomes_the_same_clip(elsewhere: Path, tmp_path: Path) -> None:
    frames = flat_frames(8)
    (tmp_path / "trailers").mkdir()
    write_media(tmp_path / "trailers" / "a.mkv", frames)
    command = ["-m", "genre_classifier", "preprocess", str(tmp_path / "trailers"), str(tmp_path / "clips")]
    assert run(elsewhere, *command, "--size", "16").endswith("1 of 1 videos ready, 0 failed\n")
    clip = load_clip(tmp_path / "clips" / "trailer_0.npy")
    np.testing.assert_array_equal(clip[:, :, 0, 0], frames[:, 0, 0])
    assert sorted(path.name for path in (tmp_path / "clips").iterdir()) == [
        "manifest.csv",
        "preprocessing.json",
        "times_0.npy",
        "trailer_0.npy",
    ]
