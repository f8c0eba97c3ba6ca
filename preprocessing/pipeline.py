"""Videos to clips: one trailer, or a folder of them with a manifest.

Reader processes decode; this process gives the clips their ids, in the order of the sources, and writes the manifest.
After any interruption, a rerun ends with the same bytes as an undisturbed run.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from preprocessing.base.errors import InputError, WorkError
from preprocessing.base.locks import locked
from preprocessing.clips import (
    CLIP_NAME,
    clip_path,
    load_clip,
    load_sound,
    load_times,
    read_clip_config,
    read_clip_preset,
    remove_staged,
    sound_path,
    sound_seconds,
    staged_path,
    take_staged,
    times_path,
    write_clip_config,
)
from preprocessing.config import ClipConfig, VideoLimits
from preprocessing.disk import require_disk
from preprocessing.manifest import MANIFEST_NAME, manifest_table, read_manifest, source_name, write_manifest
from preprocessing.processes.pool import Pool, answers, check_options
from preprocessing.reader_client import READER, job
from preprocessing.sources import find_videos

logger = logging.getLogger(__name__)

# The manifest is rewritten as a whole: not at every row, and where there are so many that this takes long, less often
# still, so that it never takes more than a twentieth of the time. What a kill loses by it is redone.
MANIFEST_SECONDS = 1.0
MANIFEST_SHARE = 0.05

Row = dict[str, Any]


class Beside(Protocol):
    """What is made of other frames of videos, while these are decoded for their clips.

    Several videos come at once, each in a thread. An InputError that this raises would be taken for a fault of the
    video.

    Attributes
    ----------
    config : ClipConfig
        Which frames, and of what size.
    """

    config: ClipConfig

    def begin(self, source: str) -> None:
        """Begin a video, or begin it again: what came of it before is void."""

    def add(self, source: str, frame: np.ndarray) -> None:
        """Take the next frame of a video, uint8 (3, size, size)."""

    def end(self, source: str, times: np.ndarray) -> None:
        """Take the seconds of all frames of a video. This does not come for every one that was begun."""

    def settle(self, row: Row) -> None:
        """Take a row of the manifest as it becomes known, whether its video was read or not; in the order of these."""


def preprocess_trailer(
    video: Path | str,
    clips: Path | str,
    *,
    trailer_id: int = 0,
    config: ClipConfig | None = None,
    limits: VideoLimits | None = None,
) -> Row:
    """Turn one video into `trailer_<id>.npy`, `times_<id>.npy` and `sound_<id>.npy` in `clips`, without a manifest.

    Returns
    -------
    dict
        What a manifest row would say of it.

    Raises
    ------
    InputError
        If the video cannot be read.
    WorkError
        If the clip cannot be written.
    """
    video, clips, config, limits = Path(video), Path(clips), config or ClipConfig(), limits or VideoLimits()
    with _locked(clips):
        staged = staged_path(clips, f"trailer {trailer_id}")
        pool = Pool(READER)
        try:
            answer = pool.run(job(video, (config,), limits, clip=staged), limits.timeout)
            if "failed" in answer:
                raise InputError(f"{video}: {answer['failed']}")
            take_staged(staged, clips, trailer_id)
        finally:
            pool.close()
            remove_staged(clips, keep=set())
    return {"trailer_id": trailer_id, "source": source_name(Path(video.name)), "status": "ok", **answer["done"]}


def preprocess_directory(
    trailers: Path | str,
    clips: Path | str,
    *,
    config: ClipConfig | None = None,
    jobs: int | None = None,
    scheduler: str | None = None,
    limits: VideoLimits | None = None,
    preset: str | None = None,
    beside: Beside | None = None,
    on_progress: Callable[[Row, bool], None] | None = None,
) -> pd.DataFrame:
    """Turn a folder of videos into a folder of clips with a manifest.

    Videos that are done (same digest) are skipped, those that failed are tried again, new ones get the next ids. Ids
    and bytes do not depend on how many work at once, where, and how often they were interrupted. A video that cannot be
    read any more keeps its clip, and its row says why; one that became another and fails loses it, but not its id.

    Parameters
    ----------
    trailers, clips : path
        Folder to read, folder to write.
    config : ClipConfig, optional
        The options of the clips; a folder that has clips keeps the options it began with.
    jobs : int, optional
        Videos at once; by default as many as there are cores. The Dask cluster decides where there is one.
    scheduler : str, optional
        Address of a Dask scheduler, `tcp://host:port`; its workers must see both folders under the same names.
    limits : VideoLimits, optional
        What a video may cost.
    preset : str, optional
        Name of the preset that the options are from, which is kept beside them; by default what is there already.
    beside : Beside, optional
        Gets other frames of the videos that are decoded, not from a Dask cluster.
    on_progress : callable, optional
        Gets each source's row as it becomes known, in the order of the manifest, and whether its clip is a new one.

    Returns
    -------
    DataFrame
        The manifest.

    Raises
    ------
    InputError
        If a folder cannot be used, or holds clips of other options.
    WorkError
        If there is not enough disk for the clips, or the work had to stop: a full disk, a lost cluster.
    """
    trailers, clips, config, limits = Path(trailers), Path(clips), config or ClipConfig(), limits or VideoLimits()
    check_options(jobs=jobs, scheduler=scheduler)
    videos = find_videos(trailers)
    with _locked(clips):
        folder = _Folder(clips, config)
        config = folder.config
        staged = {folder.staged(source_name(video)) for video in videos}
        remove_staged(clips, keep=staged)
        # From a cluster, so many pictures would take longer than another decoding.
        extra = () if beside is None or scheduler is not None else (beside.config,)
        tasks = [folder.task(trailers, video, limits, extra) for video in videos]
        require_disk(clips, [Path(task["video"]) for task in tasks if task["known"] is None], config, limits)
        write_clip_config(clips, config, trailers=trailers, preset=preset or read_clip_preset(clips))
        try:
            with answers(
                READER,
                tasks,
                jobs=jobs,
                scheduler=scheduler,
                timeout=limits.timeout,
                on_answer=partial(_pass_on, beside, videos) if beside is not None else None,
            ) as results:
                for video, answer in zip(videos, results, strict=True):
                    row = folder.settle(source_name(video), answer)
                    if beside is not None:
                        beside.settle(row)
                    if on_progress is not None:
                        on_progress(row, "done" in answer)
        except WorkError:
            remove_staged(clips, keep=set())
            with suppress(WorkError):  # the disk may be full, which is being told
                folder.save()
            raise
        except KeyboardInterrupt:
            remove_staged(clips, keep=staged)
            folder.save()
            raise
        remove_staged(clips, keep=set())
        return folder.save()


def _pass_on(beside: Beside, videos: Sequence[Path], index: int, answer: dict[str, Any]) -> None:
    source = source_name(videos[index])
    if "times" in answer:
        beside.begin(source)
    elif "frame" in answer:
        size = beside.config.size
        beside.add(source, np.frombuffer(answer["bytes"], np.uint8).reshape(3, size, size))
    elif answer.get("final_times"):
        beside.end(source, np.array(answer["final_times"][0], dtype=np.float64))


def _locked(clips: Path) -> AbstractContextManager[None]:
    busy = "another run is writing clips there; wait for it, or use another folder"
    return locked(clips, purpose="clips", busy=busy)


class _Folder:
    """A folder of clips while a run fills it.

    Attributes
    ----------
    config : ClipConfig
        As given; without sound where the folder has clips that were made without.
    """

    def __init__(self, clips: Path, config: ClipConfig) -> None:
        self._clips = clips
        self.config = config
        self._rows = self._earlier_rows()
        # A video that lost its clip keeps its id in its row, so that no other video gets it.
        taken = [row["trailer_id"] for row in self._rows.values() if row["trailer_id"] is not None]
        self._next_id = 1 + max(taken, default=-1)
        self._next_save = time.monotonic() + MANIFEST_SECONDS

    def _earlier_rows(self) -> dict[str, Row]:
        """Return the manifest's rows by source; refuse a folder that this run must not add to."""
        clips = self._clips
        has_manifest = (clips / MANIFEST_NAME).exists()
        if not has_manifest and not any(CLIP_NAME.fullmatch(path.name) for path in clips.iterdir()):
            return {}
        earlier = read_clip_config(clips)
        if earlier is None:
            raise InputError(f"{clips}: holds clips that were not made here; expected an empty folder or a new one")
        table = read_manifest(clips).astype(object) if has_manifest else manifest_table([]).astype(object)
        rows = table.where(table.notna(), None).to_dict("records")
        # Failures alone, a size that nothing could be made of, say, bind no later run.
        binds = not has_manifest or any(row["trailer_id"] is not None for row in rows)
        if binds and self.config.sound and not earlier.sound:
            self.config = dataclasses.replace(self.config, sound=False)
            logger.info(
                f"{clips}: its clips were made without sound, so new ones get none either; preprocess into another "
                f"folder for clips with sound"
            )
        if binds and earlier != self.config:
            was, now = earlier.to_dict(), self.config.to_dict()
            changed = ", ".join(f"{name} {was[name]} (now {now[name]})" for name in was if was[name] != now[name])
            raise InputError(f"{clips}: its clips were made with {changed}; use the same options or another folder")
        return {row["source"]: {str(name): value for name, value in row.items()} for row in rows}

    def task(
        self, trailers: Path, video: Path, limits: VideoLimits, beside: tuple[ClipConfig, ...] = ()
    ) -> dict[str, Any]:
        """Return the reader's job for one video, of which other frames may be streamed."""
        source = source_name(video)
        row = self._rows.get(source)
        known = row["sha256"] if row is not None and self._has_clip(row) else None
        # Readers may run elsewhere, with another working folder.
        clip = self.staged(source).absolute()
        return job((trailers / video).absolute(), (*beside, self.config), limits, clip=clip, known=known)

    def staged(self, source: str) -> Path:
        """Return where the clip of a source waits for its id: elsewhere for other options."""
        return staged_path(self._clips, f"{self.config} {source}")

    def _has_clip(self, row: Row) -> bool:
        """Return whether the clip of a row is there, as the row says."""
        if row["status"] != "ok":
            return False
        try:
            clip = load_clip(clip_path(self._clips, row["trailer_id"]))
            times = load_times(times_path(self._clips, row["trailer_id"]))
            has_sound = row["sound"] is not None
            sound = len(load_sound(sound_path(self._clips, row["trailer_id"]))) if has_sound else 0
        except InputError:
            return False
        shape = (row["frames"], 3, row["rows"], row["cols"])
        return (clip.shape, len(times), sound_seconds(sound)) == (shape, row["frames"], row["sound"])

    def settle(self, source: str, answer: dict[str, Any]) -> Row:
        """Number what was read, put it in place, and return its row."""
        earlier = self._rows.get(source)
        if earlier is not None and "unchanged" in answer:
            row = earlier | {"error": ""}
        elif "failed" in answer:
            row = self._failed(source, " ".join(answer["failed"].split()), answer["facts"])
        else:
            trailer_id = earlier["trailer_id"] if earlier is not None else None
            if trailer_id is None:
                trailer_id, self._next_id = self._next_id, self._next_id + 1
            take_staged(self.staged(source), self._clips, trailer_id)
            row = {"trailer_id": trailer_id, "source": source, "status": "ok", "error": "", **answer["done"]}
        self._rows[source] = row
        if time.monotonic() >= self._next_save:
            self.save()
        return row

    def _failed(self, source: str, reason: str, facts: Row) -> Row:
        """Return the row of a video that could not be read; its clip goes only if it shows other bytes than these."""
        earlier = self._rows.get(source)
        trailer_id = earlier["trailer_id"] if earlier is not None else None
        if earlier is not None and trailer_id is not None:
            # Away, not to be read, too slow, a reader that died: all of that may pass, and says nothing about the clip.
            replaced = bool(facts and earlier["sha256"]) and facts["sha256"] != earlier["sha256"]
            if not replaced and self._has_clip(earlier):
                return earlier | {"error": reason}
            if replaced:
                for path in (clip_path, times_path, sound_path):
                    path(self._clips, trailer_id).unlink(missing_ok=True)
        return {"trailer_id": trailer_id, "source": source, "status": "failed", "error": reason, **facts}

    def save(self) -> pd.DataFrame:
        """Write the manifest of all that is settled."""
        began = time.monotonic()
        manifest = manifest_table(self._rows.values())
        write_manifest(self._clips, manifest)
        now = time.monotonic()
        self._next_save = now + max(MANIFEST_SECONDS, (now - began) / MANIFEST_SHARE)
        return manifest
