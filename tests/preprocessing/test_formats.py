"""Formats: every codec, colour description and depth against what went in and against an independent reader."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

from preprocessing.base.errors import InputError
from preprocessing.config import ClipConfig
from tests.support.media import decode_media, flat_frames, read, write_media


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ending", "codec", "pix_fmt", "tolerance"),
    [
        (".webm", "libvpx", "yuv420p", 4),
        (".webm", "libvpx-vp9", "yuv420p", 4),
        (".webm", "libvpx-vp9", "yuva420p", 4),
        (".mkv", "libsvtav1", "yuv420p", 4),
        (".mp4", "libx264", "yuv420p", 4),
        (".mp4", "libx264", "yuv444p", 2),
        (".ts", "libx264", "yuv420p", 4),
        (".mp4", "libx265", "yuv420p", 4),
        (".mp4", "libx265", "yuv420p10le", 4),
        (".mpg", "mpeg1video", "yuv420p", 6),
        (".mpg", "mpeg2video", "yuv420p", 6),
        (".m2v", "mpeg2video", "yuv420p", 6),
        (".avi", "mpeg4", "yuv420p", 6),
        (".mp4", "mpeg4", "yuv420p", 6),
        (".avi", "mjpeg", "yuvj420p", 6),
        (".gif", "gif", "rgb8", 40),
        (".mkv", "ffv1", "bgra", 0),
        (".mov", "png", "rgb24", 0),
        (".mov", "prores_ks", "yuv422p10le", 4),
    ],
)
def test_codecs(tmp_path: Path, ending: str, codec: str, pix_fmt: str, tolerance: int) -> None:
    source = np.repeat(flat_frames(6, rows=64, cols=96, seed=3), 4, axis=0)
    path = write_media(tmp_path / f"v{ending}", source, codec=codec, pix_fmt=pix_fmt)
    times, frames, _ = read(path)
    true_times, pictures = decode_media(path)
    assert len(frames) == len(pictures) >= 23
    np.testing.assert_allclose(times - times[0], np.arange(len(times)) / 25, atol=0.002)
    if not np.isnan(true_times).any():
        np.testing.assert_allclose(np.diff(times), np.diff(true_times), atol=0.002)
    difference = np.abs(frames[:, :, 10:20, 10:20].mean((2, 3)) - source[: len(frames), 0, 0])
    assert difference.mean() <= tolerance


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ending", "codec"),
    [(".h264", "libx264"), (".264", "libx264"), (".hevc", "libx265"), (".m2v", "mpeg2video"), (".m4v", "mpeg4")],
)
@pytest.mark.parametrize("fps", [60.0, 24000 / 1001])
def test_raw_streams_have_their_own_rate(tmp_path: Path, ending: str, codec: str, fps: float) -> None:
    # Dark, and light from the 31st frame on.
    source = np.repeat(np.array([40, 200], np.uint8), 30)[:, None, None, None] * np.ones((1, 48, 64, 3), np.uint8)
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    raw = "m4v" if ending == ".m4v" else None
    path = write_media(
        tmp_path / f"v{ending}", source, fps=fps, codec=codec, pix_fmt="yuv420p", options=options, container_format=raw
    )
    times, frames, fields = read(path)
    assert len(frames) == 60
    assert fields["fps"] == pytest.approx(fps)
    np.testing.assert_allclose(times - times[0], np.arange(60) / fps, atol=0.002)
    assert times[frames.mean((1, 2, 3)) > 120][0] == pytest.approx(30 / fps, abs=1.5 / fps)


@pytest.mark.slow
def test_a_raw_stream_that_says_no_rate_has_ffmpeg_s(tmp_path: Path) -> None:
    options = {"x265-params": "log-level=none:vui-timing-info=0"}
    path = tmp_path / "v.hevc"
    write_media(path, flat_frames(50), fps=60, codec="libx265", pix_fmt="yuv420p", options=options)
    times, _, fields = read(path)
    assert fields["fps"] == 25
    np.testing.assert_allclose(times, np.arange(50) / 25)


def test_grey_becomes_rgb(tmp_path: Path) -> None:
    path = write_media(tmp_path / "v.mkv", flat_frames(3), pix_fmt="gray")
    frames = read(path)[1]
    assert (np.ptp(frames.astype(int), axis=1) == 0).all()
    expected = flat_frames(3)[:, 0, 0] @ [0.299, 0.587, 0.114]
    assert np.abs(frames[:, 0, 0, 0] - expected).max() < 20


def _encode(path: Path, source: np.ndarray, codec: str, fps: int, colour: Sequence[Any], tags: Sequence[int]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps, options={"crf": "12"})
        stream.height, stream.width = source.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.colorspace, stream.codec_context.color_range = tags
        for picture in source:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace=colour[0], dst_color_range=colour[1])
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_two_encodes_of_one_film_give_the_same_clip(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    small = rng.uniform(20, 235, (4, 7, 3))
    film = [
        cv2.resize(np.roll(small, step // 12, axis=1), (256, 144), interpolation=cv2.INTER_CUBIC) for step in range(96)
    ]
    source = np.clip(np.stack(film), 0, 255).astype(np.uint8)
    half = np.stack([cv2.resize(picture, (128, 72), interpolation=cv2.INTER_AREA) for picture in source[::2]])
    one = _encode(tmp_path / "1.mp4", source, "libx264", 24, (Colorspace.ITU709, ColorRange.MPEG), (1, 1))
    two = _encode(tmp_path / "2.webm", half, "libvpx-vp9", 12, (Colorspace.ITU601, ColorRange.JPEG), (5, 2))
    config = ClipConfig(frames=20, size=40)
    times_one, frames_one, _ = read(one, config)
    times_two, frames_two, _ = read(two, config)
    assert np.abs(times_one - times_two).max() <= 1 / 12 + 1e-3
    assert np.abs(frames_one.astype(int) - frames_two).mean() < 3


def test_pictures_that_opencv_does_not_convert_are_noticed(tmp_path: Path) -> None:
    source = np.random.default_rng(0).integers(60, 200, (30, 64, 96, 3), dtype=np.uint8)
    path = tmp_path / "interlaced.mp4"
    options = {"x264-params": "interlaced=1:tff=1"}
    write_media(path, source, codec="libx264", pix_fmt="yuv420p", options=options)
    if cv2.__version__.startswith(("4.13.", "4.14.")):
        with pytest.raises(InputError, match=r"interlaced.*ffmpeg -i"):
            read(path, ClipConfig(size=96))
    else:
        frames = read(path, ClipConfig(size=96))[1].transpose(0, 2, 3, 1)
        expected = [cv2.resize(picture, (96, 96)) for picture in decode_media(path)[1]]
        assert np.abs(frames.astype(int) - np.stack(expected)).mean() < 3
