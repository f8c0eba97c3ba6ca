"""IIIF: a Presentation 3 manifest with a video and its segments as Web Annotations (`iiif-prezi3`)."""

from __future__ import annotations

from pathlib import Path

from genre_classifier.exports.tagged import TaggedVideo
from preprocessing.errors import InputError
from preprocessing.extras import require_extra


def manifest(video: TaggedVideo, folder: Path, *, base: str) -> str:
    """Return the manifest of a video.

    Parameters
    ----------
    video : TaggedVideo
    folder : Path
        Where the manifest will lie; the video's address is relative to it.
    base : str
        The address at which that folder is served: IIIF wants whole ones.

    Raises
    ------
    InputError
        If the size of the video's pictures is not known.
    """
    prezi = require_extra("iiif_prezi3", "iiif-prezi3", extra="export")
    if video.size is None:
        raise InputError(f"{video.folder}: expected width and height of the video, found none recorded; tag it again")
    (width, height), base = video.size, base.rstrip("/")
    name = f"{base}/{video.folder.name}"
    address = f"{base}/{video.relative_url(folder).removeprefix('./')}"
    canvas_id, length = f"{name}/canvas", max(video.duration, 0.001)
    body = {
        "id": address, "type": "Video", "format": "video/mp4", "width": width, "height": height, "duration": length,
    }  # fmt: skip
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
    whole = prezi.Manifest(id=f"{name}.json", label={"none": [video.source]}, items=[canvas])
    return str(whole.json(indent=1))
