"""The six genres, in the one order used by every array, file and model output."""

from __future__ import annotations

GENRES: tuple[str, ...] = ("comedy", "action", "terror", "thriller", "musical", "other")
