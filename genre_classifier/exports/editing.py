"""Editing programs: OpenTimelineIO with markers, and CMX 3600 edit decision lists (`opentimelineio`).

Times are frames of an exact rate, and timecode where a format has it: no drift, however long the video. Of the adapters
that exist, the one for Final Cut Pro X leaves the frame duration of fractional rates out, so that it is not used.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from genre_classifier.exports.tagged import TaggedVideo, require_rate
from genre_classifier.exports.timecode import DROP_FRAME, editing_library, start_frame
from preprocessing.base.errors import InputError
from preprocessing.base.extras import require_extra

_COLOURS = ("YELLOW", "RED", "MAGENTA", "BLUE", "GREEN", "WHITE", "CYAN", "ORANGE", "PINK", "PURPLE")


def list_library() -> Any:
    """Return OpenTimelineIO, with its adapter for lists of edits."""
    require_extra("otio_cmx3600_adapter", "otio-cmx3600-adapter", extra="export")
    return editing_library()


def otio_json(video: TaggedVideo) -> str:
    """Return a timeline of the whole video whose segments are markers, as OpenTimelineIO's JSON."""
    otio, rate = editing_library(), require_rate(video)
    start = start_frame(video.start_timecode, rate)
    clip = _clip(video, start, 0, video.frames, rate)
    for first, count, row in _frames(video):
        marker = otio.schema.Marker(row["genre"], marked_range=_span(start + first, count, rate))
        marker.color = _COLOURS[video.genres.index(row["genre"]) % len(_COLOURS)]
        marker.metadata["genre_classifier"] = {"score": row["score"]}
        clip.markers.append(marker)
    return str(otio.adapters.write_to_string(_timeline(video.source, "video", [clip], start, rate), "otio_json"))


def edl(video: TaggedVideo, genre: str) -> str:
    """Return the segments of one genre as a CMX 3600 list: each event is at its time in the video.

    Raises
    ------
    InputError
        If no timecode counts the video's rate, or its start timecode is not one at this rate.
    """
    otio, rate = list_library(), require_rate(video)
    start = start_frame(video.start_timecode, rate)
    drop = ";" in video.start_timecode
    if rate in DROP_FRAME and not drop:
        rate = Fraction(round(rate))  # the same frames, counted without leaving out a number: as at a whole rate
    items, reached = [], 0
    for first, count, row in _frames(video):
        if row["genre"] != genre:
            continue
        if first > reached:
            items.append(otio.schema.Gap(source_range=_span(0, first - reached, rate)))
        items.append(_clip(video, start, first, count, rate))
        reached = first + count
    for item in items:
        item.name = _on_one_line(item.name)
    timeline = _timeline(_on_one_line(f"{video.source} {genre}"), genre, items, start, rate)
    try:
        text = str(otio.adapters.write_to_string(timeline, "cmx_3600", rate=float(rate)))
    except (ValueError, otio.exceptions.OTIOError) as error:
        found = f"found {float(rate):g} ({error})"
        raise InputError(
            f"{video.folder}: expected frames per second that timecode counts, {found}; give --fps"
        ) from error
    title, events = text.split("\n", 1)
    return f"{title}\nFCM: {'' if drop else 'NON-'}DROP FRAME\n{events}"


def _on_one_line(name: str) -> str:
    """Return a name without what ends a line, or looks like nothing: a list of edits has a line for each thing."""
    return "".join(letter if letter.isprintable() else " " for letter in name)


def _span(first: int, count: int, rate: Fraction) -> Any:
    time = editing_library().opentime
    return time.TimeRange(time.RationalTime(first, float(rate)), time.RationalTime(count, float(rate)))


def _clip(video: TaggedVideo, start: int, first: int, count: int, rate: Fraction) -> Any:
    """Return `count` frames of a video, from frame `first` on, as a clip; `start` is the number of its first frame."""
    schema = editing_library().schema
    whole = _span(start, video.frames, rate)
    media = schema.ExternalReference(target_url=video.path.as_uri(), available_range=whole)
    return schema.Clip(video.path.name, media_reference=media, source_range=_span(start + first, count, rate))


def _timeline(name: str, track: str, clips: Iterable[Any], start: int, rate: Fraction) -> Any:
    otio = editing_library()
    timeline = otio.schema.Timeline(name, global_start_time=otio.opentime.RationalTime(start, float(rate)))
    timeline.tracks.append(otio.schema.Track(track, children=list(clips), kind=otio.schema.TrackKind.Video))
    return timeline


def _frames(video: TaggedVideo) -> list[tuple[int, int, dict[str, Any]]]:
    """Return first frame, number of frames and row of each segment, in the order of time."""
    found = []
    for row in video.segments.sort_values(["start", "end"]).to_dict("records"):
        first = video.frame_at(row["start"])
        count = max(1, video.frame_at(row["end"]) - first)
        found.append((first, count, {str(key): value for key, value in row.items()}))
    return found
