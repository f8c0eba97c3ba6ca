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
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import AfterValidator, Field

from genre_classifier.evaluation.alignment import genres_of
from genre_classifier.evaluation.glossary import BASELINES
from genre_classifier.genres import check_genres
from genre_classifier.metrics.calibration import no_calibration
from genre_classifier.tagging.scores import read_scores, write_scores
from preprocessing.base.documents import parse_as
from preprocessing.base.errors import InputError, WorkError
from preprocessing.base.files import abbreviated_repr, make_folder, read_document, require_unchanged, write_atomically
from preprocessing.base.options import require

SCORES_SCHEMA = 1
SCORES_FILE = "evaluation.json"
FOLDER = "scores"  # inside a report folder
logger = logging.getLogger(__name__)

# Baselines of earlier versions, whose scores say less than those that took their place.
RETIRED = ("encoder", "encoder_frames", "encoder_trailers", "movement", "colour_and_motion")
_EXPECTED = "the index of a scores folder (JSON)"


_Seconds = Annotated[float, Field(ge=0)]
_Share = Annotated[float, Field(ge=0, le=1)]
_Count = Annotated[int, Field(ge=0)]


@dataclasses.dataclass(frozen=True, kw_only=True)
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

    trailer_id: _Count | None
    source: str
    split: str | None = None
    cuts: tuple[_Seconds, ...] | None = None
    width: _Count = 0
    height: _Count = 0
    duration: _Seconds | None = None


@dataclasses.dataclass(frozen=True)
class _GenreValues:
    threshold: _Share
    temperature: Annotated[float, Field(gt=0)]
    training_prevalence: _Share | None = None


def _genres_once(genres: dict[str, _GenreValues]) -> dict[str, _GenreValues]:
    check_genres(list(genres))
    return genres


def _trailers_once(trailers: tuple[ScoredTrailer, ...]) -> tuple[ScoredTrailer, ...]:
    for name in ("source", "trailer_id"):  # one file, and one label, for each
        found = [getattr(trailer, name) for trailer in trailers]
        require(len(set(found)) == len(found), f"expected another {name} for each trailer, found one twice")
    return trailers


def _baseline(name: str) -> str:
    require(name in {*BASELINES, *RETIRED}, f"expected names of baselines, found {abbreviated_repr(name)}")
    return name


@dataclasses.dataclass(frozen=True)
class _Index:
    """What `evaluation.json` holds."""

    run: str
    split: str
    clips: str
    fingerprint: str
    genres: Annotated[dict[str, _GenreValues], AfterValidator(_genres_once)]
    baselines: list[Annotated[str, AfterValidator(_baseline)]]
    trailers: Annotated[tuple[ScoredTrailer, ...], AfterValidator(_trailers_once)]
    exclusive: bool = False
    encoded: tuple[str, ...] = ()


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
        Of model, clips, what encoders made of them, and split: equal where nothing needs scoring again.
    encoded : tuple of str
        The folders of what encoders made of the clips, below `encoded` in the clips folder.
    thresholds, temperatures : dict of str to float
        Per genre, in the order of the genres.
    exclusive : bool
        Whether the genres exclude each other: the scores of a frame sum to 1.
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
    exclusive: bool = False
    encoded: tuple[str, ...] = ()

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
        """Return what joining labels needs of a manifest: trailer_id, source, status.

        Scores that were made elsewhere have ids below 0, which no label names.
        """
        return pd.DataFrame(
            {
                "trailer_id": [
                    -1 - position if trailer.trailer_id is None else trailer.trailer_id
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
        "exclusive": folder.exclusive,
        "encoded": list(folder.encoded),
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
        If it is not one of these, or a file in it cannot be used.
    """
    found = find_score_folder(path)
    if found is None:
        return _read_bare_tables(path)
    path = found / SCORES_FILE
    index = parse_as(path, _read_index(path), _Index, _EXPECTED)
    if any(name in RETIRED for name in index.baselines):
        logger.warning(f"{path}: baselines of an earlier version are left out; score again")
    prevalence = {genre: own.training_prevalence for genre, own in index.genres.items()}
    known = {genre: share for genre, share in prevalence.items() if share is not None}

    def tables(baseline: str = "") -> dict[str, pd.DataFrame]:
        files = {trailer.source: found / baseline / score_file(trailer.trailer_id) for trailer in index.trailers}
        return _read_tables(files, tuple(index.genres))

    return ScoreFolder(
        run=index.run,
        split=index.split,
        clips=index.clips,
        fingerprint=index.fingerprint,
        thresholds={genre: own.threshold for genre, own in index.genres.items()},
        temperatures={genre: own.temperature for genre, own in index.genres.items()},
        training_prevalence=known if len(known) == len(prevalence) else None,
        trailers=index.trailers,
        scores=tables(),
        baselines={name: tables(name) for name in index.baselines if name not in RETIRED},
        exclusive=index.exclusive,
        encoded=index.encoded,
    )


def _read_tables(files: Mapping[str, Path], genres: Sequence[str] | None = None) -> dict[str, pd.DataFrame]:
    """Read score tables; all have the same genres, those of the first where none are given, and in the same order."""
    tables = {name: read_scores(file) for name, file in files.items()}
    if not tables:
        return {}
    genres = genres_of({str(files[name]): table for name, table in tables.items()}, genres)
    return {name: table[list(genres)] for name, table in tables.items()}


def read_fingerprint(path: Path) -> str | None:
    """Return the fingerprint of the scores folder at `path`, or None without a usable one."""
    try:
        return str(_read_index(path / SCORES_FILE).get("fingerprint"))
    except InputError:
        return None


def read_encoded(path: Path) -> tuple[str, ...]:
    """Return `encoded` of the scores folder at `path`; none without a usable one."""
    try:
        return parse_as(path / SCORES_FILE, _read_index(path / SCORES_FILE), _Index, _EXPECTED).encoded
    except InputError:
        return ()


def _read_index(path: Path) -> dict[str, Any]:
    return read_document(path, SCORES_SCHEMA, _EXPECTED, "score again with this version")


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
        trailers=tuple(ScoredTrailer(trailer_id=None, source=file.stem) for file in files),
        scores=scores,
        baselines={},
    )


_UNFINISHED = "unfinished_"


class ScoringUnderWay:
    """Tables of a scoring that is not done yet, each kept as soon as it is there, so that none is ever lost.

    Parameters
    ----------
    out : Path
        The scores folder that is to be.
    fingerprint : str
        Of all that scores depend on: tables of another fingerprint are not taken.
    genres : sequence of str
        Names of the scores: tables with others are not taken.
    again : bool
        Begin again, even if scores are there.
    """

    def __init__(self, out: Path, fingerprint: str, genres: Sequence[str], *, again: bool = False) -> None:
        self._out, self._genres = out, list(genres)
        self._folder = out / f"{_UNFINISHED}{fingerprint[:16]}"
        if again:
            shutil.rmtree(self._folder, ignore_errors=True)
        # A whole folder may lack what a later version adds.
        whole = not again and read_fingerprint(out) == fingerprint
        self._places = (self._folder, *[out] * whole)

    def find(self, trailer_id: int, *, baseline: str = "") -> pd.DataFrame | None:
        """Return the scores of a trailer by the model, or by a baseline; None without scores."""
        for place in self._places:
            try:
                table = read_scores(place / baseline / score_file(trailer_id))
            except InputError:
                continue  # missing, or damaged by what interrupted it
            if list(table.columns) == self._genres:
                return table
        return None

    def read(self, trailer_id: int) -> pd.DataFrame:
        """Return the scores of a trailer by the model, which were found or written before."""
        table = self.find(trailer_id)
        if table is None:
            raise WorkError(f"{self.place(trailer_id)}: gone, or damaged, since it was written; run again")
        return table

    def place(self, trailer_id: int, *, baseline: str = "") -> Path:
        """Return where to write the scores of a trailer, so that they are kept."""
        (self._folder / baseline).mkdir(parents=True, exist_ok=True)
        return self._folder / baseline / score_file(trailer_id)

    def require_unchanged(self, known: Mapping[Path, Mapping[str, int]]) -> None:
        """Refuse (InputError) clips that are not what `file_facts` said; what is unfinished is of them, and goes."""
        try:
            for clip, facts in known.items():
                require_unchanged(clip, facts, doing="scored")
        except InputError:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def finish(self, folder: ScoreFolder) -> None:
        """Write the whole folder, and remove what was unfinished, here or in an earlier scoring."""
        write_score_folder(self._out, folder)
        for leftover in self._out.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(leftover, ignore_errors=True)
