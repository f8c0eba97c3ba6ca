"""`genre-classifier export`: tagged videos to files of the programs in which people work with video."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import click

from genre_classifier.cli.config_options import require_use, value_option
from genre_classifier.cli.output import say_files
from genre_classifier.exports import AUTO, BASE_URL, FORMATS
from preprocessing.base.options import Positive, option

_FPS = Annotated[Positive | None, option("Rate of the videos; none: what their files say.", unit="frames per second")]


@click.command()
@click.argument("tags", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "formats",
    required=True,
    metavar="FORMATS",
    help=f"One or more of {', '.join(f'{name} ({reader})' for name, reader in FORMATS.items())}, with commas between.",
)
@value_option("--fps", _FPS, default=None)
@click.option(
    "--start-timecode",
    default=AUTO,
    show_default=True,
    metavar="TIMECODE",
    help="Timecode of every video's first frame, for otio and edl; hh:mm:ss;ff is drop-frame; auto: what "
    "each file says.",
)
@click.option(
    "--base-url",
    default=BASE_URL,
    show_default=True,
    metavar="URL",
    help="Address at which OUT will be served, for iiif.",
)
def command(tags: Path, out: Path, formats: str, fps: float | None, start_timecode: str, base_url: str) -> None:
    """Write what `tag` found in the folder TAGS for other programs, into the folder OUT.

    \b
    Example:
      genre-classifier export tags/ elan/ --to eaf
      genre-classifier export tags/ cuts/ --to otio,edl --start-timecode 01:00:00:00
    """
    from genre_classifier.exports.export import TAGS_FORMATS, export_tags, read_formats

    wanted = read_formats(formats, option="--to")
    for option_name in ("fps", "start_timecode", "base_url"):
        users = [name for name, one in TAGS_FORMATS.items() if option_name in one.options]
        require_use(option_name, not set(users).isdisjoint(wanted), by=f"--to {' or '.join(users)}")
    export_tags(
        tags,
        out,
        wanted,
        fps=fps,
        start_timecode=start_timecode,
        base_url=base_url,
        on_video=say_files,
    )
