"""A page on which a person labels a video that no network has seen: the viewer, without scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from genre_classifier.config import SegmentConfig
from genre_classifier.dataset.cuts import CutFinder
from genre_classifier.tagging.scores import scores_table
from genre_classifier.tagging.segments import to_segments, video_end
from genre_classifier.tagging.tags import THUMBNAILS, Tags, Thumbnail
from genre_classifier.tagging.viewer import viewer_html
from preprocessing.base.files import write_atomically
from preprocessing.config import ClipConfig, VideoLimits
from preprocessing.sampled import in_chunks, sampled_frames

FRAMES = 10_000  # every frame of a trailer, so that edges lie on true frames; of two hours more than one a second
_SIZE = 64  # rows and columns in which cuts are looked for
_CHUNK_FRAMES = 64


def write_label_page(
    page: Path,
    video: Path,
    source: str,
    *,
    genres: Sequence[str],
    limits: VideoLimits | None = None,
    on_progress: Callable[[float, float, int], None] | None = None,
) -> None:
    """Read a video and write its page.

    Parameters
    ----------
    page : Path
        What is written; the video is linked relative to it.
    video : Path
        The file.
    source : str
        What label tables call it.
    genres : sequence of str
        That it can be labelled with.
    limits : VideoLimits, optional
        What the video may cost.
    on_progress : callable, optional
        Called now and then with the time of the latest frame, that of the last one, and how many frames are read.

    Raises
    ------
    InputError
        If the video cannot be read.
    WorkError
        If the page cannot be written.
    """
    finder, count = CutFinder(), 0
    config = ClipConfig(frames=FRAMES, size=_SIZE)
    with sampled_frames(video, config, limits=limits, thumbnails=THUMBNAILS, exact=False) as frames:
        for read, pixels, anew in in_chunks(frames, _CHUNK_FRAMES):
            if anew:
                finder.reset()
                count = 0
            finder.feed(pixels)
            count += len(read)
            if on_progress:
                on_progress(read[-1], float(frames.times[-1]), count)
        times, fields = frames.times, frames.fields
        thumbnails = tuple(Thumbnail(*one) for one in frames.thumbnails)
    duration = video_end(times, float(fields["duration"]))
    nothing = scores_table(times, np.zeros((len(times), len(genres)), np.float32), genres)
    rules, thresholds = SegmentConfig(), dict.fromkeys(genres, 1.0)
    segments = to_segments(nothing, thresholds, rules, duration=duration)
    cuts = tuple(map(float, finder.cuts(times)))
    tags = Tags(video, duration, nothing, segments, thresholds, rules, thumbnails, cuts=cuts)
    write_atomically(page, viewer_html(tags, page.parent, trailer=source, scored=False))
