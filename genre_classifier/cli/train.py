"""`genre-classifier train`: clips and labels to a run folder."""

from __future__ import annotations

import shlex
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import click
from pydantic import Field

from genre_classifier.cli.config_options import (
    GroupedCommand,
    GroupedOption,
    RunPath,
    config_options,
    given,
    is_given,
    require_use,
    value_option,
)
from genre_classifier.cli.output import note, say
from genre_classifier.config import MAX_LABEL_MB, PRESETS, MaxLabelMb, ModelConfig, TrainingConfig
from preprocessing.base.errors import InputError
from preprocessing.base.options import Count, option
from preprocessing.config import ClipConfig

_LINE = f"{__name__}.line"
_PRESET = "article"


class _Command(GroupedCommand):
    """Remembers its command line, from a shell or from `demo`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[_LINE] = shlex.join([*ctx.command_path.split(), *args])
        return super().parse_args(ctx, args)


def preset_for(clips: Path, asked: str | None) -> str:
    """Return the preset to train with: the one asked for, or that of the clips; say so where these do not fit."""
    from preprocessing.clips import read_clip_config, read_clip_preset

    made, own = read_clip_config(clips), read_clip_preset(clips)
    if asked is None:
        return own if own in PRESETS else _PRESET
    wanted = PRESETS[asked].clips
    if made and (made.size, made.fps) != (wanted.size, wanted.fps):
        note(
            f"--preset {asked} learns from frames of {_frames(wanted)}; those of {clips} are of {_frames(made)}: "
            f"`genre-classifier preprocess TRAILERS CLIPS --preset {asked}` makes clips that fit"
        )
    return asked


def _frames(clips: ClipConfig) -> str:
    rate = "spread over the video" if clips.fps is None else f"{clips.fps:g} per second"
    return f"{clips.size} x {clips.size} pixels, {rate}"


_BRIEF = (
    *("preset", "resume", "overwrite", "start", "genres", "genre_map", "skip_unknown", "encoder", "sound_encoder"),
    *("epochs", "batch_size", "learning_rate", "chunk", "validation_share", "test_share", "seed"),
)


# Options that say more about another one, and have no use without it.
_ENCODER = ("encoder_layer", "encoder_scaling", "encoder_cells", "encoder_fps")
_EVERY_FRAME = ("motion_size", "reduced_channels", "encoder_dropout")
_SOUND_ENCODER = ("sound_rate", "sound_components")


def _check_options(model_config: ModelConfig, training_config: TrainingConfig, genres: str | None) -> None:
    """Refuse options that would do nothing."""
    for name, used, by in (
        *((name, model_config.encoder is not None, "--encoder") for name in _ENCODER),
        *((name, model_config.maps_in_trunk, "--encoder and --encoder-fps none") for name in _EVERY_FRAME),
        *((name, model_config.sound_encoder is not None, "--sound-encoder") for name in _SOUND_ENCODER),
        ("encoder_engine", model_config.has_encoders, "--encoder or --sound-encoder"),
        ("path_components", "pictures" in model_config.components, "--encoder and --encoder-fps"),
        ("branch_weight", model_config.linear_paths, "--linear-paths"),
        ("crops_per_epoch", training_config.crop_frames is not None, "--crop-frames"),
        ("min_trailers", genres == "auto", "--genres auto"),
    ):
        require_use(name, used, by=by)


@click.command("train", cls=_Command, brief=_BRIEF)
@click.argument("clips", type=click.Path(path_type=Path))
@click.argument("labels", type=click.Path(path_type=Path))
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    help="Settings to start from: those of the article; what works with fewer than a few hundred trailers; or a "
    "pretrained image network beside it (--encoder). Every other option changes one of them, and shows the default of "
    f"{_PRESET}.  [default: that of the clips, or {_PRESET}]",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Go on from the last finished epoch, with the options of the run; --epochs and --patience may change.",
)
@click.option("--overwrite", is_flag=True, help="Replace the run in the folder if there is one.")
@click.option(
    "--from",
    "start",
    metavar="RUN",
    type=RunPath(),
    help="Go on from the weights of another run, with more labels: its options and splits are kept, at a tenth of "
    "its learning rate, and its test trailers stay test trailers.",
)
@click.option(
    "--genres",
    cls=GroupedOption,
    group="Labels",
    metavar="NAMES",
    help="What the network tells apart, with commas between, or auto: every genre of LABELS that enough "
    "trailers with a clip show.  [default: the article's six]",
)
@value_option(
    "--min-trailers",
    Annotated[Count, option("Least number of trailers of a genre for --genres auto.", unit="trailers", group="Labels")],
    default=10,
)
@click.option(
    "--genre-map",
    cls=GroupedOption,
    group="Labels",
    type=click.Path(path_type=Path),
    help="A table of columns name,genre: more names, and the genre that each stands for.",
)
@click.option(
    "--unmapped-as-other",
    cls=GroupedOption,
    group="Labels",
    is_flag=True,
    help="Known names that stand for none of the genres become other.",
)
@click.option(
    "--skip-unknown",
    cls=GroupedOption,
    group="Labels",
    is_flag=True,
    help="Count labels of unknown trailers instead of refusing them.",
)
@value_option("--max-label-mb", MaxLabelMb, default=MAX_LABEL_MB)
@click.option(
    "--splits",
    "splits_file",
    cls=GroupedOption,
    group="Splits",
    type=click.Path(path_type=Path),
    help="A splits.csv to use, not draw, splits.",
)
@click.option(
    "--workers",
    cls=GroupedOption,
    group="Several machines",
    metavar="HOST:PORT,...",
    help="Train by as many processes, each started with this command and its own --worker; clips, labels and "
    "RUN are where all read them. none: alone.  [default: what TF_CONFIG or Slurm's srun says]",
)
@value_option(
    "--worker",
    Annotated[Annotated[int, Field(ge=0)] | None, option("Number of this process, from 0.", group="Several machines")],
    default=None,
)
@config_options(
    PRESETS[_PRESET].model,
    leave_out=(
        *("rows", "cols", "genres"),
        # Found, not asked for.
        *("encoder_channels", "encoder_digest", "encoder_precision", "sound_features", "sound_digest"),
    ),
)
@config_options(PRESETS[_PRESET].training)
def command(
    *,
    clips: Path,
    labels: Path,
    run: Path,
    preset: str | None,
    splits_file: Path | None,
    genres: str | None,
    min_trailers: int,
    genre_map: Path | None,
    unmapped_as_other: bool,
    skip_unknown: bool,
    max_label_mb: float,
    resume: bool,
    overwrite: bool,
    start: Path | None,
    workers: str | None,
    worker: int | None,
    **options: Any,
) -> None:
    """Train a network on the folder CLIPS and the table LABELS, and write the folder RUN.

    LABELS is labels.csv, a wide table, ActivityNet or Label Studio JSON, or DCASE events. A run that was stopped
    goes on with --resume, and the options about labels as before, such as --genre-map. With --resume --epochs a
    finished run gets more epochs.

    \b
    Example:
      genre-classifier train clips/ labels.csv runs/mine
      genre-classifier train clips/ labels.csv runs/mine --epochs 40
      genre-classifier train clips/ labels.csv runs/mine --preset pretrained --encoder EfficientNetV2B0
      genre-classifier train clips/ labels.csv runs/mine --preset pretrained --sound-encoder musicnn.keras
      genre-classifier train clips/ movies.csv runs/mine --genres drama,romance,sci-fi
      genre-classifier train clips/ labels.csv runs/mine --batch-size 8 --workers a:2222,b:2222 --worker 0
      genre-classifier train clips/ labels2.csv runs/better --from runs/mine
      genre-classifier train clips/ labels.csv runs/mine --resume
      genre-classifier train clips/ labels.csv runs/mine --resume --epochs 60 --patience none
    """
    import dataclasses
    import os

    from genre_classifier.cli.progress import TrainingProgress
    from genre_classifier.dataset.labels import common_genres, read_genre_map, read_labels
    from genre_classifier.genres import GENRE_MAP, genre_list
    from genre_classifier.run_folder.layout import require_run
    from genre_classifier.run_folder.run import read_config
    from genre_classifier.training.cluster import find_workers

    addresses, rank = find_workers(workers, worker, os.environ)
    from genre_classifier.training.plan import going_on
    from genre_classifier.training.train import train

    if resume and overwrite:
        raise click.UsageError("--resume goes on and --overwrite starts from the beginning: leave one of them out")
    if resume and start:
        raise click.UsageError("--resume goes on with the run itself: leave --from out")
    before, flag = (run, "--resume") if resume else (start, "--from")
    if before and is_given("preset"):
        raise click.UsageError(f"{flag} goes on with the options of the run: leave --preset out")
    if before and genres:
        raise click.UsageError(f"{flag} goes on with the genres of the run: leave --genres out")
    if before:
        require_run(before)
        model_config, training_config, _ = read_config(before)
        if start:
            training_config = going_on(start)
    else:
        base = PRESETS[preset_for(clips, preset)]
        model_config, training_config = base.model, base.training
    if genres:
        if genres == "auto":
            known = read_genre_map(genre_map, None) if genre_map else GENRE_MAP
            own = common_genres(labels, min_trailers=min_trailers, clips=clips, genre_map=known, max_mb=max_label_mb)
        else:
            own = genre_list(genres)
        model_config = dataclasses.replace(model_config, genres=own)
    for name, expected in ((options["encoder"], "an image"), (options["sound_encoder"], "a sound")):
        with suppress(OSError):  # of a name that is too long
            if not before and name and name.endswith(".keras") and not Path(name).exists():
                # Before what it would be used with is judged.
                raise InputError(f"{name}: expected {expected} network (.keras), found no such file")
    model_config = dataclasses.replace(model_config, **given(options, ModelConfig))
    training_config = dataclasses.replace(training_config, **given(options, TrainingConfig))
    _check_options(model_config, training_config, genres)
    for name in ("validation_share", "test_share"):
        if splits_file and is_given(name):
            raise click.UsageError(f"--splits says which trailers judge: leave --{name.replace('_', '-')} out")
    if genres != "auto":  # whose map, also that of a run made so, may name genres that too few trailers show
        known = read_genre_map(genre_map, None if before else model_config.genres) if genre_map else GENRE_MAP
    table = read_labels(
        labels,
        genres=model_config.genres,
        genre_map=known,
        unmapped_as_other=unmapped_as_other,
        max_mb=max_label_mb,
    )
    with TrainingProgress(training_config.epochs) as progress:
        trained = train(
            clips,
            table,
            run,
            model_config=model_config,
            training_config=training_config,
            splits_file=splits_file,
            skip_unknown=skip_unknown,
            resume=resume,
            overwrite=overwrite,
            start=start,
            callbacks=[progress.callback()],
            on_encoding=progress.start_encoding,
            on_encoded=progress.encoded,
            on_chunk=progress.chunk,
            command=click.get_current_context().meta[_LINE],
            workers=addresses,
            worker=rank,
        )
    say(str(trained.path))
