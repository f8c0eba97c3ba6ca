"""A tags folder as `tag` leaves it, and its exports."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from genre_classifier import cli
from genre_classifier.genres import GENRES
from genre_classifier.tagging.segments import write_segments

SEGMENTS = pd.DataFrame(
    {
        "start": [0.0, 2.002, 4.5, 10.01],
        "end": [2.002, 6.0, 7.25, 12.5],
        "genre": ["comedy", "action", "comedy", "musical"],
        "score": [0.9, 0.75, 0.5, 0.625],
    }
)


def tagged(out: Path, name: str = "film one", **changes: object) -> Path:
    """Write what `tag` leaves of a video."""
    folder = out / name
    folder.mkdir(parents=True)
    facts = {
        "schema": 1,
        "source": f"{name}.mp4",
        "video": f"/videos/{name}.mp4",
        "bytes": 1000,
        "modified_ns": 0,
        "made_with": {},
        "duration": 12.5,
        "frames": 300,
        "segments_found": 4,
        "shares": dict.fromkeys(GENRES, 0.1),
        "fps": 23.98,
        "size": [640, 360],
    }
    (folder / "tags.json").write_text(json.dumps(facts | changes))
    write_segments(folder / "segments.csv", SEGMENTS)
    return out


def exported(tags: Path, out: Path, *options: str) -> dict[str, Path]:
    assert cli.run(["export", str(tags), str(out), *options]) == 0
    return {path.name: path for path in out.iterdir()}
