"""The tags folder: the files of each video.

A video is done when its `tags.json` is there, written last: a later command goes on where this one stopped.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre_classifier.config import ExportConfig, Precision, SegmentConfig
from genre_classifier.tagging.jobs import STAMP, Job, make_stamp, read_stamp, run_digest
from genre_classifier.tagging.overlay import write_overlay
from genre_classifier.tagging.result import Tags
from genre_classifier.tagging.scores import write_scores
from genre_classifier.tagging.segment_files import activitynet, label_studio, webvtt, write_segments
from genre_classifier.tagging.tag import DEFAULT_CHUNK, tag_trailer
from genre_classifier.tagging.timeline import write_timeline
from genre_classifier.tagging.video_copies import embedded_copy
from genre_classifier.tagging.viewer import viewer_html
from preprocessing.config import TIMEOUT_SECONDS
from preprocessing.errors import InputError
from preprocessing.files import make_folder, write_atomically

if TYPE_CHECKING:
    from genre_classifier.run_folder.run import Run

FILES = ("scores.csv", "segments.csv", "segments.vtt", "segments.json", "timeline.png", "viewer.html")
OVERLAY = "overlay.mp4"
LABEL_STUDIO = "label_studio.json"


@dataclasses.dataclass(frozen=True)
class Extras:
    """What is written beside the files that every video gets.

    Attributes
    ----------
    overlay : bool
        `overlay.mp4`: a copy of the video with the scores drawn on each frame.
    embed : bool
        A small copy of the video inside `viewer.html`, so that the page can be sent alone.
    label_studio : bool
        `label_studio.json`: the segments as predictions for a person to correct.
    label_studio_prefix : str
        What is put before the video's name there: see `ExportConfig`.
    """

    overlay: bool = False
    embed: bool = False
    label_studio: bool = False
    label_studio_prefix: str = ExportConfig.label_studio_prefix

    def stamp(self) -> dict[str, Any]:
        """Return what a finished video's stamp says: no prefix where none other than the usual one was written."""
        usual = not self.label_studio or self.label_studio_prefix == ExportConfig.label_studio_prefix
        return {
            name: value for name, value in dataclasses.asdict(self).items()
            if not (usual and name == "label_studio_prefix")
        }  # fmt: skip


def tag_videos(
    run: Run,
    jobs: Iterable[Job],
    *,
    chunk: int = DEFAULT_CHUNK,
    precision: Precision = "float32",
    timeout: float = TIMEOUT_SECONDS,
    segment_config: SegmentConfig | None = None,
    extras: Extras | None = None,
    on_start: Callable[[Job], None] | None = None,
    on_progress: Callable[[float, float], None] | None = None,
    on_done: Callable[[Job, InputError | None], None] | None = None,
) -> list[tuple[str, str]]:
    """Tag every video that is not done yet, and write its files.

    Parameters
    ----------
    run, chunk, precision, timeout, segment_config, on_progress
        See `tag_trailer`.
    jobs : iterable of Job
        See `genre_classifier.tagging.jobs.plan_jobs`.
    extras : Extras, optional
        What to write beside the usual files.
    on_start : callable, optional
        Called before each video that is tagged, not for those that are done already.
    on_done : callable, optional
        Called after each video, with the error if it could not be read.

    Returns
    -------
    list of (str, str)
        Source and reason of the videos that could not be read; the others are done.

    Raises
    ------
    WorkError
        If a file cannot be written.
    """
    config, extras = segment_config or SegmentConfig(), extras or Extras()
    made_with = {
        "run": run_digest(run.path), "precision": precision, "segments": config.to_dict(), **extras.stamp()
    }  # fmt: skip
    failures: list[tuple[str, str]] = []
    model_loaded = False
    for job in jobs:
        error = None
        try:
            stamp = make_stamp(job, made_with)
        except InputError as caught:
            error = caught
        if error is None and not is_done(job.folder, stamp):
            if not model_loaded:  # here, since a model that cannot be loaded is no fault of a video
                model_loaded = run.model is not None
            if on_start:
                on_start(job)
            try:
                tags = tag_trailer(
                    run, job.video, chunk=chunk, precision=precision, timeout=timeout, segment_config=config,
                    on_progress=on_progress,
                )  # fmt: skip
                write_tags(job, tags, stamp, extras, timeout=timeout)
            except InputError as caught:
                error = caught
        if error is not None:
            failures.append((job.source, str(error)))
        if on_done:
            on_done(job, error)
    return failures


def write_tags(
    job: Job, tags: Tags, stamp: dict[str, Any], extras: Extras, *, timeout: float = TIMEOUT_SECONDS
) -> None:
    """Write all files of one video, `tags.json` last."""
    folder = job.folder
    make_folder(folder)
    for stale in (STAMP, OVERLAY, LABEL_STUDIO):
        (folder / stale).unlink(missing_ok=True)
    write_scores(folder / "scores.csv", tags.scores)
    write_segments(folder / "segments.csv", tags.segments)
    write_atomically(folder / "segments.vtt", webvtt(tags.segments))
    write_atomically(folder / "segments.json", activitynet({job.source: tags.segments}))
    if extras.label_studio:
        model = f"genre-classifier {stamp['made_with']['run'][:12]}"
        prefix = extras.label_studio_prefix
        write_atomically(folder / LABEL_STUDIO, label_studio(tags.segments, job.source, model=model, prefix=prefix))
    write_timeline(folder / "timeline.png", tags)
    if extras.overlay:
        write_overlay(folder / OVERLAY, tags, timeout=timeout)
    copy = embedded_copy(tags.video, timeout=timeout) if extras.embed else None
    write_atomically(folder / "viewer.html", viewer_html(tags, folder, embedded=copy))
    facts = {
        "duration": tags.duration, "frames": len(tags.scores), "segments_found": len(tags.segments),
        "shares": tags.shares(),
    }  # fmt: skip
    write_atomically(folder / STAMP, json.dumps(stamp | facts, indent=1, ensure_ascii=False) + "\n")


def is_done(folder: Path, stamp: dict[str, Any]) -> bool:
    """Return whether the folder holds all files of this video, made from these bytes in this way."""
    written = read_stamp(folder)
    made_with = stamp["made_with"]
    wanted = [*FILES, *[OVERLAY] * made_with["overlay"], *[LABEL_STUDIO] * made_with["label_studio"]]
    return all(written.get(key) == value for key, value in stamp.items()) and all(
        (folder / name).is_file() for name in wanted
    )
