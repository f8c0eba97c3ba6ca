"""The network's equality checks again, with JAX under Keras."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed (extra: jax)")
@pytest.mark.skipif(keras.backend.backend() == "jax", reason="this is that run")
def test_equality_checks_hold_on_jax():
    tests = [  # JAX compiles every operation anew: seconds each, so not all
        "tests/network/test_layers.py::test_scores_equal_those_of_keras[size0-hard_sigmoid]",
        "tests/network/test_layers.py::test_states_go_in_and_out_as_in_keras",
        "tests/network/test_model.py::test_scores_equal_those_of_plain_keras[channels_last-size3-same]",
        "tests/network/test_model.py::test_saved_model_loads_to_the_same_scores[pooled-rgb+difference]",
        "tests/network/test_model.py::test_scores_follow_the_weights",
        "tests/network/test_model.py::test_one_import_is_enough_to_load_a_run",
        "tests/network/test_model.py::test_an_accelerator_of_jax_has_bfloat16",
        "tests/training/test_loop.py::test_validation_moves_with_the_training",
        "tests/network/test_map_frames.py::test_any_chunk_gives_the_same_scores[motion]",
        "tests/network/test_streaming.py::test_a_stream_takes_frames_as_they_come_and_starts_anew[motion]",
    ]
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
