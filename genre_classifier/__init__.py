"""Tag every frame of a film trailer with six genres.

The names in `__init__.pyi` are imported on first use, so that `import genre_classifier` loads neither Keras nor
TensorFlow.
"""

from __future__ import annotations

import os

import lazy_loader

# TensorFlow turns oneDNN on by itself only where the CPU has AVX-512 or better. Without it a training step takes a
# sixth more CPU time on AVX2, and convolutions with channels first do not run on a CPU at all.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
