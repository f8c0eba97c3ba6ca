"""Scores of one video, straight from the decoder: frames in memory -> rows while decoding -> everything about a video.

The video is sampled, resized and fitted as the run's own clips were, by the same code, so tagging a video gives the
scores of preprocessing it and scoring the clip. It is decoded once, ahead of the scoring, for its frames and for what
the encoder looks at. Memory does not grow with the video.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from genre_classifier.config import Precision, SegmentConfig
from genre_classifier.dataset.cuts import CutFinder
from genre_classifier.dataset.heard import hear, heard_features
from genre_classifier.dataset.looks import ClipInputs, HeldLooks
from genre_classifier.network.senses import PICTURES, SOUND
from genre_classifier.network.streaming import ScoreStream, score_clip
from genre_classifier.tagging.reading import VideoReading
from genre_classifier.tagging.scores import scores_table
from genre_classifier.tagging.segments import to_segments, used_thresholds, video_end
from genre_classifier.tagging.tags import PEAK_SECONDS, Tags, Thumbnail
from preprocessing.clips import SOUND_RATE
from preprocessing.config import VideoLimits
from preprocessing.reader_client import read_sound

if TYPE_CHECKING:
    from genre_classifier.run_folder.run import Run


class ScoredFrame(NamedTuple):
    """One row of the scores: its time in seconds, and a calibrated probability for each of the run's genres."""

    time: float
    scores: np.ndarray


def score_frames(
    run: Run, frames: np.ndarray | ClipInputs, *, chunk: int | None = None, precision: Precision = "float32"
) -> np.ndarray:
    """Score frames that are already in memory, or in a memory-mapped clip.

    Parameters
    ----------
    run : Run
        As `load_run` gives it.
    frames : ndarray of uint8, shape (frames, 3, rows, cols)
        RGB in the order of time, of the run's size. A run whose encoder looks at the video itself (`encoder_fps`), or
        that hears (`sound_encoder`), takes `genre_classifier.dataset.looks.ClipInputs` of them and of the features.
    chunk : int, optional
        Frames scored at once; the scores do not depend on it.
    precision : {"float32", "bfloat16"}
        Of the convolutions.

    Returns
    -------
    ndarray of float32, shape (frames, genres)
        Calibrated probabilities, in the order of the run's genres.
    """
    encoder = run.eye if run.model_config.maps_in_trunk else None
    return run.calibrate(score_clip(run.model, frames, chunk=chunk, precision=precision, encoder=encoder))


def tag_trailer(
    run: Run,
    video: Path | str,
    *,
    chunk: int | None = None,
    precision: Precision = "float32",
    limits: VideoLimits | None = None,
    segment_config: SegmentConfig | None = None,
    thresholds: Mapping[str, float] | None = None,
    on_progress: Callable[[float, float], None] | None = None,
) -> Tags:
    """Score a video and cut the scores into segments.

    Parameters
    ----------
    run : Run
    chunk : int, optional
    precision : {"float32", "bfloat16"}
        See `score_frames`.
    video : Path or str
        The file, of any length: memory stays constant.
    limits : VideoLimits, optional
        What the video may cost.
    segment_config : SegmentConfig, optional
        How scores become segments.
    thresholds : mapping of str to float, optional
        By genre, in (0, 1]: instead of the run's.
    on_progress : callable, optional
        Called after each frame with its time and that of the last one, in seconds.

    Returns
    -------
    Tags

    Raises
    ------
    InputError
        If the video cannot be read; the words are those of preprocessing. If thresholds are given, and the genres of
        the run exclude each other.
    """
    with VideoReading(run, video, chunk=chunk, limits=limits) as reading:
        return tag_reading(
            run,
            reading,
            precision=precision,
            segment_config=segment_config,
            thresholds=thresholds,
            on_progress=on_progress,
        )


def tag_reading(
    run: Run,
    reading: VideoReading,
    *,
    precision: Precision = "float32",
    segment_config: SegmentConfig | None = None,
    thresholds: Mapping[str, float] | None = None,
    on_progress: Callable[[float, float], None] | None = None,
) -> Tags:
    """Score a video that is being read already; as `tag_trailer`."""
    used = used_thresholds(run.deciding_thresholds, thresholds or {})
    frames = reading.frames
    rows: list[ScoredFrame] = []
    finder, peaks = CutFinder(), list[float]()
    for row in _scored(run, reading, precision, finder, peaks):
        if rows and row.time <= rows[-1].time:  # the reader has started again
            rows.clear()
        rows.append(row)
        if on_progress:
            on_progress(row.time, float(frames.times[-1]))
    fields = frames.fields
    duration = video_end(frames.times, float(fields["duration"]))
    scores = scores_table(frames.times, np.array([row.scores for row in rows]), run.genres)
    thumbnails = tuple(Thumbnail(*one) for one in frames.thumbnails)
    config = segment_config or SegmentConfig()
    segments = to_segments(scores, used, config, duration=duration)
    size = (int(fields["width"]), int(fields["height"]))
    cuts = tuple(map(float, finder.cuts(scores.index.to_numpy())))
    return Tags(
        video=frames.path,
        duration=duration,
        scores=scores,
        segments=segments,
        thresholds=used,
        segment_config=config,
        thumbnails=thumbnails,
        fps=fields["fps"],
        size=size,
        cuts=cuts,
        start=float(fields["start"]),
        peaks=tuple(peaks),
    )


def _scored(
    run: Run, reading: VideoReading, precision: Precision, finder: CutFinder, peaks: list[float]
) -> Iterator[ScoredFrame]:
    encoder = run.eye if run.model_config.encoder_fps is None else None  # else its looks come with the frames
    stream = ScoreStream(run.model, precision=precision, encoder=encoder)
    sounds: Callable[[list[float]], HeldLooks] | None = None
    if run.sound_encoder is not None:  # few numbers: all is heard before the first frame is scored
        frames = reading.frames
        heard = hear(_metered(read_sound(frames.path, limits=frames.limits), peaks), run.sound_encoder)
        sounds = functools.partial(heard_features, heard)
    for (times, pixels, anew, _), pictures in reading.chunks:
        if anew:
            stream.reset()
            finder.reset()
        finder.feed(pixels)
        said = {} if pictures is None else {PICTURES: pictures}
        if sounds is not None:
            said[SOUND] = sounds(times)[:]
        scores = run.calibrate(stream.feed({"frames": pixels, **said} if said else pixels))
        yield from map(ScoredFrame, times, scores)


def _metered(sound: Iterator[np.ndarray], peaks: list[float]) -> Iterator[np.ndarray]:
    """Pass on blocks of whole seconds, and add the loudest sample of each `PEAK_SECONDS` of them to `peaks`."""
    samples = round(PEAK_SECONDS * SOUND_RATE)
    for block in sound:
        peaks += np.pad(np.abs(block), (0, -len(block) % samples)).reshape(-1, samples).max(axis=1).tolist()
        yield block
