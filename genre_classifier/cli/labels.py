"""`genre-classifier labels`: from one label format to another, and several tables to one."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import click

from genre_classifier.cli.config_options import config_options, given, is_given, value_option
from genre_classifier.cli.output import say
from genre_classifier.config import LABEL_FORMATS, MAX_LABEL_MB, ExportConfig, MaxLabelMb


@click.command("labels")
@click.argument("paths", metavar="IN... OUT", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--to",
    "file_format",
    type=click.Choice(LABEL_FORMATS),
    help="Format of OUT; else its ending tells: .csv labels, .json activitynet, .tsv dcase.",
)
@click.option(
    "--clips",
    type=click.Path(path_type=Path),
    help="Clips of the trailers: OUT then says for all of them what evaluate takes for true, `other` and the "
    "videos' ends included.",
)
@config_options(ExportConfig())
@click.option(
    "--genres",
    metavar="NAMES",
    help="Genres that IN's names are turned into, with commas between; auto: the names stay as they are.  "
    "[default: the article's six]",
)
@click.option(
    "--genre-map",
    type=click.Path(path_type=Path),
    help="A table of columns name,genre: more names, and the genre that each stands for.",
)
@click.option("--unmapped-as-other", is_flag=True, help="Known names that stand for none of the genres become other.")
@value_option("--max-label-mb", MaxLabelMb, default=MAX_LABEL_MB, group="")
def command(
    *,
    paths: tuple[Path, ...],
    file_format: str | None,
    clips: Path | None,
    genres: str | None,
    genre_map: Path | None,
    unmapped_as_other: bool,
    max_label_mb: float,
    **options: Any,
) -> None:
    """Convert the label table IN to OUT, or join several into one. Their formats are recognised.

    If several tables name a trailer, all its labels come from the last of them. Messages name what is replaced, and
    what OUT cannot hold.

    \b
    Example:
      genre-classifier labels movies.csv labels.csv
      genre-classifier labels movies.csv labels.csv --genres auto
      genre-classifier labels labels.csv corrected/*.csv labels2.csv
      genre-classifier labels labels.csv tasks.json --to labelstudio
      genre-classifier labels labels.csv truth.json --clips clips/
    """
    *sources, target = paths
    if not sources:
        raise click.UsageError("Missing argument 'OUT': the file to write.")
    if target.name.endswith(".labels.csv") and target.exists():  # `*.labels.csv`, and nothing after it
        raise click.UsageError(
            f"Missing argument 'OUT': {target} comes last, but it is there already, and label pages save files of such "
            "names; give OUT another one."
        )
    from genre_classifier.dataset.labels import common_genres, read_genre_map, read_labels, write_labels
    from genre_classifier.genres import GENRE_MAP, GENRES, genre_list, listed
    from preprocessing.base.errors import InputError

    if genres == "auto":
        known = read_genre_map(genre_map, None) if genre_map else GENRE_MAP
        found = (common_genres(source, genre_map=known, max_mb=max_label_mb) for source in sources)
        named = tuple(dict.fromkeys(itertools.chain.from_iterable(found)))
    else:
        named = genre_list(genres) if genres else GENRES
        known = read_genre_map(genre_map, named) if genre_map else GENRE_MAP
    config = ExportConfig(**given(options, ExportConfig))
    table = read_labels(
        sources,
        genres=named,
        genre_map=known,
        unmapped_as_other=unmapped_as_other,
        fps=config.label_studio_fps if is_given("label_studio_fps") else None,
        max_mb=max_label_mb,
    )
    if table.empty:
        raise InputError(
            f"{sources[0]}: expected labels of {listed(named)}, found none; name its genres with --genres (auto: all "
            "of them), or what its names stand for with --genre-map"
        )
    spans = None
    if clips is not None:
        from genre_classifier.evaluation.judged_labels import judged_labels  # which loads scikit-learn: seconds

        table, spans = judged_labels(table, clips, named)
    held = write_labels(target, table, file_format=file_format, spans=spans, config=config)
    say(f"{len(held)} labels of {held['trailer'].nunique()} trailers in {target}")
