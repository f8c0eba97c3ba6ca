"""A network on an encoder's maps: reduced as by hand, the same however it is cut, trained as by autodifferentiation."""

from __future__ import annotations

import dataclasses
import functools

import keras
import numpy as np
import pytest

from genre_classifier.config import ModelConfig
from genre_classifier.network import training_step
from genre_classifier.network.layers import MAP_PADDING, Frames
from genre_classifier.network.map_frames import MapFrames, join_maps
from genre_classifier.network.model import build_model
from genre_classifier.network.streaming import ScoreStream, score_clip
from tests.network.test_model import SMALL, whole, with_random_statistics

CONFIG = ModelConfig(
    encoder="tiny",
    encoder_channels=7,
    encoder_cells=3,
    reduced_channels=(3, 4),
    trunk_pools=(1, 2),
    branch_pool=1,
    norm_momentum=0.5,
    genres=("drama", "western"),
    **SMALL,
)
# The last four channels are a grey picture of 6 x 6, which the trunk sees.
WITH_MOTION = dataclasses.replace(CONFIG, encoder_channels=11, motion_size=6)
FRAMES = 9
STEP = 1e4  # so large that the difference of the weights is the gradient without rounding
on_tensorflow = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the step needs TensorFlow")


def maps_of(frames=FRAMES, channels=7, seed=0):
    maps = np.random.default_rng(seed).normal(size=(frames, channels, 3, 3))
    maps[:, 7:] *= 100  # grey values
    return maps.astype(np.float16)


@pytest.fixture(scope="module", params=[CONFIG, WITH_MOTION], ids=["maps", "motion"])
def model(request):
    keras.utils.set_random_seed(3)
    model = with_random_statistics(build_model(request.param))
    for bias in model.prepare.biases:
        bias.assign(np.random.default_rng(4).normal(size=bias.shape))
    return model


def test_maps_and_their_change_are_reduced():
    maps = maps_of().astype(np.float32)
    layer = MapFrames((4, 5))
    found, real = layer(maps[None])
    kernels, biases = [np.asarray(one) / 7**0.5 for one in layer.kernels], [np.asarray(one) for one in layer.biases]
    expected = np.einsum("fcij,ck->fijk", maps, kernels[0]) + biases[0]
    np.testing.assert_allclose(found[0, ..., :4], expected, rtol=1e-4, atol=1e-5)
    change = np.einsum("fcij,ck->fijk", np.abs(np.diff(maps, axis=0)), kernels[1]) + biases[1]
    np.testing.assert_allclose(found[0, 1:, ..., 4:], change, rtol=1e-4, atol=1e-5)
    assert not np.asarray(found[0, 0, ..., 4:]).any()
    assert np.asarray(real).all()


def test_the_trunk_sees_the_movement_of_the_grey_picture():
    maps = maps_of(channels=11).astype(np.float32)
    frames, joined, _ = MapFrames((3, 3), grey=4)(maps[None])
    cells = maps[:, 7:].reshape(-1, 2, 2, 3, 3)
    pictures = cells.transpose(0, 3, 1, 4, 2).reshape(-1, 1, 6, 6)
    rgb = np.broadcast_to(pictures - pictures.min(), (FRAMES, 3, 6, 6))  # differences are all that counts
    expected, _ = Frames("motion")(rgb[None])
    np.testing.assert_allclose(frames, expected, rtol=1e-3, atol=1e-4)
    assert joined.shape == (1, FRAMES, 3, 3, 6)
    alone, _ = MapFrames((3, 3))(maps[None, :, :7])
    assert alone.shape == joined.shape


def test_joined_maps_lie_where_their_cells_are():
    found = join_maps(np.zeros((1, 1, 6, 4, 1), np.float32), np.arange(6, dtype=np.float32).reshape(1, 1, 3, 2, 1))
    expected = [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3], [4, 4, 5, 5], [4, 4, 5, 5]]
    np.testing.assert_array_equal(np.asarray(found)[0, 0, ..., 1], expected)


def test_any_chunk_gives_the_same_scores(model):
    maps = maps_of(70, model.config.encoder_channels)
    expected = whole(model, maps)
    for chunk in (1, 7, 64, 1000):
        np.testing.assert_allclose(score_clip(model, maps, chunk=chunk), expected, atol=1e-5)


def test_a_stream_encodes_what_it_is_fed(model):
    class Doubling:
        def encode(self, frames):
            return (2 * frames).astype(np.float16)

    maps = maps_of(6, model.config.encoder_channels)
    stream = ScoreStream(model, encoder=Doubling())
    parts = [stream.feed(maps[:1]), stream.feed(maps[1:1]), stream.feed(maps[1:])]
    np.testing.assert_allclose(np.concatenate(parts), score_clip(model, 2 * maps), atol=1e-5)


def test_a_saved_network_scores_the_same(model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    maps = maps_of(channels=model.config.encoder_channels)
    np.testing.assert_array_equal(score_clip(loaded, maps), score_clip(model, maps))


def mean_loss():
    return keras.losses.BinaryCrossentropy(reduction="mean_with_sample_weight")


def targets():
    return [np.random.default_rng(5).integers(0, 2, (1, FRAMES, 1)).astype("float32") for _ in CONFIG.genres]


@functools.cache
def model_for(config, **options):
    model = build_model(config)
    model.compile(keras.optimizers.SGD(STEP), [mean_loss() for _ in CONFIG.genres])
    model.configure(**options)
    return model


def train_once(source, maps, y, weights=None, **options):
    """Return the loss and the gradients of one step from the weights of `source`."""
    model = model_for(source.config, **options)
    model.set_weights(source.get_weights())
    before = [variable.numpy() for variable in model.trainable_variables]
    loss = model.train_on_batch(maps, y, sample_weight=weights, return_dict=True)["loss"]
    after = [variable.numpy() for variable in model.trainable_variables]
    return float(loss), [(one - other) / STEP for one, other in zip(before, after, strict=True)]


def assert_same_gradients(found, expected, tolerance=2e-4):
    largest = max(np.abs(gradient).max() for gradient in expected)
    for one, other in zip(found, expected, strict=True):
        assert np.abs(one - other).max() <= tolerance * max(np.abs(other).max(), 1e-3 * largest)


@pytest.mark.slow
@on_tensorflow
@pytest.mark.parametrize("options", [{}, {"bptt": "full"}, {"chunk": 4, "bptt": "full"}])
def test_gradients_are_those_of_the_functional_model(model, options, monkeypatch):
    import tensorflow as tf

    monkeypatch.setattr(training_step, "GROUP", 2)  # so that states are stored on both levels
    maps, y = maps_of(channels=model.config.encoder_channels)[None], targets()
    loss, found = train_once(model, maps, y, **options)
    with tf.GradientTape() as tape:
        outputs = model(maps.astype(np.float32), training=not options)
        expected_loss = sum(mean_loss()(target, output) for target, output in zip(y, outputs, strict=True))
    expected = tape.gradient(expected_loss, [variable.value for variable in model.trainable_variables])
    assert loss == pytest.approx(float(expected_loss), rel=1e-5)
    assert_same_gradients(found, [gradient.numpy() for gradient in expected])


@pytest.mark.slow
@on_tensorflow
def test_padded_frames_change_nothing(model):
    maps, y, weights = (
        maps_of(channels=model.config.encoder_channels)[None],
        targets(),
        [np.ones((1, FRAMES), "float32")] * 2,
    )
    expected_loss, expected = train_once(model, maps, y, weights)
    padded = np.full((1, 2 * FRAMES, *maps.shape[2:]), MAP_PADDING, np.float16)
    padded[:, :FRAMES] = maps
    y = [np.concatenate([target, np.ones_like(target)], axis=1) for target in y]
    weights = [np.concatenate([weight, np.zeros_like(weight)], axis=1) for weight in weights]
    loss, found = train_once(model, padded, y, weights)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert_same_gradients(found, expected)


def test_dropout_leaves_channels_out_of_training_alone():
    keras.utils.set_random_seed(1)
    layer, maps = MapFrames((8, 8), dropout=0.5), maps_of().astype(np.float32)[None]
    scored, _ = layer(maps)
    seen = []
    for step in range(4):
        layer.draw(7, step)
        frames, _, _ = layer.weights_for_run(training=True).run(maps, layer.initial_state(1, 3, 3))
        ratio = np.asarray(frames)[0, 1:] / np.asarray(scored)[0, 1:]
        factors = ratio.reshape(-1, 16).mean(axis=0)
        np.testing.assert_allclose(ratio, np.broadcast_to(factors, ratio.shape), rtol=1e-3)  # the same in all frames
        assert set(np.round(factors, 3)) == {0.0, 2.0}
        seen.append(tuple(np.round(factors)))
    assert len(set(seen)) > 1
    layer.draw(7, 0)
    assert tuple(np.round(np.asarray(layer.factors).ravel())) == seen[0]
    again, _ = layer(maps)
    np.testing.assert_array_equal(again, scored)
