"""Every message of the program, from its source: `python -m tests.support.messages` prints them to be read."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
ERRORS = {"InputError", "WorkError", "MissingExtraError", "UsageError", "BadParameter", "BadOptionUsage"}
LOGGED = {"warning", "error", "note"}


class Message(NamedTuple):
    """Where it stands, what it is (the name of what is called), and its words, with the code of each gap in braces."""

    place: str
    kind: str
    words: str


def messages() -> list[Message]:
    """Return all that are raised as an error, logged as a warning or printed as a note."""
    found = []
    for package in ("preprocessing", "genre_classifier"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and node.args:
                    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                    if name in ERRORS | LOGGED and (words := _words(node.args[0])):
                        found.append(Message(f"{path.relative_to(ROOT)}:{node.lineno}", name, words))
    return found


def _words(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            part.value if isinstance(part, ast.Constant) else f"{{{ast.unparse(part.value)}}}"  # type: ignore[attr-defined]
            for part in node.values
        )
    if isinstance(node, ast.BinOp):
        return _words(node.left) + (_words(node.right) or "{...}")
    return ""


if __name__ == "__main__":
    sys.stdout.writelines(f"{one.place} {one.kind}\n    {one.words}\n" for one in messages())
