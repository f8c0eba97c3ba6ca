"""ELAN: a tier for each genre, its segments with their scores, and the video linked (`pympi-ling`)."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from genre_classifier.exports.tagged import TaggedVideo
from genre_classifier.tagging.viewer import relative_url
from preprocessing.base.extras import require_extra

AUTHOR = "genre-classifier"


def library() -> Any:
    """Return pympi's ELAN module."""
    return require_extra("pympi.Elan", "pympi-ling", extra="export")


def eaf(video: TaggedVideo, folder: Path) -> str:
    """Return the annotations of a video as ELAN's XML.

    Parameters
    ----------
    video : TaggedVideo
    folder : Path
        Where the file will lie: the video is linked relative to it too.
    """
    document = library().Eaf(author=AUTHOR)
    document.add_linked_file(video.path.as_uri(), relpath=relative_url(video.path, folder), mimetype=video.mimetype)
    for genre in video.genres:
        document.add_tier(genre)
    document.remove_tier("default")
    for row in video.segments.to_dict("records"):
        start = round(1000 * row["start"])  # ELAN counts milliseconds
        end = max(start + 1, round(1000 * row["end"]))
        document.add_annotation(row["genre"], start, end, f"{row['score']:.2f}")
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "annotations.eaf"
        document.to_file(path)
        return path.read_text(encoding="utf-8")
