"""Reader processes (`preprocessing.reader_process`): what runs, and what they are asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from preprocessing.config import ClipConfig, CopyConfig, VideoLimits
from preprocessing.processes.child import Program

# A video may lie behind any number of audio packets.
READER = Program("preprocessing.reader_process", "reader", environment=(("OPENCV_FFMPEG_READ_ATTEMPTS", str(10**9)),))


def job(
    video: Path,
    config: ClipConfig,
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
    config : ClipConfig
        Which frames, and of what size.
    limits : VideoLimits
        What it may cost; that it brings a frame in time is for whoever asks.
    clip : Path, optional
        Where the clip goes; without one the frames are streamed back.
    known : str, optional
        SHA-256 of the video when its clip was made: if it still has it, nothing is done.
    thumbnails : int
        Of a stream: how many of its frames come with a small picture.
    exact : bool
        Of a stream: know the times for sure before the first frame, or else start again where they were wrong.
    """
    return {
        "video": str(video),
        "copy": None,
        "config": config.to_dict(),
        "limits": limits.to_dict(),
        "clip": clip and str(clip),
        "known": known,
        "thumbnails": thumbnails,
        "exact": exact,
    }


def copy_job(video: Path, config: CopyConfig, limits: VideoLimits) -> dict[str, Any]:
    """Return a job for a reader process that streams the pictures of a copy of the video."""
    return {"video": str(video), "copy": config.to_dict(), "limits": limits.to_dict()}
