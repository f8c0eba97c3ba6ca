"""A network with senses on paths of their own: the same however it is cut, saved, and what it says of the unknown."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from genre_classifier.config import ModelConfig
from genre_classifier.dataset.looks import ClipInputs
from genre_classifier.network.frame_encoder import with_change
from genre_classifier.network.model import build_model
from genre_classifier.network.senses import SensePath
from genre_classifier.network.streaming import ScoreStream, score_clip
from genre_classifier.run_folder.model_file import read_model
from preprocessing.base.errors import InputError
from tests.network.test_model import SMALL, clip_of

FRAMES, CHANNELS = 9, 5
MOVING = ModelConfig(
    rows=16,
    cols=16,
    inputs="motion",
    trunk_pools=(2, 2),
    branch_pool=2,
    genres=("drama", "horror", "western"),
    linear_paths=True,
    **SMALL,
)
SEEING = dataclasses.replace(
    MOVING, encoder="tiny", encoder_fps=2.0, encoder_cells=1, encoder_channels=CHANNELS, path_components=(4, 3)
)
CONFIGS = {
    "movement": MOVING,
    "movement, one genre": dataclasses.replace(MOVING, exclusive="yes"),
    "pictures": SEEING,
    "pictures, one genre": dataclasses.replace(SEEING, exclusive="yes"),
    "no paths, one genre": dataclasses.replace(MOVING, linear_paths=False, exclusive="yes"),
}


def random_weights(model, seed=0):
    """Give every weight a random value, the paths' too."""
    rng = np.random.default_rng(seed)
    model.set_weights(
        [
            rng.uniform(0.05, 0.2, weight.shape) if "variance" in variable.name else rng.normal(0, 0.6, weight.shape)
            for weight, variable in zip(model.get_weights(), model.weights, strict=True)
        ]
    )
    return model


def inputs_of(config, frames=FRAMES, seed=0):
    """Return a clip, with what an encoder says of it where the network has one."""
    clip = clip_of(frames, 16, 16, seed)
    if not config.features:
        return clip
    looks = np.random.default_rng(seed).normal(size=(frames, CHANNELS))
    return ClipInputs({"frames": clip, "pictures": with_change(looks)})


def batch_of(clip):
    """Return it as a batch of one for the functional model."""
    return {name: part[None] for name, part in clip[:].items()} if isinstance(clip, ClipInputs) else clip[None]


def functional(model, clip):
    return np.concatenate([np.asarray(one) for one in model(batch_of(clip), training=False)], axis=-1)[0]


FAST = ("movement", "pictures, one genre")


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in CONFIGS]
)
def model(request):
    return random_weights(build_model(CONFIGS[request.param]))


def test_any_chunk_gives_the_scores_of_the_functional_model(model):
    clip = inputs_of(model.config)
    expected = functional(model, clip)
    assert np.ptp(expected, axis=0).min() > 0.01
    for chunk in (1, 4, 100):
        np.testing.assert_allclose(score_clip(model, clip, chunk=chunk), expected, atol=1e-5)
    found = np.concatenate(model.predict(batch_of(clip), verbose=0), axis=-1)[0]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    if model.config.one_genre_per_frame:
        np.testing.assert_allclose(expected.sum(axis=-1), 1, atol=1e-5)


def test_a_stream_takes_frames_as_they_come_and_starts_anew(model):
    clip, stream = inputs_of(model.config), ScoreStream(model)
    parts = [stream.feed(clip[:1]), stream.feed(clip[1:1]), stream.feed(clip[1:3]), stream.feed(clip[3:])]
    assert [part.shape for part in parts] == [(1, 3), (0, 3), (2, 3), (6, 3)]
    stream.reset()
    np.testing.assert_allclose(stream.feed(clip[:]), np.concatenate(parts), atol=1e-5)


def test_a_saved_network_scores_the_same(model, tmp_path):
    model.save(tmp_path / "model.keras")
    clip = inputs_of(model.config)
    np.testing.assert_allclose(
        score_clip(read_model(tmp_path / "model.keras"), clip), score_clip(model, clip), atol=1e-6
    )


def test_frames_without_what_the_encoder_says_are_refused():
    model = build_model(SEEING)
    with pytest.raises(InputError, match="expected frames and features of pictures"):
        score_clip(model, clip_of(2, 16, 16))
    with pytest.raises(InputError, match="expected frames of 3x16x16"):
        score_clip(model, ClipInputs({"frames": clip_of(2, 8, 8), "pictures": np.zeros((2, 12), np.float16)}))


def test_an_untrained_network_says_what_its_paths_say():
    model = build_model(SEEING)
    rng, clip = np.random.default_rng(1), inputs_of(SEEING)
    for path in model.senses.paths.values():
        path.set_weights([rng.normal(0, 0.1, weight.shape) for weight in path.get_weights()])
    model.senses.total.prior.assign([0.5, -1.0, 0.0])
    before = score_clip(model, clip)
    sums = np.log(before / (1 - before))
    pictures = np.asarray(model.senses.paths["pictures"](clip.parts["pictures"][None]))[0]
    moves = sums - pictures - [0.5, -1.0, 0.0]
    np.testing.assert_allclose(moves[:2], 0, atol=1e-4)  # of the first two frames nothing is known
    assert np.abs(moves[2:]).min(axis=0).max() > 0.01
    random_weights(model)
    logits = score_clip(model, clip)
    np.testing.assert_raises(AssertionError, np.testing.assert_allclose, logits, before, atol=1e-3)


@pytest.mark.parametrize(("weight", "counted"), [(0.2, 0.2), ("auto", 0.5)])
def test_branches_learn_without_the_paths_and_speak_beside_them(weight, counted):
    model = build_model(dataclasses.replace(MOVING, branch_weight=weight))
    rng = np.random.default_rng(1)
    logits, paths = rng.normal(size=(2, 1, 4, 3)).astype(np.float32)
    total = model.senses.total
    total.prior.assign([0.5, -1.0, 0.0])
    expected = logits + np.array([0.5, -1, 0])
    np.testing.assert_allclose(total(logits, paths, training=True), 1 / (1 + np.exp(-expected)), atol=1e-6)
    expected = counted * logits + paths + np.array([0.5, -1, 0])
    np.testing.assert_allclose(total(logits, paths, training=False), 1 / (1 + np.exp(-expected)), atol=1e-6)


def test_what_is_not_known_says_nothing():
    path = SensePath(2, (3, 3), (3, 2))
    path.build((None, None, 8))
    rng = np.random.default_rng(0)
    path.set_weights([rng.normal(size=weight.shape) for weight in path.get_weights()])
    features = rng.normal(size=(1, 3, 8)).astype(np.float32)
    features[0, :, 6:] = [[0, 0], [1, 0], [1, 1]]
    kernels, shifts = path.kernels, path.shifts
    kernel, bias = np.asarray(path.linear_kernel), np.asarray(path.linear_bias)
    values = features[0, :, :3] @ np.asarray(kernels[0]) + np.asarray(shifts[0])
    change = features[0, :, 3:6] @ np.asarray(kernels[1]) + np.asarray(shifts[1])
    expected = [np.zeros(2), values[1] @ kernel[:3] + bias, values[2] @ kernel[:3] + change[2] @ kernel[3:] + bias]
    np.testing.assert_allclose(path(features)[0], expected, atol=1e-5)


def test_only_the_branches_are_trained():
    model = build_model(SEEING)
    trained = {variable.path.split("/")[0] for variable in model.trainable_variables}
    assert not trained & {"movement_path", "pictures_path", "senses"}
    assert any(name.startswith("drama") for name in trained)


@settings(deadline=None, max_examples=50)
@given(arrays(np.float16, st.tuples(st.integers(1, 6), st.integers(1, 4)), elements=st.floats(-4, 4, width=16)))
def test_change_is_that_from_the_look_before(values):
    even = [value / (np.sqrt(np.sum(value.astype(np.float64) ** 2)) + 1e-3) for value in values]
    rows = []
    for number, value in enumerate(even):
        other = even[number - 1] if number else even[min(1, len(even) - 1)]
        rows.append([*value, *np.abs(value - other), 1, float(len(even) > 1)])
    np.testing.assert_allclose(with_change(values), rows, atol=2e-3)


def test_the_number_taken_off_a_logit_is_taken_off_every_score(model):
    clip = inputs_of(model.config)
    before = score_clip(model, clip)
    model.lower_logits({"drama": 0.7})
    after = score_clip(model, clip)
    model.lower_logits({"drama": -0.7})
    if model.config.one_genre_per_frame:
        expected = before * np.exp([-0.7, 0, 0])
        expected /= expected.sum(axis=-1, keepdims=True)
    else:
        expected = 1 / (1 + (1 - before) / before * np.exp([0.7, 0, 0]))
    np.testing.assert_allclose(after, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": "rgb"}, "linear_paths needs inputs = motion, got rgb"),
        ({"encoder": "tiny", "encoder_fps": None}, "an encoder with linear_paths needs encoder_fps"),
        ({"encoder": "tiny", "encoder_fps": 2.0, "linear_paths": False}, "and only with them"),
    ],
)
def test_options_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(MOVING, **changes)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the step needs TensorFlow")
@pytest.mark.slow
@pytest.mark.parametrize("bptt", ["truncated", "full"])
def test_a_step_in_chunks_moves_the_weights_as_a_whole_one_and_leaves_the_paths(bptt):
    rng, moved = np.random.default_rng(2), []
    clip = batch_of(inputs_of(SEEING))
    targets = [rng.integers(0, 2, (1, FRAMES, 1)).astype(np.float32) for _ in SEEING.genres]
    for chunk in (None, FRAMES, 4):
        model = random_weights(build_model(SEEING))
        model.compile(keras.optimizers.SGD(1.0), [keras.losses.BinaryCrossentropy() for _ in SEEING.genres])
        model.configure(chunk=chunk, bptt=bptt)
        before = model.get_weights()
        paths = [np.array(weight) for path in model.senses.paths.values() for weight in path.get_weights()]
        model.train_on_batch(clip, targets)
        moved.append([after - start for after, start in zip(model.get_weights(), before, strict=True)])
        for weight, old in zip(
            (weight for path in model.senses.paths.values() for weight in path.get_weights()), paths, strict=True
        ):
            np.testing.assert_array_equal(weight, old)
    for one, other in zip(moved[0], moved[1], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    if bptt == "full":  # truncated: other statistics and gradients
        for one, other in zip(moved[0], moved[2], strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)
