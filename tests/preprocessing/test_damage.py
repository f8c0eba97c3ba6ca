"""Damaged videos: broken packets cost their own frames only, and the same file gives the same clip every time."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from preprocessing import load_clip, preprocess_directory, preprocess_trailer
from preprocessing.base.errors import InputError
from preprocessing.clips import clip_path, load_times, times_path
from preprocessing.config import ClipConfig, VideoLimits
from preprocessing.decode_pass import Reading, scan_video
from preprocessing.manifest import read_manifest
from tests.support.media import damage, decode_media, read, rewrite_packets, write_media

SIDE = 64  # pixels
CONFIG = ClipConfig(frames=1000, size=SIDE)
BROKEN = (7, 20, 21, 33, 59)  # the last one is the last packet


def moving_blocks(count: int = 60) -> np.ndarray:
    """Return a picture of blocks that moves sideways: uint8, (count, SIDE, SIDE, 3), RGB."""
    blocks = np.random.default_rng(3).integers(0, 256, (8, 16, 3), dtype=np.uint8)
    wide = np.kron(blocks, np.ones((8, 8, 1), np.uint8))
    return np.stack([np.roll(wide, -2 * index, axis=1)[:, :SIDE] for index in range(count)])


@pytest.fixture(scope="module")
def blocks() -> np.ndarray:
    return moving_blocks()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("v.webm", "libvpx", "yuv420p"),
        ("v9.webm", "libvpx-vp9", "yuv420p"),
        ("v.mp4", "libx264", "yuv420p"),
        ("v.mov", "prores", "yuv422p10le"),
    ],
)
def test_broken_packets_are_skipped_and_counted(
    blocks: np.ndarray, tmp_path: Path, name: str, codec: str, pix_fmt: str
) -> None:
    path = damage(write_media(tmp_path / name, blocks, codec=codec, pix_fmt=pix_fmt), BROKEN)
    times, frames, fields = read(path, CONFIG)
    true_times, pictures = decode_media(path)
    assert len(frames) == len(pictures) == fields["decoded_frames"]
    assert 50 < len(frames) < 60
    assert fields["skipped_packets"] == 60 - len(frames)
    np.testing.assert_allclose(times, true_times, atol=1e-3)
    preprocess_trailer(path, tmp_path / "clips", config=ClipConfig(frames=30, size=SIDE))
    assert load_times(times_path(tmp_path / "clips", 0))[[0, -1]] == pytest.approx(true_times[[0, -1]], abs=1e-3)


def test_undamaged_videos_skip_nothing(blocks: np.ndarray, tmp_path: Path) -> None:
    # Packets that give no frame of their own: VP8's alternative references.
    options = {"auto-alt-ref": "1", "lag-in-frames": "16", "deadline": "good"}
    path = write_media(tmp_path / "v.webm", blocks, codec="libvpx", pix_fmt="yuv420p", options=options)
    _, frames, fields = read(path, CONFIG)
    assert (len(frames), fields["skipped_packets"]) == (60, 0)


def hiding_packets(kind: str, blocks: np.ndarray, folder: Path) -> Path:
    """Write a video of 60 packets, of which 25 lie before the edit, or 3 are empty: those are meant to show nothing."""
    if kind == "edit list":
        whole = write_media(folder / "whole.mp4", blocks, codec="libx264", pix_fmt="yuv420p")
        return rewrite_packets(whole, folder / "v.mp4", cut=1.0)
    whole = write_media(folder / "whole.nut", blocks, codec="libvpx", pix_fmt="yuv420p")
    return rewrite_packets(whole, folder / "v.nut", emptied=(5, 6, 20))


HIDDEN = {"edit list": 25, "empty packets": 3}


@pytest.mark.parametrize("kind", HIDDEN)
def test_packets_that_are_to_show_nothing_are_no_damage(kind: str, blocks: np.ndarray, tmp_path: Path) -> None:
    path = hiding_packets(kind, blocks, tmp_path)
    times, frames, fields = read(path, CONFIG)
    true_times, pictures = decode_media(path)
    assert len(frames) == len(pictures) == 60 - HIDDEN[kind]
    assert fields["skipped_packets"] == 0
    np.testing.assert_allclose(times, true_times, atol=1e-3)
    # One decoding is enough: there is no sign of damage, and the packets tell the times.
    video = scan_video(path, VideoLimits(), lambda: None)
    reading = Reading(video, threads=2, stop_at_damage=True)
    assert sum(1 for _ in reading.frames()) == len(frames)
    np.testing.assert_allclose(video.clock(video.packet_times)[0], reading.clock()[0])


@pytest.mark.parametrize("kind", HIDDEN)
def test_damage_beside_packets_that_are_to_show_nothing_counts(kind: str, blocks: np.ndarray, tmp_path: Path) -> None:
    path = damage(hiding_packets(kind, blocks, tmp_path), (33, 40, 56))
    _, frames, fields = read(path, CONFIG)
    _, pictures = decode_media(path)
    assert len(frames) == len(pictures) < 60 - HIDDEN[kind]
    assert fields["skipped_packets"] == 60 - HIDDEN[kind] - len(frames)


@pytest.mark.parametrize(
    ("emptied", "damaged"), [((58, 59), (33,)), ((50, 58, 59), (33, 40)), ((57, 58, 59), (10, 11, 12))]
)
def test_damage_before_empty_packets_counts(
    emptied: tuple[int, ...], damaged: tuple[int, ...], blocks: np.ndarray, tmp_path: Path
) -> None:
    whole = write_media(tmp_path / "whole.nut", blocks, codec="libvpx", pix_fmt="yuv420p")
    path = damage(rewrite_packets(whole, tmp_path / "v.nut", emptied=emptied), damaged)
    _, frames, fields = read(path, CONFIG)
    assert fields["skipped_packets"] == 60 - len(emptied) - len(frames) == len(damaged)


def test_a_video_of_broken_packets_alone_fails_and_one_cut_short_ends(blocks: np.ndarray, tmp_path: Path) -> None:
    path = write_media(tmp_path / "v.mkv", blocks)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    _, pictures = decode_media(path)
    times, frames, _ = read(path, CONFIG)
    assert 20 < len(frames) == len(pictures) < 40
    assert (np.diff(times) > 0).all()
    path = damage(write_media(tmp_path / "v.mov", blocks, codec="prores", pix_fmt="yuv422p10le"), range(60))
    with pytest.raises(InputError, match="none of its 60 packets could be decoded"):
        read(path, CONFIG)


@pytest.mark.slow
@pytest.mark.parametrize(("side", "seed"), [(128, 2), (128, 4), (192, 0)])
def test_a_damaged_video_is_decoded_by_one_thread(tmp_path: Path, side: int, seed: int) -> None:
    # Large enough that two threads meet in the pictures that the damage reaches.
    spots = np.random.default_rng(3).integers(0, 256, (side // 8, side // 4, 3), dtype=np.uint8)
    wide = cv2.resize(spots, (2 * side, side), interpolation=cv2.INTER_CUBIC)
    moving = np.stack([np.roll(wide, -3 * index, axis=1)[:, :side] for index in range(40)])
    options = {"x264-params": "keyint=60:bframes=2"}
    path = write_media(tmp_path / "v.mp4", moving, codec="libx264", pix_fmt="yuv420p", options=options)
    damage(path, (6, 9, 14, 24, 30), seed=seed, offset=40)
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    pictures = [capture.retrieve()[1][:, :, ::-1].transpose(2, 0, 1) for _ in range(41) if capture.grab()]
    config = ClipConfig(frames=100, size=side)
    preprocess_trailer(path, tmp_path / "clips", config=config)
    np.testing.assert_array_equal(load_clip(clip_path(tmp_path / "clips", 0)), pictures)
    np.testing.assert_array_equal(read(path, config)[1], pictures)  # streamed, too


def test_the_manifest_counts_and_keeps_what_was_skipped(blocks: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "trailers").mkdir()
    path = write_media(tmp_path / "trailers" / "a.mov", blocks, codec="prores", pix_fmt="yuv422p10le")
    write_media(tmp_path / "trailers" / "b.mkv", blocks)
    damage(path, BROKEN)
    for _ in range(2):
        manifest = preprocess_directory(tmp_path / "trailers", tmp_path / "clips", config=CONFIG)
        assert manifest["skipped_packets"].tolist() == [5, 0]
        assert read_manifest(tmp_path / "clips")["decoded_frames"].tolist() == [55, 60]
