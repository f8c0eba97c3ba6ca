"""Copies of a video at a constant rate: every moment shows the picture that the video showed then."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from genre_classifier.tags.embed import EMBEDDED_ROWS, embedded_copy
from genre_classifier.tags.overlay import write_overlay
from genre_classifier.tags.whole_video import steady_pictures
from preprocessing.errors import InputError
from tests.media import flat_frames, write_media
from tests.tag_examples import example_tags


def shown_at(times: np.ndarray, moment: float) -> int:
    """Return which frame a player shows: the last one that has begun."""
    return int(np.flatnonzero(times <= moment + 1e-3)[-1])


@pytest.mark.parametrize("most_fps", [60, 10])
def test_pictures_come_at_a_constant_rate(tmp_path: Path, most_fps: float) -> None:
    steps = np.random.default_rng(1).choice([0.04, 0.04, 0.04, 0.04, 0.3], 60)
    times = np.cumsum(steps) - steps[0]
    frames = flat_frames(60)
    video = write_media(tmp_path / "film.mkv", frames, times.tolist())
    fps, pictures = steady_pictures(video, most_fps=most_fps)
    assert fps == pytest.approx(min(25, most_fps), rel=0.01)
    found = list(pictures)
    np.testing.assert_allclose([time for time, _ in found], np.arange(len(found)) / fps, atol=1e-9)
    assert len(found) == pytest.approx(times[-1] * fps, abs=1.5)
    for time, picture in found:
        # A millisecond: Matroska's times are rounded to it.
        allowed = {shown_at(times, time - 1e-3), shown_at(times, time + 1e-3)}
        assert any(np.abs(picture.astype(int) - frames[index]).max() <= 1 for index in allowed)


def test_sizes_are_even_and_in_proportion(tmp_path: Path) -> None:
    video = write_media(tmp_path / "film.mkv", flat_frames(3, rows=51, cols=77))
    assert next(steady_pictures(video)[1])[1].shape == (52, 76, 3)
    assert next(steady_pictures(video, fewest_rows=102)[1])[1].shape == (102, 154, 3)
    assert next(steady_pictures(video, most_rows=26)[1])[1].shape == (26, 40, 3)


def test_one_frame_and_none(tmp_path: Path) -> None:
    fps, pictures = steady_pictures(write_media(tmp_path / "one.mkv", flat_frames(1)))
    assert fps == 25
    assert len(list(pictures)) == 1
    (tmp_path / "none.mkv").write_bytes(b"no video at all")
    with pytest.raises(InputError, match=r"none\.mkv: expected a video"):
        steady_pictures(tmp_path / "none.mkv")


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
