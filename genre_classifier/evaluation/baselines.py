"""Simple scorers that a network must beat to be worth its time, fitted on the same training trailers.

- `prevalence_scores`: the share of each genre among the training frames, for every frame.
- `fit` of `colour_histogram`: logistic regression on the colour histogram of the single frame.
- `fit` of `colour_and_motion`: the same, with statistics of the difference from the frame before.
- `fit` of `movement`: logistic regression on the movement around the frame alone, a dozen numbers, which would drown
  among a hundred about colours.
- `fit` of `encoder`: logistic regression on what the network's own pretrained encoder sees in the single frame; for
  networks that have one, and on encoded clips.
- `trailer_average`: a model's own scores, averaged over each trailer; what remains above it is what time adds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from genre_classifier.dataset import frame_features

# Frames that a logistic regression is fitted on: enough for 116 features, few enough for seconds.
TRAINING_FRAMES = 20_000

# (clip, its times in seconds, frame indices) -> (frames, features)
Features = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]

FEATURES: dict[str, Features] = {
    "colour_histogram": lambda clip, times, frames: frame_features.colour_histograms(clip, frames),
    "colour_and_motion": lambda clip, times, frames: frame_features.colours_and_differences(clip, frames),
    "movement": frame_features.movement,
}
ENCODER_ALONE = "encoder"
ENCODER_COMPONENTS = 48  # of a thousand features: with all of them, few trailers are learnt by heart


def encoder_features(encoded: np.ndarray, times: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Return the mean of each channel over the cells of encoded frames: float32, shape (frames, channels)."""
    return np.asarray(encoded[frames], np.float32).mean(axis=(2, 3))


@dataclasses.dataclass(frozen=True)
class FrameBaseline:
    """A fitted baseline: one logistic regression per genre on features of the frame.

    Attributes
    ----------
    features : callable
        One of `FEATURES`, or `encoder_features`.
    classifiers : tuple
        Per genre a fitted classifier, or the constant score of a genre that training showed nowhere or everywhere.
    """

    features: Features
    classifiers: tuple[Any, ...]

    def score(self, clip: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Score every frame of a clip, shown at `times` (seconds): float32, shape (frames, genres), in [0, 1]."""
        described = self.features(clip, times, np.arange(len(clip)))
        columns = [
            np.full(len(clip), classifier)
            if isinstance(classifier, float)
            else classifier.predict_proba(described)[:, 1]
            for classifier in self.classifiers
        ]
        return np.column_stack(columns).astype(np.float32)


def fit(
    name: str,
    clips: Sequence[np.ndarray],
    times: Sequence[np.ndarray],
    targets: Sequence[np.ndarray],
    *,
    seed: int = 0,
    frames: int = TRAINING_FRAMES,
) -> FrameBaseline:
    """Fit logistic regressions, one per genre, on features of frames.

    Parameters
    ----------
    name : str
        A key of `FEATURES`, or `ENCODER_ALONE`.
    clips : sequence of ndarray of uint8, each (frames, 3, rows, cols)
        Training clips, encoded ones for `ENCODER_ALONE`; memory-mapped ones are read only where needed.
    times : sequence of ndarray, each (frames,)
        Seconds of their frames.
    targets : sequence of ndarray, each (frames, genres)
        1 where the frame shows the genre; weak labels hold for every frame.
    seed : int
        Of the choice of frames.
    frames : int
        Most frames to fit on, drawn without replacement from all clips together.
    """
    features = encoder_features if name == ENCODER_ALONE else FEATURES[name]
    if not clips or len(clips) != len(targets):
        raise ValueError(f"expected as many clips as targets, at least one; got {len(clips)} and {len(targets)}")
    lengths = np.array([len(clip) for clip in clips])
    total = int(lengths.sum())
    taken = np.sort(np.random.default_rng(seed).choice(total, min(frames, total), replace=False))
    starts = np.concatenate([[0], np.cumsum(lengths)])
    described, truth = [], []
    for index, clip in enumerate(clips):
        own = taken[(taken >= starts[index]) & (taken < starts[index + 1])] - starts[index]
        if len(own):
            described.append(features(clip, times[index], own))
            truth.append(np.asarray(targets[index])[own] > 0.5)
    x, y = np.concatenate(described), np.concatenate(truth)
    classifiers: list[Any] = []
    for genre in range(y.shape[1]):
        share = float(y[:, genre].mean())
        if share in (0.0, 1.0):
            classifiers.append(share)
        else:
            steps: list[Any] = [StandardScaler(), LogisticRegression(max_iter=300)]
            if name == ENCODER_ALONE:
                steps.insert(0, PCA(min(ENCODER_COMPONENTS, *x.shape), svd_solver="randomized", random_state=seed))
            classifiers.append(make_pipeline(*steps).fit(x, y[:, genre]))
    return FrameBaseline(features, tuple(classifiers))


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
