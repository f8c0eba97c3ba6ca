"""Where a command takes a run: a folder, or the address of a run on the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from genre_classifier.run_folder.layout import HUB


class RunPath(click.Path):
    """A path; what an address leads to is fetched, and becomes the path of its copy."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Turn the text into a path."""
        if isinstance(value, str) and value.startswith(HUB):
            from genre_classifier.run_folder.hub import fetch_run

            return fetch_run(value)
        return super().convert(value, param, ctx)
