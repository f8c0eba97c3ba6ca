"""`viewer.html`: the page on which a person watches a trailer with its scores running underneath.

Without scores it is the page on which a person labels a video that no network has seen. This file gathers the data; the
page itself is `templates/viewer.html` with its style and script.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import numpy as np
from pydantic import Field

from genre_classifier.config import SegmentConfig
from genre_classifier.dataset.cuts import CutFinder
from genre_classifier.genres import OTHER, genre_looks
from genre_classifier.pages import data_url, render
from genre_classifier.tagging.scores import scores_table
from genre_classifier.tagging.segments import frame_borders, to_segments, video_end
from genre_classifier.tagging.tags import FEW_GENRES, THUMBNAILS, Tags, Thumbnail, as_jpeg, clock, from_jpeg
from preprocessing.base.documents import parse_as
from preprocessing.base.errors import InputError
from preprocessing.base.files import abbreviated_repr, parse_json, read_text, write_atomically
from preprocessing.config import ClipConfig, VideoLimits
from preprocessing.reader_client import SampledFrames, in_chunks


@dataclasses.dataclass(frozen=True)
class _Lane:
    name: str
    threshold: Annotated[float, Field(gt=0, le=1)]


@dataclasses.dataclass(frozen=True)
class _Picture:
    time: float
    image: str


@dataclasses.dataclass(frozen=True)
class Page:
    """What a page of `tag` holds that the files beside it do not.

    Attributes
    ----------
    source, embedded : str, bool
        From where it plays the video, and whether that is a copy inside the page.
    thumbnails, genres
        Its pictures, and the thresholds of its genres.
    """

    source: str
    embedded: bool
    thumbnails: tuple[_Picture, ...]
    genres: tuple[_Lane, ...]

    def thresholds(self) -> dict[str, float]:
        """Return them by genre."""
        return {lane.name: lane.threshold for lane in self.genres}

    def pictures(self, path: Path) -> tuple[Thumbnail, ...]:
        """Return the thumbnails, decoded; InputError, with the page's path, for one that is none."""
        found = []
        for one in self.thumbnails:
            try:
                picture = from_jpeg(base64.b64decode(one.image.removeprefix(_JPEG), validate=True))
            except ValueError as error:
                raise InputError(f"{path}: expected JPEG pictures, found {abbreviated_repr(one.image)}") from error
            found.append(Thumbnail(one.time, picture))
        return tuple(found)


_MOST_PAGE_BYTES = 500_000_000  # with a copy of three hours inside
_JPEG = "data:image/jpeg;base64,"
_DATA = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)


def read_page(path: Path) -> Page:
    """Read what `viewer_html` put into a page; InputError if it cannot be used."""
    expected = "the page that `tag` wrote"
    text = read_text(path, expected, most_bytes=_MOST_PAGE_BYTES)
    if (data := _DATA.search(text)) is None:
        raise InputError(f"{path}: expected {expected}, found none of its data; tag the video again")
    return parse_as(path, parse_json(path, data[1], expected), Page, expected)


def viewer_html(
    tags: Tags,
    folder: Path,
    *,
    trailer: str | None = None,
    embedded: bytes | None = None,
    scored: bool = True,
    before: Page | None = None,
) -> str:
    """Return the page.

    Parameters
    ----------
    tags : Tags
    folder : Path
        Where the page will lie: the video is linked relative to it.
    trailer : str, optional
        What label tables call the video, for labels that are saved from the page; by default its file's name.
    embedded : bytes, optional
        A WebM copy of the video to put inside the page instead of the link.
    scored : bool
        False for a page to label what no network has seen: it shows no scores, and is for editing alone.
    before : Page, optional
        The page that this one takes the place of: pictures and video stay as they are there.
    """
    if before:
        pictures = [dataclasses.asdict(one) for one in before.thumbnails]
        own: dict[str, Any] = {"source": before.source, "embedded": before.embedded, "thumbnails": pictures}
    else:
        source = data_url(embedded, "video/webm") if embedded else relative_url(tags.video, folder)
        own = {"source": source, "embedded": embedded is not None}
    return render(
        "viewer.html",
        title=tags.name,
        tags=tags,
        duration=clock(tags.duration, decimals=1),
        rest=OTHER if OTHER in tags.genres else "none of these genres",
        data=viewer_data(tags, scored=scored) | {**own, "trailer": trailer or tags.name},
    )


def viewer_data(tags: Tags, *, scored: bool = True) -> dict[str, Any]:
    """Return what the page's script draws, as JSON types; seconds, and probabilities in [0, 1]."""
    times = tags.scores.index.to_numpy()
    looks = genre_looks(tags.genres)
    aspect = tags.thumbnails[0].picture.shape[1] / tags.thumbnails[0].picture.shape[0] if tags.thumbnails else 16 / 9
    seen = np.ascontiguousarray(tags.scores.to_numpy() if scored else times)
    return {
        "name": tags.name,
        "scored": scored,
        "digest": hashlib.sha256(seen.tobytes()).hexdigest()[:16],  # edits of other scores are not loaded
        "duration": tags.duration,
        "times": _rounded(times, 4),
        "borders": _rounded(frame_borders(times, duration=tags.duration), 4),
        "cuts": _rounded(np.array(tags.cuts), 4),
        "genres": [
            {
                "name": genre,
                "colour": looks[genre].colour,
                "pattern": looks[genre].pattern,
                "threshold": tags.thresholds[genre],
            }
            | ({"scores": _rounded(tags.scores[genre].to_numpy(), 4)} if scored else {})
            for genre in tags.shown_genres()
        ],
        "few": FEW_GENRES,
        "rules": tags.segment_config.to_dict(),
        "aspect": aspect,
        "thumbnails": [
            {"time": round(thumbnail.time, 3), "image": data_url(as_jpeg(thumbnail.picture), "image/jpeg")}
            for thumbnail in tags.thumbnails
        ],
    }


def relative_url(video: Path, folder: Path) -> str:
    """Return the relative URL of a file from a page in `folder`; right for every byte that a file name can hold."""
    relative = os.path.relpath(os.path.abspath(video), os.path.abspath(folder))  # noqa: PTH100 - links stay links
    return "./" + quote(os.fsencode(relative))


def _rounded(values: np.ndarray, decimals: int) -> list[float]:
    # By way of text: float32 would show digits that it does not have.
    return [float(f"{value:.{decimals}f}") for value in values]


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
    with SampledFrames(video, config, limits=limits, thumbnails=THUMBNAILS, exact=False) as frames:
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
    tags = Tags(
        video=video,
        duration=duration,
        scores=nothing,
        segments=segments,
        thresholds=thresholds,
        segment_config=rules,
        thumbnails=thumbnails,
        cuts=cuts,
    )
    write_atomically(page, viewer_html(tags, page.parent, trailer=source, scored=False))
