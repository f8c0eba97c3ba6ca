"""Segments against hand-worked cases, and the properties that hold for any scores."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genre_classifier.config import SegmentConfig
from genre_classifier.genres import GENRES
from genre_classifier.tagging.scores import scores_table
from genre_classifier.tagging.segments import frame_borders, median_filter, to_segments
from preprocessing.base.errors import InputError
from preprocessing.config import ClipConfig
from preprocessing.sampling import frame_duration, pick_frames

PLAIN = SegmentConfig(smooth_seconds=0, off_ratio=1, min_seconds=0, min_gap_seconds=0)
HALF = dict.fromkeys(GENRES, 0.5)


def table(values: list[float], times: np.ndarray | None = None, genre: str = "action") -> pd.DataFrame:
    """Give one genre these scores, the others zero."""
    scores = np.zeros((len(values), len(GENRES)))
    scores[:, GENRES.index(genre)] = values
    return scores_table(np.arange(len(values)) if times is None else times, scores)


def intervals(segments: pd.DataFrame) -> list[tuple[float, float]]:
    return list(zip(segments["start"], segments["end"], strict=True))


def test_borders_lie_halfway_and_inside_the_video() -> None:
    np.testing.assert_allclose(frame_borders(np.array([0.0, 1, 3, 4])), [0, 0.5, 2, 3.5, 4.5])
    np.testing.assert_allclose(frame_borders(np.array([0.0, 1, 3, 4]), duration=4.1), [0, 0.5, 2, 3.5, 4.1])
    # The last frame stands for the rest of the video, up to two steps.
    np.testing.assert_allclose(frame_borders(np.array([0.0, 1, 3, 4]), duration=4.7), [0, 0.5, 2, 3.5, 4.7])
    np.testing.assert_allclose(frame_borders(np.array([0.0, 1, 2]), duration=4), [0, 0.5, 1.5, 4])
    np.testing.assert_allclose(frame_borders(np.array([0.0, 1, 2]), duration=4.1), [0, 0.5, 1.5, 2.5])
    # A clip that covers the beginning of a long video ends half a step after its last frame.
    np.testing.assert_allclose(frame_borders(np.array([8.0, 11, 14]), duration=90), [8, 9.5, 12.5, 15.5])  # sound first
    np.testing.assert_allclose(frame_borders(np.array([0.2]), duration=0.5), [0.2, 0.5])
    np.testing.assert_allclose(frame_borders(np.array([3.0])), [3.0, 3.02])
    assert frame_borders(np.array([])).tolist() == [0]


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([Fraction(24000, 1001), Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(60)]),
    st.integers(3, 600),
    st.one_of(st.builds(ClipConfig, fps=st.floats(0.5, 60)), st.builds(ClipConfig, frames=st.integers(3, 700))),
)
def test_frames_that_were_picked_from_a_whole_video_stand_for_all_of_it(
    rate: Fraction, count: int, config: ClipConfig
) -> None:
    times = np.arange(count) / float(rate)
    duration = count / float(rate)
    picked = times[pick_frames(times, config)]
    assert frame_borders(picked, duration=duration)[-1] == duration
    # Cut off, it ends near its last frame.
    cut = dataclasses.replace(config, fps=5.0, frames=10)
    few = times[pick_frames(times, cut)]
    if duration > 4:
        assert frame_borders(few, duration=duration)[-1] < 2.1


@given(st.lists(st.floats(0.001, 5), min_size=2, max_size=60))
def test_all_frames_of_a_video_of_changing_rate_stand_for_all_of_it(gaps: list[float]) -> None:
    times = np.concatenate([[0.0], np.cumsum(gaps)])
    duration = float(times[-1] + frame_duration(times, None))
    assert frame_borders(times, duration=duration)[-1] == duration


def test_segments_of_a_plain_threshold() -> None:
    segments = to_segments(table([0.5, 0.9, 0.1, 0.2, 0.7, 0.6]), HALF, PLAIN)
    assert intervals(segments) == [(0, 1.5), (3.5, 5.5)]
    assert segments["genre"].tolist() == ["action", "action"]
    np.testing.assert_allclose(segments["score"], [0.7, 0.65], atol=1e-6)


def test_hysteresis_keeps_a_segment_alive_and_starts_none() -> None:
    scores = table([0.45, 0.6, 0.45, 0.1, 0.45, 0.45, 0.1])
    assert intervals(to_segments(scores, HALF, SegmentConfig(0, 0.8, 0, 0))) == [(0, 2.5)]


def test_short_gaps_close_before_short_segments_go() -> None:
    scores = table([0, 1, 0, 1, 0, 0, 0, 1, 0, 0])
    assert intervals(to_segments(scores, HALF, SegmentConfig(0, 1, 2, 1.5))) == [(0.5, 3.5)]


def test_median_removes_a_spike() -> None:
    scores = table([0, 0, 1, 0, 0, 1, 1, 1, 1, 0, 1, 1])
    assert intervals(to_segments(scores, HALF, SegmentConfig(2, 1, 0, 0))) == [(4.5, 11.5)]
    np.testing.assert_allclose(median_filter(np.array([3.0, 1, 2, 9, 4]), 1), [3, 2, 2, 4, 4])


@pytest.mark.parametrize("threshold", [0, -1, 1.1, float("nan"), None])
def test_impossible_thresholds_are_refused(threshold: float | None) -> None:
    with pytest.raises(InputError, match="terror"):
        to_segments(table([0.5]), HALF | {"terror": threshold}, PLAIN)  # type: ignore[arg-type]


def test_no_frames_and_one_frame() -> None:
    assert to_segments(table([]), HALF).empty
    assert intervals(to_segments(table([0.9]), HALF, PLAIN, duration=3.0)) == [(0, 3)]


seconds = st.floats(0, 4, allow_nan=False)
configs = st.builds(
    SegmentConfig, smooth_seconds=seconds, off_ratio=st.floats(0.05, 1), min_seconds=seconds, min_gap_seconds=seconds
)


@st.composite
def clips(draw: st.DrawFn) -> pd.DataFrame:
    steps = draw(st.lists(st.one_of(st.just(0.5), st.floats(0.01, 3)), min_size=1, max_size=40))
    levels = st.one_of(st.floats(0, 1, width=32), st.sampled_from([0.0, 0.5, 1.0]))
    rows = draw(st.lists(levels, min_size=len(steps), max_size=len(steps)))
    # Two genres are enough: each is treated alone.
    return table(rows, np.cumsum(steps) - steps[0]).assign(musical=rows[::-1])


@settings(max_examples=300, deadline=None)
@given(clips(), configs, st.floats(0.01, 1), st.one_of(st.none(), st.floats(0, 5)))
def test_properties_of_segments(
    scores: pd.DataFrame, config: SegmentConfig, threshold: float, tail: float | None
) -> None:
    times = scores.index.to_numpy()
    duration = None if tail is None else float(times[-1] + tail)
    thresholds = dict.fromkeys(GENRES, threshold)
    segments = to_segments(scores, thresholds, config, duration=duration)
    assert (segments["start"] >= 0).all()
    assert segments["start"].is_monotonic_increasing
    if duration is not None:
        assert (segments["end"] <= duration).all()
    assert (segments["end"] - segments["start"] >= config.min_seconds - 1e-9).all()

    binary = scores * 0
    for genre, rows in segments.groupby("genre"):
        gaps = rows["start"].to_numpy()[1:] - rows["end"].to_numpy()[:-1]
        assert (gaps > 0).all()
        assert (gaps >= config.min_gap_seconds - 1e-9).all()
        for start, end, mean in zip(rows["start"], rows["end"], rows["score"], strict=True):
            inside = (times >= start) & (times < end)
            # A last frame at the very end of the video is still inside.
            inside[-1] |= end >= times[-1] > start
            assert scores.loc[inside, genre].mean() == pytest.approx(mean, abs=1e-6)
            binary.loc[inside, genre] = 1.0
    again = to_segments(binary, thresholds, config, duration=duration)
    pd.testing.assert_frame_equal(again.drop(columns="score"), segments.drop(columns="score"))


def best_of(*rows: list[float]) -> pd.DataFrame:
    """Give action, comedy and drama these scores, a second for each."""
    return pd.DataFrame(
        dict(zip(("action", "comedy", "drama"), rows, strict=True)), index=np.arange(float(len(rows[0])))
    )


def found(segments: pd.DataFrame) -> list[tuple[str, float, float]]:
    return list(zip(segments["genre"], segments["start"], segments["end"], strict=True))


def test_of_genres_that_exclude_each_other_each_frame_has_the_best() -> None:
    scores = best_of([0.4, 0.4, 0.2, 0.2, 0.1], [0.3, 0.3, 0.3, 0.5, 0.1], [0.3, 0.3, 0.5, 0.3, 0.8])
    segments = to_segments(scores, None, PLAIN)
    assert found(segments) == [("action", 0, 1.5), ("drama", 1.5, 2.5), ("comedy", 2.5, 3.5), ("drama", 3.5, 4.5)]
    np.testing.assert_allclose(segments["score"], [0.4, 0.5, 0.5, 0.8])
    # Of equal ones, the first.
    assert found(to_segments(best_of([0.3] * 3, [0.4] * 3, [0.4] * 3), None, PLAIN)) == [("comedy", 0, 2.5)]


def test_what_is_too_short_goes_to_the_neighbour_whose_genre_it_shows_more() -> None:
    rules = SegmentConfig(smooth_seconds=0, min_seconds=1.5, min_gap_seconds=0)
    action, comedy = [0.8, 0.8, 0.2, 0.3, 0.1, 0.1], [0.1, 0.1, 0.3, 0.3, 0.6, 0.6]
    drama = [0.1, 0.1, 0.5, 0.4, 0.3, 0.3]
    assert found(to_segments(best_of(action, comedy, drama), None, rules)) == [
        ("action", 0, 1.5),
        ("drama", 1.5, 3.5),
        ("comedy", 3.5, 5.5),
    ]
    drama[3] = 0.25  # now a second each of drama and action, or comedy: none long enough
    comedy[3] = 0.32
    assert found(to_segments(best_of(action, comedy, drama), None, rules)) == [("action", 0, 1.5), ("comedy", 1.5, 5.5)]


def test_a_short_pause_of_a_genre_is_closed_and_a_short_video_has_its_best_genre() -> None:
    rules = SegmentConfig(smooth_seconds=0, min_seconds=1, min_gap_seconds=2.5)
    scores = best_of([0.9] * 3 + [0.1] * 2 + [0.9] * 3, [0.05] * 3 + [0.8] * 2 + [0.05] * 3, [0.05] * 8)
    assert found(to_segments(scores, None, rules)) == [("action", 0, 7.5)]
    assert len(to_segments(scores, None, SegmentConfig(smooth_seconds=0, min_gap_seconds=1))) == 3
    short = to_segments(best_of([0.2, 0.2], [0.3, 0.3], [0.5, 0.5]), None, SegmentConfig(min_seconds=60))
    assert found(short) == [("drama", 0, 1.5)]
    assert to_segments(best_of([], [], []), None).empty


@st.composite
def rivals(draw: st.DrawFn) -> pd.DataFrame:
    steps = draw(st.lists(st.one_of(st.just(0.5), st.floats(0.01, 3)), min_size=1, max_size=40))
    row = st.lists(st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.5, 1.0])), min_size=3, max_size=3)
    rows = draw(st.lists(row, min_size=len(steps), max_size=len(steps)))
    return pd.DataFrame(np.array(rows), index=np.cumsum(steps) - steps[0], columns=["action", "comedy", "drama"])


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(rivals(), configs, st.one_of(st.none(), st.floats(0.01, 5)))
def test_properties_of_segments_of_genres_that_exclude_each_other(
    scores: pd.DataFrame, config: SegmentConfig, tail: float | None
) -> None:
    times = scores.index.to_numpy()
    duration = None if tail is None else float(times[-1] + tail)
    borders = frame_borders(times, duration=duration)
    segments = to_segments(scores, None, config, duration=duration)
    # They fill the whole video, one after the other.
    assert segments["start"].iloc[0] == borders[0]
    assert segments["end"].iloc[-1] == borders[-1]
    assert segments["start"].tolist()[1:] == segments["end"].tolist()[:-1]
    assert (segments["genre"].to_numpy()[1:] != segments["genre"].to_numpy()[:-1]).all()
    if len(segments) > 1:
        assert (segments["end"] - segments["start"] >= config.min_seconds - 1e-9).all()
    binary = scores * 0
    for row in segments.to_dict("records"):
        first, stop = np.searchsorted(borders, [row["start"], row["end"]])
        assert scores[row["genre"]].iloc[first:stop].mean() == pytest.approx(row["score"])
        binary.iloc[first:stop, list(scores.columns).index(row["genre"])] = 1.0
    again = to_segments(binary, None, config, duration=duration)
    assert found(again) == found(segments)
