"""A correction of one trailer in ten, learned by going on from a run (`train --from`): better, or worse than before.

In synthetic trailers one training trailer in ten has wrong genres at first. A run learns them; then the labels are put
right, and the run is gone on from for two epochs, at its own learning rate and at a tenth, each without and with a
warm-up. Loss and macro-AP are those of trailers that no training sees.

    python -m benchmarks.corrections --out /tmp/corrections --seeds 1 2 3

Prints a row per training. Trailers and clips in `--out` are used again.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from benchmarks.weak_labels import NETWORK
from genre_classifier.config import FROM_RATE, FROM_WARMUP_EPOCHS, PRESETS, Preset, TrainingConfig
from genre_classifier.dataset.labels import read_labels
from genre_classifier.dataset.splits import write_splits
from genre_classifier.dataset.synthetic import SyntheticConfig, synthesize
from genre_classifier.dataset.trailers import Trailer
from genre_classifier.genres import GENRES
from genre_classifier.run_folder.run import Run
from genre_classifier.training.plan import plan_training
from genre_classifier.training.train import train
from genre_classifier.training.validation import score_trailers, validate
from preprocessing import preprocess_directory
from preprocessing.config import ClipConfig

TRAILERS = SyntheticConfig(trailers=34, duration=10.0)
CLIPS = ClipConfig(frames=48, size=32, fps=4)
TRAINING = TrainingConfig(epochs=10, keep="last", validation_share=0.0, test_share=0.4)
SMALL = PRESETS["small-data"]
KINDS = {
    "cosine": Preset(NETWORK, dataclasses.replace(TRAINING, learning_rate=3e-3, schedule="cosine"), CLIPS),
    "small-data": Preset(SMALL.model, dataclasses.replace(SMALL.training, test_share=0.4), CLIPS),
    "constant": Preset(NETWORK, TRAINING, CLIPS),
}
WRONG = dict(zip(GENRES, GENRES[3:] + GENRES[:3], strict=True))


def say(what: str, run: Run, unseen: Sequence[Trailer]) -> None:
    """Print how a run judges the trailers that no training saw."""
    config = run.training_config
    found = validate(score_trailers(run.model, unseen, config), config, run.model_config)
    print(f"{what:<52}{found['val_loss']:>8.3f}{found['val_macro_ap']:>8.3f}", flush=True)


def compare(out: Path, seed: int, kind: str) -> None:
    """Train a run on wrong labels, and go on from it on the right ones in four ways."""
    trailers, clips, splits = out / f"trailers_{seed}", out / f"clips_{seed}", out / "splits.csv"
    if not (clips / "manifest.csv").exists():
        synthesize(trailers, TRAILERS, seed=seed)
        preprocess_directory(trailers, clips, config=CLIPS, jobs=1)
    right, preset = read_labels(trailers / "labels.csv"), KINDS[kind]
    config = dataclasses.replace(preset.training, seed=seed)
    plan = plan_training(
        clips,
        right,
        out / "none",
        model_config=preset.model,
        training_config=config,
        splits_file=None,
        skip_unknown=False,
        resume=False,
    )
    write_splits(splits, plan.splits)
    learned = plan.parts["train"]
    corrected = {trailer.source for trailer in learned[: max(1, round(len(learned) / 10))]}
    changed = right["trailer"].isin(corrected)
    wrong = right.assign(genre=right["genre"].where(~changed, right["genre"].map(WRONG)))
    first = train(
        clips,
        wrong,
        out / "first",
        model_config=preset.model,
        training_config=config,
        splits_file=splits,
        overwrite=True,
    )
    name = f"seed {seed}, {kind}"
    say(f"{name}, before: {len(corrected)} of {len(learned)} wrong", first, plan.parts["test"])
    for rate in (1, FROM_RATE):
        for warmup in (0.0, FROM_WARMUP_EPOCHS):
            further = dataclasses.replace(
                config, epochs=2, learning_rate=rate * config.learning_rate, warmup_epochs=warmup
            )
            run = train(
                clips,
                right,
                out / "next",
                training_config=further,
                splits_file=splits,
                start=first.path,
                overwrite=True,
            )
            say(f"{name}, rate x {rate:g}, warm-up {warmup:g}", run, plan.parts["test"])


def main() -> None:
    """Compare for each seed and each kind of training."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    arguments = parser.parse_args()
    print(f"{'':<52}{'loss':>8}{'AP':>8}", flush=True)
    for seed in arguments.seeds:
        for kind in KINDS:
            compare(arguments.out, seed, kind)


if __name__ == "__main__":
    main()
