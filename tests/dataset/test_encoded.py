"""Encoded clips: whole or not there, of the clip and the encoder that there are, the same bytes after a kill."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from genre_classifier.config import Augmentation, EncoderConfig
from genre_classifier.dataset.augmentation import Change
from genre_classifier.dataset.encoded import encode_clip, encode_clips, encoded_folder
from genre_classifier.dataset.encoding import encode_trailers
from genre_classifier.dataset.sequence import TrailerSequence
from genre_classifier.dataset.trailers import load_trailers
from genre_classifier.network.encoder import build_encoder
from genre_classifier.network.encoder_engine import choose_engine
from genre_classifier.network.layers import MAP_PADDING
from preprocessing.base.errors import InputError
from tests.support.tiny_encoder import CHANNELS, SIZE, write_encoder
from tests.support.trailers import write_clips

pytestmark = pytest.mark.slow

LENGTHS = [9, 20, 5]


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = write_encoder(tmp_path_factory.mktemp("encoder") / "tiny.keras")
    return EncoderConfig(encoder=str(path), encoder_cells=2, motion_size=4, encoder_engine="keras")


@pytest.fixture(scope="module")
def encoder(config):
    return build_encoder(config, SIZE, SIZE)


@pytest.fixture
def clips(tmp_path):
    write_clips(tmp_path / "clips", LENGTHS, size=SIZE)
    return tmp_path / "clips"


def paths_of(clips):
    return [clips / f"trailer_{number}.npy" for number in range(len(LENGTHS))]


def encoded(clips, encoder, **options):
    """Encode; return the bytes of each encoded clip, and the numbers of frames that were encoded."""
    done = []
    folder = encode_clips(paths_of(clips), clips, encoder, on_frames=done.append, **{"jobs": 1, **options})
    return [(folder / path.name).read_bytes() for path in paths_of(clips)], done


def test_every_frame_is_encoded_once(clips, encoder):
    frames = []
    folder = encode_clips(paths_of(clips), clips, encoder, on_start=frames.append, jobs=1)
    assert folder == clips / "encoded" / encoder.digest[:16]
    assert frames == [sum(LENGTHS)]
    for path in paths_of(clips):
        maps = np.load(folder / path.name)
        np.testing.assert_array_equal(maps, encoder.encode(np.load(path)))
        assert (maps.dtype, maps.shape[1:]) == (np.float16, (CHANNELS + 4, 2, 2))
    _, done = encoded(clips, encoder)
    assert done == []
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith(".")) == []


def test_a_clip_that_is_named_twice_is_encoded_once(clips, encoder):
    done = []
    encode_clips([*paths_of(clips), *paths_of(clips)], clips, encoder, on_frames=done.append, jobs=1)
    assert done == LENGTHS


@pytest.mark.parametrize("content", ["[]", '{"clip": []}', '{"clip": {"bytes": "x"}}', "no JSON"])
def test_a_damaged_stamp_is_no_stamp(clips, encoder, content):
    encoded(clips, encoder)
    (encoded_folder(clips, encoder) / "trailer_1.json").write_text(content)
    assert encoded(clips, encoder)[1] == [LENGTHS[1]]


def test_what_is_damaged_or_of_another_clip_is_done_again(clips, encoder):
    first, _ = encoded(clips, encoder)
    folder = encoded_folder(clips, encoder)
    (folder / "trailer_0.npy").write_bytes(first[0][:-7])
    (folder / "trailer_2.json").unlink()
    changed = np.load(clips / "trailer_1.npy")
    changed[3] //= 2
    np.save(clips / "trailer_1.npy", changed)
    second, done = encoded(clips, encoder)
    assert sorted(done) == sorted(LENGTHS)
    assert [one == other for one, other in zip(first, second, strict=True)] == [True, False, True]


def test_what_a_clip_held_that_was_replaced_meanwhile_is_not_kept(clips, encoder, monkeypatch):
    clip = clips / "trailer_1.npy"
    other = np.load(clip) // 2
    usual = encoder.encode

    def replaced(frames):
        np.save(clips / "other.npy", other)
        (clips / "other.npy").replace(clip)
        return usual(frames)

    monkeypatch.setattr(encoder, "encode", replaced)
    folder = encoded_folder(clips, encoder)
    folder.mkdir(parents=True)
    with pytest.raises(InputError, match=r"trailer_1\.npy: it changed while it was encoded; run again"):
        encode_clip(clip, folder / clip.name, encoder)
    monkeypatch.undo()
    encoded(clips, encoder)
    np.testing.assert_array_equal(np.load(folder / clip.name), encoder.encode(other))


def test_a_clip_that_was_only_touched_is_not_done_again(clips, encoder):
    encoded(clips, encoder)
    for path in paths_of(clips):
        os.utime(path, (1, 1))
    assert encoded(clips, encoder)[1] == []


def test_another_encoder_has_a_folder_of_its_own(clips, config, encoder, tmp_path):
    first, _ = encoded(clips, encoder)
    other = dataclasses.replace(config, encoder=str(write_encoder(tmp_path / "other.keras", seed=2)))
    second, done = encoded(clips, build_encoder(other, SIZE, SIZE))
    assert done == LENGTHS
    assert first != second
    assert encoded(clips, encoder) == (first, [])


def test_processes_give_the_same_bytes(clips, encoder):
    expected, _ = encoded(clips, encoder)
    for path in encoded_folder(clips, encoder).iterdir():
        path.unlink()
    found, done = encoded(clips, encoder, jobs=2)
    assert found == expected
    assert sorted(done) == sorted(LENGTHS)


def test_a_killed_encoding_goes_on_and_ends_with_the_same_bytes(tmp_path, config, encoder):
    pytest.importorskip("openvino")
    encoder = encoder.on(choose_engine("openvino"))
    assert encoder.engine.name == "openvino"
    clips = tmp_path / "clips"
    write_clips(clips, [400] * 3, size=SIZE)
    command = [
        sys.executable,
        "-m",
        "genre_classifier",
        "encode",
        str(clips),
        "--encoder",
        str(config.encoder),
        "--encoder-fps",
        "none",
        "--encoder-cells",
        "2",
        "--motion-size",
        "4",
        "--encoder-engine",
        "openvino",
        "--jobs",
        "1",
    ]
    folder = encoded_folder(clips, encoder)
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while not (folder / "trailer_0.json").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = (folder / "trailer_0.npy").stat().st_mtime_ns
    found, done = encoded(clips, encoder)
    assert len(done) < 3
    assert (folder / "trailer_0.npy").stat().st_mtime_ns == before
    for path in folder.glob("trailer_*"):
        path.unlink()
    assert encoded(clips, encoder)[0] == found


def test_clips_of_another_size_are_refused(clips, config):
    with pytest.raises(InputError, match=r"trailer_0.npy: expected frames of 3x40x40"):
        encode_clips(paths_of(clips), clips, build_encoder(config, 40, 40), jobs=1)


def test_batches_hold_encoded_frames(clips, encoder):
    labels = write_clips(clips, LENGTHS, size=SIZE)
    trailers = encode_trailers(load_trailers(clips, labels), clips, encoder, jobs=1)
    sequence = TrailerSequence(trailers, batch_size=3, shuffle=False)
    frames, _, weights = sequence[0]
    assert frames.dtype == np.float16
    for row, weight, trailer in zip(frames, weights[0], trailers, strict=True):
        count = len(trailer.times)
        np.testing.assert_array_equal(row[:count], np.load(trailer.encoded))
        assert (row[count:] == MAP_PADDING).all()
        assert weight.sum() == count
    flipped = TrailerSequence(trailers, augmentation=Augmentation(flip=True), grey_channels=4, seed=1)
    assert {flipped[number][0].dtype for number in range(len(flipped))} == {np.dtype(np.float16)}


def test_a_mirrored_encoded_frame_is_that_of_the_mirrored_picture(encoder):
    frames = np.random.default_rng(0).integers(0, 256, (2, 3, SIZE, SIZE), dtype=np.uint8)
    found = Change(range(2), flip=True, grey_channels=4).apply(encoder.encode(frames))
    expected = encoder.encode(np.ascontiguousarray(frames[..., ::-1]))
    np.testing.assert_array_equal(found[:, CHANNELS:], expected[:, CHANNELS:])  # the grey picture
    assert found.shape == expected.shape  # the maps are about the same: convolutions are not symmetric
