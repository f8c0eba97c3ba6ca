"""Simple scorers that a network must beat to be worth its time, fitted on the same training trailers.

- `prevalence_scores`: the share of each genre among the training frames, for every frame.
- `fit` of one of `RECIPES`: logistic regression on what its senses say of the frame, or of the whole trailer.
- `trailer_average`: a model's own scores, averaged over each trailer; what remains above it is what time adds.

A sense describes frames in numbers of one kind. Each is scaled by itself before it meets the others, for large numbers
would hide small ones; and where it has more numbers than a few trailers can tell apart, it is reduced by itself to its
principal components.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from genre_classifier.dataset import frame_features
from genre_classifier.dataset.looks import HeldLooks, open_looks
from genre_classifier.dataset.trailers import Trailer
from preprocessing.clips import load_clip, open_array

# Frames that a logistic regression is fitted on: enough for 116 features, few enough for seconds.
TRAINING_FRAMES = 20_000

# What there is of a trailer, by name; every array has the same frames.
PIXELS, MAPS = "pixels", "maps"
Arrays = Mapping[str, Any]

_LEAST_SPREAD = 1e-3  # of the largest: a component below it is rounding


@dataclasses.dataclass(frozen=True)
class Sense:
    """One kind of numbers about frames.

    Attributes
    ----------
    source : str
        Of which of a trailer's `Arrays`.
    features : callable
        (array, times in seconds, indices of frames) -> ndarray (frames, features).
    components : int, optional
        Principal components that stay of the features; all features where not given.
    """

    source: str
    features: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    components: int | None = None


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a baseline is made.

    Attributes
    ----------
    senses : tuple of Sense
    whole_trailers : bool
        Learn and score trailers, by the means of what is sensed over their frames, in place of frames.
    inverse_regularization : float
        `C` of scikit-learn's logistic regression: smaller leans less on each number.
    """

    senses: tuple[Sense, ...]
    whole_trailers: bool = False
    inverse_regularization: float = 1.0


def _maps_and_change(maps: np.ndarray | HeldLooks, times: np.ndarray, frames: np.ndarray) -> np.ndarray:
    if isinstance(maps, HeldLooks):
        return maps[frames][:, : maps.shape[1] - 2].astype(np.float32)
    return frame_features.maps_and_change(maps, times, frames)


_COLOURS = Sense(PIXELS, lambda clip, times, frames: frame_features.colour_histograms(clip, frames))
_COLOURS_AND_CHANGE = Sense(PIXELS, lambda clip, times, frames: frame_features.colours_and_differences(clip, frames))
_MOVEMENT = Sense(PIXELS, frame_features.movement)
# Of two and a half thousand numbers: with all of them, a baseline overfits few trailers.
_EYE = Sense(MAPS, _maps_and_change, components=32)

RECIPES: dict[str, Recipe] = {
    "colour_histogram": Recipe((_COLOURS,)),
    "colour_and_motion": Recipe((_COLOURS_AND_CHANGE,)),
    "movement": Recipe((_MOVEMENT,)),
    "encoder_frames": Recipe((_EYE,), inverse_regularization=0.1),
    "encoder_trailers": Recipe((_EYE,), whole_trailers=True, inverse_regularization=0.1),
}


def arrays_of(trailer: Trailer, *, grey_channels: int = 0) -> dict[str, np.ndarray]:
    """Open what there is of a trailer; nothing is read yet.

    Parameters
    ----------
    trailer : Trailer
    grey_channels : int
        How many of the last channels of its encoded clip are pixels of its grey picture. They are not
        the encoder's work, and `movement` looks at the pixels themselves.
    """
    found: dict[str, Any] = {PIXELS: load_clip(trailer.clip)}
    if trailer.encoded is not None:
        maps = open_array(trailer.encoded, "an encoded clip (.npy)")
        found[MAPS] = maps[:, : maps.shape[1] - grey_channels]
    elif trailer.looks is not None:
        found[MAPS] = open_looks(trailer.looks, trailer.times)
    return found


def possible(sources: Collection[str]) -> list[str]:
    """Return the names of the recipes for which there is everything that they look at."""
    return [name for name, recipe in RECIPES.items() if all(sense.source in sources for sense in recipe.senses)]


@dataclasses.dataclass(frozen=True)
class _Scaled:
    """A sense with the scale of its numbers in training: mean 0, standard deviation 1, after PCA where there is one."""

    sense: Sense
    steps: tuple[Any, ...]

    @classmethod
    def fit(cls, sense: Sense, x: np.ndarray, seed: int) -> tuple[_Scaled, np.ndarray]:
        """Return it with the training rows, scaled."""
        steps: list[Any] = [StandardScaler()]
        x = steps[0].fit_transform(x)
        if sense.components:
            most = max(1, min(sense.components, len(x) - 1, x.shape[1]))
            pca = PCA(most, svd_solver="randomized", random_state=seed)
            with np.errstate(invalid="ignore"):  # of numbers that never vary
                x = pca.fit_transform(x)
            spread = np.sqrt(pca.explained_variance_)
            kept = max(1, int((spread > _LEAST_SPREAD * spread[0]).sum()))
            pca.components_ = pca.components_[:kept]
            steps += [pca, StandardScaler()]
            x = steps[-1].fit_transform(x[:, :kept])
        return cls(sense, tuple(steps)), x

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Scale other rows."""
        for step in self.steps:
            x = step.transform(x)
        return x


def _rows(sense: Sense, recipe: Recipe, arrays: Arrays, times: np.ndarray, frames: np.ndarray) -> np.ndarray:
    described = sense.features(arrays[sense.source], times, frames)
    return described.mean(axis=0, keepdims=True) if recipe.whole_trailers else described


@dataclasses.dataclass(frozen=True)
class Baseline:
    """A fitted recipe: one logistic regression per genre.

    Attributes
    ----------
    recipe : Recipe
    senses : tuple
        Its senses, with the scales of training.
    classifiers : tuple
        Per genre a fitted classifier, or the constant score of a genre that training showed nowhere or everywhere.
    """

    recipe: Recipe
    senses: tuple[_Scaled, ...]
    classifiers: tuple[Any, ...]

    def score(self, arrays: Arrays, times: np.ndarray) -> np.ndarray:
        """Score every frame of a trailer, shown at `times` (seconds): float32, shape (frames, genres), in [0, 1]."""
        frames = np.arange(len(times))
        x = np.hstack(
            [scaled.transform(_rows(scaled.sense, self.recipe, arrays, times, frames)) for scaled in self.senses]
        )
        columns = [
            np.full(len(x), classifier) if isinstance(classifier, float) else classifier.predict_proba(x)[:, 1]
            for classifier in self.classifiers
        ]
        scores = np.column_stack(columns).astype(np.float32)
        return np.repeat(scores, len(times), axis=0) if self.recipe.whole_trailers else scores


def fit(
    name: str,
    trailers: Sequence[Arrays],
    times: Sequence[np.ndarray],
    targets: Sequence[np.ndarray],
    *,
    seed: int = 0,
    frames: int = TRAINING_FRAMES,
) -> Baseline:
    """Fit logistic regressions, one per genre.

    Parameters
    ----------
    name : str
        A key of `RECIPES`.
    trailers : sequence of mapping of str to ndarray
        Training trailers: `PIXELS`, uint8 (frames, 3, rows, cols), `MAPS`, float (frames, channels, rows, cols), as far
        as the recipe looks at them; memory-mapped ones are read only where needed.
    times : sequence of ndarray, each (frames,)
        Seconds of their frames.
    targets : sequence of ndarray, each (frames, genres)
        1 where the frame shows the genre; weak labels hold for every frame. Of a whole trailer the share of its frames
        is learned.
    seed : int
        Of the choice of frames.
    frames : int
        Most frames to fit on, drawn without replacement from all trailers together.
    """
    recipe = RECIPES[name]
    if not trailers or len(trailers) != len(targets):
        raise ValueError(f"expected as many trailers as targets, at least one; got {len(trailers)} and {len(targets)}")
    lengths = np.array([len(own) for own in times])
    total = int(lengths.sum())
    taken = np.sort(np.random.default_rng(seed).choice(total, min(frames, total), replace=False))
    starts = np.concatenate([[0], np.cumsum(lengths)])
    chosen = {
        index: taken[(taken >= start) & (taken < stop)] - start
        for index, (start, stop) in enumerate(itertools.pairwise(starts))
    }
    chosen = {index: own for index, own in chosen.items() if len(own)}
    senses, parts = [], []
    for sense in recipe.senses:
        described = [_rows(sense, recipe, trailers[index], times[index], own) for index, own in chosen.items()]
        scaled, part = _Scaled.fit(sense, np.concatenate(described), seed)
        senses.append(scaled)
        parts.append(part)
    shown = [np.asarray(targets[index])[own] > 0.5 for index, own in chosen.items()]
    shares = np.array([one.mean(axis=0) for one in shown]) if recipe.whole_trailers else np.concatenate(shown)
    x = np.hstack(parts)
    classifiers = (_classifier(x, share, recipe.inverse_regularization) for share in shares.T.astype(np.float64))
    return Baseline(recipe, tuple(senses), tuple(classifiers))


def _classifier(x: np.ndarray, share: np.ndarray, inverse_regularization: float) -> Any:
    """Fit one genre; a row of which a share shows it counts as much for it, and the rest against it."""
    if share.mean() in (0.0, 1.0):
        return float(share.mean())
    rows = np.concatenate([np.flatnonzero(share > 0), np.flatnonzero(share < 1)])
    positive = np.arange(len(rows)) < (share > 0).sum()
    weights = np.where(positive, share[rows], 1 - share[rows])
    regression = LogisticRegression(C=inverse_regularization, max_iter=300)
    return regression.fit(x[rows], positive, sample_weight=weights)


def prevalence_scores(targets: Sequence[np.ndarray]) -> np.ndarray:
    """Return the share of each genre over all training frames: float32, shape (genres,)."""
    return np.concatenate([np.asarray(target) > 0.5 for target in targets]).mean(axis=0).astype(np.float32)


def trailer_average(scores: np.ndarray, trailer_of_frame: np.ndarray) -> np.ndarray:
    """Replace every frame's scores by their mean over its trailer.

    Parameters
    ----------
    scores : ndarray, shape (frames, genres)
    trailer_of_frame : ndarray of int, shape (frames,)
        0 ... trailers - 1.
    """
    frames = np.bincount(trailer_of_frame)
    sums = np.column_stack([np.bincount(trailer_of_frame, weights=column) for column in scores.T])
    return (sums / np.maximum(frames, 1)[:, None])[trailer_of_frame].astype(np.float32)
