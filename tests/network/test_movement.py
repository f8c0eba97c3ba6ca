"""Movement in numbers: each against NumPy, and the same however a clip is cut, or enlarged."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from genre_classifier.network import movement

LEVEL = 1 / 255


def by_numpy(pictures: np.ndarray) -> np.ndarray:
    """Return the numbers of the last of three pictures, (3, 16, 16), in plain NumPy."""
    earlier, before, now = pictures.astype(np.float64)
    change, last = now - before, before - earlier
    size, last_size = np.abs(change), np.abs(last)
    even = size / (size.mean() + LEVEL / 2)
    coarse = change.reshape(4, 4, 4, 4).mean(axis=(1, 3))

    def alike(one, other):
        return np.mean(one * other) / (np.sqrt(np.mean(one**2) * np.mean(other**2)) + LEVEL**2)

    much = [
        np.log(size.mean() + LEVEL),
        np.log((np.abs(change - last).mean() + LEVEL / 4) / (size.mean() + last_size.mean() + LEVEL / 4)),
        alike(change, last),
        alike(size - size.mean(), last_size - last_size.mean()),
        abs(np.log((size.mean() + LEVEL) / (last_size.mean() + LEVEL))),
        np.mean(coarse**2) / (np.mean(change**2) + LEVEL**2),
        np.log(size.mean() + LEVEL / 4) - np.log(now.std() + LEVEL),
        *(np.mean(1 / (1 + (limit / (even + 1e-3)) ** 8)) for limit in (0.25, 0.5, 1, 2, 4)),
    ]
    (right, down), (last_right, last_down) = flow(now, change), flow(before, last)
    speed = np.hypot(right, down)
    mean, jump = speed.mean(), np.hypot(right - last_right, down - last_down).mean()
    how = [
        np.log(mean + 0.02),
        np.hypot(right.mean(), down.mean()) / (mean + 0.02),
        np.log(speed.std() + 0.02),
        np.log(jump + 0.02),
        np.log((jump + 0.02) / (mean + 0.02)),
        np.abs(right).mean() / (mean + 0.02),
        np.log(speed.max() + 0.02),
        np.mean(np.diff(right, axis=1) ** 2) / (mean**2 + 0.01),
        np.mean(np.diff(down, axis=0) ** 2) / (mean**2 + 0.01),
    ]
    cells = even.reshape(4, 4, 4, 4).mean(axis=(1, 3))
    where = ((cells + cells[:, ::-1]) / 2)[:, :2]
    return np.concatenate([much, how, where.ravel()])


def flow(picture, change):
    """Lucas and Kanade: least squares of `gradient . velocity = -change` in each window, slightly damped."""
    along = np.gradient(np.pad(picture, 1, mode="edge"), axis=0)[1:-1, 1:-1]
    across = np.gradient(np.pad(picture, 1, mode="edge"), axis=1)[1:-1, 1:-1]
    found = np.zeros((2, 4, 4))
    for row, col in np.ndindex(4, 4):
        window = np.s_[4 * row : 4 * row + 4, 4 * col : 4 * col + 4]
        gradients = np.stack([across[window].ravel(), along[window].ravel()], axis=1)
        damping = 16 * (3 * LEVEL) ** 2 * np.eye(2)
        found[:, row, col] = np.linalg.solve(gradients.T @ gradients + damping, -gradients.T @ change[window].ravel())
    return np.clip(found, -2, 2)


def described(pixels, state=None):
    state = movement.initial_state(len(pixels)) if state is None else state
    features, state = movement.movement_features(keras.ops.convert_to_tensor(pixels), state)
    return np.asarray(features), state


def moving(frames=7, size=16, seed=0):
    """Return a smooth pattern that moves, with noise: uint8, (1, frames, 3, size, size)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:16, :16]
    waves = [
        128 + 90 * np.sin((x + speed * t * rng.uniform(0.5, 1.5)) / 2.5) * np.cos((y - 0.3 * t) / 3.1)
        for t in range(frames)
        for speed in (0.6,)
    ]
    clip = np.stack(waves)[:, None] + rng.integers(-9, 10, (frames, 3, 16, 16))
    return np.kron(np.clip(clip, 0, 255).astype(np.uint8), np.ones((size // 16, size // 16), np.uint8))[None]


@pytest.mark.parametrize("kind", ["waves", "noise", "still", "cut"])
def test_numbers_equal_those_of_numpy(kind):
    rng = np.random.default_rng(3)
    clip = moving()
    if kind == "noise":
        clip = rng.integers(0, 256, clip.shape, dtype=np.uint8)
    elif kind == "still":
        clip = np.repeat(clip[:, :1], 4, axis=1)
    elif kind == "cut":
        clip[:, 4:] = 255 - clip[:, 4:, :, ::-1]
    found, _ = described(clip)
    grey = clip[0].astype(np.float64).mean(axis=1) / 255
    assert found.shape == (1, clip.shape[1], movement.NUMBERS + 1)
    for frame in range(2, clip.shape[1]):
        np.testing.assert_allclose(found[0, frame, :-1], by_numpy(grey[frame - 2 : frame + 1]), rtol=2e-3, atol=2e-3)
    np.testing.assert_array_equal(found[0, :, -1], [0, 0] + [1] * (clip.shape[1] - 2))
    assert not found[0, :2].any()


def test_a_clip_that_moves_differs_from_one_that_stands_still():
    moves, stands = described(moving())[0], described(np.repeat(moving()[:, :1], 7, axis=1))[0]
    assert np.abs(moves - stands)[0, 2:, 0].min() > 1


def test_which_way_it_moves_left_or_right_is_all_one():
    clip = moving()
    np.testing.assert_allclose(described(clip)[0], described(clip[..., ::-1])[0], atol=1e-3)


@pytest.mark.parametrize("size", [32, 48, 112])
def test_numbers_do_not_depend_on_the_size_of_the_clip(size):
    np.testing.assert_allclose(described(moving(size=size))[0], described(moving())[0], atol=1e-3)


@pytest.mark.parametrize("lengths", [(1,) * 7, (2, 5), (3, 1, 3), (6, 1)])
def test_any_cut_gives_the_same_numbers(lengths):
    clip, state, parts = moving(), None, []
    for start, length in zip(np.cumsum([0, *lengths]), lengths, strict=False):
        part, state = described(clip[:, start : start + length], state)
        parts.append(part)
    np.testing.assert_allclose(np.concatenate(parts, axis=1), described(clip)[0], atol=1e-5)
