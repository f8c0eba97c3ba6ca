"""Scores do not depend on how a clip is cut."""

from __future__ import annotations

import numpy as np
import pytest

from genre_classifier.config import ModelConfig
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
