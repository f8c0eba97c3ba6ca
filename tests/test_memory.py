"""The memory estimate: its advice holds by its own figures, and it follows what it should."""

from __future__ import annotations

import re

import pytest

from genre_classifier.config import ModelConfig
from genre_classifier.memory import require_training_memory, scoring_bytes, training_bytes, weight_bytes
from preprocessing.errors import WorkError

ARTICLE = ModelConfig()


def test_weights_are_those_of_the_model():
    from genre_classifier.model import build_model

    for config in (
        ModelConfig(rows=36, cols=25),
        ModelConfig(rows=24, cols=24, head="pooled", inputs="rgb+difference"),
        ModelConfig(rows=24, cols=24, head="pooled", inputs="motion"),
    ):
        variables = build_model(config).trainable_variables
        counted = sum(4 * variable.value.shape.num_elements() for variable in variables if len(variable.shape) > 1)
        assert weight_bytes(config) == counted  # biases and scales are left out


def test_the_article_trains_within_eight_gigabytes_in_chunks_only():
    assert training_bytes(ARTICLE, 1000, chunk=8) < 8e9 < training_bytes(ARTICLE, 1000) / 10
    assert training_bytes(ARTICLE, 64, precision="bfloat16") < training_bytes(ARTICLE, 64)


def test_scoring_does_not_grow_with_anything_but_the_chunk():
    assert scoring_bytes(ARTICLE, 8) < 1.6e9
    assert scoring_bytes(ARTICLE, 64) - scoring_bytes(ARTICLE, 8) < 0.1e9


def test_advised_chunk_is_the_longest_that_fits():
    free = 5e9
    with pytest.raises(WorkError) as caught:
        require_training_memory(ARTICLE, 1000, free=free)
    assert "\n" not in str(caught.value)
    chunk = int(re.search(r"--chunk (\d+)", str(caught.value))[1])
    assert require_training_memory(ARTICLE, 1000, chunk=chunk, free=free) <= free
    with pytest.raises(WorkError):
        require_training_memory(ARTICLE, 1000, chunk=chunk + 1, free=free)


def test_where_no_chunk_fits_size_and_frames_are_advised():
    free = 2.2e9
    with pytest.raises(WorkError) as caught:
        require_training_memory(ARTICLE, 1000, chunk=8, free=free)
    size = int(re.search(r"--size (\d+)", str(caught.value))[1])
    frames = int(re.search(r"--frames (\d+)", str(caught.value))[1])
    assert require_training_memory(ModelConfig(rows=size, cols=size), 1000, chunk=1, free=free) <= free
    assert require_training_memory(ARTICLE, frames, chunk=1, free=free) <= free
