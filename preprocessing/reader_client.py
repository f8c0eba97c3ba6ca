"""The frames of a video, decoded by a reader process (`preprocessing.reader_process`), in constant memory.

`SampledFrames` gives those that make its clip, `steady_pictures` those of a copy at a constant rate, and `read_sound`
gives its sound.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np

from preprocessing.base.errors import InputError
from preprocessing.config import FILM_FORMATS, ClipConfig, CopyConfig, VideoLimits
from preprocessing.processes.child import Child, Program

Pictures = Iterator[tuple[float, np.ndarray]]
READER = Program(
    "preprocessing.reader_process",
    "reader",
    environment=(
        # A video may lie behind any number of audio packets.
        ("OPENCV_FFMPEG_READ_ATTEMPTS", str(10**9)),
        ("OPENCV_FFMPEG_CAPTURE_OPTIONS", f"protocol_whitelist;file|format_whitelist;{','.join(FILM_FORMATS)}"),
    ),
)


def job(
    video: Path,
    configs: Sequence[ClipConfig],
    limits: VideoLimits,
    *,
    clip: Path | None = None,
    known: str | None = None,
    thumbnails: int = 0,
    exact: bool = True,
) -> dict[str, Any]:
    """Return a job for a reader process.

    Parameters
    ----------
    video : Path
        What to read.
    configs : sequence of ClipConfig
        Which frames, and of what size: of one clip, or of several, of which all are streamed, or all but the last.
    limits : VideoLimits
        What it may cost. The time limit of a frame is checked by the parent process.
    clip : Path, optional
        Where the (last) clip goes; without one its frames are streamed back, too.
    known : str, optional
        SHA-256 of the video when its clip was made: if it still has it, nothing is done.
    thumbnails : int
        Of a stream: how many of the frames of its last clip come with a small picture.
    exact : bool
        Of a stream: know the times for sure before the first frame, or else start again where they were wrong.
    """
    return {
        "video": str(video),
        "copy": None,
        "configs": [config.to_dict() for config in configs],
        "limits": limits.to_dict(),
        "clip": clip and str(clip),
        "known": known,
        "thumbnails": thumbnails,
        "exact": exact,
    }


def copy_job(video: Path, config: CopyConfig, limits: VideoLimits) -> dict[str, Any]:
    """Return a job for a reader process that streams the pictures of a copy of the video."""
    return {"video": str(video), "copy": config.to_dict(), "limits": limits.to_dict()}


def sound_job(video: Path, limits: VideoLimits) -> dict[str, Any]:
    """Return a job for a reader process that streams the sound of a video."""
    return {"video": str(video), "sound": True, "limits": limits.to_dict()}


def container_job(video: Path) -> dict[str, Any]:
    """Return a job for a reader process that reads what a file declares (`preprocessing.container`)."""
    return {"video": str(video), "container": True}


class Chunk(NamedTuple):
    """Some of the sampled frames of a video.

    Attributes
    ----------
    times : list of float
        Seconds.
    pixels : ndarray of uint8, shape (n, 3, size, size)
    anew : bool
        Whether all starts again from the first frame with this chunk: what came before is void.
    beside : list of (float, ndarray)
        Time and frame of the clip beside, as far as they were read by then: none is later than the last of `times`,
        but for those after the end of the clip.
    """

    times: list[float]
    pixels: np.ndarray
    anew: bool
    beside: list[tuple[float, np.ndarray]]


class SampledFrames:
    """Exactly the frames and bytes that preprocessing puts in the clip of a video.

    Iterate, once, over `(time, frame)`: seconds, and uint8 `(3, size, size)`, RGB.

    A reader process decodes ahead while the frames are used; its pipe holds a few of them. If `exact`, it decodes the
    video once to learn the true times, and once more for the frames; else it trusts the packets, which is right for
    nearly every video, and where it was not, the frames start again from the first: time goes back.

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
        False avoids decoding the video twice, for callers that can start again when time goes back.
    beside : ClipConfig, optional
        Of another clip, which the same decoding gives; see `chunks`.

    Raises
    ------
    InputError
        If the video cannot be read; also while iterating.

    Attributes
    ----------
    path, limits
        As given.
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
        beside: ClipConfig | None = None,
    ) -> None:
        self.path, self.limits = Path(path), limits or VideoLimits()
        configs = (config,) if beside is None else (beside, config)
        self._shapes = [(3, one.size, one.size) for one in configs]
        self.fields: dict[str, Any] = {}
        self._thumbnails: list[tuple[int, np.ndarray]] = []
        self._reader = Child(READER)
        try:
            self._reader.ask(job(self.path, configs, self.limits, thumbnails=thumbnails, exact=exact))
            self._answers = self._reader.answers(self.limits.timeout)
            self._set_times(self._next()["times"])
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return len(self.times)

    def _set_times(self, times: list[list[float]]) -> None:
        self._times = [np.array(one, dtype=np.float64) for one in times]
        self.times = self._times[-1]

    def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
        for chunk in self.chunks(1):
            yield from zip(chunk.times, chunk.pixels, strict=True)

    def chunks(self, length: int) -> Iterator[Chunk]:
        """Yield the frames, once, so many at a time or fewer; no chunk is empty but for what is beside."""
        shape, found, last = self._shapes[-1], [0] * len(self._times), len(self._times) - 1
        times: list[float] = []
        pixels: list[np.ndarray] = []
        beside: list[tuple[float, np.ndarray]] = []
        anew = False
        while "done" not in (answer := self._next()):
            if "times" in answer:  # the first ones were wrong
                self._set_times(answer["times"])
                self._thumbnails.clear()
                found, anew = [0] * len(found), True
                times, pixels, beside = [], [], []
            elif "thumbnail" in answer:
                picture = np.frombuffer(answer["bytes"], np.uint8).reshape(answer["thumbnail"])
                self._thumbnails.append((found[last], picture))
            else:
                clip = answer["clip"]
                time = float(self._times[clip][found[clip]])
                frame = np.frombuffer(answer["bytes"], np.uint8).reshape(self._shapes[clip])
                found[clip] += 1
                if clip != last:
                    beside.append((time, frame))
                    continue
                times.append(time)
                pixels.append(frame)
                if len(times) == length:
                    yield Chunk(times, np.stack(pixels), anew, beside)
                    times, pixels, beside, anew = [], [], [], False
        if times or beside:
            yield Chunk(times, np.stack(pixels) if pixels else np.zeros((0, *shape), np.uint8), anew, beside)
        self._set_times(answer["final_times"])
        self.fields = answer["done"]
        self.close()

    @property
    def bytes_per_frame(self) -> float:
        """Return how large a frame is, with its share of what is beside."""
        sizes = (len(times) * math.prod(shape) for times, shape in zip(self._times, self._shapes, strict=True))
        return sum(sizes) / max(1, len(self.times))

    @property
    def thumbnails(self) -> list[tuple[float, np.ndarray]]:
        """Return time and small picture, uint8 (rows, cols, 3) RGB, of evenly spread frames among those taken."""
        return [(float(self.times[index]), picture) for index, picture in self._thumbnails]

    def _next(self) -> dict[str, Any]:
        try:
            return next(self._answers)
        except InputError as error:
            raise InputError(f"{self.path}: {error}") from None

    def close(self) -> None:
        """Close the video."""
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextmanager
def steady_pictures(
    video: Path, config: CopyConfig | None = None, *, limits: VideoLimits | None = None
) -> Iterator[tuple[float, Pictures]]:
    """Give a rate in frames per second, and the picture shown at each of its ticks; a reader process decodes.

    Parameters
    ----------
    video : Path
    config : CopyConfig, optional
        Rate and size.
    limits : VideoLimits, optional
        What the video may cost.

    Yields
    ------
    fps : float
    pictures : iterator of (float, ndarray)
        Seconds since the start of the container, and uint8 RGB of shape (rows, cols, 3); rows and cols are even.

    Raises
    ------
    InputError
        If the video cannot be read; also while iterating.
    """
    limits = limits or VideoLimits()
    reader = Child(READER)
    try:
        reader.ask(copy_job(video, config or CopyConfig(), limits))
        answers = _named(video, reader.answers(limits.timeout))
        clock = next(answers)
        yield clock["fps"], _pictures(answers, clock["fps"])
    finally:
        reader.close()


def read_sound(video: Path | str, *, limits: VideoLimits | None = None) -> Iterator[np.ndarray]:
    """Give the sound of a video; a reader process decodes. It is what `preprocess` puts in `sound_<id>.npy`.

    Parameters
    ----------
    video : path
    limits : VideoLimits, optional
        What the video may cost.

    Yields
    ------
    ndarray of float16, shape (n,)
        The next samples: mono, -1 to 1, `preprocessing.clips.SOUND_RATE` a second, from the start of the container
        on. None at all where there is no sound that can be read.

    Raises
    ------
    InputError
        If the video cannot be opened, or its reader crashes or brings nothing for too long.
    """
    video, limits = Path(video), limits or VideoLimits()
    reader = Child(READER)
    try:
        reader.ask(sound_job(video, limits))
        for answer in _named(video, reader.answers(limits.timeout)):
            if "frame" in answer:
                yield np.frombuffer(answer["bytes"], np.float16)
    finally:
        reader.close()


def _named(video: Path, answers: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    try:
        yield from answers
    except InputError as error:
        raise InputError(f"{video}: {error}") from None


def _pictures(answers: Iterator[dict[str, Any]], fps: float) -> Pictures:
    tick = 0
    for answer in answers:
        if "frame" in answer:
            picture = np.frombuffer(answer["bytes"], np.uint8).reshape(answer["shape"])
            for _ in range(answer["ticks"]):
                yield tick / fps, picture
                tick += 1
