"""Does it learn moods, in which what is seen tells? Clips of music videos as numbers, source by source.

    python -m benchmarks.moods --media ../shared/moods --encoder ../shared/encoders/efficientnet_lite0.keras \
        --out /tmp/moods [--sound-encoder ../shared/encoders/musicnn_msd.keras] [--seeds 0 1 2] [--jobs 2]

Five folds that keep every source on one side, once per seed; otherwise as `benchmarks.genres`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from benchmarks.genres import Material, arguments, report

FOLDS = 5


def group_folds(data: pd.DataFrame) -> Callable[[int], Sequence[tuple[np.ndarray, np.ndarray]]]:
    """Return what makes `FOLDS` folds of a seed, out of clips with `genres`, one for each, and `group`."""

    def folds(seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
        splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
        return list(splitter.split(data, data["genres"], data["group"]))

    return folds


def read_material(media: Path) -> Material:
    """Read `clips.csv` of moods, of which each clip has one."""
    data = pd.read_csv(media / "clips.csv").astype({"group": str}).rename(columns={"mood": "genres"})
    return Material(data, tuple(sorted(set(data["genres"]))), group_folds(data))


def main() -> None:
    """Judge moods."""
    options = arguments(__doc__)
    report(read_material(options.media), options)


if __name__ == "__main__":
    main()
