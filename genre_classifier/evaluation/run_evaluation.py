"""Both steps of an evaluation together, files in and files out: what the command `evaluate` runs."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from genre_classifier.config import MAX_LABEL_MB, EvaluationConfig
from genre_classifier.dataset.labels import read_genre_map, read_labels
from genre_classifier.dataset.trailer_labels import labels_for_trailers, labels_past_ends, only_checked
from genre_classifier.evaluation import comparison, sentences
from genre_classifier.evaluation.document import About
from genre_classifier.evaluation.evaluate import Evaluation, evaluate
from genre_classifier.evaluation.failures import WorstSegment
from genre_classifier.evaluation.report import SegmentPicture, write_report
from genre_classifier.evaluation.score_folder import FOLDER, ScoreFolder, find_score_folder, read_score_folder
from genre_classifier.genres import GENRE_MAP, GenreMap
from genre_classifier.tagging.summary import viewer_urls
from genre_classifier.tagging.tags import as_jpeg
from preprocessing.base.errors import InputError
from preprocessing.base.files import make_folder
from preprocessing.clips import clip_path, load_clip

if TYPE_CHECKING:
    from genre_classifier.dataset.trailers import Trailer
    from genre_classifier.run_folder.run import Run

logger = logging.getLogger(__name__)

_OTHER_FOLDER = "scores_other"


@dataclasses.dataclass(frozen=True)
class Request:
    """What is to be evaluated.

    Attributes
    ----------
    run, clips : Path or None
        None with `scores`.
    labels : Path
        In any format of `genre_classifier.dataset.labels.read_labels`.
    out : Path
        Report folder.
    scores : Path or None
        Scores of an earlier evaluation, instead of run and clips.
    split : str
        train, validation, test or all.
    other : Path or None
        A run, or a scores or report folder, to compare with.
    tags : Path or None
        Folder that `tag` wrote.
    rescore : bool
        Score even if the scores in `out` are up to date.
    genre_map : Path or None
        A table of more names of genres, as for `genre_classifier.dataset.labels.read_genre_map`.
    max_label_mb : float
        Megabytes; larger labels are refused unread.
    """

    run: Path | None
    clips: Path | None
    labels: Path
    out: Path
    scores: Path | None = None
    split: str = "test"
    other: Path | None = None
    tags: Path | None = None
    rescore: bool = False
    genre_map: Path | None = None
    max_label_mb: float = MAX_LABEL_MB


def run_evaluation(
    request: Request,
    *,
    config: EvaluationConfig,
    jobs: int | None = None,
    scheduler: str | None = None,
    on_start: Callable[[int], None] | None = None,
    on_frames: Callable[[int], None] | None = None,
) -> tuple[Path, str]:
    """Score where needed, evaluate, and write the report.

    Parameters
    ----------
    request : Request
    config : EvaluationConfig
    jobs, scheduler, on_start, on_frames
        As for `genre_classifier.evaluation.scoring.score_run`.

    Returns
    -------
    report : Path
    sentences : str
        The report's first paragraph.

    Raises
    ------
    InputError
        For input that cannot be used.
    """
    first = _run(request.run, request.clips) if request.scores is None else read_score_folder(request.scores)
    other: Run | ScoreFolder | None = None
    if request.other is not None:
        stored = find_score_folder(request.other) is not None
        other = read_score_folder(request.other) if stored else _run(request.other, request.clips)
        comparison.shared_genres(first.genres, other.genres)  # without one, the error comes before scoring
    labels = _labels(request, first.genres, known=(other or first).genres)
    make_folder(request.out)  # not after the scoring of all trailers

    def score(run: Run, trailers: Sequence[Trailer], name: str, only: Sequence[Trailer] | None = None) -> ScoreFolder:
        # Imports TensorFlow; evaluating stored scores does without.
        from genre_classifier.evaluation.scoring import score_run

        assert request.clips is not None
        return score_run(
            run,
            request.clips,
            trailers,
            request.out / name,
            split=request.split,
            only=only,
            again=request.rescore,
            config=config,
            jobs=jobs,
            scheduler=scheduler,
            on_start=on_start,
            on_frames=on_frames,
        )

    trailers: list[Trailer] = []
    if not isinstance(first, ScoreFolder) or not isinstance(other, ScoreFolder | None):
        trailers = _trailers(request, labels, first.genres)
    folder = first if isinstance(first, ScoreFolder) else score(first, trailers, FOLDER)
    evaluation = _evaluate(folder, labels, config)
    notes, compared = [note] if (note := _labels_past_ends(folder, labels)) else [], None
    if not folder.baselines:
        notes.append("The baselines of colours and senses are missing: no training trailer was at hand to fit them on.")
    notes += _knows_none(folder)
    if other is not None:
        if not isinstance(other, ScoreFolder):
            own = trailers
            if other.genres != first.genres:
                own = _trailers(request, _labels(request, other.genres, known=first.genres), other.genres)
            other = score(other, own, _OTHER_FOLDER, [one for one in trailers if one.source in folder.scores])
        evaluation, compared = _compare(folder, evaluation, other, labels, config)
        if set(folder.genres) != set(other.genres):
            notes.append(
                f"{other.run}, the run compared with, has other genres: the two are compared over "
                f"{', '.join(compared.genres)} alone."
            )
            logger.warning(notes[-1])
        notes += _knows_none(other)
        learned, timed = _learned_from(other, evaluation)
        if learned:
            told = sentences.of_trailers(evaluation, learned, timed)
            notes.append(f"{other.run}, the run compared with, learned from {told}, which favours it.")
    learned, timed = _learned_from(folder, evaluation)
    about = About(
        run=folder.run,
        split=folder.split,
        trained_on=learned,
        temperatures=folder.temperatures,
        notes=tuple(notes),
        trained_on_timed=timed,
    )
    report = write_report(
        request.out,
        evaluation,
        about,
        comparison=compared,
        thumbnails=_thumbnails(folder, evaluation),
        viewers=viewer_urls(request.tags, request.out) if request.tags else {},
    )
    return report, " ".join(sentences.lead_sentences(evaluation, about))


def _run(path: Path | None, clips: Path | None) -> Run:
    assert path is not None
    if clips is None:
        raise InputError(f"{path}: scoring a run needs clips; give RUN CLIPS LABELS, or a folder of scores")
    from genre_classifier.run_folder.run import load_run

    return load_run(path)


def _labels(request: Request, genres: Sequence[str], *, known: Sequence[str]) -> pd.DataFrame:
    """Read labels of these genres; names that are known otherwise are left out, not refused."""
    every = tuple(dict.fromkeys((*genres, *known)))
    said = dict.fromkeys(genre for genre in every if genre not in genres and genre not in GENRE_MAP)
    if request.genre_map:
        said |= read_genre_map(request.genre_map, None).said
    genre_map = GenreMap(said)
    return only_checked(read_labels(request.labels, genres=genres, genre_map=genre_map, max_mb=request.max_label_mb))


def _trailers(request: Request, labels: pd.DataFrame, genres: Sequence[str]) -> list[Trailer]:
    from genre_classifier.dataset.trailers import load_trailers

    assert request.clips is not None
    return load_trailers(request.clips, labels, genres=genres)


def _evaluate(
    folder: ScoreFolder, labels: pd.DataFrame, config: EvaluationConfig, genres: Sequence[str] | None = None
) -> Evaluation:
    """Join a scores folder with labels by source or id, and evaluate, over all genres or some."""
    joined = _labels_by_source(folder, labels)
    if without := [trailer.source for trailer in folder.trailers if trailer.source not in joined]:
        logger.warning(f"{len(without)} scored trailers have no label and are left out, such as {without[0]!r}")
    return evaluate(
        pd.concat([rows.assign(trailer=source) for source, rows in joined.items()]),
        folder.scores,
        genres=genres,
        thresholds=folder.thresholds,
        temperatures=folder.temperatures,
        exclusive=folder.exclusive,
        baselines=folder.baselines,
        training_prevalence=folder.training_prevalence,
        cuts=folder.cuts,
        durations=folder.durations,
        config=config,
    )


def _labels_by_source(folder: ScoreFolder, labels: pd.DataFrame) -> dict[str, pd.DataFrame]:
    manifest = folder.manifest()
    source_of = dict(zip(manifest["trailer_id"], manifest["source"], strict=True))
    joined = labels_for_trailers(labels, manifest, skip_unknown=True, quiet=True)
    return {source_of[trailer_id]: rows for trailer_id, rows in joined.items()}


def _knows_none(folder: ScoreFolder) -> list[str]:
    """Say in a note where a run names none of the trailers that it is judged by."""
    if not folder.clips or any(trailer.split is not None for trailer in folder.trailers):
        return []
    where = "where it learned from some of them under other names, its figures are too good."
    return [f"{folder.run} knows none of these trailers by name: {where}"]


def _labels_past_ends(folder: ScoreFolder, labels: pd.DataFrame) -> str | None:
    rows_of = _labels_by_source(folder, labels)
    return labels_past_ends((source, rows, folder.scores[source].index.to_numpy()) for source, rows in rows_of.items())


def _compare(
    folder: ScoreFolder,
    evaluation: Evaluation,
    other: ScoreFolder,
    labels: pd.DataFrame,
    config: EvaluationConfig,
) -> tuple[Evaluation, comparison.Comparison]:
    """Evaluate the other run on the trailers and genres that both have, the first again where these are fewer.

    The evaluation that comes back has all genres of the first run.
    """
    genres = comparison.shared_genres(folder.genres, other.genres)
    common = set(folder.scores) & set(other.scores)
    if not common:
        raise InputError(f"{other.run}: expected scores of the same trailers as {folder.run}, found none in common")
    if left_out := len(folder.scores) - len(common):
        logger.warning(f"{left_out} trailers have no scores of {other.run} and are left out of the report")
        folder = _only(folder, common)
        evaluation = _evaluate(folder, labels, config)
    first = evaluation if genres == evaluation.data.genres else _evaluate(folder, labels, config, genres)
    second = _evaluate(_only(other, common), labels, config, genres)
    name = other.run if other.run != folder.run else f"{other.run} (other)"
    return evaluation, comparison.compare(first, second, other=name)


def _only(folder: ScoreFolder, sources: set[str]) -> ScoreFolder:
    def kept(tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
        return {source: table for source, table in tables.items() if source in sources}

    return dataclasses.replace(
        folder,
        trailers=tuple(trailer for trailer in folder.trailers if trailer.source in sources),
        scores=kept(folder.scores),
        baselines={name: kept(tables) for name, tables in folder.baselines.items()},
    )


def _learned_from(folder: ScoreFolder, evaluation: Evaluation) -> tuple[int, int]:
    """Count the evaluated trailers that the run learned from, and those of them that are labelled in time."""
    learned = {trailer.source for trailer in folder.trailers if trailer.split in ("train", "validation")}
    taken = np.array([name in learned for name in evaluation.data.trailers], bool)
    return int(taken.sum()), int((taken & evaluation.data.timed).sum())


def _thumbnails(folder: ScoreFolder, evaluation: Evaluation) -> dict[WorstSegment, SegmentPicture]:
    """Cut the pictures of the worst segments out of the clips, where these still lie where they were."""
    pictures = {}
    by_source = {trailer.source: trailer for trailer in folder.trailers}
    for segment in evaluation.worst_segments:
        trailer = by_source[segment.trailer]
        if trailer.trailer_id is None or not folder.clips:
            continue
        try:
            clip = load_clip(clip_path(Path(folder.clips), trailer.trailer_id))
        except InputError:
            continue  # figures need no clips, and neither does the report
        if segment.frame >= len(clip):
            continue
        jpeg = as_jpeg(np.ascontiguousarray(clip[segment.frame].transpose(1, 2, 0)))
        pictures[segment] = SegmentPicture(jpeg, trailer.width or clip.shape[3], trailer.height or clip.shape[2])
    return pictures
