"""What takes other frames of videos while they are decoded for their clips, and keeps them."""

from __future__ import annotations

from typing import Any

import numpy as np

from preprocessing.config import ClipConfig


class Recorded:
    """Keeps what comes of other frames than those of the clips."""

    config = ClipConfig(frames=1000, size=24, fps=3)

    def __init__(self) -> None:
        self.frames: dict[str, list[np.ndarray]] = {}
        self.times: dict[str, np.ndarray] = {}
        self.rows: list[dict[str, Any]] = []

    def begin(self, source: str) -> None:
        self.frames[source] = []

    def add(self, source: str, frame: np.ndarray) -> None:
        self.frames[source].append(frame)

    def end(self, source: str, times: np.ndarray) -> None:
        self.times[source] = times

    def settle(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
