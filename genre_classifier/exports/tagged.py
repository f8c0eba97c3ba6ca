"""A tagged video as exports need it, and its seconds as frames of an exact rate."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction
from pathlib import Path

import pandas as pd

from genre_classifier.tagging.summary import read_tagged
from preprocessing.base.errors import InputError

# Rates that video is made in (SMPTE ST 12-1 and its multiples): what a file says of them is rounded.
_BASES = (24, 25, 30, 48, 50, 60, 100, 120)
RATES = (*(Fraction(base) for base in _BASES), *(Fraction(1000 * base, 1001) for base in (24, 30, 48, 60, 120)))
_TYPES = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".webm": "video/webm",
    ".mkv": "video/x-matroska",
    ".avi": "video/x-msvideo",
    ".mpg": "video/mpeg",
    ".mpeg": "video/mpeg",
}
_CLOSE = Fraction(1, 3000)  # a third of the distance between 30 and 29.97


@dataclasses.dataclass(frozen=True)
class TaggedVideo:
    """One video of a tags folder.

    Attributes
    ----------
    source : str
        Its name in label tables.
    path : Path
        The file.
    folder : Path
        Of its tags.
    duration : float
        The second at which the video ends.
    segments : DataFrame
        Columns start, end (seconds), genre, score.
    genres : tuple of str
        Of the run, whether shown or not.
    rate : Fraction or None
        Frames per second; None if not known.
    size : tuple of int or None
        Width and height in pixels.
    start : float
        The second at which the first frame is shown: seconds count from the start of the container.
    start_timecode : str
        Of the first frame; `;` before the frames counts drop-frame.
    """

    source: str
    path: Path
    folder: Path
    duration: float
    segments: pd.DataFrame
    genres: tuple[str, ...]
    rate: Fraction | None
    size: tuple[int, int] | None
    start: float = 0.0
    start_timecode: str = "00:00:00:00"

    @property
    def frames(self) -> int:
        """Return how many frames it has at its rate."""
        return max(1, self.frame_at(self.duration))

    def frame_at(self, seconds: float) -> int:
        """Return the number of the frame that begins nearest to a time; the first frame is 0."""
        return max(0, frame_at(seconds - self.start, require_rate(self)))

    @property
    def mimetype(self) -> str:
        """Return the kind of file that its name says."""
        return _TYPES.get(self.path.suffix.lower(), "video/unknown")


def read_video(folder: Path, *, fps: float | None = None) -> TaggedVideo:
    """Read a folder of one tagged video.

    Parameters
    ----------
    folder : Path
    fps : float, optional
        Of the video, instead of what its file said.

    Raises
    ------
    InputError
        If its files are damaged.
    """
    record, segments = read_tagged(folder)
    known = fps or record.fps
    return TaggedVideo(
        source=record.source,
        path=Path(record.video),
        folder=folder,
        duration=record.duration,
        segments=segments,
        genres=tuple(record.shares),
        rate=exact_rate(known) if known else None,
        size=record.size,
        start=record.start,
    )


def exact_rate(fps: float) -> Fraction:
    """Return the rate that a rounded one stands for: 24000/1001 for 23.98; others stay as they are, to 1/1001."""
    nearest = min(RATES, key=lambda rate: abs(rate - Fraction(fps)))
    return nearest if abs(nearest - Fraction(fps)) <= _CLOSE * nearest else Fraction(fps).limit_denominator(1001)


def frame_at(seconds: float, rate: Fraction) -> int:
    """Return the number of the frame that begins nearest to a time, counted from 0: exact, however late."""
    return math.floor(Fraction(seconds) * rate + Fraction(1, 2))


def require_rate(video: TaggedVideo) -> Fraction:
    """Return the rate, or refuse (InputError)."""
    if video.rate is None:
        raise InputError(f"{video.folder}: expected the video's frames per second, found none recorded; give --fps")
    return video.rate
