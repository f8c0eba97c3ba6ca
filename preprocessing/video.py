"""Reading and writing videos: the only user of `cv2.VideoCapture` and `cv2.VideoWriter`.

Everything a file declares (count, rate, duration) is recorded and never trusted, and there is no seeking: frames are
counted while they are decoded. The rest of the project reads videos with `preprocessing.reader_client`.
"""

from __future__ import annotations

import dataclasses
import mmap
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from preprocessing.base.errors import InputError, WorkError
from preprocessing.base.files import atomic_path, os_reason, special_file
from preprocessing.config import VideoLimits

# One number everywhere: a damaged stream decodes differently with another number of threads.
DECODER_THREADS = 2
# From a packet that its filter refuses the reader comes back as from the end; at the end so many tries cost nothing.
PACKET_ATTEMPTS = 1000
# What a decoder may need when it opens: less left than this, and it is not the file that fails.
DECODER_HANDLES, DECODER_BYTES = 4, 1 << 28
MEMORY = "its pictures need more memory than there is (ulimit -v, or the machine's own)"
CONVERT_HINT = "convert it first, for example: ffmpeg -i IN -vf yadif=deint=1 -c:v libx264 -pix_fmt yuv420p OUT.mp4"

# What every OpenCV wheel can write; others than MPEG-4 by the ending.
WRITTEN_CODECS = {".avi": "MJPG", ".webm": "VP80"}


@dataclasses.dataclass(frozen=True)
class Declared:
    """What a video says about itself: recorded, never trusted.

    Attributes
    ----------
    declared_frames : int or None
        Number of frames.
    fps : float or None
        Frames per second.
    declared_duration : float or None
        Seconds.
    width, height : int
        Pixels, as shown: after the rotation.
    rotation : int
        Degrees clockwise that the file asks for, and the reader applies: 0, 90, 180 or 270.
    codec : str
        Four characters.
    """

    declared_frames: int | None
    fps: float | None
    declared_duration: float | None
    width: int
    height: int
    rotation: int
    codec: str


def check_file(path: Path) -> None:
    """Refuse everything but a readable, regular file, before a decoder hangs on it.

    Raises
    ------
    InputError
        With the reason alone.
    """
    try:
        if found := special_file(path):
            raise InputError(f"expected a video file, found {found}")
        with path.open("rb") as file:
            if not file.read(1):
                raise InputError("expected a video file, found an empty one")
    except FileNotFoundError:
        found = "a link to nothing" if path.is_symlink() else "no such file"
        raise InputError(f"expected a video file, found {found}") from None
    except OSError as error:
        raise InputError(f"expected a video file, cannot read it: {os_reason(error)}") from error


class Video:
    """An open video, read forward only.

    Attributes
    ----------
    declared : Declared
        What it says about itself.
    pixel_aspect : float
        Width of a pixel over its height, as shown.
    """

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self._capture = capture
        self.declared = self._declared()
        numerator, denominator = capture.get(cv2.CAP_PROP_SAR_NUM), capture.get(cv2.CAP_PROP_SAR_DEN)
        aspect = numerator / denominator if numerator > 0 and denominator > 0 else 1.0
        self.pixel_aspect = 1 / aspect if self.declared.rotation % 180 else aspect

    def _declared(self) -> Declared:
        get = self._capture.get
        frames, fps = get(cv2.CAP_PROP_FRAME_COUNT), get(cv2.CAP_PROP_FPS)
        counted, rated = 0 < frames < 2**53, 0 < fps < float("inf")
        rotation = int(get(cv2.CAP_PROP_ORIENTATION_META)) % 360
        if rotation % 90:  # OpenCV turns by quarters only; some versions give another size all the same
            self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
            rotation = 0
        code = int(get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
        codec = code.to_bytes(4, "little").decode("latin-1").strip("\0 ")
        return Declared(
            declared_frames=int(frames) if counted else None,
            fps=fps if rated else None,
            declared_duration=frames / fps if counted and rated else None,
            width=int(get(cv2.CAP_PROP_FRAME_WIDTH)),
            height=int(get(cv2.CAP_PROP_FRAME_HEIGHT)),
            rotation=rotation,
            codec=codec if re.fullmatch(r"[\w .-]+", codec, re.ASCII) else "",
        )

    def grab(self) -> float | None:
        """Decode the next frame; return its reported time in seconds, or None at a damaged packet or at the end."""
        if not self._capture.grab():
            return None
        return float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000

    def retrieve(self) -> np.ndarray:
        """Return the frame that was grabbed last: uint8, (rows, cols, 3), BGR, rotated as the file asks."""
        good, image = self._capture.retrieve()
        if not good or image is None or image.ndim != 3:
            refuse_shortage()
            raise InputError(f"a frame was decoded but could not be turned into pixels; {CONVERT_HINT}")
        return image


@contextmanager
def open_video(
    path: Path, limits: VideoLimits | None = None, *, packets: bool = False, threads: int = DECODER_THREADS
) -> Iterator[Video]:
    """Open a video with FFmpeg's decoders; with `packets`, `grab` steps through its packets without decoding them.

    At a damaged packet, `grab` returns None, as at the end. The next `grab` goes on behind it.

    Raises
    ------
    InputError
        With the reason alone, if no decoder opens it, or its pictures are larger than `limits` allow.
    """
    with openable_name(path) as name:
        capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, threads])
    try:
        if not capture.isOpened():
            refuse_shortage()
            raise InputError("expected a video, found a file that no decoder opens")
        video = Video(capture)
        rows, cols = video.declared.height, video.declared.width
        most_pixels = (limits or VideoLimits()).max_video_pixels
        # Pictures that grow on the way come in the size of the first, and FFmpeg decodes none above 2^28 pixels.
        if rows * cols > most_pixels:
            most = f"{most_pixels} pixels (--max-video-pixels)"
            raise InputError(f"expected pictures of at most {most}, found {cols} x {rows}")
        if packets:
            capture.set(cv2.CAP_PROP_FORMAT, -1)
        yield video
    finally:
        capture.release()


def refuse_shortage() -> None:
    """Say so if this process is short of what decoders need, which they do not tell from a bad file.

    Raises
    ------
    WorkError
        If no more files can be opened: not the video's fault.
    InputError
        If there is not enough memory for a decoder.
    """
    handles: list[int] = []
    try:
        handles.extend(os.open(os.devnull, os.O_RDONLY) for _ in range(DECODER_HANDLES))
    except OSError as error:
        raise WorkError(
            f"a video could not be opened: {error.strerror} (ulimit -n says how many are allowed)"
        ) from error
    finally:
        for handle in handles:
            os.close(handle)
    try:
        mmap.mmap(-1, DECODER_BYTES).close()
    except OSError:
        raise InputError(MEMORY) from None


@contextmanager
def openable_name(path: Path) -> Iterator[str]:
    """Give FFmpeg a name that it takes as it is: one that is not UTF-8, or a pattern (`%03d`), goes through a link."""
    name = str(path.absolute())
    if "%" in name or os.fsencode(name) != name.encode("utf-8", "replace"):
        with tempfile.TemporaryDirectory() as folder:
            suffix = os.fsencode(path.suffix).decode("ascii", "ignore")
            link = Path(folder) / f"video{suffix}"
            link.symlink_to(name)
            yield str(link)
    else:
        yield name


def write_video(path: Path | str, frames: Iterable[np.ndarray], fps: float, *, codec: str | None = None) -> None:
    """Write RGB frames as a video; the name's ending picks the format (`.mp4` MPEG-4, `.avi` MJPEG, `.webm` VP8).

    Parameters
    ----------
    path : path
        Written whole or not at all.
    frames : iterable of uint8 arrays, shape (rows, cols, 3)
        RGB, all of one size.
    fps : float
        Frames per second.
    codec : str, optional
        Four characters instead of the ending's own: `vp09` makes an `.mp4` that browsers play, at a tenth of the speed.

    Raises
    ------
    InputError
        If there are no frames, or they differ in size.
    WorkError
        If the video cannot be written.
    """
    path = Path(path)
    fourcc = cv2.VideoWriter.fourcc(*(codec or WRITTEN_CODECS.get(path.suffix.lower(), "mp4v")))
    writer = None
    shape: tuple[int, ...] = ()
    written = 0
    with atomic_path(path) as part:
        try:
            for frame in frames:
                if writer is None:
                    shape = frame.shape
                    writer = cv2.VideoWriter(str(part), cv2.CAP_FFMPEG, fourcc, fps, (shape[1], shape[0]))
                    if not writer.isOpened():
                        raise WorkError(f"{path}: this OpenCV cannot write such a video here (use .mp4 or .avi)")
                if frame.shape != shape:
                    raise InputError(f"{path}: expected frames of shape {shape}, found {frame.shape}")
                writer.write(np.ascontiguousarray(frame[:, :, ::-1]))
                written += 1
        finally:
            if writer is not None:
                writer.release()
        if writer is None:
            raise InputError(f"{path}: expected frames to write, found none")
        # OpenCV says nothing when the disk takes no more.
        if (found := _count_packets(part)) < written:
            raise WorkError(f"{path}: could not be written: only {found} of {written} frames are there; disk full?")


def _count_packets(path: Path) -> int:
    try:
        with open_video(path, packets=True) as video:
            return sum(1 for _ in iter(video.grab, None))
    except InputError:
        return 0
