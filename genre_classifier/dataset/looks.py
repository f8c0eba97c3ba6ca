"""Looks of an encoder at a video: taken at its own rate and size, each held until the next one.

`encoded/<encoder digest>_<looks per second>/trailer_<id>.npy` in the clips folder: float16, `(looks, channels, cells,
cells)`; `times_<id>.npy` beside it: float64, seconds of each look; `trailer_<id>.json`: the SHA-256 of the video that
it was made from. The videos are read where `preprocess` found them; frames at the encoder's size are never written.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genre_classifier.network.encoder_engine import Engine, require_engine
from genre_classifier.network.frame_encoder import CHUNK, FrameEncoder, kept_encoder, with_change
from preprocessing.base.errors import InputError
from preprocessing.base.files import (
    atomic_path,
    file_digest,
    file_facts,
    make_folder,
    read_json,
    require_unchanged,
    write_atomically,
)
from preprocessing.clips import ClipWriter, load_times, open_array
from preprocessing.config import ClipConfig, VideoLimits
from preprocessing.processes.pool import check_options
from preprocessing.processes.prefetch import Prefetch
from preprocessing.processes.serving import Answers
from preprocessing.processes.sharing import setting_up, share_out
from preprocessing.reader_client import SampledFrames

if TYPE_CHECKING:
    from genre_classifier.network.encoder import Encoder
    from genre_classifier.network.sound_encoder import SoundEncoder

ENCODER_FILE = "encoder.keras"
# That a process takes (docs/measurements.md): a guide to how many are worth starting.
LOOKS_PER_SECOND = {"keras": 36.0, "openvino": 65.0}
_MOST_LOOKS = 1_000_000  # of a video: more than any has
_WHAT = "looks of an encoder (.npy)"


class HeldLooks:
    """An encoder's features of the frames of a clip: those of the last look that is no later than the frame.

    A sound encoder's are those of the second that the frame lies in; beyond the end of the sound nothing is known.

    Parameters
    ----------
    looks : ndarray of float16, shape (looks, channels, cells, cells)
        May be memory-mapped: only what is asked for is read.
    look_times : ndarray of float64, shape (looks,)
        Seconds, increasing.
    times : ndarray of float64, shape (frames,)
        Seconds of the frames; those before the first look get the first.
    hold : float
        For how many seconds a look says something, at most.

    Attributes
    ----------
    shape : tuple of int
        (frames, features)
    """

    dtype = np.dtype(np.float16)

    def __init__(
        self, looks: Any, look_times: np.ndarray, times: Sequence[float] | np.ndarray, *, hold: float = np.inf
    ) -> None:
        self._looks = looks
        # Both are rounded in their files' own ways: a look at the time of a frame is not later.
        late = np.asarray(times) + 1e-6
        self._held = np.maximum(np.searchsorted(look_times, late, side="right") - 1, 0)
        self._known = late - look_times[self._held] < hold if len(looks) else np.zeros(len(late), dtype=bool)
        self.shape = (len(self._held), 2 * int(np.prod(looks.shape[1:])) + 2)

    def __len__(self) -> int:
        return len(self._held)

    def __getitem__(self, frames: slice | np.ndarray) -> np.ndarray:
        """Return the features of some frames, float16 (frames, features); see `with_change`."""
        held = self._held[frames]
        if not len(held) or not len(self._looks):
            return np.zeros((len(held), self.shape[1]), self.dtype)
        first, last = int(held.min()), int(held.max())
        start = max(first - 1, 0)
        looks = np.asarray(self._looks[start : max(last, start + 1) + 1])  # the first one's change is the second's
        return with_change(looks.reshape(len(looks), -1))[held - start] * self._known[frames, None]


class LooksUnderWay:
    """Looks at a video that is still being read, of which only the last ones are kept.

    Parameters
    ----------
    encoder : FrameEncoder

    Attributes
    ----------
    waiting : int
        How many frames were taken and not looked at yet.
    """

    def __init__(self, encoder: FrameEncoder) -> None:
        self._encoder = encoder
        self.reset()

    def reset(self) -> None:
        """Begin again, with the first look."""
        self._waiting: list[tuple[float, np.ndarray]] = []
        self._times, self._looks = np.zeros(0), np.zeros((0, *self._encoder.look_shape), np.float16)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def can_tell(self) -> bool:
        """Whether there are enough frames to tell how the first look changes, which the second says."""
        return len(self._times) + len(self._waiting) > 1

    def take(self, frames: Sequence[tuple[float, np.ndarray]]) -> None:
        """Take the next frames to look at, each with its time."""
        self._waiting += frames

    def look(self) -> None:
        """Look at the frames that wait; InputError if the encoder gives what are no numbers."""
        if self._waiting:
            times, pixels = zip(*self._waiting, strict=True)
            self._waiting = []
            self._times = np.append(self._times, times)
            self._looks = np.concatenate([self._looks, self._encoder.encode(np.stack(pixels))])

    def features(self, times: Sequence[float]) -> np.ndarray:
        """Return the features of the next frames, which are no earlier than those of the last call: see `HeldLooks`."""
        found = HeldLooks(self._looks, self._times, times)[:]
        # Kept: the look that holds for the last one, and that before, from which it differs.
        done = max(0, int(np.searchsorted(self._times, times[-1], side="right")) - 2)
        self._times, self._looks = self._times[done:], self._looks[done:]
        return found


class ClipInputs:
    """What a network with encoders takes of a clip, read as it is sliced: `inputs[start:stop]` is a dict of arrays.

    Parameters
    ----------
    parts : mapping
        "frames", uint8 (frames, 3, rows, cols), and the features of each encoder by the name of its sense.
    """

    def __init__(self, parts: Mapping[str, Any]) -> None:
        self.parts = dict(parts)

    @property
    def frames(self) -> np.ndarray:
        """Return the pixels."""
        return np.asanyarray(self.parts["frames"])

    def __len__(self) -> int:
        return len(self.parts["frames"])

    def __getitem__(self, frames: slice) -> dict[str, np.ndarray]:
        return {name: part[frames] for name, part in self.parts.items()}


def look_config(encoder: FrameEncoder, looks_per_second: float) -> ClipConfig:
    """Return which frames of a video an encoder looks at, and their size."""
    return ClipConfig(frames=_MOST_LOOKS, size=encoder.rows, fps=looks_per_second)


def read_looks(
    video: Path | str, encoder: FrameEncoder, looks_per_second: float, *, limits: VideoLimits | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Look at a whole video.

    Returns
    -------
    looks : ndarray of float16, shape (looks, channels, cells, cells)
    times : ndarray of float64, shape (looks,)
        Seconds.

    Raises
    ------
    InputError
        If the video cannot be read, or the encoder gives what are no numbers.
    """
    parts: list[np.ndarray] = []
    config = look_config(encoder, looks_per_second)
    # Decoded while others are encoded; closing the chunks stops the reading at once.
    with (
        SampledFrames(video, config, limits=limits, exact=False) as frames,
        closing(Prefetch(frames.chunks(CHUNK))) as chunks,
    ):
        for chunk in chunks:
            if chunk.anew:
                parts.clear()
            try:
                parts.append(encoder.encode(chunk.pixels))
            except InputError as error:
                raise InputError(f"{video}: {error}") from error
        return np.concatenate(parts), frames.times


def encode_videos(
    videos: Mapping[Path, tuple[Path, str]],
    folder: Path,
    encoder: Encoder,
    looks_per_second: float,
    *,
    looks: int,
    jobs: int | None = None,
    scheduler: str | None = None,
    limits: VideoLimits | None = None,
    on_done: Callable[[int], None] | None = None,
    on_failed: Callable[[Path, InputError], None] | None = None,
) -> None:
    """Let an encoder look at the videos that it has not looked at yet; each is kept for good as soon as it is done.

    Parameters
    ----------
    videos : mapping of Path to (Path, str)
        Where the looks go, to the video and its SHA-256 as the manifest has it.
    folder : Path
        Of the looks.
    encoder : Encoder
    looks_per_second : float
    looks : int
        About how many are missing.
    jobs, scheduler
        As for `genre_classifier.dataset.encoded.encode_clips`.
    limits : VideoLimits, optional
        What a video may cost.
    on_done : callable, optional
        Told the number of looks of each video.
    on_failed : callable, optional
        Told where the looks would have gone, and why there are none; by default the first such video ends it.

    Raises
    ------
    InputError
        If a video cannot be read, or is another than its clip was made from.
    WorkError
        If the disk is full.
    """
    check_options(jobs=jobs, scheduler=scheduler)
    missing = {target: one for target, one in videos.items() if not is_looked_at(target, one[1], encoder.look_shape)}
    if not missing:
        return
    make_folder(folder, purpose="looks of an encoder")
    limits = limits or VideoLimits()
    tasks = [
        {
            "video": str(video.absolute()),
            "sha256": sha256,
            "target": str(target.absolute()),
            "looks_per_second": looks_per_second,
            "limits": limits.to_dict(),
            "engine": encoder.engine,
        }
        for target, (video, sha256) in missing.items()
    ]
    targets = list(missing)

    def here(number: int) -> int:
        video, sha256 = missing[targets[number]]
        return look_at(video, sha256, targets[number], encoder, looks_per_second, limits=limits)

    def failed(number: int, error: InputError) -> None:
        if on_failed is None:
            raise error
        on_failed(targets[number], error)

    share_encoding(
        f"{__name__}:look_task",
        tasks,
        folder,
        encoder,
        here=here,
        files=[video for video, _ in missing.values()],
        jobs=jobs,
        scheduler=scheduler,
        seconds=looks / LOOKS_PER_SECOND[encoder.engine.name],
        on_done=on_done,
        on_failed=failed,
    )


def share_encoding(
    function: str,
    tasks: Sequence[dict[str, Any]],
    folder: Path,
    encoder: Encoder | SoundEncoder,
    *,
    here: Callable[[int], int],
    files: Sequence[Path],
    jobs: int | None,
    scheduler: str | None,
    seconds: float,
    on_done: Callable[[int], None] | None,
    on_failed: Callable[[int, InputError], None] | None = None,
) -> None:
    """Share out what an encoder has to see; the encoder itself goes into the folder first, where processes read it.

    Parameters
    ----------
    function, tasks, here, files, jobs, scheduler, seconds
        As for `preprocessing.processes.sharing.share_out`; each task gets the file of the encoder as `encoder`, and its
        digest.
    folder : Path
        Of what is made; it is there.
    encoder : Encoder or SoundEncoder
    on_done : callable, optional
        Told what each task answers.
    on_failed : callable, optional
        Told which task's file cannot be used, and why; by default the first one ends it.

    Raises
    ------
    InputError
        If a file cannot be used.
    WorkError
        If the disk is full.
    """
    file = str(keep_encoder(folder, encoder).absolute())
    with share_out(
        function,
        [task | {"encoder": file, "digest": encoder.digest} for task in tasks],
        here=here,
        files=files,
        name="encoder",
        needed_bytes=encoder.bytes_needed,
        jobs=jobs,
        scheduler=scheduler,
        seconds=seconds,
    ) as results:
        for number, result in enumerate(results):
            if isinstance(result, InputError):
                if on_failed is None:
                    raise result
                on_failed(number, result)
            elif on_done:
                on_done(result)


def keep_encoder(folder: Path, encoder: Encoder | SoundEncoder) -> Path:
    """Write an encoder beside what it makes, unless it is there; return its file."""
    file = folder / ENCODER_FILE
    if not file.is_file():
        encoder.save(file)
    return file


def look_task(task: dict[str, Any], answers: Answers) -> int:
    """Look at one video in a child process."""
    return look_at(
        Path(task["video"]),
        task["sha256"],
        Path(task["target"]),
        encoder_of_process(task),
        task["looks_per_second"],
        limits=VideoLimits.from_dict(task["limits"]),
    )


def encoder_of_process(task: dict[str, Any]) -> FrameEncoder:
    """Return the encoder of a task, read once in each child process, on the engine that its parent has chosen."""
    with setting_up():
        return _encoder_of_process(task["encoder"], task["digest"], Engine(*task["engine"]))


@functools.lru_cache(maxsize=1)
def _encoder_of_process(path: str, digest: str, engine: Engine) -> FrameEncoder:
    if (kept := kept_encoder(digest, require_engine(engine))) is not None:
        return kept
    from genre_classifier.network.encoder import read_encoder

    return read_encoder(Path(path), engine).require_working_on(engine, path)


def look_at(
    video: Path, sha256: str, target: Path, encoder: FrameEncoder, looks_per_second: float, *, limits: VideoLimits
) -> int:
    """Write the looks at one video, and then what they were made from; return how many there are."""
    facts: dict[str, int] = {}
    with suppress(OSError):  # it is gone: what follows says so
        facts = file_facts(video)
    if sha256 and file_digest(video, "a video") != sha256:  # first: of another one nothing is worth a minute
        raise InputError(
            f"{video}: expected the video that its clip was made from, found another one; run `preprocess` again"
        )
    looks, times = read_looks(video, encoder, looks_per_second, limits=limits)
    require_unchanged(video, facts, doing="looked at")
    write_looks(target, looks, times, sha256=sha256)
    return len(looks)


def write_looks(target: Path, looks: np.ndarray, times: np.ndarray, *, sha256: str) -> None:
    """Write looks, their times, and last the SHA-256 of the file that they are of."""
    stamp = target.with_suffix(".json")
    stamp.unlink(missing_ok=True)  # of an older file
    with atomic_path(look_times_path(target)) as temporary, temporary.open("wb") as file:
        np.save(file, times)
    with atomic_path(target) as temporary:
        writer = ClipWriter(temporary, looks.shape[1:], dtype="<f2")
        try:
            for one in looks:
                writer.add(one)
            writer.finish()
        finally:
            writer.close()
    write_atomically(stamp, json.dumps({"video": {"sha256": sha256}}) + "\n")


def look_times_path(target: Path) -> Path:
    """Return where the times of looks stand."""
    return target.with_name(target.name.replace("trailer_", "times_"))


def is_looked_at(target: Path, sha256: str, shape: tuple[int, ...]) -> bool:
    """Whether the looks at a video, or what is heard of it, are there, whole, of this shape each and of this file."""
    try:
        stamp: Any = read_json(target.with_suffix(".json"), "what looks were made from")["video"]
        looks, times = open_array(target, _WHAT), load_times(look_times_path(target))
        whole = looks.shape == (len(times), *shape)
        return bool(whole and looks.dtype == np.float16 and stamp["sha256"] == sha256)
    except (InputError, KeyError, TypeError):
        return False


def open_looks(target: Path, times: np.ndarray, *, hold: float = np.inf) -> HeldLooks:
    """Open the looks at a video for frames at some times; see `HeldLooks`."""
    return HeldLooks(open_array(target, _WHAT), load_times(look_times_path(target)), times, hold=hold)
