"""What nine real film clips can show: each is tagged by a network that learned from the other eight.

    python -m benchmarks.real_trailers --media ../shared/trailers --out /tmp/real [--seed 0] [--jobs 2]
        [--encoder ../shared/encoders/efficientnet_lite0.keras]

Trains the preset `small-data`, or with an encoder `pretrained`, once per left-out trailer, and prints per trailer its
labelled genres and its mean scores, and per genre how many trailers show it, its share of the frames (what a ranking
by chance reaches) and the average precision over all frames. A genre that only one trailer shows was never in training
when that one was judged.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from benchmarks.fights import CLIPS, train_preset
from genre_classifier.dataset.labels import read_labels
from genre_classifier.genres import GENRES
from genre_classifier.metrics.frames import average_precision
from genre_classifier.tagging.scores import read_scores, scores_table, write_scores
from preprocessing import preprocess_directory


def frame_scores(media: Path, out: Path, left_out: str, seed: int, changes: dict[str, str]) -> pd.DataFrame:
    """Train on the other trailers and score the frames of `left_out`; what is done already is read."""
    preset = "pretrained" if changes else "small-data"
    done = out / f"scores_{preset}_{Path(left_out).stem}_{seed}.csv"
    if not done.exists():
        labels = read_labels(media / "labels.csv")
        run_folder = out / "runs" / f"{preset}_{Path(left_out).stem}_{seed}"
        others = labels[labels["trailer"] != left_out]
        run = train_preset(preset, out / "clips", others, run_folder, seed, **changes)

        from genre_classifier.dataset.encoding import encode_trailers  # only now: training sets TensorFlow's threads
        from genre_classifier.dataset.trailers import load_trailers
        from genre_classifier.network.streaming import score_clip

        trailers = load_trailers(out / "clips", labels[labels["trailer"] == left_out])
        if run.encoder is not None:
            fps = run.model_config.encoder_fps
            trailers = encode_trailers(trailers, out / "clips", run.encoder, looks_per_second=fps, jobs=1)
        scores = run.calibrate(score_clip(run.model, trailers[0].open()))
        write_scores(done, scores_table(trailers[0].times, scores))
    return read_scores(done)


def main() -> None:
    """Leave each trailer out once and print what comes out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media", type=Path, required=True, help="Folder with labels.csv and the videos it names.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--encoder", help="A pretrained image network (.keras).")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="Trainings at a time, one core each.")
    options = parser.parse_args()
    changes = {"encoder": options.encoder} if options.encoder else {}
    preprocess_directory(options.media, options.out / "clips", config=CLIPS)
    sources = sorted(set(pd.read_csv(options.media / "labels.csv")["trailer"]))
    tables = Parallel(n_jobs=options.jobs)(
        delayed(frame_scores)(options.media, options.out, source, options.seed, changes) for source in sources
    )
    from genre_classifier.dataset.trailers import (
        load_trailers,  # only now: the workers set their threads before TensorFlow
    )

    trailers = {one.source: one for one in load_trailers(options.out / "clips", options.media / "labels.csv")}
    print(f"{'left out':<36}{'labelled':<24}" + "".join(f"{genre:>10}" for genre in GENRES))
    for source, table in zip(sources, tables, strict=True):
        labelled = "+".join(genre for genre, shown in zip(GENRES, trailers[source].genres, strict=True) if shown)
        print(f"{source:<36}{labelled:<24}" + "".join(f"{mean:>10.2f}" for mean in table[list(GENRES)].mean()))
    y_true = np.concatenate([trailers[source].targets for source in sources]) > 0
    y_score = np.concatenate([table[list(GENRES)].to_numpy() for table in tables])
    print(f"\n{'genre':<12}{'trailers':>9}{'share of frames':>17}{'frame AP':>10}")
    for column, genre in enumerate(GENRES):
        count = sum(bool(one.genres[column]) for one in trailers.values())
        precision = average_precision(y_true[:, column], y_score[:, column])
        print(f"{genre:<12}{count:>9}{y_true[:, column].mean():>17.3f}{precision:>10.3f}")


if __name__ == "__main__":
    main()
