"""MMIF: the segments as time frames of a video document, beside what the apps of CLAMS find (`mmif-python`)."""

from __future__ import annotations

import datetime
from typing import Any

from genre_classifier.exports.tagged import TaggedVideo
from genre_classifier.tagging.tasks import STAMP
from preprocessing.base.extras import require_extra

APP = "pkg:pypi/genre-classifier"  # a URI, as MMIF wants it (ECMA-427, "Package-URL")
DOCUMENT = "video"


def library() -> Any:
    """Return mmif-python; it brings its vocabulary, and asks the network for nothing."""
    return require_extra("mmif", "mmif-python", extra="export")


def time_frames(video: TaggedVideo) -> str:
    """Return a document and a view with a `TimeFrame` for each segment (CLAMS vocabulary): milliseconds, end outside.

    The genre is its label, and the score what `classification` gives that label.
    """
    mmif = library()
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
