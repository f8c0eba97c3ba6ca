"""The reader process: takes jobs, decodes, answers. `python -m preprocessing.reader_process`.

Decoders crash, hang and eat memory, and they report through stderr. In a process of their own they cost one file.

A job without a `clip` streams: after an answer with the times comes, for each frame, one line with its clip and its
number of bytes, and then those bytes. A job with a `clip` writes the frames of its last config there, and streams those
of the others. A job with a `copy` streams whole pictures in the same way, after an answer with their rate, and one with
`sound` blocks of samples.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from preprocessing.base.errors import InputError, WorkError
from preprocessing.base.files import file_facts, not_written, os_reason, read_json
from preprocessing.clips import ClipWriter, sound_seconds
from preprocessing.config import ClipConfig, CopyConfig, VideoLimits
from preprocessing.container import read_container
from preprocessing.decoding import decode, decode_copy
from preprocessing.fitting import thumbnail
from preprocessing.processes.serving import Answers, serve
from preprocessing.sound import decode_sound
from preprocessing.video import MEMORY, check_file, open_video

DIGEST_BLOCK = 1 << 22


def _answer(job: dict[str, Any], answers: Answers) -> dict[str, Any]:
    try:
        return _work(job, answers)
    except (InputError, WorkError):
        raise
    except Exception as error:
        # Any error of a decoder's wrapper must cost one file, not the run.
        short = isinstance(error, MemoryError) or getattr(error, "code", None) == cv2.Error.StsNoMem
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(MEMORY if short else f"the reader failed: {reason}") from error


def _work(job: dict[str, Any], answers: Answers) -> dict[str, Any]:
    path = Path(job["video"])
    if "container" in job:
        check_file(path)
        if (container := read_container(path)) is None:
            raise InputError("expected a video, found a file that cannot be opened")
        return {"done": dataclasses.asdict(container)}
    limits = VideoLimits.from_dict(job["limits"])
    if "sound" in job:
        check_file(path)
        if read_container(path) is None:  # there is no sound, then; is it a video?
            with open_video(path, limits):
                return {"done": {}}
        for block in decode_sound(path, limits, alive=answers.alive):
            answers.say({"frame": block.nbytes}, block.data)
        return {"done": {}}
    if job["copy"] is not None:
        check_file(path)
        decode_copy(path, CopyConfig.from_dict(job["copy"]), limits, _CopySink(answers), alive=answers.alive)
        return {"done": {}}
    configs = [ClipConfig.from_dict(one) for one in job["configs"]]
    check_file(path)
    if job["clip"] is None:
        stream = _StreamSink(answers, job["thumbnails"])
        decoded = decode(path, configs, limits, stream, exact=job["exact"], alive=answers.alive)
        return {"done": decoded.fields(), "final_times": [times.tolist() for times in decoded.times]}
    config = configs[-1]
    before = file_facts(path)
    sha256 = _digest(path, answers.alive)
    if sha256 == job["known"]:
        return {"unchanged": True}
    facts = {"sha256": sha256, "bytes": before["bytes"]}
    answers.say({"facts": facts})
    staged = Path(job["clip"]).with_suffix(".json")
    if (earlier := _finished_earlier(staged, sha256)) is not None:
        return {"done": earlier}
    clip = _ClipSink(Path(job["clip"]), config.size, answers)
    try:
        try:
            decoded = decode(path, configs, limits, clip, exact=False, alive=answers.alive)
        except InputError:
            if len(configs) == 1:
                raise
            # It may be a picture that the clip does without.
            decoded = decode(path, [config], limits, clip, exact=False, alive=answers.alive)
        # After the pictures: what decoders say of damage to these must be theirs.
        sound = clip.take_sound(decode_sound(path, limits, alive=answers.alive)) if config.sound else None
        if file_facts(path) != before:
            answers.say({"facts": {}})  # of bytes that no longer exist
            raise InputError("it changed while it was read; run again when it is complete")
        fields = {**facts, "rows": config.size, "cols": config.size, **decoded.fields(), "sound": sound}
        clip.finish(decoded.times[-1], staged, fields)
    finally:
        clip.discard()
    return {"done": fields, "final_times": [times.tolist() for times in decoded.times[:-1]]}


def _digest(path: Path, alive: Callable[[], None]) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(DIGEST_BLOCK):
                digest.update(block)
                alive()
    except OSError as error:
        raise InputError(f"expected a video file, cannot read it: {os_reason(error)}") from error
    return digest.hexdigest()


def _finished_earlier(staged: Path, sha256: str) -> dict[str, Any] | None:
    """Return the fields of a clip that an interrupted run finished and did not get to number."""
    try:
        fields = read_json(staged, "the fields of a clip")
    except InputError:
        return None
    if not isinstance(fields, dict) or fields.get("sha256") != sha256:
        return None
    parts = [".npy", ".times", *[".sound"] * (fields.get("sound") is not None)]
    return fields if all(staged.with_suffix(part).exists() for part in parts) else None


class _ClipSink:
    """Writes clip and sound under temporary names; `finish` moves them, the times and the fields into place.

    The clip is the last one; the frames of others go to the parent.
    """

    def __init__(self, clip: Path, size: int, answers: Answers) -> None:
        self._clip = clip
        self._size = size
        self._answers = answers
        self._last = 0
        self._part = clip.with_suffix(f".{os.getpid()}.part")
        self._sound_part = clip.with_suffix(f".{os.getpid()}.sound")
        self._writer: ClipWriter | None = None
        self._sound: ClipWriter | None = None

    def begin(self, times: Sequence[np.ndarray]) -> None:
        try:
            if self._writer is not None:
                self._writer.close()
            self._writer = ClipWriter(self._part, (3, self._size, self._size))
        except OSError as error:
            raise not_written(self._clip.parent, error) from error
        self._last = len(times) - 1
        if self._last:
            self._answers.say({"times": [one.tolist() for one in times[:-1]]})

    def add(self, clip: int, frame: np.ndarray, image: np.ndarray, pixel_aspect: float) -> None:
        if clip < self._last:
            self._answers.say({"frame": frame.nbytes, "clip": clip}, frame.data)
            return
        assert self._writer is not None
        try:
            self._writer.add(frame)
        except OSError as error:
            raise not_written(self._clip.parent, error) from error

    def take_sound(self, blocks: Iterator[np.ndarray]) -> float | None:
        """Write blocks of sound as they come; return how many seconds, None where there is none."""
        for block in blocks:
            try:
                self._sound = self._sound or ClipWriter(self._sound_part, (), dtype="<f2")
                self._sound.extend(block)
            except OSError as error:
                raise not_written(self._clip.parent, error) from error
        return sound_seconds(self._sound.frames if self._sound else 0)

    def finish(self, times: np.ndarray, staged: Path, fields: dict[str, Any]) -> None:
        assert self._writer is not None
        try:
            self._writer.finish()
            self._part.replace(self._clip)
            if self._sound is not None:
                self._sound.finish()
                self._sound_part.replace(self._clip.with_suffix(".sound"))
            with self._part.open("wb") as file:
                np.save(file, times)
            self._part.replace(self._clip.with_suffix(".times"))
            self._part.write_text(json.dumps(fields), encoding="utf-8")
            self._part.replace(staged)
        except OSError as error:
            raise not_written(self._clip.parent, error) from error

    def discard(self) -> None:
        for writer, part in ((self._writer, self._part), (self._sound, self._sound_part)):
            if writer is not None:
                writer.close()
            part.unlink(missing_ok=True)


class _StreamSink:
    """Sends the frames to the parent, and before some of those of the last clip a thumbnail."""

    def __init__(self, answers: Answers, thumbnails: int) -> None:
        self._answers = answers
        self._thumbnails = thumbnails
        self._last, self._added = 0, 0
        self._shown: set[int] = set()

    def begin(self, times: Sequence[np.ndarray]) -> None:
        self._last, self._added = len(times) - 1, 0
        some = np.linspace(0, len(times[-1]) - 1, min(self._thumbnails, len(times[-1])))
        self._shown = set(np.round(some).astype(int).tolist())
        self._answers.say({"times": [one.tolist() for one in times]})

    def add(self, clip: int, frame: np.ndarray, image: np.ndarray, pixel_aspect: float) -> None:
        if clip == self._last:
            if self._added in self._shown:
                small = thumbnail(image, pixel_aspect=pixel_aspect)
                self._answers.say({"frame": small.nbytes, "thumbnail": small.shape}, small.data)
            self._added += 1
        self._answers.say({"frame": frame.nbytes, "clip": clip}, frame.data)


class _CopySink:
    """Sends whole pictures to the parent, each once for all the frames that show it."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def begin(self, fps: float) -> None:
        self._answers.say({"fps": fps})

    def add(self, picture: np.ndarray, ticks: int) -> None:
        self._answers.say({"frame": picture.nbytes, "shape": picture.shape, "ticks": ticks}, picture.data)


if __name__ == "__main__":
    cv2.setNumThreads(1)
    serve(_answer)
