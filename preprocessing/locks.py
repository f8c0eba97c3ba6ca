"""One writer at a time in a folder that is filled over hours: clips, runs."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from preprocessing.errors import InputError


@contextmanager
def locked(folder: Path, *, purpose: str, busy: str) -> Iterator[None]:
    """Make a folder, and keep other runs out of it while the block lasts.

    The lock is the operating system's, on the folder itself: it leaves no file behind, and a killed process gives it
    back.

    Parameters
    ----------
    folder : Path
    purpose : str
        For the message: what is to be written there ("clips").
    busy : str
        For the message: who writes there already, and what to do.

    Raises
    ------
    InputError
        If the folder cannot be made or written to, or another run works in it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        found = (error.strerror or str(error)).lower()
        raise InputError(f"{folder}: expected a folder to write {purpose} to, found: {found}") from error
    try:
        if not os.access(folder, os.W_OK):
            raise InputError(f"{folder}: expected a folder to write {purpose} to, found: permission denied")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{folder}: {busy}") from None
        yield
    finally:
        os.close(handle)
