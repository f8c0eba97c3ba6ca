"""`genre-classifier evaluate`: a run, or stored scores, against labels; a report folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from genre_classifier.cli.config_options import (
    GroupedCommand,
    GroupedOption,
    RunPath,
    config_options,
    given,
    is_given,
    sharing_options,
    value_option,
)
from genre_classifier.cli.output import say
from genre_classifier.config import MAX_LABEL_MB, EvaluationConfig, MaxLabelMb


@click.command("evaluate", cls=GroupedCommand)
@click.argument("inputs", nargs=-1, required=True, type=RunPath(), metavar="[RUN CLIPS] LABELS")
@click.option(
    "--scores",
    type=click.Path(path_type=Path),
    help="Scores or report folder of an earlier evaluation: no RUN and CLIPS then.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Report folder.")
@click.option(
    "--split",
    type=click.Choice(["train", "validation", "test", "all"]),
    default="test",
    show_default=True,
    help="Split of the run to judge on; all: every labelled clip, also new ones.",
)
@click.option("--compare", "other", type=RunPath(), help="Another run, or its scores, on the same trailers.")
@click.option("--tags", type=click.Path(path_type=Path), help="Folder that `tag` wrote, for links to its viewers.")
@click.option(
    "--genre-map",
    type=click.Path(path_type=Path),
    help="A table of columns name,genre: more names, and the genre that each stands for, as for `train`.",
)
@value_option("--max-label-mb", MaxLabelMb, default=MAX_LABEL_MB, group="")
@config_options(EvaluationConfig(), only=("draws", "seed"), group="Computation")
@click.option(
    "--rescore",
    cls=GroupedOption,
    group="Computation",
    is_flag=True,
    help="Score again even if OUT holds scores of this run and these clips.",
)
@click.option("--card", is_flag=True, help="Put the figures into the run's model card, RUN/README.md.")
@sharing_options
def command(
    *,
    inputs: tuple[Path, ...],
    scores: Path | None,
    out: Path,
    split: str,
    other: Path | None,
    tags: Path | None,
    genre_map: Path | None,
    rescore: bool,
    max_label_mb: float,
    card: bool,
    jobs: int | None,
    scheduler: str | None,
    **options: Any,
) -> None:
    """Say how far to trust a run: report.html, metrics.json, per_genre.csv, summary.md and plots in OUT.

    Scores are kept in OUT/scores, so that the figures can be made again from scores and labels alone, and so that an
    interrupted scoring goes on where it stopped.

    \b
    Example:
      genre-classifier evaluate runs/mine clips/ labels.csv --out report/
      genre-classifier evaluate runs/mine clips/ labels.csv --out report/ --card
      genre-classifier evaluate --scores report/ corrected_labels.csv --out report2/
      genre-classifier evaluate runs/mine clips/ labels.csv --out report/ --compare runs/older
    """
    if len(inputs) != (1 if scores else 3):
        raise click.UsageError(
            f"expected RUN CLIPS LABELS, or --scores DIR and LABELS; got {len(inputs)} paths"
            + (" with --scores" if scores else "")
        )
    if scores and (without_effect := [name for name in ("split", "rescore") if is_given(name)]):
        raise click.UsageError(f"--{without_effect[0]} is about scoring a RUN: leave it or --scores out")
    if card and (scores or split != "test"):
        raise click.UsageError("--card is about the test trailers of a RUN: leave --scores and --split out")

    from genre_classifier.cli.progress import progress_bar
    from genre_classifier.evaluation.run_evaluation import Request, run_evaluation
    from genre_classifier.run_folder.layout import is_fetched

    run, clips, labels = (None, None, inputs[0]) if scores else inputs
    if card and run and is_fetched(run):
        raise click.UsageError("--card writes into RUN: give a folder of your own, not the copy of one on the hub")
    with progress_bar(0, "scoring", "frame") as bar:

        def on_start(frames: int) -> None:
            bar.reset(total=frames)

        report, sentences = run_evaluation(
            Request(
                run,
                clips,
                labels,
                out,
                scores=scores,
                split=split,
                other=other,
                tags=tags,
                rescore=rescore,
                genre_map=genre_map,
                max_label_mb=max_label_mb,
            ),
            config=EvaluationConfig(**given(options, EvaluationConfig)),
            jobs=jobs,
            scheduler=scheduler,
            on_start=on_start,
            on_frames=bar.update,
        )
    if card:
        from genre_classifier.run_folder.card import write_model_card

        assert run is not None
        write_model_card(run, summary=(out / "summary.md").read_text(encoding="utf-8"))
    for line in [*sentences.splitlines(), str(report)]:
        say(line)
