"""Tag every frame of a film trailer with six genres.

The names in `__init__.pyi` are imported on first use, so that `import genre_classifier` loads neither Keras nor
TensorFlow. As soon as Keras is imported, by whomever, the network's classes are registered with it: `import
genre_classifier` is enough for `keras.saving.load_model` to read a run's `model.keras`.
"""

from __future__ import annotations

import gc
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

import lazy_loader

# TensorFlow turns oneDNN on by itself only where the CPU has AVX-512 or better. Without it a training step takes a
# sixth more CPU time on AVX2, and convolutions with channels first do not run on a CPU at all.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

# A variable of the environment: this process, or the one that started it, is the command line.
PROGRAM = "GENRE_CLASSIFIER_PROGRAM"

# Keras imports them where they are installed, which takes a third of its seconds. The commands use them without Keras.
_UNUSED_BY_KERAS = ("sklearn", "matplotlib", "pandas")

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def _register_network() -> None:
    room = f"{__name__}.network."
    begun = [module for name, module in sys.modules.items() if name.startswith(room)]
    # Where a module of the network is what imports Keras, that module has to be complete first.
    if not any(getattr(module.__spec__, "_initializing", False) for module in begun):
        importlib.import_module(f"{room}model")


def _unused_by_keras() -> Sequence[str]:
    """Return the modules that a command imports without Keras, or never."""
    if PROGRAM not in os.environ:
        return ()
    backend = os.environ.get("KERAS_BACKEND")
    if not backend:
        settings = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "keras.json"
        with suppress(OSError):
            backend = "jax" if "jax" in settings.read_text(encoding="utf-8", errors="replace") else "tensorflow"
    # TensorFlow imports JAX where it is installed, for conversions that are not used here.
    return _UNUSED_BY_KERAS if backend == "jax" else (*_UNUSED_BY_KERAS, "jax")


@contextmanager
def _left_out(names: Sequence[str]) -> Iterator[None]:
    """Let modules that were not imported yet seem not installed."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: `import` raises ImportError
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Look for no garbage meanwhile, which takes more than a third of the seconds that an import of Keras needs."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if PROGRAM in os.environ:
            gc.freeze()  # nor later among what was imported: it stays
        if enabled:
            gc.enable()


class _KerasFinder(importlib.abc.MetaPathFinder):
    """Finds Keras as the others do, and registers the network once Keras has been imported."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "keras":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                with _no_garbage_collection(), _left_out(_unused_by_keras()):
                    execute(module)
                _register_network()

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


if sys.modules.get("keras"):
    _register_network()
else:
    sys.meta_path.insert(0, _KerasFinder())
