"""Sound beside the clips: where it lies in time, what becomes of odd and damaged sound, and the folder's files."""

from __future__ import annotations

import json
import os
import resource
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from preprocessing import preprocess_directory, preprocess_trailer
from preprocessing.base.errors import InputError, WorkError
from preprocessing.clips import (
    SOUND_RATE,
    clip_path,
    load_clip,
    load_sound,
    load_times,
    read_clip_config,
    sound_path,
    times_path,
)
from preprocessing.config import ClipConfig, VideoLimits
from preprocessing.disk import clip_bytes
from preprocessing.manifest import COLUMNS, read_manifest
from preprocessing.reader_client import SampledFrames, read_sound
from preprocessing.sound import BLOCK, PAST_END_SECONDS, decode_sound
from tests.support.folders import contents
from tests.support.media import Track, damage, flat_frames, tone, write_sounding
from tests.support.notes import logged

CONFIG = ClipConfig(frames=20, size=16)
NO_SOUND = ClipConfig(frames=20, size=16, sound=False)
NO_PICTURES = np.zeros((0, 48, 64, 3), np.uint8)
MILLISECOND = SOUND_RATE // 1000


def heard(video: Path, limits: VideoLimits | None = None) -> np.ndarray:
    """Return the sound of a video, and see that blocks are whole."""
    blocks = list(read_sound(video, limits=limits))
    assert all(len(block) == BLOCK for block in blocks[:-1])
    sound = np.concatenate([np.zeros(0, np.float16), *blocks])
    assert sound.dtype == np.float16
    assert np.isfinite(sound).all()
    return sound.astype(np.float32)


def onset(sound: np.ndarray, level: float = 0.1) -> int:
    """Return the first sample that is loud."""
    return int(np.argmax(np.abs(sound) > level))


def loudness(sound: np.ndarray) -> np.ndarray:
    """Return the root mean square of each tenth of a second."""
    tenths = sound[: len(sound) // 1600 * 1600].reshape(-1, 1600)
    return np.sqrt((tenths**2).mean(axis=1))


# --- what is heard, and when -----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "codec", "rate", "layout", "tolerance"),
    [
        ("v.mov", "pcm_s16le", 48_000, "stereo", 2),
        ("v.mov", "pcm_s16le", 8_000, "mono", 2),
        ("v.mov", "pcm_f32le", 44_100, "5.1", 2),
        ("v.avi", "pcm_s16le", 44_100, "stereo", 2),
        ("v.mkv", "flac", 96_000, "mono", MILLISECOND),  # its clock counts milliseconds
        ("v.mkv", "ac3", 48_000, "5.1", 2 * MILLISECOND),  # what is coded with loss sounds before it begins
        ("v.mp4", "aac", 44_100, "stereo", 2 * MILLISECOND),
        ("v.mp4", "aac", 8_000, "mono", 8 * MILLISECOND),
        ("v.webm", "libopus", 48_000, "stereo", 2 * MILLISECOND),
        ("v.ts", "mp2", 48_000, "stereo", 2 * MILLISECOND),
    ],
)
def test_a_tone_is_heard_when_it_begins(
    tmp_path: Path, name: str, codec: str, rate: int, layout: str, tolerance: int
) -> None:
    channels = {"mono": 1, "stereo": 2, "5.1": 6}[layout]
    samples = tone(2.0, onset=0.7, rate=rate, channels=channels)
    video = write_sounding(tmp_path / name, Track(samples, rate, layout, codec))
    sound = heard(video)
    begin = 0.0 if name == "v.avi" else shift(video)
    assert onset(sound) == pytest.approx((0.7 + begin) * SOUND_RATE + 1, abs=tolerance + 1)
    assert len(sound) == pytest.approx((2.0 + begin) * SOUND_RATE, abs=0.05 * SOUND_RATE)
    steady = sound[int(1.0 * SOUND_RATE) : int(1.8 * SOUND_RATE)]
    spectrum = np.abs(np.fft.rfft(steady * np.hanning(len(steady))))
    assert spectrum.argmax() / len(steady) * SOUND_RATE == pytest.approx(1000, abs=2)
    assert np.abs(steady).max() == pytest.approx(0.5, abs=0.03)  # the mean of all channels, not their sum


def shift(video: Path) -> float:
    """Return the seconds from the start of the container to the first sample that the encoder was given."""
    with SampledFrames(video, ClipConfig(frames=1000, size=16)) as frames:
        return float(frames.times[0])  # both began at 0; an encoder may have begun earlier


def test_channels_are_mixed_to_their_mean(tmp_path: Path) -> None:
    left = tone(1.0)
    left[1] = 0
    sound = heard(write_sounding(tmp_path / "v.mov", Track(left)))
    assert np.abs(sound).max() == pytest.approx(0.25, abs=0.01)
    loud = np.sign(tone(1.0, channels=6))
    sound = heard(write_sounding(tmp_path / "v.mov", Track(loud, layout="5.1", codec="pcm_f32le")))
    assert np.abs(sound).max() == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["v.mkv", "v.mov", "v.ts"])
@pytest.mark.parametrize(("pictures", "begin"), [(0.0, 0.48), (0.48, 0.0), (10.0, 10.48), (10.48, 10.0)])
def test_what_begins_later_is_heard_or_seen_later(tmp_path: Path, name: str, pictures: float, begin: float) -> None:
    codec = "mp2" if name == "v.ts" else "pcm_s16le"
    track = Track(tone(1.0, onset=0.2), codec=codec, begin=begin)
    video = write_sounding(tmp_path / name, track, begin=pictures)
    preprocess_trailer(video, tmp_path / "clips", config=CONFIG)
    sound = load_sound(sound_path(tmp_path / "clips", 0)).astype(np.float32)
    first = load_times(times_path(tmp_path / "clips", 0))[0]
    assert min(first, onset(sound, 0.01) / SOUND_RATE - 0.2) == pytest.approx(0, abs=0.03)
    assert onset(sound) / SOUND_RATE - first == pytest.approx(begin + 0.2 - pictures, abs=0.003)


@pytest.mark.parametrize("seconds", [0.5, 6.0])
def test_sound_shorter_and_longer_than_the_pictures(tmp_path: Path, seconds: float) -> None:
    row = preprocess_trailer(
        write_sounding(tmp_path / "v.mov", Track(tone(seconds))), tmp_path / "clips", config=CONFIG
    )
    assert row["sound"] == seconds
    assert row["duration"] == pytest.approx(2.0)
    assert len(load_sound(sound_path(tmp_path / "clips", 0))) == seconds * SOUND_RATE


def test_the_default_track_is_heard_or_else_the_first(tmp_path: Path) -> None:
    def tracks(default: int | None) -> list[Track]:
        volumes = (0.2, 0.6, 1.0)
        return [Track(volume * tone(1.0), default=number == default) for number, volume in enumerate(volumes)]

    second = heard(write_sounding(tmp_path / "second.mov", *tracks(1)))
    assert np.abs(second).max() == pytest.approx(0.3, abs=0.01)
    none = heard(write_sounding(tmp_path / "none.avi", *tracks(None)))  # a format without defaults
    assert np.abs(none).max() == pytest.approx(0.1, abs=0.01)


def test_gaps_are_silent_and_nothing_is_pushed_away(tmp_path: Path) -> None:
    size = 1024
    steady = tone(2.0)
    gap = heard(write_sounding(tmp_path / "gap.mov", Track(steady, codec="aac", gaps=[(20 * size, 0.5)])))
    whole = heard(write_sounding(tmp_path / "whole.mov", Track(steady, codec="aac")))
    assert len(gap) == pytest.approx(len(whole) + 0.5 * SOUND_RATE, abs=MILLISECOND)
    silent = loudness(gap) < 0.05
    assert silent.sum() == 4  # tenths, and two in which it is silent in part
    assert silent[5:9].all()
    np.testing.assert_allclose(gap[16_000:32_000], whole[8_000:24_000], atol=0.1)  # half a sample, of this tone
    # Stamps that are rounded, or drift by a few milliseconds, are no gaps.
    jitter = [(place * size, 0.004 * (-1) ** place) for place in range(1, 40)]
    jittery = heard(write_sounding(tmp_path / "jitter.mkv", Track(steady, codec="pcm_s16le", gaps=jitter)))
    np.testing.assert_array_equal(jittery, heard(write_sounding(tmp_path / "even.mkv", Track(steady))))


def test_what_overlaps_is_heard_once(tmp_path: Path) -> None:
    size, ramp = 1024, np.linspace(0, 0.9, 48_000, dtype=np.float32)[None]
    early = [(place * size, -0.015) for place in range(10, 15)]  # each packet lasts 0.021 seconds
    track = Track(ramp, layout="mono", gaps=[*early, (20 * size, 0.075)])
    sound = heard(write_sounding(tmp_path / "v.mkv", track))
    assert len(sound) == pytest.approx(SOUND_RATE, abs=2 * MILLISECOND)
    whole = heard(write_sounding(tmp_path / "whole.mov", Track(ramp, layout="mono")))
    np.testing.assert_allclose(sound[:3000], whole[:3000], atol=0.01)
    np.testing.assert_allclose(sound[4200:5400], whole[5400:6600], atol=0.01)  # 0.075 seconds early, as its stamps say
    np.testing.assert_allclose(sound[7200:15_000], whole[7200:15_000], atol=0.01)


def test_two_recordings_one_after_the_other(tmp_path: Path) -> None:
    part = write_sounding(tmp_path / "part.ts", Track(tone(2.0, onset=0.5), codec="mp2"))
    joint = tmp_path / "joint.ts"
    joint.write_bytes(part.read_bytes() * 2)  # the clock is set back
    once, twice = heard(part), heard(joint)
    assert len(twice) == pytest.approx(2 * len(once), abs=0.1 * SOUND_RATE)
    assert (loudness(twice) > 0.2).sum() == pytest.approx(2 * (loudness(once) > 0.2).sum(), abs=2)


def _tags(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield kind and place of each tag of an FLV file."""
    place = 13
    while place + 11 < len(data):
        yield data[place], place
        place += 11 + int.from_bytes(data[place + 1 : place + 4]) + 4


def _flv(path: Path, seconds: float) -> bytearray:
    track = Track(tone(seconds, rate=44_100), 44_100, codec="aac")
    return bytearray(write_sounding(path, track).read_bytes())


def test_one_wrong_time_stamp_moves_nothing(tmp_path: Path) -> None:
    data = _flv(tmp_path / "right.flv", 2.0)
    sounds = [place for kind, place in _tags(data) if kind == 8]
    for place, milliseconds in ((sounds[20], 90_000), (sounds[30], 0)):
        data[place + 4 : place + 7] = milliseconds.to_bytes(3)
    (tmp_path / "wrong.flv").write_bytes(data)
    np.testing.assert_array_equal(heard(tmp_path / "wrong.flv"), heard(tmp_path / "right.flv"))


# --- limits ----------------------------------------------------------------------------------------------------------


def test_sound_ends_where_a_video_must(tmp_path: Path) -> None:
    video = write_sounding(tmp_path / "v.mov", Track(tone(6.0)))
    limits = VideoLimits(max_video_seconds=3.0)
    assert len(heard(video, limits)) == 3 * SOUND_RATE
    row = preprocess_trailer(video, tmp_path / "clips", config=CONFIG, limits=limits)
    assert row["sound"] == 3.0


def test_sound_that_the_file_does_not_tell_of_ends_a_little_behind_it(tmp_path: Path) -> None:
    data = _flv(tmp_path / "v.flv", 30.0)
    place = data.index(b"\x00\x08duration\x00") + 11
    (before,) = struct.unpack(">d", data[place : place + 8])
    assert before == pytest.approx(30, abs=0.1)
    assert len(heard(tmp_path / "v.flv")) == pytest.approx(30 * SOUND_RATE, rel=0.01)
    data[place : place + 8] = struct.pack(">d", 2.0)
    (tmp_path / "v.flv").write_bytes(data)
    assert len(heard(tmp_path / "v.flv")) == (2 + PAST_END_SECONDS) * SOUND_RATE


# --- damage ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("name", "codec"), [("v.mkv", "flac"), ("v.mp4", "aac"), ("v.mkv", "mp3")])
def test_damaged_packets_cost_what_they_held(tmp_path: Path, name: str, codec: str) -> None:
    samples = tone(2.0, rate=44_100) - tone(2.0, rate=44_100, onset=0.8) + tone(2.0, rate=44_100, onset=1.6)
    track = Track(samples, 44_100, codec=codec)  # from 0 to 0.8 seconds, and from 1.6 on
    video = write_sounding(tmp_path / f"whole_{name}", track)
    whole = heard(video)
    preprocess_trailer(video, tmp_path / "whole", config=CONFIG)
    hurt = tmp_path / name
    shutil.copy(video, hurt)
    damage(hurt, range(3, 7), kind="audio")
    sound = heard(hurt)
    assert len(sound) == pytest.approx(len(whole), abs=0.05 * SOUND_RATE)
    np.testing.assert_allclose(sound[:700], whole[:700], atol=0.02)
    assert np.abs(loudness(sound)[:8] - loudness(whole)[:8]).max() > 0.05
    np.testing.assert_allclose(loudness(sound)[9:15], loudness(whole)[9:15], atol=0.01)
    assert onset(sound[16_000:]) == pytest.approx(onset(whole[16_000:]), abs=2 * MILLISECOND)
    row = preprocess_trailer(hurt, tmp_path / "hurt", config=CONFIG)
    assert row["skipped_packets"] == 0
    assert clip_path(tmp_path / "hurt", 0).read_bytes() == clip_path(tmp_path / "whole", 0).read_bytes()
    np.testing.assert_array_equal(load_sound(sound_path(tmp_path / "hurt", 0)), sound.astype(np.float16))


def test_a_track_of_noise_costs_no_clip(tmp_path: Path) -> None:
    video = write_sounding(tmp_path / "v.mp4", Track(tone(2.0, rate=44_100), 44_100, codec="aac"))
    damage(video, range(1000), kind="audio")
    row = preprocess_trailer(video, tmp_path / "clips", config=CONFIG)
    assert (row["status"], row["frames"]) == ("ok", 20)
    found = heard(video)
    assert row["sound"] == (round(len(found) / SOUND_RATE, 3) or None)


def test_a_truncated_mp4_keeps_the_sound_before_the_cut(tmp_path: Path) -> None:
    video = write_sounding(
        tmp_path / "v.mp4",
        Track(np.random.default_rng(0).uniform(-0.5, 0.5, (2, 4 * 44_100)).astype(np.float32), 44_100, codec="aac"),
        frames=flat_frames(100),
        options={"movflags": "faststart"},
    )
    whole = heard(video)
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    row = preprocess_trailer(video, tmp_path / "clips", config=CONFIG)
    sound = load_sound(sound_path(tmp_path / "clips", 0))
    assert row["status"] == "ok"
    assert 1.0 < row["sound"] < 3.5
    assert row["sound"] == round(len(sound) / SOUND_RATE, 3)
    np.testing.assert_allclose(sound[:14_000], whole[:14_000], atol=0.02)


# --- the folder ------------------------------------------------------------------------------------------------------


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """A video with sound, one without, one of nothing but sound."""
    folder = tmp_path / "videos"
    folder.mkdir()
    write_sounding(folder / "a.mov", Track(tone(2.5)))
    write_sounding(folder / "b.mov")
    write_sounding(folder / "c.mov", Track(tone(1.0)), frames=NO_PICTURES)
    return folder


def test_what_the_folder_and_the_manifest_hold(videos: Path, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    table = preprocess_directory(videos, clips, config=CONFIG, jobs=1).set_index("source")
    assert table["status"].to_dict() == {"a.mov": "ok", "b.mov": "ok", "c.mov": "failed"}
    assert "expected a video" in table.loc["c.mov", "error"]
    assert table.loc["a.mov", "sound"] == 2.5
    assert np.isnan(table.loc["b.mov", "sound"])
    assert {path.name for path in clips.glob("sound*")} == {"sound_0.npy"}
    stored = load_sound(sound_path(clips, 0))
    assert (stored.dtype, stored.shape) == (np.float16, (40_000,))
    assert isinstance(stored, np.memmap)
    np.testing.assert_array_equal(np.load(sound_path(clips, 0), allow_pickle=False), stored)
    np.testing.assert_array_equal(np.concatenate(list(read_sound(videos / "a.mov"))), stored)
    assert list(read_sound(videos / "b.mov")) == []
    assert len(heard(videos / "c.mov")) == SOUND_RATE  # it can be opened


def test_what_is_no_video_has_no_sound_to_read(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(InputError, match=r"text\.mp4: expected a video"):
        list(read_sound(tmp_path / "text.mp4"))
    with pytest.raises(InputError, match=r"away\.mp4: expected a video file, found no such file"):
        list(read_sound(tmp_path / "away.mp4"))


def test_without_sound(videos: Path, tmp_path: Path) -> None:
    preprocess_directory(videos, tmp_path / "with", config=CONFIG, jobs=1)
    table = preprocess_directory(videos, tmp_path / "without", config=NO_SOUND, jobs=1)
    assert table["sound"].isna().all()
    assert not list((tmp_path / "without").glob("sound*"))
    for number in (0, 1):
        first, second = (clip_path(tmp_path / name, number).read_bytes() for name in ("with", "without"))
        assert first == second
    with pytest.raises(InputError, match=r"sound True \(now False\)"):
        preprocess_directory(videos, tmp_path / "with", config=NO_SOUND, jobs=1)


def test_a_folder_of_before_stays_without_sound(videos: Path, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    preprocess_directory(videos, clips, config=NO_SOUND, jobs=1)
    fields = json.loads((clips / "preprocessing.json").read_text())
    del fields["sound"]
    (clips / "preprocessing.json").write_text(json.dumps(fields))
    read_manifest(clips).drop(columns="sound").to_csv(clips / "manifest.csv", index=False)
    assert "sound" in COLUMNS
    assert read_manifest(clips)["sound"].isna().all()
    before = {path.name: path.stat().st_mtime_ns for path in clips.glob("t*.npy")}
    write_sounding(videos / "d.mov", Track(tone(1.0)))
    with logged() as notes:
        table = preprocess_directory(videos, clips, config=CONFIG, jobs=1).set_index("source")
    assert [note for note in notes if "made without sound" in note]
    assert table.loc["d.mov", "status"] == "ok"
    assert before.items() <= {path.name: path.stat().st_mtime_ns for path in clips.glob("t*.npy")}.items()
    assert not list(clips.glob("sound*"))
    assert read_clip_config(clips) == NO_SOUND


def test_a_video_that_became_another_loses_its_old_sound(videos: Path, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    preprocess_directory(videos, clips, config=CONFIG, jobs=1)
    shutil.copy(videos / "b.mov", videos / "a.mov")
    table = preprocess_directory(videos, clips, config=CONFIG, jobs=1).set_index("source")
    assert np.isnan(table.loc["a.mov", "sound"])
    assert not sound_path(clips, 0).exists()
    assert len(load_clip(clip_path(clips, 0))) == 20


def test_sound_that_is_lost_or_cut_is_made_again(videos: Path, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    preprocess_directory(videos, clips, config=CONFIG, jobs=1)
    before = contents(clips)
    sound_path(clips, 0).unlink()
    preprocess_directory(videos, clips, config=CONFIG, jobs=1)
    assert contents(clips) == before
    np.save(sound_path(clips, 0), np.ones(5, np.float16))
    preprocess_directory(videos, clips, config=CONFIG, jobs=1)
    assert contents(clips) == before


def test_a_full_disk_stops_the_run(videos: Path, tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, limits[1]))
    try:
        with pytest.raises(WorkError, match=r"could not be written: .*large"):
            preprocess_directory(videos, tmp_path / "clips", config=CONFIG, jobs=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list((tmp_path / "clips").glob("*.npy"))
    assert not list((tmp_path / "clips").glob(".staged*"))


def test_the_limits_of_a_process_are_no_fault_of_the_sound(videos: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, limits[1]))
    handles = []
    try:
        with suppress(OSError):
            while True:
                handles.append(os.open(os.devnull, os.O_RDONLY))
        with pytest.raises(WorkError, match="could not be opened: Too many open files"):
            list(decode_sound(videos / "a.mov", VideoLimits(), alive=lambda: None))
    finally:
        for handle in handles:
            os.close(handle)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_a_reader_whose_parent_is_gone_does_not_take_the_rest_for_silence(tmp_path: Path) -> None:
    path = write_sounding(tmp_path / "film.mkv", Track(tone(2.0)))
    calls = iter(range(20))

    def alive() -> None:
        if next(calls) == 19:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        list(decode_sound(path, VideoLimits(), alive=alive))


@pytest.mark.slow
def test_killed_and_run_again_gives_the_same_bytes(tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    for number in range(6):
        track = Track(tone(20.0 + number, hertz=300 + 100 * number))
        write_sounding(videos / f"{number}.mov", track, frames=flat_frames(50, seed=number))
    preprocess_directory(videos, tmp_path / "undisturbed", config=CONFIG, jobs=1)
    command = [sys.executable, "-m", "genre_classifier", "preprocess", str(videos), str(tmp_path / "clips")]
    options = ["--frames", "20", "--size", "16", "--jobs", "2"]
    seen = 0
    for number in (0, 2, 4):  # killed as soon as the next sound is being written
        run = subprocess.Popen([*command, *options], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        while run.poll() is None:
            if len([*(tmp_path / "clips").glob("*.sound"), *(tmp_path / "clips").glob("sound_*")]) > number:
                run.kill()
                seen += 1
                break
            time.sleep(0.001)
        run.wait()
    assert seen >= 2
    subprocess.run([*command, *options], check=True, capture_output=True)
    assert contents(tmp_path / "clips") == contents(tmp_path / "undisturbed")


def test_files_that_are_no_sound(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected sound \(\.npy\), found: no such file"):
        load_sound(tmp_path / "sound_0.npy")
    for wrong in (np.zeros(5, np.float32), np.zeros((5, 2), np.float16), np.zeros(0, np.float16)):
        np.save(tmp_path / "sound_0.npy", wrong)
        with pytest.raises(InputError, match=r"expected sound"):
            load_sound(tmp_path / "sound_0.npy")


def test_the_disk_that_sound_takes() -> None:
    pictures = clip_bytes(NO_SOUND, seconds=120.0, rate=25.0, sound=True)
    assert clip_bytes(CONFIG, seconds=120.0, rate=25.0, sound=True) == pictures + 120 * 32_000
    assert clip_bytes(CONFIG, seconds=120.0, rate=25.0, sound=False) == pictures
