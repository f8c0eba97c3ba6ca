"""JSON files whose content is a type: what does not fit is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from preprocessing.base.errors import InputError
from preprocessing.base.files import abbreviated_repr, read_document, read_json

KindT = TypeVar("KindT")


def read_as(path: Path, kind: type[KindT], expected: str, *, schema: int | None = None, remedy: str = "") -> KindT:
    """Read a JSON file as a type.

    Parameters
    ----------
    path : Path
    kind : type
        A dataclass, a TypedDict, or what else pydantic checks; what the file holds beside its fields is passed over.
    expected : str
        For the message: what the file should be.
    schema, remedy
        As for `preprocessing.base.files.read_document`, where the file has a schema number.

    Raises
    ------
    InputError
        If it cannot be read, or its content is not of this type. The line says where in the file, and what was found.
    """
    document = read_json(path, expected) if schema is None else read_document(path, schema, expected, remedy)
    return parse_as(path, document, kind, expected)


def parse_as(path: Path, document: Any, kind: type[KindT], expected: str) -> KindT:
    """Return the content of a JSON file as a type: see `read_as`."""
    try:
        # By way of text: in JSON a list is a tuple, and an object is a dataclass, where all else is checked strictly.
        return TypeAdapter(kind).validate_json(json.dumps(document), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if "error" in first.get("ctx", {}):
            raise InputError(f"{path}: {first['ctx']['error']}") from error  # the words of a validator of ours
        found = "nothing" if first["type"] == "missing" else abbreviated_repr(first["input"])
        place = ".".join(map(str, first["loc"]))
        where = f" as {abbreviated_repr(place)}" if place else ""
        reason = first["msg"][0].lower() + first["msg"][1:]
        raise InputError(f"{path}: expected {expected}, found {found}{where} ({reason})") from error
