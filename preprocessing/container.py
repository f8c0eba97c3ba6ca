"""What a file says before anything is decoded, read by PyAV: its format, where it begins, its start timecode.

Pictures are OpenCV's, which counts their times from the first picture's. Used in reader processes alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from preprocessing.base.errors import InputError
from preprocessing.config import FILM_FORMATS
from preprocessing.video import openable_name

# FFmpeg rounds where a container begins to this.
_TICK = Fraction(1, av.time_base)
_NO_TIMESTAMPS = 0x80  # FFmpeg's flag of formats that have none (AVFMT_NOTIMESTAMPS)


@dataclasses.dataclass(frozen=True)
class Container:
    """What a file says of itself.

    Attributes
    ----------
    start : float
        Seconds from where the container begins to where its pictures begin, 0 or more.
    timecode : str or None
        Of the first picture, as FFmpeg finds it, in a timecode track or in the metadata.
    seconds : float or None
        How long it lasts, where the file says so.
    rate : float or None
        Pictures per second on average, where it says so.
    stream_rate : float or None
        Pictures per second as the pictures' stream says, only of formats without time stamps (raw H.264, HEVC, MPEG),
        whose average is FFmpeg's default.
    sound : bool
        Whether it has a sound track.
    """

    start: float
    timecode: str | None
    seconds: float | None
    rate: float | None
    stream_rate: float | None
    sound: bool


def read_container(path: Path) -> Container | None:
    """Open a file and decode nothing; None if PyAV cannot open it, though OpenCV may be able to.

    Raises
    ------
    InputError
        With the reason alone, if its format is not in `FILM_FORMATS`: above all, a list of other files.
    """
    try:
        with open_container(path) as container:
            pictures = container.streams.video[0] if container.streams.video else None
            rate = float(pictures.average_rate) if pictures and pictures.average_rate else None
            seconds = container.duration / av.time_base if container.duration else None
            return Container(
                start=_start(container),
                timecode=_timecode(container),
                seconds=seconds,
                rate=rate,
                stream_rate=_stream_rate(container),
                sound=bool(container.streams.audio),
            )
    except av.error.ArgumentError:
        found = "found a list of other files, a picture or something else that is not a film"
        raise InputError(f"expected a video, {found}") from None
    except (OSError, ValueError, av.FFmpegError):
        return None


@dataclasses.dataclass(frozen=True)
class HiddenPackets:
    """Which packets of the pictures are to give none, though nothing is damaged; in the order of the file.

    Attributes
    ----------
    cut : ndarray of bool, shape (packets,)
        Decoded and not shown: outside of what an MP4's edit list shows.
    empty : ndarray of bool, shape (packets,)
        Without a byte: the picture before stays, as in Theora.
    """

    cut: np.ndarray
    empty: np.ndarray

    @classmethod
    def none(cls, packets: int) -> HiddenPackets:
        """Return that every packet is to give a picture."""
        return cls(np.zeros(packets, dtype=bool), np.zeros(packets, dtype=bool))


def hidden_packets(path: Path, packets: int, alive: Callable[[], None]) -> HiddenPackets:
    """Go through the packets of a video once more: OpenCV does not say what is meant to be hidden.

    Parameters
    ----------
    path : Path
    packets : int
        How many OpenCV finds. If PyAV finds others, nothing is said of them.
    alive : callable
        Called at each.
    """
    found: list[tuple[bool, bool]] = []
    try:
        with open_container(path) as container:
            for packet in container.demux(video=0):
                alive()
                found.append((packet.is_discard, packet.size == 0))
                if len(found) > packets + 1:
                    break
    except (OSError, ValueError, IndexError, av.FFmpegError):
        return HiddenPackets.none(packets)
    if len(found) != packets + 1:  # at the end PyAV adds one, which empties decoders
        return HiddenPackets.none(packets)
    cut, empty = np.array(found[:-1], dtype=bool).reshape(-1, 2).T
    return HiddenPackets(cut, empty & ~cut)


@contextmanager
def open_container(path: Path) -> Iterator[av.container.InputContainer]:
    """Open a file with PyAV, which raises its own errors; only formats of films, and no other file beside it."""
    options = {"format_whitelist": ",".join(FILM_FORMATS), "protocol_whitelist": "file"}
    with (
        openable_name(path) as name,
        av.open(name, container_options=options, metadata_errors="replace") as container,
    ):
        yield container


def clock_start(container: av.container.InputContainer) -> Fraction | None:
    """Return the time stamp, in seconds, that is second 0 of a clip; None where the file has no time stamps."""
    pictures = _stream_start(container.streams.video[0]) if container.streams.video else None
    if container.start_time is None:
        return pictures
    begin = container.start_time * _TICK
    for stream in container.streams:  # the stream that begins with the container says it exactly
        exact = _stream_start(stream)
        if exact is not None and abs(exact - begin) <= _TICK:
            begin = exact
            break
    return begin if pictures is None else min(begin, pictures)


def _start(container: av.container.InputContainer) -> float:
    pictures = _stream_start(container.streams.video[0]) if container.streams.video else None
    begin = clock_start(container)
    return 0.0 if pictures is None or begin is None else float(pictures - begin)


def _stream_rate(container: av.container.InputContainer) -> float | None:
    if not container.streams.video or not container.format.flags & _NO_TIMESTAMPS:
        return None
    guessed = container.streams.video[0].guessed_rate
    return float(guessed) if guessed else None


def _stream_start(stream: av.stream.Stream) -> Fraction | None:
    return stream.start_time * stream.time_base if stream.start_time is not None and stream.time_base else None


def _timecode(container: av.container.InputContainer) -> str | None:
    for metadata in (container.metadata, *(stream.metadata for stream in container.streams)):
        for key, value in metadata.items():
            if key.lower() == "timecode":
                return str(value).strip()
    return None
