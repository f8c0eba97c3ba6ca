"""Cuts: found between shots, in a whole clip and in frames that come a few at a time."""

from __future__ import annotations

import numpy as np
import pytest

from genre_classifier.dataset.cuts import CutFinder, find_cuts


@pytest.fixture
def clip() -> np.ndarray:
    rng = np.random.default_rng(0)
    clip = np.empty((60, 3, 40, 40), dtype=np.uint8)
    for shot, colour in enumerate(([200, 30, 30], [30, 30, 200], [210, 210, 60])):
        for frame in range(shot * 20, shot * 20 + 20):
            clip[frame] = np.array(colour, dtype=np.uint8)[:, None, None]
            left = frame % 20  # a square moves through the shot
            clip[frame, :, 10:20, left : left + 10] = 128
    return np.clip(clip.astype(int) + rng.integers(-6, 7, clip.shape), 0, 255).astype(np.uint8)


TIMES = np.arange(60) * 0.1


def test_cuts_are_found_between_shots_and_not_in_motion(clip):
    np.testing.assert_allclose(find_cuts(clip, TIMES), [1.95, 3.95])
    assert find_cuts(clip[:1], TIMES[:1]).size == 0
    assert find_cuts(clip[:15], TIMES[:15]).size == 0


@pytest.mark.parametrize("chunk", [1, 7, 20])
def test_the_same_cuts_however_the_frames_come(clip, chunk):
    finder = CutFinder()
    finder.feed(clip[::-1])
    finder.reset()
    for start in range(0, 60, chunk):
        finder.feed(clip[start : start + chunk])
    np.testing.assert_array_equal(finder.cuts(TIMES), find_cuts(clip, TIMES))
