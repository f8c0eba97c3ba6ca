"""Small made-up evaluations that several tests use."""

import itertools

import numpy as np
import pandas as pd

from genre_classifier.genres import GENRES
from genre_classifier.tagging.scores import scores_table


def label_table(rows):
    """Rows of (trailer, start, end, genre) as a label table; None for start and end is a weak label."""
    table = pd.DataFrame(rows, columns=["trailer", "start", "end", "genre"])
    return table.astype({"start": np.float64, "end": np.float64})


# More than colours, patterns and columns of pictures are made for at once; without `other`.
TWENTY = (
    *GENRES[:5],
    "adventure",
    "animation",
    "biography",
    "children",
    "documentary",
    "drama",
    "fantasy",
    "film-noir",
    "history",
    "romance",
    "sci-fi",
    "sport",
    "war",
    "western",
    "r-&-b",
)


def made_up(trailers=8, frames=60, *, seed=0, skill=2.0, step_seconds=0.25, genres=GENRES, columns=GENRES):
    """Labels with six random intervals of `genres` per trailer, and scores of `columns` that know them by `skill`.

    An interval of a genre that is no column is a gap between labels.
    """
    rng = np.random.default_rng(seed)
    rows, scores = [], {}
    duration = frames * step_seconds
    for number in range(trailers):
        name = f"trailer_{number:03d}.mp4"
        times = np.arange(frames) * step_seconds
        edges = np.concatenate([[0], np.sort(rng.uniform(1, duration - 1, 5)), [duration]])
        truth = np.zeros((frames, len(columns)))
        for start, end in itertools.pairwise(edges):
            genre = genres[rng.integers(len(genres))]
            if genre in columns:
                rows.append((name, start, end, genre))
                truth[(times >= start) & (times < end), columns.index(genre)] = 1
        logits = skill * (truth - 0.5) + rng.normal(size=truth.shape)
        scores[name] = scores_table(times, 1 / (1 + np.exp(-logits)), columns)
    return label_table(rows), scores
