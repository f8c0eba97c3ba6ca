"""The scores folder: what scoring leaves for evaluating, so that figures can be made again without the model.

`evaluation.json` names trailers and genres, and copies thresholds and temperatures of the run; `scores_<id>.csv` holds
the raw scores of one trailer, `<baseline>/scores_<id>.csv` those of a baseline. A folder of score tables made
elsewhere, without `evaluation.json`, is read too: each `<trailer>.csv` is the trailer of that name. While scoring is
under way, its tables lie in a folder `unfinished_<fingerprint>`.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genre_classifier.evaluation.alignment import genres_of
from genre_classifier.evaluation.glossary import BASELINES
from genre_classifier.genres import check_genres
from genre_classifier.metrics.calibration import no_calibration
from genre_classifier.tagging.scores import read_scores, write_scores
from preprocessing.base.errors import InputError
from preprocessing.base.files import abbreviated_repr, make_folder, read_document, write_atomically

SCORES_SCHEMA = 1
SCORES_FILE = "evaluation.json"
FOLDER = "scores"  # inside a report folder
logger = logging.getLogger(__name__)


# Baselines of earlier versions, whose scores say too little.
RETIRED = ("encoder",)


@dataclasses.dataclass(frozen=True)
class ScoredTrailer:
    """One trailer of a scores folder.

    Attributes
    ----------
    trailer_id : int or None
        Of the clips folder; None for scores made elsewhere.
    source : str
        Its name in the labels.
    split : str or None
        Of the run: train, validation, test; None for a trailer that the run never saw.
    cuts : tuple of float or None
        Seconds of its cuts; None where they are not known.
    width, height : int
        Of the video, in pixels; 0 where not known.
    duration : float or None
        Seconds from the video's first frame to the end of its last, as the manifest has it; None where not known.
    """

    trailer_id: int | None
    source: str
    split: str | None = None
    cuts: tuple[float, ...] | None = None
    width: int = 0
    height: int = 0
    duration: float | None = None


@dataclasses.dataclass(frozen=True)
class ScoreFolder:
    """A scores folder that has been read, or is about to be written.

    Attributes
    ----------
    run : str
        Name of the run, or of the folder of scores made elsewhere.
    split : str
        What was scored: train, validation, test or all.
    clips : str
        Path of the clips folder, for thumbnails; empty where not known.
    fingerprint : str
        Of model, clips and split: equal where nothing needs scoring again.
    thresholds, temperatures : dict of str to float
        Per genre, in the order of the genres.
    training_prevalence : dict of str to float, or None
        None where no training trailer was at hand.
    trailers : tuple of ScoredTrailer
    scores : dict of str to DataFrame
        Source -> raw score table.
    baselines : dict of str to dict
        Name -> source -> score table.
    """

    run: str
    split: str
    clips: str
    fingerprint: str
    thresholds: dict[str, float]
    temperatures: dict[str, float]
    training_prevalence: dict[str, float] | None
    trailers: tuple[ScoredTrailer, ...]
    scores: dict[str, pd.DataFrame]
    baselines: dict[str, dict[str, pd.DataFrame]]

    @property
    def genres(self) -> tuple[str, ...]:
        """Return the genres that are scored."""
        return tuple(self.thresholds)

    @property
    def cuts(self) -> dict[str, np.ndarray] | None:
        """Return the cuts of every trailer in seconds, None where no trailer's are known."""
        known = {trailer.source: np.array(trailer.cuts) for trailer in self.trailers if trailer.cuts is not None}
        return known or None

    @property
    def durations(self) -> dict[str, float]:
        """Return the seconds of the trailers for which they are known."""
        return {trailer.source: trailer.duration for trailer in self.trailers if trailer.duration is not None}

    def manifest(self) -> pd.DataFrame:
        """Return what joining labels needs of a manifest: trailer_id, source, status."""
        return pd.DataFrame(
            {
                "trailer_id": [
                    position if trailer.trailer_id is None else trailer.trailer_id
                    for position, trailer in enumerate(self.trailers)
                ],
                "source": [trailer.source for trailer in self.trailers],
                "status": "ok",
            }
        )


def score_file(trailer_id: int | None) -> str:
    """Return the name of the table of a trailer's scores."""
    return f"scores_{trailer_id}.csv"


def write_score_folder(path: Path, folder: ScoreFolder) -> None:
    """Write every table, then `evaluation.json`, so that a folder with it is whole."""
    (path / SCORES_FILE).unlink(missing_ok=True)
    for name, tables in {"": folder.scores, **folder.baselines}.items():
        make_folder(path / name)
        for trailer in folder.trailers:
            write_scores(path / name / score_file(trailer.trailer_id), tables[trailer.source])
    write_score_index(path, folder)


def write_score_index(path: Path, folder: ScoreFolder) -> None:
    """Write `evaluation.json` alone: for new thresholds beside scores that are still good."""
    index = {
        "schema": SCORES_SCHEMA,
        "run": folder.run,
        "split": folder.split,
        "clips": folder.clips,
        "fingerprint": folder.fingerprint,
        "genres": {
            genre: {
                "threshold": folder.thresholds[genre],
                "temperature": folder.temperatures[genre],
                "training_prevalence": folder.training_prevalence[genre] if folder.training_prevalence else None,
            }
            for genre in folder.genres
        },
        "baselines": list(folder.baselines),
        "trailers": [dataclasses.asdict(trailer) for trailer in folder.trailers],
    }
    write_atomically(path / SCORES_FILE, json.dumps(index, indent=1) + "\n")


def find_score_folder(path: Path) -> Path | None:
    """Return the scores folder at `path`, be it that or a report folder around it; None if it is neither."""
    for candidate in (path, path / FOLDER):
        if (candidate / SCORES_FILE).is_file():
            return candidate
    return None


def read_score_folder(path: Path) -> ScoreFolder:
    """Read a scores folder, a report folder that holds one, or a folder of score tables.

    Raises
    ------
    InputError
        If it is none of these, or a file in it cannot be used.
    """
    found = find_score_folder(path)
    if found is None:
        return _read_bare_tables(path)
    path = found / SCORES_FILE
    index = _read_index(path)
    for name in ("run", "split", "clips", "fingerprint"):
        _check(path, isinstance(index.get(name), str), name, index.get(name), "text")
    trailers = _trailers(path, index.get("trailers"))
    values = _genre_values(path, index.get("genres"))
    names: Any = index.get("baselines")
    known = isinstance(names, list) and all(isinstance(name, str) and name in {*BASELINES, *RETIRED} for name in names)
    _check(path, known, "baselines", names, "names of baselines")
    if any(name in RETIRED for name in names):
        logger.warning(f"{path}: the baseline of the encoder is of an earlier version and is left out; score again")
    genres = tuple(values["threshold"])

    def tables(baseline: str = "") -> dict[str, pd.DataFrame]:
        files = {trailer.source: found / baseline / score_file(trailer.trailer_id) for trailer in trailers}
        return _read_tables(files, genres)

    return ScoreFolder(
        run=index["run"],
        split=index["split"],
        clips=index["clips"],
        fingerprint=index["fingerprint"],
        thresholds=values["threshold"],
        temperatures=values["temperature"],
        training_prevalence=values.get("training_prevalence"),
        trailers=trailers,
        scores=tables(),
        baselines={name: tables(name) for name in index["baselines"] if name not in RETIRED},
    )


def _read_tables(files: Mapping[str, Path], genres: Sequence[str] | None = None) -> dict[str, pd.DataFrame]:
    """Read score tables; all have the same genres, those of the first where none are given, and in the same order."""
    tables = {name: read_scores(file) for name, file in files.items()}
    if not tables:
        return {}
    genres = genres_of({str(files[name]): table for name, table in tables.items()}, genres)
    return {name: table[list(genres)] for name, table in tables.items()}


def _check(path: Path, right: bool, name: str, value: Any, expected: str) -> None:
    if not right:
        raise InputError(f"{path}: expected {expected} as {name}, found {abbreviated_repr(value)}")


def _is_number(value: Any, *, whole: bool = False, least: float = 0.0, most: float = math.inf) -> bool:
    kinds = (int,) if whole else (int, float)
    return isinstance(value, kinds) and not isinstance(value, bool) and least <= value <= most


def _trailers(path: Path, rows: Any) -> tuple[ScoredTrailer, ...]:
    """Return the trailers of an index; what a later version adds is passed over."""
    _check(path, isinstance(rows, list), "trailers", rows, "a list")
    fields = [field.name for field in dataclasses.fields(ScoredTrailer)]
    trailers = []
    for row in rows:
        _check(path, isinstance(row, dict), "a trailer", row, "an object")
        cuts = row.get("cuts")
        checks = {
            "source": (isinstance(row.get("source"), str), "text"),
            "trailer_id": (row.get("trailer_id") is None or _is_number(row["trailer_id"], whole=True), "an id"),
            "split": (row.get("split") is None or isinstance(row["split"], str), "text"),
            "cuts": (cuts is None or (isinstance(cuts, list) and all(map(_is_number, cuts))), "a list of seconds"),
            "width": (_is_number(row.get("width", 0), whole=True), "pixels"),
            "height": (_is_number(row.get("height", 0), whole=True), "pixels"),
            "duration": (row.get("duration") is None or _is_number(row["duration"]), "seconds"),
        }
        for name, (right, expected) in checks.items():
            _check(path, right, name, row.get(name), expected)
        known = {name: row[name] for name in fields if name in row}
        trailers.append(ScoredTrailer(**known | {"cuts": None if cuts is None else tuple(cuts)}))
    for name in ("source", "trailer_id"):  # one file, and one label, for each
        found = [getattr(trailer, name) for trailer in trailers]
        _check(path, len(set(found)) == len(found), name, found, "a different one for each trailer")
    return tuple(trailers)


def _genre_values(path: Path, genres: Any) -> dict[str, dict[str, float]]:
    """Return thresholds, temperatures and, where known for all genres, training prevalences."""
    _check(path, isinstance(genres, dict), "genres", genres, "an object")
    try:
        check_genres(list(genres))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    values: dict[str, dict[str, float]] = {"threshold": {}, "temperature": {}, "training_prevalence": {}}
    for genre, own in genres.items():
        _check(path, isinstance(own, dict), f"genre {genre}", own, "an object")
        for name, least, most in (
            ("threshold", 0.0, 1.0),
            ("temperature", sys.float_info.min, math.inf),
            ("training_prevalence", 0.0, 1.0),
        ):
            value = own.get(name)
            if value is None and name == "training_prevalence":
                continue
            _check(
                path, _is_number(value, least=least, most=most), f"{name} of {genre}", value, "a number in its range"
            )
            values[name][genre] = float(value)
    if len(values["training_prevalence"]) < len(genres):
        del values["training_prevalence"]
    return values


def read_fingerprint(path: Path) -> str | None:
    """Return the fingerprint of the scores folder at `path`, None where there is no usable one."""
    try:
        return str(_read_index(path / SCORES_FILE).get("fingerprint"))
    except InputError:
        return None


def _read_index(path: Path) -> dict[str, Any]:
    return read_document(path, SCORES_SCHEMA, "the index of a scores folder (JSON)", "score again with this version")


def _read_bare_tables(path: Path) -> ScoreFolder:
    files = sorted(path.glob("*.csv")) if path.is_dir() else []
    if not files:
        what = "a folder without them" if path.is_dir() else "no such folder"
        raise InputError(
            f"{path}: expected score tables (<trailer>.csv, or the folder that evaluate made), found {what}"
        )
    scores = _read_tables({file.stem: file for file in files})
    thresholds, temperatures = no_calibration(list(scores[files[0].stem].columns))
    return ScoreFolder(
        run=path.resolve().name,
        split="all",
        clips="",
        fingerprint="",
        thresholds=thresholds,
        temperatures=temperatures,
        training_prevalence=None,
        trailers=tuple(ScoredTrailer(None, file.stem) for file in files),
        scores=scores,
        baselines={},
    )
