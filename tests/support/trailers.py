"""Small clips folders with labels, made without any video, for tests of training."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from genre_classifier.config import ModelConfig
from genre_classifier.genres import GENRES

FPS = 8.0
TINY = ModelConfig(
    rows=12,
    cols=12,
    trunk_filters=(2, 2),
    trunk_pools=(2, 2),
    branch_filters=2,
    branch_pool=2,
    dense_units=(4,),
    head="pooled",
)
TWO = GENRES[:2]
TINY_OF_TWO = dataclasses.replace(TINY, genres=TWO)  # of what is traced and compiled, each genre's branch is most


def write_clips(
    folder: Path,
    lengths: list[int],
    *,
    size: int = 12,
    seed: int = 0,
    weak: tuple[int, ...] = (),
    genres: Sequence[str] = GENRES,
) -> pd.DataFrame:
    """Write `trailer_<i>.npy` of noise whose brightness follows the genre, and return their label table.

    The first half of each trailer shows genre `i % 6` (of six), the second half genre `(i + 1) % 6`; trailers in `weak`
    have the label `i % 6` as a whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    rows, count = [], len(genres)
    for index, length in enumerate(lengths):
        half = length // 2
        levels = np.where(np.arange(length) < half, index % count, (index + 1) % count) * 40
        clip = levels[:, None, None, None] + rng.integers(0, 30, (length, 3, size, size))
        np.save(folder / f"trailer_{index}.npy", clip.astype(np.uint8))
        np.save(folder / f"times_{index}.npy", np.arange(length) / FPS)
        if index in weak:
            rows.append((str(index), np.nan, np.nan, genres[index % count]))
        else:
            rows.append((str(index), 0.0, half / FPS, genres[index % count]))
            rows.append((str(index), half / FPS, length / FPS, genres[(index + 1) % count]))
    return pd.DataFrame(rows, columns=["trailer", "start", "end", "genre"]).astype({"start": float, "end": float})
