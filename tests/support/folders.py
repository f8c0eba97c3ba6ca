"""A small folder of videos, made for the tests of whole folders."""

from __future__ import annotations

from pathlib import Path

from preprocessing.config import ClipConfig
from tests.support.media import Track, flat_frames, tone, write_media, write_sounding

CONFIG = ClipConfig(frames=20, size=16)


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder, hidden ones included."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def make_trailers(folder: Path) -> Path:
    """Make three good videos and a bad one: in sorted order a, b (bad), c, d/e; the last has 1.5 seconds of sound."""
    (folder / "d").mkdir(parents=True)
    write_media(folder / "a.mkv", flat_frames(30, seed=1))
    (folder / "b.mp4").write_text("this is no video, whatever its name says\n" * 10)
    write_media(folder / "c.mkv", flat_frames(12, seed=2))
    write_sounding(folder / "d" / "e.mkv", Track(tone(1.5)), frames=flat_frames(25, seed=3))
    (folder / "labels.csv").write_text("trailer,start,end,genre\n")
    return folder
