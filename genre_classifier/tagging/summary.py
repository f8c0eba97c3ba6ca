"""`summary.csv`, `index.html`, `segments.json` and `label_studio.json` over every video of a tags folder.

`index.html` is a sortable table, each row with a small timeline and a link to the video's page; it is drawn by
`templates/index.js`, a page of it at a time.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from genre_classifier.genres import genre_looks
from genre_classifier.pages import render
from genre_classifier.tagging.segments import activitynet, label_studio, read_segments
from genre_classifier.tagging.tags import clock
from genre_classifier.tagging.tasks import (
    INDEX,
    LABEL_STUDIO,
    POSTER,
    SEGMENTS,
    STAMP,
    SUMMARY,
    TagsRecord,
    read_record,
)
from preprocessing.base.errors import InputError
from preprocessing.base.files import abbreviated_repr, write_atomically
from preprocessing.base.tables import read_table

logger = logging.getLogger(__name__)

# What spreadsheet programs take for a formula; a cell that already hides one behind quotes is hidden once more.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_TEXTS = ("source", "folder", "error")


def write_tags_index(out: Path, failures: Iterable[tuple[str, str]]) -> pd.DataFrame:
    """Write `summary.csv`, `segments.json` and `index.html` over every video done in the folder, and the failures.

    `label_studio.json`, too, over the videos that have one of their own.

    Parameters
    ----------
    out : Path
        The tags folder.
    failures : iterable of (str, str)
        Source and reason, as `tag_videos` gives them.

    Returns
    -------
    DataFrame
        The summary: source, folder, status, error, duration (seconds), frames, segments, a share in [0, 1] per genre
        of any of the runs; NaN where the run of that video does not know the genre.
    """
    failures = list(failures)
    rows: list[dict[str, Any]] = []
    segments, records = {}, {}
    for path in sorted(out.glob(f"*/{STAMP}")):
        name = path.parent.name
        try:
            record, segments[name] = read_tagged(path.parent)
        except InputError as error:
            logger.warning(f"{error}; left out of {out / INDEX}")
            continue
        records[name] = record
        row: dict[str, Any] = {"source": record.source, "folder": name, "status": "ok", "error": ""}
        row |= {"duration": record.duration, "frames": record.frames, "segments": record.segments_found}
        rows.append(row | {f"{genre}_share": share for genre, share in record.shares.items()})
    counts = Counter(row["source"] for row in rows)
    # What labels call a video; where two videos share that name, they are told apart by their folders.
    names = [row["folder"] if counts[row["source"]] > 1 else row["source"] for row in rows]
    found = {name: row["folder"] for name, row in zip(names, rows, strict=True)}
    write_atomically(out / SEGMENTS, activitynet({name: segments[folder] for name, folder in found.items()}))
    tasks = [
        (dataclasses.replace(records[folder], source=name), segments[folder])
        for name, folder in found.items()
        if records[folder].made_with.get("label_studio")
    ]
    if tasks:
        write_atomically(out / LABEL_STUDIO, label_studio(tasks))
    else:
        (out / LABEL_STUDIO).unlink(missing_ok=True)
    rows += [{"source": source, "folder": "", "status": "failed", "error": error} for source, error in failures]
    columns = ["source", "folder", "status", "error", "duration", "frames", "segments"]
    shares = [name for row in rows for name in row if name.endswith("_share")]
    summary = pd.DataFrame(rows, columns=[*columns, *dict.fromkeys(shares)])
    summary = summary.astype({"frames": "Int64", "segments": "Int64"})
    written = summary.assign(**{name: summary[name].map(as_text) for name in _TEXTS})
    write_atomically(out / SUMMARY, written.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    write_atomically(out / INDEX, index_html(*_tagged_videos(out, summary, segments), failures))
    return summary


def read_summary(path: Path) -> pd.DataFrame:
    """Read `summary.csv`: every cell is text, as it was before it was written.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    table = read_table(path, "the summary of a folder that `tag` wrote", columns=("source", "folder"))
    for name in set(_TEXTS) & set(table.columns):
        table[name] = [cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell for cell in table[name]]
    return table


def read_failures(path: Path) -> list[tuple[str, str]]:
    """Return source and reason of the videos that a summary says failed; none where it cannot be read."""
    try:
        table = read_summary(path)
    except InputError:
        return []
    reasons = table["error"] if "error" in table else [""] * len(table)
    rows = zip(table["source"], table["folder"], reasons, strict=True)
    return [(source, reason) for source, folder, reason in rows if not folder]


def viewer_urls(tags: Path, out: Path) -> dict[str, str]:
    """Return the URLs of the viewer pages in a tags folder, relative to the folder `out`, by source.

    Raises
    ------
    InputError
        If the folder has no readable summary.
    """
    table = read_summary(tags / SUMMARY)
    urls = {}
    for source, folder in zip(table["source"], table["folder"], strict=True):
        if not folder:  # it could not be read
            continue
        page = os.path.relpath(tags / folder / "viewer.html", out)
        urls[source] = quote(Path(page).as_posix())
    return urls


def as_text(cell: str) -> str:
    """Return a cell that no spreadsheet program computes: names and messages come from outside."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def read_tagged(folder: Path) -> tuple[TagsRecord, pd.DataFrame]:
    """Read what `tag` recorded of a video, and its segments.

    Raises
    ------
    InputError
        If either is damaged.
    """
    record, segments = read_record(folder), read_segments(folder / "segments.csv")
    if unknown := sorted(set(segments["genre"]) - set(record.shares)):
        raise InputError(f"{folder / 'segments.csv'}: expected genres of {STAMP}, found {abbreviated_repr(unknown[0])}")
    return record, segments


def index_html(
    videos: Sequence[dict[str, Any]],
    genres: Sequence[str],
    failures: Iterable[tuple[str, str]],
    *,
    title: str = "Tagged trailers",
    pages: Sequence[dict[str, Any]] | None = None,
) -> str:
    """Return the page over all videos of a folder.

    Parameters
    ----------
    videos : sequence of dict
        A row for each: see `video_row`.
    genres : sequence of str
        Columns.
    failures : iterable of (str, str)
        Source and reason of the videos that could not be read.
    title : str
        Heading of the page.
    pages : sequence of dict, optional
        Of label pages: what the index keeps of them for the next command. Their rows say what is done.
    """
    looks = genre_looks(genres)
    data = {"genres": [{"name": genre, "colour": looks[genre].colour} for genre in genres], "videos": list(videos)}
    return render(
        "index.html",
        title=title,
        rows=len(videos),
        data=data | ({} if pages is None else {"pages": pages}),
        failed=[reason for _, reason in failures],
        genres=genres,
        looks=looks,
    )


def video_row(
    source: str,
    link: str,
    duration: float,
    segments: pd.DataFrame,
    genres: Sequence[str],
    *,
    start: float = 0.0,
    picture: str = "",
) -> dict[str, Any]:
    """Return a row of the index as JSON types: shares in percent, spans as genre, begin and width in thousandths.

    Shares have decimals to spare: the page rounds them to whole percents, as the viewer does.

    Parameters
    ----------
    source : str
        What label tables call the video.
    link : str
        URL of its page, relative to the index.
    duration : float
        The second at which the video ends.
    segments : DataFrame
        Columns start, end (seconds) and genre.
    genres : sequence of str
        Columns of the index.
    start : float
        The second at which the first picture is shown: shares are of the time from there on.
    picture : str
        URL of a small picture; "" for none.
    """
    per_mille = 1000 / (duration or 1.0)  # nothing can be seen of a video without length
    columns = (segments[name].tolist() for name in ("genre", "start", "end"))
    spans = [
        [genres.index(genre), round(per_mille * first, 1), round(per_mille * (last - first), 1)]
        for genre, first, last in zip(*columns, strict=True)
    ]
    lengths = (segments["end"] - segments["start"]).groupby(segments["genre"]).sum()
    percent = 100 / (duration - start or 1.0)
    return {
        "source": source,
        "link": link,
        "picture": picture,
        "start": start,
        "seconds": duration,
        "duration": clock(duration),
        "segments": len(spans),
        "shares": [round(min(100.0, percent * float(lengths.get(genre, 0.0))), 4) for genre in genres],
        "spans": spans,
    }


def _tagged_videos(
    out: Path, summary: pd.DataFrame, segments: dict[str, pd.DataFrame]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the rows of the index, and its genres."""
    genres = [str(name).removesuffix("_share") for name in summary.columns if str(name).endswith("_share")]
    videos = []
    for row in summary[summary["status"] == "ok"].to_dict("records"):
        folder = str(row["folder"])
        picture = quote(f"./{folder}/{POSTER}") if (out / folder / POSTER).is_file() else ""
        link = quote(f"./{folder}/viewer.html")
        shown = video_row(row["source"], link, row["duration"], segments[folder], genres, picture=picture)
        # None: a genre that the run of this video does not know
        shares = [None if pd.isna(share := row[f"{genre}_share"]) else round(100 * share, 4) for genre in genres]
        videos.append(shown | {"shares": shares})
    return videos, genres
