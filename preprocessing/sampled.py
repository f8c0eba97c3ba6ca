"""The frames of a video that make its clip, one by one, in constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from preprocessing.base.errors import InputError
from preprocessing.config import ClipConfig, VideoLimits
from preprocessing.processes.child import Child
from preprocessing.reader_client import READER, job


class SampledFrames:
    """Iterate, once, over `(time, frame)`: seconds, and uint8 `(3, size, size)`, RGB.

    A reader process decodes ahead while the frames are used; its pipe holds a few of them. If `exact`, it decodes the
    video once to learn the true times, and once more for the frames; else it trusts the packets, which is right for
    nearly every video, and where it was not, the frames start again from the first: time goes back.

    Attributes
    ----------
    times : ndarray of float64, shape (frames,)
        Seconds of all frames to come, strictly increasing; unless `exact`, final once all frames were taken.
    fields : dict
        The manifest's fields of this video; complete once all frames were taken.
    """

    def __init__(
        self,
        path: Path | str,
        config: ClipConfig,
        *,
        limits: VideoLimits | None = None,
        thumbnails: int = 0,
        exact: bool = True,
    ) -> None:
        self._path, limits = Path(path), limits or VideoLimits()
        self._shape = (3, config.size, config.size)
        self.fields: dict[str, Any] = {}
        self._thumbnails: list[tuple[int, np.ndarray]] = []
        self._reader = Child(READER)
        try:
            self._reader.ask(job(self._path, config, limits, thumbnails=thumbnails, exact=exact))
            self._answers = self._reader.answers(limits.timeout)
            self.times = np.array(self._next()["times"], dtype=np.float64)
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return len(self.times)

    def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
        index = 0
        while "done" not in (answer := self._next()):
            if "times" in answer:  # the first ones were wrong
                self.times = np.array(answer["times"], dtype=np.float64)
                self._thumbnails.clear()
                index = 0
            elif "thumbnail" in answer:
                picture = np.frombuffer(answer["bytes"], np.uint8).reshape(answer["thumbnail"])
                self._thumbnails.append((index, picture))
            else:
                yield float(self.times[index]), np.frombuffer(answer["bytes"], np.uint8).reshape(self._shape)
                index += 1
        self.times = np.array(answer["final_times"], dtype=np.float64)
        self.fields = answer["done"]
        self.close()

    @property
    def thumbnails(self) -> list[tuple[float, np.ndarray]]:
        """Return time and small picture, uint8 (rows, cols, 3) RGB, of evenly spread frames among those taken."""
        return [(float(self.times[index]), picture) for index, picture in self._thumbnails]

    def _next(self) -> dict[str, Any]:
        try:
            return next(self._answers)
        except InputError as error:
            raise InputError(f"{self._path}: {error}") from None

    def close(self) -> None:
        """Let go of the video."""
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def in_chunks(
    frames: Iterable[tuple[float, np.ndarray]], length: int
) -> Iterator[tuple[list[float], np.ndarray, bool]]:
    """Yield sampled frames a few at a time.

    Parameters
    ----------
    frames : iterable of (float, ndarray)
        As `SampledFrames` gives them.
    length : int
        Most frames of a chunk.

    Yields
    ------
    times : list of float
    pixels : ndarray of uint8, shape (n, 3, rows, cols)
    anew : bool
        Whether the frames start again from the first with this chunk: what came before is void. No chunk spans that.
    """
    times: list[float] = []
    pixels: list[np.ndarray] = []
    anew, latest = False, -np.inf
    for time, frame in frames:
        again = time <= latest
        if times and (again or len(times) == length):
            yield times, np.stack(pixels), anew
            times, pixels, anew = [], [], False
        anew, latest = anew or again, time
        times.append(time)
        pixels.append(frame)
    if times:
        yield times, np.stack(pixels), anew


def sampled_frames(
    path: Path | str,
    config: ClipConfig,
    *,
    limits: VideoLimits | None = None,
    thumbnails: int = 0,
    exact: bool = True,
) -> SampledFrames:
    """Open a video for reading exactly the frames and bytes that preprocessing puts in its clip.

    Parameters
    ----------
    path : path
        The video.
    config : ClipConfig
        Which frames, and of what size.
    limits : VideoLimits, optional
        What it may cost.
    thumbnails : int
        How many small pictures to gather on the way, in the video's own proportions.
    exact : bool
        False saves decoding the video twice, for whoever can start again when time goes back.

    Raises
    ------
    InputError
        If the video cannot be read; also while iterating.
    """
    return SampledFrames(path, config, limits=limits, thumbnails=thumbnails, exact=exact)
