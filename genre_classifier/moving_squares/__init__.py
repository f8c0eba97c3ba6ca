"""The moving-squares companion: a predictor of movies, the smallest place to learn, and to check, what a ConvLSTM does.

`predictor` says what it is and where it departs from the original script. The names in `__init__.pyi` are imported on
first use.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
