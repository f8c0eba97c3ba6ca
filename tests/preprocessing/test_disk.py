"""How much disk clips will take, against what they then take."""

from __future__ import annotations

import shutil
from pathlib import Path

import av
import numpy as np
import pytest

from preprocessing import preprocess_directory
from preprocessing.config import ClipConfig, VideoLimits
from preprocessing.disk import expected_bytes, require_disk
from preprocessing.sources import find_videos
from tests.support.media import Track, flat_frames, tone, write_media, write_sounding

STEADY = ClipConfig(fps=15.0, size=32, frames=54_000)
FEW = ClipConfig(frames=20, size=48)


def taken(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def assert_as_expected(trailers: Path, clips: Path, config: ClipConfig) -> None:
    expected, known = expected_bytes([trailers / name for name in find_videos(trailers)], config, VideoLimits())
    assert known
    preprocess_directory(trailers, clips, config=config, jobs=1)
    assert 1 / 1.5 < expected / taken(clips) < 1.5


@pytest.fixture
def trailers(tmp_path: Path) -> Path:
    """Return a folder of a video of 10 pictures a second, one of 25, and one with sound."""
    folder = tmp_path / "trailers"
    folder.mkdir()
    write_media(folder / "slow.mkv", flat_frames(60), fps=10)
    write_media(folder / "fast.mp4", flat_frames(150), codec="mpeg4", pix_fmt="yuv420p")
    write_sounding(folder / "heard.mkv", Track(tone(5.0)), frames=flat_frames(125))
    return folder


@pytest.mark.parametrize("config", [STEADY, FEW, ClipConfig(fps=15.0, size=32, sound=False)])
def test_durations_and_rates_say_how_much_it_will_be(trailers: Path, tmp_path: Path, config: ClipConfig) -> None:
    assert_as_expected(trailers, tmp_path / "clips", config)


@pytest.mark.slow
@pytest.mark.parametrize("config", [STEADY, ClipConfig(size=64)])
def test_real_trailers(real_trailers: Path, tmp_path: Path, config: ClipConfig) -> None:
    assert_as_expected(real_trailers, tmp_path / "clips", config)


def test_a_video_that_does_not_say_how_long_it_lasts_counts_in_full(trailers: Path) -> None:
    write_live(trailers / "live.webm")
    needed, known = expected_bytes([trailers / "live.webm", trailers / "slow.mkv"], STEADY, VideoLimits())
    assert not known
    assert STEADY.frames < needed / (3 * 32**2) < STEADY.frames + 100


def write_live(path: Path) -> None:
    """Write a video whose container does not say how long it lasts, as a recording that was streamed."""
    with av.open(str(path), "w", options={"live": "1"}) as container:
        stream = container.add_stream("libvpx", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for index, pixels in enumerate(flat_frames(30)):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_clips_that_are_there_need_nothing_more(
    trailers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    preprocess_directory(trailers, tmp_path / "clips", config=FEW, jobs=1)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(0, 0, 0))
    preprocess_directory(trailers, tmp_path / "clips", config=FEW, jobs=1)
    require_disk(tmp_path / "clips", [], FEW, VideoLimits())
    assert "of disk" not in caplog.text
