"""The moving pictures of one genre: shapes that two genres share, and a movement that only one of them has."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np

# Colours as RGB: background, then the shapes. The two genres of a pair share one palette.
_BRIGHT = np.array([(250, 236, 200), (235, 80, 90), (60, 160, 225), (250, 190, 30), (110, 200, 90)], dtype=np.float32)
_DARK = np.array([(18, 20, 30), (70, 75, 95), (95, 60, 65), (55, 85, 80), (110, 110, 125)], dtype=np.float32)
_WARM = np.array([(120, 85, 60), (190, 130, 70), (90, 100, 120), (160, 70, 45), (205, 175, 130)], dtype=np.float32)
_PALETTES = {
    "comedy": _BRIGHT,
    "musical": _BRIGHT,
    "thriller": _DARK,
    "terror": _DARK,
    "action": _WARM,
    "other": _WARM,
}
_SHAPES = 5
_LOW, _HIGH = 0.1, 0.9  # shapes' centres stay inside this part of the frame
_FLASH = 1.5  # exposure of a flash; still shots are drawn from the same range


def _fold(positions: np.ndarray) -> np.ndarray:
    """Reflect unbounded coordinates into the visible range, as a ball between two walls."""
    span = _HIGH - _LOW
    phase = np.mod(positions - _LOW, 2 * span)
    return _LOW + np.where(phase > span, 2 * span - phase, phase)


def _start(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(_LOW, _HIGH, size=(_SHAPES, 2))  # (shapes, xy), in units of the frame


def _direction(rng: np.random.Generator, count: int) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi, size=count)
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)  # (count, xy)


def _wander(rng: np.random.Generator, seconds: np.ndarray) -> np.ndarray:
    turn = np.cumsum(rng.normal(0, 0.25, size=(len(seconds), _SHAPES)), axis=0)
    angle = rng.uniform(0, 2 * np.pi, size=_SHAPES) + turn
    step = 0.35 * np.gradient(seconds)[:, None, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return _fold(_start(rng) + np.cumsum(step, axis=0))


def _hop(rng: np.random.Generator, seconds: np.ndarray) -> np.ndarray:
    beats_per_second, phase = rng.uniform(1.5, 2.5), rng.uniform(0, 1)
    height = 0.22 * np.abs(np.sin(np.pi * (beats_per_second * seconds + phase)))
    positions = np.repeat(_start(rng)[None], len(seconds), axis=0)
    positions[..., 1] -= height[:, None]
    return _fold(positions)


def _creep(rng: np.random.Generator, seconds: np.ndarray) -> np.ndarray:
    return _fold(_start(rng) + rng.uniform(0.07, 0.12) * _direction(rng, 1) * seconds[:, None, None])


def _freeze_and_jolt(rng: np.random.Generator, seconds: np.ndarray) -> np.ndarray:
    positions = np.empty((len(seconds), _SHAPES, 2))
    place, next_jolt, shaking_until = _start(rng), seconds[0] + rng.uniform(0.2, 0.8), -1.0
    for index, second in enumerate(seconds):
        if second >= next_jolt:
            place = _start(rng)
            shaking_until = second + 0.2
            next_jolt = second + rng.uniform(0.5, 1.1)
        shake = rng.normal(0, 0.03, size=2) if second < shaking_until else 0.0
        positions[index] = place + shake
    return _fold(positions)


def _race(rng: np.random.Generator, seconds: np.ndarray) -> np.ndarray:
    speed = rng.uniform(0.8, 1.4, size=(_SHAPES, 1))
    return _fold(_start(rng) + speed * _direction(rng, _SHAPES) * seconds[:, None, None])


def _rest(rng: np.random.Generator, seconds: np.ndarray) -> np.ndarray:
    return _fold(_start(rng) + 0.015 * _direction(rng, _SHAPES) * seconds[:, None, None])


_MOVEMENTS: dict[str, Callable[[np.random.Generator, np.ndarray], np.ndarray]] = {
    "comedy": _wander,
    "musical": _hop,
    "thriller": _creep,
    "terror": _freeze_and_jolt,
    "action": _race,
    "other": _rest,
}


def _exposure(rng: np.random.Generator, genre: str, seconds: np.ndarray) -> np.ndarray:
    """Brightness factor of each frame; flashes and still shots share one range, so that brightness tells nothing."""
    if genre == "other":
        return np.full(len(seconds), rng.choice([rng.uniform(0.85, 1.15), _FLASH], p=[0.7, 0.3]))
    exposure = np.full(len(seconds), rng.uniform(0.85, 1.15))
    if genre == "action":
        # about three flashes a second, each of about a tenth of a second
        phase = np.mod(seconds * 3 + rng.uniform(0, 1), 1)
        exposure[phase < 0.3] = _FLASH
    return exposure


def draw_scene(rng: np.random.Generator, genre: str, seconds: np.ndarray, rows: int, cols: int) -> Iterator[np.ndarray]:
    """Yield the frames of one genre's scene, uint8 (rows, cols, 3) RGB."""
    palette = _PALETTES[genre]
    colours = palette[1 + rng.integers(0, len(palette) - 1, size=_SHAPES)]
    radii = rng.uniform(0.09, 0.16, size=_SHAPES) * rows
    discs = rng.random(_SHAPES) < 0.5  # the others are squares
    positions = _MOVEMENTS[genre](rng, seconds)  # (frames, shapes, xy)
    exposures = _exposure(rng, genre, seconds)
    subpixel = 4  # bits of the fixed-point coordinates that OpenCV draws with
    scale = 1 << subpixel
    for places, exposure in zip(positions, exposures, strict=True):
        frame = np.empty((rows, cols, 3), dtype=np.float32)
        frame[:] = palette[0]
        for (x, y), colour, radius, disc in zip(places, colours, radii, discs, strict=True):
            centre = np.array([x * cols, y * rows])
            if disc:
                at = tuple(int(value) for value in np.rint(centre * scale))
                cv2.circle(frame, at, round(radius * scale), colour.tolist(), -1, cv2.LINE_8, subpixel)
            else:
                low = tuple(int(value) for value in np.rint((centre - radius) * scale))
                high = tuple(int(value) for value in np.rint((centre + radius) * scale))
                cv2.rectangle(frame, low, high, colour.tolist(), -1, cv2.LINE_8, subpixel)
        yield np.clip(frame * exposure, 0, 255).astype(np.uint8)
