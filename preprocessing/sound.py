"""Sound of videos: decoded to mono samples at one rate, placed by their time stamps; and added to a video.

Sound is damaged, late, early, interrupted and mislabelled as pictures are. Whatever happens to it costs sound, never
the video: it ends where nothing more can be read. It is decoded in reader processes alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio import AudioFrame, AudioStream
from av.container import InputContainer
from av.filter import Graph
from av.stream import Disposition

from preprocessing.base.files import atomic_path
from preprocessing.clips import SOUND_RATE
from preprocessing.config import VideoLimits
from preprocessing.container import clock_start, open_container
from preprocessing.video import refuse_shortage

BLOCK = SOUND_RATE  # samples
# Containers round time stamps, to a millisecond at worst; the shortest packets of usual codecs last twice as long.
GAP_SECONDS = 0.01
# A clock that goes back further than sound is ever sent twice was set back, as at the joint of two recordings.
SET_BACK_SECONDS = 1.0
# Sound may end that much later than the file says, and than its pictures, before it is left out.
PAST_END_SECONDS = 10.0
# What is outside is no sound for ears, and would make a thousand samples of one.
LOWEST_RATE, HIGHEST_RATE = 1_000, 1_000_000

_Kind = tuple[str, str, int]  # format, layout of channels, samples per second


def decode_sound(path: Path, limits: VideoLimits, *, alive: Callable[[], None]) -> Iterator[np.ndarray]:
    """Yield the sound of a video in blocks, the same for any reader.

    Of several tracks it is the one that the file calls the default, or else the first. Channels are mixed as FFmpeg
    mixes them, to their weighted mean. Where no sound is before or between others, there are zeros.

    Parameters
    ----------
    path : Path
        A regular file.
    limits : VideoLimits
        Of its seconds. Sound beyond them, or long after the end of the file as it says and of its pictures, is left
        out.
    alive : callable
        Called at each packet.

    Yields
    ------
    ndarray of float16, shape (BLOCK,)
        Mono, -1 to 1, `SOUND_RATE` samples per second from second 0 of the video's times. The last one may be shorter.
    """
    yield from _in_blocks(_all_samples(path, limits, alive), BLOCK)


def add_sound(video: Path, sound: Iterable[np.ndarray]) -> None:
    """Add sound to a video without any, whose pictures stay byte for byte; FLAC keeps every sample, to 16 bits.

    Parameters
    ----------
    video : Path
        Rewritten whole or not at all.
    sound : iterable of float arrays, shape (samples,)
        Mono, -1 to 1, `SOUND_RATE` samples per second from the first picture on, in blocks of any length.

    Raises
    ------
    WorkError
        If it cannot be written.
    """
    with atomic_path(video) as part, av.open(str(video)) as before, av.open(str(part), "w") as after:
        pictures = before.streams.video[0]
        copied = after.add_stream_from_template(pictures)
        track = after.add_stream("flac", rate=SOUND_RATE, layout="mono")
        track.codec_context.format = "s16"
        track.codec_context.open()
        blocks = _in_blocks(sound, track.codec_context.frame_size)
        written = 0
        for packet in before.demux(pictures):  # the last one is empty
            until = float("inf")
            if packet.dts is not None and packet.time_base is not None:
                until = float(packet.dts * packet.time_base * SOUND_RATE)
            while written < until and (block := next(blocks, None)) is not None:
                samples = np.rint(block[None] * 32767).astype(np.int16)
                frame = AudioFrame.from_ndarray(samples, format="s16", layout="mono")
                frame.sample_rate, frame.time_base, frame.pts = SOUND_RATE, Fraction(1, SOUND_RATE), written
                written += len(block)
                after.mux(track.encode(frame))
            if packet.dts is not None:
                packet.stream = copied
                after.mux(packet)
        after.mux(track.encode(None))


def _in_blocks(pieces: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    waiting: list[np.ndarray] = []
    count = 0
    for piece in pieces:
        rest = piece
        while len(rest):
            part, rest = rest[: size - count], rest[size - count :]
            waiting.append(part)
            count += len(part)
            if count == size:
                yield np.concatenate(waiting)
                waiting, count = [], 0
    if count:
        yield np.concatenate(waiting)


def _all_samples(path: Path, limits: VideoLimits, alive: Callable[[], None]) -> Iterator[np.ndarray]:
    def told() -> None:
        try:
            alive()
        except Exception as error:  # of whoever reads: above all, it is gone
            raise _NotOfSoundError from error

    try:
        with open_container(path) as container:
            if (track := _choose_track(container)) is not None:
                yield from _Placing(container, track, limits, told).samples()
    except _NotOfSoundError as error:
        raise (error.__cause__ or error) from None
    except MemoryError:  # the machine's fault, not the sound's
        raise
    except Exception:  # noqa: BLE001 - whatever a decoder's wrapper raises costs the sound from there on
        refuse_shortage()


class _NotOfSoundError(Exception):
    """Its cause costs more than sound."""


def _choose_track(container: InputContainer) -> AudioStream | None:
    tracks = [track for track in container.streams.audio if track.codec_context is not None]
    default = [track for track in tracks if track.disposition & Disposition.default]
    return next(iter(default or tracks), None)


class _Placing:
    """Puts decoded sound where its time stamps say."""

    def __init__(
        self, container: InputContainer, track: AudioStream, limits: VideoLimits, alive: Callable[[], None]
    ) -> None:
        self._container, self._track, self._alive = container, track, alive
        self._zero = clock_start(container)  # second 0 on the clock of time stamps
        self._longest = limits.max_video_seconds
        self._declared = container.duration / av.time_base if container.duration else self._longest
        self._pictures = 0.0  # seconds to the latest picture so far
        self._given = 0  # samples
        self._set_back = 0.0  # seconds by which the clock was set back

    def samples(self) -> Iterator[np.ndarray]:
        """Yield samples, without a gap from second 0 on."""
        stretch: _Stretch | None = None
        for frame, following in _with_next(self._frames()):
            kind = (frame.format.name, frame.layout.name, frame.sample_rate)
            if not LOWEST_RATE <= frame.sample_rate <= HIGHEST_RATE:
                continue
            due = stretch.end if stretch is not None else None
            start = self._start(frame, following, due)
            if start >= self._end():
                continue
            if stretch is None or stretch.kind != kind or start != due:
                if stretch is not None:
                    yield from self._place(stretch, None)
                stretch = _Stretch(kind, start)
            yield from self._place(stretch, frame)
        if stretch is not None:
            yield from self._place(stretch, None)

    def _frames(self) -> Iterator[AudioFrame]:
        with suppress(av.FFmpegError):  # of the container: what comes behind is lost
            for packet in self._container.demux(self._track, *self._container.streams.video[:1]):
                self._alive()
                if packet.stream.index != self._track.index:
                    if packet.pts is not None and packet.time_base and self._zero is not None:
                        self._pictures = max(self._pictures, float(packet.pts * packet.time_base - self._zero))
                    continue
                frames = []
                with suppress(av.FFmpegError):  # of a packet: it is lost alone
                    frames = self._track.decode(packet)
                yield from frames

    def _end(self) -> float:
        return min(self._longest, max(self._declared, self._pictures) + PAST_END_SECONDS)

    def _stamp(self, frame: AudioFrame | None) -> float | None:
        """Return the seconds that a frame claims to begin at."""
        base = None if frame is None else frame.time_base or self._track.time_base
        if frame is None or frame.pts is None or base is None:
            return None
        if self._zero is None:  # no other stream says where time begins
            self._zero = frame.pts * base
        return float(frame.pts * base - self._zero)

    def _start(self, frame: AudioFrame, following: AudioFrame | None, due: float | None) -> float:
        """Return the seconds at which a frame begins: `due`, when those before end, if there is no reason against."""
        stamp, next_stamp = self._stamp(frame), self._stamp(following)
        if due is None:
            return 0.0 if stamp is None else stamp
        if stamp is None or abs(stamp + self._set_back - due) <= GAP_SECONDS:
            return due
        next_due = due + frame.samples / frame.sample_rate
        if next_stamp is not None and abs(next_stamp + self._set_back - next_due) <= GAP_SECONDS:
            return due  # one wrong stamp
        start = stamp + self._set_back
        if start < due - SET_BACK_SECONDS:
            self._set_back = due - stamp
            return due
        return start

    def _place(self, stretch: _Stretch, frame: AudioFrame | None) -> Iterator[np.ndarray]:
        """Yield what comes of a frame, after zeros where it is late, and without what is there already."""
        for samples in stretch.resample(frame):
            first, most = stretch.place, int(self._end() * SOUND_RATE)
            stretch.place += len(samples)
            while self._given < min(first, most):
                zeros = np.zeros(min(first - self._given, most - self._given, BLOCK), np.float16)
                self._given += len(zeros)
                yield zeros
            fresh = samples[max(0, self._given - first) : max(0, most - first)]
            if len(fresh):
                self._given += len(fresh)
                yield np.clip(np.nan_to_num(fresh), -1, 1).astype(np.float16)


class _Stretch:
    """Sound of one kind without a gap, on its way through FFmpeg's resampler.

    Attributes
    ----------
    kind : tuple
    place : int
        Of the next sample that comes out, from second 0 of the video.
    """

    def __init__(self, kind: _Kind, start: float) -> None:
        self.kind, self._start, self._taken = kind, start, 0
        self.place = round(start * SOUND_RATE)
        name, layout, rate = kind
        self._graph = Graph()
        source = self._graph.add(
            "abuffer", sample_rate=str(rate), sample_fmt=name, channel_layout=layout, time_base=f"1/{rate}"
        )
        # Without the last option, channels of floating-point samples are added up to more than full scale.
        resampler = self._graph.add("aresample", osr=str(SOUND_RATE), osf="flt", ochl="mono", rematrix_maxval="1.0")
        sink = self._graph.add("abuffersink")
        source.link_to(resampler)
        resampler.link_to(sink)
        self._graph.configure()

    @property
    def end(self) -> float:
        """Return the seconds at which what was taken so far ends."""
        return self._start + self._taken / self.kind[2]

    def resample(self, frame: AudioFrame | None) -> Iterator[np.ndarray]:
        """Take a frame, None for the end, and yield what comes out: float32, (samples,)."""
        if frame is not None:
            frame.pts = None  # its place is known
            self._taken += frame.samples
        self._graph.push(frame)
        while True:
            try:
                yield self._graph.pull().to_ndarray()[0]
            except (av.BlockingIOError, av.EOFError):
                return


def _with_next(frames: Iterator[AudioFrame]) -> Iterator[tuple[AudioFrame, AudioFrame | None]]:
    """Yield each frame with the one behind it."""
    if (frame := next(frames, None)) is None:
        return
    for following in frames:
        yield frame, following
        frame = following
    yield frame, None
