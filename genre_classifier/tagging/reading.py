"""A video that is read and looked at for a run, ahead of its scoring.

It imports no Keras, and can begin before Keras is there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from genre_classifier.config import scoring_chunk
from genre_classifier.dataset.looks import LooksUnderWay, look_config
from genre_classifier.network.frame_encoder import CHUNK, FrameEncoder
from genre_classifier.tagging.tags import THUMBNAILS
from preprocessing.base.errors import InputError
from preprocessing.config import VideoLimits
from preprocessing.processes.prefetch import Prefetch
from preprocessing.reader_client import Chunk, SampledFrames

if TYPE_CHECKING:
    from genre_classifier.run_folder.run import Run

_Seen = tuple[Chunk, np.ndarray | None]
_AHEAD_BYTES = 32_000_000  # of frames that wait for their looks, and again of those that wait to be scored


class VideoReading:
    """One decoding of a video: the frames that a run scores, with what its encoder sees in those beside them.

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
        If the video cannot be read, or the encoder gives what are no numbers; also while iterating over the chunks.

    Attributes
    ----------
    frames : SampledFrames
    chunks : iterator of (Chunk, ndarray or None)
        Frames, and what the paths take of the looks at them, float16 (n, features); None where the encoder does not
        look at the video itself. They are read and looked at ahead, in a thread.
    """

    def __init__(
        self, run: Run, video: Path | str, *, chunk: int | None = None, limits: VideoLimits | None = None
    ) -> None:
        chunk = chunk or scoring_chunk(run.model_config.rows, run.model_config.cols)
        looks_per_second = run.model_config.encoder_fps
        encoder = None if looks_per_second is None else run.eye
        beside = None if looks_per_second is None or encoder is None else look_config(encoder, looks_per_second)
        self.frames = SampledFrames(
            video, run.clip_config, limits=limits, thumbnails=THUMBNAILS, exact=False, beside=beside
        )
        chunks = self.frames.chunks(chunk)
        most = max(2, math.floor(_AHEAD_BYTES / (chunk * self.frames.bytes_per_frame)))
        read: Iterator[_Seen] = ((one, None) for one in chunks)
        found = read if encoder is None else _looked(chunks, encoder, most, self.frames.path)
        ahead = max(2, math.floor(_AHEAD_BYTES / (chunk * 3 * run.clip_config.size**2)))
        self.chunks = Prefetch(found, ahead=ahead)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.chunks.close()
        self.frames.close()


def _looked(chunks: Iterator[Chunk], encoder: FrameEncoder, most: int, video: Path) -> Iterator[_Seen]:
    """Look at what is beside many chunks at a time, which pays; `most` chunks wait for it."""
    looks = LooksUnderWay(encoder)
    waiting: list[Chunk] = []

    def looked() -> Iterator[_Seen]:
        try:
            looks.look()
        except InputError as error:
            raise InputError(f"{video}: {error}") from error
        for chunk in waiting:
            if chunk.times:
                yield chunk._replace(beside=[]), looks.features(chunk.times)
        waiting.clear()

    for chunk in chunks:
        if chunk.anew:
            waiting.clear()
            looks.reset()
        looks.take(chunk.beside)
        waiting.append(chunk)
        if looks.waiting >= CHUNK or (looks.can_tell and len(waiting) >= most):
            yield from looked()
    yield from looked()
