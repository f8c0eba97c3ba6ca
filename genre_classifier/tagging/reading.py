"""A video that is read for a run, ahead of its scoring. It imports no Keras, and can begin before Keras is there."""

from __future__ import annotations

import math
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from genre_classifier.config import scoring_chunk
from genre_classifier.dataset.looks import look_config
from genre_classifier.tagging.tags import THUMBNAILS
from preprocessing.config import VideoLimits
from preprocessing.processes.prefetch import Prefetch
from preprocessing.reader_client import SampledFrames

if TYPE_CHECKING:
    from genre_classifier.run_folder.run import Run

_AHEAD_BYTES = 64_000_000  # of pictures that are read before they are used; at least two chunks


class VideoReading:
    """One decoding of a video: the frames that a run scores, and beside them those that its encoder looks at.

    Parameters
    ----------
    run : Run
    video : Path or str
    chunk : int, optional
        Frames at once.
    limits : VideoLimits, optional
        What the video may cost.

    Raises
    ------
    InputError
        If the video cannot be read; also while iterating over the chunks.

    Attributes
    ----------
    frames : SampledFrames
    chunks : iterator of Chunk
        They are read ahead, in a thread.
    ahead : int
        How many chunks, at most.
    """

    def __init__(
        self, run: Run, video: Path | str, *, chunk: int | None = None, limits: VideoLimits | None = None
    ) -> None:
        chunk = chunk or scoring_chunk(run.model_config.rows, run.model_config.cols)
        looks = run.model_config.encoder_fps
        beside = None if looks is None or run.eye is None else look_config(run.eye, looks)
        self.frames = SampledFrames(
            video, run.clip_config, limits=limits, thumbnails=THUMBNAILS, exact=False, beside=beside
        )
        self.ahead = max(2, math.floor(_AHEAD_BYTES / (chunk * self.frames.bytes_per_frame)))
        self.chunks = Prefetch(self.frames.chunks(chunk), ahead=self.ahead)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.chunks.close()
        self.frames.close()
