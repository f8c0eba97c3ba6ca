"""`genre-classifier preprocess`: a folder of videos to a folder of clips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from genre_classifier.cli.progress import progress_bar
from preprocessing.config import FITS, ClipConfig

DEFAULTS = ClipConfig()


@click.command()
@click.argument("trailers", type=click.Path(path_type=Path))
@click.argument("clips", type=click.Path(path_type=Path))
@click.option("--frames", default=DEFAULTS.frames, show_default=True, help="Most frames of a clip.")
@click.option("--size", default=DEFAULTS.size, show_default=True, help="Rows and columns of a frame, in pixels.")
@click.option(
    "--fps", type=float, default=DEFAULTS.fps, help="Frames per second; default: spread over the whole video."
)
@click.option(
    "--fit", type=click.Choice(FITS), default=DEFAULTS.fit, show_default=True, help="How frames become square."
)
@click.option("--trim-bars", is_flag=True, default=DEFAULTS.trim_bars, help="Remove constant black bars first.")
@click.option("--jobs", type=int, help="Videos at once; default: the cores.")
@click.option("--strict", is_flag=True, help="Exit with 1 when any video failed.")
def command(trailers: Path, clips: Path, jobs: int | None, strict: bool, **options: Any) -> int:
    r"""Turn the videos of the folder TRAILERS into clips in the folder CLIPS.

    \b
    Example:
      genre-classifier preprocess trailers/ clips/ --frames 1000 --size 400
    """
    from preprocessing.pipeline import find_videos, preprocess_directory

    with progress_bar(len(find_videos(trailers)), "preprocess", "video") as bar:

        def show(row: dict[str, Any]) -> None:
            bar.update()
            if row["status"] == "failed":
                bar.write(f"{row['source']}: {row['error']}")

        manifest = preprocess_directory(trailers, clips, config=ClipConfig(**options), jobs=jobs, on_progress=show)
    failed = int((manifest["status"] == "failed").sum())
    click.echo(f"{len(manifest) - failed} clips in {clips}, {failed} failed")
    return int(failed > 0 and strict)
