"""Which frames make a clip, and when they are shown: properties over arbitrary timestamps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preprocessing.config import ClipConfig
from preprocessing.sampling import FALLBACK_FPS, frame_duration, pick_frames, true_times

gaps = st.lists(st.floats(1e-3, 20.0), min_size=0, max_size=200)
increasing = st.builds(
    lambda start, steps: start + np.concatenate([[0.0], np.cumsum(steps)]), st.floats(0.0, 5.0), gaps
)


@given(times=increasing, most=st.integers(1, 250))
def test_even_picks_are_even_to_within_one_source_frame(times: np.ndarray, most: int) -> None:
    picks = pick_frames(times, ClipConfig(frames=most))
    assert len(picks) == min(most, len(times))
    assert (np.diff(picks) > 0).all()
    assert 0 <= picks[0] <= picks[-1] < len(times)
    if len(times) <= most:
        return
    duration = times[-1] - times[0]
    spacing = duration / max(most - 1, 1)
    assert times[picks[0]] - times[0] <= spacing
    assert times[-1] - times[picks[-1]] <= spacing
    if most > 1:
        # The even instants of a video whose long stills count as one spacing: the only way to give every instant a
        # frame of its own. Without such stills the two clocks are the same.
        steps = np.diff(times)
        low, high = 0.0, duration
        for _ in range(200):  # bisection, independent of the closed form under test
            middle = (low + high) / 2
            low, high = (middle, high) if np.minimum(steps, middle).sum() > (most - 1) * middle else (low, middle)
        clock = np.concatenate([[0.0], np.cumsum(np.minimum(steps, high))])
        instants = np.linspace(0.0, clock[-1], most)
        source_frame = np.minimum(steps, high).max()
        assert np.abs(clock[picks] - instants).max() <= source_frame + 1e-9
        assert np.abs(np.diff(clock[picks]) - high).max() <= source_frame + 1e-9


@given(count=st.integers(2, 3000), most=st.integers(2, 1000), fps=st.floats(1.0, 240.0))
def test_even_picks_of_a_constant_rate_are_the_nearest_frames(count: int, most: int, fps: float) -> None:
    picks = pick_frames(np.arange(count) / fps, ClipConfig(frames=most))
    ideal = np.linspace(0, count - 1, min(most, count))
    assert np.abs(picks - ideal).max() <= 0.5 + 1e-6


@pytest.mark.slow
@given(times=increasing, fps=st.floats(0.05, 100.0), most=st.integers(1, 100))
def test_picks_at_a_rate_are_the_frames_shown_then(times: np.ndarray, fps: float, most: int) -> None:
    picks = pick_frames(times, ClipConfig(frames=most, fps=fps))
    assert 1 <= len(picks) <= most
    assert (np.diff(picks) > 0).all()
    shown = []
    tick = 0
    while tick / fps < times[-1] - 1e-6 + frame_duration(times, None) and len(shown) <= most:
        frame = max(0, int(np.sum(times <= tick / fps + 1e-6)) - 1)
        if frame not in shown:
            shown.append(frame)
        tick += 1
        if tick > 3000:
            return
    np.testing.assert_array_equal(picks, shown[:most])


def test_a_long_still_takes_one_pick_and_leaves_the_rest_even() -> None:
    times = np.concatenate([[0.0], 2.125 + np.arange(669) / 24])  # as one of the real trailers is
    picks = pick_frames(times, ClipConfig(frames=120))
    assert len(picks) == 120
    assert np.ptp(np.diff(times[picks][1:])) < 2 / 24


@given(times=increasing)
def test_good_times_are_kept_as_they_are(times: np.ndarray) -> None:
    mended, timing = true_times(times, 25.0)
    assert timing == "timestamps"
    np.testing.assert_array_equal(mended, times)


@given(
    reported=st.lists(st.one_of(st.floats(-5.0, 1e6), st.just(0.0), st.just(float("nan"))), max_size=120),
    fps=st.floats(-1.0, 1e6),
)
def test_any_times_become_strictly_increasing(reported: list[float], fps: float) -> None:
    times, _ = true_times(np.array(reported), fps)
    assert len(times) == len(reported)
    assert np.isfinite(times).all()
    assert (times >= 0).all()
    assert (np.diff(times) > 0).all()


@given(count=st.integers(40, 200), seed=st.integers(0, 1000))
def test_scattered_wrong_times_are_mended_to_within_one_frame(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    true = np.arange(count) / 25
    reported = true.copy()
    wrong = rng.choice(np.arange(1, count - 1), size=count // 20, replace=False)
    reported[wrong] += rng.uniform(-0.3, 0.3, len(wrong))
    mended, _ = true_times(reported, 25.0)
    good = np.setdiff1d(np.arange(count), np.concatenate([wrong - 1, wrong, wrong + 1]))
    assert np.abs(mended - true).max() <= 0.35
    assert np.median(np.abs(mended[good] - true[good])) < 1e-9


def test_a_jump_back_of_one_frame_is_interpolated() -> None:
    reported = np.array([0.0, 0.04, 0.16, 0.12, 0.16, 0.20])  # as at the joints of one of the real trailers
    times, timing = true_times(reported, 25.0)
    assert timing == "repaired"
    np.testing.assert_allclose(times, np.arange(6) * 0.04, atol=1e-6)


@pytest.mark.parametrize("lengths", [(100, 80, 60), (20, 20, 20), (5, 40, 3), (40, 1, 40)])
@pytest.mark.parametrize("start", [0.0, 0.48, 1.0])
def test_a_clock_that_starts_again_goes_on(lengths: tuple[int, ...], start: float) -> None:
    # At a start of 0.48 s, the second recording begins before the first one's end, and where it should.
    reported = np.concatenate([start * (number > 0) + np.arange(length) / 25 for number, length in enumerate(lengths)])
    times, _ = true_times(reported, 25.0)
    gap = np.diff(times).max()
    assert (gap <= 0.041) or (start > lengths[0] / 25)  # no more than a frame, but for a true gap forward
    assert abs(times[-1] - (sum(lengths) - 1) / 25) <= max(0.0, start - lengths[0] / 25) + 0.2


@pytest.mark.parametrize("wrong", [1e5, -3.0, 3.0])
@pytest.mark.parametrize("where", [1, 50, 98])
def test_one_absurd_time_costs_nothing(where: int, wrong: float) -> None:
    true = np.arange(100) / 25
    reported = true.copy()
    reported[where] += wrong
    times, timing = true_times(reported, 25.0)
    assert timing == "repaired"
    np.testing.assert_allclose(times, true, atol=1e-6)


def test_missing_times_at_the_end_mean_that_all_are_late() -> None:
    reported = np.concatenate([2 / 30 + np.arange(298) / 30, [0.0, 0.0]])  # as in an AVI with reordered frames
    times, timing = true_times(reported, 30.0)
    assert timing == "repaired"
    np.testing.assert_allclose(times, np.arange(300) / 30, atol=1e-6)


@pytest.mark.parametrize(
    ("fps", "expected"), [(30.0, 30.0), (0.0, FALLBACK_FPS), (1e6, FALLBACK_FPS), (float("nan"), FALLBACK_FPS)]
)
def test_no_times_at_all_follow_the_frame_rate(fps: float, expected: float) -> None:
    times, timing = true_times(np.zeros(50), fps)
    assert timing == "frame rate"
    np.testing.assert_allclose(times, np.arange(50) / expected)


def test_duration_of_a_frame() -> None:
    assert frame_duration(np.array([0.0, 0.5, 1.0, 9.0]), 25.0) == 0.5
    assert frame_duration(np.array([0.0]), 10.0) == 0.1
    assert frame_duration(np.array([0.0]), None) == 1 / FALLBACK_FPS


def test_lost_frames_leave_their_time_free() -> None:
    places = np.array([0, 1, 2, 5, 6, 9])
    times, timing = true_times(np.full(6, np.nan), 10.0, places)
    assert timing == "frame rate"
    np.testing.assert_allclose(times, places / 10)
    reported = places / 10.0
    reported[2] = reported[-1] = np.nan
    times, timing = true_times(reported, 10.0, places)
    assert timing == "repaired"
    np.testing.assert_allclose(np.diff(times), np.diff(places) / 10)
