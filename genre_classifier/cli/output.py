"""What is printed: results to stdout, messages to stderr, each on one line of a terminal for any text that it quotes.

File names, and what files hold, may be anything, escape sequences that rename or repaint a terminal included.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import click

from preprocessing.base.errors import WorkError


def one_line(text: str) -> str:
    """Return text with everything escaped that does not simply appear: control characters, line breaks, direction."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text.rstrip()
    )


def say(text: str = "", *, bold: bool = False) -> None:
    """Print a line of the result.

    Raises
    ------
    WorkError
        If stdout does not take it: a full disk.
    """
    try:
        click.secho(one_line(text), bold=bold)
    except BrokenPipeError:  # the reader is gone: click ends the program quietly
        raise
    except OSError as error:
        raise WorkError(f"stdout: the result could not be printed: {error.strerror or error}") from error


def say_files(paths: Sequence[Path]) -> None:
    """Print files of one folder on a line: the first one's path, the others' names."""
    say(" ".join([str(paths[0]), *(path.name for path in paths[1:])]))


def note(text: str) -> None:
    """Print a message for the user."""
    click.echo(one_line(text), err=True)


class NoteHandler(logging.Handler):
    """Print what the project's modules log, a line each, as messages for the user."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one message."""
        note(record.getMessage())


def show_log() -> None:
    """Print what the project logs from now on."""
    for name in ("genre_classifier", "preprocessing"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.propagate = False  # TensorFlow's absl prints what reaches the root once more
        if not any(isinstance(handler, NoteHandler) for handler in logger.handlers):
            logger.addHandler(NoteHandler())
