"""Encoded clips: what a pretrained image network makes of every frame, computed once and kept beside the clips.

`encoded/<encoder digest>/trailer_<id>.npy` in the clips folder: float16, `(frames, channels, rows, cols)`, channels
first like every clip. Beside it, `trailer_<id>.json` holds the digest of the clip that it was made from: an encoded
clip counts only while that is the clip there is, so that neither a changed clip nor another encoder is ever mixed up.
`encoder.keras` in the same folder is the encoder.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genre_classifier.dataset.looks import encoder_of_process, share_encoding
from genre_classifier.network.frame_encoder import CHUNK, FrameEncoder
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
from preprocessing.clips import ClipWriter, load_clip, open_array
from preprocessing.processes.machine import release_pages
from preprocessing.processes.pool import check_options
from preprocessing.processes.serving import Answers

if TYPE_CHECKING:
    from genre_classifier.network.encoder import Encoder

FOLDER = "encoded"
FRAMES_PER_SECOND = 59.0  # that a process encodes (docs/measurements.md): a guide to how many are worth starting
_CLIP = "a clip (.npy)"
DIGITS = 16  # of the digest of the encoder's maps, in a folder's name


def encoded_folder(clips: Path, encoder: Encoder) -> Path:
    """Return where the clips of a folder lie, encoded by this encoder."""
    return Path(clips) / FOLDER / encoder.output_digest[:DIGITS]


def encode_clips(
    paths: Sequence[Path],
    clips: Path,
    encoder: Encoder,
    *,
    jobs: int | None = None,
    scheduler: str | None = None,
    on_start: Callable[[int], None] | None = None,
    on_frames: Callable[[int], None] | None = None,
) -> Path:
    """Encode the clips that are not encoded yet; each is kept for good as soon as it is done.

    Parameters
    ----------
    paths : sequence of Path
        Clips of one size.
    clips : Path
        Their folder.
    encoder : Encoder
        Built for their size.
    jobs : int, optional
        Processes; by default as many as there are cores. Fewer where clips or memory are fewer.
    scheduler : str, optional
        Address of a Dask scheduler, `tcp://host:port`; its workers must see the folder under the same name.
    on_start, on_frames : callable, optional
        Told the number of frames to encode, and frames done.

    Returns
    -------
    Path
        The folder of the encoded clips.

    Raises
    ------
    InputError
        If a clip has another size than the encoder's frames, or cannot be read; if the folder cannot be written to.
    WorkError
        If the disk is full.
    """
    check_options(jobs=jobs, scheduler=scheduler)
    folder = encoded_folder(clips, encoder)
    missing = [
        path
        for path in dict.fromkeys(paths)
        if not is_whole(path, folder / path.name, (len(load_clip(path)), *encoder.look_shape))
    ]
    frames = sum(len(load_clip(path)) for path in missing)
    if on_start:
        on_start(frames)
    if missing:
        make_folder(folder, purpose="encoded clips")
        targets = [folder / path.name for path in missing]
        share_encoding(
            f"{__name__}:encode_task",
            [
                {"clip": str(clip.absolute()), "target": str(target.absolute()), "engine": encoder.engine}
                for clip, target in zip(missing, targets, strict=True)
            ],
            folder,
            encoder,
            here=lambda index: encode_clip(missing[index], targets[index], encoder),
            files=missing,
            jobs=jobs,
            scheduler=scheduler,
            seconds=frames / FRAMES_PER_SECOND,
            on_done=on_frames,
        )
    return folder


def encode_task(task: dict[str, Any], answers: Answers) -> int:
    """Encode one clip in a child process; return how many frames it has."""
    return encode_clip(Path(task["clip"]), Path(task["target"]), encoder_of_process(task))


def encode_clip(clip: Path, target: Path, encoder: FrameEncoder) -> int:
    """Encode one clip, a batch of frames at a time; return how many it has.

    The encoded clip is written whole or not at all, then what it was made from.

    Raises
    ------
    InputError
        If the clip cannot be read, has another size than the encoder's frames, or is encoded to no numbers.
    WorkError
        If it cannot be written.
    """
    facts = file_facts(clip)
    pixels = load_clip(clip)
    stamp = target.with_suffix(".json")
    with atomic_path(target) as temporary:
        writer = ClipWriter(temporary, encoder.look_shape, dtype="<f2")
        try:
            for start in range(0, len(pixels), CHUNK):
                try:
                    maps = encoder.encode(pixels[start : start + CHUNK])
                except InputError as error:
                    raise InputError(f"{clip}: {error}") from error
                for one in maps:
                    writer.add(one)
                release_pages(pixels)
            writer.finish()
        finally:
            writer.close()
        sha256 = file_digest(clip, _CLIP)  # before the check, which vouches for it too
        require_unchanged(clip, facts, doing="encoded")
        stamp.unlink(missing_ok=True)  # of an older clip
    write_stamp(clip, target, sha256=sha256)
    return len(pixels)


def write_stamp(source: Path, target: Path, *, sha256: str) -> None:
    """Say beside an encoded clip or sound what it was made from."""
    facts = file_facts(source) | {"sha256": sha256}
    write_atomically(target.with_suffix(".json"), json.dumps({"clip": facts}) + "\n")


def is_whole(source: Path, target: Path, shape: tuple[int, ...]) -> bool:
    """Whether an encoded clip or sound is there, of this shape, and made from the file that there is."""
    try:
        stamp: Any = read_json(target.with_suffix(".json"), "what an encoded clip was made from")["clip"]
        encoded = open_array(target, "an encoded clip (.npy)")
        if encoded.shape != shape or encoded.dtype != np.float16:
            return False
        same = all(stamp[name] == value for name, value in file_facts(source).items())
        if same or stamp["sha256"] != file_digest(source, _CLIP):
            return same
    except (InputError, KeyError, TypeError):
        return False
    write_stamp(source, target, sha256=stamp["sha256"])
    return True  # the same file, copied or touched
