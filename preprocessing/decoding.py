"""Decode a video once and deliver the frames of its clip: runs inside a reader process (`preprocessing.worker`).

Which frames to keep depends on the times of all of them, which are known only at the end. Going through the packets
first costs next to nothing and tells them for nearly every file, so that decoding, fitting and writing happen in one
pass; where the decoded times turn out otherwise, a second pass keeps the right ones.
"""

from __future__ import annotations

import dataclasses
import os
import queue
import re
import threading
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from preprocessing.config import ClipConfig
from preprocessing.errors import InputError
from preprocessing.fitting import Box, fit_frame, picture_box
from preprocessing.sampling import Timing, frame_duration, pick_frames, true_times
from preprocessing.video import CONVERT_HINT, Declared, Video, open_video

# Decoded pictures that wait for fitting; enough to smooth out, few enough for 8K.
QUEUE_FRAMES = 3
# Frames, spread over the video, that must all show a bar for it to be one.
BAR_FRAMES = 60


class Sink(Protocol):
    """Where the frames of a clip go."""

    def begin(self, times: np.ndarray) -> None:
        """Start, or start again, a clip of frames at these times (seconds)."""

    def add(self, frame: np.ndarray, image: np.ndarray, pixel_aspect: float) -> None:
        """Take the next frame, uint8 (3, size, size), and the picture behind it: uint8 (rows, cols, 3), BGR."""


@dataclasses.dataclass(frozen=True)
class Decoded:
    """What decoding found out."""

    declared: Declared
    times: np.ndarray
    timing: Timing
    decoded_frames: int
    duration: float

    def fields(self) -> dict[str, Any]:
        """Return the manifest's fields."""
        return {
            **dataclasses.asdict(self.declared),
            "frames": len(self.times),
            "decoded_frames": self.decoded_frames,
            "duration": self.duration,
            "timing": self.timing,
        }


@dataclasses.dataclass(frozen=True)
class _Plan:
    times: np.ndarray  # of all frames, as far as known
    timing: Timing
    picks: np.ndarray

    @classmethod
    def of(cls, reported: list[float], declared: Declared, config: ClipConfig) -> _Plan:
        times, timing = true_times(np.array(reported), declared.fps or 0.0)
        return cls(times, timing, pick_frames(times, config))


def decode(path: Path, config: ClipConfig, sink: Sink, *, exact: bool, alive: Callable[[], None]) -> Decoded:
    """Deliver the frames of a video's clip to `sink`.

    Parameters
    ----------
    path : Path
        A regular file.
    config : ClipConfig
        Which frames, and of what size.
    sink : Sink
        Takes the frames; `begin` may come twice unless `exact`.
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
    reported = _reported_times(path, packets=not exact, alive=alive)
    if exact and not reported:
        raise InputError(_nothing_decoded(path))
    with open_video(path) as video:
        declared = video.declared
    plan = _Plan.of(reported, declared, config)
    while True:
        box = _find_bars(path, plan, alive) if config.trim_bars else None
        sink.begin(plan.times[plan.picks])
        reported = []
        delivered = 0
        with closing(_pictures(path, plan.picks, reported, alive)) as pictures:
            for image, pixel_aspect in pictures:
                sink.add(fit_frame(image, config, pixel_aspect=pixel_aspect, box=box), image, pixel_aspect)
                delivered += 1
        if not reported:
            raise InputError(_nothing_decoded(path))
        found = _Plan.of(reported, declared, config)
        if np.array_equal(found.picks, plan.picks[:delivered]):
            break
        if exact or np.array_equal(found.times, plan.times):
            raise InputError("gave other frames on the second reading than on the first; is it being written?")
        plan = found
        exact = True
    return Decoded(
        declared=declared,
        times=found.times[found.picks],
        timing=found.timing,
        decoded_frames=len(reported),
        duration=float(found.times[-1] - found.times[0] + frame_duration(found.times, declared.fps)),
    )


def _reported_times(path: Path, *, packets: bool, alive: Callable[[], None]) -> list[float]:
    times = []
    with open_video(path, packets=packets) as video:
        while (time := video.grab()) is not None:
            times.append(time)
            alive()
    return sorted(times) if packets else times  # packets come in the order of decoding


def _pictures(
    path: Path, picks: np.ndarray, reported: list[float], alive: Callable[[], None]
) -> Generator[tuple[np.ndarray, float], None, None]:
    """Decode on a thread; yield the picked pictures and append every frame's reported time to `reported`."""
    ready: queue.Queue[Any] = queue.Queue(maxsize=QUEUE_FRAMES)
    stopped = threading.Event()

    def produce() -> None:
        try:
            wanted = iter(picks.tolist())
            pick = next(wanted, -1)
            with open_video(path) as video:
                while (time := video.grab()) is not None and not stopped.is_set():
                    if len(reported) == pick:
                        ready.put((_checked_picture(video), video.pixel_aspect))
                        pick = next(wanted, -1)
                    reported.append(time)
                    alive()
            ready.put(None)
        except Exception as error:  # noqa: BLE001  # carried to the consumer's thread, and raised there
            ready.put(error)

    producer = threading.Thread(target=produce, daemon=True)
    producer.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        stopped.set()
        while producer.is_alive():  # make room, so that it can see the event
            try:
                ready.get(timeout=0.05)
            except queue.Empty:
                continue
        producer.join()


def _find_bars(path: Path, plan: _Plan, alive: Callable[[], None]) -> Box | None:
    some = plan.picks[np.unique(np.linspace(0, len(plan.picks) - 1, BAR_FRAMES).astype(int))] if len(plan.picks) else []
    brightest: np.ndarray | None = None
    with closing(_pictures(path, np.asarray(some, dtype=np.intp), [], alive)) as pictures:
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
    written = os.fstat(2).st_size - start
    if written > 0 and (message := re.search(rb"\[swscaler[^]]*\] ([^\n(]*)", os.pread(2, written, start))):
        reason = message[1].decode("utf-8", "replace").strip(" .").lower()
        raise InputError(f"this OpenCV cannot turn its pictures into pixels ({reason}); {CONVERT_HINT}")
    return image


def _nothing_decoded(path: Path) -> str:
    with open_video(path) as video:
        codec = video.declared.codec or "unknown"
    packets = len(_reported_times(path, packets=True, alive=lambda: None))
    if not packets:
        return "expected a video, found one without a single frame"
    return (
        f"none of its {packets} packets could be decoded: they are damaged or encrypted, or this OpenCV has no decoder "
        f"for their codec ({codec}); {CONVERT_HINT}"
    )
