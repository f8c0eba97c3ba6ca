"""What a user needs stands in the front door of a package, and one import is enough to read a trained network."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import genre_classifier
import preprocessing
from tests.support.trailers import TINY_OF_TWO

ROOT = Path(__file__).resolve().parents[1]


def test_what_the_packages_export():
    assert set(genre_classifier.__all__) == {
        "GENRES",
        "PRESETS",
        "ModelConfig",
        "Run",
        "Tags",
        "TrailerSequence",
        "TrainingConfig",
        "build_model",
        "evaluate",
        "fetch_run",
        "load_run",
        "load_trailers",
        "push_run",
        "read_labels",
        "tag_trailer",
        "train",
    }
    assert set(preprocessing.__all__) == {
        "ClipConfig",
        "InputError",
        "VideoLimits",
        "WorkError",
        "load_clip",
        "preprocess_directory",
        "preprocess_trailer",
    }
    for package in (genre_classifier, preprocessing):
        assert all(getattr(package, name) is not None for name in package.__all__)


def test_documents_import_from_packages_alone():
    """A module inside a package may move; `from genre_classifier.dataset import ...` goes on working."""
    documents = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "docs").glob("*.ipynb")]
    paths = set()
    for document in documents:
        text = document.read_text(encoding="utf-8")
        if document.suffix == ".ipynb":
            text = "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])
        paths |= set(re.findall(r"^(?:from|import) ((?:genre_classifier|preprocessing)[\w.]*)", text, re.M))
    assert {"genre_classifier", "preprocessing"} <= paths
    assert sorted(path for path in paths if not (ROOT / path.replace(".", "/") / "__init__.py").is_file()) == []


def test_jobs_has_one_default():
    """As many processes as there are cores, from Python as from the command line."""
    defaults = []
    for path in [path for name in ("genre_classifier", "preprocessing") for path in (ROOT / name).rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                arguments = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
                defaults += [ast.unparse(default) for one, default in arguments if one.arg == "jobs" and default]
    assert len(defaults) > 3
    assert set(defaults) == {"None"}


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    """Return the file of a network that was compiled for training, with the project's losses."""
    from genre_classifier.config import TrainingConfig
    from genre_classifier.network.model import build_model
    from genre_classifier.training.train import compile_model

    model = build_model(TINY_OF_TWO)
    compile_model(model, TrainingConfig())
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    model.save(path)
    return path


def require_to_run(code: str, **variables: str) -> None:
    """Run Python code in a process of its own, with variables of the environment."""
    environment = {**os.environ, **variables}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "imports",
    [
        # A command imports Keras without what it never uses through it.
        "import os, sys, genre_classifier; os.environ[genre_classifier.PROGRAM] = '1'; import keras\n"
        "assert keras.backend.backend() == 'jax' or 'jax' not in sys.modules\n"
        "assert not {'sklearn', 'matplotlib', 'pandas'} & set(sys.modules)\n"
        "import gc; assert gc.isenabled() and gc.get_freeze_count() > 100_000\n"
        "import matplotlib.pyplot, pandas, sklearn.linear_model",
        # Where a module of the network is what imports Keras, the network's classes come with `network.model`.
        "import genre_classifier.network.layers, genre_classifier.network.model, keras",
    ],
)
def test_importing_the_package_is_enough_to_load_a_network(model_file, imports):
    code = (
        f"{imports}\nmodel = keras.saving.load_model({str(model_file)!r})\n"
        "assert model.output_names[0] == 'comedy' and len(model.loss) == 2"
    )
    require_to_run(code)


@pytest.mark.slow
def test_importing_the_packages_loads_neither_keras_nor_tensorflow():
    code = (
        "import sys, genre_classifier, preprocessing\n"
        "found = {'keras', 'tensorflow', 'pandas', 'cv2'} & set(sys.modules)\n"
        "assert not found, found"
    )
    require_to_run(code)


@pytest.mark.slow
def test_tagging_imports_nothing_that_it_does_not_use():
    code = (
        "import os, sys, genre_classifier; os.environ[genre_classifier.PROGRAM] = '1'\n"
        "import genre_classifier.tagging.folder\n"  # what stands between a command and its first frame
        "assert not {'keras', 'matplotlib'} & set(sys.modules)\n"
        "import genre_classifier.tagging.tag, genre_classifier.tagging.video_folder\n"
        "found = {'sklearn', 'scipy.optimize', 'scipy.signal'} & set(sys.modules)\n"
        "assert not found, found"
    )
    require_to_run(code)


@pytest.mark.slow
@pytest.mark.parametrize("says", ["variable", "file"])
def test_a_command_computes_on_jax_where_it_is_asked_for(tmp_path, says):
    pytest.importorskip("jax")
    (tmp_path / "keras.json").write_text('{"backend": "jax"}')
    given = {"KERAS_BACKEND": "jax"} if says == "variable" else {"KERAS_BACKEND": "", "KERAS_HOME": str(tmp_path)}
    code = (
        "import os, genre_classifier; os.environ[genre_classifier.PROGRAM] = '1'; import keras, numpy\n"
        "assert type(keras.ops.ones(2)).__module__.startswith('jax'), type(keras.ops.ones(2))"
    )
    require_to_run(code, **given)
