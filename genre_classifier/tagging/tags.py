"""What tagging found in one video: the object that is drawn, written and listed.

Pure pandas; never imports Keras.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
from PIL import Image

from genre_classifier.config import SegmentConfig
from genre_classifier.pages import data_url

# Of a video: enough for a picture every second of a minute; half a megabyte in the viewer's page.
THUMBNAILS = 64
PEAK_SECONDS = 0.1  # of sound, of which the loudest sample is shown
_MOST_PIXELS = 2**22  # of a thumbnail that is read again
PICTURE_WIDTH = 160  # pixels of a picture in a table
FEW_GENRES = 8  # rows that a page shows without folding, and colours that are told apart without a pattern


class Thumbnail(NamedTuple):
    """One small picture: its time in seconds, and uint8 RGB of shape (rows, cols, 3)."""

    time: float
    picture: np.ndarray


def poster(thumbnails: Sequence[Thumbnail]) -> Thumbnail | None:
    """Return the picture that stands for a video: the one whose greys are most varied, not a black one or a title."""

    def variety(thumbnail: Thumbnail) -> float:
        grey = thumbnail.picture.mean(axis=2).astype(np.uint8) >> 3
        shares = np.bincount(grey.ravel()) / grey.size
        return -float(np.sum(shares * np.log(np.maximum(shares, 1e-12))))

    return max(thumbnails, key=variety, default=None)


def as_jpeg(picture: np.ndarray, *, quality: int = 72) -> bytes:
    """Return a picture (rows, cols, 3) RGB as the bytes of a JPEG file."""
    encoded, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not encoded:
        raise RuntimeError("OpenCV could not encode a JPEG")
    return data.tobytes()


def from_jpeg(data: bytes) -> np.ndarray:
    """Return the bytes of a small JPEG file as a picture (rows, cols, 3) RGB; ValueError for any other bytes."""
    try:
        with Image.open(BytesIO(data), formats=["JPEG"]) as image:
            if image.width * image.height > _MOST_PIXELS:
                raise ValueError(f"{image.width}x{image.height} pixels")
            return np.asarray(image.convert("RGB"))
    except OSError as error:
        raise ValueError(str(error)) from error


def small_picture(picture: np.ndarray) -> str:
    """Return a picture (rows, cols, 3) RGB as the URL of a small JPEG."""
    rows = max(1, round(picture.shape[0] * PICTURE_WIDTH / picture.shape[1]))
    small = cv2.resize(picture, (PICTURE_WIDTH, rows), interpolation=cv2.INTER_AREA)
    return data_url(as_jpeg(small, quality=60), "image/jpeg")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tags:
    """What tagging found in one video.

    Attributes
    ----------
    video : Path
        The file.
    duration : float
        The second at which the video ends, as far as frames were decoded.
    scores : DataFrame
        The score table: calibrated probabilities, indexed by seconds.
    segments : DataFrame
        Columns start, end (seconds), genre, score.
    thresholds : mapping of str to float, or None
        Per genre, what the segments were made with; None where the genres exclude each other (`to_segments`).
    segment_config : SegmentConfig
        Likewise.
    thumbnails : tuple of Thumbnail
        Evenly spread pictures in the video's own proportions.
    fps : float or None
        What the file says of its rate.
    size : tuple of int or None
        Width and height in pixels, as shown.
    cuts : tuple of float
        Seconds of the hard cuts between the scored frames.
    start : float
        The second at which the first picture is shown.
    peaks : tuple of float
        The loudest sample, 0 to 1, of each `PEAK_SECONDS` of the sound; empty where none was heard.
    """

    video: Path
    duration: float
    scores: pd.DataFrame
    segments: pd.DataFrame
    thresholds: Mapping[str, float] | None
    segment_config: SegmentConfig
    thumbnails: tuple[Thumbnail, ...] = ()
    fps: float | None = None
    size: tuple[int, int] | None = None
    cuts: tuple[float, ...] = ()
    start: float = 0.0
    peaks: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        """Return the file's name as text that can be shown: no control characters, no invalid bytes."""
        text = os.fsencode(self.video.name).decode("utf-8", "replace")
        return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)

    @property
    def genres(self) -> tuple[str, ...]:
        """Return the genres in the order of the scores' columns."""
        return tuple(self.scores.columns)

    def shares(self) -> dict[str, float]:
        """Return the share of the time with pictures that is inside each genre's segments, in [0, 1]."""
        lengths = (self.segments["end"] - self.segments["start"]).groupby(self.segments["genre"]).sum()
        whole = self.duration - float(self.scores.index[0]) or math.inf
        return {genre: min(1.0, float(lengths.get(genre, 0.0)) / whole) for genre in self.genres}

    def shown_genres(self) -> tuple[str, ...]:
        """Return the genres in the order in which pages and pictures show them.

        A few stand in the run's order, so that every video looks alike; of many, those that the video shows most come
        first: by share, then by highest score.
        """
        if len(self.genres) <= FEW_GENRES:
            return self.genres
        shares, highest = self.shares(), self.scores.max()
        return tuple(sorted(self.genres, key=lambda genre: (-shares[genre], -highest[genre])))


def clock(seconds: float, *, decimals: int = 0) -> str:
    """Return seconds as m:ss, or h:mm:ss from an hour on, rounded as durations are.

    Examples
    --------
    >>> clock(75), clock(3725), clock(9.25, decimals=1)
    ('1:15', '1:02:05', '0:09.3')
    """
    ticks = math.floor(seconds * 10**decimals + 0.5)  # as the pages' script rounds
    whole, part = divmod(ticks, 10**decimals)
    minutes, left = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{part:0{decimals}d}" if decimals else ""
    return f"{hours}:{minutes:02d}:{left:02d}{fraction}" if hours else f"{minutes}:{left:02d}{fraction}"
