"""Reading and writing videos: the only user of `cv2.VideoCapture` and `cv2.VideoWriter`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from preprocessing.config import ClipConfig
from preprocessing.errors import InputError, WorkError
from preprocessing.files import atomic_path
from preprocessing.sampling import pick_frames, true_times


@dataclasses.dataclass(frozen=True)
class Declared:
    """What a video says about itself: recorded, never trusted."""

    declared_frames: int | None
    fps: float | None
    declared_duration: float | None
    width: int
    height: int
    rotation: int
    codec: str


def _open(path: Path) -> cv2.VideoCapture:
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise InputError(f"{path}: expected a video, found a file that no decoder opens")
    return capture


def declared(capture: cv2.VideoCapture) -> Declared:
    """Return what the opened video says about itself."""
    frames, fps = capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)
    code = int(capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
    codec = code.to_bytes(4, "little").decode("latin-1").strip("\0 ")
    return Declared(
        declared_frames=int(frames) if 0 < frames < 2**53 else None,
        fps=fps if fps > 0 else None,
        declared_duration=frames / fps if 0 < frames < 2**53 and fps > 0 else None,
        width=int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
        height=int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
        rotation=int(capture.get(cv2.CAP_PROP_ORIENTATION_META)) % 360,
        codec=codec if codec.isprintable() else "",
    )


class SampledFrames:
    """The frames of a video that make its clip, one by one, in constant memory.

    Iterate once: gives `(time, frame)` with the time in seconds and the frame uint8, `(3, size, size)`, RGB.

    Attributes
    ----------
    times : ndarray of float64, shape (frames,)
        Seconds of the frames to come; also `len()`.
    """

    def __init__(self, path: Path | str, config: ClipConfig) -> None:
        self._path = Path(path)
        self._config = config
        reported = []
        capture = _open(self._path)
        self.declared = declared(capture)
        while capture.grab():
            reported.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
        capture.release()
        if not reported:
            raise InputError(f"{self._path}: expected a video, found no frame that can be decoded")
        all_times, self.timing = true_times(np.array(reported), self.declared.fps or 0)
        self.decoded_frames = len(all_times)
        self.duration = float(all_times[-1])
        self._picks = pick_frames(all_times, config)
        self.times = all_times[self._picks]
        self._capture = _open(self._path)

    def __len__(self) -> int:
        return len(self.times)

    def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
        index = -1
        for time, pick in zip(self.times, self._picks, strict=True):
            while index < pick:
                if not self._capture.grab():
                    raise InputError(f"{self._path}: gave fewer frames on the second reading; is it being written?")
                index += 1
            yield float(time), to_square(self._capture.retrieve()[1], self._config)

    def close(self) -> None:
        """Let go of the video."""
        self._capture.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def sampled_frames(path: Path | str, config: ClipConfig) -> SampledFrames:
    """Open a video for reading exactly the frames and bytes that preprocessing would put in its clip.

    Raises
    ------
    InputError
        If the video cannot be read; also while iterating.
    """
    return SampledFrames(path, config)


def to_square(image: np.ndarray, config: ClipConfig) -> np.ndarray:
    """Fit a BGR image (rows, cols, 3) into a planar RGB frame (3, size, size)."""
    size = config.size
    rows, cols = image.shape[:2]
    # Area averaging along the axes that shrink, linear interpolation along those that grow.
    if rows > size or cols > size:
        image = cv2.resize(image, (min(cols, size), min(rows, size)), interpolation=cv2.INTER_AREA)
    if image.shape[:2] != (size, size):
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(image[:, :, ::-1].transpose(2, 0, 1))


def write_video(path: Path | str, frames: Iterable[np.ndarray], fps: float) -> None:
    """Write RGB frames as a video; the name's ending picks the format (`.mp4` with MPEG-4, `.avi` with MJPEG).

    Parameters
    ----------
    path : path
        Written whole or not at all.
    frames : iterable of uint8 arrays, shape (rows, cols, 3)
        RGB, all of one size.
    fps : float
        Frames per second.

    Raises
    ------
    InputError
        If there are no frames, or they differ in size.
    WorkError
        If the video cannot be written.
    """
    path = Path(path)
    fourcc = cv2.VideoWriter.fourcc(*("MJPG" if path.suffix.lower() == ".avi" else "mp4v"))
    writer = None
    shape: tuple[int, ...] = ()
    with atomic_path(path) as temporary:
        # The container is chosen by the ending, so the temporary name keeps it.
        part = temporary.with_name(temporary.name + path.suffix)
        try:
            for frame in frames:
                if writer is None:
                    shape = frame.shape
                    writer = cv2.VideoWriter(str(part), cv2.CAP_FFMPEG, fourcc, fps, (shape[1], shape[0]))
                    if not writer.isOpened():
                        raise WorkError(f"{path}: this OpenCV cannot write such a video (use .mp4 or .avi)")
                if frame.shape != shape:
                    raise InputError(f"{path}: expected frames of shape {shape}, found {frame.shape}")
                writer.write(np.ascontiguousarray(frame[:, :, ::-1]))
            if writer is None:
                raise InputError(f"{path}: expected frames to write, found none")
            writer.release()
            part.replace(temporary)
        finally:
            if writer is not None:
                writer.release()
            part.unlink(missing_ok=True)
