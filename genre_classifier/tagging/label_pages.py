"""Label pages: a page for each video on which its genres are marked by hand, and an index over them."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from genre_classifier.config import SegmentConfig
from genre_classifier.dataset.cuts import CutFinder
from genre_classifier.dataset.labels import read_labels
from genre_classifier.tagging.scores import scores_table
from genre_classifier.tagging.segments import to_segments, video_end
from genre_classifier.tagging.summary import index_html, video_row
from genre_classifier.tagging.tags import THUMBNAILS, Tags, Thumbnail, poster, small_picture
from genre_classifier.tagging.tasks import INDEX, Task
from genre_classifier.tagging.viewer import store_key, viewer_html
from preprocessing.base.errors import InputError
from preprocessing.base.files import write_atomically
from preprocessing.config import ClipConfig, VideoLimits
from preprocessing.reader_client import SampledFrames

logger = logging.getLogger(__name__)

FRAMES = 10_000  # every frame of a trailer, so that edges lie on true frames; of two hours more than one a second
_SIZE = 64  # rows and columns in which cuts are looked for
_CHUNK_FRAMES = 64


def write_label_pages(
    tasks: Sequence[Task],
    out: Path,
    *,
    genres: Sequence[str],
    limits: VideoLimits | None = None,
    proposed: Mapping[str, pd.DataFrame] | None = None,
    on_start: Callable[[Task], None] | None = None,
    on_progress: Callable[[Task, float, float, int], None] | None = None,
    on_done: Callable[[Task, Path, InputError | None], None] | None = None,
) -> list[tuple[str, str]]:
    """Write a page for each video, and `index.html` over all pages of the folder.

    Parameters
    ----------
    tasks : sequence of Task
        The videos; a page is named after the folder of its task.
    out : Path
        The folder for the pages; it must be there.
    genres : sequence of str
        That can be marked.
    limits : VideoLimits, optional
        What a video may cost.
    proposed : mapping of str to DataFrame, optional
        By source, segments (`start`, `end`, `genre`) that are drawn lightly, to be accepted.
    on_start, on_progress, on_done : callable, optional
        Called before each video; now and then with the time of the latest frame, that of the last one, and how many
        frames are read; and after it with its page, and the error if it could not be read.

    Returns
    -------
    list of (str, str)
        Source and reason of the videos that could not be read.

    Raises
    ------
    WorkError
        If a page cannot be written.
    """
    failures: list[tuple[str, str]] = []
    earlier, rows = _earlier_rows(out), {}
    try:
        for task in tasks:
            page = label_page_path(task, out)
            if on_start:
                on_start(task)
            error = None
            step = on_progress and partial(on_progress, task)
            spans = (proposed or {}).get(task.source)
            try:
                rows[page.name] = write_label_page(
                    page, task.video, task.source, genres=genres, limits=limits, proposed=spans, on_progress=step
                )
            except InputError as reason:
                error = reason
                failures.append((task.source, str(reason)))
            if on_done:
                on_done(task, page, error)
    finally:
        write_atomically(out / INDEX, _label_index(out, list((rows | earlier | rows).values()), failures))
    return failures


def label_page_path(task: Task, out: Path) -> Path:
    """Return where the page of a video goes: never where the index goes."""
    name = f"{task.folder.name}.html"
    return out / (f"_{name}" if name == INDEX else name)


def write_label_page(
    page: Path,
    video: Path,
    source: str,
    *,
    genres: Sequence[str],
    limits: VideoLimits | None = None,
    proposed: pd.DataFrame | None = None,
    on_progress: Callable[[float, float, int], None] | None = None,
) -> dict[str, Any]:
    """Read a video and write its page; the video is linked relative to it.

    Parameters
    ----------
    page : Path
        What is written.
    video : Path
        The file.
    source : str
        What label tables call it.
    genres, limits, on_progress
        As for `write_label_pages`.
    proposed : DataFrame, optional
        Segments that are drawn lightly.

    Returns
    -------
    dict
        The page's row in the index, as JSON types.

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
        for chunk in frames.chunks(_CHUNK_FRAMES):
            if chunk.anew:
                finder.reset()
                count = 0
            finder.feed(chunk.pixels)
            count += len(chunk.times)
            if on_progress:
                on_progress(chunk.times[-1], float(frames.times[-1]), count)
        times, fields = frames.times, frames.fields
        thumbnails = tuple(Thumbnail(*one) for one in frames.thumbnails)
    duration = video_end(times, float(fields["duration"]))
    nothing = scores_table(times, np.zeros((len(times), len(genres)), np.float32), genres)
    rules, thresholds = SegmentConfig(), dict.fromkeys(genres, 1.0)
    tags = Tags(
        video=video,
        duration=duration,
        scores=nothing,
        segments=to_segments(nothing, thresholds, rules, duration=duration),
        thresholds=thresholds,
        segment_config=rules,
        thumbnails=thumbnails,
        cuts=tuple(map(float, finder.cuts(times))),
    )
    link = quote(f"./{page.name}")
    html = viewer_html(
        tags, page.parent, trailer=source, scored=False, proposed=proposed, index=f"./{INDEX}", link=link
    )
    write_atomically(page, html)
    picture = poster(thumbnails)
    return {
        "page": page.name,
        "source": source,
        "link": link,
        "start": float(times[0]),
        "duration": duration,
        "genres": list(genres),
        "picture": small_picture(picture.picture) if picture else "",
        "kept": store_key(tags, trailer=source, scored=False),
    }


def _earlier_rows(out: Path) -> dict[str, dict[str, Any]]:
    """Return the rows of pages that are still in the folder: they stand in the index itself."""
    try:
        text = (out / INDEX).read_text(encoding="utf-8")
        data = json.loads(text.split('<script type="application/json" id="data">')[1].split("</script>")[0])
        rows = {row["page"]: row for row in data["pages"] if (out / row["page"]).is_file()}
        _label_index(out, list(rows.values()), [])  # all that is needed is there
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, LookupError, TypeError):
        logger.warning(f"{out / INDEX}: expected the index of label pages, found something else; it begins anew")
        return {}
    return rows


def _label_index(out: Path, rows: list[dict[str, Any]], failures: Iterable[tuple[str, str]]) -> str:
    """Return the page over the label pages, with what the label files beside them hold."""
    genres = list(dict.fromkeys(genre for row in rows for genre in row["genres"]))
    videos, beside = [], sorted(out.glob("*.labels.csv"))
    for row in rows:
        start, end = float(row.get("start", 0.0)), float(row["duration"])  # of pages made earlier, 0
        segments = _saved(beside, row["source"], row["genres"], start, end)
        found = pd.DataFrame(columns=["start", "end", "genre"]) if segments is None else segments
        shown = video_row(row["source"], row["link"], end, found, genres, start=start, picture=row["picture"])
        videos.append(shown | {"kept": row["kept"], "saved": segments is not None})
    return index_html(videos, genres, failures, title="Trailers to label", pages=rows)


def _saved(beside: Sequence[Path], source: str, genres: Sequence[str], start: float, end: float) -> pd.DataFrame | None:
    """Return the segments of the last label file beside the pages that a page saved; None where there is none.

    Labels of the whole trailer go from `start` to `end`, the seconds that have pictures.
    """
    # With the time of saving, or where the browser asks for a name, without.
    stem = PurePosixPath(source).stem
    usual = re.sub(r'[<>:"/\\|?*]', "_", stem)  # as pages and browsers write it
    saved = re.compile(rf"({re.escape(stem)}|{re.escape(usual)})(\.\d{{8}}T\d{{6}})?\.labels\.csv")
    for path in reversed(beside):
        if not saved.fullmatch(path.name):
            continue
        try:
            labels = read_labels(path, genres=genres)
        except InputError as error:
            logger.warning(f"{error}; {path.parent / INDEX} does not count it as saved")
            continue
        own = labels[labels["trailer"] == source]
        if len(own):  # another video of this name may be in another folder
            return own.assign(start=own["start"].fillna(start), end=own["end"].fillna(end).clip(upper=end))
    return None
