"""`genre-classifier encode`: the clips of a folder through a pretrained image network, once and for all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from genre_classifier.cli.config_options import config_options, given, sharing_options
from genre_classifier.cli.output import say
from genre_classifier.cli.progress import progress_bar
from genre_classifier.config import EncoderConfig
from genre_classifier.presets import DEFAULT_ENCODER
from preprocessing.base.errors import InputError


@click.command()
@click.argument("clips", type=click.Path(path_type=Path))
@config_options(DEFAULT_ENCODER)
@sharing_options
def command(clips: Path, jobs: int | None, scheduler: str | None, **options: Any) -> None:
    """Send every clip of the folder CLIPS through a pretrained image network, and keep what it sees in CLIPS/encoded.

    `train` does this for the clips that it needs; here it is done for all, by several processes. Clips that are encoded
    are skipped, so what was interrupted goes on where it stopped.

    \b
    Example:
      genre-classifier encode clips/ --encoder EfficientNetV2B0
      genre-classifier encode clips/ --encoder mobilenet_v2.keras --jobs 2
    """
    import dataclasses

    from genre_classifier.dataset.encoded import encode_clips
    from genre_classifier.network.encoder import build_encoder
    from preprocessing.clips import clip_path, load_clip
    from preprocessing.manifest import read_manifest

    config = dataclasses.replace(DEFAULT_ENCODER, **given(options, EncoderConfig))
    manifest = read_manifest(clips)
    paths = [clip_path(clips, int(number)) for number in manifest.loc[manifest["status"] == "ok", "trailer_id"]]
    if not paths:
        raise InputError(f"{clips}: expected clips to encode, found none")
    encoder = build_encoder(config, *load_clip(paths[0]).shape[2:])
    with progress_bar(0, "encoding", "frame") as bar:

        def on_start(frames: int) -> None:
            bar.reset(total=frames)

        folder = encode_clips(
            paths, clips, encoder, jobs=jobs, scheduler=scheduler, on_start=on_start, on_frames=bar.update
        )
    say(f"{folder}: {len(paths)} clips encoded")
