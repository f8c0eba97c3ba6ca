"""What synthetic trailers sound like: each of the six movements has a sound of its own.

========  ====================================================================
genre     sound
========  ====================================================================
comedy    short notes, high and low, about five per second
action    a beat of noise, about three per second
terror    a low drone: two tones so close that they throb
thriller  one pure tone
musical   a chord
other     soft noise
========  ====================================================================

Other genres sound like one of the six, by sixes in their order, and the later ones lower.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from genre_classifier.genres import GENRES
from preprocessing.clips import SOUND_RATE

_FADE = SOUND_RATE // 100  # samples in which a sound begins and ends: without a click
_Sound = Callable[[np.random.Generator, np.ndarray, float], np.ndarray]


def _sine(hertz: float | np.ndarray, seconds: np.ndarray) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * seconds)


def _notes(rng: np.random.Generator, seconds: np.ndarray, pitch: float) -> np.ndarray:
    rate = rng.uniform(4.5, 5.5)
    number = (seconds * rate).astype(int)
    hertz = pitch * 2 ** (rng.integers(0, 25, size=number.max(initial=0) + 1) / 12)
    since = seconds - number / rate
    return 0.5 * _sine(hertz[number], since) * np.exp(-8 * since)


def _beat(rng: np.random.Generator, seconds: np.ndarray, pitch: float) -> np.ndarray:
    since = np.mod(seconds, 1 / rng.uniform(2.5, 3.5))
    return 0.5 * rng.uniform(-1, 1, size=len(seconds)) * np.exp(-20 * since * pitch / _PITCH)


def _drone(rng: np.random.Generator, seconds: np.ndarray, pitch: float) -> np.ndarray:
    low = rng.uniform(0.18, 0.25) * pitch
    return 0.25 * (_sine(low, seconds) + _sine(low + rng.uniform(2, 4), seconds))


def _tone(rng: np.random.Generator, seconds: np.ndarray, pitch: float) -> np.ndarray:
    return 0.3 * _sine(rng.uniform(2, 3) * pitch, seconds)


def _chord(rng: np.random.Generator, seconds: np.ndarray, pitch: float) -> np.ndarray:
    root = rng.uniform(0.75, 1.25) * pitch
    return 0.15 * np.sum([_sine(root * step, seconds) for step in (1, 5 / 4, 3 / 2, 2)], axis=0)


def _noise(rng: np.random.Generator, seconds: np.ndarray, pitch: float) -> np.ndarray:
    return 0.05 * rng.uniform(-1, 1, size=len(seconds))


_SOUNDS: dict[str, _Sound] = dict(zip(GENRES, (_notes, _beat, _drone, _tone, _chord, _noise), strict=True))
_PITCH = 300.0  # Hz


class Voice(NamedTuple):
    """What a genre sounds like: what kind of sound, and how high (Hz)."""

    sound: _Sound
    pitch: float


def voices_of(genres: Sequence[str]) -> dict[str, Voice]:
    """Return what each genre sounds like; it depends on the genres before it, so that no two sound alike."""
    sounds = list(_SOUNDS.values())
    others = [genre for genre in genres if genre not in _SOUNDS]
    made = {
        genre: Voice(sounds[number % len(sounds)], _PITCH * 0.7 ** (1 + number // len(sounds)))
        for number, genre in enumerate(others)
    }
    return {genre: Voice(_SOUNDS[genre], _PITCH) if genre in _SOUNDS else made[genre] for genre in genres}


def scene_sound(rng: np.random.Generator, voice: Voice, samples: int) -> np.ndarray:
    """Return so much sound of one genre's scene: float32, (samples,), -0.7 to 0.7."""
    sound = voice.sound(rng, np.arange(samples) / SOUND_RATE, voice.pitch)
    fade = np.minimum(1, np.arange(1, samples + 1) / _FADE)
    return (sound * fade * fade[::-1]).astype(np.float32)
