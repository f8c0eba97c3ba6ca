"""`genre-classifier export-model`: the trained network for programs that do not have this package."""

from __future__ import annotations

from pathlib import Path

import click

from genre_classifier.cli.config_options import RunPath
from genre_classifier.cli.output import note, say
from genre_classifier.exports import require_known


@click.command("export-model")
@click.argument("run", type=RunPath())
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "formats",
    required=True,
    metavar="FORMATS",
    help="One or more of savedmodel (TensorFlow), onnx, with commas between.",
)
def command(run: Path, out: Path, formats: str) -> None:
    """Write the network of the run RUN into the folder OUT: one step per frame, with the state in and out.

    model.json beside it says the inputs and outputs, how frames are made of a video, and what the scores mean.
    Each file is run over a few frames first, and is written only if its scores are those of the network.

    \b
    Example:
      genre-classifier export-model runs/mine model/ --to onnx
      genre-classifier export-model runs/mine model/ --to savedmodel,onnx
    """
    from genre_classifier.run_folder.export_model import MODEL_FORMATS, export_model
    from genre_classifier.run_folder.run import load_run

    wanted = formats.split(",")
    require_known(wanted, MODEL_FORMATS, "--to")
    differences = export_model(load_run(run), out, wanted, on_file=lambda path: say(str(path)))
    for name, difference in differences.items():
        note(f"{name}: scores differ from those of the network by at most {difference:.1g}")
