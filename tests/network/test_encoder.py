"""Any image network becomes an encoder of one kind; what cannot is told in a line."""

from __future__ import annotations

import dataclasses
import runpy
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genre_classifier.config import EncoderConfig
from genre_classifier.network.encoder import BATCH, CellMeans, Encoder, build_encoder, cell_weights, read_encoder
from preprocessing.base.errors import InputError
from tests.network.test_model import clip_of
from tests.support.tiny_encoder import CHANNELS, SIZE, write_encoder, write_huge, write_other

FRAMES = clip_of(BATCH + 3, SIZE, SIZE)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = write_encoder(tmp_path_factory.mktemp("encoder") / "tiny.keras")
    return EncoderConfig(encoder=str(path), encoder_cells=5, encoder_engine="keras")


@pytest.fixture(scope="module")
def encoder(config):
    return build_encoder(config, SIZE, SIZE)


@pytest.mark.slow
def test_its_maps_are_those_of_the_network(config, encoder):
    network = keras.saving.load_model(config.encoder)
    expected = np.asarray(network(FRAMES.transpose(0, 2, 3, 1).astype(np.float32))).transpose(0, 3, 1, 2)
    assert (encoder.channels, encoder.cells) == (CHANNELS, 5)
    np.testing.assert_allclose(encoder.encode(FRAMES).astype(np.float32), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_maps_of_a_frame_do_not_depend_on_the_frames_around_it(encoder):
    whole = encoder.encode(FRAMES)
    parts = [encoder.encode(FRAMES[:1]), encoder.encode(FRAMES[1:4]), encoder.encode(FRAMES[4:])]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert encoder.encode(FRAMES[:0]).shape == (0, CHANNELS, 5, 5)


@pytest.mark.slow
def test_cells_are_means_of_areas(config, encoder):
    two = build_encoder(dataclasses.replace(config, encoder_cells=2), SIZE, SIZE)
    maps = encoder.encode(FRAMES).astype(np.float32)
    # The third of five rows lies half in each of the two cells.
    share = np.array([[1, 1, 0.5, 0, 0], [0, 0, 0.5, 1, 1]]) / 2.5
    expected = np.einsum("ar,ncrs,bs->ncab", share, maps, share)
    np.testing.assert_allclose(two.encode(FRAMES).astype(np.float32), expected, rtol=2e-3, atol=2e-3)


@given(st.integers(1, 60), st.data())
def test_cell_weights_share_every_pixel_out(pixels, data):
    cells = data.draw(st.integers(1, pixels))
    weights = cell_weights(pixels, cells)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(weights.sum(axis=0), cells / pixels, rtol=1e-4)


@pytest.mark.slow
def test_frames_of_another_size_are_resized(config):
    large = build_encoder(config, 2 * SIZE, 2 * SIZE)
    plain = np.broadcast_to(FRAMES[:, :, :1, :1], (len(FRAMES), 3, 2 * SIZE, 2 * SIZE))  # of one colour each
    expected = build_encoder(config, SIZE, SIZE).encode(plain[:, :, ::2, ::2]).astype(np.float32)
    np.testing.assert_allclose(large.encode(plain).astype(np.float32), expected, rtol=2e-3, atol=2e-3)
    with pytest.raises(InputError, match="expected frames of 3x40x40"):
        large.encode(FRAMES)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["tf", "torch", "caffe"])
def test_scaling_is_that_of_keras_applications(config, mode):
    network = keras.saving.load_model(config.encoder)
    pixels = FRAMES.transpose(0, 2, 3, 1).astype(np.float32)
    scaled = keras.applications.imagenet_utils.preprocess_input(pixels.copy(), mode=mode)
    expected = np.asarray(network(scaled)).transpose(0, 3, 1, 2)
    found = build_encoder(dataclasses.replace(config, encoder_scaling=mode), SIZE, SIZE).encode(FRAMES)
    np.testing.assert_allclose(found.astype(np.float32), expected, rtol=2e-3, atol=2e-3)


@pytest.mark.slow
def test_another_layer_can_be_read(config):
    early = build_encoder(dataclasses.replace(config, encoder_layer="early", encoder_cells=10), SIZE, SIZE)
    assert early.encode(FRAMES).shape == (len(FRAMES), 4, 10, 10)


@pytest.mark.slow
def test_its_file_gives_the_same_maps_and_the_same_digest(encoder, tmp_path):
    encoder.network.save(tmp_path / "encoder.keras")
    again = read_encoder(tmp_path / "encoder.keras")
    assert again.digest == encoder.digest
    np.testing.assert_array_equal(again.encode(FRAMES), encoder.encode(FRAMES))


@pytest.mark.slow
def test_the_digest_follows_weights_layer_and_cells(config, encoder, tmp_path):
    other = dataclasses.replace(config, encoder=str(write_encoder(tmp_path / "other.keras", seed=2)))
    changes = [{"encoder_cells": 2}, {"encoder_scaling": "tf"}, {"encoder_layer": "early"}]
    configs = [other, *(dataclasses.replace(config, **change) for change in changes)]
    digests = {build_encoder(one, SIZE, SIZE).digest for one in configs}
    digests |= {build_encoder(config, SIZE + 1, SIZE + 1).digest, encoder.digest}
    assert len(digests) == 6
    assert build_encoder(config, SIZE, SIZE).digest == encoder.digest


@pytest.mark.slow
def test_a_network_of_keras_applications_brings_its_scaling(monkeypatch):
    build = keras.applications.MobileNetV2
    given_weights = []

    def without_download(**options):
        given_weights.append(options.get("weights", "imagenet"))
        return build(**options | {"weights": None})

    without_download.__module__ = build.__module__
    monkeypatch.setattr(keras.applications, "MobileNetV2", without_download)
    encoder = build_encoder(EncoderConfig(encoder="MobileNetV2", encoder_engine="keras"), 64, 64)
    assert "imagenet" in given_weights
    assert (encoder.channels, encoder.cells) == (1280, 2)
    scale = encoder.network.get_layer("scale")
    np.testing.assert_allclose(scale(np.array([[[[0.0, 127.5, 255.0]]]], np.float32))[0, 0, 0], [-1, 0, 1], atol=1e-6)


@pytest.mark.slow
def test_the_example_makes_a_file_that_gives_what_the_name_gives(monkeypatch, tmp_path):
    build = keras.applications.MobileNetV2

    def without_download(**options):
        keras.utils.set_random_seed(1)
        return build(**options | {"weights": None})

    without_download.__module__ = build.__module__
    monkeypatch.setattr(keras.applications, "MobileNetV2", without_download)
    path = tmp_path / "mobilenet_v2.keras"
    monkeypatch.setattr("sys.argv", ["make_encoder.py", str(path)])
    runpy.run_path(str(Path(__file__).parents[2] / "docs" / "examples" / "make_encoder.py"))
    frames = np.random.default_rng(0).integers(0, 256, (2, 3, 64, 64), dtype=np.uint8)
    file, named = (
        build_encoder(EncoderConfig(encoder=name, encoder_engine="keras"), 64, 64)
        for name in (str(path), "MobileNetV2")
    )
    np.testing.assert_allclose(file.encode(frames), named.encode(frames), atol=2e-3)
    earlier = build_encoder(EncoderConfig(encoder=str(path), encoder_layer="block_3_expand_relu"), 64, 64)
    assert earlier.channels == 144


@pytest.mark.slow
def test_weights_that_cannot_be_downloaded_are_named(monkeypatch):
    def fail(**options):
        if options.get("weights", "imagenet") == "imagenet":
            raise Exception("URL fetch failure on https://example.org/v2/weights_notop.h5: None -- unreachable")
        return keras.Sequential([keras.Input((SIZE, SIZE, 3)), keras.layers.Conv2D(2, 3)])

    monkeypatch.setattr(keras.applications, "EfficientNetV2B0", fail)
    with pytest.raises(InputError) as raised:
        build_encoder(EncoderConfig(encoder="EfficientNetV2B0"), SIZE, SIZE)
    message = str(raised.value)
    assert "https://example.org/v2/weights_notop.h5" in message
    assert "put weights_notop.h5 into" in message
    assert ".keras/models" in message
    assert "\n" not in message


@pytest.mark.slow
def test_what_is_no_encoder_is_refused(config, tmp_path):
    (tmp_path / "folder.keras").mkdir()
    (tmp_path / "damaged.keras").write_bytes(b"PK nothing")
    keras.Sequential([keras.Input((7,)), keras.layers.Dense(2)]).save(tmp_path / "dense.keras")
    flat = keras.Sequential([keras.Input((SIZE, SIZE, 3)), keras.layers.Flatten(name="flat")])
    flat.save(tmp_path / "flat.keras")
    refusals = [
        ({"encoder": "Nothing"}, "name of keras.applications"),
        ({"encoder": str(tmp_path / "missing.keras")}, "no such file"),
        ({"encoder": str(tmp_path / "damaged.keras")}, "expected an image network .*half of one"),
        ({"encoder": str(tmp_path / "folder.keras")}, "found a folder"),
        ({"encoder": str(tmp_path / "dense.keras")}, r"takes \(rows, cols, 3\)"),
        ({"encoder": str(tmp_path / "flat.keras")}, "name another layer"),
        ({"encoder_layer": "nowhere"}, "its last are"),
        ({"encoder_cells": 6}, "at least the 6x6 cells"),
    ]
    for change, expected in refusals:
        with pytest.raises(InputError, match=expected) as raised:
            build_encoder(dataclasses.replace(config, **change), SIZE, SIZE)
        assert "\n" not in str(raised.value)
    with pytest.raises(InputError, match="expected an encoder of this package"):
        read_encoder(tmp_path / "flat.keras")


@pytest.mark.slow
def test_a_network_that_is_huge_in_a_small_file_is_refused_before_it_is_made(config, tmp_path, monkeypatch):
    monkeypatch.setattr("keras.saving.load_model", lambda *_, **__: pytest.fail("it was made"))
    huge = write_huge(tmp_path / "huge.keras")
    assert huge.stat().st_size < 100_000
    expected = r"huge\.keras: .* found the description of one of 1480000 MB, more than there is room for \(\d+ MB are"
    with pytest.raises(InputError, match=expected):
        read_encoder(huge)
    with pytest.raises(InputError, match=expected):
        build_encoder(dataclasses.replace(config, encoder=str(huge)), SIZE, SIZE)
    with keras.StatelessScope():
        pass  # at whose end Keras makes what was put off anywhere before


@pytest.mark.slow
def test_a_damaged_network_is_a_line_that_can_be_printed_whatever_keras_says(tmp_path):
    path = write_other(tmp_path / "other.keras", '"class_name": "Conv2D"', r'"class_name": "Conv\ud800\u001b[0m"')
    with pytest.raises(InputError, match=r"other\.keras: expected an image network") as raised:
        read_encoder(path)
    assert str(raised.value).isprintable()


@pytest.mark.slow
def test_a_network_whose_maps_are_huge_is_refused_before_they_are_made(config, tmp_path):
    small = keras.Sequential([keras.Input((SIZE, SIZE, 3)), keras.layers.UpSampling2D(100_000)])
    small.save(tmp_path / "maps.keras")
    with pytest.raises(InputError, match=r"maps\.keras: .* fits into memory, found one whose maps take 1536000000 MB"):
        build_encoder(dataclasses.replace(config, encoder=str(tmp_path / "maps.keras")), SIZE, SIZE)
    deep = keras.Sequential([keras.Input((SIZE, SIZE, 3)), keras.layers.UpSampling2D(100_000), CellMeans(2)])
    deep.save(tmp_path / "deep.keras")
    with pytest.raises(InputError, match=r"deep\.keras: .* fits into memory"):
        read_encoder(tmp_path / "deep.keras")


@pytest.mark.slow
def test_any_network_may_be_an_encoder_whatever_its_layers_and_however_it_was_saved(config, tmp_path):
    pixels = keras.Input((SIZE, SIZE, 3))
    normal = keras.layers.Normalization(mean=[1.0, 2, 3], variance=[1.0, 2, 3])
    maps = keras.layers.Dropout(0.5)(keras.layers.RandomFlip()(normal(pixels)))
    inside = keras.Sequential(
        [keras.layers.SpectralNormalization(keras.layers.Conv2D(4, 3)), keras.layers.GroupNormalization(2)]
    )
    network = keras.Model(pixels, inside(maps))
    network.compile("adam", "mse")
    network.optimizer.build(network.trainable_variables)
    network.save(tmp_path / "own.keras")
    assert build_encoder(dataclasses.replace(config, encoder=str(tmp_path / "own.keras")), SIZE, SIZE).channels == 4


@pytest.mark.slow
def test_maps_that_are_no_numbers_are_refused():
    pixels = keras.Input((4, 4, 3))
    broken = keras.Model(pixels, keras.layers.Rescaling(np.nan)(pixels))
    with pytest.raises(InputError, match="expected maps of finite numbers"):
        Encoder(broken).encode(np.zeros((1, 3, 4, 4), np.uint8))


@pytest.mark.slow
def test_a_small_grey_picture_comes_with_the_maps(config, encoder):
    both = build_encoder(dataclasses.replace(config, motion_size=10), SIZE, SIZE)
    found = both.encode(FRAMES)
    assert both.channels == CHANNELS + 4
    np.testing.assert_array_equal(found[:, :CHANNELS], encoder.encode(FRAMES))
    grey = FRAMES.mean(axis=1).reshape(-1, 10, 2, 10, 2).mean(axis=(2, 4))
    cells = grey.reshape(-1, 5, 2, 5, 2).transpose(0, 2, 4, 1, 3).reshape(-1, 4, 5, 5)
    np.testing.assert_allclose(found[:, CHANNELS:].astype(np.float32), cells, rtol=1e-3)
