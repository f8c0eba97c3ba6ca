"""Does it learn from real film trailers? Those of a folder that holds them as numbers, collection by collection.

    python -m benchmarks.genres --media ../shared/genres --encoder ../shared/encoders/efficientnet_lite0.keras \
        --out /tmp/genres [--sound-encoder ../shared/encoders/musicnn_msd.keras] [--seeds 0 1 2] [--jobs 2]

Each collection (`group` of clips.csv) is judged by what the others teach, without films that it shows too. A network is
the preset `pretrained`, trained by `train` on clips made of the grey pictures in `movement/` and on looks that are
those of `encoded/`, with a sound encoder also on what it heard, `sound/`. Beside it stand the paths that it begins
with, each alone and all together: they are logistic regression (scikit-learn). A trailer's score is the mean logit of
its frames, without the shares of the genres, which differ from fold to fold. Genres that fewer than four trailers show
are not judged.

Prints a table with 95 % intervals over the groups, and JSON. Finished folds in `--out` are used again: after a change
of settings, name another folder. `benchmarks.moods` does the same for moods.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from sklearn.metrics import average_precision_score, roc_auc_score

from benchmarks.fights import train_preset
from genre_classifier.config import PRESETS
from genre_classifier.evaluation.bootstrap import draw_weights
from preprocessing.base.files import write_atomically
from preprocessing.clips import SOUND_RATE, clip_path, sound_path, times_path

FEWEST = 4  # trailers of a genre that is judged
NETWORK, REGRESSION = "pretrained", "all paths, untrained"


@dataclasses.dataclass(frozen=True)
class Material:
    """Clips as numbers.

    Attributes
    ----------
    data : DataFrame
        trailer_id, genres (with | between), group.
    names : tuple of str
        The genres that are learned and judged.
    folds : callable
        From a seed to pairs of row numbers, to learn from and to judge.
    """

    data: pd.DataFrame
    names: tuple[str, ...]
    folds: Callable[[int], Sequence[tuple[np.ndarray, np.ndarray]]]

    @property
    def y_true(self) -> np.ndarray:
        """Return which clip shows which genre, bool (clips, genres)."""
        shown = self.data["genres"].str.split("|")
        return np.stack([shown.apply(lambda own, name=name: name in own) for name in self.names], axis=1)


def read_material(media: Path) -> Material:
    """Read `clips.csv` of film trailers."""
    data = pd.read_csv(media / "clips.csv").astype({"group": str, "film": str})
    counts = data["genres"].str.split("|").explode().value_counts()
    names = tuple(sorted(str(name) for name, count in counts.items() if count >= FEWEST))

    def folds(seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
        pairs = []
        for group in sorted(set(data["group"])):
            judged = data["group"] == group
            learned = ~judged & ~data["film"].isin(data.loc[judged, "film"])
            pairs.append((np.flatnonzero(learned), np.flatnonzero(judged)))
        return pairs

    return Material(data, names, folds)


def plant(media: Path, clips: Path, changes: dict[str, Any]) -> dict[str, Path]:
    """Make clips out of the grey pictures, and what encoders said out of the rest; return where the looks are."""
    from genre_classifier.dataset.encoded import write_stamp
    from genre_classifier.dataset.encoding import build_encoders, looks_folder
    from genre_classifier.dataset.heard import heard_folder
    from genre_classifier.dataset.looks import write_looks

    config = dataclasses.replace(PRESETS[NETWORK].model, **changes)
    encoders = build_encoders(config, config.rows, config.cols)
    ear = None
    if encoders.ear is not None:
        ear = heard_folder(clips, encoders.ear)
        ear.mkdir(parents=True, exist_ok=True)
    assert encoders.eye is not None
    folder = looks_folder(clips, encoders.eye, float(encoders.looks_per_second or 0))
    folder.mkdir(parents=True, exist_ok=True)
    places = {}
    for trailer_id in pd.read_csv(media / "clips.csv")["trailer_id"]:
        grey = np.load(media / "movement" / f"trailer_{trailer_id}.npy")
        np.save(clip_path(clips, trailer_id), np.repeat(grey, 3, axis=1))
        times = np.load(media / "movement" / f"times_{trailer_id}.npy").astype(np.float64)
        np.save(times_path(clips, trailer_id), times)
        maps = np.load(media / "encoded" / f"trailer_{trailer_id}.npy").astype(np.float32)
        target = folder / f"trailer_{trailer_id}.npy"
        looks = maps.mean(axis=(2, 3), keepdims=True).astype(np.float16)
        look_times = np.load(media / "encoded" / f"times_{trailer_id}.npy").astype(np.float64)
        write_looks(target, looks, look_times, sha256="")
        places[str(trailer_id)] = target
        heard = np.load(media / "sound" / f"trailer_{trailer_id}.npy") if ear else []
        if ear and len(heard):
            np.save(ear / target.name, heard)
            np.save(sound_path(clips, trailer_id), np.zeros(len(heard) * SOUND_RATE, np.float16))  # it is not here
            write_stamp(sound_path(clips, trailer_id), ear / target.name, sha256="")
    return places


def fold_scores(
    material: Material, fold: tuple[np.ndarray, np.ndarray], out: Path, name: str, seed: int, changes: dict[str, Any]
) -> dict[str, np.ndarray]:
    """Train the preset on the clips to learn from, and score the others; what is done already is read."""
    done, (learned, judged) = out / f"{name}.json", fold
    if not done.exists():
        wall, cpu = time.perf_counter(), time.process_time()
        rows = material.data.iloc[learned]
        labels = rows.assign(trailer=rows["trailer_id"].astype(str), genre=rows["genres"].str.split("|"))
        labels = labels.explode("genre").assign(start=np.nan, end=np.nan)
        labels = labels.loc[labels["genre"].isin(material.names), ["trailer", "start", "end", "genre", "group"]]
        run = train_preset(NETWORK, out / "clips", labels, out / "runs" / name, seed, genres=material.names, **changes)
        numbers = [int(number) for number in material.data["trailer_id"].iloc[judged]]
        scores = {NETWORK: _mean_logits(run, out / "clips", numbers)}
        model = run.model
        for branch in model.branches:
            for weight in branch.head[-1].weights:
                weight.assign(np.zeros(weight.shape))
        scores[REGRESSION] = _mean_logits(run, out / "clips", numbers)
        kernels = {sense: path.get_weights() for sense, path in model.senses.paths.items()}
        for sense in kernels:
            for other, path in model.senses.paths.items():
                path.set_weights(kernels[other] if other == sense else [np.zeros_like(w) for w in kernels[other]])
            scores[f"{sense} alone"] = _mean_logits(run, out / "clips", numbers)
        seconds = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
        found = {key: value.tolist() for key, value in scores.items()}
        write_atomically(done, json.dumps({"scores": found, "seconds": seconds}))
    return {key: np.array(value) for key, value in json.loads(done.read_text())["scores"].items()}


def _mean_logits(run: Any, clips: Path, numbers: Sequence[int]) -> np.ndarray:
    from genre_classifier.dataset.encoding import looks_folder
    from genre_classifier.dataset.heard import heard_folder
    from genre_classifier.dataset.trailers import open_inputs
    from genre_classifier.network.streaming import score_clip
    from preprocessing.clips import load_times

    folder, means = looks_folder(clips, run.encoder, float(run.model_config.encoder_fps)), []
    ear = None if run.sound_encoder is None else heard_folder(clips, run.sound_encoder)
    for number in numbers:
        clip, times = clip_path(clips, number), load_times(times_path(clips, number))
        inputs = open_inputs(clip, times, looks=folder / clip.name, heard=ear and ear / clip.name)
        scores = score_clip(run.model, inputs, chunk=64).astype(np.float64)
        logs = np.log(np.clip(scores, 1e-7, 1))
        if run.model_config.exclusive != "yes":
            logs = logs - np.log(np.clip(1 - scores, 1e-7, 1)) - np.asarray(run.model.senses.total.prior)
        means.append(logs.mean(axis=0))
    means = np.stack(means)
    if run.model_config.one_genre_per_frame:
        means -= np.log(np.exp(means - means.max(axis=1, keepdims=True)).sum(axis=1, keepdims=True)) + means.max(
            axis=1, keepdims=True
        )
    return means


def judge(y_true: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> tuple[float, float, float]:
    """Return macro AP, macro ROC-AUC, and the share of clips whose highest score is of a genre that they show."""
    weights = np.ones(len(y_true)) if weights is None else weights
    there = weights > 0
    pairs = [
        (truth[there], score[there])
        for truth, score in zip(y_true.T, scores.T, strict=True)
        if 0 < truth[there].sum() < there.sum()
    ]
    if not pairs:
        return np.nan, np.nan, np.nan
    own = weights[there]
    return (
        float(np.mean([average_precision_score(*pair, sample_weight=own) for pair in pairs])),
        float(np.mean([roc_auc_score(*pair, sample_weight=own) for pair in pairs])),
        float(np.average(y_true[np.arange(len(y_true)), scores.argmax(axis=1)], weights=weights)),
    )


def report(material: Material, options: argparse.Namespace) -> None:
    """Run every fold of every seed and print what they reach."""
    changes = {"encoder": options.encoder, "sound_encoder": options.sound_encoder}
    plant(options.media, options.out / "clips", changes)
    folds = {(seed, n): fold for seed in options.seeds for n, fold in enumerate(material.folds(seed))}
    found = Parallel(n_jobs=options.jobs)(
        delayed(fold_scores)(material, fold, options.out, f"{NETWORK}_{seed}_{n}", seed, changes)
        for (seed, n), fold in folds.items()
    )
    y_true, groups = material.y_true, material.data["group"].to_numpy()
    kinds, group_of = np.unique(groups, return_inverse=True)
    draws = draw_weights(np.arange(len(kinds)), draws=200, seed=0)[:, group_of]
    table: dict[str, Any] = {}
    print(f"{len(y_true)} clips of {len(kinds)} groups, {len(material.names)} genres, seeds {options.seeds}; 95 %")
    print(f"{'':<24}{'macro AP':>22}{'macro AUC':>22}{'top-1':>8}   AP/AUC per seed")
    for name in found[0]:
        per_seed = []
        for seed in options.seeds:
            scores = np.full(y_true.shape, np.nan)
            for (own, _), (_, judged), one in zip(folds, folds.values(), found, strict=True):
                if own == seed:
                    scores[judged] = one[name]
            per_seed.append(scores)
        values = np.mean([judge(y_true, scores) for scores in per_seed], axis=0)
        spread = np.array([np.mean([judge(y_true, one, w)[:2] for one in per_seed], axis=0) for w in draws])
        low, high = np.nanpercentile(spread, [2.5, 97.5], axis=0)
        cells = "".join(f"{f'{values[i]:.3f} ({low[i]:.2f}-{high[i]:.2f})':>22}" for i in (0, 1))
        seeds = [judge(y_true, scores) for scores in per_seed]
        print(f"{name:<24}{cells}{values[2]:>8.3f}   " + ", ".join(f"{ap:.3f}/{auc:.3f}" for ap, auc, _ in seeds))
        table[name] = {"AP": values[0], "AUC": values[1], "top_1": values[2], "seeds": seeds}
    costs = [json.loads(path.read_text())["seconds"]["cpu"] for path in sorted(options.out.glob(f"{NETWORK}_*.json"))]
    print(f"a fold: {np.median(costs):.0f} CPU s (median)")
    print(json.dumps(table))


def arguments(text: str | None) -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media", type=Path, required=True, help="Folder with clips.csv, encoded/ and movement/.")
    parser.add_argument("--encoder", required=True, help="The network that made the maps (.keras).")
    parser.add_argument("--sound-encoder", help="The network that made what is in sound/ (.keras).")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=2, help="Folds at a time, one core each.")
    return parser.parse_args()


def main() -> None:
    """Judge film trailers."""
    options = arguments(__doc__)
    report(read_material(options.media), options)


if __name__ == "__main__":
    main()
