"""Command-line options made from annotated fields: names, types, bounds, defaults and help stand there alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from genre_classifier.run_folder.layout import HUB
from preprocessing.base.errors import InputError
from preprocessing.base.files import abbreviated_repr
from preprocessing.base.options import Options, Value, values_of
from preprocessing.config import Jobs

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

_COLUMN = 30  # of the help: the text of a longer option begins on the next line, as everywhere in click
_METAVARS = {int: "integer", float: "float", str: "text"}


class GroupedOption(click.Option):
    """An option under a heading of its own in the help: `click.option(..., cls=GroupedOption, group="Labels")`."""

    def __init__(self, *args: Any, group: str = "", **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.group = group


def grouped(parameters: Iterable[click.Parameter]) -> dict[str, list[click.Option]]:
    """Return options by heading, in the order in which the headings appear; those without one come first, under ""."""
    groups: dict[str, list[click.Option]] = {"": []}
    for parameter in parameters:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            groups.setdefault(getattr(parameter, "group", ""), []).append(parameter)
    return groups


_ALL = f"{__name__}.all"


class GroupedCommand(click.Command):
    """A command whose help shows its options group by group.

    Parameters
    ----------
    brief : collection of str, optional
        Parameters that `--help` shows, where there are too many to read; `--help-all` shows the others too.
    """

    def __init__(self, *args: Any, brief: Collection[str] = (), **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.brief = brief

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the parameters, and the options that show help."""
        parameters = super().get_params(ctx)
        if not self.brief:
            return parameters
        show = click.Option(
            ["--help-all"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_show_all,
            help=f"Show all {len(self.params)} arguments and options.",
        )
        return [*parameters, show]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section for each group, all with the same columns."""
        shown = self.get_params(ctx)
        if self.brief and _ALL not in ctx.meta:
            shown = [one for one in shown if one.name in self.brief or one not in self.params]
        sections = {
            title: records
            for title, options in grouped(shown).items()
            if (records := [record for option in options if (record := option.get_help_record(ctx))])
        }
        widest = max(len(names) for records in sections.values() for names, _ in records)
        for title, records in sections.items():
            with formatter.section(title or "Options"):
                formatter.write_dl([(names.ljust(min(widest, _COLUMN)), text) for names, text in records])


def _show_all(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        ctx.meta[_ALL] = True
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()


class ValueType(click.ParamType):
    """Text for an annotated value; what the annotation does not allow is refused in a line with the option's name."""

    def __init__(self, value: Value) -> None:
        self.value = value
        if value.choices:
            self.name = f"[{'|'.join(value.choices)}]"
        elif value.several:
            self.name = "numbers"
        else:
            self.name = value.unit if value.unit.isalpha() else _METAVARS[value.kind]
        self.name = "|".join([self.name, *value.words, *["none"] * value.may_be_none])

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Return what stands for the value in the help; choices as they are typed."""
        return self.name if self.value.choices else self.name.upper()

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Turn the text into a value."""
        if not isinstance(value, str):  # a default
            return value
        name = param.opts[-1] if param else self.name
        try:
            parsed = self.value.parse(value)
        except ValueError:
            commas = ", with commas between" if self.value.several else ""
            raise InputError(
                f"{name} must be {self.value.described()}{commas}; got {abbreviated_repr(value)}"
            ) from None
        self.value.check(parsed, name)
        return parsed

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Offer the choices that begin with what is typed."""
        return [
            CompletionItem(choice)
            for choice in (*self.value.choices, *self.value.words)
            if choice.startswith(incomplete)
        ]


class ValueOption(GroupedOption):
    """An option for an annotated value, with the default that its command falls back to."""

    def __init__(self, *args: Any, value: Value, **attributes: Any) -> None:
        self.value = value
        super().__init__(*args, help=value.meaning, **attributes)

    def get_help_extra(self, ctx: click.Context) -> Any:
        """Return what the help says in brackets: the default, and a unit of several words."""
        extra, unit = super().get_help_extra(ctx), self.value.unit
        if self.default is not None or self.value.may_be_none:
            extra["default"] = as_typed(self.default)
            if " " in unit:
                extra["default"] += f"; a number is in {unit}" if self.default is None else f" {unit}"
        return extra


def as_typed(value: Any) -> str:
    """Return a value as the command line takes it, and what is true or false as on or off."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "none" if value is None else str(value)


def value_option(
    flag: str, annotation: Any, *, default: Any, name: str | None = None, group: str | None = None
) -> Callable[[CommandT], CommandT]:
    """Add an option for an annotated value to a click command; it arrives as the default where it is not given.

    Parameters
    ----------
    flag : str
        Such as "--seed".
    annotation
        An `Annotated` type with an `option` in it, or a `Value`.
    default
    name : str, optional
        Of the command's parameter, where the flag does not say it.
    group : str, optional
        Heading in the help, where it is not that of the annotation.
    """
    value = annotation if isinstance(annotation, Value) else Value(annotation)
    declarations = [flag, name or flag[2:].replace("-", "_")]
    attributes: dict[str, Any] = {}
    if value.kind is bool:
        declarations[0] = f"{flag}/--no-{flag[2:]}"
    elif value.kind is not str or value.choices or value.may_be_none:
        attributes["type"] = ValueType(value)
    return click.option(
        *declarations,
        cls=ValueOption,
        default=default,
        value=value,
        group=value.group if group is None else group,
        **attributes,
    )


def sharing_options(command: CommandT) -> CommandT:
    """Add --jobs and --scheduler, which every stage has whose work is shared out among processes."""
    scheduler = click.option("--scheduler", metavar="ADDRESS", help="Work on a Dask cluster, tcp://host:port.")
    return value_option("--jobs", Jobs, default=None)(scheduler(command))


def config_options(
    base: Options,
    *,
    only: Collection[str] = (),
    leave_out: Collection[str] = (),
    flags: Mapping[str, str] | None = None,
    group: str | None = None,
) -> Callable[[CommandT], CommandT]:
    """Add an option for each field of a configuration to a click command.

    Parameters
    ----------
    base : Options
        Its values are shown as the defaults.
    only, leave_out : collection of str
        Fields that become options, all of them if none is named; fields that do not.
    flags : mapping of str to str, optional
        Field to flag, where the flag is not the field's name.
    group : str, optional
        Heading of all of them in the help, where it is not that of the fields.
    """
    values, own = values_of(type(base)), type(base).__annotations__
    names = sorted(values, key=lambda name: name not in own)  # what is inherited comes last

    def decorate(command: CommandT) -> CommandT:
        for name in reversed(names):
            if name in (only or values) and name not in leave_out:
                flag, default = (flags or {}).get(name, f"--{name.replace('_', '-')}"), getattr(base, name)
                command = value_option(flag, values[name], default=default, name=name, group=group)(command)
        return command

    return decorate


def is_given(name: str) -> bool:
    """Return whether a parameter of the running command stands on the command line."""
    return click.get_current_context().get_parameter_source(name) is not ParameterSource.DEFAULT


def require_use(name: str, used: bool, *, by: str) -> None:
    """Refuse an option that stands on the command line and has no use there.

    Parameters
    ----------
    name : str
        Of the parameter.
    used : bool
        Whether the rest of the command line has a use for it.
    by : str
        What would have one, such as "--to iiif".

    Raises
    ------
    click.UsageError
    """
    if is_given(name) and not used:
        (flag,) = (one.opts[0] for one in click.get_current_context().command.params if one.name == name)
        raise click.UsageError(f"{flag} does nothing without {by}: leave it out")


def given(options: Mapping[str, Any], config_class: type[Options]) -> dict[str, Any]:
    """Return those of a command's options that belong to a configuration and stand on the command line."""
    names = values_of(config_class)
    return {name: value for name, value in options.items() if name in names and is_given(name)}


class RunPath(click.Path):
    """A path; what an address leads to is fetched, and becomes the path of its copy."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Turn the text into a path."""
        if isinstance(value, str) and value.startswith(HUB):
            from genre_classifier.run_folder.hub import fetch_run

            return fetch_run(value)
        return super().convert(value, param, ctx)
