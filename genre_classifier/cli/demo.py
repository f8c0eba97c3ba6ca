"""`genre-classifier demo`: everything once, on synthetic trailers, with the commands that any user has."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import click

from genre_classifier.cli.config_options import value_option
from genre_classifier.cli.output import say
from genre_classifier.config import TrainingConfig
from preprocessing.base.options import Seed, option

# Small enough for five minutes on two cores. Differences of frames and pooled maps let a small network see movement.
TRAILERS = 40
PREPROCESS = "--fps 8 --frames 120 --size 32"
NETWORK = (
    "--trunk-filters 8,8 --trunk-pools 2,2 --branch-filters 4 --dense-units 16 --head pooled --inputs rgb+difference "
    "--norm-momentum 0.9"
)
TRAINING = "--epochs 32 --learning-rate 8e-3 --schedule cosine --validation-share 0.15 --test-share 0.25"


def demo_commands(out: Path, *, seed: int, genres: str | None = None) -> list[list[str]]:
    """Return the command lines up to the trained run, each without the program's name."""
    trailers, clips, run = str(out / "trailers"), str(out / "clips"), str(out / "run")
    labels = str(out / "trailers" / "labels.csv")
    own = ["--genres", genres] if genres else []
    return [
        ["synthesize", trailers, "--trailers", str(TRAILERS), *own, "--seed", str(seed)],
        ["preprocess", trailers, clips, *PREPROCESS.split()],
        ["train", clips, labels, run, "--overwrite", *own, *NETWORK.split(), *TRAINING.split(), "--seed", str(seed)],
    ]


def judging_commands(out: Path) -> list[list[str]]:
    """Return the command lines that use the trained run: tag a trailer of its test split, and evaluate."""
    from genre_classifier.dataset.splits import read_splits
    from genre_classifier.run_folder.layout import SPLITS

    splits = read_splits(out / "run" / SPLITS)
    unseen = out / "trailers" / str(splits.loc[splits["split"] == "test", "source"].iloc[0])
    labels = str(out / "trailers" / "labels.csv")
    tags, report = str(out / "tags"), str(out / "report")
    return [
        ["tag", str(out / "run"), str(unseen), "--out", tags],
        ["evaluate", str(out / "run"), str(out / "clips"), labels, "--out", report, "--tags", tags],
    ]


@click.command("demo")
@click.option("--out", type=click.Path(path_type=Path), default=Path("demo"), show_default=True, help="Folder to fill.")
@click.option("--genres", metavar="NAMES", help="Genres, with commas between.  [default: the article's six]")
@value_option(
    "--seed", Annotated[Seed, option("Seed of the trailers and of the training.")], default=TrainingConfig.seed
)
def command(out: Path, genres: str | None, seed: int) -> None:
    """Synthesize trailers, preprocess them, train, tag a trailer that was not trained on, and report.

    Takes a few minutes. Each step is shown as the command that does it.

    \b
    Example:
      genre-classifier demo --out demo/
    """
    import json
    import time

    from genre_classifier.cli import group

    def run(commands: list[list[str]]) -> None:
        for arguments in commands:
            say(f"$ genre-classifier {shlex.join(arguments)}", bold=True)
            group.main(arguments, prog_name="genre-classifier", standalone_mode=False)

    started = time.monotonic()
    run(demo_commands(out, seed=seed, genres=genres))
    commands = judging_commands(out)
    run(commands)
    document = json.loads((out / "report" / "metrics.json").read_text(encoding="utf-8"))
    for line in ["", *summary_lines(document), ""]:
        say(line)
    tagged = out / "tags" / Path(commands[0][2]).stem
    say(f"report     {out / 'report' / 'report.html'}")
    say(f"timeline   {tagged / 'timeline.png'}")
    say(f"to watch   {tagged / 'viewer.html'}")
    say(f"{time.monotonic() - started:.0f} s in all")


def summary_lines(document: dict[str, Any]) -> list[str]:
    """Return a table of the average precision over frames: the model beside the baselines, per genre and on average.

    Parameters
    ----------
    document : dict
        `metrics.json`.
    """
    columns = {"model": document["figures"]} | {
        name: document["baselines"][name]["figures"]
        for name in ("colour_histogram", "movement_frames", "movement_trailers", "prevalence")
    }
    trailers = document["evaluated"]["trailers"]
    names = max(10, *(len(genre) + 1 for genre in document["genres"]))
    lines = [
        f"Average precision over the frames of {trailers} trailers that were not trained on",
        f"{'':<{names}}" + "".join(f"{name.replace('_', ' '):>18}" for name in columns),
    ]
    for genre in (*document["genres"], "macro"):
        cells = [figures["frame_pooled"][genre]["average_precision"]["value"] for figures in columns.values()]
        texts = ["not defined" if value is None else f"{value:.3f}" for value in cells]
        lines.append(f"{'mean' if genre == 'macro' else genre:<{names}}" + "".join(f"{text:>18}" for text in texts))
    return lines
