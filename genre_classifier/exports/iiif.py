"""IIIF: a Presentation 3 manifest with a video and its segments as Web Annotations (`iiif-prezi3`)."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from genre_classifier.exports.tagged import TaggedVideo
from genre_classifier.tagging.viewer import relative_url
from preprocessing.base.errors import InputError
from preprocessing.base.extras import require_extra

logger = logging.getLogger(__name__)

ENDING = "manifest.json"


def library() -> Any:
    """Return iiif-prezi3."""
    return require_extra("iiif_prezi3", "iiif-prezi3", extra="export")


def manifest(video: TaggedVideo, folder: Path, *, base: str) -> str:
    """Return the manifest of a video.

    Parameters
    ----------
    video : TaggedVideo
    folder : Path
        Where the manifest will lie; a video outside of it is expected in it.
    base : str
        The address at which that folder is served: IIIF wants whole ones.

    Raises
    ------
    InputError
        If the size of the video's pictures is not known.
    """
    prezi = library()
    if video.size is None:
        raise InputError(f"{video.folder}: expected width and height of the video, found none recorded; tag it again")
    (width, height), base = video.size, base.rstrip("/")
    name = f"{base}/{quote(video.folder.name)}"
    inside = relative_url(video.path, folder).removeprefix("./")
    if inside.startswith("../"):  # no address leads out of what is served
        inside = quote(os.fsencode(video.path.name))
        logger.warning(f"{video.path} lies outside {folder}: its manifest expects it there, or a link to it")
    address = f"{base}/{inside}"
    canvas_id, length = f"{name}/canvas", max(video.duration, 0.001)
    body = {
        "id": address,
        "type": "Video",
        "format": video.mimetype,
        "width": width,
        "height": height,
        "duration": length,
    }
    painting = prezi.Annotation(id=f"{name}/video", motivation="painting", body=body, target=canvas_id)
    page = prezi.AnnotationPage(id=f"{name}/page", items=[painting])
    marks = prezi.AnnotationPage(
        id=f"{name}/segments",
        items=[
            prezi.Annotation(
                id=f"{name}/segments/{number}",
                motivation="tagging",
                body={"type": "TextualBody", "value": row["genre"], "format": "text/plain", "purpose": "tagging"},
                target=f"{canvas_id}#t={row['start']:.3f},{row['end']:.3f}",  # W3C, "Media Fragments URI 1.0"
            )
            for number, row in enumerate(video.segments.to_dict("records"), start=1)
        ],
    )
    canvas = prezi.Canvas(id=canvas_id, width=width, height=height, duration=length, items=[page], annotations=[marks])
    whole = prezi.Manifest(id=f"{name}.{ENDING}", label={"none": [video.source]}, items=[canvas])
    return str(whole.json(indent=1))
