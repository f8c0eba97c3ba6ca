"""The process that scores clips for a parent, one after the other.

`python -m genre_classifier.evaluation.scoring_worker`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from genre_classifier.dataset.trailers import open_frames
from genre_classifier.evaluation.clip_scores import score_one
from genre_classifier.run_folder.run import run_of_process
from preprocessing.base.errors import InputError
from preprocessing.processes.serving import Answers, serve
from preprocessing.processes.sharing import no_run


def _score(job: dict[str, Any], answers: Answers) -> dict[str, Any]:
    try:
        run = run_of_process(job["run"], job["run_digest"])
    except InputError as error:
        return no_run(error)
    frames = open_frames(Path(job["clip"]), job["encoded"] and Path(job["encoded"]))
    score_one(run, frames, np.array(job["times"]), Path(job["target"]))
    return {"done": {}}


if __name__ == "__main__":
    serve(_score)
