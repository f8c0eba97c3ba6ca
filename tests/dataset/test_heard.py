"""What is heard of clips: once, of the sound that there is, and of each frame the second that it lies in."""

from __future__ import annotations

import dataclasses
import os

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genre_classifier.config import EncoderConfig
from genre_classifier.dataset.encoding import Encoders, encode_folder, encode_trailers
from genre_classifier.dataset.heard import around_seconds, encode_sounds, hear, heard_features, heard_folder, open_heard
from genre_classifier.dataset.sequence import TrailerSequence
from genre_classifier.dataset.trailers import load_trailers
from genre_classifier.network.frame_encoder import with_change
from genre_classifier.network.sound_encoder import read_sound_encoder
from preprocessing.base.errors import InputError
from preprocessing.clips import SOUND_RATE, sound_path, write_clip_config
from preprocessing.config import ClipConfig
from tests.support.tiny_encoder import SOUND_FEATURES, write_sound_encoder
from tests.support.trailers import write_clips


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return read_sound_encoder(write_sound_encoder(tmp_path_factory.mktemp("ear") / "ear.keras"), SOUND_RATE)


@pytest.fixture
def clips(tmp_path):
    """Return a folder of three clips, of which the last has no sound, and their labels."""
    labels = write_clips(tmp_path, [4, 9, 6])
    for number, seconds in enumerate((2.5, 3.0)):
        samples = np.random.default_rng(number).uniform(-1, 1, round(seconds * SOUND_RATE))
        np.save(sound_path(tmp_path, number), samples.astype(np.float16))
    return tmp_path, labels


def listen(clips, encoder, **options):
    heard = []
    folder = encode_sounds(range(3), clips, encoder, on_seconds=heard.append, **{"jobs": 1, **options})
    return folder, heard


def noise(seconds, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, round(seconds * SOUND_RATE)).astype(np.float16)


def cut(sound, places):
    return np.split(sound, sorted(places))


@given(
    length=st.integers(0, 3 * SOUND_RATE),
    samples=st.integers(1, 3 * SOUND_RATE),
    places=st.lists(st.integers(0, 3 * SOUND_RATE), max_size=6),
)
def test_each_second_gets_what_is_around_its_middle_however_the_sound_is_cut(length, samples, places):
    sound = np.arange(1, length + 1, dtype=np.float32)
    padded = np.pad(sound, 2 * SOUND_RATE)
    found = list(around_seconds(cut(sound, places), samples))
    assert len(found) == -(-length // SOUND_RATE)
    for second, patch in enumerate(found):
        first = 2 * SOUND_RATE + second * SOUND_RATE - (samples - SOUND_RATE) // 2
        np.testing.assert_array_equal(patch, padded[first : first + samples])


def test_what_is_heard_is_what_the_network_says_of_each_second(encoder):
    sound = noise(9.3)
    heard = hear(cut(sound, [1, 17_000, 17_001, 90_000]), encoder)
    assert (heard.shape, heard.dtype) == ((10, SOUND_FEATURES), np.float16)
    np.testing.assert_array_equal(heard, hear([sound], encoder))
    middle = 4 * SOUND_RATE + SOUND_RATE // 2
    alone = encoder.network(
        sound[None, middle - encoder.samples // 2 : middle + encoder.samples // 2].astype(np.float32)
    )
    np.testing.assert_allclose(heard[4], np.asarray(alone)[0], rtol=2e-3)
    assert np.ptp(heard, axis=0).max() > 0
    np.testing.assert_array_equal(hear([sound, np.zeros(0, np.float16)], encoder)[:4], heard[:4])
    assert hear([], encoder).shape == (0, SOUND_FEATURES)


def test_a_network_of_another_rate_hears_the_same_tone(tmp_path):
    heard = {}
    for rate in (8000, 16_000, 22_050):
        size = rate // 2
        spectrum = keras.Sequential([keras.Input((size,)), keras.layers.Dense(1, use_bias=False)])
        # What a tone of 440 Hz has in common with the sound: the largest for its own rate alone.
        spectrum.layers[0].set_weights([np.sin(2 * np.pi * 440 * np.arange(size) / rate)[:, None] * 2 / size])
        spectrum.save(tmp_path / "tone.keras")
        encoder = read_sound_encoder(tmp_path / "tone.keras", rate)
        time = np.arange(4 * SOUND_RATE) / SOUND_RATE
        # The half second around the middle of each second begins with a whole period.
        heard[rate] = hear([np.sin(2 * np.pi * 440 * time).astype(np.float16)], encoder)[1:3, 0]
    for rate, found in heard.items():
        np.testing.assert_allclose(np.abs(found), 1, atol=0.02, err_msg=str(rate))


def test_a_frame_gets_the_second_that_it_lies_in_and_nothing_beyond_the_end():
    heard = np.random.default_rng(0).uniform(0, 1, (3, 4)).astype(np.float16)
    features = heard_features(heard, [0.0, 0.99, 1.0, 2.5, 2.9999999, 3.0, 8.0])
    expected = with_change(heard)[[0, 0, 1, 2, 2]]
    np.testing.assert_array_equal(features[:][:4], expected[:4])
    assert features[:][3, -2:].all()
    assert not features[:][5:].any()
    np.testing.assert_array_equal(features[3:6], features[:][3:6])
    silent = heard_features(np.zeros((0, 4), np.float16), [0.0, 1.0])
    assert silent.shape == (2, 10)
    assert not silent[:].any()


def test_each_sound_is_listened_to_once(clips, encoder):
    folder, heard = listen(clips[0], encoder)
    assert heard == [3, 3]
    assert [np.load(folder / f"trailer_{number}.npy").shape for number in range(3)] == [
        (3, SOUND_FEATURES),
        (3, SOUND_FEATURES),
        (0, SOUND_FEATURES),
    ]
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert listen(clips[0], encoder)[1] == []
    os.utime(sound_path(clips[0], 0))  # copied or touched: the same sound
    assert listen(clips[0], encoder)[1] == []
    after = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert {name for name in before if before[name] != after[name]} == {"trailer_0.json"}


def test_another_sound_or_one_that_came_or_went_is_noticed(clips, encoder):
    folder, _ = listen(clips[0], encoder)
    first = np.load(folder / "trailer_0.npy")
    np.save(sound_path(clips[0], 0), np.zeros(SOUND_RATE * 5 // 2, np.float16))
    sound_path(clips[0], 1).unlink()
    np.save(sound_path(clips[0], 2), np.ones(SOUND_RATE, np.float16))
    assert listen(clips[0], encoder)[1] == [3, 1]
    assert not np.array_equal(np.load(folder / "trailer_0.npy"), first)
    assert [len(np.load(folder / f"trailer_{number}.npy")) for number in range(3)] == [3, 0, 1]
    for number in range(3):  # cut off, as by a disk that was full while it was copied
        os.truncate(folder / f"trailer_{number}.npy", 10)
    assert listen(clips[0], encoder)[1] == [3, 1]
    assert [len(np.load(folder / f"trailer_{number}.npy")) for number in range(3)] == [3, 0, 1]


def test_a_sound_that_cannot_be_read_is_one_line(clips, encoder):
    sound_path(clips[0], 0).write_bytes(b"junk")
    with pytest.raises(InputError, match=r"sound_0.npy: expected"):
        listen(clips[0], encoder)


def test_silent_clips_are_counted_once_and_those_made_without_sound_refused(clips, encoder, caplog):
    folder, _ = clips

    def encode():
        return encode_folder(folder, EncoderConfig(), encoders=Encoders(None, None, encoder), jobs=1)

    assert encode() == {heard_folder(folder, encoder): 3}
    assert caplog.messages == ["1 of 3 trailers have no sound: they are judged by what is seen"]
    for number in range(2):
        sound_path(folder, number).unlink()
    with pytest.raises(InputError, match=r"expected sound beside the clips .*, which were made without; `pre"):
        encode()
    write_clip_config(folder, ClipConfig())  # with sound, of which the videos had none
    encode()
    assert caplog.messages[1:] == ["3 of 3 trailers have no sound: they are judged by what is seen"]


def test_batches_hold_what_is_heard_beside_the_frames(clips, encoder):
    folder, labels = clips
    trailers = encode_trailers(load_trailers(folder, labels), folder, None, sound_encoder=encoder, jobs=1)
    inputs, _, _ = TrailerSequence(trailers, batch_size=3, shuffle=False)[0]
    assert inputs["sound"].shape == (*inputs["frames"].shape[:2], 2 * SOUND_FEATURES + 2)
    for row, trailer in enumerate(trailers):
        expected = open_heard(trailer.heard, trailer.times)[:]
        np.testing.assert_array_equal(inputs["sound"][row, : len(trailer.times)], expected)
        assert expected.any() == (row < 2)
    assert dataclasses.replace(trailers[0], heard=None).open().shape == trailers[0].open().parts["frames"].shape
