"""What a video may cost: one that asks for more is refused with the option that allows it; others are read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from preprocessing import preprocess_directory
from preprocessing.base.errors import InputError
from preprocessing.config import ClipConfig, CopyConfig, VideoLimits
from preprocessing.decoding import decode, decode_copy
from preprocessing.reader_client import SampledFrames
from tests.support.media import flat_frames, read, write_media

EXACTLY = VideoLimits(max_video_pixels=64 * 48, max_video_frames=12, max_video_seconds=12 / 25)
TOO_LITTLE = {
    "pixels": (VideoLimits(max_video_pixels=64 * 48 - 1), r"at most 3071 pixels \(--max-video-pixels\), found 64 x 48"),
    "frames": (VideoLimits(max_video_frames=11), r"at most 11 frames \(--max-video-frames\), found more"),
    "seconds": (VideoLimits(max_video_seconds=0.4), r"at most 0\.4 seconds \(--max-video-seconds\), found 0\.48"),
}
HALF_A_DAY = 43_200.0


def nothing() -> None:
    """Take a sign of life."""


def never(*given: object) -> None:
    raise AssertionError(f"something was made of a video that is refused: {given}")


class Nobody:
    """A sink that must get nothing."""

    begin = add = staticmethod(never)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    (tmp_path / "videos").mkdir()
    return write_media(tmp_path / "videos" / "a.mkv", flat_frames(12))


@pytest.mark.parametrize("asked", TOO_LITTLE)
@pytest.mark.parametrize("reader", ["clip", "exact clip", "copy"])
def test_too_much_is_refused_before_anything_is_decoded(video: Path, asked: str, reader: str) -> None:
    limits, reason = TOO_LITTLE[asked]

    def attempt() -> None:
        if reader == "copy":
            decode_copy(video, CopyConfig(), limits, Nobody(), alive=nothing)
        else:
            decode(video, [ClipConfig(size=8)], limits, Nobody(), exact=reader == "exact clip", alive=nothing)

    with pytest.raises(InputError, match=reason):
        attempt()


@pytest.mark.parametrize("asked", TOO_LITTLE)
def test_a_folder_says_so_and_takes_the_video_when_it_may(video: Path, tmp_path: Path, asked: str) -> None:
    limits, reason = TOO_LITTLE[asked]
    config = ClipConfig(size=8)
    refused = preprocess_directory(video.parent, tmp_path / "clips", config=config, limits=limits)
    assert refused["status"].tolist() == ["failed"]
    assert re.search(reason, refused["error"][0])
    taken = preprocess_directory(video.parent, tmp_path / "clips", config=config, limits=EXACTLY)
    assert taken[["status", "frames"]].to_numpy().tolist() == [["ok", 12]]


def test_what_is_exactly_allowed_is_read(video: Path) -> None:
    with SampledFrames(video, ClipConfig(size=8), limits=EXACTLY) as frames:
        assert len(list(frames)) == 12


def test_a_pause_of_half_a_day_is_found_where_the_usual_spacing_hides_it(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.08, HALF_A_DAY]
    video = write_media(tmp_path / "paused.mkv", flat_frames(4), times)
    assert read(video)[0].tolist() == pytest.approx(times)
    limits = VideoLimits(max_video_seconds=HALF_A_DAY - 1)
    with (
        pytest.raises(InputError, match=r"at most 43199 seconds .* found 43200"),
        SampledFrames(video, ClipConfig(size=8), limits=limits) as frames,
    ):
        list(frames)
    with pytest.raises(InputError, match=r"at most 43199 seconds"):  # its copy would have half a million pictures
        decode_copy(video, CopyConfig(), limits, Nobody(), alive=nothing)
