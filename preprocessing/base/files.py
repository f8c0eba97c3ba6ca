"""Files read whole into text or JSON, and written so that a reader never sees half of one.

For every content, a reader gives a value or raises an error of one line: what was expected, and what was found. It
never waits for a pipe, never reads a file without end, and never accepts NaN or infinity.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from preprocessing.base.errors import InputError, WorkError

TEMPORARY_SUFFIX = ".part"
# What `atomic_path` calls a file, and `tempfile` a folder, that is not done yet.
TEMPORARY_NAME = re.compile(rf"\.(\d+-[0-9a-f]{{8}}|[a-z0-9_]{{8}}){re.escape(TEMPORARY_SUFFIX)}(\..*)?")
# Of a file read into memory: in Python's objects it takes up to forty times its size.
MOST_BYTES = 64_000_000
ABANDONED_SECONDS = 3600.0  # what was begun so long ago, and is not done, was killed
_LONGEST_SHOWN = 60  # characters of a file's content in a message
_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def abbreviated_repr(value: Any) -> str:
    """Return a value that a file held for a message: on one line, and not longer than that."""
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."


# --- reading ---------------------------------------------------------------------------------------------------------


def read_text(path: Path, expected: str, *, most_bytes: int = MOST_BYTES, raised_by: str = "") -> str:
    """Read a regular file of UTF-8 text; a byte order mark is dropped.

    Parameters
    ----------
    path : Path
    expected : str
        For the message: what the file should be ("a manifest").
    most_bytes : int
        A larger file is refused unread.
    raised_by : str
        For the message: the option that allows larger ones, if there is one.

    Raises
    ------
    InputError
        If it is missing, not a regular file, not readable, too large, or not UTF-8 text without NUL.
    """

    def refuse(found: str) -> NoReturn:
        raise InputError(f"{path}: expected {expected}, found {found}")

    try:
        if found := special_file(path):  # before it is opened: opening a pipe waits for its writer
            refuse(found)
        with path.open("rb") as file:
            data = file.read(most_bytes + 1)
            size = max(len(data), os.fstat(file.fileno()).st_size)
    except FileNotFoundError:
        refuse("no such file")
    except InputError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        refuse(os_reason(error))
    if size > most_bytes:
        allowed = f"{most_bytes / 1e6:g} MB are read{raised_by and f' ({raised_by})'}"
        refuse(f"{size / 1e6:.1f} MB; at most {allowed}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        refuse(f"no UTF-8 text (byte {error.start})")
    if "\0" in text:
        refuse(f"no UTF-8 text (a NUL, character {text.index(chr(0))})")
    return text


def read_json(path: Path, expected: str, *, most_bytes: int = MOST_BYTES) -> Any:
    """Read a JSON file.

    Numbers are finite, and whole ones fit into 64 bits; strings can be written again as UTF-8; no object has a key
    twice.

    Parameters
    ----------
    path, expected, most_bytes
        As for `read_text`.

    Raises
    ------
    InputError
        As `read_text`; and if it is not JSON, holds NaN, infinity or half a surrogate pair, or is nested too deeply.
    """
    return parse_json(path, read_text(path, expected, most_bytes=most_bytes), expected)


def parse_json(path: Path, text: str, expected: str) -> Any:
    """Return what the text of a JSON file holds; path and `expected` are for the message: see `read_json`."""
    try:
        document = json.loads(
            text,
            parse_constant=_no_number,
            parse_float=parse_finite,
            parse_int=parse_int64,
            object_pairs_hook=_each_key_once,
        )
        if re.search(r"\\u[dD][89a-fA-F]", text):  # maybe half of a surrogate pair
            json.dumps(document, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise InputError(f"{path}: expected {expected}, found JSON that is nested too deeply") from None
    except UnicodeEncodeError:
        raise InputError(f"{path}: expected {expected}, found half of a surrogate pair in a string") from None
    except ValueError as error:
        found = "an empty file" if not text.strip() else f"no JSON ({error})"
        raise InputError(f"{path}: expected {expected}, found {found}") from error
    return document


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
        If it cannot be read (see `read_json`), or is of another schema.
    """
    document = read_json(path, expected)
    if not isinstance(document, dict) or document.get("schema") != schema:
        found = (
            abbreviated_repr(document.get("schema")) if isinstance(document, dict) else f"a {type(document).__name__}"
        )
        raise InputError(f"{path}: expected schema {schema}, found {found}; {remedy}")
    return document


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object. Python's own reader drops the first of two values under one key, without a word."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(
            f"the key {abbreviated_repr(next(key for key in keys if keys.count(key) > 1))} twice in one object"
        )
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number of JSON")


def parse_finite(text: str) -> float:
    """Return a finite number that a file holds, or raise a ValueError with the reason."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{abbreviated_repr(text)} is not a finite number")
    return value


def parse_int64(text: str) -> int:
    """Return a whole number of 64 bits that a file holds, or raise a ValueError with the reason."""
    if len(text) > 40:  # int() takes time that grows with the square of the digits
        raise ValueError(f"{abbreviated_repr(text)} does not fit into 64 bits")
    try:
        value = int(text)
    except ValueError:
        value = int(parse_finite(text))  # 3.0, as pandas writes whole numbers beside unknown ones
        if value != parse_finite(text):
            raise
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"{abbreviated_repr(text)} does not fit into 64 bits")
    return value


def special_file(path: Path) -> str | None:
    """Return what stands at `path` in place of a regular file, None for a regular one; raise an OSError for neither."""
    mode = path.stat().st_mode
    if stat.S_ISREG(mode):
        return None
    return next((name for is_kind, name in _KINDS if is_kind(mode)), "no regular file")


def os_reason(error: Exception) -> str:
    """Return why the operating system, or Python, refused something: lower case, for the end of a message."""
    return (getattr(error, "strerror", None) or str(error)).lower()


def file_facts(path: Path) -> dict[str, int]:
    """Return what tells at a glance that a file is still the same: its bytes, and when it was modified, in ns."""
    status = path.stat()
    return {"bytes": status.st_size, "modified_ns": status.st_mtime_ns}


def require_unchanged(path: Path, facts: Mapping[str, int], *, doing: str) -> None:
    """Raise InputError if a file has changed since work on it began.

    Parameters
    ----------
    path : Path
    facts : mapping
        What `file_facts` said before.
    doing : str
        For the message: what was done with it ("scored").
    """
    try:
        same = file_facts(path) == facts
    except OSError:
        same = False
    if not same:
        raise InputError(f"{path}: it changed while it was {doing}; run again when it is complete")


def file_digest(path: Path, expected: str) -> str:
    """Return the SHA-256 of a file, in hexadecimal.

    Parameters
    ----------
    path : Path
    expected : str
        What it should be, for the message.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: expected {expected}, found: {os_reason(error)}") from error


# --- writing ---------------------------------------------------------------------------------------------------------


def cache_folder() -> Path:
    """Return the user's folder for what can be made again: `GENRE_CLASSIFIER_CACHE`, or one in `~/.cache`.

    Raises
    ------
    RuntimeError
        If the user has no home.
    """
    own = os.environ.get("GENRE_CLASSIFIER_CACHE")
    return Path(own) if own else Path.home() / ".cache" / "genre-classifier"


def make_folder(folder: Path, *, purpose: str = "") -> None:
    """Make a folder for output, and those around it; one that is there already will do.

    What was begun in it an hour ago or more, and killed, is removed.

    Parameters
    ----------
    folder : Path
    purpose : str
        For the message: what is to be written there ("clips").

    Raises
    ------
    InputError
        If it cannot be made or written to.
    """
    expected = f"a folder to write {purpose} to" if purpose else "a folder to write to"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        found = "a file" if folder.exists() else os_reason(error)
        raise InputError(f"{folder}: expected {expected}, found {found}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{folder}: expected {expected}, found one without permission to write")
    remove_leftovers(folder, seconds=ABANDONED_SECONDS)


def not_written(path: Path, error: OSError) -> WorkError:
    """Return the error to raise when the operating system refuses to write `path`."""
    return WorkError(f"{path}: could not be written: {error.strerror or error}")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path in the same folder; move it to `path` when the block ends well, else remove it.

    A symbolic link stays one, and what it points to is written. The temporary path has the ending of `path`, by which
    some writers choose the format.

    Raises
    ------
    InputError
        If `path` exists and is not a regular file: a folder, a device, a pipe.
    WorkError
        If the operating system refuses the writing (a full disk, no permission).
    """
    target = _target(path)
    # Short for any length of the name: a folder's entries have at most 255 bytes.
    temporary = target.with_name(f".{os.getpid()}-{secrets.token_hex(4)}{TEMPORARY_SUFFIX}{target.suffix[:16]}")
    try:
        yield temporary
        temporary.replace(target)
    except OSError as error:
        raise not_written(path, error) from error
    finally:
        with suppress(OSError):  # a read-only disk, say: the error that led here is the one to tell
            temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path, *, seconds: float = 0.0) -> None:
    """Remove what is called `TEMPORARY_NAME` in a folder, and was begun at least so many seconds ago.

    What was begun so many seconds after now was begun before the clock was set back.
    """
    for path in folder.glob(f".*{TEMPORARY_SUFFIX}*"):
        with suppress(OSError):
            if TEMPORARY_NAME.fullmatch(path.name) and abs(time.time() - path.stat().st_mtime) >= seconds:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _target(path: Path) -> Path:
    """Return the file that writing to `path` is about, behind every symbolic link; it may be missing."""

    def refuse(found: str) -> NoReturn:
        raise InputError(f"{path}: expected the name of a file to write, found {found}")

    try:
        target = Path(os.path.realpath(path))
        with suppress(FileNotFoundError):
            if found := special_file(target):
                refuse(found)
    except InputError:
        raise
    except ValueError as error:  # a NUL in the name
        refuse(os_reason(error))
    except OSError as error:
        raise not_written(path, error) from error
    return target


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write text (UTF-8) or bytes to `path`, whole or not at all: see `atomic_path`."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
