"""The process that does the tasks of a stage, one after the other: see `preprocessing.processes.sharing.share_out`.

`python -m preprocessing.processes.stage_worker`. Each job names its function as `module:function`.
"""

from __future__ import annotations

import importlib
from typing import Any

from preprocessing.processes.serving import Answers, serve
from preprocessing.processes.sharing import SetupError


def _do(job: dict[str, Any], answers: Answers) -> dict[str, Any]:
    module, _, name = job["function"].partition(":")
    try:
        return {"done": getattr(importlib.import_module(module), name)(job["task"], answers)}
    except SetupError as error:  # not the task's fault
        return {"done": {"setup_failed": str(error)}}


if __name__ == "__main__":
    serve(_do)
