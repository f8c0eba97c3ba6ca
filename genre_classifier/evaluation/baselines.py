"""Simple scorers that a network must beat to be worth its time, fitted on the same training trailers.

Each is regularised logistic regression on what one sense says, or all of them; multinomial where each frame has exactly
one genre. It looks at the means over a second around each frame, or over the whole trailer. The senses are regressed
one by one, and their logits are added, each without the share of the genre, which counts once: as in the linear paths
of a network. A sense with more numbers than a few trailers can tell apart is reduced to principal components.

Beside them stand the share of each genre among the training frames, and a model's own scores averaged over trailers;
these need no pixels (`genre_classifier.evaluation.evaluate`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from genre_classifier.config import ModelConfig
from genre_classifier.dataset.sense_features import (
    COLOURS,
    Features,
    kinds_of,
    set_means,
    window_means,
)
from genre_classifier.metrics.regression import fit_components, fit_regression, prior_logits
from genre_classifier.network.senses import MOVEMENT, PICTURES, SOUND

TRAINING_FRAMES = 20_000  # that a regression by frames is fitted on: enough for its components, few enough for seconds
# Of each kind of features that are more: as many as the paths of a network use.
COMPONENTS = {PICTURES: ModelConfig.path_components[0], SOUND: ModelConfig.sound_components[0]}
WINDOW_SECONDS = 1.0  # around a frame
SENSES = (MOVEMENT, PICTURES, SOUND)
_FEW = 128  # features that are not reduced


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a baseline is made.

    Attributes
    ----------
    senses : tuple of str
    seconds : float or None
        Around a frame, of which the means are learned and scored; 0 for the frame alone, None for the whole trailer.
    """

    senses: tuple[str, ...]
    seconds: float | None


RECIPES: dict[str, Recipe] = {
    "colour_histogram": Recipe((COLOURS,), 0.0),
    **{
        f"{name}_{by}": Recipe(senses, seconds)
        for name, senses in (*((sense, (sense,)) for sense in SENSES), ("all", SENSES))
        for by, seconds in (("frames", WINDOW_SECONDS), ("trailers", None))
    },
}


def possible(senses: Collection[str]) -> list[str]:
    """Return the names of the recipes that these senses make; all together are two or more."""
    known = {*senses, COLOURS}
    return [name for name, recipe in RECIPES.items() if len(known & {*recipe.senses}) >= min(2, len(recipe.senses))]


@dataclasses.dataclass(frozen=True)
class Path:
    """From a sense's features to logits.

    Attributes
    ----------
    components : tuple
        Of each kind of features: kernel and shift; see `genre_classifier.metrics.regression.fit_components`.
    kernel : ndarray, shape (components, genres)
    bias : ndarray, shape (genres,)
    """

    components: tuple[tuple[np.ndarray, np.ndarray], ...]
    kernel: np.ndarray
    bias: np.ndarray

    def logits(self, means: np.ndarray) -> np.ndarray:
        """Return logits, (rows, genres); 0 where nothing is known."""
        return (_reduced(means, self.components) @ self.kernel + self.bias) * means[:, -1:]


def _reduced(means: np.ndarray, components: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    places = np.cumsum([0, *(len(kernel) for kernel, _ in components)])
    return np.hstack(
        [
            means[:, place : place + len(kernel)] @ kernel + shift
            for place, (kernel, shift) in zip(places, components, strict=False)
        ]
    )


@dataclasses.dataclass(frozen=True)
class Baseline:
    """A fitted recipe.

    Attributes
    ----------
    recipe : Recipe
    paths : dict of str to Path
        By sense.
    prior : ndarray, shape (genres,)
        The logits of what is known before anything is seen.
    exclusive : bool
        Whether each frame has exactly one genre.
    """

    recipe: Recipe
    paths: dict[str, Path]
    prior: np.ndarray
    exclusive: bool

    def score(self, senses: Mapping[str, Features], times: np.ndarray) -> np.ndarray:
        """Score every frame of a trailer, shown at `times` (seconds): float32, shape (frames, genres), in [0, 1]."""
        logits = np.tile(self.prior.astype(np.float64), (len(times), 1))
        for sense, path in self.paths.items():
            if self.recipe.seconds is None:
                logits += path.logits(set_means(senses[sense], [np.ones(len(times), dtype=bool)]))
                continue
            for start, means in window_means(senses[sense], times, self.recipe.seconds):
                logits[start : start + len(means)] += path.logits(means)
        if self.exclusive:
            powers = np.exp(logits - logits.max(axis=1, keepdims=True))
            scores = powers / powers.sum(axis=1, keepdims=True)
        else:
            scores = 1 / (1 + np.exp(-np.clip(logits, -500, 500)))
        return np.asarray(scores, np.float32)


def fit(
    name: str,
    trailers: Sequence[Mapping[str, Features]],
    times: Sequence[np.ndarray],
    targets: Sequence[np.ndarray],
    *,
    labelled: Sequence[np.ndarray] | None = None,
    groups: Sequence[str] | None = None,
    seed: int = 0,
    frames: int = TRAINING_FRAMES,
) -> Baseline:
    """Fit logistic regressions.

    Parameters
    ----------
    name : str
        A key of `RECIPES`.
    trailers : sequence of mapping of str to features
        Training trailers: what the recipe's senses say of them, as far as there is anything; see
        `genre_classifier.dataset.sense_features.sense_features`.
    times : sequence of ndarray, each (frames,)
        Seconds of their frames.
    targets : sequence of ndarray, each (frames, genres)
        1 where the frame shows the genre; weak labels hold for every frame. Of a whole trailer the share of its frames
        is learned.
    labelled : sequence of ndarray of bool, each (frames,), optional
        Of which frames the labels say something; all where not given.
    groups : sequence of str, optional
        What each trailer is of, such as a collection. Regression on whole trailers has a bias for each while it is
        fitted: see `genre_classifier.metrics.regression.fit_regression`.
    seed : int
        Of the choice of frames.
    frames : int
        Most frames to fit on, drawn without replacement from all trailers together.
    """
    recipe = RECIPES[name]
    if not trailers or len(trailers) != len(targets):
        raise ValueError(f"expected as many trailers as targets, at least one; got {len(trailers)} and {len(targets)}")
    known = [np.ones(len(own), dtype=bool) for own in times] if labelled is None else list(labelled)
    chosen = known if recipe.seconds is None else _drawn(known, frames, seed)
    y_true = [np.asarray(own)[rows] > 0.5 for own, rows in zip(targets, chosen, strict=True)]
    exclusive = y_true[0].shape[1] > 1 and all((own.sum(axis=1) == 1).all() for own in y_true)
    y_true = [own.mean(axis=0, keepdims=True) if recipe.seconds is None else own for own in y_true if len(own)]
    shares = np.concatenate(y_true).astype(np.float64)
    sample_groups = None  # frames of one trailer are alike without a group
    if groups is not None and recipe.seconds is None:
        sample_groups = np.array([own for own, rows in zip(groups, chosen, strict=True) if rows.any()])
    prior, paths = prior_logits(shares, exclusive=exclusive), {}
    for sense in recipe.senses:
        if not all(sense in own for own in trailers):
            continue
        parts = [
            _rows(own[sense], shown, rows, recipe.seconds)
            for own, shown, rows in zip(trailers, times, chosen, strict=True)
            if rows.any()
        ]
        means = np.concatenate(parts)
        there = means[:, -1] > 0
        if there.any():
            known_groups = None if sample_groups is None else sample_groups[there]
            paths[sense] = _fit_path(
                means[there], shares[there], sense, prior, exclusive=exclusive, groups=known_groups
            )
    return Baseline(recipe, paths, prior, exclusive)


def _drawn(known: Sequence[np.ndarray], frames: int, seed: int) -> list[np.ndarray]:
    """Return which frames of each trailer are drawn out of those that are known."""
    every = np.concatenate(known)
    places = np.flatnonzero(every)
    taken = np.zeros(len(every), dtype=bool)
    taken[np.random.default_rng(seed).choice(places, min(frames, len(places)), replace=False)] = True
    return np.split(taken, np.cumsum([len(own) for own in known])[:-1])


def _rows(features: Features, times: np.ndarray, rows: np.ndarray, seconds: float | None) -> np.ndarray:
    if seconds is None:
        return set_means(features, [rows])
    parts = [
        means[rows[start : start + len(means)]].astype(np.float32)
        for start, means in window_means(features, times, seconds)
    ]
    return np.concatenate(parts)


def _fit_path(
    means: np.ndarray,
    shares: np.ndarray,
    sense: str,
    prior: np.ndarray,
    *,
    exclusive: bool,
    groups: np.ndarray | None,
) -> Path:
    kinds = kinds_of(sense)
    width = (means.shape[1] - kinds) // kinds
    count = width if width <= _FEW else COMPONENTS[sense]
    samples = [means[:, kind * width : (kind + 1) * width] for kind in range(kinds)]
    components = tuple(fit_components(one, count) for one in samples)
    kernel, bias = fit_regression(_reduced(means, components), shares, exclusive=exclusive, groups=groups)
    return Path(components, kernel, bias - prior)
