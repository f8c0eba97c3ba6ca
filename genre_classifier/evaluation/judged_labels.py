"""The labels of a clips folder as `evaluate` judges them: for the evaluators and tools of others."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from genre_classifier.config import ExportConfig
from genre_classifier.dataset.label_formats import WRITERS, Span
from genre_classifier.dataset.trailer_labels import is_weak, labels_for_trailers, labels_past_ends, only_checked
from genre_classifier.evaluation.alignment import Aligned, reference_intervals
from genre_classifier.metrics.events import Events
from genre_classifier.tagging.segments import activitynet, frame_borders, video_end
from preprocessing.base.files import make_folder, write_atomically
from preprocessing.clips import load_times, times_path
from preprocessing.manifest import known_durations, ok_rows, read_manifest

logger = logging.getLogger(__name__)

TRUTH, PREDICTIONS = "truth.json", "predictions.json"  # as ActivityNet's evaluator calls its two files


def judged_labels(labels: pd.DataFrame, clips: Path, genres: Sequence[str]) -> tuple[pd.DataFrame, dict[str, Span]]:
    """Write out what a label table leaves to be understood, for the trailers of a clips folder.

    Parameters
    ----------
    labels : DataFrame
        A label table.
    clips : Path
        Clips folder.
    genres : sequence of str
        Those that the labels are about.

    Returns
    -------
    labels : DataFrame
        A label table that calls every trailer by its source. The intervals are those that `evaluate` takes for true:
        inside the video, and `other`, where that is one of the genres, wherever a frame lies outside all of them. Weak
        labels stay what they are.
    spans : dict of str to Span
        By source, what is judged of a trailer: from the border before its first frame to that after its last; and what
        its file says of its frame rate.

    Raises
    ------
    InputError
        If the clips folder cannot be used, or no label has a clip.
    """
    manifest = read_manifest(clips)
    durations = known_durations(manifest)
    done = ok_rows(manifest)
    rates = {str(source): float(fps) for source, fps in zip(done["source"], done["fps"], strict=True) if fps > 0}
    sources = {int(i): str(source) for i, source in zip(done["trailer_id"], done["source"], strict=True)}
    tables: list[pd.DataFrame] = []
    spans: dict[str, Span] = {}
    labels = only_checked(labels)
    joined = labels_for_trailers(labels, manifest, skip_unknown=True)
    times_of = {trailer_id: load_times(times_path(clips, trailer_id)) for trailer_id in joined}
    if note := labels_past_ends((sources[i], rows, times_of[i]) for i, rows in joined.items()):
        logger.warning(note)
    for trailer_id, rows in joined.items():
        source, times = sources[trailer_id], times_of[trailer_id]
        duration = video_end(times, durations[source]) if source in durations else None
        borders = frame_borders(times, duration=duration)
        end = float(borders[-1])
        spans[source] = Span(float(borders[0]), end, end if duration is None else duration, rates.get(source))
        if is_weak(rows):
            tables.append(rows.assign(trailer=source))
            continue
        intervals = reference_intervals(rows, times, genres, duration=duration)
        intervals.sort(key=lambda one: (one[0], one[2]))
        table = pd.DataFrame(intervals, columns=["start", "end", "genre"])
        table["genre"] = [genres[genre] for genre in table["genre"]]
        if "group" in rows:
            table["group"] = rows["group"].iloc[0]
        tables.append(table.assign(trailer=source))
    judged = pd.concat(tables, ignore_index=True)[list(labels.columns)]
    return judged.astype({"start": np.float64, "end": np.float64}), spans


def write_activitynet(folder: Path, data: Aligned) -> None:
    """Write what is judged in time as the two files of ActivityNet's evaluator, which then finds the same figures.

    Both are about the same trailers and the genres that these are labelled with: the evaluator stops at a prediction of
    a genre that its ground truth lacks, and counts those about other trailers as false.

    Parameters
    ----------
    folder : Path
        Gets `truth.json` and `predictions.json`; made when it is missing.
    data : Aligned
    """
    truth = _event_table(data.references, data)
    spans = {name: Span(0.0, float(end), float(end)) for name, end in zip(data.trailers, data.ends, strict=True)}
    found = _event_table(data.detections, data)
    found = found[found["genre"].isin(truth["genre"])]
    timed = [name for name, timed in zip(data.trailers, data.timed, strict=True) if timed]
    predictions = {name: found[found["trailer"] == name] for name in timed}
    make_folder(folder)
    write_atomically(folder / TRUTH, WRITERS["activitynet"](truth, spans, ExportConfig())[0])
    write_atomically(folder / PREDICTIONS, activitynet(predictions))


def _event_table(events: Events, data: Aligned) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "trailer": np.array(data.trailers, dtype=object)[events.trailer],
            "start": events.start,
            "end": events.end,
            "genre": np.array(data.genres, dtype=object)[events.genre],
            "score": events.score,
        }
    )
