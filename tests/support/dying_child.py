"""A child process for the tests of the pool: it notes each job in a file, and dies of some. `python -m` runs it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from preprocessing.processes.serving import Answers, serve


def _work(job: dict[str, Any], answers: Answers) -> dict[str, Any]:
    with Path(job["log"]).open("a") as log:
        log.write(f"{os.getpid()}\n")
    if "raises" in job:
        raise {
            "ValueError": ValueError("wrong\nin two lines"),
            "OSError": OSError(28, "No space left on device", "/x"),
        }[job["raises"]]
    if len(Path(job["log"]).read_text().splitlines()) <= job["deaths"]:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"done": {"threads": os.environ["OMP_NUM_THREADS"]}}


if __name__ == "__main__":
    serve(_work)
