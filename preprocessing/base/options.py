"""Options: one field of a frozen dataclass says name, type, bounds, default, unit and meaning, once.

From it come the checks and the JSON form (pydantic does both), the messages, the options of the command line with their
help, and docs/options.md.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Self, dataclass_transform, get_type_hints

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from pydantic.fields import FieldInfo

from preprocessing.base.errors import InputError
from preprocessing.base.files import abbreviated_repr

LARGEST = 2**32  # what is not below it fits into no library's 32 bits
_CHECKS = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
_TYPES = {"integer": int, "number": float, "boolean": bool, "string": str}  # by their names in a JSON schema
_LIMITS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
_KINDS: dict[Any, tuple[str, str]] = {  # of one value, and of several
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    bool: ("true or false", "true or false"),
    str: ("text", "texts"),
}


def option(meaning: str, *, unit: str = "", group: str = "", **limits: Any) -> Any:
    """Describe a field inside `Annotated`.

    Parameters
    ----------
    meaning : str
        What it is or does; the help text.
    unit : str
        Of a number, in the plural.
    group : str
        Heading in the help under which the option stands.
    **limits
        Of the values, as `pydantic.Field` takes them: ge, gt, le, lt, min_length.
    """
    return Field(description=meaning, json_schema_extra={"unit": unit, "group": group}, **limits)


Count = Annotated[int, Field(ge=1, lt=LARGEST)]
Seed = Annotated[int, Field(ge=0, le=LARGEST - 1)]
Positive = Annotated[float, Field(gt=0, lt=LARGEST)]
NotNegative = Annotated[float, Field(ge=0, lt=LARGEST)]
Share = Annotated[float, Field(ge=0, lt=1)]
Seconds = Annotated[float, Field(ge=0, le=1_000_000)]


class Value:
    """What an annotation says about its values.

    Attributes
    ----------
    kind : type
        Of a value, or of each of several: int, float, bool or str.
    choices : tuple of str
        All that there are; empty where any value within the limits is one.
    several, may_be_none : bool
    words : tuple of str
        Beside numbers: such as auto.
    length : int or None
        Of several: how many there must be.
    limits : dict
        Of a value, or of each of several: ge, gt, le, lt, where there is one.
    meaning, unit, group : str
        See `option`.
    """

    def __init__(self, annotation: Any) -> None:
        self._annotation = annotation
        info = FieldInfo.from_annotation(annotation)
        extra: Any = info.json_schema_extra or {}
        self.meaning, self.unit, self.group = info.description or "", extra.get("unit", ""), extra.get("group", "")
        schema = TypeAdapter(annotation).json_schema()
        parts_of_union = schema.get("anyOf", [schema])
        self.may_be_none = any(part["type"] == "null" for part in parts_of_union)
        self.words: tuple[str, ...] = tuple(part["const"] for part in parts_of_union if "const" in part)
        schema = next(part for part in parts_of_union if part["type"] != "null" and "const" not in part)
        self.several, parts = schema["type"] == "array", schema.get("prefixItems")
        self.length = len(parts) if parts else None
        if self.several:
            schema = parts[0] if parts else schema["items"]
        self.choices: tuple[str, ...] = tuple(schema.get("enum", ()))
        self.kind: Any = _TYPES[schema["type"]]
        self.limits: dict[str, Any] = {name: schema[long] for name, long in _LIMITS.items() if long in schema}

    def bounds(self, *, found: Any = None) -> str:
        """Return the limits in words and the unit; that of all numbers only where the value found is not below it."""
        low, above, high, below = (self.limits.get(name) for name in ("ge", "gt", "le", "lt"))
        if high is not None or (below == LARGEST and not _is_large(found)):
            below = None
        if low is not None and high is not None:
            words = f"from {low} to {high}"
        else:
            parts = (("at least", low), ("above", above), ("at most", high), ("below", below))
            words = " and ".join(f"{word} {limit}" for word, limit in parts if limit is not None)
        unit = self.unit.removesuffix("s") if words.endswith(" 1") else self.unit
        return f"{words} {unit}".strip()

    def described(self) -> str:
        """Return in words what a value may be: "a whole number from 1 to 31 pixels"."""
        if self.choices:
            words = f"one of {', '.join(self.choices)}"
        else:
            bounds = self.bounds()
            link = " of " if bounds.startswith("at ") else " "
            words = f"{self.length or ''} {_KINDS[self.kind][self.several]}{link if bounds else ''}{bounds}".strip()
        others = [*self.words, *["none"] * self.may_be_none]
        return f"{words}, or {' or '.join(others)}" if others else words

    def parse(self, text: str) -> Any:
        """Turn what was typed into a value, None for the word none; other words stay.

        Raises
        ------
        ValueError
            Without a message: if the text is not such a value.
        """
        if self.may_be_none and text.lower() == "none":
            return None
        if text.lower() in self.words:
            return text.lower()
        return tuple(self.kind(part) for part in text.split(",")) if self.several else self.kind(text)

    def check(self, value: Any, name: str) -> None:
        """Refuse, with InputError, a value that a field of this annotation does not take."""
        try:
            TypeAdapter(self._annotation, config=_CHECKS).validate_python(value)
        except ValidationError as error:
            raise InputError(self.refusal(name, error.errors()[0])) from error

    def refusal(self, name: str, error: Mapping[str, Any]) -> str:
        """Return what pydantic found wrong with a value as a line in our words."""
        kind, found = error["type"], error["input"]
        if kind == "too_short" and not found:
            return f"{name} must hold at least one value; got none"
        if kind.startswith(("greater_", "less_", "finite_")):
            each = "each be" if self.several else "be"
            return f"{name} must {each} {self.bounds(found=found)}, got {abbreviated_repr(found)}"
        return f"{name} must be {self.described()}; got {abbreviated_repr(found)}"


def require(condition: bool, message: str) -> None:
    """Raise InputError unless a condition holds: for what several fields must be to each other."""
    if not condition:
        raise InputError(message)


def _is_large(found: Any) -> bool:
    return isinstance(found, int | float) and not abs(found) < LARGEST


@dataclass_transform(frozen_default=True, field_specifiers=(Field,))
class Options:
    """Base of all configurations: each subclass becomes a frozen dataclass, checked when it is made.

    Its fields are annotated with `Annotated[type, option(...)]`; what no single field can say is checked in a
    `__post_init__` of the subclass.

    Raises
    ------
    InputError
        In one line, for a name, a type or a value that is not allowed.
    """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        dataclass(cls, frozen=True, config=_CHECKS)
        checked = cls.__init__

        @functools.wraps(checked)
        def init(self: Any, *args: Any, **fields: Any) -> None:
            try:
                checked(self, *args, **fields)
            except ValidationError as error:
                raise InputError(_refusal(cls, error)) from error

        cls.__init__ = init  # type: ignore[method-assign]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types (tuples become lists)."""
        fields: dict[str, Any] = TypeAdapter(type(self)).dump_python(self, mode="json")
        return fields

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Rebuild from `to_dict`; a field that is missing has its default.

        Raises
        ------
        InputError
            For a field that this version does not know, and for a value that is not allowed.
        """
        if not isinstance(fields, Mapping):
            raise InputError(f"{cls.__name__}: expected options by name, found {abbreviated_repr(fields)}")
        return cls(**fields)


def values_of(config_class: Any) -> Mapping[str, Value]:
    """Return the description of each field of a configuration class, by name."""
    return _values_of(config_class)


@functools.cache  # a description takes milliseconds to make
def _values_of(config_class: Any) -> Mapping[str, Value]:
    hints = get_type_hints(config_class, include_extras=True)
    return MappingProxyType({field.name: Value(hints[field.name]) for field in dataclasses.fields(config_class)})


def _refusal(config_class: type[Options], error: ValidationError) -> str:
    """Return the first thing that is wrong in our words, one line."""
    first, values = error.errors()[0], values_of(config_class)
    if "error" in first.get("ctx", {}):
        return str(first["ctx"]["error"])  # what `__post_init__` said
    place = first["loc"][0]
    if isinstance(place, int) and place >= len(values):
        return f"{config_class.__name__}: expected at most {len(values)} options, got more"
    name = [*values][place] if isinstance(place, int) else place
    if name not in values:
        unknown = sorted(str(one["loc"][0]) for one in error.errors() if one["type"] == "unexpected_keyword_argument")
        found = f"{config_class.__name__}: options {abbreviated_repr(unknown)} are not known to this version"
        return f"{found}; expected {sorted(values)}"
    return values[name].refusal(name, first)
