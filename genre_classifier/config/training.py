"""How a network is trained; and settings that belong together, by name: what `preprocess` and `train --preset` take.

`article` is the network of "An introduction to ConvLSTM" as it stands there. `small-data` is for fewer than a few
hundred trailers, labelled as a whole or in intervals; its values are those that won on real footage, group by group,
together (`python -m benchmarks.fights`; what was tried stands in `benchmarks/fights.md`).
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Annotated, Literal

from genre_classifier.config.network import EncoderConfig, ModelConfig
from preprocessing.base.options import Count, NotNegative, Options, Positive, Seed, Share, option, require
from preprocessing.config import ClipConfig

Precision = Literal["float32", "bfloat16"]
Bptt = Literal["truncated", "full"]
Schedule = Literal["auto", "constant", "cosine"]
Weak = Literal["pool", "mean", "broadcast"]
Keep = Literal["auto", "best", "loss", "last"]

_optimisation = partial(option, group="Optimisation")
_computation = partial(option, group="Computation")
_labels = partial(option, group="Labels")
_augmentation = partial(option, group="Augmentation")
_splits = partial(option, group="Splits")

# With fewer trailers a share of them would choose by chance, and is needed for learning.
FEWEST_TO_VALIDATE, VALIDATION_SHARE = 20, 0.15

PrecisionOption = Annotated[Precision, _computation("Precision of the convolutions; state and gates stay in float32.")]


class Augmentation(Options):
    """How far clips are changed at random."""

    crop_frames: Annotated[
        Count | None,
        _augmentation(
            "Train on crops of this many consecutive frames (counted after --stride) from random places, as many per "
            "epoch as fit into each trailer side by side; none takes each trailer whole.",
            unit="frames",
        ),
    ] = None
    crops_per_epoch: Annotated[
        Count | None,
        _augmentation("With --crop-frames: at most so many crops of each trailer in an epoch; none: as many as fit."),
    ] = None
    flip: Annotated[bool, _augmentation("Mirror training clips left and right, half of the time.")] = False
    zoom: Annotated[
        Share,
        _augmentation("Cut up to this share of rows and columns off training clips at random, and enlarge the rest."),
    ] = 0.0
    shift: Annotated[
        Share,
        _augmentation("Move training clips at random, up to this share of their size; the border is repeated."),
    ] = 0.0
    brightness: Annotated[
        Share,
        _augmentation("Change the brightness of training clips at random, up to this share of the grey range."),
    ] = 0.0
    contrast: Annotated[
        Share,
        _augmentation("Stretch or shrink the distance to mid-grey in training clips at random, up to this share."),
    ] = 0.0
    stride: Annotated[Count, _augmentation("Keep every n-th frame of training clips, n drawn from 1 to this.")] = 1


class TrainingConfig(Augmentation):
    """How a network is trained, and how the clips are changed for it."""

    epochs: Annotated[Count, _optimisation("Passes over the training trailers, at most.")] = 20
    batch_size: Annotated[Count, _optimisation("Trailers per step; shorter ones are padded and masked.")] = 1
    learning_rate: Annotated[
        Positive,
        _optimisation(
            "Learning rate of Adam, at the start; with --from a tenth of that of the run, or all of it if the run was "
            "itself made with --from, unless given."
        ),
    ] = 1e-3
    schedule: Annotated[
        Schedule,
        _optimisation(
            "The learning rate over the epochs: it stays, or falls to a hundredth along a cosine. auto: it falls where "
            "there are no validation trailers."
        ),
    ] = "auto"
    warmup_epochs: Annotated[
        NotNegative,
        _optimisation("Over which the learning rate rises from 0, batch by batch, at the start.", unit="epochs"),
    ] = 0.0
    weight_decay: Annotated[
        NotNegative,
        _optimisation("Decoupled weight decay of the optimizer (AdamW), per step and relative to the learning rate."),
    ] = 0.0
    clip_norm: Annotated[
        Positive | None, _optimisation("Largest norm of the whole gradient; none leaves it as it is.")
    ] = 1.0
    keep: Annotated[
        Keep,
        _optimisation(
            "Which epoch's network the run keeps: that with the best macro-AP on the validation trailers, that with "
            "their smallest loss, or the last one. auto: the best; the smallest loss where few validation trailers say "
            "little about some genre; the last one where there are none."
        ),
    ] = "auto"
    patience: Annotated[
        Count | None,
        _optimisation(
            "Epochs without a better one, by the figure of --keep, after which training ends; without validation "
            "trailers it does not; none trains all epochs."
        ),
    ] = 10
    chunk: Annotated[
        Count | Literal["auto"] | None,
        _computation(
            "Frames of truncated back-propagation through time; none takes each trailer whole; auto does where a step "
            "on it fits into memory, and else takes the largest chunk that fits.",
            unit="frames",
        ),
    ] = "auto"
    bptt: Annotated[
        Bptt,
        _computation(
            "With a chunk: whether the gradient stops at the borders of chunks, or goes through the whole trailer, "
            "exactly, with BatchNormalization using its moving statistics."
        ),
    ] = "truncated"
    precision: PrecisionOption = "float32"
    weak: Annotated[
        Weak,
        _labels(
            "How trailers with whole-trailer labels are learned: through a pooled score in which frames with high "
            "scores count more, through the mean of their logits, or with the label copied to every frame. Genres that "
            "exclude each other take the mean in place of pool."
        ),
    ] = "pool"
    balance: Annotated[
        bool, _labels("Weigh each genre's frames so that trailers, or crops, with and without it count alike.")
    ] = False
    label_smoothing: Annotated[Share, _labels("Targets become target * (1 - s) + s / 2.")] = 0.0
    match_prevalence: Annotated[
        bool,
        _labels(
            "After the last epoch, move the output bias of each genre so that the mean score of the training trailers, "
            "whole and unchanged, is the share of them that show the genre. Crops, which count long trailers more "
            "often, and random changes shift the scores. Needs --keep last and --weak broadcast or mean."
        ),
    ] = False
    validation_share: Annotated[
        Share | Literal["auto"],
        _splits(
            f"Share of the trailers that chooses the epoch and the thresholds; auto: {VALIDATION_SHARE}, and 0 where "
            f"there are fewer than {FEWEST_TO_VALIDATE} trailers."
        ),
    ] = "auto"
    test_share: Annotated[Share, _splits("Share of the trailers kept out of training altogether, for evaluation.")] = (
        0.15
    )
    deterministic: Annotated[
        bool,
        _computation(
            "Only deterministic operations: two runs with one seed on one machine end with the same bits. Slower."
        ),
    ] = False
    seed: Annotated[
        Seed,
        _computation("Seed of the initial weights, the splits, the order of trailers and their random changes."),
    ] = 0

    def __post_init__(self) -> None:
        require(
            not self.match_prevalence or (self.keep == "last" and self.weak != "pool"),
            f"match_prevalence needs keep = last and weak = broadcast or mean, got {self.keep} and {self.weak}; "
            f"--no-match-prevalence trains without it",
        )
        validation_share = VALIDATION_SHARE if self.validation_share == "auto" else self.validation_share
        require(
            validation_share + self.test_share < 1,
            f"validation_share and test_share must leave trailers for training, got {validation_share} and "
            f"{self.test_share}",
        )


# Of a training that goes on from a run: two epochs of corrections at the full rate, with an Adam that knows no gradient
# yet, made a run worse (loss 1.74 -> 1.89).
FROM_RATE, FROM_WARMUP_EPOCHS = 0.1, 0.5


# EfficientNetV2B0: 7 million parameters, 29 MB, scaling inside, 78.7 % of ImageNet right (Keras documentation, "Keras
# Applications"): none of its size there is better.
DEFAULT_ENCODER = EncoderConfig(encoder="EfficientNetV2B0", encoder_cells=1, encoder_fps=2.0)


# Of a clip at 15 frames per second: an hour. The usual limit, 1000, would end every trailer after 67 seconds.
MOST_FRAMES = 54_000


@dataclasses.dataclass(frozen=True)
class Preset:
    """A network, how to train it, and the clips that it learns from."""

    model: ModelConfig
    training: TrainingConfig
    clips: ClipConfig


PRESETS: dict[str, Preset] = {
    "article": Preset(ModelConfig(), TrainingConfig(), ClipConfig()),
    "small-data": Preset(
        ModelConfig(
            inputs="motion",  # a few films' colours do not carry over to others; what moves does
            trunk_filters=(8, 16),
            trunk_pools=(2, 2),
            branch_filters=8,
            head="pooled",  # where in the picture something happens says nothing about its genre
            dense_units=(16,),
            norm_momentum=0.9,  # a few hundred steps: 0.99 would still remember the beginning
        ),
        TrainingConfig(
            epochs=12,
            batch_size=8,  # of a single trailer, the normalisation would remove what tells it from others
            learning_rate=3e-3,
            schedule="cosine",
            weight_decay=1e-3,
            keep="last",  # of a schedule that settles; a few validation trailers would choose by chance
            patience=None,
            weak="broadcast",
            label_smoothing=0.1,
            match_prevalence=True,  # long trailers give more crops; without it, 0.5 is not the middle
            crop_frames=12,
            flip=True,
            zoom=0.2,
            validation_share=0.0,  # every trailer is needed for learning: nothing is chosen, thresholds stay at 0.5
        ),
        ClipConfig(fps=15.0, size=32, frames=MOST_FRAMES),
    ),
    "pretrained": Preset(
        ModelConfig(
            **vars(DEFAULT_ENCODER),
            inputs="motion",
            trunk_filters=(8, 16),
            trunk_pools=(2, 2),
            branch_filters=8,
            head="pooled",
            dense_units=(16,),
            norm_momentum=0.9,
            linear_paths=True,
            branch_weight="auto",
            exclusive="auto",
        ),
        TrainingConfig(
            epochs=24,
            batch_size=8,
            learning_rate=3e-3,
            schedule="cosine",
            keep="last",
            patience=None,
            weak="mean",
            label_smoothing=0.1,
            match_prevalence=True,
            crop_frames=24,
            crops_per_epoch=1,
            flip=True,
            zoom=0.2,
            validation_share=0.0,
        ),
        ClipConfig(fps=15.0, size=32, frames=MOST_FRAMES),  # the encoder looks at the videos themselves,
    ),
}
