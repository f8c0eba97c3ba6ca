"""With JAX under Keras: the network's equality checks again, the gradients of TensorFlow, and the whole path."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from genre_classifier import load_run, tag_trailer
from genre_classifier.tagging.scores import read_scores
from preprocessing.clips import write_clip_config
from preprocessing.config import ClipConfig
from tests.support import on_a_backend
from tests.support.media import flat_frames, write_media
from tests.support.trailers import TWO, write_clips

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed (extra: jax)"),
    pytest.mark.skipif(keras.backend.backend() == "jax", reason="this is that run"),
]


def test_equality_checks_hold_on_jax():
    # JAX compiles every operation anew: seconds each. What the next test compares with TensorFlow is not among them.
    tests = [
        "tests/network/test_layers.py::test_states_go_in_and_out_as_in_keras",
        "tests/network/test_model.py::test_scores_equal_those_of_plain_keras[channels_last-size3-same]",
        "tests/network/test_model.py::test_scores_follow_the_weights",
        "tests/network/test_model.py::test_an_accelerator_of_jax_has_bfloat16",
        "tests/training/test_loop.py::test_validation_moves_with_the_training",
        "tests/network/test_map_frames.py::test_any_chunk_gives_the_same_scores[motion]",
        "tests/network/test_streaming.py::test_a_stream_takes_frames_as_they_come_and_starts_anew[motion]",
        "tests/network/test_senses.py::test_any_chunk_gives_the_scores_of_the_functional_model[pictures, one genre]",
    ]
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--durations=20", "-p", "no:cacheprovider", "-m", "", *tests],
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_it_learns_as_on_tensorflow_and_runs_go_from_one_to_the_other(tmp_path):
    labels = write_clips(tmp_path / "clips", [6] * 5, size=16, genres=TWO)
    labels.to_csv(tmp_path / "labels.csv", index=False)
    write_clip_config(tmp_path / "clips", ClipConfig(frames=6, size=16))
    write_media(tmp_path / "video.mkv", flat_frames(6, seed=4))
    on_a_backend.steps(tmp_path, "tensorflow")
    result = subprocess.run(
        [sys.executable, "-m", "tests.support.on_a_backend", str(tmp_path), "jax"],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    here, there = (np.load(tmp_path / f"steps_{name}.npz") for name in ("tensorflow", "jax"))
    assert here.files == there.files
    for name in here.files:
        np.testing.assert_allclose(there[name], here[name], atol=1e-5, err_msg=name)
    assert len(pd.read_csv(tmp_path / "run_jax" / "history.csv")) == 2
    tags = tag_trailer(load_run(tmp_path / "run_jax"), tmp_path / "video.mkv")
    written = read_scores(tmp_path / "tags_jax" / "video" / "scores.csv")
    np.testing.assert_allclose(tags.scores, written, atol=1e-5)
    assert (tmp_path / "report_jax" / "report.html").is_file()
