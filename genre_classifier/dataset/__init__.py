"""Training data: label tables in many formats, clips joined with them, splits, augmentation, synthetic trailers.

In: a clips folder (`preprocessing`) and a label file. Out: the names in `__init__.pyi`, imported on first use.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
