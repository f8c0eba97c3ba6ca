"""Folders of videos to folders of clips: ids, reruns, and everything that may go wrong on the way."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import numpy as np
import pytest

from preprocessing import load_clip, preprocess_directory, preprocess_trailer
from preprocessing.base.errors import InputError, WorkError
from preprocessing.clips import clip_path, load_times, read_clip_config, sound_path, times_path
from preprocessing.config import ClipConfig, VideoLimits
from preprocessing.manifest import ok_rows, read_manifest
from tests.support.beside import Recorded
from tests.support.folders import CONFIG, contents, make_trailers
from tests.support.media import flat_frames, write_media


@pytest.fixture
def trailers(tmp_path: Path) -> Path:
    """Three good videos and a bad one."""
    return make_trailers(tmp_path / "trailers")


def test_ids_rows_and_files(trailers: Path, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    manifest = preprocess_directory(trailers, clips, config=CONFIG)
    assert manifest["source"].tolist() == ["a.mkv", "b.mp4", "c.mkv", "d/e.mkv"]
    assert manifest["status"].tolist() == ["ok", "failed", "ok", "ok"]
    assert ok_rows(manifest)["trailer_id"].tolist() == [0, 1, 2]
    assert manifest["frames"].dropna().tolist() == [20, 12, 20]
    assert manifest["decoded_frames"].dropna().tolist() == [30, 12, 25]
    expected = {f"{kind}_{number}.npy" for kind in ("trailer", "times") for number in range(3)}
    assert set(contents(clips)) == {"manifest.csv", "preprocessing.json", "sound_2.npy", *expected}
    assert manifest["sound"].dropna().tolist() == [1.5]
    assert read_clip_config(clips) == CONFIG
    source = flat_frames(12, seed=2)
    np.testing.assert_array_equal(load_clip(clip_path(clips, 1))[:, :, 3, 5], source[:, 0, 0])
    np.testing.assert_allclose(load_times(times_path(clips, 1)), np.arange(12) / 25, atol=1e-3)


@pytest.mark.slow
def test_bytes_do_not_depend_on_the_number_of_jobs(trailers: Path, tmp_path: Path) -> None:
    preprocess_directory(trailers, tmp_path / "one", config=CONFIG, jobs=1)
    preprocess_directory(trailers, tmp_path / "four", config=CONFIG, jobs=4)
    assert contents(tmp_path / "one") == contents(tmp_path / "four")


def test_a_rerun_does_only_what_is_new(trailers: Path, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    preprocess_directory(trailers, clips, config=CONFIG, jobs=1)
    before = {path.name: path.stat().st_mtime_ns for path in clips.glob("t*_*.npy")}
    (clips / ".123-0123abcd.part.npy").write_bytes(b"left by a killed run")
    (clips / ".77-89abcdef.part.csv").write_bytes(b"left by a killed run")
    write_media(trailers / "aa.mkv", flat_frames(5, seed=5))  # new, and sorts before others
    write_media(trailers / "b.mp4", flat_frames(6, seed=6), codec="libx264", pix_fmt="yuv420p")  # mended
    write_media(trailers / "c.mkv", flat_frames(7, seed=7))  # changed
    clip_path(clips, 2).unlink()  # lost
    manifest = preprocess_directory(trailers, clips, config=CONFIG, jobs=1).set_index("source")
    assert manifest["trailer_id"].to_dict() == {"a.mkv": 0, "aa.mkv": 3, "b.mp4": 4, "c.mkv": 1, "d/e.mkv": 2}
    assert (manifest["status"] == "ok").all()
    assert len(load_clip(clip_path(clips, 1))) == 7
    assert clip_path(clips, 0).stat().st_mtime_ns == before["trailer_0.npy"]
    assert clip_path(clips, 2).exists()
    assert not list(clips.glob(".*"))


def test_a_video_that_turned_bad_loses_its_clip_and_nobody_gets_its_id(trailers: Path, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    preprocess_directory(trailers, clips, config=CONFIG, jobs=1)
    (trailers / "d" / "e.mkv").write_bytes(b"now broken")  # the one with the highest id
    for _ in range(2):
        manifest = preprocess_directory(trailers, clips, config=CONFIG, jobs=1).set_index("source")
        assert manifest.loc["d/e.mkv", "status"] == "failed"
        assert not clip_path(clips, 2).exists()
        assert not times_path(clips, 2).exists()
        assert not sound_path(clips, 2).exists()
    write_media(trailers / "z.mkv", flat_frames(5, seed=5))
    manifest = preprocess_directory(trailers, clips, config=CONFIG, jobs=1).set_index("source")
    assert manifest.loc["z.mkv", "trailer_id"] == 3
    write_media(trailers / "d" / "e.mkv", flat_frames(6, seed=6))
    manifest = preprocess_directory(trailers, clips, config=CONFIG, jobs=1).set_index("source")
    assert manifest.loc["d/e.mkv", ["trailer_id", "status", "error"]].tolist() == [2, "ok", ""]
    assert len(load_clip(clip_path(clips, 2))) == 6


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["away", "a folder now", "too slow", "the reader dies", "no permission"])
def test_a_video_that_cannot_be_read_again_keeps_its_clip_and_its_id(
    trailers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    clips, stored, hidden = tmp_path / "clips", tmp_path / "stored.mkv", tmp_path / "hidden.mkv"
    (trailers / "c.mkv").rename(stored)
    (trailers / "c.mkv").symlink_to(stored)
    preprocess_directory(trailers, clips, config=CONFIG, jobs=1)
    before = contents(clips)
    limits = VideoLimits()
    with monkeypatch.context() as patch:
        if trouble in ("away", "a folder now"):
            stored.rename(hidden)
            if trouble == "a folder now":
                stored.mkdir()
        elif trouble == "too slow":
            limits = VideoLimits(timeout=1e-6)
        elif trouble == "the reader dies":
            patch.setattr("preprocessing.processes.child.sys.executable", "/bin/false")
        elif os.geteuid() == 0:
            pytest.skip("root may read everything")
        else:
            stored.chmod(0)
        manifest = preprocess_directory(trailers, clips, config=CONFIG, jobs=1, limits=limits).set_index("source")
    row = manifest.loc["c.mkv"]
    assert (row["status"], row["trailer_id"], row["frames"]) == ("ok", 1, 12)
    assert row["error"]
    assert read_manifest(clips).set_index("source").loc["c.mkv"].equals(row)
    after = contents(clips)
    del after["manifest.csv"]
    assert after.items() <= before.items()
    assert len(after) == len(before) - 1
    if hidden.exists():
        if stored.exists():
            stored.rmdir()
        hidden.rename(stored)
    stored.chmod(0o600)
    preprocess_directory(trailers, clips, config=CONFIG, jobs=1)
    assert contents(clips) == before  # the trouble is over, as if it had never been


def test_a_clip_that_is_lost_while_its_video_is_away_comes_back_under_its_id(trailers: Path, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    preprocess_directory(trailers, clips, config=CONFIG, jobs=1)
    before = contents(clips)
    clip_path(clips, 2).unlink()
    (trailers / "d" / "e.mkv").rename(tmp_path / "e.mkv")
    (trailers / "d" / "e.mkv").symlink_to(tmp_path / "nowhere.mkv")
    manifest = preprocess_directory(trailers, clips, config=CONFIG, jobs=1).set_index("source")
    assert manifest.loc["d/e.mkv", ["trailer_id", "status"]].tolist() == [2, "failed"]
    write_media(trailers / "z.mkv", flat_frames(5, seed=5))
    assert (
        preprocess_directory(trailers, clips, config=CONFIG, jobs=1).set_index("source").loc["z.mkv", "trailer_id"] == 3
    )
    (tmp_path / "e.mkv").replace(trailers / "d" / "e.mkv")
    preprocess_directory(trailers, clips, config=CONFIG, jobs=1)
    assert clip_path(clips, 2).read_bytes() == before["trailer_2.npy"]


def test_other_options_or_foreign_clips_are_refused(trailers: Path, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    preprocess_directory(trailers, clips, config=CONFIG, jobs=1)
    before = contents(clips)
    with pytest.raises(InputError, match=r"frames 20 \(now 21\)"):
        preprocess_directory(trailers, clips, config=ClipConfig(frames=21, size=16))
    assert contents(clips) == before
    failed = tmp_path / "failed"
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "b.mp4").write_text("no video")
    preprocess_directory(tmp_path / "bad", failed, config=CONFIG, jobs=1)  # nothing came of it: any options may follow
    assert preprocess_directory(trailers, failed, config=ClipConfig(frames=21, size=16))["frames"].max() == 21
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    np.save(foreign / "trailer_0.npy", np.zeros((2, 3, 4, 4), np.uint8))
    with pytest.raises(InputError, match="not made here"):
        preprocess_directory(trailers, foreign, config=CONFIG, jobs=1)


def test_folders_that_cannot_be_used(trailers: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found nothing"):
        preprocess_directory(tmp_path / "missing", tmp_path / "clips", config=CONFIG, jobs=1)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="found none in it"):
        preprocess_directory(tmp_path / "empty", tmp_path / "clips", config=CONFIG, jobs=1)
    with pytest.raises(InputError, match="folder to write clips to"):
        preprocess_directory(trailers, trailers / "a.mkv", config=CONFIG, jobs=1)
    with pytest.raises(InputError, match="jobs must be from 1"):
        preprocess_directory(trailers, tmp_path / "clips", config=CONFIG, jobs=0)
    assert not list((tmp_path / "clips").glob("t*"))


def test_one_trailer(trailers: Path, tmp_path: Path) -> None:
    row = preprocess_trailer(trailers / "c.mkv", tmp_path / "clips", config=CONFIG, trailer_id=7)
    assert (row["frames"], row["codec"], row["timing"]) == (12, "ffv1", "timestamps")
    assert set(contents(tmp_path / "clips")) == {"trailer_7.npy", "times_7.npy"}
    with pytest.raises(InputError, match=r"b\.mp4: expected a video"):
        preprocess_trailer(trailers / "b.mp4", tmp_path / "clips", config=CONFIG)


# --- what may lie where a video should be -------------------------------------------------------------------------


def test_things_that_are_no_files(trailers: Path, tmp_path: Path) -> None:
    (trailers / "folder.mp4").mkdir()
    os.mkfifo(trailers / "fifo.mp4")
    (trailers / "nothing.mp4").symlink_to(tmp_path / "nowhere")
    (trailers / "null.mp4").symlink_to("/dev/null")
    outside = write_media(tmp_path / "outside.mkv", flat_frames(4))
    (trailers / "outside.mkv").symlink_to(outside)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(trailers / "socket.mp4"))  # the name of a socket has little room
        manifest = preprocess_directory(trailers, tmp_path / "clips", config=CONFIG, jobs=1).set_index("source")
    for name, words in {
        "folder.mp4": "found a folder",
        "fifo.mp4": "found a pipe",
        "socket.mp4": "found a socket",
        "nothing.mp4": "a link to nothing",
        "null.mp4": "found a device",
    }.items():
        assert manifest.loc[name, "status"] == "failed"
        assert words in manifest.loc[name, "error"]
    assert manifest.loc["outside.mkv", "frames"] == 4
    assert (manifest["status"] == "ok").sum() == 4


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_files_and_folders(trailers: Path, tmp_path: Path) -> None:
    (trailers / "a.mkv").chmod(0)
    (trailers / "d").chmod(0)
    try:
        manifest = preprocess_directory(trailers, tmp_path / "clips", config=CONFIG, jobs=1).set_index("source")
    finally:
        (trailers / "d").chmod(0o700)
    assert "permission denied" in manifest.loc["a.mkv", "error"]
    assert manifest.loc["d", "status"] == "failed"


NAMES = [
    b'it\'s "quoted", comma.mkv',
    b"new\nline\r\ttab.mkv",
    b"-leading-dash.mkv",
    b"--help.mkv",
    b"not utf-8 \xff\xfe.mkv",
    b"back\\slash\\xff.mkv",
    b"percent %03d [brackets] *?.mkv",
    b"file:colon.mkv",
    "Unicode é 映画 \u202e.mkv".encode(),
    b" blank .mkv",
    b"UPPER.MKV",
    b"=formula.mkv",
    b"NA.mkv",
]


def test_any_file_name(tmp_path: Path) -> None:
    (tmp_path / "trailers").mkdir()
    for seed, name in enumerate(NAMES):
        good = write_media(tmp_path / "good.mkv", flat_frames(3, seed=seed))
        good.rename(tmp_path / "trailers" / os.fsdecode(name))
    manifest = preprocess_directory(tmp_path / "trailers", tmp_path / "clips", config=CONFIG, jobs=1)
    assert manifest["status"].tolist() == ["ok"] * len(NAMES)
    read = read_manifest(tmp_path / "clips")
    assert read["source"].tolist() == manifest["source"].tolist()
    (tmp_path / "clips" / "manifest.csv").read_text(encoding="utf-8")
    again = preprocess_directory(tmp_path / "trailers", tmp_path / "clips", config=CONFIG, jobs=1)
    assert again["trailer_id"].tolist() == list(range(len(NAMES)))


# --- elsewhere ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same_bytes(trailers: Path, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    preprocess_directory(trailers, tmp_path / "here", config=CONFIG, jobs=1)
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, protocol="tcp"
    ) as cluster:
        address = cluster.scheduler_address
        assert address.startswith("tcp://127.0.0.1:")
        beside = Recorded()
        manifest = preprocess_directory(trailers, tmp_path / "there", config=CONFIG, scheduler=address, beside=beside)
    assert not beside.frames
    assert (manifest["status"] == "ok").sum() == 3
    assert contents(tmp_path / "here") == contents(tmp_path / "there")


@pytest.mark.slow
def test_a_scheduler_that_is_not_there(trailers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr("preprocessing.processes.pool.CONNECT_SECONDS", 0.5)
    with pytest.raises(WorkError, match="expected a Dask scheduler"):
        preprocess_directory(trailers, tmp_path / "clips", config=CONFIG, scheduler="tcp://127.0.0.1:1")
