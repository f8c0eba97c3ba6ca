"""Scores of frames to segments, for each genre; and segments as CSV, WebVTT, ActivityNet and Label Studio JSON.

Median smoothing, hysteresis, shortest pause, shortest segment: in this order. Of genres that exclude each other each
frame has the best one instead, and what is too short goes to a neighbour.

Pure NumPy and pandas. The rules are those of sound event detection (double thresholds and median filters: Cances,
Guyot and Pellegrini, "Evaluation of post-processing algorithms for polyphonic sound event detection", 2019). The
viewer's page repeats them in JavaScript for its threshold slider; a test holds the two together.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from genre_classifier.config import ExportConfig, SegmentConfig
from genre_classifier.dataset.label_formats import label_studio_tasks
from genre_classifier.genres import check_genres
from preprocessing.base.errors import InputError
from preprocessing.base.files import abbreviated_repr, parse_finite, write_atomically
from preprocessing.base.tables import read_numbers, read_table

if TYPE_CHECKING:
    from genre_classifier.tagging.tasks import TagsRecord

SEGMENT_COLUMNS = ("start", "end", "genre", "score")
# Of a video with a single frame and no known duration: one frame of the most common rate.
_LONE_FRAME_SECONDS = 1 / 25
# Of a video of constant rate whose frames are picked at a rate, at most one long step is left behind the last of them.
# A long step has one frame of the video more than a short one: it is at most twice as long. More is left where a clip
# was cut off, and where the last picture stays.
_MOST_STEPS_LEFT = 2


def frame_borders(times: np.ndarray, *, duration: float | None = None) -> np.ndarray:
    """Return where each frame begins and ends: halfway between its time and its neighbours'.

    Parameters
    ----------
    times : ndarray of float, shape (frames,)
        Strictly increasing seconds.
    duration : float, optional
        The second at which the video ends; no border goes past it.

    Returns
    -------
    ndarray of float64, shape (frames + 1,)
        Frame `i` is shown from border `i` to border `i + 1`. The first border is the first time, since nothing is shown
        before. The last one is the end of the video, where no more than `_MOST_STEPS_LEFT` is left of it; else, and
        without a duration, it lies half a step behind the last time.
    """
    times = np.asarray(times, dtype=np.float64)
    if times.size == 0:
        return np.zeros(1)
    last_step = times[-1] - times[-2] if times.size > 1 else _LONE_FRAME_SECONDS
    borders = np.array([times[0], *(times[:-1] + np.diff(times) / 2), times[-1] + last_step / 2])
    if duration is not None:
        # An only frame stands for the whole video, and the last of several for a rest in which none was picked.
        most = np.median(np.diff(times)) * _MOST_STEPS_LEFT + 1e-6 if times.size > 1 else math.inf
        if duration - times[-1] <= most:
            borders[-1] = max(times[-1], duration)
    return borders


def video_end(times: np.ndarray, duration: float) -> float:
    """Return the second at which a video ends: what `frame_borders` and `to_segments` take as its `duration`.

    Parameters
    ----------
    times : ndarray of float, shape (frames,)
        Strictly increasing seconds of frames, at least one. A clip starts with the video's first frame, at
        any time of its clock.
    duration : float
        Seconds from the video's first frame to the end of its last, as the manifest has it.
    """
    return max(float(times[-1]), float(times[0]) + duration)


def to_segments(
    scores: pd.DataFrame,
    thresholds: Mapping[str, float] | None,
    config: SegmentConfig | None = None,
    *,
    duration: float | None = None,
) -> pd.DataFrame:
    """Turn a score table into segments.

    Parameters
    ----------
    scores : DataFrame, shape (frames, genres)
        A score table: indexed by seconds, one column of probabilities per genre.
    thresholds : mapping of str to float, or None
        Per genre, in (0, 1]: the score at which a segment begins. None: the genres exclude each other, and each frame
        belongs to the one with the highest score.
    config : SegmentConfig, optional
    duration : float, optional
        Seconds of the whole video; no segment ends after it.

    Returns
    -------
    DataFrame
        Columns start, end (seconds), genre, score (mean unsmoothed score of the segment's frames, in [0, 1]), sorted by
        start. Segments of one genre neither overlap nor touch, lie inside the video, and are at least `min_seconds`
        long and `min_gap_seconds` apart; segments of different genres may overlap. Without thresholds they follow each
        other without gap or overlap from the first frame to the last, and a video that is shorter than `min_seconds`
        has one. Turning the segments back into scores of 0 and 1 and those into segments gives the same intervals.

    Raises
    ------
    InputError
        If a threshold is missing or outside (0, 1].
    """
    times = scores.index.to_numpy(dtype=np.float64)
    borders = frame_borders(times, duration=duration)
    config = config or SegmentConfig()
    rows: list[tuple[float, float, str, float]] = []
    genres = list(scores.columns)
    if thresholds is None:
        runs = _best_runs(scores.to_numpy(dtype=np.float64), times, borders, config)
    else:
        runs = []
        for index, genre in enumerate(genres):
            threshold = thresholds.get(genre)
            if threshold is None or not 0 < threshold <= 1:
                raise InputError(f"expected a threshold above 0 and at most 1 for {genre}, got {threshold}")
            values = scores[genre].to_numpy(dtype=np.float64)
            runs += [(index, *run) for run in _active_runs(values, times, borders, threshold, config)]
    for index, first, stop in runs:
        mean = float(scores.iloc[first:stop, index].to_numpy(dtype=np.float64).mean())
        rows.append((borders[first], borders[stop], genres[index], mean))
    rows.sort(key=lambda row: (row[0], genres.index(row[2])))
    segments = pd.DataFrame(rows, columns=list(SEGMENT_COLUMNS))
    return segments.astype({"start": np.float64, "end": np.float64, "genre": object, "score": np.float64})


def read_thresholds(text: str) -> dict[str, float]:
    """Return the thresholds that a person gives: `0.4`, `action=0.3,comedy=0.5`, or both, `0.4,action=0.3`.

    Returns
    -------
    dict of str to float
        By genre; under `""` that of the genres that are not named.

    Raises
    ------
    InputError
        If it is no such text, or a threshold is not above 0 and at most 1.
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        genre, _, number = part.rpartition("=")
        try:
            value = parse_finite(number)
        except ValueError:
            value = 0.0
        if genre in found or not 0 < value <= 1:
            raise InputError(
                f"--threshold must be a number above 0 and at most 1, or GENRE=NUMBER, with commas between, each genre "
                f"once; got {abbreviated_repr(part)}"
            )
        found[genre] = value
    return found


def name_thresholds(given: Mapping[str, float], genres: Iterable[str]) -> dict[str, float]:
    """Return given thresholds (`read_thresholds`) by the genres that they are about; InputError for an unknown one."""
    genres = list(genres)
    if unknown := set(given) - {"", *genres}:
        found = ", ".join(map(abbreviated_repr, sorted(unknown)))
        raise InputError(f"--threshold: expected genres of the run ({', '.join(genres)}), found {found}")
    return {genre: given[genre if genre in given else ""] for genre in genres if genre in given or "" in given}


def used_thresholds(of_run: Mapping[str, float] | None, given: Mapping[str, float]) -> dict[str, float] | None:
    """Return the thresholds of a run with those that are given in their place; None for genres that exclude each other.

    Raises
    ------
    InputError
        If thresholds are given for such genres.
    """
    if of_run is not None:
        return {**of_run, **given}
    if given:
        raise InputError(
            "--threshold: the genres of this run exclude each other, and each moment belongs to the one with the "
            "highest score; leave it out"
        )
    return None


def median_filter(values: np.ndarray, reach: int) -> np.ndarray:
    """Return each value's median with its `reach` neighbours on both sides; the outermost values are repeated."""
    if reach == 0 or values.size == 0:
        return values
    padded = np.pad(values, reach, mode="edge")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1), axis=-1)


def smoothing_reach(times: np.ndarray, smooth_seconds: float) -> int:
    """Return how many frames the median filter takes on each side, from the median time between frames."""
    if times.size < 2:
        return 0
    # A thousandth of a step makes up for rounding in the times.
    return int(smooth_seconds / 2 / float(np.median(np.diff(times))) + 1e-3)


def _runs(mask: np.ndarray) -> np.ndarray:
    """Return first and stop index of every run of True, shape (runs, 2)."""
    edges = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0))
    return edges.reshape(-1, 2)


def _active_runs(
    values: np.ndarray, times: np.ndarray, borders: np.ndarray, threshold: float, config: SegmentConfig
) -> np.ndarray:
    """Return the runs of frames in which one genre is on, shape (runs, 2)."""
    reach = smoothing_reach(times, config.smooth_seconds)
    smoothed = median_filter(values, reach)
    runs = _runs(smoothed >= threshold * config.off_ratio)
    runs = runs[[smoothed[first:stop].max() >= threshold for first, stop in runs]] if len(runs) else runs

    def too_short(first: np.ndarray, stop: np.ndarray, seconds: float) -> np.ndarray:
        # What the median filter would remove from a signal of 0 and 1 goes too, so that a second pass changes nothing.
        short: np.ndarray = (borders[stop] - borders[first] < seconds) | (stop - first <= reach)
        return short

    closed = too_short(runs[:-1, 1], runs[1:, 0], config.min_gap_seconds)
    firsts = runs[np.concatenate([[True], ~closed]), 0] if len(runs) else runs[:, 0]
    stops = runs[np.concatenate([~closed, [True]]), 1] if len(runs) else runs[:, 1]
    keep = ~too_short(firsts, stops, config.min_seconds)
    return np.stack([firsts[keep], stops[keep]], axis=-1)


def _best_runs(
    values: np.ndarray, times: np.ndarray, borders: np.ndarray, config: SegmentConfig
) -> list[tuple[int, int, int]]:
    """Return the runs of frames with the same best genre, (genre, first, stop): they fill the video.

    The shortest run that is too short goes to the neighbour whose genre it shows more, until none is.
    """
    reach = smoothing_reach(times, config.smooth_seconds)
    smoothed = np.stack([median_filter(column, reach) for column in values.T], axis=1)
    best = smoothed.argmax(axis=1)
    edges = np.append(np.flatnonzero(np.diff(best, prepend=-1)), len(best))
    genres = best[edges[:-1]]
    sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(smoothed, axis=0)])
    while len(genres) > 1:
        lengths, frames = np.diff(borders[edges]), np.diff(edges)
        short = (lengths < config.min_seconds) | (frames <= reach)
        short[1:-1] |= (genres[:-2] == genres[2:]) & (lengths[1:-1] < config.min_gap_seconds)
        if not short.any():
            break
        at = int(np.argmin(np.where(short, frames, len(best) + 1)))
        shown = sums[edges[at + 1]] - sums[edges[at]]
        near = [genres[one] for one in (at - 1, at + 1) if 0 <= one < len(genres)]
        genres[at] = max(near, key=lambda genre: shown[genre])
        kept = np.append(True, genres[1:] != genres[:-1])
        edges, genres = edges[np.append(kept, True)], genres[kept]
    return list(zip(genres.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True))


def write_segments(path: Path, segments: pd.DataFrame) -> None:
    """Write `segments.csv`: start,end,genre,score; seconds and probabilities. Atomic.

    What is read back equals what was written, to the last bit.
    """
    write_atomically(path, segments.to_csv(index=False, lineterminator="\n"))  # the shortest text of each number


def read_segments(path: Path) -> pd.DataFrame:
    """Read what `write_segments` wrote.

    Raises
    ------
    InputError
        If the file cannot be read, lacks a column, or holds something that is not a number, or not a genre.
    """
    table = read_table(path, "a table of segments", columns=SEGMENT_COLUMNS)
    limits = {"start": (0.0, math.inf), "end": (0.0, math.inf), "score": (0.0, 1.0)}
    for name, (least, most) in limits.items():
        table[name] = read_numbers(path, table, name, least=least, most=most)
    for row, genre in enumerate(table["genre"], start=2):
        try:
            check_genres([genre])
        except InputError as error:
            raise InputError(f"{path}, row {row}: expected a genre, found {abbreviated_repr(genre)}") from error
    return table[list(SEGMENT_COLUMNS)]


def webvtt(segments: pd.DataFrame) -> str:
    """Return segments as WebVTT (W3C, "WebVTT: The Web Video Text Tracks Format"): a cue for each segment.

    Cues of different genres overlap where their segments do; players show them above each other.
    """
    cues = ["WEBVTT"]
    for number, row in enumerate(segments.to_dict("records"), start=1):
        first = round(row["start"] * 1000)
        last = max(first + 1, round(row["end"] * 1000))  # a cue must end after its start
        text = vtt_text(f"{row['genre']} {row['score']:.2f}")
        cues.append(f"{number}\n{vtt_timestamp(first)} --> {vtt_timestamp(last)}\n{text}")
    return "\n\n".join(cues) + "\n"


def vtt_text(text: str) -> str:
    """Return text as it stands in a WebVTT cue: a bare `&` would begin a character reference there."""
    return html.escape(text, quote=False)


def vtt_timestamp(milliseconds: int) -> str:
    """Return a time as WebVTT writes it, hh:mm:ss.ttt."""
    seconds, milliseconds = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}.{milliseconds:03d}"


def activitynet(segments: Mapping[str, pd.DataFrame]) -> str:
    """Return segments as an ActivityNet detection result: JSON that `read_labels` and ActivityNet's own tools take.

    Parameters
    ----------
    segments : mapping of str to DataFrame
        From the video's name in label tables to its segments, as `to_segments` gives them. Numbers are written so that
        they read back the same: a rounded border would move an overlap across its limit.
    """
    results = {
        source: [
            {"label": row["genre"], "segment": [row["start"], row["end"]], "score": row["score"]}
            for row in table.to_dict("records")
        ]
        for source, table in segments.items()
    }
    document = {"version": "VERSION 1.3", "results": results, "external_data": {"used": False}}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def label_studio(videos: Iterable[tuple[TagsRecord, pd.DataFrame]]) -> str:
    """Return segments as a Label Studio import, pre-annotated: a person corrects them, and `train` reads the result.

    Parameters
    ----------
    videos : iterable of (TagsRecord, DataFrame)
        Of each video what `tags.json` says, and its segments. The run becomes Label Studio's `model_version`; the rate
        of the video turns seconds into the frames that Label Studio counts.
    """
    tasks: list[Any] = []
    for record, segments in videos:
        tasks += label_studio_tasks(
            segments.assign(trailer=record.source),
            {record.source: record.fps},
            prefix=record.made_with.get("label_studio_prefix", ExportConfig.label_studio_prefix),
            predicted_by=f"genre-classifier {record.made_with.get('run', '')[:12]}",
        )
    return json.dumps(tasks, indent=1, ensure_ascii=False) + "\n"
