"""Does it learn what is seen? Six moods of real clips, encoded already by a pretrained image network, group by group.

    python -m benchmarks.moods --media ../shared/moods --encoder ../shared/encoders/efficientnet_lite0.keras \
        --out /tmp/moods [--seeds 0 1 2] [--jobs 2]

Five folds that keep clips of one source on one side, once per seed. On each fold's training clips, with their moods as
weak labels: the report's baselines on the encoder's maps, and the preset `pretrained` (`--baselines`: not that).
The clips themselves are not there: their maps (2 x 2 cells, two frames per second) and grey pictures of 16 x 16 are, so
the folder of clips is made of these, enlarged where the preset wants larger ones. A clip's score is the mean of its
frames' scores.

Prints macro AP and macro ROC-AUC over the clips, per seed and as a mean, and JSON. Finished folds in `--out` are used
again: after a change of settings, name another folder.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold

from benchmarks.fights import train_preset
from genre_classifier.config import PRESETS
from genre_classifier.evaluation import baselines
from preprocessing.base.files import write_atomically
from preprocessing.clips import clip_path, times_path

FOLDS = 5
GREY = 16  # rows and columns of the grey pictures that are there


def plant(media: Path, clips: Path, changes: dict[str, Any]) -> Path:
    """Make clips out of the grey pictures, encoded by the maps that are there; return the encoded folder."""
    from genre_classifier.dataset.encoded import encoded_folder, write_stamp
    from genre_classifier.network.encoder import build_encoder

    config = dataclasses.replace(PRESETS["pretrained"].model, **changes)
    folder = encoded_folder(clips, build_encoder(config, GREY, GREY))
    folder.mkdir(parents=True, exist_ok=True)
    side = config.motion_size // config.encoder_cells
    for trailer_id in pd.read_csv(media / "clips.csv")["trailer_id"]:
        clip, maps = clip_path(clips, trailer_id), np.load(media / "encoded" / f"trailer_{trailer_id}.npy")
        grey = np.load(media / "grey" / f"trailer_{trailer_id}.npy")
        np.save(clip, np.repeat(grey, 3, axis=1))
        np.save(times_path(clips, trailer_id), np.load(media / "encoded" / f"times_{trailer_id}.npy"))
        if config.motion_size:
            size = (config.motion_size, config.motion_size)
            large = np.stack([cv2.resize(one[0].astype(np.float32), size) for one in grey])
            cells = large.reshape(len(large), config.encoder_cells, side, config.encoder_cells, side)
            pixels = cells.transpose(0, 2, 4, 1, 3).reshape(len(large), -1, *maps.shape[2:])
            maps = np.concatenate([maps, pixels.astype(np.float16)], axis=1)
        np.save(folder / clip.name, maps)
        write_stamp(clip, folder / clip.name)
    return folder


def baseline_scores(name: str, data: pd.DataFrame, test: np.ndarray, media: Path) -> np.ndarray:
    """Fit a baseline of the report on the other clips, labelled as wholes, and score those of `test`."""
    folder = media / "encoded"
    arrays = [{baselines.MAPS: np.load(clip_path(folder, i), mmap_mode="r")} for i in data["trailer_id"]]
    times = [np.load(times_path(folder, i)) for i in data["trailer_id"]]
    moods = data["mood"].to_numpy()[:, None] == np.unique(data["mood"])
    train = np.setdiff1d(np.arange(len(data)), test)
    targets = [np.tile(moods[i], (len(times[i]), 1)) for i in train]
    fitted = baselines.fit(name, [arrays[i] for i in train], [times[i] for i in train], targets)
    return np.array([fitted.score(arrays[i], times[i]).mean(axis=0) for i in test])


def network_scores(
    data: pd.DataFrame, test: np.ndarray, out: Path, name: str, seed: int, encoded: Path, changes: dict[str, Any]
) -> np.ndarray:
    """Train the preset on the other clips and score those of `test`; what is done already is read."""
    done = out / f"{name}.json"
    if not done.exists():
        wall, cpu = time.perf_counter(), time.process_time()
        labels = data.drop(index=test).assign(start=np.nan, end=np.nan, trailer=lambda t: t["trailer_id"].astype(str))
        labels = labels.rename(columns={"mood": "genre"})[["trailer", "start", "end", "genre", "group"]]
        moods = tuple(sorted(set(data["mood"])))
        run = train_preset("pretrained", out / "clips", labels, out / "runs" / name, seed, genres=moods, **changes)

        import keras  # only now, as all that loads TensorFlow: training sets its threads

        from genre_classifier.network.streaming import score_clip

        clips = [np.load(encoded / f"trailer_{number}.npy") for number in data["trailer_id"].iloc[test]]
        scores = [run.calibrate(score_clip(run.model, clip)).mean(axis=0).tolist() for clip in clips]
        keras.utils.clear_session()
        seconds = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
        write_atomically(done, json.dumps({"scores": scores, "seconds": seconds}))
    return np.array(json.loads(done.read_text())["scores"])


def judge(truth: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """Return macro AP and macro ROC-AUC over clips, both (clips, moods)."""
    pairs = list(zip(truth.T, scores.T, strict=True))
    return (
        float(np.mean([average_precision_score(*pair) for pair in pairs])),
        float(np.mean([roc_auc_score(*pair) for pair in pairs])),
    )


def main() -> None:
    """Run every fold of every seed and print what they reach."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media", type=Path, required=True, help="Folder with clips.csv, encoded/ and grey/.")
    parser.add_argument("--encoder", required=True, help="The network that made them (.keras).")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--baselines", action="store_true", help="These alone: train no network.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=2, help="Folds at a time, one core each.")
    options = parser.parse_args()
    data = pd.read_csv(options.media / "clips.csv").astype({"group": str})
    changes = {"encoder": options.encoder}
    encoded = options.out if options.baselines else plant(options.media, options.out / "clips", changes)
    tests = {}
    for seed in options.seeds:
        splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
        for fold, (_, test) in enumerate(splitter.split(data, data["mood"], data["group"])):
            tests[seed, fold] = test
    found = Parallel(n_jobs=options.jobs)(
        delayed(network_scores)(data, test, options.out, f"pretrained_{seed}_{fold}", seed, encoded, changes)
        for (seed, fold), test in ({} if options.baselines else tests).items()
    )
    scores_of = {
        name: {key: baseline_scores(name, data, test, options.media) for key, test in tests.items()}
        for name in baselines.possible([baselines.MAPS])
    }
    if not options.baselines:
        scores_of["pretrained"] = dict(zip(tests, found, strict=True))
    truth = np.stack([data["mood"] == mood for mood in sorted(set(data["mood"]))], axis=1)
    table: dict[str, Any] = {}
    print(f"{len(data)} clips of {data['group'].nunique()} sources, {FOLDS} folds, seeds {options.seeds}")
    print(f"{'':<24}{'macro AP':>10}{'macro AUC':>11}   per seed")
    for name, parts in scores_of.items():
        per_seed = []
        for seed in options.seeds:
            scores = np.zeros(truth.shape)
            for fold in range(FOLDS):
                scores[tests[seed, fold]] = parts[seed, fold]
            per_seed.append(judge(truth, scores))
        ap, auc = np.mean(per_seed, axis=0)
        print(f"{name:<24}{ap:>10.3f}{auc:>11.3f}   " + ", ".join(f"{one:.3f}/{two:.3f}" for one, two in per_seed))
        table[name] = {"AP": ap, "AUC": auc, "seeds": per_seed}
    costs = [json.loads(path.read_text())["seconds"] for path in sorted(options.out.glob("pretrained_*.json"))]
    table["seconds_per_fold"] = costs
    if costs:
        print(f"a fold of pretrained: {np.median([one['cpu'] for one in costs]):.0f} CPU s (median)")
    print(json.dumps(table))


if __name__ == "__main__":
    main()
