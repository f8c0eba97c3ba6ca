"""Scores of one video, straight from the decoder: frames in memory -> rows while decoding -> everything about a video.

The video is sampled, resized and fitted as the run's own clips were, by the same code, so tagging a video gives the
scores of preprocessing it and scoring the clip. Decoding runs ahead in a thread; memory does not grow with the video.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from genre_classifier.config import Precision, SegmentConfig
from genre_classifier.prefetch import prefetch
from genre_classifier.scores import scores_table
from genre_classifier.segments import frame_borders, to_segments
from genre_classifier.streaming import DEFAULT_CHUNK, ScoreStream
from genre_classifier.tags import Tags
from genre_classifier.thumbnails import ThumbnailStrip
from preprocessing.video import sampled_frames

if TYPE_CHECKING:
    from genre_classifier.runs import Run


class ScoredFrame(NamedTuple):
    """One row of the scores: its time in seconds, and six calibrated probabilities in the order of `GENRES`."""

    time: float
    scores: np.ndarray


def score_frames(
    run: Run, frames: np.ndarray, *, chunk: int = DEFAULT_CHUNK, precision: Precision = "float32"
) -> np.ndarray:
    """Score frames that are already in memory, or in a memory-mapped clip.

    Parameters
    ----------
    run : Run
        As `load_run` gives it.
    frames : ndarray of uint8, shape (frames, 3, rows, cols)
        RGB in the order of time, of the run's size.
    chunk : int
        Frames scored at once; the scores do not depend on it.
    precision : {"float32", "bfloat16"}
        Of the convolutions.

    Returns
    -------
    ndarray of float32, shape (frames, 6)
        Calibrated probabilities, genres in the order of `GENRES`.
    """
    stream = ScoreStream(run.model, precision=precision)
    raw = [stream.feed(frames[first : first + chunk]) for first in range(0, len(frames), chunk)]
    return run.calibrate(np.concatenate(raw)) if raw else np.empty((0, 6), np.float32)


def iter_scores(
    run: Run,
    video: Path | str,
    *,
    chunk: int = DEFAULT_CHUNK,
    precision: Precision = "float32",
    on_frame: Callable[[float, np.ndarray], None] | None = None,
) -> Iterator[ScoredFrame]:
    """Yield the scores of a video while it is decoded, a chunk at a time.

    Parameters
    ----------
    run, chunk, precision
        See `score_frames`.
    video : Path or str
        The file.
    on_frame : callable, optional
        Called in the decoding thread with the time and the picture, uint8 (rows, cols, 3) RGB, of each frame.

    Yields
    ------
    ScoredFrame

    Raises
    ------
    InputError
        If the video cannot be read; the words are those of preprocessing.
    """
    stream = ScoreStream(run.model, precision=precision)
    # Closing the generator stops the decoder at once, also when the reader breaks off.
    with closing(prefetch(_chunks(run, Path(video), chunk, on_frame))) as chunks:  # type: ignore[type-var]
        for times, frames in chunks:
            for time, row in zip(times, run.calibrate(stream.feed(frames)), strict=True):
                yield ScoredFrame(time, row)


def tag_trailer(
    run: Run,
    video: Path | str,
    *,
    chunk: int = DEFAULT_CHUNK,
    precision: Precision = "float32",
    segment_config: SegmentConfig | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Tags:
    """Score a video and cut the scores into segments.

    Parameters
    ----------
    run, chunk, precision
        See `score_frames`.
    video : Path or str
        The file, of any length: memory stays constant.
    segment_config : SegmentConfig, optional
        How scores become segments.
    on_progress : callable, optional
        Called after each frame with its time in seconds.

    Returns
    -------
    Tags

    Raises
    ------
    InputError
        If the video cannot be read; the words are those of preprocessing.
    """
    strip = ThumbnailStrip()
    times: list[float] = []
    rows: list[np.ndarray] = []
    for frame in iter_scores(run, video, chunk=chunk, precision=precision, on_frame=strip.add):
        times.append(frame.time)
        rows.append(frame.scores)
        if on_progress:
            on_progress(frame.time)
    scores = scores_table(np.array(times), np.array(rows).reshape(-1, 6))
    duration = float(frame_borders(np.array(times))[-1])
    config = segment_config or SegmentConfig()
    segments = to_segments(scores, run.thresholds, config, duration=duration)
    return Tags(Path(video), duration, scores, segments, dict(run.thresholds), config, strip.thumbnails())


def _chunks(
    run: Run, video: Path, chunk: int, on_frame: Callable[[float, np.ndarray], None] | None
) -> Iterator[tuple[list[float], np.ndarray]]:
    """Yield times and frames, uint8 (n, 3, rows, cols), of up to `chunk` frames at a time."""
    times: list[float] = []
    frames: list[np.ndarray] = []
    with sampled_frames(video, run.clip_config) as stream:
        for time, frame in stream:
            if on_frame:
                on_frame(time, frame.transpose(1, 2, 0))
            times.append(time)
            frames.append(frame.copy())  # the reader may reuse its buffer
            if len(frames) == chunk:
                yield times, np.stack(frames)
                times, frames = [], []
    if frames:
        yield times, np.stack(frames)
