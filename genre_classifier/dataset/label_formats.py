"""The label formats of this and other tools, read into and written from one table.

=============  ===================================================================================================
format         what it looks like
=============  ===================================================================================================
labels         `labels.csv`: trailer,start,end,genre (,group,checked); seconds; start and end empty, or no such columns:
               weak; checked `no`: of this trailer, nothing is known outside its intervals
wide           CSV: trailer,genres (,group) with `comedy|action`, as MovieLens writes genres; weak labels only
activitynet    JSON {"database": {trailer: {"annotations": [{"label", "segment": [start, end]}]}}}, or "results"
labelstudio    JSON: tasks with TimelineLabels (1-based frames, both ends inside) and Choices (weak labels)
dcase          tab-separated filename, onset, offset, event_label; or filename, event_labels (weak, with commas); also
               without a header, as dcase_util writes it
elan           `.eaf`, read only: a tier for each genre, or a tier `genre` with their names; `export` writes it
=============  ===================================================================================================

A table read here has the columns where (for messages), trailer, start, end, genre (as written) and maybe group and
checked; meaning is checked by `genre_classifier.dataset.labels`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from genre_classifier.config import LABEL_FORMATS, MAX_LABEL_MB, ExportConfig
from genre_classifier.dataset.label_elan import read_elan
from genre_classifier.dataset.label_json import (
    activitynet_json,
    label_studio_json,
    label_studio_tasks,
    read_documents,
)
from genre_classifier.dataset.label_rows import COLUMNS, EXPECTED, Span, Spans
from genre_classifier.dataset.label_tables import dcase_tsv, labels_csv, read_delimited, wide_csv
from preprocessing.base.errors import InputError
from preprocessing.base.files import read_text, write_atomically

logger = logging.getLogger(__name__)

__all__ = ["WRITERS", "Span", "Spans", "label_studio_tasks", "read_table", "write_table"]

Writer = Callable[[pd.DataFrame, Spans | None, ExportConfig], str]
_WRITERS: tuple[Writer, ...] = (labels_csv, wide_csv, activitynet_json, label_studio_json, dcase_tsv)
WRITERS = dict(zip(LABEL_FORMATS, _WRITERS, strict=True))


def read_table(path: Path, *, fps: float | None = None, max_mb: float = MAX_LABEL_MB) -> pd.DataFrame:
    """Read any of the formats.

    Parameters
    ----------
    path : Path
    fps : float, optional
        Frames per second of Label Studio's tasks that do not say theirs; unless given, what it assumes is logged.
    max_mb : float
        Megabytes; a larger file is refused unread.

    Raises
    ------
    InputError
        If the file cannot be read or is of no known format, or a field has the wrong type; names the file and row.
    """
    text = read_text(path, EXPECTED, most_bytes=int(max_mb * 1e6), raised_by="--max-label-mb")
    first = text.lstrip("\ufeff \t\r\n")[:1]
    if first in ("{", "["):
        rows = list(read_documents(path, text, fps=fps))
    else:
        rows = list(read_elan(path) if first == "<" else read_delimited(path, text))
    table = pd.DataFrame([(*row, *[None] * (len(COLUMNS) - len(row))) for row in rows], columns=list(COLUMNS))
    if not rows:
        raise InputError(f"{path}: expected {EXPECTED}; found no label in it")
    table = table.astype({"start": np.float64, "end": np.float64})
    return table.drop(columns=[name for name in ("group", "checked") if table[name].isna().all()])


def write_table(
    path: Path,
    labels: pd.DataFrame,
    *,
    file_format: str | None,
    spans: Spans | None = None,
    config: ExportConfig | None = None,
) -> None:
    """Write `labels` in one of `WRITERS`; what the format cannot hold is logged."""
    chosen = file_format or {".csv": "labels", ".json": "activitynet", ".tsv": "dcase"}.get(path.suffix.lower())
    if chosen not in WRITERS:
        raise InputError(f"{path}: expected a file ending in .csv, .json or .tsv, or a format ({', '.join(WRITERS)})")
    if chosen != "labels" and "checked" in labels:
        count = labels.loc[~labels["checked"], "trailer"].nunique()
        logger.warning(
            f"{chosen} cannot hold that {count} trailers are not checked: their other frames will count as other"
        )
        labels = labels.drop(columns="checked")
    write_atomically(path, WRITERS[chosen](labels, spans, config or ExportConfig()))
