"""Why a trailer is suggested: what its scores say, and that in a sentence. Pure functions over score tables."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from genre_classifier.evaluation.suggestions.acquisition import frame_entropy, frame_margin

_OUTSTANDING = 2 / 3  # more unsure, or more distant, than this share of the candidates is worth a word
_MOST = 0.5  # of the frames


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What the scores of a trailer say.

    Attributes
    ----------
    entropy, margin : float
        Means over frames.
    moment : float
        Seconds of the frame with the highest entropy.
    none_share : float
        Share of the frames in which no genre reaches its threshold.
    rivals : tuple of str
        The two genres that most often come first and second, or the only genre.
    """

    entropy: float
    margin: float
    moment: float
    none_share: float
    rivals: tuple[str, ...]


class Limits(NamedTuple):
    """Beyond what a number is high (entropy, distance) or low (margin) among the candidates."""

    entropy: float
    margin: float
    distance: float


def evidence(scores: pd.DataFrame, thresholds: Mapping[str, float]) -> Evidence:
    """Gather what calibrated scores of a trailer, a column per genre, indexed by seconds, say for labelling it."""
    values = scores.to_numpy()
    genres = [str(genre) for genre in scores.columns]
    entropy = frame_entropy(values)
    none = (values < np.array([thresholds[genre] for genre in genres])).all(axis=1)
    leading = np.argsort(-values, axis=1, kind="stable")[:, :2]
    pairs = Counter(tuple(sorted(pair)) for pair in leading.tolist())
    return Evidence(
        entropy=float(entropy.mean()),
        margin=float(frame_margin(values).mean()),
        moment=float(scores.index[int(np.argmax(entropy))]),
        none_share=float(none.mean()),
        rivals=tuple(genres[genre] for genre in pairs.most_common(1)[0][0]),
    )


def limits_of(entropy: np.ndarray, margin: np.ndarray, distance: np.ndarray) -> Limits:
    """Return the limits of the numbers of all candidates, each of shape (candidates,)."""
    return Limits(
        float(np.quantile(entropy, _OUTSTANDING)),
        float(np.quantile(margin, 1 - _OUTSTANDING)),
        float(np.quantile(distance, _OUTSTANDING)) if np.isfinite(distance).all() else float("inf"),
    )


def reason(found: Evidence, limits: Limits, *, distance: float, by_colours: bool, nearest: str, suggested: bool) -> str:
    """Return a sentence on why a trailer stands where it stands.

    Parameters
    ----------
    found : Evidence
    limits : Limits
    distance : float
        From the nearest trailer; NaN where there is none.
    by_colours : bool
        Whether colours, more than movement, make the distance.
    nearest : str
        Source of the nearest trailer, "" where there is none.
    suggested : bool
        Whether that is an earlier suggestion, not a labelled trailer.
    """
    parts = []
    if found.entropy >= limits.entropy:
        parts.append("the network is less sure of it than of most")
    if found.none_share >= _MOST:
        parts.append(f"no genre reaches its threshold in {found.none_share:.0%} of its frames")
    elif found.margin <= limits.margin and len(found.rivals) == 2:
        parts.append(f"{found.rivals[0]} and {found.rivals[1]} are close in it")
    if distance >= limits.distance:
        what = "colours are" if by_colours else "movement is"
        parts.append(f"its {what} unlike what is labelled")
    elif nearest and not parts:
        place = "suggested before it" if suggested else "labelled"
        parts.append(f"nothing stands out; it is most like {nearest}, which is {place}")
    text = "; ".join(parts) or "nothing stands out"
    return text[0].upper() + text[1:]
