"""docs/options.md, made from the commands and the configurations: `python -m tests.support.options_page`."""

from __future__ import annotations

from typing import Any

import click

import genre_classifier
from genre_classifier.cli import COMMANDS, group
from genre_classifier.cli.config_options import ValueOption, as_typed, grouped
from genre_classifier.moving_squares import config
from tests.support.architecture_page import ROOT

PAGE = ROOT / "docs" / "options.md"
PRESETS = {
    "preprocess": {name: vars(preset.clips) for name, preset in genre_classifier.PRESETS.items()},
    "train": {
        name: {**vars(preset.model), **vars(preset.training)} for name, preset in genre_classifier.PRESETS.items()
    },
    "squares": {name: vars(config) for name, config in config.PRESETS.items()},
}
HEAD = """# Options

Made by `python -m tests.support.options_page` from the fields of the configurations, which are the only home of their
names, bounds, defaults and meanings. Type `none` as it is. `--no-` before the name of an on-or-off option turns it off.
"""


def cell(text: str) -> str:
    """Return text for a cell of a table."""
    return " ".join(text.replace("|", "\\|").split())


def row(option: click.Option, context: click.Context) -> str:
    """Return the line of one option: its name, what it takes, its default, what it means."""
    extra, record = option.get_help_extra(context), option.get_help_record(context)
    assert record is not None
    if option.is_flag:
        takes = "on or off" if option.secondary_opts else ""
    elif isinstance(option, ValueOption):
        takes = option.value.described()
    else:
        takes = option.make_metavar(context).strip("[]").replace("|", ", ").lower().replace("path", "a path")
        takes = f"one of {takes}" if isinstance(option.type, click.Choice) else takes
    default = "required" if option.required else extra.get("default", "")
    if isinstance(option, ValueOption) and "default" in extra:
        default = as_typed(option.default)  # its unit stands in the column before
    return f"| `{option.opts[0]}` | {cell(takes)} | {cell(default)} | {cell(option.help or '')} |"


def presets_table(presets: dict[str, dict[str, Any]]) -> list[str]:
    """Return the lines on what each preset sets: the options in which they differ."""
    names, (first, *others) = list(presets), presets.values()
    rows = [
        f"| `--{option.replace('_', '-')}` | {' | '.join(as_typed(preset[option]) for preset in presets.values())} |"
        for option, value in first.items()
        if any(other[option] != value for other in others)
    ]
    return [
        "### What the presets set",
        "",
        f"| Option | {' | '.join(names)} |",
        "| --- " * (1 + len(names)) + "|",
        *rows,
        "",
    ]


def section(name: str) -> str:
    """Return the section of one command."""
    command = group.get_command(click.Context(group), name)
    assert command is not None
    context = click.Context(command, info_name=f"genre-classifier {name}")
    lines = [f"## {name}", "", f"    {command.get_usage(context).removeprefix('Usage: ')}", ""]
    for title, options in grouped(command.params).items():
        lines += [*([f"### {title}", ""] if title else []), "| Option | Takes | Default | Meaning |"]
        lines += ["| --- | --- | --- | --- |", *[row(option, context) for option in options], ""]
    if name in PRESETS:
        lines += presets_table(PRESETS[name])
    return "\n".join(lines)


def options_page() -> str:
    """Return the text of the page."""
    return "\n".join([HEAD, *map(section, COMMANDS)])


if __name__ == "__main__":
    PAGE.write_text(options_page(), encoding="utf-8")
