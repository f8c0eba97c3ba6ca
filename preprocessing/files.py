"""Writing files so that a reader never sees half of one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from preprocessing.errors import WorkError

TEMPORARY_SUFFIX = ".part"


def not_written(path: Path, error: OSError) -> WorkError:
    """Return the error to raise when the operating system refuses to write `path`."""
    return WorkError(f"{path}: could not be written: {error.strerror or error}")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path in the same folder; move it to `path` when the block ends well, else remove it.

    Raises
    ------
    WorkError
        If the operating system refuses the writing (a full disk, no permission).
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY_SUFFIX}")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise not_written(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write text (UTF-8) or bytes to `path`, whole or not at all."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
