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


def made_up(trailers=8, frames=60, *, seed=0, skill=2.0, step_seconds=0.25, genres=GENRES):
    """Labels with six random intervals per trailer, and scores that know them by `skill`."""
    rng = np.random.default_rng(seed)
    rows, scores = [], {}
    duration = frames * step_seconds
    for number in range(trailers):
        name = f"trailer_{number:03d}.mp4"
        times = np.arange(frames) * step_seconds
        edges = np.concatenate([[0], np.sort(rng.uniform(1, duration - 1, 5)), [duration]])
        truth = np.zeros((frames, len(GENRES)))
        for start, end in itertools.pairwise(edges):
            genre = genres[rng.integers(len(genres))]
            rows.append((name, start, end, genre))
            truth[(times >= start) & (times < end), GENRES.index(genre)] = 1
        logits = skill * (truth - 0.5) + rng.normal(size=truth.shape)
        scores[name] = scores_table(times, 1 / (1 + np.exp(-logits)))
    return label_table(rows), scores
