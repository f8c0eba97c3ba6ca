"""Tags with known scores, and a small video that browsers play, for the tests of what is drawn and written."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np

from genre_classifier.config import SegmentConfig
from genre_classifier.genres import GENRES
from genre_classifier.tagging.scores import scores_table
from genre_classifier.tagging.segments import to_segments
from genre_classifier.tagging.tags import Tags, Thumbnail

FPS = 20
SECONDS = 6


def write_webm(path: Path, *, seconds: float = SECONDS, size: tuple[int, int] = (160, 90)) -> Path:
    """Write a VP8 video whose grey level rises with time."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"VP80"), FPS, size)
    assert writer.isOpened()
    count = round(seconds * FPS)
    for index in range(count):
        writer.write(np.full((size[1], size[0], 3), 20 + 200 * index // count, np.uint8))
    writer.release()
    return path


def example_tags(
    video: Path,
    *,
    seconds: float = SECONDS,
    frames: int = 120,
    genres: tuple[str, ...] = GENRES,
    exclusive: bool = False,
    start: float = 0.0,
) -> Tags:
    """Make tags with one wave per genre; the thumbnails show the genre-neutral grey of `write_webm`.

    The first picture is shown at `start`; until then there is sound alone.
    """
    times = start + np.arange(frames) * (seconds - start) / frames
    waves = [0.5 + 0.5 * np.sin(2 * np.pi * (times / seconds * (1 + k / 2) + k / 6)) for k in range(len(genres))]
    values = np.stack(waves, axis=1)
    if exclusive:
        values = np.exp(2 * values) / np.exp(2 * values).sum(axis=1, keepdims=True)
    scores = scores_table(times, values, genres)
    thresholds = dict(zip(genres, itertools.cycle([0.5, 0.6, 0.4, 0.5, 0.7, 0.5]), strict=False))
    config = SegmentConfig(smooth_seconds=0.3, off_ratio=0.8, min_seconds=0.4, min_gap_seconds=0.2)
    thumbnails = tuple(
        Thumbnail(float(time), np.full((144, 256, 3), int(20 + 200 * time / seconds), np.uint8)) for time in times[::2]
    )
    used = None if exclusive else thresholds
    segments = to_segments(scores, used, config, duration=seconds)
    return Tags(
        video=video,
        duration=seconds,
        scores=scores,
        segments=segments,
        thresholds=used,
        segment_config=config,
        thumbnails=thumbnails,
        start=start,
    )
