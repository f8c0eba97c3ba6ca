"""The command line: one file per command, thin over the Python functions.

With `__main__`, the only place that prints, and the only one that turns errors into exit codes: 0 done, 1 the work
failed (or some inputs did, under `--strict`), 2 wrong arguments or unreadable input. Each command's file imports what
is heavy inside its function, so that `--help` stays instant.
"""

from __future__ import annotations

import difflib
import importlib
import io
import os
import re
import signal
import sys
from contextlib import nullcontext
from typing import Any

import click

from genre_classifier.cli.output import note, show_log
from genre_classifier.cli.streams import (
    give_up_stdout,
    native_messages_aside,
    open_standard_streams,
    reraised_interrupts,
)
from preprocessing.base.errors import InputError, WorkError

GROUPS = {
    "Try": {
        "demo": "All of it once, on synthetic trailers.",
        "synthesize": "Trailers whose genres are known for every frame.",
        "squares": "The smallest ConvLSTM: moving squares.",
    },
    "Prepare": {
        "preprocess": "Videos to clips.",
        "label": "Pages on which videos are labelled by hand.",
        "labels": "One label format to another; several tables to one.",
        "encode": "Clips through pretrained networks that look and listen.",
    },
    "Learn": {
        "train": "Clips and labels to a trained run.",
    },
    "Use": {
        "tag": "Videos to scores, segments and pages to watch.",
        "export": "Segments for editing programs, ELAN and players.",
        "export-model": "The network for programs without this package.",
    },
    "Judge": {
        "evaluate": "How far to trust a run: a report.",
        "suggest": "Which trailers to label next, and why.",
    },
    "Share": {
        "push-to-hub": "A run to the Hugging Face hub.",
    },
}
COMMANDS = tuple(name for commands in GROUPS.values() for name in commands)

_STOPPED = "genre-classifier: stopped; what was finished is kept"


class LazyGroup(click.Group):
    """Commands found by name: `genre_classifier.cli.<name>` (`_` for `-`) holds a click command called `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the command names, group by group."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command's module, or return None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"genre_classifier.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the line names; for an unknown name, say which command is like it."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            likely = difflib.get_close_matches(args[0], COMMANDS, n=3)
            meant = f" Did you mean {' or '.join(likely)}?" if likely else ""
            raise click.UsageError(f"No such command {args[0]!r}.{meant}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section for each group, a line for each command."""
        for title, commands in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(max(map(len, COMMANDS))), text) for name, text in commands.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--debug", is_flag=True, help="Show the traceback of an error, and what TensorFlow and FFmpeg log.")
@click.version_option(package_name="genre-classifier")
def group(debug: bool) -> None:
    """Tag every frame of a film trailer with six genres, and say how far to trust it.

    \b
    Start with:
      genre-classifier demo
    Your own trailers:
      genre-classifier preprocess trailers/ clips/ --preset small-data
      genre-classifier train clips/ labels.csv runs/a
      genre-classifier tag runs/a new.mp4 --out tags/
      genre-classifier evaluate runs/a clips/ labels.csv --out report/
    """
    show_log()


def main(args: list[str] | None = None) -> None:
    """Run the command line and exit the process."""
    arguments = sys.argv[1:] if args is None else args
    code = 130
    try:
        open_standard_streams()
        with nullcontext() if "--debug" in arguments else native_messages_aside():
            try:
                with reraised_interrupts():
                    code = run(arguments)
            finally:  # nothing is left that Ctrl-C could stop, only a traceback that it could cause
                signal.signal(signal.SIGINT, signal.SIG_IGN)
    except KeyboardInterrupt:
        if "--debug" in arguments:
            raise
        if code == 130:  # it came before the work, or between two lines of this function
            note(_STOPPED)
    finally:
        give_up_stdout()
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run one command in this process and return its exit code; what went wrong stands on stderr in a line.

    Parameters
    ----------
    arguments : list of str
        What would stand after `genre-classifier`, such as `["tag", "runs/mine", "new.mp4", "--out", "tags"]`.

    Returns
    -------
    int
        0 done, 1 the work failed, 2 wrong arguments or unreadable input, 130 stopped with Ctrl-C. With `--debug` among
        the arguments the error is raised instead.
    """
    debug = "--debug" in arguments
    if debug:  # accepted anywhere on the line
        arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        if any(argument == "" or re.fullmatch(r"--[\w-]+=", argument) for argument in arguments):
            raise click.UsageError("an argument is empty; is a variable of the shell not set?")
        result: Any = group.main(arguments, prog_name="genre-classifier", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 2
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        for line in shown.getvalue().splitlines():
            note(line)
        return 2
    except (InputError, WorkError) as error:
        if debug:
            raise
        note(f"genre-classifier: {error}")
        return 2 if isinstance(error, InputError) else 1
    except OSError as error:  # no disk, no handles, no permission, at a place that expects none of it
        if debug:
            raise
        where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        note(f"genre-classifier: {where}{error.strerror or error}; --debug shows where")
        return 1
    except ImportError as error:  # a compiled library that the system, or a limit of memory, does not let in
        if debug or ".so" not in str(error):
            raise
        note(f"genre-classifier: a library could not be loaded: {error}; is it installed, and is there memory for it?")
        return 1
    except (MemoryError, SystemError) as error:  # a SystemError: where a library forgot that there may be no memory
        if debug:
            raise
        note(f"genre-classifier: out of memory{f': {error}' if str(error) else ''}; --debug shows where")
        return 1
    except (KeyboardInterrupt, click.Abort):
        note(_STOPPED)
        return 130
    return result if isinstance(result, int) else 0
