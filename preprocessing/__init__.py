"""Turn folders of videos into clips: uint8 arrays of evenly spaced frames with their true times.

The names in `__init__.pyi` are imported on first use, so that `import preprocessing` stays instant.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
