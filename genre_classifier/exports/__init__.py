"""Exports, for other programs: what was tagged, and the network that tags.

Out: `export.export_tags` writes a tags folder as files of the programs in which people work with video; each format is
a module of functions from a tagged video to text, named in `export.FORMATS`. `export_model.export_model` writes the
network of a run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from preprocessing.base.errors import InputError
from preprocessing.base.files import abbreviated_repr

AUTO = "auto"  # start timecode: what the video's file says
BASE_URL = "http://localhost:8000"


def require_known(names: Iterable[str], known: Collection[str], option: str) -> None:
    """Refuse formats that an option names and nobody knows (InputError)."""
    for name in names:
        if name not in known:
            raise InputError(f"{option}: expected one or more of {', '.join(known)}, found {abbreviated_repr(name)}")
