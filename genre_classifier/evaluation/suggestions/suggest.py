"""From a run and a clips folder to `suggestions.csv` and `suggestions.html`: which trailers to label next, and why."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd

from genre_classifier.config import MAX_LABEL_MB, SegmentConfig
from genre_classifier.dataset.frame_features import colour_histograms, movement
from genre_classifier.dataset.label_formats import read_table
from genre_classifier.dataset.trailer_labels import labels_for_trailers
from genre_classifier.dataset.trailers import Trailer, load_unlabelled
from genre_classifier.evaluation.score_folder import FOLDER
from genre_classifier.evaluation.scoring import score_run, split_of_trailers
from genre_classifier.evaluation.suggestions.acquisition import (
    evidence,
    limits_of,
    nearest_distances,
    reason,
    standardise,
    suggestion_order,
)
from genre_classifier.genres import genre_looks
from genre_classifier.pages import render
from genre_classifier.run_folder.layout import SPLITS
from genre_classifier.run_folder.run import Run, load_run
from genre_classifier.tagging.label_pages import label_page_path, write_label_pages
from genre_classifier.tagging.segments import to_segments, video_end
from genre_classifier.tagging.summary import as_text, viewer_urls
from genre_classifier.tagging.tags import Thumbnail, poster, small_picture
from genre_classifier.tagging.tasks import plan_tasks
from preprocessing.base.errors import InputError
from preprocessing.base.files import abbreviated_repr, make_folder, write_atomically
from preprocessing.clips import load_clip
from preprocessing.manifest import read_manifest
from preprocessing.processes.machine import release_pages
from preprocessing.sources import name_videos

logger = logging.getLogger(__name__)

TABLE, PAGE, LABEL_PAGES = "suggestions.csv", "suggestions.html", "pages"
MOST_LABEL_PAGES = 20  # where no count is given
MOST_PICTURES = 500  # of the first suggestions: the page stays small
_PICTURE_FRAMES = 12  # that the picture of a trailer is chosen from
FEATURE_FRAMES = 100  # of a trailer, evenly spread, that its colours and movement are averaged over


def suggest(
    run: Run | Path,
    clips: Path,
    out: Path,
    *,
    labels: Path | None = None,
    max_label_mb: float = MAX_LABEL_MB,
    tags: Path | None = None,
    label: Path | None = None,
    count: int | None = None,
    write_pages: Callable[..., list[tuple[str, str]]] = write_label_pages,
    jobs: int | None = None,
    scheduler: str | None = None,
    on_start: Callable[[int], None] | None = None,
    on_frames: Callable[[int], None] | None = None,
) -> pd.DataFrame:
    """Suggest which trailers of a clips folder to label next, and write table and page.

    Parameters
    ----------
    run : Run or Path
    clips : Path
        Clips folder.
    out : Path
        Gets `suggestions.csv`, `suggestions.html` and the folder `scores`, whose scores are used again while run and
        clips stay the same.
    labels : Path, optional
        What is labelled, in any format of `genre_classifier.dataset.labels.read_labels`, whatever its genres; if not
        given, what the run's `splits.csv` names.
    max_label_mb : float
        Megabytes; a larger file of labels is refused unread.
    tags : Path, optional
        Folder that `tag` wrote, for links to its viewers.
    label : Path, optional
        Folder of the videos: the first `count` suggestions, or 20, get label pages in `out/pages`, on which the
        segments that the run found are drawn lightly.
    count : int, optional
        How many to suggest; all that have no label if not given.
    write_pages : callable
        What writes them: `write_label_pages`, or a function that calls it and shows how far it is.
    jobs, scheduler, on_start, on_frames
        As for `genre_classifier.evaluation.scoring.score_run`.

    Returns
    -------
    DataFrame
        The first suggestion first: rank, trailer_id, source, entropy (bits, in [0, 1]), margin (in [0, 1]), distance
        (standard deviations; NaN where nothing is labelled), nearest (the source that is so far away; "" where there is
        none), why (a sentence), moment (seconds; where the network is least sure), found (genre, start and end of the
        segments that the run finds).

    Raises
    ------
    InputError
        For input that cannot be used, and where every clip has a label.
    """
    run = run if isinstance(run, Run) else load_run(run)
    videos = [] if label is None else name_videos([label])
    trailers = load_unlabelled(clips, genres=run.genres)
    split_of = split_of_trailers(run, trailers)
    seen = {trailer_id for trailer_id, split in split_of.items() if split is not None}
    known = seen if labels is None else _labelled(labels, clips, max_label_mb)
    waiting = [trailer for trailer in trailers if trailer.trailer_id not in known]
    labelled = [trailer for trailer in trailers if trailer.trailer_id in known]
    if not waiting:
        raise InputError(
            f"{clips}: expected clips without a label, found {len(labelled)} that all have one "
            f"({labels or run.path / SPLITS}); preprocess further trailers, or give --labels what is labelled"
        )
    if not labelled:
        logger.warning(f"{clips}: no clip has a label, so there is nothing to measure distances from at first")
    viewers = viewer_urls(tags, out) if tags else {}
    make_folder(out)
    # What the run never saw is scored even where it has a label by now: the scores stay good while labels come in.
    scored = [trailer for trailer in trailers if trailer.trailer_id not in known & seen]
    folder = score_run(
        run,
        clips,
        (),
        out / FOLDER,
        only=scored,
        jobs=jobs,
        scheduler=scheduler,
        on_start=on_start,
        on_frames=on_frames,
    )
    scores = {trailer.source: run.calibrate(folder.scores[trailer.source]) for trailer in waiting}
    table = _ranked(run, waiting, labelled, scores, count)
    if label is not None:
        viewers |= _label(label, videos, table.head(count or MOST_LABEL_PAGES), out, run.genres, write_pages)
    written = table.assign(**{name: table[name].map(as_text) for name in ("source", "nearest", "why")})
    written = written.drop(columns=["moment", "found"])
    write_atomically(out / TABLE, written.to_csv(index=False, float_format="%.4f", lineterminator="\n"))
    clips_of = {trailer.source: trailer for trailer in waiting}
    page = suggestions_html(
        table,
        viewers,
        run=run.path.resolve().name,
        genres=run.genres,
        labelled=len(labelled),
        waiting=len(waiting),
        pictures={source: _picture(clips_of[source]) for source in table["source"].head(MOST_PICTURES)},
    )
    write_atomically(out / PAGE, page)
    return table


def _labelled(labels: Path, clips: Path, max_mb: float) -> set[int]:
    """Return the ids of the trailers that a label file names, with any genres."""
    table = read_table(labels, max_mb=max_mb)
    joined = labels_for_trailers(table, read_manifest(clips), skip_unknown=True, quiet=True)
    known = {rows["trailer"].iloc[0] for rows in joined.values()}
    if unknown := [name for name in table["trailer"].unique() if name not in known]:
        logger.warning(f"{labels}: {len(unknown)} labelled trailers have no clip in {clips}, such as {unknown[0]!r}")
    return set(joined)


def _label(
    folder: Path,
    videos: Sequence[tuple[Path, str]],
    table: pd.DataFrame,
    out: Path,
    genres: Sequence[str],
    write_pages: Callable[..., list[tuple[str, str]]],
) -> dict[str, str]:
    """Write label pages of suggestions; return the URL of each by source, relative to `out`."""
    paths = {source: path for path, source in videos}
    proposed = {
        source: pd.DataFrame(found, columns=["genre", "start", "end"])
        for source, found in zip(table["source"], table["found"], strict=True)
    }
    if missing := [source for source in proposed if source not in paths]:
        logger.warning(
            f"{folder}: expected the videos of the clips, found none for {len(missing)} of {len(proposed)} "
            f"suggestions, {abbreviated_repr(missing[0])} the first; they get no label page"
        )
    pages = out / LABEL_PAGES
    make_folder(pages)
    tasks = plan_tasks(((paths[source], source) for source in proposed if source in paths), pages)
    failed = {source for source, _ in write_pages(tasks, pages, genres=genres, proposed=proposed)}
    return {
        task.source: quote(f"{LABEL_PAGES}/{label_page_path(task, pages).name}")
        for task in tasks
        if task.source not in failed
    }


def _picture(trailer: Trailer) -> str:
    """Return the URL of a small picture of a trailer, as wide as its video."""
    clip = load_clip(trailer.clip)
    some = np.unique(np.linspace(0, len(clip) - 1, min(_PICTURE_FRAMES, len(clip))).round().astype(np.intp))
    best = poster([Thumbnail(float(trailer.times[at]), np.moveaxis(clip[at], 0, -1)) for at in some])
    release_pages(clip)
    assert best is not None  # a clip has frames
    return small_picture(best.picture)


def _ranked(
    run: Run,
    waiting: Sequence[Trailer],
    labelled: Sequence[Trailer],
    scores: dict[str, pd.DataFrame],
    count: int | None,
) -> pd.DataFrame:
    """Return the table of suggestions."""
    looks = [trailer_features(trailer) for trailer in (*labelled, *waiting)]
    features = standardise([np.stack(block) for block in zip(*looks, strict=True)])
    known, own = features[: len(labelled)], features[len(labelled) :]
    found = [evidence(scores[trailer.source], run.deciding_thresholds) for trailer in waiting]
    entropy, margin = (np.array([getattr(one, name) for one in found]) for name in ("entropy", "margin"))
    order = suggestion_order(entropy, margin, own, known, count=count)
    limits = limits_of(entropy, margin, nearest_distances(own, known)[0])
    sources = [trailer.source for trailer in (*labelled, *waiting)]
    colours = len(looks[0][0])
    rows = []
    for rank, (which, distance, nearest) in enumerate(zip(*order, strict=True), start=1):
        gap = np.zeros(features.shape[1]) if nearest < 0 else np.square(own[which] - features[nearest])
        why = reason(
            found[which],
            limits,
            distance=float(distance),
            by_colours=gap[:colours].sum() >= gap[colours:].sum(),
            nearest=sources[nearest] if nearest >= 0 else "",
            suggested=nearest >= len(labelled),
        )
        rows.append(
            (
                rank,
                waiting[which].trailer_id,
                waiting[which].source,
                entropy[which],
                margin[which],
                float(distance),
                sources[nearest] if nearest >= 0 else "",
                why,
                found[which].moment,
                _segments(run, waiting[which], scores[waiting[which].source]),
            )
        )
    columns = ["rank", "trailer_id", "source", "entropy", "margin", "distance", "nearest", "why", "moment", "found"]
    return pd.DataFrame(rows, columns=columns)


def _segments(run: Run, trailer: Trailer, scores: pd.DataFrame) -> tuple[tuple[str, float, float], ...]:
    """Return genre, start and end of the segments that the run finds, as `tag` cuts them by default."""
    end = video_end(trailer.times, trailer.duration or 0.0)
    table = to_segments(scores, run.deciding_thresholds, SegmentConfig(), duration=end)
    return tuple(table[["genre", "start", "end"]].itertuples(index=False, name=None))


def trailer_features(trailer: Trailer) -> tuple[np.ndarray, np.ndarray]:
    """Return the colours, shape (112,), and the movement, shape (12,), of a trailer: means over `FEATURE_FRAMES`."""
    clip = load_clip(trailer.clip)
    frames = np.unique(np.linspace(0, len(clip) - 1, min(FEATURE_FRAMES, len(clip))).round().astype(np.intp))
    colours, moves = colour_histograms(clip, frames), movement(clip, trailer.times, frames)
    release_pages(clip)
    return colours.mean(axis=0), moves.mean(axis=0)


def suggestions_html(
    table: pd.DataFrame,
    viewers: Mapping[str, str],
    *,
    run: str,
    genres: Sequence[str],
    labelled: int,
    waiting: int,
    pictures: Mapping[str, str] | None = None,
) -> str:
    """Return the page.

    Parameters
    ----------
    table : DataFrame
        As `genre_classifier.evaluation.suggestions.suggest.suggest` gives it.
    viewers : mapping of str to str
        Source -> URL of its viewer page, or label page, relative to this one.
    run : str
        Name of the run.
    genres : sequence of str
        Of the run.
    pictures : mapping of str to str, optional
        Source -> URL of a small picture.
    labelled, waiting : int
        How many clips have a label, and how many have none.
    """
    found = [sorted({genre for genre, *_ in segments}, key=list(genres).index) for segments in table["found"]]
    rows = (
        table.assign(found=pd.Series(found, table.index, dtype=object))
        .astype({"distance": object})
        .where(table.notna(), None)
        .to_dict("records")
    )
    longest = float(table["distance"].max()) if table["distance"].notna().any() else 1.0
    return render(
        "suggestions.html",
        rows=rows,
        viewers=viewers,
        run=run,
        looks=genre_looks(genres),
        pictures=pictures or {},
        labelled=labelled,
        waiting=waiting,
        longest=longest or 1.0,
    )
