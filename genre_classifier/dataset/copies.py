"""The same video under two names: a network must not be judged by what it has learned.

Files of equal bytes are one group, so that they are never split. Near copies, of another size or codec, are found by
tiny grey pictures at equal times of their clips, and are named.
"""

from __future__ import annotations

import dataclasses
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import pandas as pd

from genre_classifier.dataset.trailer_labels import own_group
from genre_classifier.dataset.trailers import Trailer
from preprocessing.base.files import abbreviated_repr
from preprocessing.clips import load_clip

logger = logging.getLogger(__name__)

PICTURES = 8  # of each clip, at equal shares of its time
_SIDE = 8  # cells of a picture's side
_LEAST_CHANGE = 1.0  # grey levels, root of the mean square; a picture that changes less says nothing
_ALIKE = 0.8  # mean correlation of the pictures of near copies
_SAME_LENGTH = 0.02  # share of the seconds by which near copies may differ
_ROWS = 1024  # compared at once
_MOST_NAMED = 5


def group_copies(trailers: Sequence[Trailer], manifest: pd.DataFrame) -> list[Trailer]:
    """Return trailers in which those whose files have equal bytes are one group; which they are is logged.

    Parameters
    ----------
    trailers : sequence of Trailer
    manifest : DataFrame
        Of their clips folder.
    """
    digests = dict(zip(manifest["trailer_id"], manifest["sha256"], strict=True))
    of_digest: dict[str, list[Trailer]] = defaultdict(list)
    for trailer in trailers:
        if digest := digests.get(trailer.trailer_id):
            of_digest[digest].append(trailer)
    copies = [same for same in of_digest.values() if len(same) > 1]
    joined: dict[str, str] = {}

    def group_of(name: str) -> str:
        while name in joined:
            name = joined[name]
        return name

    for same in copies:
        named = sorted({group_of(one.group) for one in same if one.group != own_group(one.trailer_id)})
        name = named[0] if named else f"copies of {same[0].source}"
        for group in {group_of(one.group) for one in same} - {name}:
            joined[group] = name
    if copies:
        logger.warning(
            f"{len(copies)} videos are there under several names (equal bytes): {_listed(copies)}; each is one group "
            "for the splits"
        )
    return [dataclasses.replace(trailer, group=group_of(trailer.group)) for trailer in trailers]


def note_near_copies(parts: Mapping[str, Sequence[Trailer]]) -> None:
    """Log which trailers of different splits look like copies of one video."""
    split_of = {trailer.trailer_id: split for split, part in parts.items() for trailer in part}
    trailers = sorted((trailer for part in parts.values() for trailer in part), key=lambda one: one.trailer_id)
    pairs = [
        (trailers[one], trailers[other])
        for one, other in near_copies(trailers)
        if split_of[trailers[one].trailer_id] != split_of[trailers[other].trailer_id]
    ]
    if pairs:
        logger.warning(
            f"{len(pairs)} pairs of trailers in different splits look like one video: {_listed(pairs)}; where they "
            "are, give them one group in the labels, or the network is judged by what it has learned"
        )


def near_copies(trailers: Sequence[Trailer]) -> list[tuple[int, int]]:
    """Find clips that show the same at equal times.

    A picture is compared without what its clip shows all the time, so that two films of one camera are not copies, and
    without its brightness. A clip that never changes is not a copy.

    Parameters
    ----------
    trailers : sequence of Trailer
        Few frames of their clips are read.

    Returns
    -------
    list of (int, int)
        Positions of both clips, the smaller one first.
    """
    if not trailers:
        return []
    pictures = np.stack([_pictures(trailer) for trailer in trailers])
    seconds = np.array([trailer.times[-1] - trailer.times[0] for trailer in trailers])
    pairs = []
    for first in range(0, len(trailers), _ROWS):
        rows = slice(first, first + _ROWS)
        alike = pictures[rows] @ pictures.T > _ALIKE
        longer = np.maximum(seconds[rows, None], seconds)
        alike &= np.abs(seconds[rows, None] - seconds) <= _SAME_LENGTH * longer
        pairs += [(int(one) + first, int(other)) for one, other in zip(*np.nonzero(alike), strict=True)]
    return [(one, other) for one, other in pairs if one < other]


def _pictures(trailer: Trailer) -> np.ndarray:
    """Return what changes in a clip, tiny: float32 (pictures x cells,), so that a product of two is a correlation."""
    clip, times = load_clip(trailer.clip), trailer.times
    wanted = times[0] + (np.arange(PICTURES) + 0.5) / PICTURES * (times[-1] - times[0])
    frames = np.abs(times[:, None] - wanted).argmin(axis=0)
    planes = (
        np.array(clip[frame, 1], np.float32) for frame in frames
    )  # green is nearly grey, for a third of the reading
    tiny = [cv2.resize(plane, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) for plane in planes]
    pictures = np.stack(tiny).reshape(PICTURES, -1)
    pictures -= pictures.mean(axis=0)
    pictures -= pictures.mean(axis=1, keepdims=True)
    sizes = np.linalg.norm(pictures, axis=1, keepdims=True)
    changed = sizes >= _LEAST_CHANGE * _SIDE
    pictures = np.where(changed, pictures / np.where(changed, sizes, 1), 0)
    return np.asarray(pictures.ravel() / np.sqrt(max(1, changed.sum())), np.float32)


def _listed(copies: Sequence[Sequence[Trailer]]) -> str:
    named = ["(" + ", ".join(abbreviated_repr(one.source) for one in same) + ")" for same in copies[:_MOST_NAMED]]
    return ", ".join(named) + (f" and {len(copies) - _MOST_NAMED} more" if len(copies) > _MOST_NAMED else "")
