"""Which frames make the clip, and when each is shown. Pure arithmetic over presentation times in seconds.

The readers of this world report times that are missing, repeat, jump back at a joint between two recordings, or follow
the order of decoding instead of that of showing. `true_times` turns them into strictly increasing seconds;
`pick_frames` chooses by time, never by frame number.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Literal

import numpy as np

from preprocessing.config import ClipConfig

Timing = Literal["timestamps", "repaired", "frame rate"]

# A stream reorders at most 16 frames (H.264 and HEVC, max_dec_frame_buffering).
REORDER_FRAMES = 16
# Fewer frames than this behind a joint are given times from their neighbours, whichever way their clock ran.
FEWEST_REJOINED = 4
# Of a stream with neither timestamps nor a believable frame rate: the commonest rate of elementary streams.
FALLBACK_FPS = 25.0
# Declared rates outside this range are time bases or nonsense, not frame rates.
LOWEST_FPS, HIGHEST_FPS = 0.01, 480.0


def true_times(
    reported: np.ndarray, declared_fps: float, places: np.ndarray | None = None
) -> tuple[np.ndarray, Timing]:
    """Return the strictly increasing time of every decoded frame.

    Frames whose reported time fits no increasing sequence (the complement of a longest increasing subsequence) get a
    time between their neighbours. Where the clock was reset, it goes on one usual spacing after the last frame.

    Parameters
    ----------
    reported : ndarray of float, shape (frames,)
        Seconds as the reader reports them, in the order of showing; NaN where it reports none.
    declared_fps : float
        The stream's own frame rate, used only without times.
    places : ndarray of int, shape (frames,), optional
        The number of each frame in the undamaged stream, where some were lost; by default none was.

    Returns
    -------
    times : ndarray of float64, shape (frames,)
        Seconds, strictly increasing, the first at 0 or later.
    timing : {"timestamps", "repaired", "frame rate"}
        Whether the reported times were good, were repaired, or were replaced by the frame rate.
    """
    reported = np.asarray(reported, dtype=np.float64)
    count = len(reported)
    if count and np.isfinite(reported).all() and reported[0] >= 0 and (np.diff(reported) > 0).all():
        return reported, "timestamps"
    places = np.arange(count) if places is None else np.asarray(places)
    # A tenth of a microsecond, finer than any time base: leaves room between two times for those of frames between.
    unwrapped = _unwrap(np.round(reported, 7))
    known = _longest_increasing(unwrapped)
    if len(known) < max(2, count / 2):
        return places / _believable(declared_fps), "frame rate"
    values, positions = unwrapped[known], places[known]
    step = _usual_step(values, positions)
    # Two more known frames, one usual step per frame beyond the ends, make interpolation extrapolate.
    before, after = positions[0] - places[0] + 1, places[-1] - positions[-1] + 1
    positions = np.concatenate([[positions[0] - before], positions, [positions[-1] + after]])
    values = np.concatenate([[values[0] - before * step], values, [values[-1] + after * step]])
    times = np.interp(places, positions, values)
    # Where frames at the end have no time, the reader gives each frame the time of the packet that came in when it
    # came out: late by as many frames. And no time lies before the start.
    late = after - 1
    return times - min(times[0], late * step), "repaired"


def frame_duration(times: np.ndarray, declared_fps: float | None) -> float:
    """Return the usual seconds from one frame to the next; of a single frame, by the declared rate."""
    if len(times) > 1:
        return float(np.median(np.diff(times)))
    return 1 / _believable(declared_fps or 0.0)


def _believable(declared_fps: float) -> float:
    return declared_fps if LOWEST_FPS <= declared_fps <= HIGHEST_FPS else FALLBACK_FPS


def _usual_step(times: np.ndarray, positions: np.ndarray) -> float:
    return float(np.median(np.diff(times) / np.diff(positions)))


def _unwrap(reported: np.ndarray) -> np.ndarray:
    """Add up the lost time where the clock was set back for good, as at the joint of two recordings.

    Two recordings show in that the frames on each side of the joint are in order, and those of both together are not;
    single wrong times and reordered frames leave most of both sides together in order.
    """
    known = np.flatnonzero(np.isfinite(reported))
    times = reported[known]
    forward = np.diff(times)[np.diff(times) > 0]
    if not len(forward):
        return reported
    step = float(np.median(forward))
    for joint in (np.flatnonzero(np.diff(reported[known]) <= 0) + 1).tolist():
        before = times[max(0, joint - REORDER_FRAMES) : joint]
        after = times[joint : joint + REORDER_FRAMES]
        if after.max() > before.max() + len(after) / 2 * step:
            continue  # most of what follows is in order: the usual case, quickly told
        first, second = _longest_increasing(before), _longest_increasing(after)
        out_of_order = len(first) + len(second) - len(_longest_increasing(np.concatenate([before, after])))
        if out_of_order >= max(FEWEST_REJOINED, min(len(first), len(second)) / 2):
            times[joint:] += before[first[-1]] + step - after[second[0]]
    unwrapped = np.full(len(reported), np.nan)
    unwrapped[known] = times
    return unwrapped


def _longest_increasing(times: np.ndarray) -> np.ndarray:
    """Return the positions of a longest strictly increasing subsequence of the finite times (patience sorting)."""
    tails: list[float] = []
    tail_positions: list[int] = []
    previous = np.full(len(times), -1)
    for position in np.flatnonzero(np.isfinite(times)).tolist():
        pile = bisect_left(tails, times[position])
        if pile == len(tails):
            tails.append(times[position])
            tail_positions.append(position)
        else:
            tails[pile] = times[position]
            tail_positions[pile] = position
        previous[position] = tail_positions[pile - 1] if pile else -1
    chain = []
    position = tail_positions[-1] if tail_positions else -1
    while position >= 0:
        chain.append(position)
        position = int(previous[position])
    if len(chain) > 1 and times[0] < times[chain[-2]]:
        chain[-1] = 0  # of the chains of this length, one that trusts the first frame
    return np.array(chain[::-1], dtype=np.intp)


def pick_frames(times: np.ndarray, config: ClipConfig) -> np.ndarray:
    """Choose the frames that make the clip.

    Parameters
    ----------
    times : ndarray of float64, shape (frames,)
        Seconds, strictly increasing.
    config : ClipConfig
        With `fps`, the frame shown at each 1/fps seconds, at most `frames` of them; else `frames` of them, evenly
        spread; all of them if there are no more.

    Returns
    -------
    ndarray of int, shape (picked,)
        Positions in `times`, strictly increasing.
    """
    if config.fps is not None:
        return _pick_at_rate(times, config.fps)[: config.frames]
    return _pick_evenly(times, config.frames)


def pick_steadily(times: np.ndarray, fps: float) -> tuple[np.ndarray, np.ndarray]:
    """Choose the frame that is shown at each tick of a clock that starts at 0; before the first frame that is shown.

    Parameters
    ----------
    times : ndarray of float64, shape (frames,)
        Seconds, strictly increasing.
    fps : float
        Ticks per second.

    Returns
    -------
    picks, ticks : ndarray of int, shape (picked,)
        Positions in `times`, strictly increasing, and for how many ticks each of these frames is shown.
    """
    # The last frame stays for half a tick, so that it is shown once.
    until = np.append(times[1:], times[-1] + 0.5 / fps)
    # As in _pick_at_rate, a millionth of a second against the rounding of k / fps.
    ticks = np.diff(np.ceil((until - 1e-6) * fps).astype(np.intp), prepend=0)
    picks = np.flatnonzero(ticks)
    return picks, ticks[picks]


def _pick_at_rate(times: np.ndarray, fps: float) -> np.ndarray:
    """Pick each frame that is shown at some k / fps, counted from 0."""
    if not len(times):
        return np.empty(0, dtype=np.intp)
    # A millionth of a second: below any time base, above the rounding of k / fps.
    begins = times - 1e-6
    ends = np.append(begins[1:], begins[-1] + frame_duration(times, None))
    begins[0] = 0.0  # what comes before the first frame shows it, too
    return np.flatnonzero(np.ceil(begins * fps) / fps < ends)


def _pick_evenly(times: np.ndarray, most: int) -> np.ndarray:
    """Pick `most` frames, the first and the last among them, evenly spaced in time to within one source frame.

    A still that lasts longer than one spacing holds several even instants but only one frame. Such a pause counts as
    one spacing long, so that the frames it cannot give are spread over the rest of the video.
    """
    count = len(times)
    if count <= most:
        return np.arange(count)
    if most == 1:
        return np.array([int(np.searchsorted(times, (times[0] + times[-1]) / 2, side="right")) - 1])
    gaps = np.diff(times)
    clock = np.concatenate([[0.0], np.cumsum(np.minimum(gaps, _spacing(gaps, most)))])
    targets = np.linspace(0.0, clock[-1], most)
    right = np.clip(np.searchsorted(clock, targets, side="left"), 1, count - 1)
    picks = np.where(targets - clock[right - 1] <= clock[right] - targets, right - 1, right)
    # Rounding may still bring two targets to one frame: make room for each before and behind it.
    steps = np.arange(most)
    picks = np.maximum.accumulate(np.maximum(picks, steps) - steps) + steps
    return np.minimum(picks, count - most + steps)


def _spacing(gaps: np.ndarray, most: int) -> float:
    """Return the spacing s with sum(min(gap, s)) = (most - 1) s: the gaps longer than s count as s."""
    ordered = np.sort(gaps)
    short = np.arange(1, len(ordered) + 1)
    spacings = np.cumsum(ordered) / np.maximum(short - (len(ordered) - (most - 1)), 1)
    # Exactly one number of short gaps is consistent: its spacing lies between the last short and the first long gap.
    longest_short = ordered
    shortest_long = np.append(ordered[1:], np.inf)
    fits = (short > len(ordered) - (most - 1)) & (longest_short <= spacings) & (spacings <= shortest_long)
    return float(spacings[np.argmax(fits)]) if fits.any() else float(gaps.sum() / (most - 1))
