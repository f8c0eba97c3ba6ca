"""Tags for archives and research: tiers of ELAN, a manifest of IIIF Presentation 3, MMIF of the CLAMS platform.

- ELAN: a tier for each genre, its segments with their scores, and the video linked (`pympi-ling`).
- IIIF: a Presentation 3 manifest with a video and its segments as Web Annotations (`iiif-prezi3`).
- MMIF: the segments as time frames of a video document, beside what the apps of CLAMS find (`mmif-python`).
"""

from __future__ import annotations

import datetime
import logging
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from genre_classifier.exports.tagged import TaggedVideo
from genre_classifier.tagging.tasks import STAMP
from genre_classifier.tagging.viewer import relative_url
from preprocessing.base.errors import InputError
from preprocessing.base.extras import require_extra
from preprocessing.manifest import source_name

logger = logging.getLogger(__name__)

AUTHOR = "genre-classifier"
ENDING = "manifest.json"  # of IIIF
APP = "pkg:pypi/genre-classifier"  # a URI, as MMIF wants it (ECMA-427, "Package-URL")
DOCUMENT = "video"


def elan_library() -> Any:
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
    document = elan_library().Eaf(author=AUTHOR)
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


def iiif_library() -> Any:
    """Return iiif-prezi3."""
    return require_extra("iiif_prezi3", "iiif-prezi3", extra="export")


def _served_path(video: TaggedVideo, folder: Path) -> str:
    """Return the quoted path of a video below the folder that is served: where it lies or, outside, is expected."""
    inside = relative_url(video.path, folder).removeprefix("./")
    if not inside.startswith("../"):
        return inside
    # No address leads out of what is served. The source is the path below the folder of videos that was tagged.
    below = Path(*video.path.parts[-len(PurePosixPath(video.source).parts) :])
    known = not below.is_absolute() and source_name(below) == video.source
    return quote(os.fsencode(below.as_posix() if known else video.path.name))


def require_addresses(videos: Iterable[TaggedVideo], folder: Path, *, base: str) -> None:
    """Refuse videos whose manifests would name one address.

    Parameters
    ----------
    videos : iterable of TaggedVideo
    folder, base
        As for `manifest`.

    Raises
    ------
    InputError
        If two different videos would share one.
    """
    taken: dict[str, Path] = {}
    for video in videos:
        address = f"{base.rstrip('/')}/{_served_path(video, folder)}"
        if (other := taken.setdefault(address, video.path)) != video.path:
            raise InputError(
                f"iiif: expected an address of its own for each video, found {address} for {other} and for "
                f"{video.path}; tag the folder that holds both, or export each to a folder of its own"
            )


def manifest(video: TaggedVideo, folder: Path, *, base: str) -> str:
    """Return the manifest of a video.

    Parameters
    ----------
    video : TaggedVideo
    folder : Path
        Where the manifest will lie; a video outside of it is expected in it, under the path that its source says.
    base : str
        The address at which that folder is served: IIIF wants whole ones.

    Raises
    ------
    InputError
        If the size of the video's pictures is not known.
    """
    prezi = iiif_library()
    if video.size is None:
        raise InputError(f"{video.folder}: expected width and height of the video, found none recorded; tag it again")
    (width, height), base = video.size, base.rstrip("/")
    name = f"{base}/{quote(video.folder.name)}"
    address = f"{base}/{_served_path(video, folder)}"
    if relative_url(video.path, folder).startswith("./../"):
        logger.warning(f"{video.path} lies outside {folder}: its manifest expects it, or a link to it, at {address}")
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


def mmif_library() -> Any:
    """Return mmif-python; it brings its vocabulary, and asks the network for nothing."""
    return require_extra("mmif", "mmif-python", extra="export")


def time_frames(video: TaggedVideo) -> str:
    """Return a document and a view with a `TimeFrame` for each segment (CLAMS vocabulary): milliseconds, end outside.

    The genre is its label, and the score what `classification` gives that label.
    """
    mmif = mmif_library()
    whole, document = mmif.Mmif(validate=False), mmif.Document()
    document.at_type, document.id = mmif.DocumentTypes.VideoDocument, DOCUMENT
    document.location, document.properties.mime = video.path.as_uri(), video.mimetype
    whole.add_document(document)
    view = whole.new_view()
    view.metadata.app = APP
    tagged = (video.folder / STAMP).stat().st_mtime  # the same text whenever it is exported
    view.metadata.timestamp = datetime.datetime.fromtimestamp(tagged, datetime.UTC)
    kind = mmif.AnnotationTypes.TimeFrame
    view.new_contain(kind, document=DOCUMENT, timeUnit="milliseconds", labelset=list(video.genres))
    for row in video.segments.to_dict("records"):
        start = round(1000 * row["start"])
        end = max(start + 1, round(1000 * row["end"]))
        genre, score = row["genre"], float(row["score"])
        view.new_annotation(kind, start=start, end=end, label=genre, classification={genre: score})
    return str(whole.serialize(pretty=True)) + "\n"
