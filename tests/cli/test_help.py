"""The options of the command line are those of the fields: names, defaults, groups and what the help says."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from genre_classifier import cli
from genre_classifier.cli import COMMANDS, GROUPS, group
from genre_classifier.cli.config_options import ValueOption, config_options, given
from genre_classifier.config import PRESETS, ModelConfig, TrainingConfig
from genre_classifier.moving_squares.config import PRESETS as SQUARES
from preprocessing.base.options import values_of
from tests.support.tiny_run import make_run

ROOT = Path(__file__).parents[2]


def command_of(name: str) -> click.Command:
    command = group.get_command(click.Context(group), name)
    assert command is not None
    return command


def sections(text: str) -> dict[str, str]:
    """Return the text of each section of a help page."""
    found, title = {}, ""
    for line in text.splitlines():
        if line.endswith(":") and not line.startswith(" "):
            title = line[:-1]
        found[title] = f"{found.get(title, '')}{line}\n"
    return found


@pytest.mark.parametrize("config_class", [ModelConfig, TrainingConfig])
def test_every_field_becomes_an_option_that_changes_it_alone(config_class):
    @click.command()
    @config_options(config_class())
    def command(**options):
        changed = {"trunk_filters": (4, 5)} if config_class is ModelConfig else {"epochs": 7}
        assert given(options, config_class) == changed
        assert set(options) == {field.name for field in dataclasses.fields(config_class)}

    argument = ["--trunk-filters", "4,5"] if config_class is ModelConfig else ["--epochs", "7"]
    result = CliRunner().invoke(command, argument, catch_exceptions=False)
    assert result.exit_code == 0, result.output


def test_none_can_be_said_wherever_a_setting_can_be_switched_off():
    @click.command()
    @config_options(PRESETS["small-data"].training)
    def command(**options):
        config = dataclasses.replace(PRESETS["small-data"].training, chunk=8, **given(options, TrainingConfig))
        assert (config.patience, config.crop_frames, config.clip_norm, config.flip) == (5, None, None, False)

    arguments = ["--patience", "5", "--crop-frames", "none", "--clip-norm", "None", "--no-flip"]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    shown = " ".join(CliRunner().invoke(command, ["--help"]).output.split())
    assert "--patience INTEGER|NONE" in shown
    assert "none trains all epochs. [default: none]" in shown
    assert "--flip / --no-flip Mirror training clips left and right, half of the time. [default: on]" in shown
    optional = {name for name, value in values_of(TrainingConfig).items() if value.may_be_none}
    assert optional == {"patience", "crop_frames", "crops_per_epoch", "clip_norm", "chunk"}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_each_option_says_the_unit(name):
    context = click.Context(command_of(name))
    for one in command_of(name).params:
        if isinstance(one, ValueOption) and one.value.unit:
            flag, said = one.get_help_record(context)
            assert one.value.unit.lower() in f"{flag} {said}".lower(), flag


@pytest.mark.parametrize(
    ("name", "bases"),
    [("train", (PRESETS["article"].model, PRESETS["article"].training)), ("squares", (SQUARES["quick"],))],
)
def test_the_help_shows_the_defaults_of_the_preset_that_is_the_default(name, bases):
    options = [one for one in command_of(name).params if isinstance(one, ValueOption)]
    expected = {field.name: getattr(base, field.name) for base in bases for field in dataclasses.fields(base)}
    found = ("encoder_channels", "encoder_digest", "encoder_precision", "sound_features", "sound_digest")
    for field in ("rows", "cols", "genres", *found):
        expected.pop(field, None)
    assert {
        one.name: one.default for one in options if one.name not in ("min_trailers", "max_label_mb", "worker")
    } == expected


def test_many_options_stand_in_groups_each_in_one():
    for name in COMMANDS:
        shown = CliRunner().invoke(group, [name, "--help-all" if name == "train" else "--help"]).output
        flags = [one.opts[0] for one in command_of(name).params if isinstance(one, click.Option)]
        found = sections(shown)
        for flag in flags:
            assert len([text for text in found.values() if f"\n  {flag} " in text]) == 1, (name, flag)
        largest = max(text.count("\n  --") for text in found.values())
        assert largest <= 11, name
    train = CliRunner().invoke(group, ["train", "--help-all"]).output
    assert [title for title in sections(train) if title] == [
        "Options",
        "Labels",
        "Splits",
        "Several machines",
        "Network",
        "Encoder",
        "Senses",
        "Sound encoder",
        "Optimisation",
        "Computation",
        "Augmentation",
    ]


@pytest.mark.parametrize("width", [80, 110])
def test_the_help_fits_the_terminal(width):
    for arguments in ([], ["train", "--help-all"], *([name] for name in COMMANDS)):
        shown = CliRunner().invoke(group, [*arguments, "--help"], terminal_width=width).output
        too_long = [line for line in shown.splitlines() if len(line) > width and "genre-classifier" not in line]
        assert not too_long, arguments


def test_the_help_names_every_command_on_a_line_of_its_own_in_a_group():
    shown = CliRunner().invoke(group, ["--help"], terminal_width=80).output
    found = sections(shown)
    assert [title for title in found if title in GROUPS] == ["Try", "Prepare", "Learn", "Use", "Judge", "Share"]
    for title, commands in GROUPS.items():
        for name, text in commands.items():
            assert f"\n  {name.ljust(12)}  {text}\n" in found[title]
    assert "..." not in shown.partition("Try:")[2]


def test_the_help_of_train_shows_what_people_change_and_names_the_rest():
    shown = CliRunner().invoke(group, ["train", "--help"], terminal_width=80).output
    flags = [line.split()[0].rstrip(",") for line in shown.splitlines() if line.startswith("  -")]
    assert len(flags) == 16 + len(["--help-all", "-h"])
    assert {"--preset", "--epochs", "--chunk", "--validation-share", "--help-all"} <= set(flags)
    every = CliRunner().invoke(group, ["train", "--help-all"]).output
    assert "--norm-momentum" in every
    assert "--norm-momentum" not in shown


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["trian"], "No such command 'trian'. Did you mean train?"),
        (["xyzzy"], "No such command 'xyzzy'."),
        (["labels", "labels.csv"], "Missing argument 'OUT': the file to write."),
        (["labels"], "Missing argument 'IN... OUT'."),
    ],
)
def test_what_is_mistyped_or_missing_is_named(line, message):
    result = CliRunner().invoke(group, line)
    assert result.exit_code == 2
    assert result.output.splitlines()[-1] == f"Error: {message}"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--encoder-fps 2", "--encoder-fps does nothing without --encoder: leave it out"),
        ("--motion-size 4", "--motion-size does nothing without --encoder and --encoder-fps none: leave it out"),
        (
            "--preset pretrained --encoder-dropout 0.5",
            "--encoder-dropout does nothing without --encoder and --encoder-fps none: leave it out",
        ),
        ("--encoder-engine keras", "--encoder-engine does nothing without --encoder or --sound-encoder: leave it out"),
        ("--sound-rate 8000", "--sound-rate does nothing without --sound-encoder: leave it out"),
        ("--branch-weight 0.1", "--branch-weight does nothing without --linear-paths: leave it out"),
        ("--crops-per-epoch 1", "--crops-per-epoch does nothing without --crop-frames: leave it out"),
        ("--min-trailers 3", "--min-trailers does nothing without --genres auto: leave it out"),
        ("--splits s.csv --test-share 0", "--splits says which trailers judge: leave --test-share out"),
    ],
)
def test_options_of_train_that_would_do_nothing_are_refused(tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(group, ["train", "clips", "labels.csv", "run", *options.split()])
    assert result.exit_code == 2
    assert result.output.splitlines()[-1] == f"Error: {message}"


def test_an_encoder_that_is_not_there_is_what_train_speaks_of(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for option, kind in (("--encoder", "an image"), ("--sound-encoder", "a sound")):
        assert cli.run(["train", "clips", "labels.csv", "run", option, "nosuch.keras"]) == 2
        assert f"nosuch.keras: expected {kind} network (.keras), found no such file" in capsys.readouterr().err


def test_a_run_has_its_own_encoder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "run")
    for flags in (["run", "--resume"], ["other", "--from", "run"]):
        assert cli.run(["train", "clips", "labels.csv", *flags, "--encoder", "gone.keras"]) == 2
        assert "gone.keras" not in capsys.readouterr().err  # but what this network cannot have


def test_the_help_is_whole_without_docstrings():
    """`python -OO` drops docstrings; what the options say is no docstring. --debug leaves stderr to Python's report."""
    done = subprocess.run(
        [sys.executable, "-OO", "-X", "importtime", "-m", "genre_classifier", "--debug", "train", "--help-all"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "110"},
    )
    assert done.returncode == 0, done.stderr
    shown = " ".join(done.stdout.split())
    for option in command_of("train").params:
        if isinstance(option, ValueOption):
            assert option.value.meaning in shown
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "pydantic" in imported
    assert not imported & {"tensorflow", "keras", "pandas", "cv2", "sklearn", "matplotlib"}
