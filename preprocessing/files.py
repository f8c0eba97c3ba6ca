"""Writing files so that a reader never sees half of one, and reading JSON files of a known schema."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from preprocessing.errors import InputError, WorkError

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


def read_document(path: Path, schema: int, expected: str, remedy: str) -> dict[str, Any]:
    """Read a JSON object with a schema number.

    Parameters
    ----------
    path : Path
    schema : int
        The number that this version writes.
    expected, remedy : str
        For the message: what the file should be, and what to do about another schema.

    Raises
    ------
    InputError
        If it cannot be read, or is of another schema.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected {expected}, found: {error}") from error
    if not isinstance(document, dict) or document.get("schema") != schema:
        found = document.get("schema") if isinstance(document, dict) else type(document).__name__
        raise InputError(f"{path}: expected schema {schema}, found {found!r}; {remedy}")
    return document
