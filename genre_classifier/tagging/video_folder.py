"""All files of one tagged video, `tags.json` last."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from genre_classifier.tagging.overlay import write_overlay
from genre_classifier.tagging.scores import write_scores
from genre_classifier.tagging.segment_files import activitynet, label_studio, webvtt, write_segments
from genre_classifier.tagging.tag import tag_trailer
from genre_classifier.tagging.tags import Tags
from genre_classifier.tagging.tasks import LABEL_STUDIO, OVERLAY, STAMP, Settings, Task, require_same_video
from genre_classifier.tagging.timeline import write_timeline
from genre_classifier.tagging.video_copies import embedded_copy
from genre_classifier.tagging.viewer import viewer_html
from preprocessing.base.files import make_folder, remove_leftovers, write_atomically

if TYPE_CHECKING:
    from genre_classifier.run_folder.run import Run


def tag_video(
    run: Run,
    task: Task,
    stamp: dict[str, Any],
    settings: Settings,
    *,
    on_progress: Callable[[float, float, int], None] | None = None,
) -> None:
    """Tag one video and write its files.

    Parameters
    ----------
    run : Run
    task : Task
    stamp : dict
        See `genre_classifier.tagging.tasks.make_stamp`.
    settings : Settings
    on_progress : callable, optional
        Called after each frame with its time, that of the last one, and how many frames are scored.

    Raises
    ------
    InputError
        If the video cannot be read.
    WorkError
        If a file cannot be written.
    """
    frames = 0

    def count(now: float, end: float) -> None:
        nonlocal frames
        frames += 1
        if on_progress:
            on_progress(now, end, frames)

    tags = tag_trailer(
        run,
        task.video,
        chunk=settings.chunk,
        precision=settings.precision,
        limits=settings.limits,
        segment_config=settings.segments,
        on_progress=count,
    )
    require_same_video(task, stamp)
    write_tags(task, tags, stamp, settings)


def write_tags(task: Task, tags: Tags, stamp: dict[str, Any], settings: Settings) -> None:
    """Write all files of one video, `tags.json` last."""
    folder, extras, limits = task.folder, settings.extras, settings.limits
    facts = {
        "duration": tags.duration,
        "frames": len(tags.scores),
        "segments_found": len(tags.segments),
        "shares": tags.shares(),
        "fps": tags.fps,
        "size": tags.size,
        "cuts": tags.cuts,
    }
    make_folder(folder)
    for stale in (STAMP, OVERLAY, LABEL_STUDIO):
        (folder / stale).unlink(missing_ok=True)
    remove_leftovers(folder)
    write_scores(folder / "scores.csv", tags.scores)
    write_segments(folder / "segments.csv", tags.segments)
    write_atomically(folder / "segments.vtt", webvtt(tags.segments))
    write_atomically(folder / "segments.json", activitynet({task.source: tags.segments}))
    if extras.label_studio:
        write_atomically(folder / LABEL_STUDIO, label_studio([(stamp | facts, tags.segments)]))
    write_timeline(folder / "timeline.png", tags)
    if extras.overlay:
        write_overlay(folder / OVERLAY, tags, limits=limits)
    copy = embedded_copy(tags.video, limits=limits) if extras.embed else None
    write_atomically(folder / "viewer.html", viewer_html(tags, folder, trailer=task.source, embedded=copy))
    require_same_video(task, stamp)  # which copies have read, too
    write_atomically(folder / STAMP, json.dumps(stamp | facts, indent=1, ensure_ascii=False) + "\n")
