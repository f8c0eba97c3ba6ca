"""What the documents say is what the program does: their Python runs, and their command lines are understood."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import re
import shlex
import shutil
import tomllib
from collections.abc import Sequence
from pathlib import Path

import click
import pandas as pd
import pytest

from genre_classifier import cli
from genre_classifier.cli import COMMANDS, group
from genre_classifier.config import PRESETS, ModelConfig
from genre_classifier.genres import GENRES
from preprocessing.clips import read_clip_preset
from tests.support import options_page
from tests.support.architecture_page import NAMES, PAGE, architecture_page, arrows
from tests.support.messages import ERRORS, messages
from tests.support.tiny_encoder import write_encoder

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [
    *(
        ROOT / name
        for name in (
            "README.md",
            "CONTRIBUTING.md",
            "CHANGELOG.md",
            "SECURITY.md",
            "data/README.md",
            "benchmarks/fights.md",
        )
    ),
    *sorted((ROOT / "docs").rglob("*.md")),
]
TUTORIAL = ROOT / "docs" / "tutorial.md"
SMALLER = {  # what the tutorial's commands are given here beside what they say
    "synthesize": "--trailers 6 --duration 3",
    "preprocess": "--fps 4 --size 16",
    # One shape of batches: each is traced.
    "train": "--epochs 1 --trunk-filters 2,2 --branch-filters 2 --dense-units 4 --crop-frames 4 --batch-size 6",
    "tag": "--jobs 1",  # a process that is started takes longer than the work
    "evaluate": "--draws 5 --jobs 1",
    "suggest": "--jobs 1",
}


def blocks(language: str) -> list[tuple[str, str]]:
    """Return name of the document and text of every code block in a language."""
    found = []
    for path in DOCUMENTS:
        for name, text in re.findall(r"^```(\w*)\n(.*?)^```$", path.read_text(encoding="utf-8"), re.M | re.S):
            if name == language:
                found.append((str(path.relative_to(ROOT)), text))
    return found


def command_lines(document: Path | None = None) -> list[str]:
    """Return every command line of the program in the blocks of shell of one document, or of all."""
    lines = []
    for name, text in [*blocks("sh"), *blocks("")]:
        if document and name != str(document.relative_to(ROOT)):
            continue
        for line in re.sub(r"\\\n\s*", "", text).splitlines():
            for part in line.split("&&"):
                words = part.split("#")[0].strip()
                if re.match(r"(\S*/)?genre-classifier ", words):
                    lines.append(words)
    return lines


def test_the_map_of_the_code_is_that_of_the_code():
    assert PAGE.read_text(encoding="utf-8") == architecture_page(), (
        "python -m tests.support.architecture_page writes it anew"
    )


def test_rooms_and_arrows_do_not_grow():
    packages = {
        path.parent for name in ("genre_classifier", "preprocessing") for path in (ROOT / name).rglob("__init__.py")
    }
    assert {str(path.relative_to(ROOT)) for path in packages} == {*NAMES, "genre_classifier"}
    # More of either needs a reason; where one becomes fewer, so does its number here.
    assert len(NAMES) <= 15
    assert len(arrows()) <= 64


def test_every_error_says_what_was_expected_or_what_to_do():
    errors = [message for message in messages() if message.kind in ERRORS and message.words != "stopped"]
    assert len(errors) > 200
    says = re.compile(
        r"expected|must|needs? |could not|cannot|asked|does not fit"  # what was expected
        r"|Missing argument|No such command"
        r"|(; |: |\()(.* )?(use|give|leave|choose|resume|run again|is a variable|a smaller|no chunk)"  # what to do
        r"|\{[^}]*(error|reason|failed|busy|message)|: stopped"  # the words of another error, of `busy`, or of Ctrl-C
    )
    assert [message for message in errors if not says.search(message.words)] == []


def test_the_page_of_options_is_that_of_the_fields():
    assert options_page.PAGE.read_text(encoding="utf-8") == options_page.options_page(), (
        "python -m tests.support.options_page writes it anew"
    )


def test_every_command_line_is_understood(monkeypatch):
    monkeypatch.setattr("genre_classifier.run_folder.hub.fetch_run", Path)  # asks nobody
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


def anchors(text: str) -> set[str]:
    """Return the names that a code host gives to the titles of a document."""
    titles = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document):
    text = re.sub(r"^```.*?^```$", "", document.read_text(encoding="utf-8"), flags=re.M | re.S)
    for target, anchor in re.findall(r"\]\(([^)\s#]*)(?:#([^)\s]+))?\)", text):
        if re.match(r"\w+:", target):
            continue
        path = document if not target else (document.parent / target).resolve()
        assert path.is_file(), f"{target} is no file"
        assert not anchor or anchor in anchors(path.read_text(encoding="utf-8")), f"{target}#{anchor}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_source_file_that_is_named_is_there(document):
    named = re.findall(
        r"`((?:genre_classifier|preprocessing|tests|benchmarks|docs)/[\w/]+\.\w+)`",
        document.read_text(encoding="utf-8"),
    )
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_the_first_screen_answers_the_five_questions():
    first = (ROOT / "README.md").read_text(encoding="utf-8").partition("## ")[0]
    questions = re.findall(r"\[([^]]+\?)\]", first)
    assert len(questions) == 5


def smaller(name: str, words: Sequence[str]) -> list[str]:
    """Return what a command is given here beside what its document says."""
    if name == "train" and ("--resume" in words or "--from" in words):  # with the network as it is
        return ["--epochs", "2"]
    if name == "tag" and "--again" in words:  # which computes nothing
        return []
    few = ""
    if name == "train":
        few = "--min-trailers 1" if "auto" in words else "" if "--genres" in words else "--genres comedy,action"
    return [*SMALLER.get(name, "").split(), *few.split()]


class Commands:
    """Runs commands, each training once: for the same options, clips and labels the run is copied afterwards."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, name: str, *arguments: str) -> int:
        """Run a command; return its exit code."""
        if name != "train" or "--resume" in arguments:
            return cli.run([name, *arguments])
        clips, labels, run, *options = arguments
        key = hashlib.sha256(repr(options).encode())
        for path in (*sorted(Path(clips).glob("*.npy")), Path(clips) / "preprocessing.json", Path(labels)):
            key.update(path.read_bytes())
        kept = self.folder / key.hexdigest()
        code = 0 if kept.exists() else cli.run([name, clips, labels, str(kept), *options])
        if code == 0:
            shutil.copytree(kept, run)
        return code


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    return Commands(tmp_path_factory.mktemp("trained"))


@pytest.mark.slow
def test_the_tutorial_runs(commands, tmp_path, monkeypatch):
    pytest.importorskip("opentimelineio", reason="the tutorial ends with an export")
    monkeypatch.chdir(tmp_path)
    lines = command_lines(TUTORIAL)
    assert len(lines) >= 6
    for line in lines:
        name, *arguments = shlex.split(line)[1:]
        assert commands.run(name, *arguments, *smaller(name, arguments)) == 0, line
    named = re.findall(r"`((?:trailers|clips|runs|tags|report)/[^` ]*)`", TUTORIAL.read_text(encoding="utf-8"))
    assert len(named) >= 6
    assert [path for path in named if not Path(path).exists()] == []


ELSEWHERE = (  # a cluster, several machines, the hub, a pretrained network: tests of their own
    "--scheduler",
    "--workers",
    "hf://",
    "push-to-hub",
    "--encoder",
    "--sound-encoder",
    "genre-classifier demo",
)


RUN_ELSEWHERE = (TUTORIAL, ROOT / "docs" / "own-genres.md")  # above, and in test_own_genres


@pytest.fixture(scope="module")
def workshop(commands, tmp_path_factory):
    """Return a folder with what the documents' commands take: trailers, clips, labels, a run and tags."""
    for module in ("opentimelineio", "mmif", "tf2onnx"):
        pytest.importorskip(module, reason="some of the commands export")
    folder = tmp_path_factory.mktemp("workshop")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for line in (
            "synthesize trailers --seed 1",  # and its trainings, as in the tutorial
            "preprocess trailers clips --preset small-data",
            "train clips trailers/labels.csv runs/mine",
            "tag runs/mine trailers --out tags",
            "evaluate runs/mine clips trailers/labels.csv --out report",
        ):
            name, *arguments = line.split()
            assert commands.run(name, *arguments, *smaller(name, arguments)) == 0, line
        write_encoder(Path("encoder.keras"))
        shutil.copy("trailers/trailer_000.mp4", "new_trailer.mp4")
        labels = pd.read_csv("trailers/labels.csv")
        shutil.copy("trailers/labels.csv", "labels.csv")
        labels[labels["trailer"] > "trailer_001.mp4"].to_csv("labels2.csv", index=False)
        Path("Downloads").mkdir()
        labels[labels["trailer"] == "trailer_000.mp4"].to_csv("Downloads/trailer_000.labels.csv", index=False)
        kinds = ["Comedy|Horror", "Action", "Horror", "Comedy", "Horror", "Action"]
        table = pd.DataFrame({"trailer": sorted(set(labels["trailer"])), "genres": kinds})
        table.to_csv("movielens.csv", index=False)
    return folder


def _matches(word: str) -> list[Path]:
    return list(Path().glob(word)) if "*" in word else []


@pytest.mark.slow
@pytest.mark.parametrize(
    "document", [path for path in DOCUMENTS if path not in RUN_ELSEWHERE], ids=lambda path: str(path.relative_to(ROOT))
)
def test_every_command_of_a_document_runs(workshop, commands, tmp_path, monkeypatch, document):
    lines = [line for line in command_lines(document) if not any(word in line for word in ELSEWHERE)]
    monkeypatch.chdir(shutil.copytree(workshop, tmp_path / "workshop"))
    for line in lines:
        name, *words = shlex.split(line)[1:]
        if name == "--help" or "--help" in words:
            continue
        arguments = [found for word in words for found in (sorted(map(str, _matches(word))) or [word])]
        added = smaller(name, words)
        if name in ("train", "preprocess") and "--resume" not in words:  # a new one
            shutil.rmtree(words[{"train": 2, "preprocess": 1}[name]], ignore_errors=True)
        goes_on = "--resume" in words or "--from" in words
        if name == "train" and not goes_on and read_clip_preset(Path(words[0])) == "pretrained":
            added += ["--encoder", "encoder.keras"]  # nothing is downloaded
        assert commands.run(name, *arguments, *added) == 0, line


@pytest.mark.slow
def test_every_block_of_python_runs(tmp_path, monkeypatch):
    from genre_classifier.dataset.synthetic import SyntheticConfig, synthesize

    monkeypatch.chdir(tmp_path)
    synthesize(Path("trailers"), SyntheticConfig(trailers=4, duration=3.0), seed=1)
    Path("trailers/labels.csv").rename("labels.csv")
    Path("movies.csv").write_text(
        "movieId,title,genres\ntrailer_000,First (1999),Comedy|Horror\ntrailer_001,Second (2001),(no genres listed)\n"
        "trailer_003,Third (2003),Drama\n7,Not here (2007),War\n",
        encoding="utf-8",
    )
    Path("new_trailer.mp4").write_bytes(Path("trailers/trailer_001.mp4").read_bytes())
    found = blocks("python")
    assert len(found) >= 2
    preset = PRESETS["small-data"]
    small = {"trunk_filters": (2, 2), "branch_filters": 2, "dense_units": (4,)}
    monkeypatch.setattr("genre_classifier.ModelConfig", functools.partial(ModelConfig, **small))
    smaller = dataclasses.replace(
        preset,
        clips=dataclasses.replace(preset.clips, fps=4.0, size=16),
        model=dataclasses.replace(preset.model, rows=16, cols=16, genres=GENRES[:2], **small),
        training=dataclasses.replace(preset.training, epochs=1, crop_frames=4),
    )
    monkeypatch.setitem(PRESETS, "small-data", smaller)
    names: dict[str, object] = {}  # one block may go on with what another made
    for document, text in found:
        exec(compile(text, document, "exec"), names)
    for genres in ("auto", "comedy,terror"):  # what the page on MovieLens goes on with
        assert cli.run(["labels", "movielens.csv", "from_movielens.csv", "--genres", genres]) == 0


def test_the_citation_names_the_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
