"""What the documents say is what the program does: their Python runs, and their command lines are understood."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from genre_classifier.cli import COMMANDS, group
from tests import options_page
from tests.architecture_page import PAGE, architecture_page

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "data/README.md", "benchmarks/fights.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]


def blocks(language: str) -> list[tuple[str, str]]:
    """Return name of the document and text of every code block in a language."""
    found = []
    for path in DOCUMENTS:
        for text in re.findall(rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S):
            found.append((str(path.relative_to(ROOT)), text))
    return found


def command_lines() -> list[str]:
    """Return every command line of the program in the documents' blocks of shell."""
    lines = []
    for _, text in [*blocks("sh"), *blocks("")]:
        for line in re.sub(r"\\\n\s*", "", text).splitlines():
            for part in line.split("&&"):
                words = part.split("#")[0].strip()
                if re.match(r"(\S*/)?genre-classifier ", words):
                    lines.append(words)
    return lines


def test_the_map_of_the_code_is_that_of_the_code():
    assert PAGE.read_text(encoding="utf-8") == architecture_page(), "python -m tests.architecture_page writes it anew"


def test_the_page_of_options_is_that_of_the_fields():
    assert options_page.PAGE.read_text(encoding="utf-8") == options_page.options_page(), (
        "python -m tests.options_page writes it anew"
    )


def test_every_command_line_is_understood():
    lines = command_lines()
    assert {shlex.split(line)[1] for line in lines} >= {"demo", "preprocess", "train", "tag", "evaluate"}
    for line in lines:
        name, *arguments = shlex.split(line)[1:]
        assert name in COMMANDS, line
        command = group.get_command(click.Context(group), name)
        assert command is not None
        try:
            command.make_context(name, arguments)
        except click.exceptions.Exit:  # --help
            pass
        except click.UsageError as error:
            pytest.fail(f"{line}: {error.format_message()}")


def test_every_block_of_python_runs(tmp_path, monkeypatch):
    from genre_classifier.dataset.synthetic import SyntheticConfig, synthesize

    monkeypatch.chdir(tmp_path)
    synthesize(Path("trailers"), SyntheticConfig(trailers=4, duration=3.0), seed=1)
    Path("trailers/labels.csv").rename("labels.csv")
    Path("new_trailer.mp4").write_bytes(Path("trailers/trailer_001.mp4").read_bytes())
    found = blocks("python")
    assert len(found) >= 2
    names: dict[str, object] = {}  # one block may go on with what another made
    for document, text in found:
        exec(compile(text, document, "exec"), names)
