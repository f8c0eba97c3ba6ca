"""How often must the encoder look? Regression on what it sees, at several rates, and once in each shot.

    python -m benchmarks.looks --media ../shared --encoder ../shared/encoders/efficientnet_lite0.keras --out /tmp/looks

No network is trained: what the rates change is the regression on pictures that the preset `pretrained` begins at
(`genre_classifier.training.regression`), on the folds of `benchmarks.moods`, `benchmarks.genres` and
`benchmarks.fights`. Moods and film trailers are there as looks, two a second: fewer are every second one, or every
fourth, and both halves or all four quarters count; "shots" takes, of these, the one nearest to the middle of each shot.
The fights are videos, and are looked at anew.

Prints macro AP and macro AUC, means over the seeds, and how many looks a minute of video took.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks import fights, genres, moods
from benchmarks.genres import Material
from genre_classifier.config import PRESETS
from genre_classifier.dataset.cuts import find_cuts
from genre_classifier.metrics.regression import fit_components, fit_regression, prior_logits
from genre_classifier.network.frame_encoder import with_change
from genre_classifier.network.senses import PICTURES

SEEDS = (0, 1, 2)
RATES = (4.0, 2.0, 1.0)  # looks per second, of the fights
Looks = tuple[np.ndarray, float]  # maps (looks, channels), and the seconds of video that they stand for


def read_looks(media: Path, trailer_id: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the stored looks of a trailer and their seconds."""
    maps = np.load(media / "encoded" / f"trailer_{trailer_id}.npy").astype(np.float32)
    return maps.mean(axis=(2, 3)), np.load(media / "encoded" / f"times_{trailer_id}.npy").astype(np.float64)


def every(step: int, start: int) -> Callable[[Path, int], Looks]:
    """Return what takes every `step`th look."""

    def looks(media: Path, trailer_id: int) -> Looks:
        maps, times = read_looks(media, trailer_id)
        return maps[start::step] if len(maps) > start else maps[:1], float(times[-1])

    return looks


def of_shots(media: Path, trailer_id: int) -> Looks:
    """Take the look nearest to the middle of each shot."""
    maps, times = read_looks(media, trailer_id)
    grey = np.load(media / "movement" / f"trailer_{trailer_id}.npy")
    cuts = find_cuts(np.repeat(grey, 3, axis=1), np.load(media / "movement" / f"times_{trailer_id}.npy"))
    borders = np.concatenate([times[:1], cuts, times[-1:]])
    nearest = np.abs(times[:, None] - (borders[1:] + borders[:-1]) / 2).argmin(axis=0)
    return maps[np.unique(nearest)], float(times[-1])


def means(maps: np.ndarray) -> np.ndarray:
    """Return the mean of what is seen, and of its change, (features,), as the path of pictures takes them."""
    features = np.asarray(with_change(maps.astype(np.float16)), np.float64)
    width = (features.shape[1] - 2) // 2
    known = features[:, -1] > 0
    change = features[known, width:-2].mean(axis=0) if known.any() else np.zeros(width)
    return np.concatenate([features[:, :width].mean(axis=0), change])


def scores_of_fold(x: np.ndarray, y_true: np.ndarray, learned: np.ndarray, *, exclusive: bool) -> np.ndarray:
    """Fit the regression on some rows of means and return the logits of all."""
    width, parts = x.shape[1] // 2, []
    for part, count in zip((x[:, :width], x[:, width:]), PRESETS["pretrained"].model.components[PICTURES], strict=True):
        kernel, shift = fit_components(part[learned], count)
        parts.append(part @ kernel + shift)
    components = np.hstack(parts)
    kernel, bias = fit_regression(components[learned], y_true[learned], exclusive=exclusive)
    return np.asarray(components @ kernel + bias - prior_logits(y_true[learned], exclusive=exclusive))


def judge(material: Material, x: np.ndarray, *, exclusive: bool) -> np.ndarray:
    """Return macro AP and macro AUC, means over the seeds."""
    y_true, found = material.y_true, []
    for seed in SEEDS:
        scores = np.zeros(y_true.shape)
        for learned, judged in material.folds(seed):
            scores[judged] = scores_of_fold(x, y_true, learned, exclusive=exclusive)[judged]
        found.append(genres.judge(y_true, scores)[:2])
    return np.mean(found, axis=0)


def stored(media: Path, material: Material, *, exclusive: bool) -> Iterator[tuple[str, float, np.ndarray]]:
    """Yield a name, looks per minute and figures for each way to choose among stored looks."""
    ways: dict[str, Sequence[Callable[[Path, int], Looks]]] = {
        f"{2 / step:g} a second": [every(step, start) for start in range(step)] for step in (1, 2, 4)
    }
    for name, several in {**ways, "shots": [of_shots]}.items():
        figures, per_minute = [], []
        for way in several:
            looks = [way(media, int(trailer_id)) for trailer_id in material.data["trailer_id"]]
            x = np.array([means(maps) for maps, _ in looks])
            figures.append(judge(material, x, exclusive=exclusive))
            per_minute.append(60 * sum(len(maps) for maps, _ in looks) / sum(seconds for _, seconds in looks))
        yield name, float(np.mean(per_minute)), np.mean(figures, axis=0)


def looked_at(media: Path, encoder: Path, out: Path) -> Iterator[tuple[str, float, np.ndarray]]:
    """Yield the same for the fights, looked at anew at each rate."""
    data = fights.read_data(media, out / "clips").rename(columns={"genre": "genres"})
    material = Material(data, ("action", "other"), moods.group_folds(data))
    for rate in RATES:
        places = fights.look(data, out / "clips", {"encoder": str(encoder), "encoder_fps": rate})
        x = np.array([means(np.load(places[int(i)]).mean(axis=(2, 3))) for i in data["trailer_id"]])
        yield f"{rate:g} a second", 60 * rate, judge(material, x, exclusive=True)


def main() -> None:
    """Print a row for each way to look."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media", type=Path, required=True, help="Folder with moods/, genres/ and fights/.")
    parser.add_argument("--encoder", type=Path, required=True, help="The network that looks at the fights (.keras).")
    parser.add_argument("--out", type=Path, required=True, help="Where the fights' clips and looks go.")
    options = parser.parse_args()
    print(f"{'':<8}{'looks':<14}{'per minute':>12}{'macro AP':>10}{'macro AUC':>11}")
    ways = {
        "moods": stored(options.media / "moods", moods.read_material(options.media / "moods"), exclusive=True),
        "genres": stored(options.media / "genres", genres.read_material(options.media / "genres"), exclusive=False),
        "fights": looked_at(options.media / "fights", options.encoder, options.out),
    }
    for name, rows in ways.items():
        for way, per_minute, (ap, auc) in rows:
            print(f"{name:<8}{way:<14}{per_minute:>12.1f}{ap:>10.3f}{auc:>11.3f}", flush=True)


if __name__ == "__main__":
    main()
