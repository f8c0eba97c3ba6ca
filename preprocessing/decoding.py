"""Decode a video once and deliver the frames of its clip: runs inside a reader process (`preprocessing.worker`).

Which frames to keep depends on the times of all of them, which are known only at the end. Going through the packets
first costs next to nothing and tells them for nearly every file, so that decoding, fitting and writing happen in one
pass; where the decoded times turn out otherwise, a second pass keeps the right ones.
"""

from __future__ import annotations

import dataclasses
import mmap
import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from preprocessing.config import ClipConfig, CopyConfig, VideoLimits
from preprocessing.errors import InputError
from preprocessing.fitting import Box, fit_frame, fit_whole, picture_box
from preprocessing.prefetch import Prefetch
from preprocessing.sampling import Timing, frame_duration, pick_frames, pick_steadily, true_times
from preprocessing.video import CONVERT_HINT, DECODER_THREADS, PACKET_ATTEMPTS, Declared, Video, open_video

# Decoded pictures that wait for fitting; enough to smooth out, few enough for 8K.
QUEUE_FRAMES = 3
# Frames, spread over the video, that must all show a bar for it to be one.
BAR_FRAMES = 60
# Finer than any time base: within it two reported times are the same.
SAME_SECONDS = 1e-6
# Encoders and players take no lower rate for granted.
LOWEST_COPY_FPS = 1.0
_NO_PIXELS = re.compile(rb"\[swscaler[^]]*\] ([^\n(]*)")
CHANGED = "gave other frames on the second reading than on the first; is it being written?"


class Sink(Protocol):
    """Where the frames of a clip go."""

    def begin(self, times: np.ndarray) -> None:
        """Start, or start again, a clip of frames at these times (seconds)."""

    def add(self, frame: np.ndarray, image: np.ndarray, pixel_aspect: float) -> None:
        """Take the next frame, uint8 (3, size, size), and the picture behind it: uint8 (rows, cols, 3), BGR."""


class CopySink(Protocol):
    """Where the pictures of a copy go."""

    def begin(self, start: float, fps: float) -> None:
        """Start a copy of so many frames per second, the first of them at `start` (seconds)."""

    def add(self, picture: np.ndarray, ticks: int) -> None:
        """Take the next picture, uint8 (rows, cols, 3), RGB, and for how many frames of the copy it is shown."""


@dataclasses.dataclass(frozen=True)
class Decoded:
    """What decoding found out."""

    declared: Declared
    times: np.ndarray
    timing: Timing
    decoded_frames: int
    skipped_packets: int
    duration: float

    def fields(self) -> dict[str, Any]:
        """Return the manifest's fields."""
        return {
            **dataclasses.asdict(self.declared),
            "frames": len(self.times),
            "decoded_frames": self.decoded_frames,
            "skipped_packets": self.skipped_packets,
            "duration": self.duration,
            "timing": self.timing,
        }


@dataclasses.dataclass(frozen=True)
class _Packets:
    """The packets of a video, as far as they can be told without decoding them."""

    count: int
    times: np.ndarray  # seconds as reported, sorted: they come in the order of decoding


@dataclasses.dataclass(frozen=True)
class _Source:
    """A video that is read, once or several times."""

    path: Path
    limits: VideoLimits
    packets: _Packets
    alive: Callable[[], None]  # called at each frame

    def open(self, threads: int) -> AbstractContextManager[Video]:
        return open_video(self.path, self.limits, threads=threads)


class _DamageError(Exception):
    """The video is damaged, which asks for a decoder of one thread."""


class _Reading:
    """One decoding of a video: the frames' reported times, and the broken packets between them.

    Parameters
    ----------
    source : _Source
        The number of its packets alone tells the end from a broken one.
    threads : int
        Of the decoder.
    stop_at_damage : bool
        Raise `_DamageError` at the first sign of it.
    """

    def __init__(self, source: _Source, *, threads: int, stop_at_damage: bool) -> None:
        self.threads = threads
        self.times: list[float] = []
        self.places: list[int] = []  # of each frame, among frames and broken packets
        self.skipped = 0
        self._packets, self._alive = source.packets, source.alive
        self._stop_at_damage = stop_at_damage

    def frames(self, video: Video) -> Iterator[int]:
        """Grab frame after frame, and yield the index of each, until all packets are used up."""
        messages = os.fstat(2).st_size  # the decoder's; a reader process keeps them
        failed = 0  # grabs since the last frame: at broken packets, or at the end
        while True:
            time = video.grab()
            self._alive()
            if time is None:
                failed += 1
                left = self._packets.count - len(self.times) - self.skipped
                if failed < left:
                    continue
                # In any video there may be packets that give no frame of their own: no later ones, no loss.
                later = np.count_nonzero(self._packets.times > max(self.times, default=-np.inf) + SAME_SECONDS)
                failed = min(failed, max(left, 0), int(later))
            self.skipped += failed
            if self._stop_at_damage and (self.skipped or os.fstat(2).st_size > messages):
                raise _DamageError
            if time is None:
                return
            failed = 0
            self.places.append(len(self.times) + self.skipped)
            self.times.append(time)
            yield len(self.times) - 1

    def clock(self, declared: Declared) -> tuple[np.ndarray, Timing]:
        """Return the true time of every frame, in seconds."""
        return true_times(np.array(self.times), declared.fps or 0.0, np.array(self.places, dtype=np.intp))


@dataclasses.dataclass(frozen=True)
class _Plan:
    times: np.ndarray  # of all frames, as far as known
    timing: Timing
    picks: np.ndarray

    @classmethod
    def of(cls, clock: tuple[np.ndarray, Timing], config: ClipConfig) -> _Plan:
        return cls(*clock, pick_frames(clock[0], config))


def decode(
    path: Path, config: ClipConfig, limits: VideoLimits, sink: Sink, *, exact: bool, alive: Callable[[], None]
) -> Decoded:
    """Deliver the frames of a video's clip to `sink`.

    Broken packets are skipped. A video that shows damage is decoded again by one thread: several hide it behind
    whatever the others have got ready by then, so that the same file would give other pixels in each run.

    Parameters
    ----------
    path : Path
        A regular file.
    config : ClipConfig
        Which frames, and of what size.
    limits : VideoLimits
        Of its pictures, frames and seconds.
    sink : Sink
        Takes the frames; `begin` may come several times unless `exact`.
    exact : bool
        Know the times for sure before the first frame is delivered, at the price of decoding twice.
    alive : callable
        Called at each frame and packet.

    Raises
    ------
    InputError
        With the reason alone.
    """
    exact = exact or config.trim_bars  # the bars must be sought in the same frames either way
    source = _look_at(path, limits, alive)
    try:
        return _decode(source, config, sink, exact=exact, threads=DECODER_THREADS)
    except _DamageError:
        return _decode(source, config, sink, exact=exact, threads=1)


def decode_copy(
    path: Path, config: CopyConfig, limits: VideoLimits, sink: CopySink, *, alive: Callable[[], None]
) -> None:
    """Deliver every picture of a video at a constant rate to `sink`, decoding it twice; see `decode`.

    Raises
    ------
    InputError
        With the reason alone.
    """
    source = _look_at(path, limits, alive)
    threads = DECODER_THREADS
    try:
        _, (times, _) = _all_times(source, threads)
    except _DamageError:
        threads = 1
        _, (times, _) = _all_times(source, threads)
    fps = min(max(1 / frame_duration(times, None), LOWEST_COPY_FPS), config.most_fps)
    picks, ticks = pick_steadily(times, fps)
    sink.begin(float(times[0]), fps)
    reading = _Reading(source, threads=threads, stop_at_damage=False)
    shown = iter(ticks.tolist())
    with closing(_pictures(source, picks, reading)) as pictures:
        for image, pixel_aspect in pictures:
            rows = {"fewest_rows": config.fewest_rows, "most_rows": config.most_rows}
            sink.add(fit_whole(image, pixel_aspect=pixel_aspect, **rows), next(shown))
    if next(shown, None) is not None:
        raise InputError(CHANGED)


def _decode(source: _Source, config: ClipConfig, sink: Sink, *, exact: bool, threads: int) -> Decoded:
    if exact:
        declared, clock = _all_times(source, threads)
    else:
        with source.open(threads) as video:
            declared = video.declared
        clock = true_times(source.packets.times, declared.fps or 0.0)
    plan = _Plan.of(clock, config)
    while True:
        box = None
        if config.trim_bars:
            box = _find_bars(source, plan, threads)
        sink.begin(plan.times[plan.picks])
        reading = _Reading(source, threads=threads, stop_at_damage=threads > 1 and not exact)
        delivered = 0
        with closing(_pictures(source, plan.picks, reading)) as pictures:
            for image, pixel_aspect in pictures:
                sink.add(fit_frame(image, config, pixel_aspect=pixel_aspect, box=box), image, pixel_aspect)
                delivered += 1
        if not reading.times:
            raise InputError(_nothing_decoded(source.packets, declared))
        found = _Plan.of(_checked_clock(reading, declared, source.limits), config)
        if np.array_equal(found.picks, plan.picks[:delivered]):
            break
        if exact or np.array_equal(found.times, plan.times):
            raise InputError(CHANGED)
        plan = found
        exact = True
    return Decoded(
        declared=declared,
        times=found.times[found.picks],
        timing=found.timing,
        decoded_frames=len(reading.times),
        skipped_packets=reading.skipped,
        duration=float(found.times[-1] - found.times[0] + frame_duration(found.times, declared.fps)),
    )


def _look_at(path: Path, limits: VideoLimits, alive: Callable[[], None]) -> _Source:
    """Go through a video's packets; refuse too many, and as many of their usual spacing as make it too long."""
    packets = _read_packets(path, limits, alive)
    if len(packets.times) > 1:
        _check_duration(len(packets.times) * frame_duration(packets.times, None), limits)
    return _Source(path, limits, packets, alive)


def _read_packets(path: Path, limits: VideoLimits, alive: Callable[[], None]) -> _Packets:
    times: list[float] = []
    count = failed = 0
    with open_video(path, limits, packets=True) as video:
        while failed < PACKET_ATTEMPTS:
            time = video.grab()
            alive()
            if time is None:
                failed += 1
                continue
            times.append(time)
            count += failed + 1
            failed = 0
            if count > limits.max_video_frames:
                most = f"{limits.max_video_frames} frames (--max-video-frames)"
                raise InputError(f"expected a video of at most {most}, found more")
    return _Packets(count, np.sort(times))


def _check_duration(seconds: float, limits: VideoLimits) -> None:
    if seconds > limits.max_video_seconds:
        most = f"{limits.max_video_seconds:g} seconds (--max-video-seconds)"
        raise InputError(f"expected a video of at most {most}, found {seconds:g}")


def _checked_clock(reading: _Reading, declared: Declared, limits: VideoLimits) -> tuple[np.ndarray, Timing]:
    times, timing = reading.clock(declared)
    _check_duration(float(times[-1] - times[0]), limits)
    return times, timing


def _all_times(source: _Source, threads: int) -> tuple[Declared, tuple[np.ndarray, Timing]]:
    """Decode all frames for their true times."""
    reading = _Reading(source, threads=threads, stop_at_damage=threads > 1)
    with source.open(threads) as video:
        declared = video.declared
        for _ in reading.frames(video):
            pass
    if not reading.times:
        raise InputError(_nothing_decoded(source.packets, declared))
    return declared, _checked_clock(reading, declared, source.limits)


def _pictures(source: _Source, picks: np.ndarray, reading: _Reading) -> Prefetch[tuple[np.ndarray, float]]:
    """Decode on a thread; give the picked pictures and the shape of their pixels."""

    def decoded() -> Iterator[tuple[np.ndarray, float]]:
        wanted = iter(picks.tolist())
        pick = next(wanted, -1)
        with source.open(reading.threads) as video:
            for index in reading.frames(video):
                if index == pick:
                    yield _checked_picture(video), video.pixel_aspect
                    pick = next(wanted, -1)

    return Prefetch(decoded(), ahead=QUEUE_FRAMES)


def _find_bars(source: _Source, plan: _Plan, threads: int) -> Box | None:
    reading = _Reading(source, threads=threads, stop_at_damage=False)
    some = plan.picks[np.unique(np.linspace(0, len(plan.picks) - 1, BAR_FRAMES).astype(int))] if len(plan.picks) else []
    brightest: np.ndarray | None = None
    with closing(_pictures(source, np.asarray(some, dtype=np.intp), reading)) as pictures:
        for image, _ in pictures:
            if brightest is not None and brightest.shape != image.shape:
                return None  # the size changes on the way, and with it where the bars would be
            brightest = image if brightest is None else np.maximum(brightest, image)
    return None if brightest is None else picture_box(brightest)


def _checked_picture(video: Video) -> np.ndarray:
    """Retrieve a picture, and notice when OpenCV says it did but did not.

    Its colour conversion (libswscale) can refuse a picture: interlaced ones with the FFmpeg of OpenCV 4.13 and 4.14,
    and those whose colour description makes no sense. OpenCV then returns the buffer of an earlier picture, or
    memory, as if nothing were wrong; the only trace is FFmpeg's message on stderr, which a reader process keeps.
    """
    start = os.fstat(2).st_size
    image = video.retrieve()
    if os.fstat(2).st_size > start:
        with mmap.mmap(2, 0, access=mmap.ACCESS_READ) as messages:  # reading would move the end that FFmpeg writes to
            message = _NO_PIXELS.search(messages, start)
            reason = message and message[1].decode("utf-8", "replace").strip(" .").lower()
        if message:
            raise InputError(f"this OpenCV cannot turn its pictures into pixels ({reason}); {CONVERT_HINT}")
    return image


def _nothing_decoded(packets: _Packets, declared: Declared) -> str:
    if not packets.count:
        return "expected a video, found one without a single frame"
    return (
        f"none of its {packets.count} packets could be decoded: they are damaged or encrypted, or this OpenCV has no "
        f"decoder for their codec ({declared.codec or 'unknown'}); {CONVERT_HINT}"
    )
