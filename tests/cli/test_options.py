"""Whatever is given to any option or argument of any command: what is no use is refused in a line, before the work.

The work itself is not done here. What it is called with shows what got through.
"""

from __future__ import annotations

import dataclasses
import math
import os
import shutil
from pathlib import Path
from typing import Any

import click
import pytest

from genre_classifier import cli
from genre_classifier.cli.config_options import ValueOption
from tests.support.media import flat_frames, write_media
from tests.support.tiny_run import make_run
from tests.support.trailers import write_clips

BASES = {
    "demo": "--out out",
    "preprocess": "videos out",
    "encode": "clips",
    "train": "clips labels.csv out --trunk-filters 2,2 --branch-filters 2",
    "tag": "run videos --out out --label-studio",
    "evaluate": "run clips labels.csv --out out",
    "suggest": "run clips --out out",
    "export": "tags out --to otio,iiif",
    "label": "videos --out out",
    "export-model": "run out --to savedmodel",
    "push-to-hub": "run me/mine",
    "labels": "labels.csv out.csv",
    "synthesize": "out",
    "squares": "--out out",
}
# Where the work of each command begins.
WORK = {
    "demo": ("genre_classifier.cli.demo", "demo_commands"),
    "preprocess": ("preprocessing.pipeline", "answers"),
    "encode": ("genre_classifier.dataset.encoding", "build_encoder"),
    "train": ("genre_classifier.training.train", "train"),
    "tag": ("genre_classifier.tagging.folder", "tag_videos"),
    "evaluate": ("genre_classifier.evaluation.run_evaluation", "run_evaluation"),
    "suggest": ("genre_classifier.evaluation.suggestions.suggest", "suggest"),
    "export": ("genre_classifier.exports.export", "export_tags"),
    "label": ("genre_classifier.tagging.label_pages", "write_label_pages"),
    "export-model": ("genre_classifier.run_folder.export_model", "export_model"),
    "push-to-hub": ("genre_classifier.run_folder.hub", "push_run"),
    "labels": ("genre_classifier.dataset.labels", "write_labels"),
    "synthesize": ("genre_classifier.dataset.synthetic", "synthesize"),
    "squares": ("genre_classifier.moving_squares.run", "run_squares"),
}
NUMBERS = ["nan", "inf", "-inf", "-1", "0", "1e999", "9" * 30, "9" * 5000, "0x10", "1,-1", "1,1,1", "x\x1b]0;y\x07"]
# Nothing, no filter, no share, the first one: a zero means something here.
ZERO_MEANS = {
    "seed",
    "smooth_seconds",
    "min_seconds",
    "min_gap_seconds",
    "weight_decay",
    "branch_weight",  # the paths alone
    "warmup_epochs",
    "label_smoothing",
    "zoom",
    "shift",
    "brightness",
    "contrast",
    "validation_share",
    "test_share",
    "norm_momentum",
    "noise",
    "noise_chance",
    "speed",
    "movie",
    "motion_size",
    "encoder_dropout",
}


def options() -> list[tuple[str, click.Option]]:
    """Return every option that takes a value, with its command."""
    context = click.Context(cli.group)
    found = []
    for name in cli.COMMANDS:
        command = cli.group.get_command(context, name)
        assert command is not None
        found += [(name, one) for one in command.params if isinstance(one, click.Option) and not one.is_flag]
    return found


OPTIONS = options()
PATHS = [(name, one) for name, one in OPTIONS if isinstance(one.type, click.Path)]
OTHERS = [(name, one) for name, one in OPTIONS if not isinstance(one.type, click.Path)]


def called(option: tuple[str, click.Option]) -> str:
    return f"{option[0]} {option[1].opts[0]}"


class Reached(Exception):  # noqa: N818 - it says that all checks were passed
    """The work was called."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("options")
    labels = write_clips(path / "clips", [4, 4, 4])
    labels.to_csv(path / "labels.csv", index=False)
    make_run(path / "run")
    (path / "videos").mkdir()
    write_media(path / "videos" / "a.mkv", flat_frames(4))
    return path


@pytest.fixture
def attempt(folder, tmp_path, monkeypatch, capsys):
    """Return a function that runs a command up to its work: the exit code and the values that reached the work."""
    for name in ("clips", "labels.csv", "run", "videos"):
        (tmp_path / name).symlink_to(folder / name)
    monkeypatch.chdir(tmp_path)

    def run(command: str, *arguments: str) -> tuple[int, list[Any]]:
        reached: list[Any] = []

        def work(*positional: Any, **named: Any) -> None:
            reached.extend([*positional, *named.values()])
            raise Reached

        module, name = WORK[command]
        monkeypatch.setattr(f"{module}.{name}", work)
        before = set(tmp_path.iterdir())
        try:
            code = cli.run([command, *BASES[command].split(), *arguments])
        except Reached:
            code = 0
            shutil.rmtree("out", ignore_errors=True)
        error = capsys.readouterr().err
        assert code in (0, 2)
        if code == 2:
            assert error
            assert error.replace("\n", "").isprintable()
            lines = [line for line in error.splitlines() if line and not line.startswith(("Usage: ", "Try '"))]
            assert len([line for line in lines if line.startswith(("genre-classifier: ", "Error: "))]) == 1, error
            assert set(tmp_path.iterdir()) == before, "something stayed behind and blocks the next start"
        return code, reached

    return run


def numbers_in(value: Any) -> list[float]:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [number for field in dataclasses.fields(value) for number in numbers_in(getattr(value, field.name))]
    if isinstance(value, (list, tuple)):
        return [number for one in value for number in numbers_in(one)]
    if isinstance(value, dict):
        return numbers_in(list(value.values()))
    return [value] if isinstance(value, (int, float)) else []


@pytest.mark.parametrize("option", OTHERS, ids=called)
def test_no_number_that_is_no_use_reaches_the_work(attempt, option):
    command, one = option
    for value in NUMBERS:
        code, reached = attempt(command, f"{one.opts[0]}={value}")
        numbers = numbers_in(reached)
        assert all(math.isfinite(number) and 0 <= number < 2**32 for number in numbers), (value, numbers)
        text = isinstance(one, ValueOption) and one.value.kind is str and not one.value.choices
        if text or isinstance(one.type, click.types.StringParamType):
            continue  # an address, or a name, is for the work to judge
        if code == 0 and value == "0":
            assert one.name in ZERO_MEANS
        if value.startswith(("nan", "9", "x")):
            assert code == 2, value


def test_an_empty_argument_is_refused(attempt):
    for command, one in PATHS:
        assert attempt(command, one.opts[0], "")[0] == 2
        assert attempt(command, f"{one.opts[0]}=")[0] == 2


EXPORT = "export-model run OUT --to savedmodel"  # which exports first
PLACES = {
    "export": ("export IN out --to chapters", "export tags OUT --to chapters"),
    "export-model": ("export-model IN out --to savedmodel", EXPORT),
    "labels": ("labels IN out.csv", "labels labels.csv OUT", "labels labels.csv out.csv --genre-map IN"),
    "label": ("label IN --out out", "label videos --out OUT"),
    "synthesize": ("synthesize OUT",),
    "demo": ("demo --out OUT",),
    "squares": ("squares --out OUT", "squares --resume --out IN"),
    "preprocess": ("preprocess IN out", "preprocess videos OUT"),
    "encode": ("encode IN", "encode clips --encoder IN"),
    "tag": ("tag IN videos --out out", "tag run IN --out out", "tag run videos --out OUT"),
    "suggest": (
        "suggest IN clips --out out",
        "suggest run IN --out out",
        "suggest run clips --out out --labels IN",
        "suggest run clips --out OUT",
        "suggest run clips --out out --tags IN",
    ),
    "train": (
        "train IN labels.csv out",
        "train clips IN out",
        "train clips labels.csv OUT",
        "train clips labels.csv out --splits IN",
        "train clips labels.csv out --from IN",
        "train clips labels.csv out --genre-map IN",
        "train IN labels.csv out --resume",
        "train clips labels.csv IN --resume",
    ),
    "evaluate": (
        "evaluate IN clips labels.csv --out out --split all",
        "evaluate run IN labels.csv --out out --split all",
        "evaluate run clips IN --out out --split all",
        "evaluate run clips labels.csv --out OUT --split all",
        "evaluate --scores IN labels.csv --out out",
        "evaluate run clips labels.csv --out out --split all --draws 2 --compare IN",
        "evaluate run clips labels.csv --out out --split all --draws 2 --tags IN",
    ),
}


LINES = [pytest.param(line, marks=[pytest.mark.slow] * (line == EXPORT)) for lines in PLACES.values() for line in lines]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("line", LINES)
def test_what_is_no_file_and_no_folder_is_refused_everywhere(attempt, tmp_path, capsys, line):
    os.mkfifo("fifo")
    Path("file").write_text("text")
    before = {path.name for path in tmp_path.iterdir()}
    for place in ("fifo", "/dev/zero", "file/below", "n" * 300, "file"):
        words = [place if word in ("IN", "OUT") else word for word in line.split()]
        if words[:2] == ["labels", "labels.csv"] and place == "file":
            continue  # a file is what OUT should be
        code = cli.run(words)
        error = capsys.readouterr().err
        assert code in (1, 2), (place, error)
        assert error.count("genre-classifier: ") == 1, (place, error)
        assert error.replace("\n", "").isprintable()
        assert Path("file").read_text() == "text"
        assert Path("fifo").is_fifo()
    left = {path.name for path in tmp_path.iterdir()} - before
    assert left <= {"out"}


@pytest.mark.parametrize(
    "line",
    [
        "labels labels.csv out.csv",
        "labels labels.csv out.csv --genres auto",
        "train clips labels.csv out",
        "evaluate run clips labels.csv --out out",
    ],
)
def test_the_largest_label_file_is_an_option_wherever_one_is_read(attempt, tmp_path, capsys, line):
    size = (tmp_path / "labels.csv").stat().st_size
    assert cli.run([*line.split(), f"--max-label-mb={(size - 1) / 1e6}"]) == 2
    error = capsys.readouterr().err
    assert "labels.csv: expected a label table" in error
    assert "(--max-label-mb)" in error
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.csv").exists()
