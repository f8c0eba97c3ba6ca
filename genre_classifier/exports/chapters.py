"""Chapters: FFmpeg's metadata, Matroska XML and WebVTT, for players and for muxing into the video itself.

Chapters follow each other, genres overlap: a chapter lasts as long as the same genres run.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple
from xml.etree import ElementTree

from genre_classifier.exports.tagged import TaggedVideo
from genre_classifier.tagging.segments import vtt_text, vtt_timestamp

NOTHING = "no genre"


class Chapter(NamedTuple):
    """A stretch of a video: whole milliseconds, and what runs in it."""

    start: int
    end: int
    title: str


def chapters(video: TaggedVideo) -> list[Chapter]:
    """Return chapters that cover the video without gap or overlap."""
    end = max(1, round(1000 * video.duration))
    spans = [
        (round(1000 * one["start"]), round(1000 * one["end"]), one["genre"])
        for one in video.segments.to_dict("records")
    ]
    borders = sorted({0, end, *(min(border, end) for first, last, _ in spans for border in (first, last))})
    found: list[Chapter] = []
    for start, stop in itertools.pairwise(borders):
        running = [genre for genre in video.genres if any(a <= start < b and genre == name for a, b, name in spans)]
        title = " + ".join(running) or NOTHING
        if found and found[-1].title == title:
            found[-1] = found[-1]._replace(end=stop)
        else:
            found.append(Chapter(start, stop, title))
    return found


def ffmetadata(video: TaggedVideo) -> str:
    """Return the chapters as FFmpeg reads them (ffmpeg.org, "Metadata").

    `-map_chapters` puts them into a video, as `docs/editors.md` says; `-map_metadata` leaves it those that it has.
    """
    blocks = [";FFMETADATA1"]
    for start, end, title in chapters(video):
        escaped = "".join(f"\\{sign}" if sign in "=;#\\\n" else sign for sign in title)
        blocks.append(f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={start}\nEND={end}\ntitle={escaped}")
    return "\n".join(blocks) + "\n"


def matroska_xml(video: TaggedVideo) -> str:
    """Return the chapters as MKVToolNix reads them ("Matroska XML chapter files" of its documentation)."""
    root = ElementTree.Element("Chapters")
    edition = ElementTree.SubElement(root, "EditionEntry")
    for start, end, title in chapters(video):
        atom = ElementTree.SubElement(edition, "ChapterAtom")
        ElementTree.SubElement(atom, "ChapterTimeStart").text = _nanoseconds(start)
        ElementTree.SubElement(atom, "ChapterTimeEnd").text = _nanoseconds(end)
        display = ElementTree.SubElement(atom, "ChapterDisplay")
        ElementTree.SubElement(display, "ChapterString").text = title
        ElementTree.SubElement(display, "ChapterLanguage").text = "und"
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _nanoseconds(milliseconds: int) -> str:
    return f"{vtt_timestamp(milliseconds)}000000"


def webvtt_chapters(video: TaggedVideo) -> str:
    """Return the chapters as a WebVTT track of kind `chapters` (W3C, "WebVTT", section 1.5)."""
    cues = [
        "WEBVTT",
        *(f"{vtt_timestamp(one.start)} --> {vtt_timestamp(one.end)}\n{vtt_text(one.title)}" for one in chapters(video)),
    ]
    return "\n\n".join(cues) + "\n"
