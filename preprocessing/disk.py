"""How much disk the clips of a folder will take, said before the first one is made."""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from preprocessing.base.errors import WorkError
from preprocessing.clips import SOUND_RATE
from preprocessing.config import ClipConfig, VideoLimits
from preprocessing.processes.pool import Pool
from preprocessing.reader_client import READER, container_job

logger = logging.getLogger(__name__)

SAID_FROM = 100e6  # bytes: less is no news
_SAMPLE = 100  # videos whose durations are looked up, spread over the folder


def clip_bytes(
    config: ClipConfig, *, seconds: float | None = None, rate: float | None = None, sound: bool = False
) -> int:
    """Return how large a clip is at most, with its sound where it is known how long that lasts.

    Parameters
    ----------
    config : ClipConfig
    seconds, rate : float, optional
        What the video's file says of its length and its frames per second; None where it does not.
    sound : bool
        Whether it has a sound track.
    """
    frames = config.frames
    if seconds is not None:
        rates = [one for one in (rate, config.fps) if one is not None]
        frames = min([frames, *(math.ceil(seconds * one) + 1 for one in rates)])
    samples = math.ceil(seconds * SOUND_RATE) if seconds is not None and sound and config.sound else 0
    return frames * 3 * config.size**2 + 2 * samples


def require_disk(clips: Path, videos: Sequence[Path], config: ClipConfig, limits: VideoLimits) -> None:
    """Say how much disk the clips of videos will take, and refuse where there is not that much.

    Files are asked how long they are only where the largest clips that there could be would be worth a word.

    Raises
    ------
    WorkError
        With what would fit.
    """
    most, free = float(len(videos) * clip_bytes(config)), shutil.disk_usage(clips).free
    if config.sound:  # 256 kbit/s, which hardly a video file does without
        most += sum(map(_file_bytes, videos))
    if most <= min(SAID_FROM, free):
        return
    needed, known = expected_bytes(videos, config, limits)
    count = "1 clip takes" if len(videos) == 1 else f"{len(videos)} clips take"
    said = f"{count} {'about' if known else 'up to'} {_size(needed)} of disk, and {_size(free)} are free"
    if needed > free:
        raise WorkError(
            f"{clips}: {said}; make smaller ones (--preset small-data, a smaller --size, --fps or --frames, or "
            f"--no-sound), or choose a folder on another disk"
        )
    if needed >= SAID_FROM:
        logger.info(said)


def expected_bytes(videos: Sequence[Path], config: ClipConfig, limits: VideoLimits) -> tuple[float, bool]:
    """Return about how many bytes the clips of videos take, by what some of the files say of their length.

    Returns
    -------
    float
        One that does not say how long it lasts counts as the longest clip that there could be.
    bool
        Whether all of those that were asked said it.
    """
    places = np.unique(np.linspace(0, len(videos) - 1, min(len(videos), _SAMPLE)).astype(int))
    pool = Pool(READER)
    sizes, known = [], True
    try:
        for place in places:
            answer = pool.run(container_job(videos[place]), limits.timeout)
            if "failed" in answer:  # it will fail again, and make no clip
                sizes.append(0)
            else:
                said = {name: answer["done"][name] for name in ("seconds", "rate", "sound")}
                sizes.append(clip_bytes(config, **said))
                known = known and said["seconds"] is not None
    finally:
        pool.close()
    return float(np.mean(sizes)) * len(videos), known


def _file_bytes(path: Path) -> int:
    with suppress(OSError):  # it will fail, and say why
        return path.stat().st_size
    return 0


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 0.9995e9 else f"{count / 1e6:.3g} MB"
