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
    tests = [f"tests/test_{name}.py" for name in ("layers", "model", "streaming")]
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=Path(__file__).resolve().parents[1],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
