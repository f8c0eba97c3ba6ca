"""One decoding of a video from its first frame to its last: the frames, their times, and the damaged packets."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Generator
from pathlib import Path

import numpy as np

from preprocessing.base.errors import InputError
from preprocessing.config import VideoLimits
from preprocessing.container import HiddenPackets, hidden_packets, read_container
from preprocessing.sampling import HIGHEST_FPS, Timing, frame_duration, true_times
from preprocessing.video import CONVERT_HINT, PACKET_ATTEMPTS, Declared, Video, open_video

# Finer than any time base: within it two reported times are the same.
SAME_SECONDS = 1e-6


class DamageError(Exception):
    """The video is damaged, which asks for a decoder of one thread."""


@dataclasses.dataclass(frozen=True)
class ScannedVideo:
    """A video whose packets were gone through.

    Attributes
    ----------
    path : Path
    limits : VideoLimits
    alive : callable
        Called at each frame.
    declared : Declared
        What it says about itself.
    packets : int
        How many it has that are not cut from what it shows; some may be damaged.
    empty_packets : ndarray of int, shape (empty packets,)
        Which of these, counted from 0, have no picture to give, without damage.
    packet_times : ndarray of float64, shape (whole packets,)
        Seconds as reported, of those with a picture, sorted: they come in the order of decoding.
    start : float
        Seconds from where the container begins to where its pictures begin, from which OpenCV counts.
    """

    path: Path
    limits: VideoLimits
    alive: Callable[[], None]
    declared: Declared
    packets: int
    empty_packets: np.ndarray
    packet_times: np.ndarray
    start: float

    def clock(self, reported: np.ndarray, places: np.ndarray | None = None) -> tuple[np.ndarray, Timing]:
        """Return true times, seconds since the start of the container; see `true_times`."""
        times, timing = true_times(reported, self.declared.fps or 0.0, places)
        return times + self.start, timing


def scan_video(path: Path, limits: VideoLimits, alive: Callable[[], None]) -> ScannedVideo:
    """Go through the packets of a video, which costs next to nothing.

    Raises
    ------
    InputError
        With the reason alone: no video, too large, too many frames, or so many of the usual spacing that it is too
        long.
    """
    times: list[float] = []  # NaN of damaged packets
    failed = 0
    container = read_container(path)
    start = container.start if container else 0.0
    with open_video(path, limits, packets=True) as video:
        declared = video.declared
        if container and container.stream_rate:
            declared = dataclasses.replace(declared, fps=container.stream_rate)
        while failed < PACKET_ATTEMPTS:
            time = video.grab()
            alive()
            if time is None:
                failed += 1
                continue
            times += [np.nan] * failed + [time]
            failed = 0
            if len(times) > limits.max_video_frames:
                most = f"{limits.max_video_frames} frames (--max-video-frames)"
                raise InputError(f"expected a video of at most {most}, found more")
    hidden = hidden_packets(path, len(times), alive) if container else HiddenPackets.none(len(times))
    packet_times = _shown_times(np.array(times), hidden)
    packets, empty = len(times) - int(hidden.cut.sum()), np.flatnonzero(hidden.empty[~hidden.cut])
    if len(packet_times) > 1:
        if (declared.fps or 0.0) > HIGHEST_FPS:  # the time base, where the file does not know the rate
            mean = (len(packet_times) - 1) / max(packet_times[-1] - packet_times[0], SAME_SECONDS)
            declared = dataclasses.replace(declared, fps=float(mean))
        _check_duration(start + len(packet_times) * frame_duration(packet_times, None), limits)
    return ScannedVideo(path, limits, alive, declared, packets, empty, packet_times, start)


def _shown_times(times: np.ndarray, hidden: HiddenPackets) -> np.ndarray:
    shown = np.sort(times[~(hidden.cut | hidden.empty | np.isnan(times))])
    # OpenCV counts packets from the first one, and pictures from the first that is shown.
    return shown - shown[0] if len(shown) and hidden.cut[0] else shown


def _check_duration(seconds: float, limits: VideoLimits) -> None:
    if seconds > limits.max_video_seconds:
        most = f"{limits.max_video_seconds:g} seconds (--max-video-seconds)"
        raise InputError(f"expected a video of at most {most}, found {seconds:g}")


class Reading:
    """One decoding of a video.

    Parameters
    ----------
    video : ScannedVideo
        Only the number of its packets tells the end from a damaged one.
    threads : int
        Of the decoder.
    stop_at_damage : bool
        Raise `DamageError` at the first sign of it.

    Attributes
    ----------
    times : list of float
        Seconds of the frames so far, as reported.
    skipped : int
        Broken packets so far.
    """

    def __init__(self, video: ScannedVideo, *, threads: int, stop_at_damage: bool) -> None:
        self.times: list[float] = []
        self.skipped = 0
        self._places: list[int] = []  # of each frame, among frames, damaged packets and empty ones
        self._empty = 0  # packets so far
        self._video, self._threads, self._stop_at_damage = video, threads, stop_at_damage

    def frames(self) -> Generator[Video]:
        """Grab frame after frame until all packets are used up; yield the video at each, for its picture."""
        known = self._video
        with open_video(known.path, known.limits, threads=self._threads) as video:
            messages = os.fstat(2).st_size  # the decoder's; a reader process keeps them
            failed = 0  # grabs since the last frame: at damaged packets, or at the end
            while True:
                time = video.grab()
                known.alive()
                passed = len(self.times) + self.skipped + self._empty
                if time is None:
                    failed += 1
                    if failed < known.packets - passed:
                        continue
                # At an empty packet, too, the decoder gives no frame. Each thread but one holds a frame back.
                read = passed + failed + self._threads - 1
                empty = min(failed, int(np.searchsorted(known.empty_packets, read)) - self._empty)
                lost = failed - empty
                if time is None:
                    # In any video there may be packets that give no frame of their own: no later ones, no loss.
                    later = np.count_nonzero(known.packet_times > max(self.times, default=-np.inf) + SAME_SECONDS)
                    lost = min(lost, max(known.packets - passed - empty, 0), int(later))
                self._empty += empty
                self.skipped += lost
                if self._stop_at_damage and (self.skipped or os.fstat(2).st_size > messages):
                    raise DamageError
                if time is None:
                    return
                failed = 0
                self._places.append(len(self.times) + self.skipped + self._empty)
                self.times.append(time)
                yield video

    def clock(self) -> tuple[np.ndarray, Timing]:
        """Return the true time of every frame, in seconds since the start of the container, once all were taken.

        Raises
        ------
        InputError
            With the reason alone, if there was no frame, or the video is longer than it may be.
        """
        if not self.times:
            raise InputError(self._nothing_decoded())
        times, timing = self._video.clock(np.array(self.times), np.array(self._places, dtype=np.intp))
        _check_duration(float(times[-1]), self._video.limits)
        return times, timing

    def _nothing_decoded(self) -> str:
        if not self._video.packets:
            return "expected a video, found one without a single frame"
        return (
            f"none of its {self._video.packets} packets could be decoded: they are damaged or encrypted, or this "
            f"OpenCV has no decoder for their codec ({self._video.declared.codec or 'unknown'}); {CONVERT_HINT}"
        )
