"""What a sound encoder hears in the sound of clips: every second of it once, kept beside the clips.

`encoded/<encoder digest>/trailer_<id>.npy` in the clips folder: float16, `(seconds, features)`, without rows where a
trailer has no sound. Beside it, as beside every encoded clip, `trailer_<id>.json` says what it was made from.
"""

from __future__ import annotations

import functools
import itertools
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import scipy

from genre_classifier.dataset.encoded import DIGITS, FOLDER, is_whole, write_stamp
from genre_classifier.dataset.looks import HeldLooks, share_encoding
from genre_classifier.network.encoder_engine import Engine, require_engine
from genre_classifier.network.frame_encoder import CHUNK
from genre_classifier.network.sound_encoder import SoundEncoder, read_sound_encoder
from preprocessing.base.errors import InputError
from preprocessing.base.files import atomic_path, file_digest, file_facts, make_folder, require_unchanged
from preprocessing.clips import SOUND_RATE, clip_path, load_sound, open_array, read_clip_config, sound_path
from preprocessing.processes.pool import check_options
from preprocessing.processes.serving import Answers
from preprocessing.processes.sharing import setting_up

logger = logging.getLogger(__name__)

_WHAT = "what a sound encoder heard (.npy)"
HEARD_PER_SECOND = 40.0  # seconds of sound in a second, by a process: a guide to how many are worth starting
_BLOCK = 60 * SOUND_RATE  # samples in memory at once


def hear(sound: Iterable[np.ndarray], encoder: SoundEncoder) -> np.ndarray:
    """Listen to every second of a sound: to as much around its middle as the encoder takes, zeros beyond the ends.

    Parameters
    ----------
    sound : iterable of ndarray of float16, each (samples,)
        Mono, -1 to 1, `preprocessing.clips.SOUND_RATE` samples per second, in blocks of any length; what is heard does
        not depend on how it is cut. The blocks are not kept.
    encoder : SoundEncoder

    Returns
    -------
    ndarray of float16, shape (seconds, features)
        A second that has begun counts.

    Raises
    ------
    InputError
        If the encoder gives NaN or infinity.
    """
    divisor = math.gcd(encoder.rate, SOUND_RATE)
    up, down = encoder.rate // divisor, SOUND_RATE // divisor
    parts, patches = (
        [np.zeros((0, encoder.features), np.float16)],
        around_seconds(sound, -(-encoder.samples * down // up)),
    )
    while batch := list(itertools.islice(patches, CHUNK)):
        if up != down:
            batch = [scipy.signal.resample_poly(patch, up, down)[: encoder.samples] for patch in batch]
        parts.append(encoder.listen(np.stack(batch)))
    return np.concatenate(parts)


def around_seconds(sound: Iterable[np.ndarray], samples: int) -> Iterator[np.ndarray]:
    """Yield so many samples around the middle of each second of a sound: float32 (samples,), 0 beyond its ends.

    Parameters
    ----------
    sound : iterable of ndarray
        Blocks, as for `hear`.
    samples : int
    """
    before = (samples - SOUND_RATE) // 2  # the second begins; negative where the network hears less than a second
    held = np.zeros(max(before, 0), np.float32)
    start = -len(held)  # of what is held, in the sound
    heard, second = 0, 0

    def patches(*, ended: bool) -> Iterator[np.ndarray]:
        nonlocal held, start, second
        while second * SOUND_RATE < heard:
            first = second * SOUND_RATE - before - start
            if not ended and first + samples > len(held):
                return
            patch = np.zeros(samples, np.float32)
            part = held[first : first + samples]
            patch[: len(part)] = part
            yield patch
            second += 1
            drop = min(max(second * SOUND_RATE - before - start, 0), len(held))
            held, start = held[drop:], start + drop

    for block in sound:
        held = np.concatenate([held, np.asarray(block, np.float32)])
        heard += len(block)
        yield from patches(ended=False)
    yield from patches(ended=True)


def heard_features(heard: np.ndarray, times: Sequence[float] | np.ndarray) -> HeldLooks:
    """Return the features of frames at some times, out of those of each second."""
    return HeldLooks(heard, np.arange(len(heard), dtype=np.float64), times, hold=1.0)


def open_heard(path: Path, times: np.ndarray) -> HeldLooks:
    """Open what was heard of a trailer for frames at some times."""
    return heard_features(open_array(path, _WHAT), times)


def heard_folder(clips: Path, encoder: SoundEncoder) -> Path:
    """Return where what this encoder heard of a folder's clips lies."""
    return Path(clips) / FOLDER / encoder.output_digest[:DIGITS]


def require_sound(clips: Path, numbers: Sequence[int], *, otherwise: str = "") -> None:
    """Say how many trailers have no sound; refuse clips that were made without.

    Parameters
    ----------
    clips : Path
    numbers : sequence of int
        Of the trailers.
    otherwise : str
        What else could be done, for the end of the refusal.

    Raises
    ------
    InputError
        If none has sound, and not because the videos have none.
    """
    silent = sum(not sound_path(clips, number).is_file() for number in numbers)
    made = read_clip_config(clips)
    if silent == len(numbers) and not (made and made.sound):
        raise InputError(
            f"{clips}: expected sound beside the clips (sound_<id>.npy), which were made without; `preprocess` into a "
            f"new folder keeps it{otherwise and f'. {otherwise}'}"
        )
    if silent:
        logger.warning(f"{silent} of {len(numbers)} trailers have no sound: they are judged by what is seen")


def encode_sounds(
    numbers: Sequence[int],
    clips: Path,
    encoder: SoundEncoder,
    *,
    jobs: int | None = None,
    scheduler: str | None = None,
    on_start: Callable[[int], None] | None = None,
    on_seconds: Callable[[int], None] | None = None,
) -> Path:
    """Listen to the sound of clips that was not listened to yet; each is kept for good as soon as it is done.

    Parameters
    ----------
    numbers : sequence of int
        Of the trailers.
    clips : Path
    encoder : SoundEncoder
    jobs, scheduler
        As for `genre_classifier.dataset.encoded.encode_clips`.
    on_start, on_seconds : callable, optional
        Told the seconds to listen to; seconds done.

    Returns
    -------
    Path
        The folder of what was heard.

    Raises
    ------
    InputError
        If a sound cannot be read, or the folder cannot be written to.
    WorkError
        If the disk is full.
    """
    check_options(jobs=jobs, scheduler=scheduler)
    folder = heard_folder(clips, encoder)
    missing: dict[Path, Path] = {}
    for number in dict.fromkeys(numbers):
        sound, target = sound_path(clips, number), folder / clip_path(clips, number).name
        if not sound.exists():
            _write_silence(target, encoder)
        elif not is_whole(sound, target, (_seconds(sound), encoder.features)):
            missing[sound] = target
    seconds = sum(map(_seconds, missing))
    if on_start:
        on_start(seconds)
    if missing:
        make_folder(folder, purpose="encoded sounds")
        sounds, targets = list(missing), list(missing.values())
        share_encoding(
            f"{__name__}:sound_task",
            [
                {
                    "sound": str(sound.absolute()),
                    "target": str(target.absolute()),
                    "rate": encoder.rate,
                    "engine": encoder.engine,
                }
                for sound, target in missing.items()
            ],
            folder,
            encoder,
            here=lambda index: encode_sound(sounds[index], targets[index], encoder),
            files=sounds,
            jobs=jobs,
            scheduler=scheduler,
            seconds=seconds / HEARD_PER_SECOND,
            on_done=on_seconds,
        )
    return folder


def sound_task(task: dict[str, Any], answers: Answers) -> int:
    """Listen to one sound in a child process."""
    with setting_up():
        encoder = _encoder_of_process(task["encoder"], task["rate"], Engine(*task["engine"]))
    return encode_sound(Path(task["sound"]), Path(task["target"]), encoder)


@functools.lru_cache(maxsize=1)
def _encoder_of_process(path: str, rate: int, engine: Engine) -> SoundEncoder:
    return read_sound_encoder(Path(path), rate, require_engine(engine)).require_working_on(engine, path)


def encode_sound(sound: Path, target: Path, encoder: SoundEncoder) -> int:
    """Listen to one sound; return its seconds.

    What is heard is written whole or not at all, then what it was made from.

    Raises
    ------
    InputError
        If the sound cannot be read, or the encoder gives what are no numbers.
    WorkError
        If it cannot be written.
    """
    facts, samples = file_facts(sound), load_sound(sound)
    try:
        heard = hear((samples[start : start + _BLOCK] for start in range(0, len(samples), _BLOCK)), encoder)
    except InputError as error:
        raise InputError(f"{sound}: {error}") from error
    sha256 = file_digest(sound, "a sound (.npy)")  # before the check, which vouches for it too
    require_unchanged(sound, facts, doing="encoded")
    _write(target, heard)
    write_stamp(sound, target, sha256=sha256)
    return len(heard)


def _seconds(sound: Path) -> int:
    return -(-len(load_sound(sound)) // SOUND_RATE)


def _write_silence(target: Path, encoder: SoundEncoder) -> None:
    """Say that a trailer has no sound."""
    shape = (0, encoder.features)
    with suppress(InputError):  # there is none yet, or it is damaged
        if open_array(target, _WHAT).shape == shape:
            return
    make_folder(target.parent, purpose="encoded sounds")
    _write(target, np.zeros(shape, np.float16))


def _write(target: Path, heard: np.ndarray) -> None:
    target.with_suffix(".json").unlink(missing_ok=True)  # of an older sound
    with atomic_path(target) as temporary, temporary.open("wb") as file:
        np.save(file, heard)
