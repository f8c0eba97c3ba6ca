"""Decode a video once and deliver the frames of its clips: runs inside a reader process.

Which frames to keep depends on the times of all of them, which are known only at the end. Going through the packets
first costs next to nothing and tells them for nearly every file, so that decoding, fitting and writing happen in one
pass; where the decoded times turn out otherwise, a second pass keeps the right ones.
"""

from __future__ import annotations

import dataclasses
import mmap
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from preprocessing.base.errors import InputError
from preprocessing.config import ClipConfig, CopyConfig, VideoLimits
from preprocessing.decode_pass import DamageError, Reading, ScannedVideo, scan_video
from preprocessing.fitting import Box, fit_frame, fit_whole, picture_box
from preprocessing.processes.prefetch import Prefetch
from preprocessing.sampling import Timing, frame_duration, pick_frames, pick_steadily
from preprocessing.video import CONVERT_HINT, DECODER_THREADS, Declared, Video

# Decoded pictures that wait for fitting; enough to smooth out, few enough for 8K.
QUEUE_FRAMES = 3
# Frames, spread over the video, that must all show a bar for it to be one.
BAR_FRAMES = 60
# Encoders and players take no lower rate for granted.
LOWEST_COPY_FPS = 1.0
_NO_PIXELS = re.compile(rb"\[swscaler[^]]*\] ([^\n(]*)")
CHANGED = "gave other frames on the second reading than on the first; is it being written?"


class Sink(Protocol):
    """Where the frames of clips go."""

    def begin(self, times: Sequence[np.ndarray]) -> None:
        """Start, or start again, each of the clips, of frames at these times (seconds)."""

    def add(self, clip: int, frame: np.ndarray, image: np.ndarray, pixel_aspect: float) -> None:
        """Take the next frame of a clip, uint8 (3, size, size), and its whole picture: uint8 (rows, cols, 3), BGR."""


class CopySink(Protocol):
    """Where the pictures of a copy go."""

    def begin(self, fps: float) -> None:
        """Start a copy of so many frames per second, which begins where the video's container does."""

    def add(self, picture: np.ndarray, ticks: int) -> None:
        """Take the next picture, uint8 (rows, cols, 3), RGB, and for how many frames of the copy it is shown."""


@dataclasses.dataclass(frozen=True)
class Decoded:
    """What decoding found out."""

    declared: Declared
    times: tuple[np.ndarray, ...]  # of the frames of each clip
    timing: Timing
    decoded_frames: int
    skipped_packets: int
    duration: float

    def fields(self) -> dict[str, Any]:
        """Return the manifest's fields of the last clip."""
        times = self.times[-1]
        return {
            **dataclasses.asdict(self.declared),
            "frames": len(times),
            "decoded_frames": self.decoded_frames,
            "skipped_packets": self.skipped_packets,
            "start": float(times[0]),
            "duration": self.duration,
            "timing": self.timing,
        }


@dataclasses.dataclass(frozen=True)
class _Plan:
    times: np.ndarray  # of all frames, as far as known
    timing: Timing
    picks: tuple[np.ndarray, ...]  # of each clip

    @classmethod
    def of(cls, clock: tuple[np.ndarray, Timing], configs: Sequence[ClipConfig]) -> _Plan:
        return cls(*clock, tuple(pick_frames(clock[0], config) for config in configs))

    def times_of_picks(self) -> tuple[np.ndarray, ...]:
        return tuple(self.times[picks] for picks in self.picks)


def decode(
    path: Path,
    configs: Sequence[ClipConfig],
    limits: VideoLimits,
    sink: Sink,
    *,
    exact: bool,
    alive: Callable[[], None],
) -> Decoded:
    """Deliver the frames of clips of a video to `sink`.

    Damaged packets are skipped. A video that shows damage is decoded again by one thread: several hide it behind
    what the others have ready by then, so that the same file would give other pixels in each run.

    Parameters
    ----------
    path : Path
        A regular file.
    configs : sequence of ClipConfig
        Of each clip: which frames, and of what size. Of a picture that several have, the frames come in this order.
    limits : VideoLimits
        Of its pictures, frames and seconds.
    sink : Sink
        Takes the frames; `begin` may come several times unless `exact`.
    exact : bool
        Know the exact times before the first frame is delivered. This decodes twice.
    alive : callable
        Called at each frame and packet.

    Raises
    ------
    InputError
        With the reason alone.
    """
    # The bars must be sought in the same frames either way.
    exact = exact or any(config.trim_bars for config in configs)
    video = scan_video(path, limits, alive)
    try:
        return _decode(video, configs, sink, exact=exact, threads=DECODER_THREADS)
    except DamageError:
        return _decode(video, configs, sink, exact=exact, threads=1)


def decode_copy(
    path: Path, config: CopyConfig, limits: VideoLimits, sink: CopySink, *, alive: Callable[[], None]
) -> None:
    """Deliver every picture of a video at a constant rate to `sink`, decoding it twice; see `decode`.

    Raises
    ------
    InputError
        With the reason alone.
    """
    video = scan_video(path, limits, alive)
    threads = DECODER_THREADS
    try:
        times, _ = _all_times(video, threads)
    except DamageError:
        threads = 1
        times, _ = _all_times(video, threads)
    fps = min(max(1 / frame_duration(times, None), LOWEST_COPY_FPS), config.most_fps)
    picks, ticks = pick_steadily(times, fps)
    sink.begin(fps)
    reading = Reading(video, threads=threads, stop_at_damage=False)
    shown = iter(ticks.tolist())
    with closing(_pictures(reading, picks)) as pictures:
        for image, pixel_aspect in pictures:
            rows = {"fewest_rows": config.fewest_rows, "most_rows": config.most_rows}
            sink.add(fit_whole(image, pixel_aspect=pixel_aspect, **rows), next(shown))
    if next(shown, None) is not None:
        raise InputError(CHANGED)


def _decode(video: ScannedVideo, configs: Sequence[ClipConfig], sink: Sink, *, exact: bool, threads: int) -> Decoded:
    clock = _all_times(video, threads) if exact else video.clock(video.packet_times)
    plan = _Plan.of(clock, configs)
    while True:
        boxes = [
            _find_bars(video, picks, threads) if config.trim_bars else None
            for config, picks in zip(configs, plan.picks, strict=True)
        ]
        sink.begin(plan.times_of_picks())
        reading = Reading(video, threads=threads, stop_at_damage=threads > 1 and not exact)
        wanted = np.unique(np.concatenate(plan.picks))
        delivered = [0] * len(configs)
        with closing(_pictures(reading, wanted)) as pictures:
            for (image, pixel_aspect), index in zip(pictures, wanted, strict=False):  # of damaged videos fewer
                for clip, (config, picks, box) in enumerate(zip(configs, plan.picks, boxes, strict=True)):
                    if delivered[clip] < len(picks) and picks[delivered[clip]] == index:
                        frame = fit_frame(image, config, pixel_aspect=pixel_aspect, box=box)
                        sink.add(clip, frame, image, pixel_aspect)
                        delivered[clip] += 1
        found = _Plan.of(reading.clock(), configs)
        if all(np.array_equal(a, b[:n]) for a, b, n in zip(found.picks, plan.picks, delivered, strict=True)):
            break
        if exact or np.array_equal(found.times, plan.times):
            raise InputError(CHANGED)
        plan = found
        exact = True
    return Decoded(
        declared=video.declared,
        times=found.times_of_picks(),
        timing=found.timing,
        decoded_frames=len(reading.times),
        skipped_packets=reading.skipped,
        duration=float(found.times[-1] - found.times[0] + frame_duration(found.times, video.declared.fps)),
    )


def _all_times(video: ScannedVideo, threads: int) -> tuple[np.ndarray, Timing]:
    """Decode all frames for their true times."""
    reading = Reading(video, threads=threads, stop_at_damage=threads > 1)
    for _ in reading.frames():
        pass
    return reading.clock()


def _pictures(reading: Reading, picks: np.ndarray) -> Prefetch[tuple[np.ndarray, float]]:
    """Decode on a thread; give the picked pictures and the shape of their pixels."""

    def decoded() -> Iterator[tuple[np.ndarray, float]]:
        wanted = iter(picks.tolist())
        pick = next(wanted, -1)
        with closing(reading.frames()) as frames:
            for index, video in enumerate(frames):
                if index == pick:
                    yield _checked_picture(video), video.pixel_aspect
                    pick = next(wanted, -1)

    return Prefetch(decoded(), ahead=QUEUE_FRAMES)


def _find_bars(video: ScannedVideo, picks: np.ndarray, threads: int) -> Box | None:
    reading = Reading(video, threads=threads, stop_at_damage=False)
    some = picks[np.unique(np.linspace(0, len(picks) - 1, BAR_FRAMES).astype(int))] if len(picks) else []
    brightest: np.ndarray | None = None
    with closing(_pictures(reading, np.asarray(some, dtype=np.intp))) as pictures:
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
