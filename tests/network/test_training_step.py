"""Steps of the optimizer, whole and in chunks, against automatic differentiation of plain Keras layers."""

from __future__ import annotations

import functools

import keras
import numpy as np
import pytest

from benchmarks.plain_network import build_plain_model, copy_weights
from genre_classifier.config import ModelConfig
from genre_classifier.network import backend as acceleration
from genre_classifier.network import training_step
from genre_classifier.network.model import build_model
from preprocessing.base.errors import InputError
from tests.network.test_model import SMALL, clip_of, with_random_statistics

tf = pytest.importorskip("tensorflow")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the step needs TensorFlow"),
]

# Halved, 14 x 13 pixels are 7 x 7; pooled by three, their windows lack a pixel on each side.
GENRES = ("comedy", "terror")  # two branches prove what six do, and TensorFlow traces them in half the time
CONFIG = ModelConfig(rows=14, cols=13, norm_momentum=0.5, genres=GENRES, **SMALL)
FRAMES = 7
STEP = 1e4  # so large that the difference of the weights is the gradient without rounding


def mean_loss():
    return keras.losses.BinaryCrossentropy(reduction="mean_with_sample_weight")


def targets(batch):
    rng = np.random.default_rng(5)
    return [rng.integers(0, 2, (batch, FRAMES, 1)).astype("float32") for _ in GENRES]


@functools.cache
def model_for(**options):
    """Return a model to train with these options: compiling one takes seconds."""
    model = build_model(CONFIG)
    model.compile(keras.optimizers.SGD(STEP), [mean_loss() for _ in GENRES])
    model.configure(**options)
    return model


def train_once(source, x, y, weights=None, **options):
    """Return the loss, the gradients and the moving statistics of one step from the weights of `source`."""
    model = model_for(**options)
    model.set_weights(source.get_weights())
    before = [variable.numpy() for variable in model.trainable_variables]
    loss = model.train_on_batch(x, y, sample_weight=weights, return_dict=True)["loss"]
    after = [variable.numpy() for variable in model.trainable_variables]
    gradients = {v.path: (a - b) / STEP for v, a, b in zip(model.trainable_variables, before, after, strict=True)}
    return float(loss), gradients, {v.path: v.numpy() for v in model.non_trainable_variables if "moving" in v.path}


def plain_gradients(source, x, y, *, training):
    """Return loss and gradients of plain Keras layers over the whole clip."""
    plain = build_plain_model(CONFIG, "channels_last")
    copy_weights(source, plain)
    with tf.GradientTape() as tape:
        outputs = plain(x, training=training)
        loss = sum(mean_loss()(target, output) for target, output in zip(y, outputs, strict=True))
    found = tape.gradient(loss, [variable.value for variable in plain.trainable_variables])
    return float(loss), {v.path: g.numpy() for v, g in zip(plain.trainable_variables, found, strict=True)}


def assert_same_gradients(got, expected, tolerance=1e-4):
    assert got.keys() == expected.keys()
    largest = max(np.abs(gradient).max() for gradient in expected.values())
    for path, gradient in expected.items():
        # A gradient that is nothing but rounding is compared with the largest of all.
        scale = max(np.abs(gradient).max(), 1e-3 * largest)
        assert np.abs(got[path] - gradient).max() <= tolerance * scale, path


@pytest.fixture(scope="module")
def source():
    keras.utils.set_random_seed(3)
    return with_random_statistics(build_model(CONFIG))


@pytest.fixture
def clip():
    return clip_of(FRAMES, 14, 13)[None]


def test_a_step_is_traced_once(clip, monkeypatch):
    traced = []
    measure = training_step.measure_loss
    monkeypatch.setattr(
        training_step, "measure_loss", lambda *a, **k: (traced.append(tf.inside_function()), measure(*a, **k))[1]
    )
    model = build_model(CONFIG)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), [mean_loss() for _ in GENRES])
    once = model.train_on_batch(clip, targets(1), return_dict=True)
    again = model.train_on_batch(clip, targets(1), return_dict=True)
    assert traced == [False, True]  # the first makes the variables of optimizer and metrics, and leaves no trace
    assert 0 < again["loss"] < once["loss"]
    both = [np.concatenate([target, target]) for target in targets(1)]
    model.train_on_batch(np.concatenate([clip, clip])[:, :-1], [target[:, :-1] for target in both])
    assert traced == [False, True]  # nor does another number of clips, or of frames


def test_a_whole_clip_trains_as_in_plain_keras(source, clip):
    y = targets(1)
    loss, gradients, _ = train_once(source, clip, y)
    expected_loss, expected = plain_gradients(source, clip, y, training=True)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert_same_gradients(gradients, expected)


@pytest.mark.parametrize("chunk", [1, 3])
def test_full_gradients_do_not_depend_on_the_chunk(source, clip, chunk, monkeypatch):
    monkeypatch.setattr(training_step, "GROUP", 2)  # so that states are stored on both levels
    y = targets(1)
    loss, gradients, statistics = train_once(source, clip, y, chunk=chunk, bptt="full")
    expected_loss, expected = plain_gradients(source, clip, y, training=False)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert_same_gradients(gradients, expected)
    _, _, whole_statistics = train_once(source, clip, y, bptt="full")
    for path, value in whole_statistics.items():
        np.testing.assert_allclose(statistics[path], value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("bptt", ["truncated", "full"])
def test_each_chunk_of_a_step_is_told_and_the_weights_are_the_same(source, clip, bptt):
    y, told = targets(2), []
    clips = np.concatenate([clip, clip])
    _, expected, statistics = train_once(source, clips, y, chunk=3, bptt=bptt)
    model = build_model(CONFIG)
    model.compile(keras.optimizers.SGD(STEP), [mean_loss() for _ in GENRES])
    model.set_weights(source.get_weights())
    model.configure(chunk=3, bptt=bptt, on_chunk=lambda *part: told.append(part))
    before = [variable.numpy() for variable in model.trainable_variables]
    model.train_on_batch(clips, y)
    for variable, old in zip(model.trainable_variables, before, strict=True):
        np.testing.assert_array_equal((old - variable.numpy()) / STEP, expected[variable.path])
    for variable in model.non_trainable_variables:
        if "moving" in variable.path:
            np.testing.assert_array_equal(variable.numpy(), statistics[variable.path])
    assert [part[:3] for part in told] == [
        *(("scored", number, 3) for number in (1, 2, 3)),
        *(("learned from", number, 3) for number in (1, 2, 3)),
    ]
    # Of two clips of 7 frames, in chunks of 3, 3 and 1; learning takes about three times as long as scoring.
    assert [part[3] for part in told] == [1.5, 3.0, 3.5, 5.0, 9.5, 14.0]


def test_a_step_that_is_interrupted_between_chunks_changes_no_weight(source, clip):
    def interrupt(done, *_):
        if done == "learned from":
            raise KeyboardInterrupt

    model = build_model(CONFIG)
    model.compile(keras.optimizers.SGD(STEP), [mean_loss() for _ in GENRES])
    model.set_weights(source.get_weights())
    model.configure(chunk=3, on_chunk=interrupt)
    with pytest.raises(KeyboardInterrupt):
        model.train_on_batch(clip, targets(1))
    for kept, old in zip(model.get_weights(), source.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, old)


def test_truncated_gradients_are_those_of_a_stateful_layer(source, clip, monkeypatch):
    monkeypatch.setattr(training_step, "GROUP", 2)
    y, chunk = targets(1), 3
    loss, gradients, _ = train_once(source, clip, y, chunk=chunk)
    plain = build_plain_model(CONFIG, "channels_last", stateful_batch=1)
    copy_weights(source, plain)
    expected_loss, expected = 0.0, {variable.path: 0.0 for variable in plain.trainable_variables}
    for start in range(0, FRAMES, chunk):
        part = slice(start, min(start + chunk, FRAMES))
        share = (part.stop - part.start) / FRAMES
        with tf.GradientTape() as tape:
            outputs = plain(clip[:, part], training=True)
            losses = [mean_loss()(target[:, part], out) for target, out in zip(y, outputs, strict=True)]
            part_loss = share * sum(losses)
        found = tape.gradient(part_loss, [variable.value for variable in plain.trainable_variables])
        expected_loss += float(part_loss)
        for variable, gradient in zip(plain.trainable_variables, found, strict=True):
            expected[variable.path] = expected[variable.path] + gradient.numpy()
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert_same_gradients(gradients, expected)


@pytest.mark.parametrize("options", [{}, {"chunk": 3}, {"chunk": 3, "bptt": "full"}])
def test_padded_frames_change_nothing(source, clip, options):
    """A clip padded to twice its length trains like the clip: same loss, gradients and statistics."""
    y, weights = targets(1), [np.ones((1, FRAMES), "float32")] * len(GENRES)
    expected = train_once(source, clip, y, weights, **options)
    padded = np.full((1, 2 * FRAMES, *clip.shape[2:]), -1, np.int16)
    padded[:, :FRAMES] = clip
    y = [np.concatenate([target, np.ones_like(target)], axis=1) for target in y]
    weights = [np.concatenate([weight, np.zeros_like(weight)], axis=1) for weight in weights]
    loss, gradients, statistics = train_once(source, padded, y, weights, **options)
    assert loss == pytest.approx(expected[0], rel=1e-5)
    assert_same_gradients(gradients, expected[1])
    for path, value in expected[2].items():
        np.testing.assert_allclose(statistics[path], value, rtol=1e-4, atol=1e-6)


def test_fit_evaluate_and_callbacks_work_as_usual(source, clip):
    model = build_model(CONFIG)
    model.compile(keras.optimizers.Adam(0.01), [mean_loss() for _ in GENRES])
    model.configure(chunk=4)
    seen = []
    callback = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs["loss"]))
    clips, y = np.repeat(clip, 4, axis=0), [np.repeat(target, 4, axis=0) for target in targets(1)]
    model.fit(clips, y, batch_size=2, validation_data=(clips, y), epochs=4, verbose=0, callbacks=[callback])
    assert len(seen) == 4
    assert seen[-1] < seen[0]
    assert 0 < model.evaluate(clips, y, verbose=0, return_dict=True)["loss"] < len(GENRES)


@pytest.mark.skipif(not acceleration.has_bfloat16(), reason="the processor has no bfloat16 arithmetic")
def test_bfloat16_gradients_point_the_same_way(source, clip):
    y = targets(1)
    _, exact, _ = train_once(source, clip, y)
    _, low, _ = train_once(source, clip, y, precision="bfloat16")
    one, other = (np.concatenate([np.ravel(gradients[path]) for path in sorted(exact)]) for gradients in (exact, low))
    assert one @ other / np.linalg.norm(one) / np.linalg.norm(other) > 0.999


def test_a_backend_that_cannot_says_so(source, monkeypatch):
    monkeypatch.setattr("genre_classifier.network.model.TENSORFLOW", False)
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(InputError, match="tensorflow or the jax backend of Keras; this is torch"):
        source.configure(chunk=4)
    monkeypatch.setattr(acceleration, "has_bfloat16", lambda: True)
    with pytest.raises(InputError, match="bfloat16 needs the tensorflow backend"):
        source.configure(precision="bfloat16")
