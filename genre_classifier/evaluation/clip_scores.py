"""Scores of clips by a run, each kept in a file as soon as it is there: by this process, or by several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genre_classifier.config import scoring_chunk
from genre_classifier.dataset.trailers import Trailer, open_inputs
from genre_classifier.network.memory import frame_multiplications, scoring_bytes
from genre_classifier.network.streaming import score_clip
from genre_classifier.run_folder.run import Run, run_digest, run_of_process
from genre_classifier.tagging.scores import scores_table, write_scores
from preprocessing.base.errors import InputError
from preprocessing.processes.serving import Answers
from preprocessing.processes.sharing import share_out

MULTIPLICATIONS = 1.3e10  # in a second, of small networks (docs/measurements.md): a guide to how many processes pay
_BESIDE = ("encoded", "looks", "heard")  # of a trailer: what encoders made of it


def score_clips(
    run: Run, trailers: Sequence[Trailer], targets: Sequence[Path], *, jobs: int | None, scheduler: str | None
) -> Iterator[int]:
    """Score the clips of trailers to files; yield the number of frames of each when it is there.

    Parameters
    ----------
    run : Run
    trailers : sequence of Trailer
        With what the run's encoders made of them.
    targets : sequence of Path
        Where the raw scores of each go.
    jobs, scheduler
        As for `genre_classifier.evaluation.scoring.score_run`.
    """
    shared = {"run": str(run.path.absolute()), "run_digest": run_digest(run.path)}
    tasks = [
        shared
        | {
            "clip": str(trailer.clip.absolute()),
            **{name: (path := getattr(trailer, name)) and str(path.absolute()) for name in _BESIDE},
            "times": trailer.times.tolist(),
            "target": str(target.absolute()),
        }
        for trailer, target in zip(trailers, targets, strict=True)
    ]

    def here(index: int) -> None:
        score_one(run, trailers[index].open(), trailers[index].times, targets[index])

    with share_out(
        f"{__name__}:score_task",
        tasks,
        here=here,
        files=[trailer.clip for trailer in trailers],
        name="scorer",
        needed_bytes=scoring_bytes(run.model_config, scoring_chunk(run.model_config.rows, run.model_config.cols)),
        jobs=jobs,
        scheduler=scheduler,
        seconds=sum(len(one.times) for one in trailers) * frame_multiplications(run.model_config) / MULTIPLICATIONS,
    ) as results:
        for trailer, result in zip(trailers, results, strict=True):
            if isinstance(result, InputError):
                raise result
            yield len(trailer.times)


def score_task(task: dict[str, Any], answers: Answers) -> None:
    """Score one clip in a child process."""
    run = run_of_process(task["run"], task["run_digest"], encoder=False)
    times, paths = np.array(task["times"]), {name: task[name] and Path(task[name]) for name in _BESIDE}
    score_one(run, open_inputs(Path(task["clip"]), times, **paths), times, Path(task["target"]))


def score_one(run: Run, frames: Any, times: np.ndarray, target: Path) -> None:
    """Score frames that the run's network takes, to a file."""
    write_scores(target, scores_table(times, score_clip(run.model, frames), run.genres))
