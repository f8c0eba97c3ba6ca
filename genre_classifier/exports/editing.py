"""Editing programs: OpenTimelineIO with markers, and CMX 3600 edit decision lists (`opentimelineio`).

Times are frames of an exact rate, and timecode where a format has it: no drift, however long the video. Of the adapters
that exist, the one for Final Cut Pro X leaves the frame duration of fractional rates out, so that it is not used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from genre_classifier.exports.tagged import TaggedVideo, frame_at, require_rate
from preprocessing.errors import InputError
from preprocessing.extras import require_extra

_COLOURS = ("YELLOW", "RED", "MAGENTA", "BLUE", "GREEN", "WHITE", "CYAN", "ORANGE", "PINK", "PURPLE")


_TIMECODE = re.compile(r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d[:;]\d\d")
DROP_FRAME = (Fraction(30000, 1001), Fraction(60000, 1001))  # rates at which lists of edits are written so


def _library() -> Any:
    return require_extra("opentimelineio", "opentimelineio", extra="export")


def start_frame(timecode: str, rate: Fraction) -> int:
    """Return the frame number of an SMPTE timecode; `;` before the frames means drop-frame. That of zero is 0.

    Raises
    ------
    InputError
        If it is none at this rate.
    """
    if re.fullmatch("00:00:00[:;]00", timecode):  # also where no timecode counts the rate
        return 0
    otio = _library()
    try:
        if not _TIMECODE.fullmatch(timecode):
            raise ValueError(timecode)
        return int(otio.opentime.from_timecode(timecode, float(rate)).value)
    except ValueError as error:
        raise InputError(
            f"--start-timecode: expected hh:mm:ss:ff at {float(rate):g} fps, found {timecode!r}"
        ) from error


def _span(video: TaggedVideo, first: int, count: int) -> Any:
    time, rate = _library().opentime, float(require_rate(video))
    return time.TimeRange(time.RationalTime(first, rate), time.RationalTime(count, rate))


def _clip(video: TaggedVideo, start: int, first: int, count: int) -> Any:
    """Return `count` frames of a video, from frame `first` on, as a clip; `start` is the number of its first frame."""
    schema = _library().schema
    whole = _span(video, start, max(1, frame_at(video.duration, require_rate(video))))
    media = schema.ExternalReference(target_url=video.path.as_uri(), available_range=whole)
    return schema.Clip(video.path.name, media_reference=media, source_range=_span(video, start + first, count))


def _timeline(name: str, track: str, clips: Iterable[Any], start: int, rate: Fraction) -> Any:
    otio = _library()
    timeline = otio.schema.Timeline(name, global_start_time=otio.opentime.RationalTime(start, float(rate)))
    timeline.tracks.append(otio.schema.Track(track, children=list(clips), kind=otio.schema.TrackKind.Video))
    return timeline


def otio_json(video: TaggedVideo, *, start: int = 0) -> str:
    """Return a timeline of the whole video whose segments are markers, as OpenTimelineIO's JSON.

    Parameters
    ----------
    video : TaggedVideo
    start : int
        Frame number of the first frame: that of the file's start timecode.
    """
    otio, rate = _library(), require_rate(video)
    clip = _clip(video, start, 0, max(1, frame_at(video.duration, rate)))
    for first, count, row in _frames(video):
        marker = otio.schema.Marker(row["genre"], marked_range=_span(video, start + first, count))
        marker.color = _COLOURS[video.genres.index(row["genre"]) % len(_COLOURS)]
        marker.metadata["genre_classifier"] = {"score": row["score"]}
        clip.markers.append(marker)
    return str(otio.adapters.write_to_string(_timeline(video.source, "video", [clip], start, rate), "otio_json"))


def edl(video: TaggedVideo, genre: str, *, start: int = 0) -> str:
    """Return the segments of one genre as a CMX 3600 list: each event lies where it lies in the video."""
    otio, rate = _library(), require_rate(video)
    require_extra("otio_cmx3600_adapter", "otio-cmx3600-adapter", extra="export")
    items, reached = [], 0
    for first, count, row in _frames(video):
        if row["genre"] != genre:
            continue
        if first > reached:
            items.append(otio.schema.Gap(source_range=_span(video, 0, first - reached)))
        items.append(_clip(video, start, first, count))
        reached = first + count
    timeline = _timeline(f"{video.source} {genre}", genre, items, start, rate)
    try:
        return str(otio.adapters.write_to_string(timeline, "cmx_3600", rate=float(rate)))
    except (ValueError, otio.exceptions.OTIOError) as error:
        raise InputError(f"{video.folder}: no timecode counts {float(rate):g} frames per second ({error})") from error


def _frames(video: TaggedVideo) -> list[tuple[int, int, dict[str, Any]]]:
    """Return first frame, number of frames and row of each segment, in the order of time."""
    rate = require_rate(video)
    found = []
    for row in video.segments.sort_values(["start", "end"]).to_dict("records"):
        first = frame_at(row["start"], rate)
        found.append(
            (first, max(1, frame_at(row["end"], rate) - first), {str(key): value for key, value in row.items()})
        )
    return found
