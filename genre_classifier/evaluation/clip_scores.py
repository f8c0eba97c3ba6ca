"""Scores of clips by a run, each kept in a file as soon as it is there: by this process, or by several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from genre_classifier.config import SCORING_CHUNK
from genre_classifier.dataset.trailers import Trailer
from genre_classifier.network.memory import scoring_bytes
from genre_classifier.network.streaming import score_clip
from genre_classifier.run_folder.run import Run, run_digest
from genre_classifier.tagging.scores import scores_table, write_scores
from preprocessing.processes.pool import answers
from preprocessing.processes.sharing import failure, share_out


def score_clips(
    run: Run, trailers: Sequence[Trailer], targets: Sequence[Path], *, jobs: int | None, scheduler: str | None
) -> Iterator[int]:
    """Score the clips of trailers to files; yield the number of frames of each when it is there.

    Parameters
    ----------
    run : Run
    trailers : sequence of Trailer
        With their encoded clips, if the run has an encoder.
    targets : sequence of Path
        Where the raw scores of each go.
    jobs, scheduler
        As for `genre_classifier.evaluation.scoring.score_run`.
    """
    jobs, program = share_out(
        "genre_classifier.evaluation.scoring_worker",
        "scorer",
        tasks=len(trailers),
        jobs=jobs,
        scheduler=scheduler,
        needed_bytes=scoring_bytes(run.model_config, SCORING_CHUNK),
    )
    if jobs == 1 and scheduler is None:
        for trailer, target in zip(trailers, targets, strict=True):
            score_one(run, trailer.open(), trailer.times, target)
            yield len(trailer.times)
        return
    shared = {"run": str(run.path.absolute()), "run_digest": run_digest(run.path)}
    tasks = [
        shared
        | {
            "clip": str(trailer.clip.absolute()),
            "encoded": trailer.encoded and str(trailer.encoded.absolute()),
            "times": trailer.times.tolist(),
            "target": str(target.absolute()),
        }
        for trailer, target in zip(trailers, targets, strict=True)
    ]
    with answers(program, tasks, jobs=jobs, scheduler=scheduler) as results:
        for trailer, answer in zip(trailers, results, strict=True):
            if error := failure(trailer.clip, answer):
                raise error
            yield len(trailer.times)


def score_one(run: Run, frames: np.ndarray, times: np.ndarray, target: Path) -> None:
    """Score frames that the run's network takes, to a file."""
    write_scores(target, scores_table(times, score_clip(run.model, frames), run.genres))
