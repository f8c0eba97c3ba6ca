"""`genre-classifier preprocess`: a folder of videos to a folder of clips."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from genre_classifier.cli.config_options import GroupedCommand, config_options, given, sharing_options
from genre_classifier.cli.output import note, say
from genre_classifier.cli.progress import progress_bar
from genre_classifier.config import DEFAULT_ENCODER, PRESETS, EncoderConfig
from preprocessing.config import ClipConfig, VideoLimits

_NO_ENCODER = dataclasses.replace(DEFAULT_ENCODER, encoder=None)


@click.command(cls=GroupedCommand)
@click.argument("trailers", type=click.Path(path_type=Path))
@click.argument("clips", type=click.Path(path_type=Path))
@click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    help="The clips that `train` with this preset wants; the options below change them.  [default: that of CLIPS, or "
    "article]",
)
@config_options(ClipConfig())
@sharing_options
@config_options(VideoLimits())
@config_options(_NO_ENCODER)
@click.option("--strict", is_flag=True, help="Exit with 1 when any video could not be read, or looked at.")
def command(
    trailers: Path,
    clips: Path,
    jobs: int | None,
    scheduler: str | None,
    strict: bool,
    preset: str | None,
    **options: Any,
) -> int:
    """Turn the videos of the folder TRAILERS into clips in the folder CLIPS.

    Videos that are done are skipped, so a run that was interrupted goes on where it stopped, and new videos are added.
    With --encoder or --sound-encoder, what `encode` makes is made too, while each video is decoded.

    \b
    Example:
      genre-classifier preprocess trailers/ clips/ --preset small-data
      genre-classifier preprocess trailers/ clips/ --frames 1000 --size 400
      genre-classifier preprocess trailers/ clips/ --preset pretrained --encoder EfficientNetV2B0
    """
    from genre_classifier.cli.encode import encode
    from preprocessing.clips import read_clip_preset
    from preprocessing.pipeline import preprocess_directory
    from preprocessing.sources import find_videos

    preset = preset or read_clip_preset(clips)
    base = PRESETS[preset].clips if preset in PRESETS else ClipConfig()
    config, limits = dataclasses.replace(base, **given(options, ClipConfig)), VideoLimits(**given(options, VideoLimits))
    total = len(find_videos(trailers))
    pretrained = given(options, EncoderConfig)
    encoding, encoders, beside = dataclasses.replace(_NO_ENCODER, **pretrained), None, None
    if pretrained:
        from genre_classifier.dataset.encoding import LooksBeside, build_encoders

        encoders = build_encoders(encoding, config.size, config.size)
        if encoders.eye is not None and encoders.looks_per_second is not None:
            beside = LooksBeside(clips, encoders.eye, encoders.looks_per_second)
    failed = kept = lossy = decoded = 0
    with progress_bar(total, "preprocess", "video") as bar:

        def show(row: dict[str, Any], fresh: bool) -> None:
            nonlocal failed, kept, lossy, decoded
            failed += row["status"] == "failed"
            if row["error"]:
                still = row["status"] == "ok"  # from an earlier run
                kept += still
                with bar.external_write_mode():
                    note(f"{row['source']}: {row['error']}{' (its clip is kept)' if still else ''}")
            lossy += (row.get("skipped_packets") or 0) > 0
            decoded += (row.get("decoded_frames") or 0) if fresh else 0
            bar.set_postfix_str(f"{decoded / max(bar.format_dict['elapsed'], 1e-9):.0f} frames/s, {failed} failed")
            bar.update()

        preprocess_directory(
            trailers,
            clips,
            config=config,
            jobs=jobs,
            scheduler=scheduler,
            limits=limits,
            preset=preset,
            beside=beside,
            on_progress=show,
        )
    say(f"{clips}: {total - failed} of {total} videos ready, {failed} failed")
    if kept:
        note(f"{kept} of them could not be read again; their clips are kept")
    if lossy:
        note(f"{lossy} of them lost frames to damaged packets (skipped_packets in the manifest)")
    unseen = 0
    if encoders is not None and failed < total:
        unseen = encode(clips, encoding, encoders=encoders, limits=limits, jobs=jobs, scheduler=scheduler)
    return int(failed + kept + unseen > 0 and strict)
