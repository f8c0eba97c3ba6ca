"""Frames and timecode, judged by OpenTimelineIO; start timecodes of files that FFmpeg wrote."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genre_classifier.exports.tagged import RATES, exact_rate, frame_at
from genre_classifier.exports.timecode import start_frame
from genre_classifier.tagging.segments import write_segments
from tests.support.tags_folder import SEGMENTS, exported, tagged


def test_rates_are_exact() -> None:
    known = {
        23.976: Fraction(24000, 1001),
        23.98: Fraction(24000, 1001),
        24.0: Fraction(24),
        25.0: Fraction(25),
        29.97: Fraction(30000, 1001),
        59.94: Fraction(60000, 1001),
        12.5: Fraction(25, 2),
    }
    assert {fps: exact_rate(fps) for fps in known} == known


@given(st.sampled_from(RATES[:-1]), st.floats(0, 7200))
def test_no_frame_is_lost_in_two_hours(rate: Fraction, seconds: float) -> None:
    frame = frame_at(seconds, rate)
    assert abs(Fraction(frame) / rate - Fraction(seconds)) <= 1 / (2 * rate)
    otio = pytest.importorskip("opentimelineio")
    time = otio.opentime.RationalTime(frame, float(rate))
    if otio.opentime.RationalTime.is_smpte_timecode_rate(float(rate)):
        assert start_frame(time.to_timecode(), rate) == frame  # drop-frame at 29.97 and 59.94


@pytest.mark.parametrize(
    ("timecode", "mode", "in_list", "in_video"),
    [
        ("01:00:00;00", "DROP FRAME", "00:00:04;15 00:00:07;07", "01:00:04;15 01:00:07;07"),
        ("01:00:00:00", "NON-DROP FRAME", "00:00:04:15 00:00:07:07", "01:00:04:15 01:00:07:07"),
        ("00:59:58;00", "DROP FRAME", "00:00:04;15 00:00:07;07", "01:00:02;15 01:00:05;07"),
        ("00:58:58;00", "DROP FRAME", "00:00:04;15 00:00:07;07", "00:59:02;17 00:59:05;09"),  # two numbers are left out
        ("00:58:58:00", "NON-DROP FRAME", "00:00:04:15 00:00:07:07", "00:59:02:15 00:59:05:07"),
    ],
)
def test_a_list_counts_as_its_start_timecode_does(
    tmp_path: Path, timecode: str, mode: str, in_list: str, in_video: str
) -> None:
    pytest.importorskip("otio_cmx3600_adapter")
    tags = tagged(tmp_path / "tags", fps=29.97)
    files = exported(tags, tmp_path / "out", "--to", "edl", "--start-timecode", timecode)
    lines = files["film one.comedy.edl"].read_text().splitlines()
    assert lines[1] == f"FCM: {mode}"
    (event,) = (line for line in lines if line.startswith("002"))
    assert event.endswith(f"{in_video} {in_list}")


# --- start timecodes of files ----------------------------------------------------------------------------------------


def media(path: Path, rate: Fraction, timecode: str | None, codec: str = "mpeg4") -> Path:
    """Write a short video with FFmpeg: a timecode goes into a track (mov, mp4), the material package (mxf) or a tag."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        if timecode:
            container.metadata["timecode"] = timecode
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for value in range(4):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 40 * value, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "fps", "timecode", "expected"),
    [
        ("a.mov", 25.0, "10:00:00:05", 900005),
        ("a.mp4", 23.98, "01:00:00:00", 86400),
        ("a.mkv", 25.0, "10:00:00:00", 900000),
        ("a.mxf", 25.0, "10:00:00:00", 900000),
        ("a.mov", 29.97, "01:00:00;00", 107892),
        ("a.mov", 29.97, "01:00:00:00", 108000),
        ("a.mp4", 59.94, "01:00:00;00", 215784),
        ("a.mkv", 25.0, "10:00:00;00", 900000),  # at 25 frames per second no number is dropped
        ("a.mp4", 25.0, None, 0),
    ],
)
def test_a_file_tells_its_start_timecode(
    tmp_path: Path, name: str, fps: float, timecode: str | None, expected: int
) -> None:
    otio = pytest.importorskip("opentimelineio")
    rate = exact_rate(fps)
    video = media(tmp_path / name, rate, timecode, "mpeg2video" if name.endswith("mxf") else "mpeg4")
    tags = tagged(tmp_path / "tags", video=str(video), fps=fps)
    timeline = otio.adapters.read_from_file(str(exported(tags, tmp_path / "out", "--to", "otio")["film one.otio"]))
    assert timeline.global_start_time == otio.opentime.RationalTime(expected, float(rate))
    (clip,) = timeline.find_clips()
    assert clip.media_reference.available_range.start_time.value == expected
    assert clip.markers[1].marked_range.start_time.value == expected + frame_at(2.002, rate)


def test_a_list_of_edits_begins_at_the_timecode_of_its_file(tmp_path: Path) -> None:
    pytest.importorskip("otio_cmx3600_adapter")
    video = media(tmp_path / "a.mov", Fraction(30000, 1001), "01:00:00:00")
    tags = tagged(tmp_path / "tags", video=str(video), fps=29.97)
    text = exported(tags, tmp_path / "out", "--to", "edl")["film one.comedy.edl"].read_text()
    assert "01:00:04:15 01:00:07:07" in text
    text = exported(tags, tmp_path / "out", "--to", "edl", "--start-timecode", "02:00:00;00")[
        "film one.comedy.edl"
    ].read_text()
    assert "02:00:04;15 02:00:07;07" in text  # what is said wins


@pytest.mark.parametrize("timecode", ["25:00:00:00", "noon", "01:00:00"])
def test_a_start_timecode_that_is_none_is_said(tmp_path: Path, timecode: str, capsys) -> None:
    pytest.importorskip("opentimelineio")
    video = media(tmp_path / "a.mkv", Fraction(25), timecode)
    tags = tagged(tmp_path / "tags", video=str(video), fps=25.0)
    exported(tags, tmp_path / "out", "--to", "otio,edl")
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"{video}: expected a start timecode at 25 fps, found '{timecode}'; counted from zero" in error


def test_a_video_that_is_away_is_counted_from_zero(tmp_path: Path, capsys) -> None:
    pytest.importorskip("opentimelineio")
    tags = tagged(tmp_path / "tags")
    exported(tags, tmp_path / "out", "--to", "otio,edl")
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "/videos/film one.mp4: cannot be read for its start timecode; counted from zero" in error


def test_frames_count_from_the_first_picture_and_seconds_from_the_container(tmp_path: Path) -> None:
    """The same segments of a video whose first picture comes late: frames are as before, seconds are later."""
    otio = pytest.importorskip("opentimelineio")
    rate, late = exact_rate(29.97), 2002 / 30000
    early = tagged(tmp_path / "early", fps=29.97)
    shifted = SEGMENTS.assign(start=SEGMENTS["start"] + late, end=SEGMENTS["end"] + late)
    tags = tagged(tmp_path / "late", fps=29.97, start=late, duration=12.5 + late)
    write_segments(tags / "film one" / "segments.csv", shifted)
    options = ("--to", "otio,edl,chapters", "--start-timecode", "01:00:00;00")
    before, after = exported(early, tmp_path / "out1", *options), exported(tags, tmp_path / "out2", *options)
    for name in ("film one.comedy.edl", "film one.musical.edl", "film one.otio"):
        assert before[name].read_text() == after[name].read_text()
    (clip,) = otio.adapters.read_from_file(str(after["film one.otio"])).find_clips()
    assert clip.source_range.duration.value == frame_at(12.5, rate)
    assert "00:00:02.069 --> " in after["film one.chapters.vtt"].read_text()


def test_a_file_that_crashes_its_reader_is_counted_from_zero(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("opentimelineio")
    crashing = tmp_path / "reader"
    crashing.write_text("#!/bin/sh\nkill -SEGV $$")
    crashing.chmod(0o700)
    monkeypatch.setattr("preprocessing.processes.child.sys.executable", str(crashing))
    video = media(tmp_path / "a.mkv", Fraction(25), "01:00:00:00")
    exported(tagged(tmp_path / "tags", video=str(video), fps=25.0), tmp_path / "out", "--to", "otio")
    assert f"{video}: cannot be read for its start timecode; counted from zero" in capsys.readouterr().err
