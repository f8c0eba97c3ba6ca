"""The network against the same one in plain Keras layers; files, padding, precision."""

from __future__ import annotations

import copy

import keras
import numpy as np
import pytest

from benchmarks.plain_network import build_plain_model, copy_weights
from genre_classifier.config import ModelConfig
from genre_classifier.genres import GENRES
from genre_classifier.network import backend as acceleration
from genre_classifier.network.model import build_model
from genre_classifier.network.streaming import score_clip
from genre_classifier.run_folder.model_file import read_model
from preprocessing.base.errors import InputError

SMALL = {"trunk_filters": (4, 3), "branch_filters": 2, "dense_units": (8, 4)}
TWO = GENRES[:2]  # two branches prove what six do, in half the time


def clip_of(frames, rows, cols, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (frames, 3, rows, cols), dtype=np.uint8)


def with_random_statistics(model, seed=0):
    """Give every weight a random value, so that nothing is hidden by a zero or a one."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if layer.name.endswith("_norm"):
            size = layer.gamma.shape
            gamma = rng.normal(size=size)  # negative scales too
            layer.set_weights([gamma, rng.normal(size=size), rng.normal(size=size) / 10, rng.uniform(0.01, 0.1, size)])
    return model


def whole(model, clip):
    return np.concatenate([np.asarray(output) for output in model(clip[None], training=False)], axis=-1)[0]


@pytest.mark.parametrize(
    ("data_format", "size", "pool_padding"),
    [
        ("channels_first", (24, 24), "same"),
        ("channels_last", (24, 24), "valid"),
        # Halved and then pooled by three, the windows lack no pixel, one at the end, or one on each side.
        pytest.param("channels_first", (25, 28), "same", marks=pytest.mark.slow),
        pytest.param("channels_last", (25, 31), "same", marks=pytest.mark.slow),
        pytest.param("channels_last", (25, 31), "valid", marks=pytest.mark.slow),
        pytest.param("channels_last", (37, 19), "same", marks=pytest.mark.slow),
    ],
)
def test_scores_equal_those_of_plain_keras(data_format, size, pool_padding):
    config = ModelConfig(rows=size[0], cols=size[1], pool_padding=pool_padding, genres=TWO, **SMALL)
    model, plain = with_random_statistics(build_model(config)), build_plain_model(config, data_format)
    copy_weights(model, plain)
    clip = clip_of(6, *size)
    expected = whole(plain, clip)
    np.testing.assert_allclose(whole(model, clip), expected, atol=1e-5)
    np.testing.assert_allclose(score_clip(model, clip, chunk=4), expected, atol=1e-5)
    np.testing.assert_allclose(np.concatenate(model.predict(clip[None], verbose=0), axis=-1)[0], expected, atol=1e-5)


def test_scores_follow_the_weights():
    model = with_random_statistics(build_model(ModelConfig(rows=13, cols=12, genres=TWO, **SMALL)))
    clip = clip_of(3, 13, 12)
    before = score_clip(model, clip)
    for step in (0.3, -0.2):
        model.set_weights([weight + step for weight in model.get_weights()])
        np.testing.assert_allclose(score_clip(model, clip), whole(model, clip), atol=1e-5)
    assert np.abs(score_clip(model, clip) - before).max() > 0.01


def test_frames_of_another_size_are_one_line():
    model = build_model(ModelConfig(rows=13, cols=12, **SMALL))
    model.compile(loss=["binary_crossentropy"] * 6)
    clip = clip_of(2, 12, 12)
    y = [np.ones((1, 2, 1), "float32")] * 6
    calls = [lambda: score_clip(model, clip), lambda: model.predict(clip[None], verbose=0)]
    if keras.backend.backend() == "tensorflow":
        calls.append(lambda: model.fit(clip[None], y, verbose=0))
    for call in calls:
        with pytest.raises(InputError, match=r"expected frames of 3x13x12, .*found 3x12x12"):
            call()


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a SavedModel is TensorFlow's")
def test_exported_outputs_bear_their_genres(tmp_path):
    import tensorflow as tf

    model = with_random_statistics(build_model(ModelConfig(rows=12, cols=12, **SMALL)))
    model.export(tmp_path / "exported", verbose=False)
    clip = clip_of(3, 12, 12)
    served = tf.saved_model.load(tmp_path / "exported").signatures["serving_default"](
        frames=tf.constant(clip[None].astype("float32"))
    )
    assert set(served) == set(GENRES)
    scores = np.concatenate([served[genre][0] for genre in GENRES], axis=-1)
    np.testing.assert_allclose(scores, whole(model, clip), atol=1e-5)


def test_outputs_are_named_after_the_genres():
    model = build_model(ModelConfig(rows=12, cols=12, **SMALL))
    assert tuple(model.output_names) == GENRES
    assert model.input_shape == (None, None, 3, 12, 12)
    assert [output.shape for output in model.outputs] == [(None, None, 1)] * 6


@pytest.mark.parametrize(
    ("left", "said"),
    [
        ({"exclusive": "auto"}, "exclusive must be decided to build a network, got auto"),
        (
            {"encoder": "x.keras", "encoder_fps": 2.0, "linear_paths": True, "inputs": "motion"},
            "encoder_channels must be given to build a network with encoder, got 0",
        ),
    ],
)
def test_what_training_decides_is_not_guessed(left, said):
    with pytest.raises(InputError, match=said):
        build_model(ModelConfig(rows=12, cols=12, **SMALL | left))


def test_default_sizes_are_the_articles():
    model = build_model(ModelConfig())
    # 9 (3+20) 80 + 80, norm 4 x 20; 9 (20+10) 40 + 40, norm 4 x 10; six of 9 (10+5) 20 + 20 and 5 x 34 x 34 to 512
    # to 32 to 1, with biases
    trunk = 9 * 23 * 80 + 80 + 80 + 9 * 30 * 40 + 40 + 40
    branch = 9 * 15 * 20 + 20 + 5780 * 512 + 512 + 512 * 32 + 32 + 32 + 1
    assert model.count_params() == trunk + 6 * branch == 17_901_846


@pytest.mark.parametrize(("head", "inputs"), [("flat", "rgb"), ("pooled", "rgb+difference"), ("pooled", "motion")])
def test_saved_model_loads_to_the_same_scores(tmp_path, head, inputs):
    config = ModelConfig(rows=16, cols=14, head=head, inputs=inputs, **SMALL)
    model = with_random_statistics(build_model(config))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    clip = clip_of(4, 16, 14)
    np.testing.assert_array_equal(score_clip(loaded, clip), score_clip(model, clip))


def test_a_file_of_another_version_is_a_line_with_its_name(tmp_path, monkeypatch):
    path = tmp_path / "model.keras"
    model = build_model(ModelConfig(rows=12, cols=12, **SMALL))
    fields = model.config.to_dict() | {"depth": 3}
    monkeypatch.setattr(model, "get_config", lambda: {"name": "genres", "trainable": True, "config": fields})
    model.save(path)
    with pytest.raises(InputError, match=rf"{path}: expected a model of this version.*found: .*depth"):
        read_model(path)


def test_a_copy_has_its_own_weights():
    model = with_random_statistics(build_model(ModelConfig(rows=12, cols=12, **SMALL)))
    clip = clip_of(3, 12, 12)
    expected = score_clip(model, clip)
    copied = copy.deepcopy(model)
    assert copied.config == model.config
    np.testing.assert_array_equal(score_clip(copied, clip), expected)
    copied.lower_logits({genre: 1.0 for genre in GENRES})
    np.testing.assert_array_equal(score_clip(model, clip), expected)
    assert (score_clip(copied, clip) < expected).all()


@pytest.mark.parametrize("inputs", ["rgb+difference", "motion"])
def test_padding_never_changes_a_real_frames_score(inputs):
    model = with_random_statistics(build_model(ModelConfig(rows=13, cols=12, inputs=inputs, genres=TWO, **SMALL)))
    clips = [clip_of(frames, 13, 12, seed=frames) for frames in (6, 1, 3)]
    batch = np.full((3, 6, 3, 13, 12), -1, dtype=np.int16)
    for row, clip in zip(batch, clips, strict=True):
        row[: len(clip)] = clip
    together = np.concatenate(model.predict(batch, verbose=0), axis=-1)
    for scores, clip in zip(together, clips, strict=True):
        np.testing.assert_allclose(scores[: len(clip)], whole(model, clip), atol=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(not acceleration.has_bfloat16(), reason="the processor has no bfloat16 arithmetic")
def test_bfloat16_scores_are_close():
    model = with_random_statistics(build_model(ModelConfig(rows=24, cols=24, genres=TWO, **SMALL)))
    clip = clip_of(12, 24, 24)
    exact, low = score_clip(model, clip), score_clip(model, clip, precision="bfloat16")
    assert 0 < np.abs(exact - low).max() <= 0.01


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="about JAX's devices")
@pytest.mark.parametrize(("platform", "expected"), [("gpu", True), ("tpu", True)])
def test_an_accelerator_of_jax_has_bfloat16(monkeypatch, platform, expected):
    import jax

    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    assert acceleration.has_bfloat16.__wrapped__() is expected


def test_bfloat16_is_refused_where_it_would_be_emulated(monkeypatch):
    monkeypatch.setattr(acceleration, "has_bfloat16", lambda: False)
    model = build_model(ModelConfig(rows=12, cols=12, **SMALL))
    with pytest.raises(InputError, match="use float32"):
        score_clip(model, clip_of(1, 12, 12), precision="bfloat16")
    with pytest.raises(InputError, match="use float32"):
        model.configure(precision="bfloat16")
