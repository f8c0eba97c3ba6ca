"""Exports: what was tagged, for other programs.

Out: `export.export_tags` writes a tags folder as files of the programs in which people work with video; each format is
a module of functions from a tagged video to text, named in `FORMATS`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from preprocessing.base.errors import InputError
from preprocessing.base.files import abbreviated_repr

AUTO = "auto"  # start timecode: what the video's file says
BASE_URL = "http://localhost:8000"
FORMATS = {  # and what reads each
    "eaf": "ELAN",
    "otio": "OpenTimelineIO",
    "edl": "CMX 3600, a list for each genre",
    "iiif": "Presentation 3",
    "mmif": "CLAMS",
    "chapters": "FFmpeg, WebVTT",
}


def require_known(names: Iterable[str], known: Collection[str], option: str) -> None:
    """Raise InputError if an option names an unknown format."""
    for name in names:
        if name not in known:
            raise InputError(f"{option}: expected one or more of {', '.join(known)}, found {abbreviated_repr(name)}")
