"""Does it learn from real footage? Fights and no fights in two-second clips of surveillance cameras, group by group.

    python -m benchmarks.fights --media ../shared/fights --out /tmp/fights [--seeds 0 1 2] [--jobs 2]

Five folds that keep every source video on one side, once per seed. On each fold's training clips, with their genres as
weak labels: the baselines of the report, the article's network as it is, and the preset `small-data`, all on the same
clips. What a run decides by validation it decides on a split of those training clips. With `--encoder`, a pretrained
image network that looks at the videos themselves, there are rows more: the report's baselines on what it sees, and the
preset `pretrained`, on the same clips; `--baselines` trains nothing.
A clip's score is the mean of its frames' scores for `action`; accuracy calls it a fight above 0.5. Beside it stands
what the best threshold would reach, chosen on the judged clips themselves: one for all, and one for each fold.

Prints a table with intervals over the source videos, what a fold costs, and JSON. Clips and finished folds in `--out`
are used again: after a change of settings, name another folder.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold

from genre_classifier.config import PRESETS
from genre_classifier.dataset.looks import open_looks
from genre_classifier.dataset.sense_features import COLOURS, Features, colour_features, movement_features
from genre_classifier.evaluation import baselines
from genre_classifier.evaluation.bootstrap import Estimate, draw_weights, estimate
from genre_classifier.genres import GENRES
from genre_classifier.network.senses import MOVEMENT, PICTURES
from preprocessing import load_clip, preprocess_directory
from preprocessing.base.files import write_atomically
from preprocessing.clips import clip_path, load_times, times_path
from preprocessing.config import ClipConfig
from preprocessing.manifest import read_manifest

if TYPE_CHECKING:
    from genre_classifier.run_folder.run import Run

CLIPS = ClipConfig(fps=15, size=32)
FOLDS = 5
ACTION = GENRES.index("action")
FIGURES = ("accuracy", "best threshold", "best in each fold", "AUC", "AUC within folds", "AP")


def read_data(media: Path, clips: Path, config: ClipConfig = CLIPS) -> pd.DataFrame:
    """Return `trailer_id, trailer, genre, group` of every clip; `clips` is filled if it is not yet."""
    preprocess_directory(media, clips, config=config)
    manifest = read_manifest(clips)
    done = manifest[manifest["status"] == "ok"][["trailer_id", "source"]]
    known = pd.read_csv(media / "clips.csv", dtype=str)
    table = done.merge(known, left_on="source", right_on="trailer", validate="one_to_one")
    return table.rename(columns={"source_group": "group"}).astype({"trailer_id": int})


def look(data: pd.DataFrame, clips: Path, changes: dict[str, Any]) -> dict[int, Path]:
    """Let the encoder of `pretrained` look at the videos; return where the looks of each clip are."""
    from genre_classifier.dataset.encoding import look_at_videos
    from genre_classifier.network.encoder import build_encoder

    config = dataclasses.replace(PRESETS["pretrained"].model, **changes)
    assert config.encoder_fps is not None
    seconds = time.perf_counter()
    places = look_at_videos(list(data["trailer"]), clips, build_encoder(config), config.encoder_fps, jobs=1)
    print(f"looked at in {time.perf_counter() - seconds:.0f} s", flush=True)
    return {int(i): places[source] for i, source in zip(data["trailer_id"], data["trailer"], strict=True)}


def baseline_scores(
    name: str, data: pd.DataFrame, test: np.ndarray, clips: Path, looks: Mapping[int, Path]
) -> np.ndarray:
    """Fit a baseline of the report on the other clips, labelled as wholes, and score those of `test`."""
    is_action = (data["genre"] == "action").to_numpy()
    numbers = [int(i) for i in data["trailer_id"]]
    times = [load_times(times_path(clips, i)) for i in numbers]
    arrays: list[dict[str, Features]] = [_features(clip_path(clips, i)) for i in numbers]
    if looks:
        for i, own, shown in zip(numbers, arrays, times, strict=True):
            own[PICTURES] = open_looks(looks[i], shown)
    train = np.setdiff1d(np.arange(len(data)), test)
    targets = [np.full((len(times[i]), 1), is_action[i]) for i in train]
    groups = list(data["group"].iloc[train])
    fitted = baselines.fit(name, [arrays[i] for i in train], [times[i] for i in train], targets, groups=groups)
    return np.array([fitted.score(arrays[i], times[i]).mean() for i in test])


@functools.cache
def _features(clip: Path) -> dict[str, Features]:
    pixels = load_clip(clip)
    return {MOVEMENT: movement_features(pixels), COLOURS: colour_features(pixels)}


def use_one_core() -> None:
    """Keep TensorFlow to one core: networks as small as these gain little from a second one."""
    os.environ.update(TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1", TF_CPP_MIN_LOG_LEVEL="2")


def train_preset(preset: str, clips: Path, labels: pd.DataFrame, run: Path, seed: int, **changes: Any) -> Run:
    """Train a preset on all labelled clips, on one core."""
    use_one_core()
    from genre_classifier import train

    settings = PRESETS[preset]
    training_config = dataclasses.replace(settings.training, seed=seed, test_share=0.0)
    model_config = dataclasses.replace(settings.model, **changes)
    return train(clips, labels, run, model_config=model_config, training_config=training_config, overwrite=True)


def network_scores(
    preset: str,
    data: pd.DataFrame,
    test: np.ndarray,
    out: Path,
    name: str,
    seed: int,
    looks: Mapping[int, Path],
    **changes: Any,
) -> np.ndarray:
    """Train a preset on the other clips and score those of `test`; what is done already is read."""
    folder, done = out / "clips", out / f"{name}.json"
    if not done.exists():
        wall, cpu = time.perf_counter(), time.process_time()
        labels = data.drop(index=test).assign(start=np.nan, end=np.nan)[["trailer", "start", "end", "genre", "group"]]
        run = train_preset(preset, folder, labels, out / "runs" / name, seed, **changes)

        import keras  # only now: nobody needs it where the fold is done

        from genre_classifier.dataset.trailers import open_inputs
        from genre_classifier.network.streaming import score_clip

        scores = []
        for i in data["trailer_id"].iloc[test]:
            places = {"looks": looks[int(i)]} if run.encoder is not None else {}
            inputs = open_inputs(clip_path(folder, int(i)), load_times(times_path(folder, int(i))), **places)
            scores.append(float(run.calibrate(score_clip(run.model, inputs))[:, ACTION].mean()))
        keras.utils.clear_session()
        seconds = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
        write_atomically(done, json.dumps({"scores": scores, "seconds": seconds}))
        print(f"{name}: {seconds['cpu']:.0f} CPU s", flush=True)
    return np.array(json.loads(done.read_text())["scores"])


def best_accuracy(is_action: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> float:
    """Return the accuracy at the threshold, of all, that makes it largest."""
    values, place = np.unique(scores, return_inverse=True)
    positive, negative = (np.bincount(place, weights * side, len(values)) for side in (is_action, ~is_action))
    # Called a fight from the k-th value on: k = 0 calls all of them one, the last k none.
    right = positive.sum() + np.concatenate([[0], np.cumsum(negative - positive)])
    return float(right.max() / weights.sum())


def judge(is_action: np.ndarray, scores: np.ndarray, folds: np.ndarray, weights: np.ndarray) -> list[float]:
    """Return `FIGURES` of one seed; NaN where the weights leave one kind of clip."""

    def auc(chosen: np.ndarray) -> float:
        if len(np.unique(is_action[chosen & (weights > 0)])) < 2:
            return np.nan
        return float(roc_auc_score(is_action[chosen], scores[chosen], sample_weight=weights[chosen]))

    everywhere = np.ones(len(scores), dtype=bool)
    parts = [folds == fold for fold in range(FOLDS) if weights[folds == fold].any()]
    best = [best_accuracy(is_action[part], scores[part], weights[part]) for part in parts]
    return [
        float(np.average((scores > 0.5) == is_action, weights=weights)),
        best_accuracy(is_action, scores, weights),
        float(np.average(best, weights=[weights[part].sum() for part in parts])),
        auc(everywhere),
        float(np.nanmean([auc(folds == fold) for fold in range(FOLDS)])),
        float(average_precision_score(is_action, scores, sample_weight=weights)),
    ]


def estimates(
    is_action: np.ndarray, groups: np.ndarray, results: list[tuple[np.ndarray, np.ndarray]]
) -> list[Estimate]:
    """Return `FIGURES`, means over seeds, with 95 % intervals over draws of groups; results: (scores, fold of each)."""
    names, group_of = np.unique(groups, return_inverse=True)
    draws = draw_weights(group_of, draws=200, seed=0)
    values = np.array([np.mean([judge(is_action, *one, weights) for one in results], axis=0) for weights in draws])
    return [estimate(column, confidence=0.95, sources=len(names)) for column in values.T]


def main() -> None:
    """Run every fold of every seed and print what they reach."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media", type=Path, required=True, help="Folder with clips.csv and the videos it names.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--presets", nargs="*", choices=["article", "small-data"], default=["article", "small-data"])
    parser.add_argument("--baselines", action="store_true", help="These alone: train no network.")
    parser.add_argument("--encoder", help="A pretrained image network, for the preset pretrained.")
    parser.add_argument("--jobs", type=int, default=2, help="Folds at a time, one core each.")
    options = parser.parse_args()
    use_one_core()
    data = read_data(options.media, options.out / "clips")
    is_action = (data["genre"] == "action").to_numpy()
    groups = data["group"].to_numpy()

    tests = {}
    for seed in options.seeds:
        splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
        for fold, (_, test) in enumerate(splitter.split(is_action, is_action, groups)):
            tests[seed, fold] = test
    presets, looks = [] if options.baselines else options.presets, {}
    changes: dict[str, dict[str, Any]] = {}
    if options.encoder:
        presets = [*presets, *["pretrained"] * (not options.baselines)]
        changes["pretrained"] = {"encoder": options.encoder}
        looks = look(data, options.out / "clips", changes["pretrained"])
    simple = baselines.possible([MOVEMENT, *[PICTURES] * bool(looks)])
    names = [*simple, *presets]
    jobs = [(preset, *key) for preset in presets for key in tests]
    found = Parallel(n_jobs=options.jobs)(
        delayed(network_scores)(
            preset,
            data,
            tests[seed, fold],
            options.out,
            f"{preset}_{seed}_{fold}",
            seed,
            looks,
            **changes.get(preset, {}),
        )
        for preset, seed, fold in jobs
    )
    fold_scores = dict(zip(jobs, found, strict=True))
    for name in simple:
        fold_scores |= {
            (name, *key): baseline_scores(name, data, test, options.out / "clips", looks) for key, test in tests.items()
        }

    print(f"{len(data)} clips of {len(set(groups))} sources, {FOLDS} folds, seeds {options.seeds}; mean and 95 %")
    print(f"{'':<20}" + "".join(f"{figure:>22}" for figure in FIGURES) + f"{'CPU s per fold':>16}")
    table = {}
    for name in names:
        results = []
        for seed in options.seeds:
            scores, folds = np.full(len(data), np.nan), np.zeros(len(data), dtype=int)
            for fold in range(FOLDS):
                scores[tests[seed, fold]], folds[tests[seed, fold]] = fold_scores[name, seed, fold], fold
            results.append((scores, folds))
        row = estimates(is_action, groups, results)
        costs = [json.loads(path.read_text())["seconds"] for path in sorted(options.out.glob(f"{name}_*_*.json"))]
        cost = float(np.median([one["cpu"] for one in costs])) if costs else np.nan
        cells = "".join(f"{f'{one.value:.3f} ({one.low:.2f}-{one.high:.2f})':>22}" for one in row)
        print(f"{name:<20}{cells}{cost:>16.0f}")
        table[name] = {figure: one.to_json() for figure, one in zip(FIGURES, row, strict=True)}
        table[name]["seeds"] = [judge(is_action, *one, np.ones(len(data))) for one in results]
        table[name]["seconds_per_fold"] = costs
    print(json.dumps(table))


if __name__ == "__main__":
    main()
