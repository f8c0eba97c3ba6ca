"""Finished clips that wait for their id, and whatever else a run leaves in its folder until it is done.

A reader process writes `.staged-<key>.npy`, then `.times`, then `.json` (the manifest's fields), each moved into place
whole. A clip with its `.json` survives an interruption: the next run takes it instead of decoding again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from preprocessing import locks
from preprocessing.clips import clip_path, times_path
from preprocessing.files import TEMPORARY_SUFFIX, not_written

STAGED_PREFIX = ".staged-"


def staged_path(clips: Path, source: str) -> Path:
    """Return where the clip of a source waits for its id."""
    return clips / f"{STAGED_PREFIX}{hashlib.sha256(source.encode()).hexdigest()[:20]}.npy"


def take(staged: Path, clips: Path, trailer_id: int) -> None:
    """Move a staged clip and its times to where their id says.

    Raises
    ------
    WorkError
        If the folder cannot be written to.
    """
    try:
        staged.with_suffix(".times").replace(times_path(clips, trailer_id))
        staged.replace(clip_path(clips, trailer_id))
        staged.with_suffix(".json").unlink(missing_ok=True)
    except OSError as error:
        raise not_written(clips, error) from error


def clean(clips: Path, *, keep: set[Path]) -> None:
    """Remove what interrupted runs left, except the staged clips in `keep`."""
    stems = {path.stem for path in keep}
    for pattern in (f"{STAGED_PREFIX}*", f".*{TEMPORARY_SUFFIX}", f".*{TEMPORARY_SUFFIX}.*"):
        for path in clips.glob(pattern):
            if path.stem not in stems:
                path.unlink(missing_ok=True)


@contextmanager
def locked(clips: Path) -> Iterator[None]:
    """Make the folder, and keep other runs out of it.

    Raises
    ------
    InputError
        If it cannot be made or written to, or another run works in it.
    """
    busy = "another run is writing clips there; wait for it, or use another folder"
    with locks.locked(clips, purpose="clips", busy=busy):
        yield
