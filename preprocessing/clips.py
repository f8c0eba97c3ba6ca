"""The clip contract: `trailer_<id>.npy`, `times_<id>.npy` and `sound_<id>.npy`, memory-mapped, written as they come.

A clip is uint8, `(frames, 3, rows, cols)`, RGB, C order, values 0-255. Its times are float64, `(frames,)`, seconds from
the start of the container, strictly increasing. Its sound is float16, `(samples,)`, mono, -1 to 1, 16,000 a second from
second 0 of the times; a video without sound has no such file. `preprocessing.json` beside them holds the options that
made them.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import warnings
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np

from preprocessing.base.errors import InputError
from preprocessing.base.files import (
    MOST_BYTES,
    abbreviated_repr,
    not_written,
    os_reason,
    read_json,
    remove_leftovers,
    write_atomically,
)
from preprocessing.config import ClipConfig

CONFIG_NAME = "preprocessing.json"
_OPTIONS = "the options of the clips (a JSON object)"
_TRAILERS = "trailers"  # in that file: the folder of the videos
_PRESET = "preset"  # and the preset that the options are from
STAGED_PREFIX = ".staged-"  # a finished clip that waits for its id
SOUND_RATE = 16_000  # samples per second
CLIP_NAME = re.compile(r"trailer_(\d+)\.npy")


def clip_path(clips_dir: Path, trailer_id: int) -> Path:
    """Return where the clip of a trailer lies."""
    return Path(clips_dir) / f"trailer_{trailer_id}.npy"


def times_path(clips_dir: Path, trailer_id: int) -> Path:
    """Return where the frame times of a trailer lie."""
    return Path(clips_dir) / f"times_{trailer_id}.npy"


def sound_path(clips_dir: Path, trailer_id: int) -> Path:
    """Return where the sound of a trailer lies, if it has any."""
    return Path(clips_dir) / f"sound_{trailer_id}.npy"


def load_clip(path: Path | str) -> np.memmap:
    """Open one clip without reading its frames.

    Returns
    -------
    memmap of uint8, shape (frames, 3, rows, cols)
        Read-only; frames are read from the disk as they are used.

    Raises
    ------
    InputError
        If the file is missing, is no `.npy` file, or holds anything but such an array.
    """
    clip = open_array(path, "a clip (.npy)")
    if clip.ndim != 4 or clip.shape[1] != 3 or clip.dtype != np.uint8 or 0 in clip.shape:
        found = f"{clip.dtype} {clip.shape}"
        raise InputError(f"{path}: expected a clip of uint8 (frames, 3, rows, cols), found {found}")
    return clip


def load_times(path: Path | str) -> np.ndarray:
    """Read the times of a clip's frames.

    Returns
    -------
    ndarray of float64, shape (frames,)
        Seconds since the start of the container, strictly increasing.

    Raises
    ------
    InputError
        If the file is missing or holds anything else.
    """
    stored = open_array(path, "frame times (.npy)")
    if stored.ndim != 1 or stored.dtype != np.float64:
        raise InputError(f"{path}: expected float64 times of shape (frames,), found {stored.dtype} {stored.shape}")
    if stored.nbytes > MOST_BYTES:
        raise InputError(f"{path}: expected frame times, found {stored.nbytes / 1e6:.0f} MB of them")
    times = np.array(stored)
    if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise InputError(f"{path}: expected strictly increasing seconds, found times that are not")
    return times


def load_sound(path: Path | str) -> np.memmap:
    """Open the sound of one clip without reading its samples.

    Returns
    -------
    memmap of float16, shape (samples,)
        Read-only; mono, -1 to 1, 16,000 samples per second from second 0 of the clip's times.

    Raises
    ------
    InputError
        If the file is missing, is no `.npy` file, or holds anything but such an array.
    """
    sound = open_array(path, "sound (.npy)")
    if sound.ndim != 1 or sound.dtype != np.float16 or not len(sound):
        raise InputError(f"{path}: expected sound of float16 (samples,), found {sound.dtype} {sound.shape}")
    return sound


def sound_seconds(samples: int) -> float | None:
    """Return what a manifest says of so many samples of sound; None where there are none."""
    return round(samples / SOUND_RATE, 3) if samples else None


def open_array(path: Path | str, expected: str) -> np.memmap:
    """Open an array in a `.npy` file without reading it; InputError, which names `expected`, if it is not an array."""
    path = Path(path)
    if path.exists() and not path.is_file():  # opening a pipe would wait for its writer
        raise InputError(f"{path}: expected {expected}, found no regular file")
    try:
        with warnings.catch_warnings(action="ignore"):  # about headers that Python 2 wrote
            return np.lib.format.open_memmap(path, mode="r")
    except OSError as error:
        raise InputError(f"{path}: expected {expected}, found: {os_reason(error)}") from error
    except Exception as error:  # a header is read as Python code, which may raise anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: expected {expected}, found: {abbreviated_repr(reason)}") from error


class ClipWriter:
    """Write a clip frame by frame, with memory for none of them; the result equals that of `np.save`.

    Writing goes through the file, not through a memory map, so that a full disk is an OSError and no crash.

    Parameters
    ----------
    path : Path
        File to create. Give a temporary name, and move it into place after `finish`.
    shape : tuple of int
        Of a frame: (3, rows, cols). Samples of sound are frames of shape ().
    dtype : str
        Of its values, as `.npy` files name it.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], *, dtype: str = "|u1") -> None:
        self.frames = 0
        self._shape, self._dtype = shape, dtype
        self._file: BinaryIO = path.open("wb")
        self._file.write(self._header())

    def add(self, frame: np.ndarray) -> None:
        """Append one frame, C order."""
        self.extend(frame[None])

    def extend(self, frames: np.ndarray) -> None:
        """Append several frames, C order."""
        self._file.write(frames.data)
        self.frames += len(frames)

    def _header(self) -> bytes:
        header = BytesIO()
        # NumPy pads the header so that the first axis can grow without moving the data.
        shape = (self.frames, *self._shape)
        np.lib.format.write_array_header_1_0(header, {"descr": self._dtype, "fortran_order": False, "shape": shape})
        return header.getvalue()

    def finish(self) -> None:
        """Complete the file."""
        self._file.seek(0)
        self._file.write(self._header())
        self._file.close()

    def close(self) -> None:
        """Give up: close the file in any state."""
        with suppress(OSError):  # of a full disk, which has been told already
            self._file.close()


def write_clip_config(
    clips_dir: Path, config: ClipConfig, *, trailers: Path | None = None, preset: str | None = None
) -> None:
    """Write the options of a clips folder, where its videos are, and its preset, to its `preprocessing.json`."""
    fields = config.to_dict()
    if trailers is not None:  # as seen from the clips: both may move together
        # Resolved: `..` goes up from where a link leads to.
        fields[_TRAILERS] = Path(os.path.relpath(Path(trailers).resolve(), Path(clips_dir).resolve())).as_posix()
    if preset is not None:
        fields[_PRESET] = preset
    write_atomically(Path(clips_dir) / CONFIG_NAME, json.dumps(fields, indent=2) + "\n")


def trailers_folder(clips_dir: Path) -> Path | None:
    """Return where the videos of a clips folder were when they were last read; None where nothing says so."""
    path = Path(clips_dir) / CONFIG_NAME
    fields = read_json(path, _OPTIONS) if path.exists() else None
    found = fields.get(_TRAILERS) if isinstance(fields, dict) else None
    return Path(clips_dir) / found if isinstance(found, str) else None


def read_clip_config(clips_dir: Path) -> ClipConfig | None:
    """Read the options that made the clips of a folder.

    Returns
    -------
    ClipConfig or None
        None for clips that were made by hand.

    Raises
    ------
    InputError
        If the file is there but cannot be used.
    """
    return _read_config(clips_dir)[0]


def read_clip_preset(clips_dir: Path) -> str | None:
    """Read the name of the preset whose clips a folder holds; None where `preprocess` was given none.

    Raises
    ------
    InputError
        As `read_clip_config`.
    """
    return _read_config(clips_dir)[1]


def _read_config(clips_dir: Path) -> tuple[ClipConfig | None, str | None]:
    path, expected = Path(clips_dir) / CONFIG_NAME, _OPTIONS
    if not path.exists():
        return None, None
    fields = read_json(path, expected)
    if not isinstance(fields, dict):
        raise InputError(f"{path}: expected {expected}, found {abbreviated_repr(fields)}")
    preset = fields.pop(_PRESET, None)
    if not isinstance(preset, str | None):
        raise InputError(f"{path}: expected {expected}, found {_PRESET} = {abbreviated_repr(preset)}")
    options = {name: value for name, value in fields.items() if name != _TRAILERS}
    options.setdefault("sound", False)  # of a version that kept none
    try:
        return ClipConfig.from_dict(options), preset
    except (InputError, TypeError) as error:
        raise InputError(f"{path}: expected {expected}, found: {error}") from error


def staged_path(clips: Path, source: str) -> Path:
    """Return where the clip of a source waits for its id."""
    return clips / f"{STAGED_PREFIX}{hashlib.sha256(source.encode()).hexdigest()[:20]}.npy"


def take_staged(staged: Path, clips: Path, trailer_id: int) -> None:
    """Move a staged clip, its times and its sound to where their id says; sound that lay there before goes.

    Raises
    ------
    WorkError
        If the folder cannot be written to.
    """
    sound = staged.with_suffix(".sound")
    try:
        if sound.exists():
            sound.replace(sound_path(clips, trailer_id))
        else:
            sound_path(clips, trailer_id).unlink(missing_ok=True)
        staged.with_suffix(".times").replace(times_path(clips, trailer_id))
        staged.replace(clip_path(clips, trailer_id))
        staged.with_suffix(".json").unlink(missing_ok=True)
    except OSError as error:
        raise not_written(clips, error) from error


def remove_staged(clips: Path, *, keep: set[Path]) -> None:
    """Remove what interrupted runs left, except the staged clips in `keep`."""
    stems = {path.stem for path in keep}
    for path in clips.glob(f"{STAGED_PREFIX}*"):
        if path.stem not in stems:
            path.unlink(missing_ok=True)
    remove_leftovers(clips)
