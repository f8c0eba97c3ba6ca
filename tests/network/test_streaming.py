"""Scores do not depend on how a clip is cut."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from genre_classifier.config import ModelConfig, scoring_chunk
from genre_classifier.network.backend import TENSORFLOW, program
from genre_classifier.network.model import build_model
from genre_classifier.network.streaming import ScoreStream, score_clip
from tests.network.test_model import SMALL, TWO, clip_of, whole, with_random_statistics


@pytest.fixture(
    scope="module",
    params=[
        "rgb",
        pytest.param("difference", marks=pytest.mark.slow),
        pytest.param("rgb+difference", marks=pytest.mark.slow),
        "motion",
    ],
)
def model(request):
    return with_random_statistics(build_model(ModelConfig(rows=14, cols=13, inputs=request.param, genres=TWO, **SMALL)))


def test_any_chunk_gives_the_same_scores(model):
    clip = clip_of(70, 14, 13)
    expected = whole(model, clip)
    for chunk in (1, 7, 64, 70, 1000):
        np.testing.assert_allclose(score_clip(model, clip, chunk=chunk), expected, atol=1e-5)


@pytest.mark.skipif(not TENSORFLOW, reason="only TensorFlow traces a graph")
def test_one_trace_does_for_all_lengths():
    traces = []

    def function(inputs, state):
        traces.append(inputs["frames"].shape)
        total = keras.ops.sum(inputs["frames"], axis=1) + state
        return total, total

    compiled, state = program(function, open_axes=((1,), ())), keras.ops.zeros((1, 3))
    for length in (8, 8, 5, 1, 64):
        frames = keras.ops.ones((1, length, 3))
        total, state = compiled({"frames": frames}, state)
    np.testing.assert_array_equal(total, np.full((1, 3), 86.0))
    assert [tuple(shape) for shape in traces] == [(1, None, 3)]
    assert compiled({"frames": keras.ops.ones((2, 4, 3))}, keras.ops.zeros((2, 3)))[0].shape == (2, 3)


def test_small_frames_are_scored_many_at_once():
    assert [scoring_chunk(size, size) for size in (16, 32, 64, 112, 400)] == [64, 64, 24, 8, 8]


def test_a_clip_of_one_frame(model):
    clip = clip_of(1, 14, 13)
    np.testing.assert_allclose(score_clip(model, clip), whole(model, clip), atol=1e-6)


def test_a_memory_mapped_clip_is_scored_like_an_array(model, tmp_path):
    clip = clip_of(5, 14, 13)
    np.save(tmp_path / "trailer_0.npy", clip)
    mapped = np.load(tmp_path / "trailer_0.npy", mmap_mode="r")
    np.testing.assert_array_equal(score_clip(model, mapped, chunk=2), score_clip(model, clip, chunk=2))


def test_a_stream_takes_frames_as_they_come_and_starts_anew(model):
    clip = clip_of(6, 14, 13)
    stream = ScoreStream(model)
    parts = [stream.feed(clip[:1]), stream.feed(clip[1:1]), stream.feed(clip[1:])]
    assert [part.shape for part in parts] == [(1, 2), (0, 2), (5, 2)]
    assert parts[2].dtype == np.float32
    stream.reset()
    np.testing.assert_allclose(stream.feed(clip), np.concatenate(parts), atol=1e-6)
