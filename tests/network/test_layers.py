"""The fast ConvLSTM against `keras.layers.ConvLSTM2D` with the same weights."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from genre_classifier.network.layers import ConvLSTM2D, FrameFeatures, FrameNormalization, Frames

tensorflow_only = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="differentiates with TensorFlow")


def movies(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def pair(x, **options):
    """Return Keras's layer and the fast one, with the same weights, built for `x`."""
    options = {"padding": "same", "return_sequences": True, **options}
    layers = keras.layers.ConvLSTM2D(4, 3, **options), ConvLSTM2D(4, 3, **options)
    for layer in layers:
        layer.build(x.shape)
    layers[1].set_weights(layers[0].get_weights())
    return layers


@pytest.mark.parametrize("activation", ["sigmoid", "hard_sigmoid"])
@pytest.mark.parametrize("size", [(7, 5), (16, 16), (1, 3)])
def test_scores_equal_those_of_keras(activation, size):
    x = movies((2, 5, *size, 3))
    plain, fast = pair(x, recurrent_activation=activation)
    assert fast.is_fast
    np.testing.assert_allclose(fast(x), plain(x), atol=1e-5)
    np.testing.assert_allclose(fast(x, training=True), plain(x, training=True), atol=1e-5)


@tensorflow_only
@pytest.mark.parametrize("activation", ["sigmoid", "hard_sigmoid"])
def test_gradients_equal_those_of_keras(activation):
    import tensorflow as tf

    x = movies((2, 5, 7, 9, 3))
    weights = movies((2, 5, 7, 9, 4), seed=1)

    def gradients(layer):
        with tf.GradientTape() as tape:
            frames = tf.Variable(x)
            loss = tf.reduce_sum(layer(frames, training=True) * weights)
        return tape.gradient(loss, [frames, *(variable.value for variable in layer.trainable_variables)])

    plain, fast = pair(x, recurrent_activation=activation)
    for expected, got in zip(gradients(plain), gradients(fast), strict=True):
        assert np.abs(expected - got).max() <= 1e-4 * np.abs(expected).max()


def test_states_go_in_and_out_as_in_keras():
    x = movies((2, 3, 6, 5, 3))
    plain, fast = pair(x, return_state=True, return_sequences=False)
    state = [movies((2, 6, 5, 4), seed) for seed in (1, 2)]
    for expected, got in zip(plain(x, initial_state=state), fast(x, initial_state=state), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"strides": 2},
        {"padding": "valid"},
        {"use_bias": False},
        {"activation": "relu"},
        {"data_format": "channels_first"},
        {"go_backwards": True},
        {"stateful": True},
    ],
)
def test_other_arguments_are_left_to_keras(options):
    x = movies((1, 3, 8, 8, 2))
    plain, fast = pair(x, **options)
    assert not fast.is_fast
    np.testing.assert_allclose(fast(x), plain(x), atol=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() == "jax", reason="Keras's own ConvLSTM2D fails on masks there")
def test_masked_frames_keep_the_state_as_in_keras():
    x = movies((2, 4, 5, 5, 2))
    plain, fast = pair(x)
    mask = np.array([[True, False, True, True], [True, True, False, False]])
    np.testing.assert_allclose(fast(x, mask=mask), plain(x, mask=mask), atol=1e-6)


def test_weights_saved_with_one_load_with_the_other(tmp_path):
    x = movies((1, 3, 5, 5, 2))
    models = []
    for layer in pair(x):
        layer.name = "convlstm"
        inputs = keras.Input(x.shape[1:])
        models.append(keras.Model(inputs, layer(inputs)))
    path = tmp_path / "plain.weights.h5"
    models[0].save_weights(path)
    models[1].layers[1].set_weights([np.zeros_like(weight) for weight in models[1].get_weights()])
    models[1].load_weights(path)
    np.testing.assert_allclose(models[1](x), models[0](x), atol=1e-6)


def test_differences_are_those_of_the_frames():
    pixels = np.random.default_rng(0).integers(0, 256, (1, 4, 3, 5, 6)).astype("uint8")
    frames, mask = Frames("rgb+difference")(pixels)
    scaled = np.moveaxis(pixels, 2, -1) / 255
    np.testing.assert_allclose(frames[..., :3], scaled, atol=1e-6)
    np.testing.assert_allclose(frames[:, 1:, ..., 3:], scaled[:, 1:] - scaled[:, :-1], atol=1e-6)
    assert not np.any(frames[:, 0, ..., 3:])
    assert np.all(mask)


def test_motion_is_the_grey_difference_over_its_mean_size():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 3, 4, 6)).astype("uint8")
    frames, _ = Frames("motion")(pixels)
    assert frames.shape == (2, 5, 4, 6, 1)
    differences = np.diff(pixels.mean(axis=2) / 255, axis=1)  # (batch, 4, rows, cols)
    size = np.abs(differences).mean(axis=(2, 3), keepdims=True)
    assert not np.any(frames[:, 0])
    np.testing.assert_allclose(frames[:, 1:, ..., 0], 0.2 * differences / (size + 0.002), atol=1e-5)


def test_motion_forgets_brightness_and_contrast_and_a_still_clip_stays_still():
    pixels = np.random.default_rng(0).integers(50, 150, (1, 5, 3, 4, 6)).astype("float32")
    frames, _ = Frames("motion")(pixels)
    changed, _ = Frames("motion")(1.5 * pixels + 20)
    np.testing.assert_allclose(changed, frames, atol=1e-2)
    still, _ = Frames("motion")(np.repeat(pixels[:, :1], 5, axis=1))
    np.testing.assert_allclose(still, 0, atol=1e-4)


def test_normalisation_leaves_padded_frames_out():
    frames = movies((2, 3, 4, 4, 2))
    real = np.array([[True, True, False], [True, False, False]])
    norm = FrameNormalization(momentum=0.0)
    norm(frames, real=real, training=True)
    kept = frames[real].reshape(-1, 2)
    np.testing.assert_allclose(norm.moving_mean, kept.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(norm.moving_variance, kept.var(axis=0), atol=1e-5)


def test_pooled_head_is_mean_then_maximum():
    frames = movies((1, 2, 3, 4, 5))
    features = FrameFeatures("pooled")(frames)
    np.testing.assert_allclose(features[..., :5], frames.mean(axis=(2, 3)), atol=1e-6)
    np.testing.assert_allclose(features[..., 5:], frames.max(axis=(2, 3)), atol=1e-6)
