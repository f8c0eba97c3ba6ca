"""docs/architecture.md, made from docstrings and imports: `python -m tests.support.architecture_page` writes it."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "architecture.md"
ROOMS = {  # from the top; nothing imports from a room above its own
    "genre_classifier/cli": "The command line",
    "genre_classifier/evaluation": "Evaluation",
    "genre_classifier/evaluation/suggestions": "Suggestions",
    "genre_classifier/exports": "Exports",
    "genre_classifier/training": "Training",
    "genre_classifier/tagging": "Tagging",
    "genre_classifier/moving_squares": "The moving-squares companion",
    "genre_classifier/run_folder": "The run folder",
    "genre_classifier/dataset": "Training data",
    "genre_classifier/network": "The network",
    "genre_classifier/metrics": "Metrics",
    "genre_classifier/config": "The options",
    "genre_classifier": "What all of them share",
    "preprocessing": "Videos to clips",
    "preprocessing/processes": "Processes",
    "preprocessing/base": "The disk and the words",
    "benchmarks": "Benchmarks",
}
# What a room is called in the drawing: its folder. Benchmarks stand outside, and everybody reads what all share.
NAMES = {folder: folder.rpartition("/")[2] for folder in ROOMS if folder not in ("genre_classifier", "benchmarks")}
HEAD = """# The code

Read [how a frame becomes a score](how-a-frame-becomes-a-score.md) first: it goes through the main files in order.

This page is the list of all files. `python -m tests.support.architecture_page` makes it from docstrings and imports.
`genre_classifier/templates/` holds the pages, `tests/` a folder for each room, `benchmarks/` what measures speed,
memory and learning.

## The way of the data

```mermaid
flowchart LR
    videos[(videos)] --> preprocessing --> clips[(clips folder)] --> dataset
    labels[(label file)] --> dataset --> training
    network --> training --> run[(run folder)]
    run --> tagging
    video[(a new video)] --> preprocessing --> tagging --> tags[(tags folder)]
    tags --> exports
    run --> evaluation
    clips --> evaluation
    labels --> evaluation --> report[(report folder)]
    metrics --> evaluation
```

## The rooms

An arrow is an import. They go down only, and `lint-imports` (its contracts are in `pyproject.toml`) keeps it so:
`preprocessing` knows no Keras, `metrics` are functions over arrays, no two modules import each other.
`genre-classifier --help` imports no TensorFlow: the command line imports what is heavy when a command needs it.
`genres.py` and `config/`, which every room reads, are left out of the drawing.
"""


def first_line(path: Path) -> str:
    """Return the first line of a module's docstring."""
    return docstring(path).partition("\n")[0].replace("|", "\\|")


def docstring(path: Path) -> str:
    """Return a module's docstring."""
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def room_of(module: str) -> str | None:
    """Return the name of the room of a module of the project, None for any other and for what all rooms share."""
    parts = module.split(".")
    for length in (3, 2, 1):
        if (
            len(parts) >= length
            and (folder := "/".join(parts[:length])) in NAMES
            and folder != "genre_classifier/config"
        ):
            return NAMES[folder]
    return None


def imports(path: Path) -> set[str]:
    """Return the modules that a module names in its import statements, wherever these stand."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def arrows() -> set[tuple[str, str]]:
    """Return each pair of rooms of which the first imports from the second."""
    found = set()
    for folder, room in NAMES.items():
        for path in (ROOT / folder).glob("*.py"):
            found |= {(room, other) for module in imports(path) if (other := room_of(module)) not in (None, room)}
    return found


def rooms_drawing() -> str:
    """Return the drawing of the rooms and of who imports whom."""
    lines = [f"    {one} --> {other}" for one, other in sorted(arrows())]
    return "\n".join(["```mermaid", "flowchart TD", *lines, "```", ""])


def table(folder: str, title: str) -> str:
    """Return the section of a room: what it is for, and its files."""
    paths = sorted((ROOT / folder).glob("*.py"))
    about = docstring(ROOT / folder / "__init__.py") if folder != "genre_classifier" else ""
    rows = [
        f"| `{path.name}` | {line} |" for path in paths if path.name != "__init__.py" and (line := first_line(path))
    ]
    return "\n".join(
        [
            f"### {title} (`{folder}/`)",
            *(["", about] if about else []),
            "",
            "| File | What is in it |",
            "| --- | --- |",
            *rows,
            "",
        ]
    )


def architecture_page() -> str:
    """Return the text of the page."""
    return "\n".join([HEAD, rooms_drawing(), *(table(folder, title) for folder, title in ROOMS.items())])


if __name__ == "__main__":
    PAGE.write_text(architecture_page(), encoding="utf-8")
