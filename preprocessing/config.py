"""What makes a clip out of a video: the only home of the preprocessing defaults."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from preprocessing.base.options import Count, Options, Positive, option

Fit = Literal["stretch", "letterbox", "crop"]

# FFmpeg's names of what is opened: formats that hold a film themselves. Lists of other files (ffconcat, HLS, DASH,
# SDP) and patterns of picture names are not among them: they would read files that the user did not name.
_FORMATS = (
    "mov matroska avi asf flv live_flv ogg mxf gxf lxf nut rm wtv nsv pva swf gif apng dv ivf obu av1 yuv4mpegpipe",
    "mpeg mpegts mpegvideo m4v mjpeg h261 h263 h264 hevc vvc vc1 cavsvideo dirac dnxhd",
)
FILM_FORMATS = tuple(name for line in _FORMATS for name in line.split())

# Each job is a process: more of them is a slip.
Jobs = Annotated[
    Annotated[int, Field(ge=1, le=1000)] | None,
    option("How many at once, each in a process of its own; none: as many as there are cores."),
]


class ClipConfig(Options):
    """How a video becomes a clip. Stored beside the clips and in every run, so that tagging does the same.

    1000 frames of 400x400 are the article's scale.
    """

    frames: Annotated[
        int,
        option(
            "Most frames of a clip, spread evenly over the video's duration. A shorter video keeps all of its frames.",
            ge=1,
            le=1_000_000,  # ten hours
        ),
    ] = 1000
    size: Annotated[
        int,
        # As much as 8K cinema has: a larger one is a slip, and takes more memory than there is.
        option("Rows and columns of the square frames.", unit="pixels", ge=1, le=8192),
    ] = 400
    fps: Annotated[
        float | None,
        option(
            "Take so many frames of each second, at most --frames in all; none spreads those over the video.",
            unit="frames per second",
            gt=0,
            le=10_000,  # a high-speed camera
        ),
    ] = None
    fit: Annotated[
        Fit,
        option("How a frame that is not square becomes square: stretched, padded with black, or cut at its centre."),
    ] = "stretch"
    trim_bars: Annotated[bool, option("Remove constant black bars before fitting.")] = False
    sound: Annotated[bool, option("Keep the sound of the videos beside their clips: 2 MB per minute.")] = True

    def of_pictures(self) -> dict[str, Any]:
        """Return the options that say what the pictures are."""
        return {name: value for name, value in self.to_dict().items() if name != "sound"}


_LIMITS = "Limits of a video"


class VideoLimits(Options):
    """What a video may cost. A video that costs more is given up, or refused. What is read does not change."""

    timeout: Annotated[
        float,
        option(
            "A video that brings no new frame for so long is given up.",
            unit="seconds",
            group=_LIMITS,
            gt=0,
            le=1_000_000,
        ),
    ] = 60.0  # slow disks and 8K pictures stay well below it
    max_video_pixels: Annotated[
        int,
        # OpenCV's decoders refuse pictures of more than 2^28 by themselves.
        option("A video of larger pictures, rows x columns, is refused.", unit="pixels", group=_LIMITS, ge=1, le=2**28),
    ] = 8192 * 8192  # twice 8K cinema; such a picture takes a gigabyte while it is decoded
    max_video_frames: Annotated[
        int,
        option("A video of more frames is refused.", unit="frames", group=_LIMITS, ge=1, le=100_000_000),
    ] = 5_000_000  # a day at 50 frames per second; the times of so many take a gigabyte
    max_video_seconds: Annotated[
        float,
        option("A longer video is refused.", unit="seconds", group=_LIMITS, gt=0, le=10_000_000),
    ] = 86_400.0


class CopyConfig(Options):
    """Which pictures a copy of a whole video is made of."""

    most_fps: Annotated[
        Positive,
        option(
            "The video's usual rate, and at most this: players take none above 60 for granted.",
            unit="frames per second",
        ),
    ] = 60.0
    fewest_rows: Annotated[Count, option("Smaller pictures are enlarged to this, in proportion.", unit="pixels")] = 2
    most_rows: Annotated[Count, option("Larger pictures are reduced to this, in proportion.", unit="pixels")] = 4096
