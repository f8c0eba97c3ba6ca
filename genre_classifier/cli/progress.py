"""The progress bar of every long command: on a terminal only, quiet in a pipe."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm


def progress_bar(total: float | None, description: str, unit: str, **options: Any) -> tqdm:
    """Return a tqdm bar on stderr, disabled where stderr is no terminal."""
    return tqdm(
        total=total,
        desc=description,
        unit=unit,
        file=sys.stderr,
        disable=not sys.stderr.isatty(),
        dynamic_ncols=True,
        **options,
    )
