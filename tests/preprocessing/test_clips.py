"""The clip contract on the disk, and the manifest beside it."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import preprocessing
from preprocessing.base.errors import InputError
from preprocessing.clips import (
    ClipWriter,
    load_clip,
    load_sound,
    load_times,
    read_clip_config,
    read_clip_preset,
    write_clip_config,
)
from preprocessing.config import ClipConfig
from preprocessing.manifest import COLUMNS, manifest_table, ok_rows, read_manifest, source_name, write_manifest


def test_a_clip_written_frame_by_frame_is_what_numpy_saves(tmp_path: Path) -> None:
    clip = np.random.default_rng(0).integers(0, 256, (12, 3, 9, 9), dtype=np.uint8)
    writer = ClipWriter(tmp_path / "clip.npy", (3, 9, 9))
    for frame in clip:
        writer.add(frame)
    writer.finish()
    np.save(tmp_path / "numpy.npy", clip)
    assert (tmp_path / "clip.npy").read_bytes() == (tmp_path / "numpy.npy").read_bytes()
    loaded = preprocessing.load_clip(tmp_path / "clip.npy")
    assert isinstance(loaded, np.memmap)
    np.testing.assert_array_equal(loaded, clip)
    with pytest.raises(ValueError, match="read-only"):
        loaded[0] = 0


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 3, 4, 4), np.float32),
        np.zeros((2, 4, 4, 3), np.uint8),
        np.zeros((3, 4, 4), np.uint8),
        np.array([None, {}], dtype=object),
    ],
)
def test_other_arrays_are_no_clips(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "clip.npy", array)
    with pytest.raises(InputError, match=r"clip\.npy: expected a clip"):
        load_clip(tmp_path / "clip.npy")


@pytest.mark.parametrize("content", [b"", b"text", b"\x93NUMPY\x01\x00", b"PK\x03\x04 no archive"])
def test_other_files_are_no_clips(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    for load in (load_clip, load_times):
        with pytest.raises(InputError, match=r"x\.npy: expected"):
            load(tmp_path / "x.npy")
        with pytest.raises(InputError, match="no such file"):
            load(tmp_path / "missing.npy")


@pytest.mark.parametrize("times", [[0.0, 0.0], [1.0, 0.5], [0.0, np.nan], [[0.0, 1.0]]])
def test_times_that_do_not_increase_are_refused(tmp_path: Path, times: list[float]) -> None:
    np.save(tmp_path / "times.npy", np.array(times))
    with pytest.raises(InputError, match="expected"):
        load_times(tmp_path / "times.npy")


def test_options_of_a_folder(tmp_path: Path) -> None:
    assert read_clip_config(tmp_path) is None
    config = ClipConfig(frames=7, size=9, fps=1.5, fit="crop", trim_bars=True)
    write_clip_config(tmp_path, config)
    assert (read_clip_config(tmp_path), read_clip_preset(tmp_path)) == (config, None)
    write_clip_config(tmp_path, config, preset="small-data")
    assert (read_clip_config(tmp_path), read_clip_preset(tmp_path)) == (config, "small-data")
    for content in ('{"preset": 3}', "", "[]", '{"frames": "many"}', json.dumps({"colours": 3}), '{"size": 0}'):
        (tmp_path / "preprocessing.json").write_text(content)
        with pytest.raises(InputError, match=r"preprocessing\.json"):
            read_clip_config(tmp_path)


# --- manifest -----------------------------------------------------------------------------------------------------

text = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=20)
cell = st.one_of(st.none(), st.integers(0, 2**53))


@settings(deadline=None, max_examples=40)  # it writes files
@given(
    sources=st.lists(text, min_size=1, max_size=6, unique=True),
    error=text,
    frames=cell,
    fps=st.one_of(st.none(), st.floats(0, 1e9)),
)
def test_manifests_survive_the_disk(
    tmp_path_factory: pytest.TempPathFactory, sources: list[str], error: str, frames: int | None, fps: float | None
) -> None:
    rows = [
        {"source": name, "trailer_id": index, "status": "ok", "frames": frames, "fps": fps, "error": error}
        for index, name in enumerate(sources)
    ]
    rows[0] |= {"status": "failed", "trailer_id": None}
    folder = tmp_path_factory.mktemp("clips")
    manifest = manifest_table(rows)
    write_manifest(folder, manifest)
    read = read_manifest(folder)
    pd.testing.assert_frame_equal(read, manifest)
    assert list(read.columns) == list(COLUMNS)
    assert ok_rows(read)["trailer_id"].tolist() == list(range(1, len(sources)))


@given(names=st.lists(st.binary(min_size=1, max_size=12), min_size=2, max_size=2, unique=True))
def test_no_two_files_share_a_source_name(names: list[bytes]) -> None:
    one, two = (os.fsdecode(name.replace(b"\0", b"0").replace(b"/", b"-").replace(b".", b"_")) for name in names)
    if one != two:
        assert source_name(Path(one)) != source_name(Path(two))
    source_name(Path(one)).encode("utf-8")


def test_a_folder_of_hand_made_clips(tmp_path: Path) -> None:
    for number in (10, 2):
        np.save(tmp_path / f"trailer_{number}.npy", np.zeros((number, 3, 4, 5), np.uint8))
    manifest = read_manifest(tmp_path)
    assert manifest["trailer_id"].dtype == "Int64"
    assert ok_rows(manifest)[["trailer_id", "frames", "rows", "cols"]].to_numpy().tolist() == [
        [2, 2, 4, 5],
        [10, 10, 4, 5],
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "expected a manifest"),
        ("trailer,genre\n1,2\n", "missing trailer_id,source"),
        ("trailer_id,source,status,frames\n0,a,done,3\n", "row 2: expected a status among ok, failed"),
        ("trailer_id,source,status,frames\n0,a,ok,3\n0,b,ok,3\n", "row 3: expected each trailer_id once"),
        ("trailer_id,source,status,frames\n0,a,ok,3\n1,a,ok,3\n", "row 3: expected each source once"),
        ("trailer_id,source,status,frames\n,a,ok,3\n", "row 2: expected a trailer_id"),
        ("trailer_id,source,status,frames\n0,,ok,3\n", "row 2: expected a source"),
        ("trailer_id,source,status,frames\n0,a,ok,many\n", "row 2: expected a whole number .* in column frames"),
        ("trailer_id,source,status,frames\n0,a,ok,nan\n", "row 2: expected a whole number .* in column frames"),
        ("trailer_id,source,status,frames\n0,a,ok,1e30\n", "row 2: expected a whole number .* in column frames"),
        ("trailer_id,source,status,frames\n-1,a,ok,3\n", "row 2: expected a whole number .* in column trailer_id"),
        ("trailer_id,source,status,frames\n0.5,a,ok,3\n", "row 2: expected a whole number .* in column trailer_id"),
        ("trailer_id,source,status,frames,fps\n0,a,ok,3,inf\n", "row 2: expected a number .* in column fps"),
        ("trailer_id,source,status,frames\n0,a,ok\n", "row 2: expected 4 cells, found 3"),
        ("trailer_id,trailer_id,source,status,frames\n0,0,a,ok,3\n", "each column once"),
        ('trailer_id,source,status,frames\n0,"a,ok,3\n', "found no table"),
    ],
)
def test_damaged_manifests_are_named(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "manifest.csv").write_text(content)
    with pytest.raises(InputError, match=words):
        read_manifest(tmp_path)


def test_folders_without_clips(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found neither"):
        read_manifest(tmp_path)
    with pytest.raises(InputError, match="found nothing"):
        read_manifest(tmp_path / "missing")


@pytest.mark.parametrize("name", ["manifest.csv", "preprocessing.json", "trailer_0.npy", "times_0.npy", "sound_0.npy"])
@pytest.mark.parametrize("what", ["a pipe", "a folder"])
def test_nothing_hangs_on_what_is_no_file(tmp_path: Path, name: str, what: str) -> None:
    path = tmp_path / name
    os.mkfifo(path) if what == "a pipe" else path.mkdir()
    read = {
        "manifest.csv": lambda: read_manifest(tmp_path),
        "preprocessing.json": lambda: read_clip_config(tmp_path),
        "trailer_0.npy": lambda: load_clip(path),
        "times_0.npy": lambda: load_times(path),
        "sound_0.npy": lambda: load_sound(path),
    }[name]
    with pytest.raises(InputError, match=f"{name}: expected .*, found"):
        read()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[" * 100_000,
        "[]",
        '{"size": "large"}',
        '{"size": 1.5}',
        '{"size": 1e999}',
        '{"frames": null}',
        '{"fit": {}}',
        '{"colour": 1}',
        "\udcff",
    ],
)
def test_damaged_options_of_clips_are_a_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "preprocessing.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=r"preprocessing\.json: expected the options of the clips") as caught:
        read_clip_config(tmp_path)
    assert "\n" not in str(caught.value)


def npy(header: str, *, magic: bytes = b"\x93NUMPY\x01\x00", data: bytes = bytes(96)) -> bytes:
    """Return a file with any text as its header."""
    text = header.encode("latin-1") + b"\n"
    return magic + len(text).to_bytes(2, "little") + text + data


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (10000000000000, 3, 4, 4)}"),
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (10000000000000000000000000, 3, 4, 4)}"),
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (-1, 3, 4, 4)}"),
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (0, 3, 4, 4)}", data=b""),
        npy("{'descr': '|O', 'fortran_order': False, 'shape': (2,)}"),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, 4, 1)}"),
        npy("{'descr': [('a', '<i4')], 'fortran_order': False, 'shape': (2,)}"),
        npy("{'descr': ['<q9'], 'fortran_order': 7, 'shape': 'x'}"),
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (3L, 4L)}"),
        npy("(" * 5000),
        npy("{" * 200),
        npy("{'descr': "),
        npy("\x00\x01"),
        npy("{}", magic=b"\x93NUMPY\x09\x09"),
        b"PK\x03\x04" + bytes(100),
        pickle.dumps([1, 2, 3]),
    ],
)
@pytest.mark.filterwarnings("error")
def test_headers_that_lie_are_a_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "trailer_0.npy"
    path.write_bytes(content)
    for load in (load_clip, load_times):
        with pytest.raises(InputError, match=r"trailer_0\.npy: expected ") as caught:
            load(path)
        assert "\n" not in str(caught.value)


def test_times_too_many_to_be_read_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "times_0.npy"
    np.lib.format.open_memmap(path, mode="w+", dtype=np.float64, shape=(10**9,)).flush()  # takes no room on the disk
    with pytest.raises(InputError, match="found 8000 MB"):
        load_times(path)
