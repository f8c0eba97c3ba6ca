"""Copies of a tagged video: small inside the viewer, for pages sent without it; and `overlay.mp4`, scores drawn on it.

The overlay has the scores on each frame and names the running genres. No copy has sound.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np

from genre_classifier.genres import genre_looks
from genre_classifier.tagging.segments import frame_borders
from genre_classifier.tagging.tags import FEW_GENRES, Tags
from preprocessing.config import CopyConfig, VideoLimits
from preprocessing.reader_client import Pictures, steady_pictures
from preprocessing.video import write_video

# About 300 kbit/s: six megabytes for a trailer of two and a half minutes, as much as a mail can carry.
EMBEDDED_ROWS = 240
EMBEDDED_FPS = 25.0


def embedded_copy(video: Path, *, limits: VideoLimits | None = None) -> bytes:
    """Return the copy as a WebM file with VP8, which every browser plays.

    Parameters
    ----------
    video : Path
    limits : VideoLimits, optional
        What the video may cost.

    Raises
    ------
    InputError
        If the video cannot be read.
    WorkError
        If the copy cannot be written.
    """
    config = CopyConfig(most_fps=EMBEDDED_FPS, most_rows=EMBEDDED_ROWS)
    with steady_pictures(video, config, limits=limits) as (fps, pictures), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "copy.webm"
        write_video(path, (picture for _, picture in pictures), fps)
        return path.read_bytes()


# Text is unreadable on smaller frames: those are enlarged.
_FEWEST_ROWS = 480
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_WHITE, _GREY = (255, 255, 255), (165, 165, 165)


def write_overlay(path: Path, tags: Tags, *, limits: VideoLimits | None = None) -> None:
    """Write the copy, at a constant frame rate and in the video's own size. Atomic.

    Parameters
    ----------
    path : Path
    tags : Tags
    limits : VideoLimits, optional
        What the video may cost.

    Raises
    ------
    InputError
        If the video can no longer be read.
    WorkError
        If the copy cannot be written.
    """
    config = CopyConfig(fewest_rows=_FEWEST_ROWS)
    with steady_pictures(tags.video, config, limits=limits) as (fps, pictures):
        write_video(path, _drawn(tags, pictures), fps)


def _drawn(tags: Tags, pictures: Pictures) -> Iterator[np.ndarray]:
    borders = frame_borders(tags.scores.index.to_numpy(), duration=tags.duration)
    shown = list(tags.shown_genres()[:FEW_GENRES])
    colours = {genre: tuple(bytes.fromhex(look.colour[1:])) for genre, look in genre_looks(tags.genres).items()}
    values = tags.scores[shown].to_numpy()
    spans = {genre: rows[["start", "end"]].to_numpy() for genre, rows in tags.segments.groupby("genre")}
    for time, picture in pictures:
        frame = int(np.clip(np.searchsorted(borders, time, side="right") - 1, 0, len(values) - 1))
        running = [
            genre
            for genre in tags.genres
            if genre in spans and ((spans[genre][:, 0] <= time) & (time < spans[genre][:, 1])).any()
        ]
        yield draw_scores(picture, dict(zip(shown, values[frame], strict=True)), tags.thresholds, colours, running)


def draw_scores(
    picture: np.ndarray,
    scores: Mapping[str, float],
    thresholds: Mapping[str, float] | None,
    colours: Mapping[str, tuple[int, ...]],
    running: list[str],
) -> np.ndarray:
    """Draw a bar for each score in the lower left corner, and the names of the running genres above them.

    Parameters
    ----------
    picture : ndarray of uint8, shape (rows, cols, 3)
        RGB; not changed.
    scores : mapping of str to float
        Per genre, a probability.
    thresholds : mapping of str to float, or None
        Per genre; a tick on each bar.
    colours : mapping of str to tuple of int
        Per genre, RGB.
    running : list of str
        Genres whose segments hold this frame.

    Returns
    -------
    ndarray of uint8, shape (rows, cols, 3)
    """
    drawn = picture.copy()
    unit = min(drawn.shape[0] / 30, drawn.shape[1] / 36)  # one line of text
    margin, name_width, bar_width = round(unit * 0.8), round(unit * 4.6), round(unit * 7)
    left, top = margin, drawn.shape[0] - margin - round(unit * (len(scores) + 0.6))
    right, bottom = left + name_width + bar_width + round(unit), drawn.shape[0] - margin
    panel = drawn[top:bottom, left:right]
    panel[:] = (panel * 0.35).astype(np.uint8)  # dark enough for white text on any picture
    thick = max(1, round(unit / 16))
    for row, (genre, score) in enumerate(scores.items()):
        base = round(top + unit * (row + 1.1))
        on = genre in running
        _text(drawn, genre, (left + round(unit * 0.4), base), unit, _WHITE if on else _GREY, thick)
        bar_left, bar_top = left + name_width, round(base - unit * 0.6)
        filled = bar_left + round(bar_width * float(score))
        cv2.rectangle(drawn, (bar_left, bar_top), (bar_left + bar_width, base), (60, 60, 60), cv2.FILLED)
        cv2.rectangle(drawn, (bar_left, bar_top), (filled, base), colours[genre], cv2.FILLED)
        if thresholds is not None:
            tick = bar_left + round(bar_width * thresholds[genre])
            cv2.line(drawn, (tick, bar_top - thick), (tick, base + thick), _WHITE, thick)
    if running:
        _text(drawn, " + ".join(running), (left, top - round(unit * 0.7)), unit * 1.6, _WHITE, thick * 2, edge=True)
    return drawn


def _text(
    picture: np.ndarray,
    text: str,
    at: tuple[int, int],
    height: float,
    colour: tuple[int, ...],
    thick: int,
    *,
    edge: bool = False,
) -> None:
    """Write text with its lower left corner at `at`; with a dark edge where it stands on the picture itself."""
    scale = height / 32  # Hershey capitals are 21 units high: two thirds of a line
    if edge:
        cv2.putText(picture, text, at, _FONT, scale, (0, 0, 0), thick + max(2, round(height / 8)), cv2.LINE_AA)
    cv2.putText(picture, text, at, _FONT, scale, colour, thick, cv2.LINE_AA)
