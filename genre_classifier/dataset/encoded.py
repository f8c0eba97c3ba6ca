"""Encoded clips: what a pretrained image network makes of every frame, computed once and kept beside the clips.

`encoded/<encoder digest>/trailer_<id>.npy` in the clips folder: float16, `(frames, channels, rows, cols)`, channels
first like every clip. Beside it, `trailer_<id>.json` holds the digest of the clip that it was made from: an encoded
clip counts only while that is the clip there is, so that neither a changed clip nor another encoder is ever mixed up.
`encoder.keras` in the same folder is the encoder.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genre_classifier.config import EncoderConfig
from genre_classifier.dataset.looks import encode_videos, encoder_of_process, is_looked_at, share_encoding
from genre_classifier.dataset.trailers import Trailer
from genre_classifier.network.encoder import CHUNK, Encoder, build_encoder
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
from preprocessing.clips import ClipWriter, clip_path, load_clip, open_array
from preprocessing.manifest import ok_rows, read_manifest
from preprocessing.processes.machine import release_pages
from preprocessing.processes.pool import check_options
from preprocessing.processes.serving import Answers
from preprocessing.sources import find_sources

FOLDER = "encoded"
_CLIP = "a clip (.npy)"
_DIGITS = 16  # of the digest of the encoder's maps, in a folder's name


def encoded_folder(clips: Path, encoder: Encoder) -> Path:
    """Return where the clips of a folder lie, encoded by this encoder."""
    return Path(clips) / FOLDER / encoder.maps_digest[:_DIGITS]


def encode_folder(
    clips: Path,
    config: EncoderConfig,
    *,
    jobs: int | None = None,
    scheduler: str | None = None,
    on_start: Callable[[int], None] | None = None,
    on_frames: Callable[[int], None] | None = None,
) -> tuple[Path, int]:
    """Encode every clip of a folder that is not encoded yet.

    Parameters
    ----------
    clips : Path
    config : EncoderConfig
    jobs, scheduler, on_start, on_frames
        As for `encode_clips`.

    Returns
    -------
    (Path, int)
        The folder of the encoded clips, and how many there are.

    Raises
    ------
    InputError
        As `encode_clips`; and if there are no clips, or the encoder cannot be built.
    """
    paths = [clip_path(clips, int(number)) for number in ok_rows(read_manifest(clips))["trailer_id"]]
    if not paths:
        raise InputError(f"{clips}: expected clips to encode, found none")
    if config.encoder_fps is not None:
        sources = list(ok_rows(read_manifest(clips))["source"])
        encoder = build_encoder(config)
        look_at_videos(
            sources,
            clips,
            encoder,
            config.encoder_fps,
            jobs=jobs,
            scheduler=scheduler,
            on_start=on_start,
            on_looks=on_frames,
        )
        return looks_folder(clips, encoder, config.encoder_fps), len(paths)
    encoder = build_encoder(config, *load_clip(paths[0]).shape[2:])
    folder = encode_clips(paths, clips, encoder, jobs=jobs, scheduler=scheduler, on_start=on_start, on_frames=on_frames)
    return folder, len(paths)


def encode_trailers(
    trailers: Sequence[Trailer],
    clips: Path,
    encoder: Encoder,
    *,
    looks_per_second: float | None = None,
    jobs: int | None = None,
    scheduler: str | None = None,
    on_start: Callable[[int], None] | None = None,
    on_frames: Callable[[int], None] | None = None,
) -> list[Trailer]:
    """Encode the clips of trailers, or look at their videos, where that is not done yet.

    Parameters
    ----------
    trailers : sequence of Trailer
    clips : Path
        Their clips folder.
    looks_per_second : float or None
        How often the encoder looks at the video itself; None: it sees every frame of the clip instead.
    encoder, jobs, scheduler, on_start, on_frames
        As for `encode_clips`.

    Returns
    -------
    list of Trailer
        The same, with `encoded` or `looks` set.
    """
    if looks_per_second is not None:
        sources = dict.fromkeys(trailer.source for trailer in trailers)
        places = look_at_videos(
            list(sources),
            clips,
            encoder,
            looks_per_second,
            jobs=jobs,
            scheduler=scheduler,
            on_start=on_start,
            on_looks=on_frames,
        )
        return [dataclasses.replace(trailer, looks=places[trailer.source]) for trailer in trailers]
    paths = [trailer.clip for trailer in trailers]
    folder = encode_clips(paths, clips, encoder, jobs=jobs, scheduler=scheduler, on_start=on_start, on_frames=on_frames)
    return [dataclasses.replace(trailer, encoded=folder / trailer.clip.name) for trailer in trailers]


def looks_folder(clips: Path, encoder: Encoder, looks_per_second: float) -> Path:
    """Return where the looks at the videos of a folder's clips lie."""
    return Path(clips) / FOLDER / f"{encoder.maps_digest[:_DIGITS]}_{looks_per_second:g}"


def look_at_videos(
    sources: Sequence[str],
    clips: Path,
    encoder: Encoder,
    looks_per_second: float,
    *,
    jobs: int | None = None,
    scheduler: str | None = None,
    on_start: Callable[[int], None] | None = None,
    on_looks: Callable[[int], None] | None = None,
) -> dict[str, Path]:
    """Let an encoder look at the videos behind clips; return where the looks at each source are.

    The videos are looked for where `preprocess` found them, only if some are not looked at yet.
    """
    folder, table = looks_folder(clips, encoder, looks_per_second), ok_rows(read_manifest(clips))
    rows = {str(row["source"]): row for row in table.to_dict("records")}
    targets = {one: folder / clip_path(clips, int(rows[one]["trailer_id"])).name for one in sources}
    digests = {one: str(rows[one]["sha256"]) for one in sources}
    missing = [one for one in sources if not is_looked_at(targets[one], digests[one], encoder)]
    if on_start:
        seconds = (float(np.nan_to_num(rows[one]["duration"])) for one in missing)  # of hand-made clips not known
        on_start(sum(int(one * looks_per_second) + 1 for one in seconds))
    if missing:
        videos = find_sources(clips, missing)
        encode_videos(
            {targets[one]: (videos[one], digests[one]) for one in missing},
            folder,
            encoder,
            looks_per_second,
            jobs=jobs,
            scheduler=scheduler,
            on_done=on_looks,
        )
    return targets


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
    missing = [path for path in dict.fromkeys(paths) if not _is_whole(path, folder / path.name, encoder)]
    if on_start:
        on_start(sum(len(load_clip(path)) for path in missing))
    if missing:
        make_folder(folder, purpose="encoded clips")
        targets = [folder / path.name for path in missing]
        share_encoding(
            f"{__name__}:encode_task",
            [
                {"clip": str(clip.absolute()), "target": str(target.absolute())}
                for clip, target in zip(missing, targets, strict=True)
            ],
            folder,
            encoder,
            here=lambda index: encode_clip(missing[index], targets[index], encoder),
            files=missing,
            jobs=jobs,
            scheduler=scheduler,
            on_done=on_frames,
        )
    return folder


def encode_task(task: dict[str, Any], answers: Answers) -> int:
    """Encode one clip in a child process; return how many frames it has."""
    return encode_clip(Path(task["clip"]), Path(task["target"]), encoder_of_process(task["encoder"], task["engine"]))


def encode_clip(clip: Path, target: Path, encoder: Encoder) -> int:
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
        writer = ClipWriter(temporary, (encoder.channels, encoder.cells, encoder.cells), dtype="<f2")
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


def write_stamp(clip: Path, target: Path, *, sha256: str | None = None) -> None:
    """Say beside an encoded clip what it was made from; the clip's digest is computed if it is not known."""
    facts = file_facts(clip) | {"sha256": sha256 or file_digest(clip, _CLIP)}
    write_atomically(target.with_suffix(".json"), json.dumps({"clip": facts}) + "\n")


def _is_whole(clip: Path, target: Path, encoder: Encoder) -> bool:
    """Whether an encoded clip is there, and made from the clip that there is."""
    try:
        stamp: Any = read_json(target.with_suffix(".json"), "what an encoded clip was made from")["clip"]
        shape = (len(load_clip(clip)), encoder.channels, encoder.cells, encoder.cells)
        maps = open_array(target, "an encoded clip (.npy)")
        if maps.shape != shape or maps.dtype != np.float16:
            return False
        same = all(stamp[name] == value for name, value in file_facts(clip).items())
        if same or stamp["sha256"] != file_digest(clip, _CLIP):
            return same
    except (InputError, KeyError, TypeError):
        return False
    write_stamp(clip, target, sha256=stamp["sha256"])
    return True  # the same clip, copied or touched
