"""ELAN annotations as labels (`pympi-ling`): a tier for each genre, or one tier whose annotations name them.

One file is about one video, the first that it links. Its media offset, which ELAN writes as `TIME_ORIGIN`
(milliseconds), is the time of the video at which that of the annotations is 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from genre_classifier.dataset.label_rows import Row, read_name
from preprocessing.base.errors import InputError
from preprocessing.base.extras import require_extra
from preprocessing.base.files import abbreviated_repr

_EXPECTED = "ELAN annotations (.eaf)"
_OFFSET = re.compile(r"[+-]?[0-9]{1,15}")
_FURTHEST = 100  # how many annotations or tiers a chain of references may go over; a person's go over a few
NAMED_BY_VALUES = ("default", "genre", "genres")  # tiers, in any case of letters, whose annotations say the genre


def read_elan(path: Path) -> Iterator[Row]:
    """Yield the labels of a file.

    Raises
    ------
    InputError
        If it cannot be read, links no video, gives a media offset that is no whole number, or `pympi-ling` is missing.
    """
    elan = require_extra("pympi.Elan", "pympi-ling", extra="export")
    try:
        document = elan.Eaf(str(path), suppress_version_warning=True)
        _require_ends(path, {tier: parts[2].get("PARENT_REF") for tier, parts in document.tiers.items()}, "tiers")
        references = {one: document.tiers[tier][1].get(one) for one, tier in document.annotations.items()}
        _require_ends(path, {one: reference and reference[0] for one, reference in references.items()}, "annotations")
        links = [
            (str(link.get("RELATIVE_MEDIA_URL") or link["MEDIA_URL"]), str(link.get("TIME_ORIGIN", "0")))
            for link in document.get_linked_files()
        ]
        spans = [
            (str(tier), float(start), float(end), str(value))
            for tier in document.get_tier_names()
            for start, end, value, *_ in sorted(document.get_annotation_data_for_tier(tier))
        ]
    except InputError:
        raise
    except Exception as error:  # pympi has none of its own
        raise InputError(
            f"{path}: expected {_EXPECTED}, found what cannot be read ({abbreviated_repr(str(error))})"
        ) from error
    if not links:
        raise InputError(f"{path}: expected {_EXPECTED} with a linked video, found no link")
    link, offset = links[0]
    trailer = read_name(path, "the linked video", unquote(urlsplit(link).path).rsplit("/", 1)[-1])
    if not _OFFSET.fullmatch(offset):
        raise InputError(
            f"{path}: expected {_EXPECTED} with whole milliseconds as the TIME_ORIGIN of the linked video, "
            f"found {abbreviated_repr(offset)}"
        )
    for tier, start, end, value in spans:
        genre = value if tier.lower() in NAMED_BY_VALUES else tier
        where = f"tier {abbreviated_repr(tier)}, at {start / 1000:g} s"  # as ELAN shows it
        yield where, trailer, (start + int(offset)) / 1000, (end + int(offset)) / 1000, genre, None


def _require_ends(path: Path, references: Mapping[str, str | None], what: str) -> None:
    """Refuse (InputError) references that never end, or go so far that following each one takes for ever."""
    lengths: dict[str, int] = {}
    for start in references:
        way: list[str] = []
        name = start
        while name not in lengths and (following := references.get(name)):
            lengths[name] = -1  # on the way
            way.append(name)
            name = following
        length = lengths.get(name, 0)
        if length < 0:
            raise InputError(
                f"{path}: expected {_EXPECTED}, found {what} that refer to each other in a circle "
                f"({abbreviated_repr(name)})"
            )
        for one in reversed(way):
            length += 1
            lengths[one] = length
        if length > _FURTHEST:
            raise InputError(
                f"{path}: expected {_EXPECTED}, found {what} whose references go over more than {_FURTHEST} others"
            )
