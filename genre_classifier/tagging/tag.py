"""Scores of one video, straight from the decoder: frames in memory -> rows while decoding -> everything about a video.

The video is sampled, resized and fitted as the run's own clips were, by the same code, so tagging a video gives the
scores of preprocessing it and scoring the clip. Decoding runs ahead in a thread; memory does not grow with the video.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from genre_classifier.config import SCORING_CHUNK, Precision, SegmentConfig
from genre_classifier.dataset.cuts import CutFinder
from genre_classifier.dataset.heard import hear, heard_features
from genre_classifier.dataset.looks import ClipInputs, HeldLooks, read_looks
from genre_classifier.network.senses import PICTURES, SOUND
from genre_classifier.network.streaming import ScoreStream, score_clip
from genre_classifier.tagging.scores import scores_table
from genre_classifier.tagging.segments import to_segments, used_thresholds, video_end
from genre_classifier.tagging.tags import PEAK_SECONDS, THUMBNAILS, Tags, Thumbnail
from preprocessing.clips import SOUND_RATE
from preprocessing.config import VideoLimits
from preprocessing.processes.prefetch import Prefetch
from preprocessing.reader_client import SampledFrames, in_chunks, read_sound

if TYPE_CHECKING:
    from genre_classifier.run_folder.run import Run


_AHEAD_BYTES = 32_000_000  # of frames that are decoded before they are scored; at least two chunks


class ScoredFrame(NamedTuple):
    """One row of the scores: its time in seconds, and a calibrated probability for each of the run's genres."""

    time: float
    scores: np.ndarray


def score_frames(
    run: Run, frames: np.ndarray | ClipInputs, *, chunk: int = SCORING_CHUNK, precision: Precision = "float32"
) -> np.ndarray:
    """Score frames that are already in memory, or in a memory-mapped clip.

    Parameters
    ----------
    run : Run
        As `load_run` gives it.
    frames : ndarray of uint8, shape (frames, 3, rows, cols)
        RGB in the order of time, of the run's size. A run whose encoder looks at the video itself (`encoder_fps`), or
        that hears (`sound_encoder`), takes `genre_classifier.dataset.looks.ClipInputs` of them and of the features.
    chunk : int
        Frames scored at once; the scores do not depend on it.
    precision : {"float32", "bfloat16"}
        Of the convolutions.

    Returns
    -------
    ndarray of float32, shape (frames, genres)
        Calibrated probabilities, in the order of the run's genres.
    """
    encoder = run.encoder if run.model_config.maps_in_trunk else None
    return run.calibrate(score_clip(run.model, frames, chunk=chunk, precision=precision, encoder=encoder))


def tag_trailer(
    run: Run,
    video: Path | str,
    *,
    chunk: int = SCORING_CHUNK,
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
    chunk : int
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
    used = used_thresholds(run.deciding_thresholds, thresholds or {})
    with SampledFrames(video, run.clip_config, limits=limits, thumbnails=THUMBNAILS, exact=False) as frames:
        rows: list[ScoredFrame] = []
        finder, peaks = CutFinder(), list[float]()
        for row in _scored(run, frames, chunk, precision, finder, peaks):
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
        video=Path(video),
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
    run: Run, frames: SampledFrames, chunk: int, precision: Precision, finder: CutFinder, peaks: list[float]
) -> Iterator[ScoredFrame]:
    looks = run.model_config.encoder_fps
    stream = ScoreStream(run.model, precision=precision, encoder=run.encoder if looks is None else None)
    ahead = max(2, _AHEAD_BYTES // (chunk * 3 * run.model_config.rows * run.model_config.cols))
    # Closing the chunks stops the reading at once, also when the caller stops taking rows.
    with closing(Prefetch(in_chunks(frames, chunk), ahead=ahead)) as chunks:
        # Few numbers beside the frames: they are all there before the first frame is scored. Meanwhile frames are
        # decoded.
        beside: dict[str, Callable[[list[float]], HeldLooks]] = {}
        if looks is not None and run.encoder is not None:
            seen = read_looks(frames.path, run.encoder, looks, limits=frames.limits)
            beside[PICTURES] = functools.partial(HeldLooks, *seen)
        if run.sound_encoder is not None:
            heard = hear(_metered(read_sound(frames.path, limits=frames.limits), peaks), run.sound_encoder)
            beside[SOUND] = functools.partial(heard_features, heard)
        for times, pixels, anew in chunks:
            if anew:
                stream.reset()
                finder.reset()
            finder.feed(pixels)
            said = {name: features(times)[:] for name, features in beside.items()}
            inputs = {"frames": pixels, **said} if said else pixels
            for time, row in zip(times, run.calibrate(stream.feed(inputs)), strict=True):
                yield ScoredFrame(time, row)


def _metered(sound: Iterator[np.ndarray], peaks: list[float]) -> Iterator[np.ndarray]:
    """Pass on blocks of whole seconds, and add the loudest sample of each `PEAK_SECONDS` of them to `peaks`."""
    samples = round(PEAK_SECONDS * SOUND_RATE)
    for block in sound:
        peaks += np.pad(np.abs(block), (0, -len(block) % samples)).reshape(-1, samples).max(axis=1).tolist()
        yield block
