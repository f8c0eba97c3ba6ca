"""A pretrained network that listens: the same whatever comes beside it, or one line why not."""

from __future__ import annotations

import runpy
from pathlib import Path

import keras
import numpy as np
import pytest

from genre_classifier.network.encoder_engine import CLOSE, KERAS, SAME, Engine
from genre_classifier.network.sound_encoder import SoundEncoder, read_sound_encoder
from preprocessing.base.errors import InputError
from preprocessing.processes.machine import processor_has_bfloat16
from tests.support.tiny_encoder import SOUND_FEATURES, write_encoder, write_sound_encoder

SAMPLES, RATE = 4000, 16_000
FLOAT, BFLOAT = Engine("openvino", "float32"), Engine("openvino", "bfloat16")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return read_sound_encoder(write_sound_encoder(tmp_path_factory.mktemp("ear") / "ear.keras"), RATE)


def noise(patches, samples=SAMPLES):
    return np.random.default_rng(0).uniform(-1, 1, (patches, samples)).astype(np.float32)


def test_features_do_not_depend_on_how_many_patches_are_given(encoder):
    whole = encoder.listen(noise(11))
    assert (whole.shape, whole.dtype) == ((11, SOUND_FEATURES), np.float16)
    np.testing.assert_array_equal(np.concatenate([encoder.listen(noise(11)[:3]), encoder.listen(noise(11)[3:])]), whole)
    np.testing.assert_allclose(whole, np.asarray(encoder.network(noise(11))), rtol=2e-3)
    assert encoder.listen(noise(0)).shape == (0, SOUND_FEATURES)


@pytest.mark.parametrize("engine", [FLOAT, BFLOAT])
def test_openvino_hears_what_keras_hears_however_much_is_given(encoder, monkeypatch, tmp_path, engine):
    pytest.importorskip("openvino")
    if engine == BFLOAT and not processor_has_bfloat16():
        pytest.skip("the processor has no bfloat16 arithmetic")
    monkeypatch.setenv("GENRE_CLASSIFIER_CACHE", str(tmp_path))
    faster, expected = encoder.on(engine), encoder.listen(noise(19)).astype(np.float32)
    heard = faster.listen(noise(19))
    assert (faster.engine, encoder.engine, heard.dtype) == (engine, KERAS, np.float16)
    allowed = SAME if engine == FLOAT else CLOSE
    assert np.abs(heard - expected).max() <= allowed * np.abs(expected).max()
    np.testing.assert_array_equal(np.concatenate([faster.listen(noise(19)[:5]), faster.listen(noise(19)[5:])]), heard)
    assert len({encoder.output_digest, faster.output_digest, encoder.digest}) == 2
    again = SoundEncoder(encoder.network, RATE, engine)  # out of what was kept
    monkeypatch.setattr(again, "steps", lambda **_: pytest.fail("converted again"))
    np.testing.assert_array_equal(again.listen(noise(19)), heard)


def test_what_openvino_cannot_compute_is_heard_by_keras_with_a_line(encoder, monkeypatch, tmp_path, caplog):
    pytest.importorskip("openvino")
    monkeypatch.setenv("GENRE_CLASSIFIER_CACHE", str(tmp_path))
    wrong = encoder.on(FLOAT)
    monkeypatch.setattr(
        wrong, "steps", lambda **_: lambda samples: keras.ops.cast(samples[:, :SOUND_FEATURES], "float16")
    )
    wrong._program = encoder._program
    np.testing.assert_array_equal(wrong.listen(noise(3)), encoder.listen(noise(3)))
    assert (wrong.engine, wrong.output_digest) == (KERAS, encoder.digest)
    assert (
        "the sound encoder runs on keras float32: openvino float32 cannot be used for it: expected what" in caplog.text
    )
    with pytest.raises(InputError, match=r"ear: expected an encoder that works on openvino float32, as where it was"):
        wrong.require_working_on(FLOAT, "ear")


def test_its_digest_follows_weights_and_rate_and_its_file_gives_it_again(encoder, tmp_path):
    encoder.save(tmp_path / "again.keras")
    again = read_sound_encoder(tmp_path / "again.keras", RATE)
    assert again.digest == encoder.digest
    np.testing.assert_array_equal(again.listen(noise(3)), encoder.listen(noise(3)))
    other = read_sound_encoder(write_sound_encoder(tmp_path / "other.keras", seed=2), RATE)
    assert len({encoder.digest, other.digest, SoundEncoder(encoder.network, 8000).digest}) == 3


def test_what_is_no_sound_encoder_is_one_line(tmp_path):
    write_encoder(tmp_path / "eye.keras")
    (tmp_path / "junk.keras").write_bytes(b"junk")
    layers = keras.layers
    maps = keras.Sequential([keras.Input((400,)), layers.Reshape((20, 20))])
    maps.save(tmp_path / "maps.keras")
    for name, expected in {
        "eye.keras": r"expected a sound network \(.keras\) from \(samples,\) to \(features,\), found one from \(None, ",
        "maps.keras": r"found one from \(None, 400\) to \(None, 20, 20\)",
        "junk.keras": "found something else, or half of one",
        "none.keras": "found no such file",
    }.items():
        with pytest.raises(InputError, match=expected):
            read_sound_encoder(tmp_path / name, RATE)


@pytest.mark.parametrize("several", [lambda features: {"features": features}, lambda features: [features]])
def test_a_network_may_name_its_only_output(encoder, tmp_path, several):
    keras.Model(encoder.network.inputs, several(encoder.network.outputs[0])).save(tmp_path / "named.keras")
    named = read_sound_encoder(tmp_path / "named.keras", RATE)
    np.testing.assert_array_equal(named.listen(noise(3)), encoder.listen(noise(3)))
    named.save(tmp_path / "again.keras")
    assert read_sound_encoder(tmp_path / "again.keras", RATE).digest == named.digest


def test_features_that_are_no_numbers_are_refused(encoder, tmp_path):
    network = keras.models.clone_model(encoder.network)
    network.set_weights([np.full_like(weight, np.nan) for weight in encoder.network.get_weights()])
    with pytest.raises(InputError, match="expected finite numbers from the sound encoder, found others"):
        SoundEncoder(network, RATE).listen(noise(2))


def _example(monkeypatch, name, *arguments):
    monkeypatch.setattr("sys.argv", [name, *map(str, arguments)])
    return runpy.run_path(str(Path(__file__).parents[2] / "docs" / "examples" / name), run_name="example")


def test_a_network_of_spectrograms_becomes_a_sound_encoder(tmp_path, monkeypatch):
    layers = keras.layers
    network = keras.Sequential([keras.Input((63, 24)), layers.Dense(3), layers.GlobalAveragePooling1D()])
    network.save(tmp_path / "network.keras")
    _example(monkeypatch, "make_sound_encoder.py", tmp_path / "network.keras", tmp_path / "ear.keras")
    ear = read_sound_encoder(tmp_path / "ear.keras", RATE)
    assert (ear.samples, ear.features) == (62 * 256, 3)
    time = np.arange(ear.samples) / RATE
    low, high = ear.listen(np.sin(2 * np.pi * np.array([[300], [3000]]) * time))
    assert np.abs(low - high).max() > 0.5


def test_the_example_lays_musicnn_out_as_its_checkpoint_says(tmp_path, monkeypatch):
    example = _example(monkeypatch, "musicnn_encoder.py")
    bands = example["mel_bands"]()
    assert bands.shape == (257, 96)
    # Slaney's triangles have the area 2 / (upper - lower edge) * half their base: 1 for each hertz.
    wide = bands[:, 60:].sum(axis=0) * RATE / 512
    np.testing.assert_allclose(wide, 1, atol=0.03)
    rng = np.random.default_rng(0)
    sizes = [(7, 38, 1, 204), (7, 67, 1, 204), (128, 1, 1, 51), (64, 1, 1, 51), (32, 1, 1, 51), (7, 561, 1, 64)]
    sizes += [(7, 64, 1, 64)] * 2
    weights = {}
    for number, (kind, size) in enumerate([*(("conv2d", size) for size in sizes), ("dense", (1506, 200))]):
        name = f"{kind}_{number}".removesuffix("_0") if kind == "conv2d" else kind
        weights |= {f"{name}/kernel": rng.normal(0, 0.01, size), f"{name}/bias": np.zeros(size[-1])}
    for number, width in enumerate([1, 204, 204, 51, 51, 51, 64, 64, 64, 1506, 200]):
        name = f"batch_normalization_{number}".removesuffix("_0")
        weights |= {f"{name}/{part}": np.ones(width) for part in ("gamma", "moving_variance")}
        weights |= {f"{name}/{part}": np.full(width, 0.01 * number) for part in ("beta", "moving_mean")}
    example["network"](weights).save(tmp_path / "musicnn.keras")
    ear = read_sound_encoder(tmp_path / "musicnn.keras", RATE)
    assert (ear.samples, ear.features) == (48_128, 200)
    assert ear.listen(noise(1, ear.samples)).std() > 0
