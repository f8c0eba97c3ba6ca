"""Runs that are interrupted: readers that crash or hang, disks that fill, files that grow, kills at any moment."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from preprocessing import preprocess_directory
from preprocessing.base.errors import InputError, WorkError
from preprocessing.clips import clip_path
from preprocessing.config import ClipConfig, VideoLimits
from preprocessing.manifest import read_manifest
from preprocessing.processes.child import Child
from preprocessing.reader_client import READER
from preprocessing.video import open_video
from tests.support.folders import CONFIG, contents, make_trailers
from tests.support.media import flat_frames, reader_processes, write_media

pytestmark = pytest.mark.slow


@pytest.fixture
def trailers(tmp_path: Path) -> Path:
    """Three good videos and a bad one."""
    return make_trailers(tmp_path / "trailers")


@pytest.fixture(scope="module")
def long_media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video that takes a reader long enough to be caught at it."""
    path = tmp_path_factory.mktemp("long") / "long.mkv"
    frames = flat_frames(1500, rows=360, cols=640, seed=4)
    return write_media(path, frames, codec="mjpeg", pix_fmt="yuvj420p")


@pytest.fixture
def long_video(trailers: Path, long_media: Path) -> Path:
    """A long video between c and d."""
    return Path(shutil.copy(long_media, trailers / "cc.mkv"))


def test_a_file_that_grows_while_it_is_read_fails_and_then_succeeds(long_video: Path, tmp_path: Path) -> None:
    clips = tmp_path / "clips"

    def grow() -> None:
        with long_video.open("ab") as file:
            file.write(b"more")

    with when_reading(clips, grow):
        manifest = preprocess_directory(long_video.parent, clips, config=CONFIG, jobs=1).set_index("source")
    assert "changed while it was read" in manifest.loc["cc.mkv", "error"]
    assert manifest.loc["d/e.mkv", "status"] == "ok"
    again = preprocess_directory(long_video.parent, clips, config=CONFIG, jobs=1).set_index("source")
    assert again.loc["cc.mkv", "status"] == "ok"
    assert again.loc["cc.mkv", "trailer_id"] == 3


# --- readers that crash or hang, disks that fill, runs that are killed --------------------------------------------


class when_reading:  # noqa: N801  # reads as a statement
    """Do something as soon as a reader has begun to write the clip of `cc.mkv`."""

    def __init__(self, clips: Path, action: Callable[[], None]) -> None:
        self._clips, self._action = clips, action
        self._thread = threading.Thread(target=self._watch)
        self._stop = threading.Event()
        self.happened = False

    def _watch(self) -> None:
        while not self._stop.is_set():
            # a, c and the failing b come first: two clips are in place when cc is being read
            if clip_path(self._clips, 1).exists() and list(self._clips.glob(".staged-*.part")):
                self._action()
                self.happened = True
                return
            time.sleep(0.001)

    def __enter__(self) -> when_reading:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        assert self.happened


def signal_reader(which: signal.Signals) -> None:
    """Send a signal to the one reader process of this process."""
    (reader,) = reader_processes()
    reader.send_signal(which)


def test_a_crash_costs_only_the_file_it_was_on(long_video: Path, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    with when_reading(clips, lambda: signal_reader(signal.SIGKILL)):
        manifest = preprocess_directory(long_video.parent, clips, config=CONFIG, jobs=1).set_index("source")
    assert manifest.loc["cc.mkv", "status"] == "failed"
    assert manifest.loc["cc.mkv", "error"].startswith("reader crashed")
    assert (manifest["status"] == "ok").sum() == 3
    assert not list(clips.glob(".*"))


def test_a_reader_that_hangs_is_given_up(long_video: Path, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    with when_reading(clips, lambda: signal_reader(signal.SIGSTOP)):
        manifest = preprocess_directory(
            long_video.parent, clips, config=CONFIG, jobs=1, limits=VideoLimits(timeout=5)
        ).set_index("source")
    assert "no new frame for 5 seconds" in manifest.loc["cc.mkv", "error"]
    assert (manifest["status"] == "ok").sum() == 3
    assert not reader_processes()


@pytest.fixture
def small_files_only() -> Iterator[None]:
    """Let no process write files of more than 30 kB: what a full disk looks like, without one."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_stops_the_run_and_a_rerun_goes_on(
    trailers: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    clips, config = tmp_path / "clips", ClipConfig(frames=15, size=30)  # 12 x 2700 bytes is too much, 5 x 2700 not
    write_media(trailers / "a.mkv", flat_frames(5, seed=1))
    request.getfixturevalue("small_files_only")
    with pytest.raises(WorkError, match=f"{clips}: could not be written: .*large"):
        preprocess_directory(trailers, clips, config=config, jobs=1)
    assert set(contents(clips)) == {"preprocessing.json", "manifest.csv", "trailer_0.npy", "times_0.npy"}
    assert read_manifest(clips)["source"].tolist() == ["a.mkv", "b.mp4"]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits[1], limits[1]))
    preprocess_directory(trailers, clips, config=config, jobs=1)
    preprocess_directory(trailers, tmp_path / "undisturbed", config=config, jobs=1)
    assert contents(clips) == contents(tmp_path / "undisturbed")


def test_the_limits_of_a_process_are_no_fault_of_the_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "v.mp4").write_text("no video")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, limits[1]))
    handles = []
    try:
        with suppress(OSError):
            while True:
                handles.append(os.open(os.devnull, os.O_RDONLY))
        with pytest.raises(WorkError, match="a reader process could not be started: Too many open files"):
            Child(READER)
        os.close(handles.pop())  # for the file itself
        with pytest.raises(WorkError, match="a video could not be opened: Too many open files"):
            open_video(tmp_path / "v.mp4").__enter__()
    finally:
        for handle in handles:
            os.close(handle)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    with pytest.raises(InputError, match="no decoder opens"):
        open_video(tmp_path / "v.mp4").__enter__()
    monkeypatch.setattr("preprocessing.video.DECODER_BYTES", 1 << 46)  # more than any machine has to give
    with pytest.raises(InputError, match="need more memory than there is"):
        open_video(tmp_path / "v.mp4").__enter__()


def test_only_one_run_at_a_time_writes_to_a_folder(long_video: Path, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    refused: list[str] = []

    def second_run() -> None:
        try:
            preprocess_directory(long_video.parent, clips, config=CONFIG, jobs=1)
        except InputError as error:
            refused.append(str(error))

    with when_reading(clips, second_run):
        preprocess_directory(long_video.parent, clips, config=CONFIG, jobs=1)
    assert "another run is writing" in refused[0]


def test_killed_again_and_again_over_real_files_and_rerun_gives_the_same_bytes(
    real_trailers: Path, oddities: Path, tmp_path: Path
) -> None:
    trailers = tmp_path / "trailers"
    trailers.mkdir()
    for path in [*real_trailers.glob("*.*[4m]"), *oddities.glob("*_*.*")]:
        if path.stat().st_size < 2_000_000:  # longer ones only take longer: each run reads them to their end
            (trailers / path.name).symlink_to(path)
    command = [sys.executable, "-m", "genre_classifier", "preprocess", str(trailers)]
    options = ["--frames", "60", "--size", "24", "--jobs", "2"]
    subprocess.run([*command, str(tmp_path / "undisturbed"), *options], check=True, capture_output=True)
    rng = np.random.default_rng(3)
    killed = 0
    for number in (0, 3, 6, 9):  # a moment after the next clip is there
        run = subprocess.Popen([*command, str(tmp_path / "clips"), *options], stderr=subprocess.DEVNULL)
        while run.poll() is None:
            if len(list((tmp_path / "clips").glob("trailer_*.npy"))) > number:
                time.sleep(rng.uniform(0, 0.1))
                run.kill()
                killed += 1
                break
            time.sleep(0.001)
        run.wait()
    assert killed >= 3
    subprocess.run([*command, str(tmp_path / "clips"), *options], check=True, capture_output=True)
    assert contents(tmp_path / "clips") == contents(tmp_path / "undisturbed")
