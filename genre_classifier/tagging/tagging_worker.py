"""The process that tags videos for a parent, one after the other.

`python -m genre_classifier.tagging.tagging_worker`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genre_classifier.run_folder.run import run_of_process
from genre_classifier.tagging.tasks import Settings, Task
from genre_classifier.tagging.video_folder import tag_video
from preprocessing.base.errors import InputError
from preprocessing.processes.serving import Answers, serve
from preprocessing.processes.sharing import no_run


def _tag(job: dict[str, Any], answers: Answers) -> dict[str, Any]:
    answers.alive()
    try:
        run = run_of_process(job["run"], job["run_digest"])
        _ = run.encoder
    except InputError as error:  # no fault of the video
        return no_run(error)
    tag_video(
        run,
        Task(Path(job["video"]), job["source"], Path(job["folder"])),
        job["stamp"],
        Settings.from_dict(job["settings"]),
        on_progress=lambda now, end, frames: answers.alive(now=now, end=end, frames=frames),
    )
    return {"done": {}}


if __name__ == "__main__":
    serve(_tag)
