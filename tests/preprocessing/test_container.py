"""Where times begin, and which files are films: against PyAV, on files that it wrote and on real ones."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from preprocessing import preprocess_directory
from preprocessing.base.errors import InputError
from preprocessing.clips import load_times, times_path
from preprocessing.config import ClipConfig, VideoLimits
from preprocessing.container import read_container
from preprocessing.manifest import read_manifest
from preprocessing.processes.child import Child
from preprocessing.reader_client import READER, SampledFrames, container_job
from preprocessing.video import open_video
from tests.support.media import decode_media, flat_frames, read, write_late_pictures, write_media


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".webm", ".ts", ".mov"])
@pytest.mark.parametrize("begin", [0.0, 10.0])
def test_times_count_from_the_start_of_the_container(tmp_path: Path, ending: str, begin: float) -> None:
    video = write_late_pictures(tmp_path / f"v{ending}", 0.4, begin=begin)
    times, frames, fields = read(video)
    true_times, _ = decode_media(video)
    assert len(frames) == 20
    np.testing.assert_allclose(times, true_times, atol=2e-6)  # FFmpeg rounds the container's start to a millionth
    assert times[0] == pytest.approx(0.4, abs=0.03)  # codecs delay sound by less than that
    assert fields["start"] == times[0]
    assert fields["duration"] == pytest.approx(0.8, abs=0.002)


def test_the_pictures_of_a_rate_are_those_of_the_container_s_clock(tmp_path: Path) -> None:
    video = write_late_pictures(tmp_path / "v.mkv", 0.4)
    times, _, _ = read(video, ClipConfig(size=32, fps=2))
    np.testing.assert_allclose(times, [0.4, 0.48, 1.0], atol=0.03)  # shown at 0, 0.5 and 1


def test_a_late_start_counts_for_the_longest_duration(tmp_path: Path) -> None:
    video = write_late_pictures(tmp_path / "v.mkv", 2.0)
    with pytest.raises(InputError, match="at most 2 seconds"):
        SampledFrames(video, ClipConfig(size=32), limits=VideoLimits(max_video_seconds=2))


def test_the_manifest_tells_clips_with_such_times_apart(tmp_path: Path) -> None:
    (tmp_path / "trailers").mkdir()
    write_late_pictures(tmp_path / "trailers" / "a.mkv", 0.4)
    clips = tmp_path / "clips"
    preprocess_directory(tmp_path / "trailers", clips, config=ClipConfig(size=32), jobs=1)
    (row,) = read_manifest(clips).to_dict("records")
    assert row["start"] == load_times(times_path(clips, 0))[0] == pytest.approx(0.4, abs=0.03)
    # As it was made before: no such column, times from the first picture. It stays as it is.
    table = read_manifest(clips).drop(columns="start")
    table.to_csv(clips / "manifest.csv", index=False)
    np.save(times_path(clips, 0), load_times(times_path(clips, 0)) - row["start"])
    preprocess_directory(tmp_path / "trailers", clips, config=ClipConfig(size=32), jobs=1)
    (row,) = read_manifest(clips).to_dict("records")
    assert row["status"] == "ok"
    assert np.isnan(row["start"])
    assert load_times(times_path(clips, 0))[0] == 0


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("bbb_film_62s_360p.mp4", marks=pytest.mark.slow),
        "caminandes1_30s_180p_av1.webm",
        "chaplin_10s_360p.mp4",
    ],
)
def test_real_trailers(real_trailers: Path, name: str) -> None:
    times, _, _ = read(real_trailers / name, ClipConfig(frames=5000, size=8))
    true_times, _ = decode_media(real_trailers / name)
    assert len(times) == len(true_times)
    close = np.abs(times - true_times) < 1e-6
    assert close.mean() > 0.99  # seven times of bbb jump in the file itself, and are repaired
    assert close[0]
    assert close[-1]


# --- which files are films -------------------------------------------------------------------------------------------

LISTS = {
    "ffconcat": "ffconcat version 1.0\nfile {name}\n",
    "HLS": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n#EXTINF:1,\n{name}\n#EXT-X-ENDLIST\n",
    "DASH": (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT1S" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period>'
        '<AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>{name}</BaseURL>'
        "</Representation></AdaptationSet></Period></MPD>"
    ),
    "SDP": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    "RealMedia list": "rtsp://127.0.0.1/{name}\n",
}


@pytest.mark.parametrize("kind", LISTS)
def test_a_list_of_other_files_is_no_video(tmp_path: Path, kind: str) -> None:
    write_media(tmp_path / "sibling.mp4", flat_frames(10), codec="mpeg4", pix_fmt="yuv420p")
    (tmp_path / "x.mp4").write_text(LISTS[kind].format(name="sibling.mp4"))
    with pytest.raises(InputError, match=r"x\.mp4: expected a video, found"):
        read(tmp_path / "x.mp4")


def test_a_list_is_called_one(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_text(LISTS["ffconcat"].format(name="sibling.mp4"))
    with pytest.raises(InputError, match="found a list of other files"):
        read(tmp_path / "x.mp4")


def test_opencv_opens_no_list_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_media(tmp_path / "sibling.mp4", flat_frames(10), codec="mpeg4", pix_fmt="yuv420p")
    (tmp_path / "x.mp4").write_text(LISTS["ffconcat"].format(name="sibling.mp4"))
    for name, value in READER.environment:
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match="no decoder opens"), open_video(tmp_path / "x.mp4"):
        pass
    with open_video(tmp_path / "sibling.mp4") as video:
        assert video.grab() is not None


def test_a_name_that_is_a_pattern_is_taken_as_it_is(tmp_path: Path) -> None:
    red, blue = np.zeros((2, 1, 48, 64, 3), np.uint8)
    red[..., 0], blue[..., 2] = 255, 255
    write_media(tmp_path / "a01.gif", blue, codec="gif", pix_fmt="rgb8")
    shutil.copy(write_media(tmp_path / "red.gif", red, codec="gif", pix_fmt="rgb8"), tmp_path / "a%02d.gif")
    _, frames, _ = read(tmp_path / "a%02d.gif")
    assert frames[0, 0].mean() > 200  # red, and not its sibling's blue
    assert frames[0, 2].mean() < 50


def test_what_cannot_be_opened_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_bytes(os.urandom(2000))
    assert read_container(tmp_path / "x.mp4") is None


def test_a_reader_that_is_asked_about_a_pipe_does_not_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.mp4")
    reader = Child(READER)
    try:
        reader.ask(container_job(tmp_path / "x.mp4"))
        with pytest.raises(InputError, match="found a pipe"):
            list(reader.answers(30))
    finally:
        reader.close()
