"""The process that encodes clips for a parent, one after the other.

`python -m genre_classifier.dataset.encoding_worker`.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from genre_classifier.dataset.encoded import encode_clip
from genre_classifier.network.encoder import Encoder, read_encoder
from preprocessing.base.errors import InputError
from preprocessing.processes.serving import Answers, serve
from preprocessing.processes.sharing import no_run


@functools.lru_cache(maxsize=1)
def _encoder(path: str) -> Encoder:
    return read_encoder(Path(path))


def _encode(job: dict[str, Any], answers: Answers) -> dict[str, Any]:
    try:
        encoder = _encoder(job["encoder"])
    except InputError as error:
        return no_run(error)
    return {"done": {"frames": encode_clip(Path(job["clip"]), Path(job["target"]), encoder)}}


if __name__ == "__main__":
    serve(_encode)
