"""Fixtures shared by the tests: real media where there are any, and small lossless videos with known pixels."""

from __future__ import annotations

import gc
import os
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

if "PYTEST_XDIST_WORKER" in os.environ:  # processes share the cores: more threads would only wait for each other
    for _variable in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(_variable, "1")

# What is not told how many processes to start works in this one: each that is started loads TensorFlow first.
os.environ.setdefault("LOKY_MAX_CPU_COUNT", "1")

sys.modules.setdefault("openvino_telemetry", None)  # OpenVINO goes without it, and tells nobody of the tests
# Of the time that JAX takes here, nearly all is compiling; with less of it, the arithmetic is the same. And what one
# process has compiled, the others of this run of the tests need not.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    _compiled = tempfile.TemporaryDirectory(prefix="compiled_", ignore_cleanup_errors=True)  # removed at the end
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _compiled.name
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"

# Before any test imports Keras: the package says to TensorFlow which kernels to use, and TensorFlow asks only once.
import genre_classifier  # noqa: E402, F401

# A busy machine is no failure, and a run of the tests says the same each time.
settings.register_profile("project", deadline=None, derandomize=True)
settings.load_profile("project")

# Real videos lie beside the checkout, never inside it; elsewhere the tests that need them are skipped.
SHARED = Path(os.environ.get("GENRE_CLASSIFIER_MEDIA", Path(__file__).resolve().parents[2] / "shared"))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


# Files that take minutes: begun first, so that at the end no core waits for one of them (`--dist loadfile`).
_LONG = (
    "test_documents",
    "test_train",
    "test_backends",
    "test_peers",
    "test_sharing",
    "test_looking",
    "test_hearing",
    "test_evaluate",
    "test_lost_peers",
    "test_export_model",
    "test_own_genres",
    "test_faults",
    "test_sound",
    "test_interruptions",
    "test_again",
    "test_training_step",
    "test_editor",
    "test_video",
    "test_senses",
    "test_pretrained",
    "test_viewer",
    "test_map_frames",
    "test_encoded",
    "test_correcting",
    "test_judged_labels",
    "test_notebook",
    "test_predictor",
    "test_model",
    "test_hub",
    "test_streams",
    "test_tag",
    "test_axe",
    "test_container",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let what takes too long for every run be asked for."""
    parser.addoption(
        "--faults-long", type=int, default=0, metavar="SEEDS", help="Every command with every fault, so often each."
    )
    parser.addoption("--fuzz", type=int, default=0, metavar="N", help="So many damaged files of each kind.")


def pytest_collection_finish() -> None:
    """Look for garbage among what tests make alone: what was imported and collected stays."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of long files first; the order of the others, and within a file, stays."""
    items.sort(key=lambda item: _LONG.index(item.path.stem) if item.path.stem in _LONG else len(_LONG))


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Leave the user's cache alone."""
    os.environ["GENRE_CLASSIFIER_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def without_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no plots of a report, which take most of its time; `tests/evaluation/test_report.py` looks at them."""
    empty = '<svg role="img" aria-label="{title}"></svg>'
    monkeypatch.setattr("genre_classifier.evaluation.plots.svg", lambda _, *, title, **__: empty.format(title=title))


def _folder(name: str) -> Path:
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"needs the real videos in {name}/ beside the checkout (or GENRE_CLASSIFIER_MEDIA)")
    return folder


@pytest.fixture(scope="session")
def real_trailers() -> Path:
    """Return the folder of nine real film clips and their labels.csv."""
    return _folder("trailers")


@pytest.fixture(scope="session")
def oddities() -> Path:
    """Return the folder of real files that trip video readers up."""
    return _folder("oddities")
