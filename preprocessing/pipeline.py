"""Videos to clips: one trailer, or a folder of them with a manifest."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

from preprocessing.clips import ClipWriter, clip_path, times_path, write_clip_config
from preprocessing.config import ClipConfig
from preprocessing.errors import InputError
from preprocessing.files import TEMPORARY_SUFFIX, atomic_path
from preprocessing.manifest import manifest_table, source_name, write_manifest
from preprocessing.video import sampled_frames

VIDEO_SUFFIXES = frozenset(
    f".{ending}"
    for line in (
        "mp4 m4v mov qt 3gp 3g2 mkv webm avi divx wmv asf flv f4v ogv ogm mxf nut rm rmvb gif dv ivf obu y4m",
        "mpg mpeg mpe mpv m1v m2v vob ts m2ts mts mjpeg mjpg h264 264 h265 265 hevc",
    )
    for ending in line.split()
)


def preprocess_trailer(video: Path | str, clip: Path | str, times: Path | str, config: ClipConfig) -> dict[str, Any]:
    """Turn one video into a clip file and a file of its frame times; return its manifest fields."""
    with sampled_frames(video, config) as frames:
        with atomic_path(Path(clip)) as temporary, ClipWriter(temporary, config.size) as writer:
            for _, frame in frames:
                writer.add(frame)
        with atomic_path(Path(times)) as temporary, temporary.open("wb") as file:
            np.save(file, frames.times)
        return {
            **vars(frames.declared),
            "frames": len(frames),
            "rows": config.size,
            "cols": config.size,
            "decoded_frames": frames.decoded_frames,
            "duration": frames.duration,
            "timing": frames.timing,
        }


def find_videos(trailers: Path) -> list[Path]:
    """Return the videos below a folder, in sorted order, named relative to it."""
    if not trailers.is_dir():
        raise InputError(
            f"{trailers}: expected a folder of videos, found {'a file' if trailers.exists() else 'nothing'}"
        )
    found = []
    for folder, _, names in os.walk(trailers):
        found += [
            (Path(folder) / name).relative_to(trailers) for name in names if Path(name).suffix.lower() in VIDEO_SUFFIXES
        ]
    if not found:
        raise InputError(f"{trailers}: expected a folder of videos, found none in it")
    return sorted(found, key=source_name)


def preprocess_directory(
    trailers: Path | str,
    clips: Path | str,
    *,
    config: ClipConfig | None = None,
    jobs: int | None = None,
    on_progress: Callable[[dict[str, Any]], None] | None = None,
) -> pd.DataFrame:
    """Turn a folder of videos into a folder of clips; return its manifest."""
    trailers, clips, config = Path(trailers), Path(clips), config or ClipConfig()
    videos = find_videos(trailers)
    clips.mkdir(parents=True, exist_ok=True)
    write_clip_config(clips, config)

    def work(index: int, relative: Path) -> dict[str, Any]:
        row: dict[str, Any] = {"source": source_name(relative), "status": "ok", "error": ""}
        part = clips / f".{index}{TEMPORARY_SUFFIX}"
        try:
            row["sha256"] = hashlib.sha256((trailers / relative).read_bytes()).hexdigest()
            row |= preprocess_trailer(trailers / relative, part, part.with_name(part.name + "t"), config)
        except (InputError, OSError) as error:
            row |= {"status": "failed", "error": str(error)}
        return row

    parallel = joblib.Parallel(n_jobs=jobs or joblib.cpu_count(), prefer="threads", return_as="generator")
    rows = []
    next_id = 0
    for index, row in enumerate(parallel(joblib.delayed(work)(*item) for item in enumerate(videos))):
        if row["status"] == "ok":
            part = clips / f".{index}{TEMPORARY_SUFFIX}"
            part.with_name(part.name + "t").replace(times_path(clips, next_id))
            part.replace(clip_path(clips, next_id))
            row["trailer_id"] = next_id
            next_id += 1
        rows.append(row)
        if on_progress:
            on_progress(row)
    manifest = manifest_table(rows)
    write_manifest(clips, manifest)
    return manifest
