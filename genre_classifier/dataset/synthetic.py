"""Synthetic trailers whose genres are known for every frame: the demo's data and the known answer of the tests.

The task is fair on purpose. Genres come in pairs that share their colours and shapes, and the two of a pair differ
only in how the shapes move over time, so that no single frame tells them apart:

========  ========  =====================================================================================
pair      genre     movement
========  ========  =====================================================================================
bright    comedy    every shape wanders about on its own
bright    musical   the shapes hop in unison, to a beat of 1.5 to 2.5 per second
dark      thriller  everything creeps steadily in one direction
dark      terror    everything freezes, then jolts to another place
warm      action    shapes race in straight lines, and the light flashes
warm      other     hardly anything moves; the light differs from shot to shot, as far as the flashes do
========  ========  =====================================================================================

Any other genres share a palette by sixes in the same way, and each of the six moves as one of the above.

A trailer is a row of shots with hard cuts and dissolves; while two shots dissolve, both genres are labelled. Some
shots are split screens of two genres.

What is heard tells the genres apart too: see `genre_classifier.dataset.synthetic_sound`. Two genres can be drawn alike
(`SyntheticConfig.alike`), so that nothing else does.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cv2
import joblib
import numpy as np
import pandas as pd

from genre_classifier.config import SyntheticConfig
from genre_classifier.dataset.labels import write_labels
from genre_classifier.dataset.synthetic_sound import scene_sound, voices_of
from genre_classifier.genres import GENRES
from preprocessing.base.errors import InputError, WorkError
from preprocessing.base.files import remove_leftovers
from preprocessing.base.locks import locked
from preprocessing.clips import SOUND_RATE
from preprocessing.sound import add_sound
from preprocessing.video import write_video

# Colours as RGB: background, then the shapes. The two genres of a pair share one palette.
_BRIGHT = np.array([(250, 236, 200), (235, 80, 90), (60, 160, 225), (250, 190, 30), (110, 200, 90)], dtype=np.float32)
_DARK = np.array([(18, 20, 30), (70, 75, 95), (95, 60, 65), (55, 85, 80), (110, 110, 125)], dtype=np.float32)
_WARM = np.array([(120, 85, 60), (190, 130, 70), (90, 100, 120), (160, 70, 45), (205, 175, 130)], dtype=np.float32)
_SHAPES = 5
_BUSY = "another run is writing its trailers there; wait for it, or use another folder"
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


class GenreAppearance(NamedTuple):
    """What a genre looks like: its colours, uint8 (1 + shapes, RGB) as float32, and how its shapes move."""

    palette: np.ndarray
    movement: Callable[[np.random.Generator, np.ndarray], np.ndarray]


# In the order of `GENRES`; see the table above.
_LOOKS = dict(
    zip(
        GENRES,
        (
            GenreAppearance(_BRIGHT, _wander),
            GenreAppearance(_WARM, _race),
            GenreAppearance(_DARK, _freeze_and_jolt),
            GenreAppearance(_DARK, _creep),
            GenreAppearance(_BRIGHT, _hop),
            GenreAppearance(_WARM, _rest),
        ),
        strict=True,
    )
)


def looks_of(genres: Sequence[str]) -> dict[str, GenreAppearance]:
    """Return what each genre looks like; it depends on the genres before it, so that no two look alike."""
    movements = [look.movement for look in _LOOKS.values()]
    others = [genre for genre in genres if genre not in _LOOKS]
    made = {
        genre: GenreAppearance(_palette(number // len(movements)), movements[number % len(movements)])
        for number, genre in enumerate(others)
    }
    return {genre: _LOOKS.get(genre) or made[genre] for genre in genres}


def _palette(number: int) -> np.ndarray:
    """Return colours around a hue of its own: steps of the golden angle come close to no earlier one."""
    hues = np.mod(0.15 + 0.381966 * number + np.array([0.5, -0.06, -0.02, 0.02, 0.06]), 1.0)
    brightness = [60, 150, 190, 220, 245]
    colours = np.array([[(round(hue * 180) % 180, 150, value) for hue, value in zip(hues, brightness, strict=True)]])
    return cv2.cvtColor(colours.astype(np.uint8), cv2.COLOR_HSV2RGB)[0].astype(np.float32)


def _exposure(rng: np.random.Generator, look: GenreAppearance, seconds: np.ndarray) -> np.ndarray:
    """Brightness factor of each frame; flashes and still shots share one range, so that brightness tells nothing."""
    if look.movement is _rest:
        return np.full(len(seconds), rng.choice([rng.uniform(0.85, 1.15), _FLASH], p=[0.7, 0.3]))
    exposure = np.full(len(seconds), rng.uniform(0.85, 1.15))
    if look.movement is _race:
        # about three flashes a second, each of about a tenth of a second
        phase = np.mod(seconds * 3 + rng.uniform(0, 1), 1)
        exposure[phase < 0.3] = _FLASH
    return exposure


def draw_scene(
    rng: np.random.Generator, look: GenreAppearance, seconds: np.ndarray, rows: int, cols: int
) -> Iterator[np.ndarray]:
    """Yield the frames of one genre's scene, uint8 (rows, cols, 3) RGB."""
    palette = look.palette
    colours = palette[1 + rng.integers(0, len(palette) - 1, size=_SHAPES)]
    radii = rng.uniform(0.09, 0.16, size=_SHAPES) * rows
    discs = rng.random(_SHAPES) < 0.5  # the others are squares
    positions = look.movement(rng, seconds)  # (frames, shapes, xy)
    exposures = _exposure(rng, look, seconds)
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


CODEC = "vp09"  # browsers play it, so that the viewer shows the trailer; MPEG-4 they refuse


@dataclasses.dataclass(frozen=True)
class Shot:
    """One shot: its genres (one, or two side by side), its first frame and the frame after its last."""

    genres: tuple[str, ...]
    first: int
    stop: int


def _draw_shot(rng: np.random.Generator, shot: Shot, config: SyntheticConfig) -> Iterator[np.ndarray]:
    seconds = np.arange(shot.stop - shot.first) / config.fps
    looks = looks_of(config.genres)
    looks.update((genre, looks[config.alike[0]]) for genre in config.alike)
    if len(shot.genres) == 1:
        yield from draw_scene(rng, looks[shot.genres[0]], seconds, config.rows, config.cols)
        return
    half = config.cols // 2
    left = draw_scene(rng, looks[shot.genres[0]], seconds, config.rows, half)
    right = draw_scene(rng, looks[shot.genres[1]], seconds, config.rows, config.cols - half)
    for pair in zip(left, right, strict=True):
        yield np.concatenate(pair, axis=1)


def plan_shots(rng: np.random.Generator, config: SyntheticConfig) -> list[Shot]:
    """Choose the shots of one trailer; consecutive shots overlap where they dissolve.

    Genres come in shuffled rounds of all of them, so that each is about as frequent as any other.
    """
    shots: list[Shot] = []
    genres: list[str] = []
    first, overlap = 0, 0
    while not shots or shots[-1].stop < config.duration * config.fps:
        while len(genres) < 2:
            genres += [str(genre) for genre in rng.permutation(config.genres)]
        shown = [genres.pop(0)]
        if rng.random() < config.split_share and genres[0] != shown[0]:
            shown.append(genres.pop(0))
        stop = first + overlap + round(rng.uniform(*config.shot_seconds) * config.fps)
        shots.append(Shot(tuple(shown), first, stop))
        overlap = round(config.dissolve_seconds * config.fps) if rng.random() < config.dissolve_share else 0
        first = stop - overlap
    return shots


def draw_trailer(rng: np.random.Generator, shots: list[Shot], config: SyntheticConfig) -> Iterator[np.ndarray]:
    """Yield the frames of one trailer, uint8 (rows, cols, 3) RGB."""
    leaving: list[np.ndarray] = []  # the end of the previous shot, where this one dissolves in
    for index, shot in enumerate(shots):
        frames = list(_draw_shot(rng, shot, config))
        for step, (old, new) in enumerate(zip(leaving, frames, strict=False)):
            weight = (step + 1) / (len(leaving) + 1)
            frames[step] = cv2.addWeighted(old, 1 - weight, new, weight, 0)
        overlap = shot.stop - shots[index + 1].first if index + 1 < len(shots) else 0
        kept = len(frames) - overlap
        leaving = frames[kept:]
        yield from frames[:kept]


def trailer_sound(rng: np.random.Generator, shots: list[Shot], config: SyntheticConfig) -> Iterator[np.ndarray]:
    """Yield the sound of one trailer, shot by shot: float32, (samples,); where shots dissolve, both are heard."""
    voices = voices_of(config.genres)
    leaving = np.zeros(0, np.float32)  # the end of the previous shot, where this one begins
    for index, shot in enumerate(shots):
        first, stop = _sample(shot.first, config), _sample(shot.stop, config)
        heard = [scene_sound(rng, voices[genre], stop - first) for genre in shot.genres]
        sound = np.stack(heard).mean(axis=0)
        weight = np.linspace(0, 1, len(leaving), dtype=np.float32)
        sound[: len(leaving)] = (1 - weight) * leaving + weight * sound[: len(leaving)]
        kept = _sample(shots[index + 1].first, config) - first if index + 1 < len(shots) else len(sound)
        leaving = sound[kept:]
        yield sound[:kept]


def _sample(frame: int, config: SyntheticConfig) -> int:
    return round(frame / config.fps * SOUND_RATE)


def shot_labels(name: str, shots: list[Shot], config: SyntheticConfig) -> pd.DataFrame:
    """Return the strong labels of one trailer: columns trailer, start, end (seconds), genre."""
    rows = [(name, shot.first / config.fps, shot.stop / config.fps, genre) for shot in shots for genre in shot.genres]
    return pd.DataFrame(rows, columns=["trailer", "start", "end", "genre"])


def synthesize(
    folder: Path,
    config: SyntheticConfig | None = None,
    *,
    seed: int = 0,
    on_trailer: Callable[[Path], None] | None = None,
) -> pd.DataFrame:
    """Write `trailer_000.mp4`, `trailer_001.mp4`, ... and their `labels.csv` into a folder.

    Parameters
    ----------
    folder : Path
        Made when it is missing.
    config : SyntheticConfig, optional
        Number, length and look of the trailers.
    seed : int
        The same seed gives the same label bytes, the same pixels and the same sound. Each trailer has a generator of
        its own, so that the first ten of twenty are the same as ten alone.
    on_trailer : callable, optional
        Called with each finished file.

    Returns
    -------
    DataFrame
        The labels, as `genre_classifier.dataset.labels.read_labels` gives them.

    Raises
    ------
    InputError
        If the folder cannot be made, the seed is negative, or another process writes there.
    WorkError
        If a trailer cannot be written.
    """
    config = config or SyntheticConfig()
    if seed < 0:
        raise InputError(f"seed must be at least 0, got {seed}")
    with locked(folder, purpose="trailers", busy=_BUSY):
        remove_leftovers(folder)
        return _write_all(folder, config, seed, on_trailer)


def _write_all(
    folder: Path, config: SyntheticConfig, seed: int, on_trailer: Callable[[Path], None] | None
) -> pd.DataFrame:
    stopped = threading.Event()

    def frames(rng: np.random.Generator, shots: list[Shot]) -> Iterator[np.ndarray]:
        for frame in draw_trailer(rng, shots, config):
            if stopped.is_set():
                raise WorkError(f"{folder}: stopped")  # the work was stopped
            yield frame

    def write(index: int, seeds: np.random.SeedSequence) -> tuple[Path, pd.DataFrame]:
        rng = np.random.default_rng(seeds)
        path = folder / f"trailer_{index:03d}.mp4"
        shots = plan_shots(rng, config)
        write_video(path, frames(rng, shots), config.fps, codec=CODEC)
        add_sound(path, trailer_sound(np.random.default_rng(seeds.spawn(1)[0]), shots, config))
        return path, shot_labels(path.name, shots, config)

    tables = []
    # Threads: OpenCV draws and encodes without holding Python's lock. All of them end before this function does: one
    # that is inside a codec when the process ends aborts it.
    with ThreadPoolExecutor(joblib.cpu_count()) as threads:
        try:
            seeds = np.random.SeedSequence(seed).spawn(config.trailers)
            for path, table in threads.map(write, range(config.trailers), seeds):
                tables.append(table)
                if on_trailer:
                    on_trailer(path)
        except BaseException:
            stopped.set()
            raise
    labels = pd.concat(tables, ignore_index=True)
    write_labels(folder / "labels.csv", labels)
    return labels
