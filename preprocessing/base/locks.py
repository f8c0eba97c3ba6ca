"""One writer at a time in a folder that is filled over hours: clips, runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from preprocessing.base.errors import InputError
from preprocessing.base.files import make_folder, os_reason

LOCK_NAME = ".lock"


@contextmanager
def locked(folder: Path, *, purpose: str, busy: str) -> Iterator[None]:
    """Make a folder, and keep other runs out of it while the block lasts.

    The lock is the operating system's, on the hidden file `LOCK_NAME` in the folder: a killed process gives it back.
    The file is removed when the block ends. One that a killed process left does no harm.

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
    make_folder(folder, purpose=purpose)
    lock = FileLock(folder / LOCK_NAME)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise InputError(f"{folder}: {busy}") from None
    except OSError as error:
        raise InputError(f"{folder}: expected a folder to write {purpose} to, found {os_reason(error)}") from error
    try:
        yield
    finally:
        # Before the release: a process that has the file open finds that it has no name, and takes no lock on it.
        with suppress(OSError):  # Windows removes no open file; there it stays, empty
            Path(lock.lock_file).unlink()
        lock.release()
