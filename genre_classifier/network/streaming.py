"""Scores of clips of any length at constant memory: a chunk at a time, with the recurrent state carried over."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from genre_classifier.config import Precision, scoring_chunk
from genre_classifier.network.forward import frames_of
from genre_classifier.network.frame_encoder import FrameEncoder
from genre_classifier.network.model import GenreModel
from preprocessing.processes.machine import release_pages


class ScoreStream:
    """Scores of one video, fed as its frames arrive.

    Parameters
    ----------
    model : GenreModel
    precision : {"float32", "bfloat16"}
        Of the convolutions.
    encoder : FrameEncoder, optional
        What pixels go through before the network sees them; without it, frames are what the network takes.
    """

    def __init__(
        self, model: GenreModel, *, precision: Precision = "float32", encoder: FrameEncoder | None = None
    ) -> None:
        self._model, self._encoder = model, encoder
        self._precision = precision
        self.reset()

    def reset(self) -> None:
        """Forget the frames seen: the next one starts a new video."""
        self._states = self._model.initial_states()

    def feed(self, frames: Any) -> np.ndarray:
        """Score the next frames.

        Parameters
        ----------
        frames : ndarray of uint8, shape (n, 3, rows, cols)
            Any number of them; the scores do not depend on how a video is cut. Without `encoder`, a network on maps
            takes encoded ones: float16, (n, channels, rows, cols).

        Returns
        -------
        ndarray of float32, shape (n, genres)
            Raw scores in [0, 1], in the order of the network's genres.
        """
        if not len(frames_of(frames)):
            return np.zeros((0, len(self._model.output_names)), np.float32)
        if self._encoder is not None:
            frames = self._encoder.encode(frames)
        inputs = keras.tree.map_structure(lambda part: np.ascontiguousarray(part)[None], frames)
        scores, self._states = self._model.score_chunk(inputs, self._states, precision=self._precision)
        return np.asarray(scores[0], dtype=np.float32)


def score_clip(
    model: GenreModel,
    clip: Any,
    *,
    chunk: int | None = None,
    precision: Precision = "float32",
    encoder: FrameEncoder | None = None,
) -> np.ndarray:
    """Score a whole clip at constant memory.

    Parameters
    ----------
    model : GenreModel
    clip : ndarray of uint8, shape (frames, 3, rows, cols)
        Or an encoded one, or one with an encoder's looks (`genre_classifier.dataset.looks.ClipInputs`). May be
        memory-mapped: a chunk at a time is read.
    chunk : int, optional
        Frames at once; the scores do not depend on it.
    precision, encoder
        See `ScoreStream`.

    Returns
    -------
    ndarray of float32, shape (frames, genres)
        Raw scores in [0, 1], in the order of the network's genres.
    """
    stream = ScoreStream(model, precision=precision, encoder=encoder)
    chunk = chunk or scoring_chunk(model.config.rows, model.config.cols)
    parts = [np.zeros((0, len(model.output_names)), np.float32)]
    for start in range(0, len(clip), chunk):
        parts.append(stream.feed(clip[start : start + chunk]))
        release_pages(getattr(clip, "frames", clip))  # of looks beside them there are few
    return np.concatenate(parts)
