"""Command-line options made from a configuration dataclass: names, types, defaults and help stand there alone."""

from __future__ import annotations

import dataclasses
import math
import re
import types
from collections.abc import Callable, Collection
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import click

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

NONE = object()  # an option was given the word none


class IntegerList(click.ParamType):
    """Whole numbers with commas between, such as 20,10."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Turn the text into a tuple."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(int(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"expected whole numbers with commas between, such as 20,10; found {value!r}", param, ctx)


class FiniteRange(click.FloatRange):
    """A number within limits; never NaN, which is neither below nor above any."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Turn the text into a number."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is no finite number.", param, ctx)
        return number


MOST = 1_000_000  # of what is counted: more is a slip
SECONDS = FiniteRange(0, 1_000_000, min_open=True)


class OrNone(click.ParamType):
    """A value of another type, or the word none; it arrives as `NONE`, since None says that nothing was given."""

    def __init__(self, inner: Any) -> None:
        self._inner = click.types.convert_type(inner)
        self.name = f"{self._inner.name}|none"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Turn the text into the value, or into `NONE`."""
        if value is NONE or str(value).lower() == "none":
            return NONE
        return self._inner.convert(value, param, ctx)


def attribute_help(config_class: type) -> dict[str, str]:
    """Return the description of each attribute in a class's numpydoc docstring."""
    text = re.split(r"Attributes\n\s*-+\n", config_class.__doc__ or "", maxsplit=1)[-1]
    found: dict[str, str] = {}
    names: list[str] = []
    for line in text.splitlines():
        if header := re.match(r" {4}(\w[\w, ]*) : ", line):
            names = [name.strip() for name in header[1].split(",")]
        elif line.startswith(" " * 8):
            for name in names:
                found[name] = f"{found.get(name, '')} {line.strip()}".strip()
    return found


def _click_type(hint: Any) -> Any:
    if get_origin(hint) is Literal:
        return click.Choice(get_args(hint))
    if get_origin(hint) is tuple:
        return IntegerList()
    if get_origin(hint) in (Union, types.UnionType):
        return OrNone(_click_type(next(part for part in get_args(hint) if part is not type(None))))
    return hint


def config_options(config_class: Any, *, leave_out: Collection[str] = ()) -> Callable[[CommandT], CommandT]:
    """Add an option for each field of a configuration to a click command.

    An option that is not given arrives as None, so that the command can tell it from one that is: `given` drops those.
    """
    hints, texts = get_type_hints(config_class), attribute_help(config_class)

    def decorate(command: CommandT) -> CommandT:
        for field in reversed(dataclasses.fields(config_class)):
            if field.name in leave_out:
                continue
            flag = f"--{field.name.replace('_', '-')}"
            default = field.default
            if isinstance(default, tuple):
                default = ",".join(str(part) for part in default)
            text = texts.get(field.name, "")  # `python -OO` has none
            if not isinstance(default, bool):
                text += f"  [default: {'none' if default is None else default}]"
            if hints[field.name] is bool:
                option = click.option(f"{flag}/--no-{flag[2:]}", default=None, help=text)
            else:
                option = click.option(flag, type=_click_type(hints[field.name]), default=None, help=text)
            command = option(command)
        return command

    return decorate


def given(options: dict[str, Any], config_class: Any) -> dict[str, Any]:
    """Return the options that belong to a configuration and were given on the command line; none becomes None."""
    names = {field.name for field in dataclasses.fields(config_class)}
    return {
        name: None if value is NONE else value for name, value in options.items() if name in names and value is not None
    }
