"""What makes a clip out of a video: the only home of the preprocessing defaults."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from preprocessing.errors import InputError

Fit = Literal["stretch", "letterbox", "crop"]

# A reader that brings no new frame for so long is given up. Slow disks and 8K pictures stay well below it.
TIMEOUT_SECONDS = 60.0

# Rows and columns of a frame: as much as 8K cinema has. A larger one is a slip, and takes more memory than there is.
MOST_SIZE = 8192
MOST_FRAMES, MOST_FPS = 1_000_000, 10_000  # ten hours, and a high-speed camera

FITS: tuple[Fit, ...] = ("stretch", "letterbox", "crop")


@dataclasses.dataclass(frozen=True)
class ClipConfig:
    """How a video becomes a clip. Stored beside the clips and in every run, so that tagging does the same.

    Attributes
    ----------
    frames : int
        Most frames of a clip, spread evenly over the video's duration. A shorter video keeps all of its frames.
        1000 is the article's scale.
    size : int
        Rows and columns of the square frames, in pixels. 400 is the article's scale.
    fps : float or None
        When given: the frame shown at each 1/fps seconds, at most `frames` of them.
    fit : {"stretch", "letterbox", "crop"}
        How a frame that is not square becomes square: stretched, padded with black, or cut at its centre.
    trim_bars : bool
        Remove constant black bars before fitting.
    """

    frames: int = 1000
    size: int = 400
    fps: float | None = None
    fit: Fit = "stretch"
    trim_bars: bool = False

    def __post_init__(self) -> None:
        for name in ("frames", "size"):
            if not isinstance(getattr(self, name), int):
                raise InputError(f"{name} must be a whole number, got {getattr(self, name)!r}")
        if not 1 <= self.frames <= MOST_FRAMES:
            raise InputError(f"frames must be from 1 to {MOST_FRAMES}, got {self.frames}")
        if not 1 <= self.size <= MOST_SIZE:
            raise InputError(f"size must be from 1 to {MOST_SIZE} pixels, got {self.size}")
        if self.fps is not None and not 0 < self.fps <= MOST_FPS:
            raise InputError(f"fps must be above 0 and at most {MOST_FPS}, got {self.fps}")
        if self.fit not in FITS:
            raise InputError(f"fit must be one of {', '.join(FITS)}; got {self.fit!r}")

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON types."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> ClipConfig:
        """Rebuild from `to_dict`; unknown fields raise InputError."""
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(fields) - known):
            raise InputError(f"preprocessing options {unknown} are not known to this version; expected {sorted(known)}")
        return cls(**fields)


@dataclasses.dataclass(frozen=True)
class CopyConfig:
    """Which pictures a copy of a whole video is made of.

    Attributes
    ----------
    most_fps : float
        Frames per second: the video's usual rate, and at most this. Players take none above 60 for granted.
    fewest_rows, most_rows : int
        Smaller pictures are enlarged to the one, larger ones reduced to the other, in their own proportions.
    """

    most_fps: float = 60.0
    fewest_rows: int = 2
    most_rows: int = 4096
