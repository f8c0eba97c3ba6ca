"""Real files that trip video readers up: one row each, and an independent reader (PyAV) as the judge."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from preprocessing import load_clip, preprocess_directory
from preprocessing.clips import clip_path, load_times, times_path
from preprocessing.config import ClipConfig
from tests.support.media import decode_media

pytestmark = pytest.mark.slow

FRAMES, SIZE = 2000, 32  # more than any of them has: every frame is kept

# Name -> frames and seconds of the last frame, or the words that its failure must hold; or, where it depends on the
# version of OpenCV, all three.
EXPECTED: dict[str, tuple[int, float] | tuple[int, float, str] | str] = {
    "dec_corrupted.mp4": (49, 4.9),  # a packet in the middle is broken
    "dec_video_270.mov": (3, 2 / 30),  # asks to be turned by 270 degrees
    "dec_video_90.mov": (3, 2 / 30),  # asks to be turned by 90 degrees
    "dn_sample_mpeg2.m2v": (149, 4.93, "cannot turn its pictures into pixels"),  # its colour description makes no sense
    "exo_bear-vp9-odd-dimensions.webm": (30, 0.968),  # 161 x 121
    "exo_invalid-bitstream.webm": "none of its 51 packets could be decoded",
    "exo_sample.flv": (30, 0.967),  # says 1000 frames per second
    "exo_sample_android_slow_motion.mp4": (7, 0.492),  # variable rate, a third of a second of stillness first
    "exo_sample_fragmented.mp4": (30, 0.968),
    "exo_video_desks.3gp": (71, 4.956),  # variable rate, text that is no UTF-8
    "fa_04_pandas_muted.avi": (300, 9.97),  # times jump back; the last two frames have none
    "ff_te[s]t_ video ' _ .flv": (10, 1.792),  # says 45 frames
    "iio_imageio_issue245.gif": (1, 0.0),  # a single frame
    "iio_newtonscradle.gif": (36, 0.8),  # variable rate
    "jet_error.mp4": "no decoder opens",  # 83 bytes of text
    "mack_trailer.webm": "no decoder opens",  # encrypted
    "mp_-video-with-dash-.mp4": (5, 4.0),  # 1 x 1 pixel
    "mp_no_duration.webm": (74, 4.872),  # declares a negative number of frames
    "mp_result.webm": "empty",
    "mp_transparent.webm": (150, 4.967),  # with alpha
    "os_test1.mp4": (21, 20 / 29.97, "interlaced"),  # OpenCV 4.13 and 4.14 hand out memory instead of its pictures
    "pop_italia.mp4": "no decoder opens",  # sound only
    "pop_trailer.mp4": (1549, 64.5),  # 10 x 6 pixels
    "tc_av1_video.mkv": (125, 4.96),
    "tc_h265_10bits.mp4": (30, 29 / 30),
}


@pytest.fixture(scope="module")
def folder(oddities: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    clips = tmp_path_factory.mktemp("clips")
    manifest = preprocess_directory(oddities, clips, config=ClipConfig(frames=FRAMES, size=SIZE), jobs=2)
    return clips, manifest.set_index("source")


def test_every_file_has_a_row_and_ids_count_up(folder: tuple[Path, pd.DataFrame]) -> None:
    _, manifest = folder
    assert set(manifest.index) == set(EXPECTED)
    ids = manifest.loc[manifest["status"] == "ok", "trailer_id"]
    assert ids.tolist() == list(range(len(ids)))
    assert manifest.loc[manifest["status"] == "failed", "trailer_id"].isna().all()


@pytest.mark.parametrize("name", EXPECTED)
def test_oddity(folder: tuple[Path, pd.DataFrame], oddities: Path, name: str) -> None:
    clips, manifest = folder
    row, expected = manifest.loc[name], EXPECTED[name]
    if isinstance(expected, str) or (len(expected) == 3 and row["status"] == "failed"):
        assert row["status"] == "failed"
        assert (expected if isinstance(expected, str) else expected[2]) in row["error"]
        assert "\n" not in row["error"]
        return
    assert row["status"] == "ok", row["error"]
    clip, times = load_clip(clip_path(clips, row["trailer_id"])), load_times(times_path(clips, row["trailer_id"]))
    frames, last = expected[:2]
    assert clip.shape == (frames, 3, SIZE, SIZE)
    assert len(times) == frames == row["decoded_frames"]
    assert times[-1] - times[0] == pytest.approx(last, abs=0.05 if frames > 1 else 1e-9)
    _check_against_independent_reader(oddities / name, row, np.asarray(clip), times)


def test_a_time_base_is_no_rate(folder: tuple[Path, pd.DataFrame]) -> None:
    # It has 30 pictures in a second; the average that FFmpeg finds is 1000, and the stream's ticks are 60.
    assert folder[1].loc["exo_sample.flv", "fps"] == pytest.approx(30, abs=0.1)


def _check_against_independent_reader(path: Path, row: Any, clip: np.ndarray, times: np.ndarray) -> None:
    true_times, pictures = decode_media(path)
    assert len(pictures) == len(clip)
    if row["timing"] == "timestamps":
        np.testing.assert_allclose(times, true_times, atol=1e-6)
    turns = {0: None, 90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
    turn = turns[int(row["rotation"])]
    for picture, frame in list(zip(pictures, clip, strict=True))[:: math.ceil(len(clip) / 60)]:
        upright = picture if turn is None else cv2.rotate(picture, turn)
        rows, cols = upright.shape[:2]
        assert (row["height"], row["width"]) == (rows, cols)
        small = cv2.resize(upright, (min(cols, SIZE), min(rows, SIZE)), interpolation=cv2.INTER_AREA)
        small = cv2.resize(small, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
        difference = np.abs(frame.transpose(1, 2, 0).astype(int) - small)
        assert difference.mean() < 2  # grey levels; 10-bit colour is rounded differently by the two
