"""`overlay.mp4`: a copy of the video with the six scores drawn on each frame and the running genre named."""

from __future__ import annotations

from pathlib import Path

from genre_classifier.tags import Tags


def write_overlay(path: Path, tags: Tags) -> None:
    """Write the copy."""
    raise NotImplementedError
