"""The folder of one video: everything that is written about it, and its segments made again from the stored scores."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from genre_classifier.config import SegmentConfig, TagConfig
from genre_classifier.pages import data_url
from genre_classifier.tagging.scores import read_scores, write_scores
from genre_classifier.tagging.segments import (
    activitynet,
    label_studio,
    to_segments,
    used_thresholds,
    webvtt,
    write_segments,
)
from genre_classifier.tagging.tags import Tags, as_jpeg, poster
from genre_classifier.tagging.tasks import (
    INDEX,
    LABEL_STUDIO,
    OVERLAY,
    PAGE,
    POSTER,
    SCORES,
    STAMP,
    Stamp,
    TagsRecord,
    Task,
    made_with,
    read_record,
    require_same_video,
    write_record,
)
from genre_classifier.tagging.timeline import write_timeline
from genre_classifier.tagging.video_copies import embedded_copy, write_overlay
from genre_classifier.tagging.viewer import Page, read_page, relative_url, viewer_html
from preprocessing.base.errors import InputError
from preprocessing.base.files import file_facts, make_folder, remove_leftovers, write_atomically
from preprocessing.base.options import values_of
from preprocessing.config import VideoLimits

_UNFINISHED = "unfinished"  # what `made_with` says while the files of stored scores are written


def write_tags(
    task: Task,
    tags: Tags,
    stamp: Stamp,
    *,
    config: TagConfig,
    limits: VideoLimits,
    before: Page | None = None,
) -> None:
    """Write all files of one video, `tags.json` last.

    Parameters
    ----------
    task, tags, stamp, config, limits
        As for `genre_classifier.tagging.folder.tag_video`.
    before : Page, optional
        The page of the stored scores that the tags were made of: they stay, and the video is read only for an overlay,
        or for a copy that the page does not have.

    Raises
    ------
    InputError
        If the video cannot be read, or is another one by now.
    WorkError
        If a file cannot be written.
    """
    folder = task.folder
    reads_video = before is None or config.overlay or (config.embed and not before.embedded)
    if before is None:
        require_same_video(task, stamp)
    elif reads_video and not _is_there(stamp):
        raise InputError(f"{task.video}: expected the video that was tagged, found another one or none")
    make_folder(folder)
    record = TagsRecord(
        **vars(stamp),
        duration=tags.duration,
        frames=len(tags.scores),
        segments_found=len(tags.segments),
        shares=tags.shares(),
        fps=tags.fps,
        size=tags.size,
        cuts=tags.cuts,
        start=tags.start,
    )
    if before is None:
        (folder / STAMP).unlink(missing_ok=True)
        remove_leftovers(folder)
        write_scores(folder / SCORES, tags.scores)
    else:  # killed in between, the video is not done, and its scores are still of use
        write_record(folder, dataclasses.replace(record, made_with=record.made_with | {_UNFINISHED: True}))
    for stale in (OVERLAY, POSTER, LABEL_STUDIO):
        (folder / stale).unlink(missing_ok=True)
    write_segments(folder / "segments.csv", tags.segments)
    write_atomically(folder / "segments.vtt", webvtt(tags.segments))
    write_atomically(folder / "segments.json", activitynet({task.source: tags.segments}))
    if config.label_studio:
        write_atomically(folder / LABEL_STUDIO, label_studio([(record, tags.segments)]))
    write_timeline(folder / "timeline.png", tags)
    if picture := poster(tags.thumbnails):
        write_atomically(folder / POSTER, as_jpeg(picture.picture))
    if config.overlay:
        write_overlay(folder / OVERLAY, tags, limits=limits)
    copy = None
    if config.embed and not (before and before.embedded):
        copy = embedded_copy(tags.video, limits=limits)
    if before and before.embedded != config.embed:  # a copy comes, or goes: the pictures stay
        source = data_url(copy, "video/webm") if copy else relative_url(tags.video, folder)
        before = dataclasses.replace(before, source=source, embedded=config.embed)
    link = quote(f"./{folder.name}/viewer.html")
    page = viewer_html(tags, folder, trailer=task.source, embedded=copy, before=before, index=f"../{INDEX}", link=link)
    write_atomically(folder / PAGE, page)
    if reads_video:
        require_same_video(task, stamp)
    write_record(folder, record)


def _is_there(stamp: Stamp) -> bool:
    path = Path(stamp.video)
    return path.is_file() and file_facts(path) == {"bytes": stamp.bytes, "modified_ns": stamp.modified_ns}


def segment_again(
    task: Task,
    stamp: Stamp,
    thresholds: Mapping[str, float] | None = None,
    *,
    config: TagConfig,
    segments: SegmentConfig,
    limits: VideoLimits,
) -> None:
    """Make the segments of one video again from its stored scores, and all files that hold them.

    Parameters
    ----------
    task, config, segments, limits
        As for `genre_classifier.tagging.folder.tag_video`.
    stamp : Stamp
        What the video is done with from now on; its thresholds stand in for others.
    thresholds : mapping of str to float, optional
        Of the run, by genre; by default those of the present page.

    Raises
    ------
    InputError
        If what is stored cannot be used; where an overlay or a copy is wanted, if the video is gone or another one.
    WorkError
        If a file cannot be written.
    """
    folder = task.folder
    record, page = read_record(folder), read_page(folder / PAGE)
    scores = read_scores(folder / SCORES)
    if list(scores.columns) != list(record.shares) or not len(scores) == record.frames > 0:
        raise InputError(f"{folder / SCORES}: expected the frames and genres that {STAMP} tells of, found others")
    of_run = None if stamp.exclusive else thresholds or page.thresholds()
    used = used_thresholds(of_run, stamp.made_with.get("thresholds", {}))
    tags = Tags(
        video=task.video,
        duration=record.duration,
        scores=scores,
        segments=to_segments(scores, used, segments, duration=record.duration),
        thresholds=used,
        segment_config=segments,
        thumbnails=page.pictures(folder / PAGE),
        fps=record.fps,
        size=record.size,
        cuts=record.cuts,
        start=record.start,
        peaks=page.peaks,
    )
    write_tags(task, tags, stamp, config=config, limits=limits, before=page)


def change_tags(
    folder: Path,
    *,
    thresholds: Mapping[str, float],
    segments: Mapping[str, Any],
    extras: Mapping[str, Any],
    limits: VideoLimits,
) -> None:
    """Change how a video's scores became segments, without its run: what is not given stays.

    Parameters
    ----------
    folder : Path
        Of the video.
    thresholds : mapping of str to float
        By genre; genres that the video's run does not know are passed over, and all where its genres exclude each
        other.
    segments, extras : mapping
        Fields of SegmentConfig and of TagConfig.
    limits : VideoLimits
        What the video may cost, where it is read.

    Raises
    ------
    InputError, WorkError
        As for `segment_again`.
    """
    record = read_record(folder)
    how = record.made_with
    try:
        rules = SegmentConfig.from_dict({**how.get("segments", {}), **segments})
        known = {name: how[name] for name in values_of(TagConfig) if name in how}
        config = TagConfig.from_dict({**known, **extras})
    except InputError as error:
        raise InputError(f"{folder / STAMP}: {error}") from error
    merged = {**how.get("thresholds", {}), **thresholds}
    chosen = {} if record.exclusive else {genre: merged[genre] for genre in record.shares if genre in merged}
    facts = {field.name: getattr(record, field.name) for field in dataclasses.fields(Stamp)}
    facts["made_with"] = made_with(how.get("run", ""), config, rules, chosen, exclusive=record.exclusive)
    task = Task(Path(record.video), record.source, folder)
    segment_again(task, Stamp(**facts), config=config, segments=rules, limits=limits)
