"""All that encoders have to see and hear of trailers before a network learns or scores: what is missing is made."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from genre_classifier.config import EncoderConfig
from genre_classifier.dataset.encoded import DIGITS, FOLDER, encode_clips
from genre_classifier.dataset.heard import encode_sounds, require_sound
from genre_classifier.dataset.looks import encode_videos, is_looked_at, keep_encoder, look_config, write_looks
from genre_classifier.dataset.trailers import Trailer
from genre_classifier.network.encoder import Encoder, build_encoder
from genre_classifier.network.encoder_engine import choose_engine
from genre_classifier.network.frame_encoder import CHUNK
from genre_classifier.network.sound_encoder import SoundEncoder, read_sound_encoder
from preprocessing.base.errors import InputError
from preprocessing.base.files import make_folder
from preprocessing.clips import clip_path, load_clip
from preprocessing.config import VideoLimits
from preprocessing.manifest import ok_rows, read_manifest
from preprocessing.sources import find_sources


class Encoders(NamedTuple):
    """Networks that look and listen.

    Attributes
    ----------
    eye : Encoder or None
    looks_per_second : float or None
        How often the eye looks at the videos themselves; None: it sees every frame of the clips instead.
    ear : SoundEncoder or None
    """

    eye: Encoder | None
    looks_per_second: float | None
    ear: SoundEncoder | None


def build_encoders(config: EncoderConfig, rows: int, cols: int) -> Encoders:
    """Build the encoders for clips of a size; InputError if one cannot be built, or there is none."""
    if config.encoder is None and config.sound_encoder is None:
        raise InputError("nothing to encode with: expected --encoder or --sound-encoder")
    eye = ear = None
    if config.encoder is not None:
        eye = build_encoder(config, rows, cols) if config.encoder_fps is None else build_encoder(config)
    if config.sound_encoder is not None:
        engine = choose_engine(config.encoder_engine) if eye is None else eye.engine
        ear = read_sound_encoder(Path(config.sound_encoder), config.sound_rate, engine)
    return Encoders(eye, config.encoder_fps, ear)


def encode_folder(
    clips: Path,
    config: EncoderConfig,
    *,
    encoders: Encoders | None = None,
    limits: VideoLimits | None = None,
    jobs: int | None = None,
    scheduler: str | None = None,
    on_start: Callable[[int], None] | None = None,
    on_frames: Callable[[int], None] | None = None,
    on_failed: Callable[[str, InputError], None] | None = None,
) -> dict[Path, int]:
    """Encode every clip of a folder that is not encoded yet, and its sound.

    Parameters
    ----------
    clips : Path
    config : EncoderConfig
    encoders : Encoders, optional
        Built from it before.
    limits : VideoLimits, optional
        Of the videos that are looked at.
    jobs, scheduler, on_start, on_frames
        As for `genre_classifier.dataset.encoded.encode_clips`.
    on_failed : callable, optional
        As for `look_at_videos`.

    Returns
    -------
    dict of Path to int
        The folders of what each encoder made, and how many clips are encoded there.

    Raises
    ------
    InputError
        As `encode_clips` and `look_at_videos`; and if there are no clips, an encoder cannot be built, or clips to
        listen to were made without sound.
    """
    table = ok_rows(read_manifest(clips))
    numbers = [int(number) for number in table["trailer_id"]]
    if not numbers:
        raise InputError(f"{clips}: expected clips to encode, found none")
    paths = [clip_path(clips, number) for number in numbers]
    eye, looks_per_second, ear = encoders or build_encoders(config, *load_clip(paths[0]).shape[2:])
    if ear is not None:
        require_sound(clips, numbers)
    shared: dict[str, Any] = {"jobs": jobs, "scheduler": scheduler, "on_start": on_start}
    folders: dict[Path, int] = {}
    if ear is not None:  # first: it needs no video
        folders[encode_sounds(numbers, clips, ear, on_seconds=on_frames, **shared)] = len(numbers)
    if eye is not None and looks_per_second is not None:
        told: dict[str, Any] = {"on_looks": on_frames, "on_failed": on_failed}
        places = look_at_videos(list(table["source"]), clips, eye, looks_per_second, limits=limits, **told, **shared)
        folders[looks_folder(clips, eye, looks_per_second)] = len(places)
    elif eye is not None:
        folders[encode_clips(paths, clips, eye, on_frames=on_frames, **shared)] = len(numbers)
    return folders


class LooksBeside:
    """Looks of an encoder at videos that `preprocess_directory` decodes for their clips: its `Beside`.

    Those of a video wait in memory until its trailer has a number. What fails here is left to `look_at_videos`, which
    says why.

    Parameters
    ----------
    clips : Path
        Where the clips go.
    encoder : Encoder
    looks_per_second : float

    Attributes
    ----------
    config : ClipConfig
    """

    def __init__(self, clips: Path, encoder: Encoder, looks_per_second: float) -> None:
        self.config = look_config(encoder, looks_per_second)
        self._clips, self._encoder = clips, encoder
        self._folder = looks_folder(clips, encoder, looks_per_second)
        self._waiting: dict[str, list[np.ndarray]] = {}  # frames that are not looked at yet, of each source
        self._looks: dict[str, list[np.ndarray]] = {}
        self._done: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self._alone = threading.Lock()

    def begin(self, source: str) -> None:
        """Begin a video, or begin it again."""
        self._waiting[source], self._looks[source] = [], []

    def add(self, source: str, frame: np.ndarray) -> None:
        """Take the next frame of a video."""
        self._waiting[source].append(frame)
        if len(self._waiting[source]) == CHUNK:
            self._look(source)

    def end(self, source: str, times: np.ndarray) -> None:
        """Take the seconds of all frames of a video."""
        self._look(source)
        if sum(map(len, self._looks[source])) == len(times):
            self._done[source] = np.concatenate(self._looks[source]), times

    def _look(self, source: str) -> None:
        frames, self._waiting[source] = self._waiting[source], []
        if frames:
            with self._alone, suppress(Exception):  # whatever the engine raises: it costs no clip
                self._looks[source].append(self._encoder.encode(np.stack(frames)))

    def settle(self, row: dict[str, Any]) -> None:
        """Write the looks at a video that has a clip now; WorkError if the disk is full."""
        for under_way in (self._waiting, self._looks):
            under_way.pop(row["source"], None)
        if (found := self._done.pop(row["source"], None)) is not None:
            make_folder(self._folder, purpose="looks of an encoder")
            keep_encoder(self._folder, self._encoder)
            target = self._folder / clip_path(self._clips, row["trailer_id"]).name
            write_looks(target, *found, sha256=row["sha256"])


def encode_trailers(
    trailers: Sequence[Trailer],
    clips: Path,
    encoder: Encoder | None,
    *,
    looks_per_second: float | None = None,
    sound_encoder: SoundEncoder | None = None,
    jobs: int | None = None,
    scheduler: str | None = None,
    on_start: Callable[[int], None] | None = None,
    on_frames: Callable[[int], None] | None = None,
) -> list[Trailer]:
    """Encode the clips of trailers, or look at their videos, and listen to their sound, where that is not done yet.

    Parameters
    ----------
    trailers : sequence of Trailer
    clips : Path
        Their clips folder.
    encoder : Encoder or None
    looks_per_second : float or None
        How often the encoder looks at the video itself; None: it sees every frame of the clip instead.
    sound_encoder : SoundEncoder, optional
    jobs, scheduler, on_start, on_frames
        As for `genre_classifier.dataset.encoded.encode_clips`; the third and fourth are told of each encoder, of the
        sound in seconds.

    Returns
    -------
    list of Trailer
        The same, with `encoded` or `looks`, and `heard` set.
    """
    found = list(trailers)
    shared: dict[str, Any] = {"jobs": jobs, "scheduler": scheduler, "on_start": on_start}
    if encoder is not None and looks_per_second is not None:
        sources = dict.fromkeys(trailer.source for trailer in trailers)
        places = look_at_videos(list(sources), clips, encoder, looks_per_second, on_looks=on_frames, **shared)
        found = [dataclasses.replace(one, looks=places[one.source]) for one in found]
    elif encoder is not None:
        folder = encode_clips([one.clip for one in trailers], clips, encoder, on_frames=on_frames, **shared)
        found = [dataclasses.replace(one, encoded=folder / one.clip.name) for one in found]
    if sound_encoder is not None:
        numbers = [one.trailer_id for one in trailers]
        folder = encode_sounds(numbers, clips, sound_encoder, on_seconds=on_frames, **shared)
        found = [dataclasses.replace(one, heard=folder / one.clip.name) for one in found]
    return found


def looks_folder(clips: Path, encoder: Encoder, looks_per_second: float) -> Path:
    """Return where the looks at the videos of a folder's clips lie."""
    return Path(clips) / FOLDER / f"{encoder.output_digest[:DIGITS]}_{looks_per_second:g}"


def look_at_videos(
    sources: Sequence[str],
    clips: Path,
    encoder: Encoder,
    looks_per_second: float,
    *,
    limits: VideoLimits | None = None,
    jobs: int | None = None,
    scheduler: str | None = None,
    on_start: Callable[[int], None] | None = None,
    on_looks: Callable[[int], None] | None = None,
    on_failed: Callable[[str, InputError], None] | None = None,
) -> dict[str, Path]:
    """Let an encoder look at the videos behind clips.

    The videos are looked for where `preprocess` found them, only if some are not looked at yet.

    Parameters
    ----------
    sources : sequence of str
        Of the manifest.
    clips : Path
    encoder : Encoder
    looks_per_second : float
    limits, jobs, scheduler, on_start
        As for `encode_folder`.
    on_looks : callable, optional
        Told the number of looks of each video.
    on_failed : callable, optional
        Told which source cannot be looked at, and why; by default the first such video ends it.

    Returns
    -------
    dict of str to Path
        Where the looks at each source are; without those that failed.

    Raises
    ------
    InputError
        If a video is not there any more, cannot be read, or is another than its clip was made from; with `on_failed`,
        if that holds for all of them.
    """
    folder, table = looks_folder(clips, encoder, looks_per_second), ok_rows(read_manifest(clips))
    rows = {str(row["source"]): row for row in table.to_dict("records")}
    targets = {one: folder / clip_path(clips, int(rows[one]["trailer_id"])).name for one in sources}
    digests = {one: str(rows[one]["sha256"]) for one in sources}
    missing = [one for one in sources if not is_looked_at(targets[one], digests[one], encoder.look_shape)]
    videos, failed = find_sources(clips, missing) if missing else ({}, {})
    if failed and on_failed is None:
        raise next(iter(failed.values()))
    durations = (float(np.nan_to_num(rows[one]["duration"])) for one in videos)  # of hand-made clips not known
    looks = sum(int(one * looks_per_second) + 1 for one in durations)
    if on_start:
        on_start(looks)
    if videos:
        source_of = {targets[one]: one for one in videos}

        def fail(target: Path, error: InputError) -> None:
            failed[source_of[target]] = error

        encode_videos(
            {targets[one]: (video, digests[one]) for one, video in videos.items()},
            folder,
            encoder,
            looks_per_second,
            looks=looks,
            limits=limits,
            jobs=jobs,
            scheduler=scheduler,
            on_done=on_looks,
            on_failed=fail if on_failed else None,
        )
    found = {one: target for one, target in targets.items() if one not in failed}
    if failed and not found:
        raise next(iter(failed.values()))
    if on_failed:
        for source in sources:
            if source in failed:
                on_failed(source, failed[source])
    return found
