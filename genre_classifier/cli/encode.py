"""`genre-classifier encode`: the clips of a folder through pretrained networks, once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genre_classifier.cli.config_options import GroupedCommand, config_options, given, sharing_options
from genre_classifier.cli.output import note, say
from genre_classifier.cli.progress import progress_bar
from genre_classifier.config import DEFAULT_ENCODER, EncoderConfig
from preprocessing.base.errors import InputError
from preprocessing.config import VideoLimits

if TYPE_CHECKING:
    from genre_classifier.dataset.encoding import Encoders


@click.command(cls=GroupedCommand)
@click.argument("clips", type=click.Path(path_type=Path))
@config_options(DEFAULT_ENCODER)
@config_options(VideoLimits())
@sharing_options
def command(clips: Path, jobs: int | None, scheduler: str | None, **options: Any) -> None:
    """Send every clip of the folder CLIPS through pretrained networks, and keep the result in CLIPS/encoded.

    That of --encoder looks at the pictures, that of --sound-encoder listens to the sound. `train` does this for the
    clips that it needs. This command does it for all, with several processes. What is encoded is skipped, so it goes
    on where it was interrupted. Videos that cannot be looked at are named; the others are looked at.

    \b
    Example:
      genre-classifier encode clips/ --encoder EfficientNetV2B0
      genre-classifier encode clips/ --encoder mobilenet_v2.keras --jobs 2
      genre-classifier encode clips/ --encoder none --sound-encoder musicnn.keras
    """
    import dataclasses

    config = dataclasses.replace(DEFAULT_ENCODER, **given(options, EncoderConfig))
    encode(clips, config, limits=VideoLimits(**given(options, VideoLimits)), jobs=jobs, scheduler=scheduler)


def encode(
    clips: Path,
    config: EncoderConfig,
    *,
    encoders: Encoders | None = None,
    limits: VideoLimits,
    jobs: int | None,
    scheduler: str | None,
) -> int:
    """Encode what is missing of a clips folder, show how far it is, and say where it lies.

    Parameters
    ----------
    clips, config, encoders, limits, jobs, scheduler
        As for `genre_classifier.dataset.encoding.encode_folder`.

    Returns
    -------
    int
        How many videos could not be looked at.
    """
    from genre_classifier.dataset.encoding import encode_folder

    failed: dict[str, InputError] = {}
    with progress_bar(0, "encoding", "frame") as bar:
        folders = encode_folder(
            clips,
            config,
            encoders=encoders,
            limits=limits,
            jobs=jobs,
            scheduler=scheduler,
            on_start=lambda frames: bar.reset(total=frames),
            on_frames=bar.update,
            on_failed=failed.__setitem__,
        )
    for error in failed.values():
        note(str(error))
    for folder, count in folders.items():
        say(f"{folder}: {count} clips encoded")
    if failed:
        note(
            f"{len(failed)} of {len(failed) + min(folders.values())} clips have no looks: their videos could not be "
            "looked at; leave them out of the labels to train without them"
        )
    return len(failed)
