"""Damaged files of every kind: a reader gives a sane value, or one line that names the file; nothing else.

`--fuzz N` tries N damaged files of each kind.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import shutil
from collections.abc import Callable
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genre_classifier.config import ExportConfig
from genre_classifier.dataset.label_formats import WRITERS
from genre_classifier.dataset.labels import read_genre_map, read_labels
from genre_classifier.dataset.splits import read_splits
from genre_classifier.exports.export import export_tags
from genre_classifier.exports.tagged import read_video
from genre_classifier.exports.timecode import start_timecode
from genre_classifier.genres import GENRES
from genre_classifier.metrics.calibration import no_calibration
from genre_classifier.run_folder import card, checkpoints, layout
from genre_classifier.run_folder.run import load_run
from genre_classifier.tagging.scores import read_scores, scores_table, write_scores
from genre_classifier.tagging.summary import read_summary, write_tags_index
from preprocessing import preprocess_directory
from preprocessing.base.errors import InputError, WorkError
from preprocessing.clips import load_clip, load_sound, load_times, read_clip_config, write_clip_config
from preprocessing.config import ClipConfig, VideoLimits
from preprocessing.manifest import read_manifest
from preprocessing.processes.pool import Pool
from preprocessing.reader_client import READER
from tests.faults.mutations import mutate, mutate_member
from tests.support.folders import contents
from tests.support.media import flat_frames, write_media
from tests.support.notes import logged
from tests.support.tags_folder import tagged
from tests.support.tiny_encoder import write_encoder
from tests.support.tiny_run import SIZE, make_run
from tests.support.trailers import write_clips

CLIPS = ClipConfig(frames=12, size=16)
VIDEOS, FILES, NETWORKS = 100, 80, 12  # tried by default
LONGEST = 1000  # characters of a message, without the path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an undamaged file of every kind."""
    return write_whole(tmp_path_factory.mktemp("whole"))


def write_whole(base: Path) -> Path:
    """Write an undamaged file of every kind."""
    labels = write_clips(base / "clips", [8] * 3, size=SIZE)
    write_clip_config(base / "clips", CLIPS)
    np.save(base / "clips" / "sound_0.npy", np.zeros(500, np.float16))
    (base / "videos").mkdir()
    write_media(base / "videos" / "a.mkv", flat_frames(12))
    preprocess_directory(base / "videos", base / "prepared", config=CLIPS)
    labels.to_csv(base / "labels.csv", index=False)
    for name, ending in (("wide", "csv"), ("activitynet", "json"), ("labelstudio", "json"), ("dcase", "tsv")):
        (base / f"{name}.{ending}").write_text(WRITERS[name](labels, None, ExportConfig())[0])
    (base / "map.csv").write_text("name,genre\nwar,action\nlove,\n")
    tagged(base / "tags", "film")
    tagged(base / "tags", "another")
    write_tags_index(base / "tags", [])
    if importlib.util.find_spec("pympi"):
        export_tags(base / "tags", base / "elan", ["eaf"], fps=None, base_url="http://localhost")
    run = make_run(base / "run", frames=12)
    (run / "splits.csv").write_text("trailer_id,source,split,group\n0,a,train,x\n1,b,test,y\n")
    card.write_card(run, card.new_card(command="train", seed=5, data_digest="", parts={}))
    kept = checkpoints.Kept(1, "0" * 64, *no_calibration(GENRES))
    (run / layout.CHECKPOINTS).mkdir()
    checkpoints.write_state(run, checkpoints.State("0" * 64, [{"epoch": 1.0, "loss": 2.0}], kept))
    scores = scores_table(np.arange(8) / 8.0, np.full((8, len(GENRES)), 0.25, np.float32), GENRES)
    (base / "scores").mkdir()
    write_scores(base / "scores" / "0.csv", scores)
    write_encoder(base / "encoder.keras")
    return base


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of file: where it lies, and what reads it, given the folder with all of them."""

    file: str
    read: Callable[[Path], Any]
    words: bool = True
    tries: int = FILES
    archive: bool = False


def _clip(base: Path) -> None:
    clip = load_clip(base / "clips" / "trailer_0.npy")
    assert clip.dtype == np.uint8
    assert clip.max() <= 255  # to the last byte


def _times(base: Path) -> None:
    times = load_times(base / "clips" / "times_0.npy")
    assert (np.diff(times) > 0).all()


def _labels(name: str) -> Callable[[Path], None]:
    def read(base: Path) -> None:
        table = read_labels(base / name)
        assert set(table["genre"]) <= {*GENRES}
        strong = table.dropna(subset=["start"])
        strong = strong[(strong["genre"] != "other") | (strong["start"] > 0)]  # one of the whole trailer has no end
        assert (strong["start"] < strong["end"]).all()
        assert np.isfinite(strong[["start", "end"]].to_numpy()).all()

    return read


def _checkpoint(base: Path) -> None:
    state = checkpoints.read_state(base / "run", 1)
    assert len(state.rows) == 1


def _export(base: Path) -> None:
    read_video(base / "tags" / "film")
    with logged():
        export_tags(base / "tags", base / "exports", ["chapters"], fps=None, base_url="http://localhost")


def _scores(base: Path) -> None:
    values = read_scores(base / "scores" / "0.csv").to_numpy()
    assert ((values >= 0) & (values <= 1)).all()


def _network(base: Path) -> None:
    run = load_run(base / "run")
    assert all(np.isfinite(weight).all() for weight in run.model.get_weights())


def _encoder(base: Path) -> None:
    from genre_classifier.config import DEFAULT_ENCODER
    from genre_classifier.network.encoder import build_encoder

    config = dataclasses.replace(DEFAULT_ENCODER, encoder=str(base / "encoder.keras"), encoder_cells=2, motion_size=8)
    build_encoder(config, 20, 20).encode(np.zeros((1, 3, 20, 20), np.uint8))


KINDS = {
    "clip": Kind("clips/trailer_0.npy", _clip, words=False),
    "times": Kind("clips/times_0.npy", _times, words=False),
    "sound": Kind("clips/sound_0.npy", lambda base: load_sound(base / "clips" / "sound_0.npy"), words=False),
    "options of clips": Kind("clips/preprocessing.json", lambda base: read_clip_config(base / "clips")),
    "manifest": Kind("prepared/manifest.csv", lambda base: read_manifest(base / "prepared")),
    "labels": Kind("labels.csv", _labels("labels.csv")),
    "wide labels": Kind("wide.csv", _labels("wide.csv")),
    "ActivityNet": Kind("activitynet.json", _labels("activitynet.json")),
    "Label Studio": Kind("labelstudio.json", _labels("labelstudio.json")),
    "DCASE": Kind("dcase.tsv", _labels("dcase.tsv")),
    "ELAN": Kind("elan/film.eaf", _labels("elan/film.eaf")),
    "genre map": Kind("map.csv", lambda base: read_genre_map(base / "map.csv")),
    "options of a run": Kind("run/config.json", lambda base: load_run(base / "run")),
    "thresholds": Kind("run/thresholds.json", lambda base: load_run(base / "run")),
    "splits": Kind("run/splits.csv", lambda base: read_splits(base / "run" / "splits.csv")),
    "card": Kind("run/card.json", lambda base: card.read_card(base / "run")),
    "state of a training": Kind("run/checkpoints/epoch_1.json", _checkpoint),
    "stamp of tags": Kind("tags/film/tags.json", _export),
    "segments": Kind("tags/film/segments.csv", _export),
    "summary of tags": Kind("tags/summary.csv", lambda base: read_summary(base / "tags" / "summary.csv")),
    "scores": Kind("scores/0.csv", _scores),
    "network": Kind("run/model.keras", _network, words=False, tries=NETWORKS),
    "member of a network": Kind("run/model.keras", _network, tries=NETWORKS, archive=True),
    "encoder": Kind("encoder.keras", _encoder, words=False, tries=NETWORKS),
    "member of an encoder": Kind("encoder.keras", _encoder, tries=NETWORKS, archive=True),
}


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", KINDS)
def test_a_damaged_file_is_a_value_or_a_line(
    whole: Path, tmp_path: Path, name: str, request: pytest.FixtureRequest
) -> None:
    kind = KINDS[name]
    if name == "ELAN":
        pytest.importorskip("pympi", reason="pip install -e '.[export]'")
    base = Path(shutil.copytree(whole, tmp_path / "base"))
    kind.read(base)  # undamaged
    content = (whole / kind.file).read_bytes()
    others = [path.read_bytes() for path in whole.rglob("*") if path.is_file() and path.stat().st_size < 100_000]
    refused = 0
    for seed in range(request.config.getoption("--fuzz") or kind.tries):
        rng = np.random.default_rng([seed, *name.encode()])
        damaged = mutate_member(content, rng) if kind.archive else mutate(content, rng, others, words=kind.words)
        (base / kind.file).write_bytes(damaged)
        try:
            refused += not is_taken(kind, base)
        except BaseException as error:
            error.add_note(f"{name}, seed {seed}")
            raise
    assert refused


def is_taken(kind: Kind, base: Path) -> bool:
    """Return whether a file is read; if not, one line has said why."""
    try:
        kind.read(base)
    except (InputError, WorkError) as error:
        check_message(str(error), base, kind.file)
        return False
    return True


# What this found: each was a traceback, several lines or a line without end.
FOUND = {
    "a column without a name, twice": ("manifest", b"trailer_id,source,status,frames,,\n0,a,ok,1,,\n"),
    "a row of scores with too many cells": ("scores", b"frame,time,comedy\n0,0,0\n1,1,0,0\n"),
    "a long name for a genre of scores": ("scores", b"frame,time," + b"9" * 5000 + b"\n0,0,0\n"),
    "very many columns, none of them the time": ("scores", b"frame" + b"," * 100 + b"\n"),
    "an unknown genre with a control character": ("wide labels", b"trailer,genres\n0,terroi|\x1ahriller\n"),
    "a tab behind a quote": ("ActivityNet", b'filename\tevent_labels\n"a"b\taction\n'),
    "a long name for a genre of thresholds": (
        "state of a training",
        b'{"history": [], "kept": {"thresholds": {"' + b"9" * 5000 + b'": 1}, "temperatures": {}}}',
    ),
    "an option with a long name": ("options of clips", b'{"' + b"9" * 5000 + b'": 1}'),
}


@pytest.mark.parametrize("case", FOUND)
def test_what_was_found_stays_a_line(whole: Path, tmp_path: Path, case: str) -> None:
    name, content = FOUND[case]
    base = Path(shutil.copytree(whole, tmp_path / "base"))
    (base / KINDS[name].file).write_bytes(content)
    with pytest.raises(InputError) as refused:
        KINDS[name].read(base)
    check_message(str(refused.value), base, case)


def test_a_tier_of_elan_with_a_control_character_is_a_line(whole: Path, tmp_path: Path) -> None:
    pytest.importorskip("pympi", reason="pip install -e '.[export]'")
    path = tmp_path / "film.eaf"
    path.write_bytes((whole / "elan" / "film.eaf").read_bytes().replace(b"comedy", b"come\x7fdy"))
    with pytest.raises(InputError, match=r"tier 'come\\x7fdy', at 0 s: expected a genre") as refused:
        read_labels(path)
    check_message(str(refused.value), tmp_path, "film.eaf")


def check_message(message: str, base: Path, where: str) -> None:
    assert str(base) in message, where
    assert message.isprintable(), where
    assert len(message.replace(str(base), "")) < LONGEST, where


SOURCES = {
    "a.mkv": ("ffv1", "bgr0"),
    "b.mp4": ("libx264", "yuv420p"),
    "c.webm": ("libvpx", "yuv420p"),
    "d.avi": ("mjpeg", "yuvj420p"),
    "e.mov": ("mpeg4", "yuv420p"),
    "f.mpg": ("mpeg1video", "yuv420p"),
    "g.webm": ("libvpx-vp9", "yuv420p"),
}
GROWING = {"h.ts": ("mpeg2video", "yuv420p"), "i.mjpeg": ("mjpeg", "yuvj420p"), "j.h264": ("libx264", "yuv420p")}


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the bytes of a small undamaged video in each container and codec, some with pictures that change size."""
    folder = tmp_path_factory.mktemp("undamaged")
    cells = np.random.default_rng(0).integers(0, 256, (24, 12, 16, 3), dtype=np.uint8)

    def video(name: str, codec: str, pix_fmt: str, scale: int) -> bytes:
        frames = cells.repeat(scale, 1).repeat(scale, 2)
        return write_media(folder / name, frames, codec=codec, pix_fmt=pix_fmt).read_bytes()

    return {name: video(name, *how, 4) for name, how in SOURCES.items()} | {
        name: b"".join(video(name, *how, scale) for scale in (4, 10, 2)) for name, how in GROWING.items()
    }


def damaged_video(videos: dict[str, bytes], seed: int) -> tuple[str, bytes]:
    """Return a name's ending, and bytes."""
    name = list(videos)[seed % len(videos)]
    return Path(name).suffix, mutate(videos[name], np.random.default_rng([seed, 77]), list(videos.values()))


@pytest.mark.timeout(3600)
def test_a_damaged_video_has_a_start_timecode_or_none(
    videos: dict[str, bytes], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with closing(Pool(READER)) as readers:
        for seed in range(request.config.getoption("--fuzz") or VIDEOS):
            suffix, damaged = damaged_video(videos, seed)
            (tmp_path / f"v{suffix}").write_bytes(damaged)
            assert start_timecode(tmp_path / f"v{suffix}", Fraction(25), readers), seed


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_damaged_video_is_a_clip_or_a_row_that_says_why(
    videos: dict[str, bytes], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """And the same one the second time: whatever decoders make of it."""
    count = request.config.getoption("--fuzz") or VIDEOS
    folder = tmp_path / "videos"
    folder.mkdir()
    for seed in range(count):
        suffix, damaged = damaged_video(videos, seed)
        (folder / f"{seed:06}{suffix}").write_bytes(damaged)
    tables = []
    for out in ("first", "second"):
        table = preprocess_directory(folder, tmp_path / out, config=CLIPS, jobs=1, limits=VideoLimits(timeout=20))
        assert len(table) == count
        assert set(table["status"]) == {"ok", "failed"}
        for row in table.to_dict("records"):
            if row["status"] == "failed":
                assert row["error"].isprintable(), row["source"]
                assert 0 < len(row["error"]) < LONGEST, row["source"]
                assert "reader crashed" not in row["error"], row["source"]
            else:
                assert load_clip(tmp_path / out / f"trailer_{row['trailer_id']}.npy").shape[0] == row["frames"]
                load_times(tmp_path / out / f"times_{row['trailer_id']}.npy")
        tables.append(table)
    first, second = contents(tmp_path / "first"), contents(tmp_path / "second")
    assert [name for name in first if first[name] != second.get(name)] == []
