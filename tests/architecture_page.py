"""docs/architecture.md, made from the first lines of the modules: `python -m tests.architecture_page` writes it."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
HEAD = """# The code

Made by `python -m tests.architecture_page` from the first lines of the modules. Imports go one way: the command line ->
training, tagging, evaluation -> run folder, network, data set -> configuration, metrics, genres -> `preprocessing`,
which knows no Keras. `genre-classifier --help` imports no TensorFlow. `templates/` holds the pages, `tests/` a file for
each module, `benchmarks/` what measures speed, memory and learning.
"""
FOLDERS = {
    "preprocessing": "Videos to clips",
    "genre_classifier": "Genres, labels, network, training, tagging",
    "genre_classifier/tags": "The tags folder",
    "genre_classifier/evaluation": "Evaluation",
    "genre_classifier/squares": "The moving-squares companion",
    "genre_classifier/cli": "The command line",
    "benchmarks": "Benchmarks",
}


def first_line(path: Path) -> str:
    """Return the first line of a module's docstring."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].replace("|", "\\|")


def architecture_page() -> str:
    """Return the text of the page."""
    parts = [HEAD]
    for folder, title in FOLDERS.items():
        rows = [
            f"| `{path.name}` | {line} |" for path in sorted((ROOT / folder).glob("*.py")) if (line := first_line(path))
        ]
        parts.append(f"## {title} (`{folder}/`)\n\n| File | What is in it |\n| --- | --- |\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(architecture_page(), encoding="utf-8")
