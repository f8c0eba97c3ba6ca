"""Copies of a video at a constant rate: every moment shows the picture that the video showed then."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import cv2
import numpy as np
import pytest

from genre_classifier.tagging.video_copies import EMBEDDED_ROWS, embedded_copy, write_overlay
from preprocessing.base.errors import InputError
from preprocessing.config import CopyConfig, VideoLimits
from preprocessing.fitting import fit_whole
from preprocessing.reader_client import steady_pictures
from tests.support.media import damage, flat_frames, reader_processes, write_late_pictures, write_media
from tests.support.tag_examples import example_tags


def shown_at(times: np.ndarray, moment: float) -> int:
    """Return which frame a player shows: the last one that has begun."""
    return int(np.flatnonzero(times <= moment + 1e-3)[-1])


@pytest.mark.parametrize("most_fps", [60, 10])
def test_pictures_come_at_a_constant_rate(tmp_path: Path, most_fps: float) -> None:
    steps = np.random.default_rng(1).choice([0.04, 0.04, 0.04, 0.04, 0.3], 60)
    times = np.cumsum(steps) - steps[0]
    frames = flat_frames(60)
    video = write_media(tmp_path / "film.mkv", frames, times.tolist())
    with steady_pictures(video, CopyConfig(most_fps=most_fps)) as (fps, pictures):
        found = list(pictures)
    assert fps == pytest.approx(min(25, most_fps), rel=0.01)
    np.testing.assert_allclose([time for time, _ in found], np.arange(len(found)) / fps, atol=1e-9)
    assert len(found) == pytest.approx(times[-1] * fps, abs=1.5)
    for time, picture in found:
        # A millisecond: Matroska's times are rounded to it.
        allowed = {shown_at(times, time - 1e-3), shown_at(times, time + 1e-3)}
        assert any(np.abs(picture.astype(int) - frames[index]).max() <= 1 for index in allowed)


def test_a_copy_runs_by_the_clock_of_the_video(tmp_path: Path) -> None:
    video = write_late_pictures(tmp_path / "film.mkv", 0.4)
    with steady_pictures(video) as (fps, pictures):
        found = list(pictures)
    assert [time for time, _ in found] == pytest.approx(np.arange(len(found)) / fps)
    assert len(found) == pytest.approx((0.4 + 0.8) * fps, abs=2)
    first = [bool((picture == found[0][1]).all()) for _, picture in found]
    assert first.index(False) / fps == pytest.approx(0.44, abs=0.04)  # until the second picture comes


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({}, (52, 76, 3)),
        ({"fewest_rows": 102}, (102, 154, 3)),
        ({"most_rows": 26}, (26, 40, 3)),
    ],
)
def test_sizes_are_even_and_in_proportion(tmp_path: Path, options: dict[str, int], shape: tuple[int, ...]) -> None:
    video = write_media(tmp_path / "film.mkv", flat_frames(3, rows=51, cols=77))
    with steady_pictures(video, CopyConfig(**options)) as (_, pictures):
        assert next(pictures)[1].shape == shape
    assert not reader_processes()


def test_no_picture_is_larger_than_encoders_take() -> None:
    wide = fit_whole(np.zeros((2, 900, 3), np.uint8), pixel_aspect=1.0, fewest_rows=480, most_rows=4096)
    assert wide.shape == (10, 4096, 3)


def test_one_frame_and_none(tmp_path: Path) -> None:
    with steady_pictures(write_media(tmp_path / "one.mkv", flat_frames(1))) as (fps, pictures):
        assert fps == 25
        assert len(list(pictures)) == 1
    (tmp_path / "none.mkv").write_bytes(b"no video at all")
    with (
        pytest.raises(InputError, match=r"none\.mkv: expected a video"),
        steady_pictures(tmp_path / "none.mkv"),
    ):
        pass


def test_a_damaged_video_is_copied_without_what_is_broken(tmp_path: Path) -> None:
    frames = flat_frames(20)
    video = write_media(tmp_path / "film.mov", frames, codec="prores", pix_fmt="yuv422p10le")
    damage(video, [4, 5, 19])
    with steady_pictures(video) as (fps, pictures):
        found = list(pictures)
    assert len(found) == pytest.approx(19 * 25 / fps, abs=1)
    shown = [index for index in range(19) if index not in (4, 5)]
    for time, picture in found:
        index = max(index for index in shown if index / 25 <= time + 1e-3)
        assert np.abs(picture.astype(int) - frames[index]).mean() < 4


@pytest.mark.parametrize(("trouble", "words"), [("dies", "reader crashed"), ("hangs", "no new frame for 1 seconds")])
def test_a_reader_that_dies_or_hangs_costs_one_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str, words: str
) -> None:
    stuck = tmp_path / "reader"
    stuck.write_text("#!/bin/sh\n" + ("exit 3" if trouble == "dies" else "exec sleep 60"))
    stuck.chmod(0o700)
    monkeypatch.setattr("preprocessing.processes.child.sys.executable", str(stuck))
    tags = example_tags(write_media(tmp_path / "film.mkv", flat_frames(20)))
    with pytest.raises(InputError, match=rf"film\.mkv: {words}"):
        write_overlay(tmp_path / "overlay.mp4", tags, limits=VideoLimits(timeout=1))
    with pytest.raises(InputError, match=rf"film\.mkv: {words}"):
        embedded_copy(tags.video, limits=VideoLimits(timeout=1))
    assert not (tmp_path / "overlay.mp4").exists()


def test_pictures_that_cannot_be_turned_into_pixels_are_noticed(oddities: Path, tmp_path: Path) -> None:
    tags = example_tags(oddities / "os_test1.mp4")  # interlaced
    fails = cv2.__version__.startswith(("4.13", "4.14"))
    with pytest.raises(InputError, match="cannot turn its pictures into pixels") if fails else nullcontext():
        write_overlay(tmp_path / "overlay.mp4", tags)
    assert (tmp_path / "overlay.mp4").exists() != fails


def test_the_embedded_copy_is_small_webm(tmp_path: Path) -> None:
    video = write_media(tmp_path / "film.mkv", flat_frames(20, rows=480, cols=640), fps=50)
    data = embedded_copy(video)
    assert b"webm" in data[:64]
    (tmp_path / "copy.webm").write_bytes(data)
    copy = cv2.VideoCapture(str(tmp_path / "copy.webm"))
    assert copy.get(cv2.CAP_PROP_FRAME_HEIGHT) == EMBEDDED_ROWS
    assert copy.get(cv2.CAP_PROP_FPS) == pytest.approx(25)
    assert sum(1 for _ in iter(copy.grab, False)) == 10


def test_the_overlay_keeps_the_video_and_names_what_runs(tmp_path: Path) -> None:
    grey = np.full((50, 480, 640, 3), 120, np.uint8)
    tags = example_tags(write_media(tmp_path / "film.mkv", grey), seconds=2)
    write_overlay(tmp_path / "overlay.mp4", tags)
    copy = cv2.VideoCapture(str(tmp_path / "overlay.mp4"))
    named = []
    while copy.grab():
        picture = copy.retrieve()[1]
        assert np.abs(picture[:200].astype(int) - 120).max() < 12  # above the bars, the video itself
        named.append(bool((picture[320:355, 14:300] > 220).any()))  # white letters above the bars
    assert len(named) == 50
    moments = np.arange(50) / 25
    spans = tags.segments[["start", "end"]].to_numpy()
    running = [bool(((spans[:, 0] <= moment) & (moment < spans[:, 1])).any()) for moment in moments]
    assert named == running
