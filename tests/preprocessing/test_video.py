"""Reading and writing videos: known pixels and known times, through every format and option."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from preprocessing import load_clip, preprocess_trailer
from preprocessing.base.errors import InputError, WorkError
from preprocessing.clips import clip_path, load_times, times_path
from preprocessing.config import ClipConfig
from preprocessing.reader_client import SampledFrames
from preprocessing.video import write_video
from tests.support.media import damage, decode_media, flat_frames, read, reader_processes, write_media


def gradient(rows: int, cols: int) -> np.ndarray:
    """Return one picture whose every corner differs: uint8, (1, rows, cols, 3), RGB."""
    picture = np.full((1, rows, cols, 3), 60, np.uint8)
    picture[0, : rows // 2, : cols // 2] = (200, 40, 40)
    picture[0, : rows // 2, cols // 2 :] = (40, 200, 40)
    picture[0, rows // 2 :, : cols // 2] = (40, 40, 200)
    return picture


def corners(frame: np.ndarray) -> list[str]:
    """Return the colours of a planar RGB frame's corners, clockwise from the top left."""
    names = {0: "red", 1: "green", 2: "blue"}
    spots = [frame[:, 4, 4], frame[:, 4, -5], frame[:, -5, -5], frame[:, -5, 4]]
    return [names[int(spot.argmax())] if np.ptp(spot.astype(int)) > 50 else "grey" for spot in spots]


# --- times and pixels ---------------------------------------------------------------------------------------------


def test_lossless_pixels_and_variable_times_come_back_exactly(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    source = rng.integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
    true_times = np.round(np.concatenate([[0.0], np.cumsum(rng.uniform(0.005, 0.5, 39))]), 3)
    path = write_media(tmp_path / "v.mkv", source, true_times)
    times, frames, fields = read(path)
    np.testing.assert_allclose(times, true_times, atol=1e-6)
    np.testing.assert_array_equal(frames, source.transpose(0, 3, 1, 2))
    assert fields["timing"] == "timestamps"
    assert fields["decoded_frames"] == 40


def test_sampling_goes_by_time_not_by_frame_number(tmp_path: Path) -> None:
    slow, fast = np.arange(10) * 1.0, 10 + np.arange(500) / 50  # ten seconds each
    path = write_media(tmp_path / "v.mkv", flat_frames(510), np.concatenate([slow, fast]))
    times, _, _ = read(path, ClipConfig(frames=20, size=8))
    assert len(times) == 20
    assert np.abs(times - np.linspace(0, times[-1], 20)).max() <= 0.55
    at_rate, _, _ = read(path, ClipConfig(frames=100, size=8, fps=2.0))
    np.testing.assert_allclose(at_rate[:10], slow, atol=1e-3)
    np.testing.assert_allclose(np.diff(at_rate[10:]), 0.5, atol=1e-3)
    capped, _, _ = read(path, ClipConfig(frames=7, size=8, fps=2.0))
    np.testing.assert_array_equal(capped, at_rate[:7])


def test_streams_without_times_follow_the_frame_rate(tmp_path: Path) -> None:
    path = write_media(tmp_path / "v.h264", flat_frames(30), codec="libx264", pix_fmt="yuv420p")
    times, _, fields = read(path)
    assert fields["timing"] == "frame rate"
    np.testing.assert_allclose(times, np.arange(30) / 25, atol=1e-6)


def test_recordings_joined_end_to_end_go_on_and_may_change_their_size(tmp_path: Path) -> None:
    one = write_media(tmp_path / "1.ts", flat_frames(20, seed=1), codec="libx264", pix_fmt="yuv420p")
    two = write_media(tmp_path / "2.ts", flat_frames(20, rows=96, cols=96), codec="libx264", pix_fmt="yuv420p")
    both = tmp_path / "both.ts"
    both.write_bytes(one.read_bytes() + two.read_bytes())
    times, frames, fields = read(both)
    assert fields["timing"] == "repaired"
    np.testing.assert_allclose(times, np.arange(40) / 25, atol=1e-3)
    expected = [picture[5, 5] for picture in decode_media(both)[1]]
    assert np.abs(frames[:, :, 5, 5].astype(int) - expected).max() <= 6


def test_a_stream_that_is_damaged_is_read_again_for_the_right_picks(oddities: Path, tmp_path: Path) -> None:
    path = oddities / "dec_corrupted.mp4"  # has packets for more frames than can be decoded
    preprocess_trailer(path, tmp_path, config=ClipConfig(frames=10, size=16))
    times = load_times(times_path(tmp_path, 0))
    assert len(times) == 10
    assert times[-1] == pytest.approx(4.9)
    streamed_times, streamed, _ = read(path, ClipConfig(frames=10, size=16))
    np.testing.assert_array_equal(times, streamed_times)
    np.testing.assert_array_equal(load_clip(clip_path(tmp_path, 0)), streamed)


@pytest.mark.parametrize(
    "options",
    [
        {},
        pytest.param({"fps": 3.0}, marks=pytest.mark.slow),
        pytest.param({"trim_bars": True, "fit": "crop"}, marks=pytest.mark.slow),
    ],
)
def test_streaming_gives_the_bytes_of_the_clip(real_trailers: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    path = real_trailers / "tos_film_17s_800p_vp9.webm"
    config = ClipConfig(frames=40, size=48, **options)
    preprocess_trailer(path, tmp_path, config=config)
    times, frames, _ = read(path, config)
    np.testing.assert_array_equal(frames, load_clip(clip_path(tmp_path, 0)))
    np.testing.assert_array_equal(times, load_times(times_path(tmp_path, 0)))


# --- the shape of the picture -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        (0, ["red", "green", "grey", "blue"]),
        (90, ["green", "grey", "blue", "red"]),
        (180, ["grey", "blue", "red", "green"]),
        (270, ["blue", "red", "green", "grey"]),
    ],
)
def test_rotation_is_applied_once(tmp_path: Path, turn: int, expected: list[str]) -> None:
    path = turned_media(tmp_path, *{0: (0, 1), 90: (1, 0), 180: (0, -1), 270: (-1, 0)}[turn])
    _, frames, fields = read(path)
    assert fields["rotation"] == (360 - turn) % 360
    assert (fields["width"], fields["height"]) == ((64, 96) if turn % 180 else (96, 64))
    assert corners(frames[0]) == expected


def test_a_rotation_that_makes_no_sense_turns_nothing_and_says_so(tmp_path: Path) -> None:
    _, frames, fields = read(turned_media(tmp_path, 0.7, -0.6))
    assert (fields["rotation"], fields["width"], fields["height"]) == (0, 96, 64)
    assert corners(frames[0]) == ["red", "green", "grey", "blue"]


def turned_media(folder: Path, sine: float, cosine: float) -> Path:
    """Write a picture of 64 rows and 96 columns whose display matrix turns it anticlockwise."""
    plain = write_media(folder / "p.mp4", gradient(64, 96), codec="libx264", pix_fmt="yuv420p")
    turned = bytearray(plain.read_bytes())
    # The track's display matrix, 16.16 fixed point.
    identity = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0x4000]]) * 0x10000
    matrix = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 0x4000]]) * 0x10000
    track = turned.index(identity.astype(">i4").tobytes(), turned.index(b"tkhd"))
    turned[track : track + 36] = matrix.astype(">i4").tobytes()
    path = folder / "turned.mp4"
    path.write_bytes(turned)
    return path


def test_fit(tmp_path: Path) -> None:
    path = write_media(tmp_path / "v.mkv", gradient(32, 64))
    stretched = read(path)[1][0]
    assert corners(stretched) == ["red", "green", "grey", "blue"]
    boxed = read(path, ClipConfig(size=32, fit="letterbox"))[1][0]
    assert boxed[:, :8].max() == boxed[:, 24:].max() == 0
    assert corners(boxed[:, 8:24]) == ["red", "green", "grey", "blue"]
    source = gradient(32, 64)[0].transpose(2, 0, 1)
    np.testing.assert_array_equal(boxed[:, 8:24], source.reshape(3, 16, 2, 32, 2).mean((2, 4)))
    cut = read(path, ClipConfig(size=32, fit="crop"))[1][0]
    np.testing.assert_array_equal(cut, source[:, :, 16:48])


def test_shapes_of_pixels_count_where_shapes_are_kept(tmp_path: Path) -> None:
    options = {"x264-params": "sar=2/1"}  # shown twice as wide as high
    path = write_media(tmp_path / "v.mp4", gradient(64, 64), codec="libx264", pix_fmt="yuv420p", options=options)
    boxed = read(path, ClipConfig(size=32, fit="letterbox"))[1][0]
    assert boxed[:, :8].max() == boxed[:, 24:].max() == 0
    assert boxed[:, 8:24].sum(axis=0).min() > 60
    cut = read(path, ClipConfig(size=32, fit="crop"))[1][0]
    assert corners(cut) == ["red", "green", "grey", "blue"]


def test_bars_are_trimmed_only_where_they_stay(tmp_path: Path) -> None:
    picture = np.zeros((40, 60, 80, 3), np.uint8)
    rng = np.random.default_rng(0)
    picture[:, 10:50] = rng.integers(60, 250, (40, 1, 1, 3))
    picture[:20, 10:50, :30] = 0  # dark for a while, but no bar
    picture[:, :, :2] = rng.integers(0, 12, (40, 60, 2, 1))  # noise
    path = write_media(tmp_path / "v.mkv", picture)
    trimmed = read(path, ClipConfig(size=32, trim_bars=True))[1]
    assert trimmed[-1].min() >= 60
    assert trimmed[0][:, :, :10].max() == 0
    dark = write_media(tmp_path / "dark.mkv", np.zeros((5, 60, 80, 3), np.uint8))
    assert read(dark, ClipConfig(size=32, trim_bars=True))[1].max() == 0


LARGE = ((480, 854), (1080, 1920))


@pytest.mark.parametrize(
    "shape", [(1, 1), (3, 5), (7, 300), (500, 30), *(pytest.param(one, marks=pytest.mark.slow) for one in LARGE)]
)
@pytest.mark.parametrize("size", [16, 100])
def test_shrinking_averages_areas(tmp_path: Path, shape: tuple[int, int], size: int) -> None:
    # Smooth, as film is, with noise on top, as film has.
    rng = np.random.default_rng(1)
    smooth = cv2.resize(rng.uniform(40, 215, (6, 9, 3)), shape[::-1], interpolation=cv2.INTER_CUBIC)
    source = np.clip(np.atleast_3d(smooth) + rng.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)
    frame = read(write_media(tmp_path / "v.mkv", source[None]), ClipConfig(size=size))[1][0].transpose(1, 2, 0)
    inner = (min(size, shape[1]), min(size, shape[0]))
    expected = cv2.resize(source.astype(np.float64), inner, interpolation=cv2.INTER_AREA)
    expected = cv2.resize(expected, (size, size), interpolation=cv2.INTER_LINEAR)
    assert np.abs(frame - expected).mean() < 1.0


# --- limits -------------------------------------------------------------------------------------------------------


def test_huge_pictures_are_refused(tmp_path: Path) -> None:
    path = write_media(tmp_path / "v.ivf", flat_frames(3), codec="libvpx", pix_fmt="yuv420p")
    data = bytearray(path.read_bytes())
    start = data.index(b"\x9d\x01\x2a") + 3  # VP8's own frame header: 14 bits of width, 14 of height
    data[start : start + 4] = data[12:16] = (16_000).to_bytes(2, "little") * 2  # and the container's
    path.write_bytes(data)
    with pytest.raises(InputError, match="16000 x 16000"):
        read(path)


@pytest.mark.slow
def test_memory_stays_small_however_long_the_video(tmp_path: Path) -> None:
    source = np.broadcast_to(
        np.random.default_rng(0).integers(0, 255, (1, 360, 640, 3), dtype=np.uint8), (1000, 360, 640, 3)
    )
    path = write_media(tmp_path / "v.avi", source, codec="mjpeg", pix_fmt="yuvj420p")
    with SampledFrames(path, ClipConfig(frames=1000, size=400)) as frames:
        (reader,) = reader_processes()
        most = max(reader.memory_info().rss for _ in zip(range(999), frames, strict=False))
    assert len(frames) == 1000
    assert most < 365e6  # 300 MB over an interpreter with OpenCV and NumPy, which takes 65 MB


# --- two clips of one decoding ---------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plain", "damaged", "barred", "uneven"])
def test_two_clips_of_one_decoding_are_those_of_two(tmp_path: Path, kind: str) -> None:
    source = np.random.default_rng(1).integers(0, 256, (50, 48, 64, 3), dtype=np.uint8)
    times = None
    if kind == "barred":
        source[:, :8] = source[:, -8:] = 0
    if kind == "uneven":
        times = np.cumsum(np.random.default_rng(2).choice([0.04, 0.3], 50)).tolist()
    lossy = {"codec": "mpeg4", "pix_fmt": "yuv420p"} if kind == "damaged" else {}
    path = write_media(tmp_path / ("v.avi" if lossy else "v.mkv"), source, times, **lossy)
    if lossy:
        damage(path, [20, 33])
    one = ClipConfig(frames=1000, size=16, fps=10, trim_bars=kind == "barred")
    other = ClipConfig(frames=1000, size=24, fps=3)
    alone = [read(path, config) for config in (one, other)]
    with SampledFrames(path, one, exact=False, beside=other, thumbnails=5) as frames:
        chunks = list(frames.chunks(4))
    at = max([0, *(number for number, chunk in enumerate(chunks) if chunk.anew)])  # all before is void
    chunks = chunks[at:]
    assert {len(chunk.times) for chunk in chunks[:-1]} == {4}
    np.testing.assert_array_equal(np.concatenate([chunk.pixels for chunk in chunks]), alone[0][1])
    np.testing.assert_array_equal([time for chunk in chunks for time in chunk.times], alone[0][0])
    beside = [pair for chunk in chunks for pair in chunk.beside]
    np.testing.assert_array_equal(np.stack([frame for _, frame in beside]), alone[1][1])
    np.testing.assert_array_equal([time for time, _ in beside], alone[1][0])
    assert frames.fields == alone[0][2]
    assert len(frames.thumbnails) == 5
    for number, chunk in enumerate(chunks):  # all that holds for these frames is there by then, and little more
        latest = [time for before in chunks[: number + 1] for time, _ in before.beside]
        expected = alone[1][0][alone[1][0] <= chunk.times[-1]]
        assert latest == expected.tolist() or number == len(chunks) - 1


# --- writing ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".mp4", ".avi"])
def test_written_videos_come_back(tmp_path: Path, ending: str) -> None:
    source = np.repeat(flat_frames(5, rows=64, cols=96, seed=9), 5, axis=0)
    path = tmp_path / f"v{ending}"
    write_video(path, iter(source), 20.0)
    times, pictures = decode_media(path)
    np.testing.assert_allclose(times, np.arange(25) / 20, atol=1e-6)
    assert np.abs(np.stack(pictures).mean((1, 2)) - source[:, 0, 0]).mean() < 6
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


def test_nothing_half_written_stays(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected frames to write"):
        write_video(tmp_path / "v.mp4", [], 20.0)
    with pytest.raises(InputError, match="expected frames of shape"):
        write_video(tmp_path / "v.mp4", [np.zeros((64, 64, 3), np.uint8), np.zeros((32, 64, 3), np.uint8)], 20.0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", [".mp4", ".avi", ".webm"])
def test_frames_that_do_not_reach_the_disk_are_noticed(
    tmp_path: Path, ending: str, request: pytest.FixtureRequest
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 96, 96, 3), dtype=np.uint8)
    write_video(tmp_path / f"whole{ending}", noise, 25.0)
    size = (tmp_path / f"whole{ending}").stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    request.addfinalizer(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits))
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, limits[1]))
    with pytest.raises(WorkError, match=rf"v\{ending}: could not be written: only \d+ of 40 frames"):
        write_video(tmp_path / f"v{ending}", noise, 25.0)
    assert [item.name for item in tmp_path.iterdir()] == [f"whole{ending}"]
