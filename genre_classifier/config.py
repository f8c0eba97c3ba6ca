"""Every option of the project, and the settings that belong together: the only home of their defaults.

`config.json` of a run holds those of the network and of its training, and the options that its clips were made with.
Only the moving-squares companion has its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from genre_classifier.genres import GENRES, check_genres
from preprocessing.base.files import MOST_BYTES
from preprocessing.base.options import Count, NotNegative, Options, Positive, Seconds, Seed, Share, option, require

Precision = Literal["float32", "bfloat16"]
Bptt = Literal["truncated", "full"]
Schedule = Literal["constant", "cosine"]
Weak = Literal["pool", "mean", "broadcast"]
Keep = Literal["best", "last"]
Head = Literal["flat", "pooled"]
PoolPadding = Literal["same", "valid"]
Scaling = Literal["auto", "none", "tf", "torch", "caffe"]
Inputs = Literal["rgb", "difference", "rgb+difference", "motion"]

INPUT_CHANNELS: dict[str, int] = {"rgb": 3, "difference": 3, "rgb+difference": 6, "motion": 1}  # by `inputs`

_network = partial(option, group="Network")
_encoder = partial(option, group="Encoder")
_optimisation = partial(option, group="Optimisation")
_computation = partial(option, group="Computation")
_labels = partial(option, group="Labels")
_augmentation = partial(option, group="Augmentation")
_splits = partial(option, group="Splits")
_segments = partial(option, group="Segments")

MAX_LABEL_MB = MOST_BYTES / 1e6
MaxLabelMb = Annotated[
    float,
    _labels(
        "A larger label file is refused; read, it takes up to forty times as much memory.", unit="MB", gt=0, le=100_000
    ),
]
SCORING_CHUNK = 8  # frames scored at once
PrecisionOption = Annotated[Precision, _computation("Of the convolutions; state and gates stay in float32.")]


class EncoderConfig(Options):
    """A pretrained image network, what of it is read, and how its maps are kept."""

    encoder: Annotated[
        str | None,
        _encoder(
            "A pretrained image network that every frame goes through once, frozen: a name of keras.applications, such "
            "as EfficientNetV2B0, or a .keras file (rows, cols, 3) to (rows, cols, channels)."
        ),
    ] = None
    encoder_layer: Annotated[
        str | None, _encoder("The layer of the encoder whose maps are read; none is its last one.")
    ] = None
    encoder_scaling: Annotated[
        Scaling,
        _encoder(
            "What the encoder wants pixels to be, in the words of keras.applications; auto is what a name wants, and "
            "for a file none: 0 to 255."
        ),
    ] = "auto"
    encoder_cells: Annotated[Count, _encoder("Rows and columns that the encoder's maps are averaged to.")] = 2
    motion_size: Annotated[
        int,
        _encoder(
            "Rows and columns of a small grey picture that is kept beside the encoder's maps, a multiple of "
            "--encoder-cells: the trunk then sees the movement in it, as --inputs motion, and the branches see what "
            "the trunk gives beside the encoder's maps. With 0 the trunk sees the maps.",
            unit="pixels",
            ge=0,
            le=512,
        ),
    ] = 0

    @property
    def grey_channels(self) -> int:
        """Return how many channels of an encoded frame are pixels of its small grey picture."""
        return (self.motion_size // self.encoder_cells) ** 2


class ModelConfig(EncoderConfig):
    """Sizes of the network. The defaults are those of the article "An introduction to ConvLSTM"."""

    rows: Annotated[Count, _network("Rows of the input frames.", unit="pixels")] = 400
    cols: Annotated[Count, _network("Columns of the input frames.", unit="pixels")] = 400
    trunk_filters: Annotated[
        tuple[Count, ...], _network("Filters of the shared ConvLSTM stages.", min_length=1, strict=False)
    ] = (20, 10)
    trunk_pools: Annotated[
        tuple[Count, ...], _network("Spatial max pooling after each trunk stage.", min_length=1, strict=False)
    ] = (2, 3)
    branch_filters: Annotated[Count, _network("Filters of the ConvLSTM of each genre's branch.")] = 5
    branch_pool: Annotated[Count, _network("Spatial max pooling in the branch.")] = 2
    pool_padding: Annotated[
        PoolPadding,
        _network(
            "What becomes of rows and columns that fill no window of a pooling: same keeps them, as the article's "
            "published code does (400 -> 200 -> 67 -> 34), valid drops them."
        ),
    ] = "same"
    dense_units: Annotated[
        tuple[Count, ...], _network("Hidden Dense layers of the branch, before its single output.", strict=False)
    ] = (512, 32)
    kernel_size: Annotated[
        int,
        # Ten times the article's, a hundred times its work.
        _network("Rows and columns of every convolution.", unit="pixels", ge=1, le=31),
    ] = 3
    head: Annotated[
        Head,
        _network(
            "What the Dense layers of a branch see: every pixel of its maps, or the mean and the maximum of each map."
        ),
    ] = "flat"
    inputs: Annotated[
        Inputs,
        _network(
            "What the first ConvLSTM sees: the frames, their differences from the frame before, both, or the "
            "differences of the grey values divided by their mean size in the frame."
        ),
    ] = "rgb"
    norm_momentum: Annotated[
        Share,
        _network(
            "Of the moving statistics of BatchNormalization: the share of the old value that an optimizer step keeps."
        ),
    ] = 0.99
    norm_epsilon: Annotated[Positive, _network("Added to the variance by BatchNormalization.")] = 1e-3
    genres: Annotated[tuple[str, ...], _network("What the outputs stand for, in order.", strict=False)] = GENRES
    encoder_channels: Annotated[int, option("Of an encoded frame; 0 without an encoder.", ge=0, le=262_144)] = 0
    encoder_digest: Annotated[str, option("Of the encoder's layers and weights; empty without an encoder.")] = ""
    reduced_channels: Annotated[
        tuple[Count, Count],
        _encoder(
            "Channels that trainable 1x1 reductions make of the encoder's maps, and of how they change from frame to "
            "frame.",
            strict=False,
        ),
    ] = (16, 16)
    encoder_dropout: Annotated[
        Share,
        _encoder("Share of the reduced channels that each training step leaves out, other ones each time."),
    ] = 0.0

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        """Return channels, rows and columns of what the network takes: a frame's pixels, or an encoder's maps of it."""
        if self.encoder is None:
            return 3, self.rows, self.cols
        return self.encoder_channels, self.encoder_cells, self.encoder_cells

    @property
    def trunk_shape(self) -> tuple[int, int, int]:
        """Return channels, rows and columns of what the first ConvLSTM sees."""
        if self.encoder is None:
            return INPUT_CHANNELS[self.inputs], self.rows, self.cols
        if self.motion_size:
            return 1, self.motion_size, self.motion_size
        return sum(self.reduced_channels), self.encoder_cells, self.encoder_cells

    @property
    def joined_channels(self) -> int:
        """Return how many channels of the encoder's reduced maps the branches see beside what the trunk gives."""
        return sum(self.reduced_channels) if self.encoder is not None and self.motion_size else 0

    def __post_init__(self) -> None:
        stages, pools = len(self.trunk_filters), len(self.trunk_pools)
        require(stages == pools, f"trunk_filters and trunk_pools must pair up, got {stages} and {pools} of them")
        check_genres(self.genres)
        shrink = self.branch_pool * math.prod(self.trunk_pools)
        require(
            self.motion_size % self.encoder_cells == 0,
            f"motion_size must be a multiple of encoder_cells = {self.encoder_cells}, got {self.motion_size}",
        )
        _, rows, cols = self.trunk_shape
        what = "frames" if self.encoder is None else "grey pictures" if self.motion_size else "encoded frames"
        require(
            min(rows, cols) >= shrink,
            f"{what} of {rows}x{cols} are too small: this network pools {shrink} pixels into one"
            + ("" if self.encoder is None else "; --preset pretrained has a network that fits"),
        )

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Rebuild from `to_dict`; what was written before there was `pool_padding` is "valid"."""
        return super().from_dict({"pool_padding": "valid", **fields})


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
    learning_rate: Annotated[Positive, _optimisation("Of Adam, at the start.")] = 1e-3
    schedule: Annotated[
        Schedule,
        _optimisation(
            "What becomes of the learning rate over the epochs: it stays, or falls to a hundredth along a cosine."
        ),
    ] = "constant"
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
            "Which epoch's network the run keeps: the one with the best validation macro-AP, or the last one, which is "
            "the better choice where few validation trailers say little and the schedule lets the network settle."
        ),
    ] = "best"
    patience: Annotated[
        Count | None,
        _optimisation("Epochs without a better validation macro-AP after which training ends; none trains all epochs."),
    ] = 10
    chunk: Annotated[
        Count | None,
        _computation(
            "Frames of truncated back-propagation through time; none takes each trailer whole.", unit="frames"
        ),
    ] = None
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
            "How trailers with whole-trailer labels are learnt: through a pooled score in which frames with high "
            "scores count more, through the mean of their logits, or with the label copied to every frame."
        ),
    ] = "pool"
    balance: Annotated[bool, _labels("Weigh each genre's frames so that those with and without it count alike.")] = (
        False
    )
    label_smoothing: Annotated[Share, _labels("Targets become target * (1 - s) + s / 2.")] = 0.0
    match_prevalence: Annotated[
        bool,
        _labels(
            "After the last epoch, move the output bias of each genre so that the mean score of the training trailers, "
            "whole and unchanged, is the share of them that show the genre. Crops, which count long trailers more "
            "often, and random changes leave scores that lean. Needs --keep last and --weak broadcast or mean."
        ),
    ] = False
    validation_share: Annotated[Share, _splits("Share of the trailers that chooses the epoch and the thresholds.")] = (
        0.15
    )
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
        _computation("Of the initial weights, the splits, the order of trailers and their random changes."),
    ] = 0

    def __post_init__(self) -> None:
        require(
            not self.match_prevalence or (self.keep == "last" and self.weak != "pool"),
            f"match_prevalence needs keep = last and weak = broadcast or mean, got {self.keep} and {self.weak}; "
            f"--no-match-prevalence trains without it",
        )
        require(
            self.validation_share + self.test_share < 1,
            f"validation_share and test_share must leave trailers for training, got {self.validation_share} and "
            f"{self.test_share}",
        )


class EvaluationConfig(Options):
    """How scores are evaluated."""

    draws: Annotated[int, option("Bootstrap draws of trailers.", ge=1, le=1_000_000)] = 1000
    seed: Annotated[Seed, option("Of the draws, and of the frames that the baselines are fitted on.")] = 0
    confidence: Annotated[float, option("Share of the draws inside an interval.", gt=0, lt=1)] = 0.95
    grid_seconds: Annotated[Positive, option("Length of the cells of segment-level figures.", unit="seconds")] = 1.0
    collar_seconds: Annotated[
        NotNegative, option("Most that an event's begin, and end, may be off.", unit="seconds")
    ] = 0.5
    offset_share: Annotated[
        float, option("An event's end may also be off by this share of the labelled event's length.", ge=0, le=1)
    ] = 0.5
    tiou: Annotated[
        tuple[Annotated[float, Field(gt=0, le=1)], ...],
        option("Limits of temporal intersection over union; those of ActivityNet.", min_length=1, strict=False),
    ] = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
    ece_bins: Annotated[
        Count, option("Bins of equal width for the expected calibration error and the reliability diagrams.")
    ] = 15


class SegmentConfig(Options):
    """How the scores of frames become segments."""

    smooth_seconds: Annotated[
        Seconds, _segments("Length of the median filter over the scores; 0 leaves them as they are.", unit="seconds")
    ] = 0.5
    off_ratio: Annotated[
        float,
        _segments(
            "A segment needs one frame at the genre's threshold, and goes on while the scores stay at or above this "
            "share of it; 1 has no hysteresis.",
            gt=0,
            le=1,
        ),
    ] = 0.8
    min_seconds: Annotated[
        Seconds, _segments("Shortest segment. A shot of a trailer lasts one to three.", unit="seconds")
    ] = 1.0
    min_gap_seconds: Annotated[
        Seconds,
        _segments("Shortest pause between two segments of a genre; shorter ones are closed.", unit="seconds"),
    ] = 0.5


# Rates in which Label Studio can be asked to count: it takes a frameRate below 1 for seconds per frame, and a file that
# says more than the highest does not mean it.
LABEL_STUDIO_RATES = (1, 480)


class ExportConfig(Options):
    """What files for other programs say beside labels and segments."""

    subset: Annotated[
        str, option("ActivityNet's subset of the trailers in a file of labels; its evaluator takes this unless told.")
    ] = "validation"
    label_studio_prefix: Annotated[
        str,
        option(
            "What comes before a trailer's name in the address from which Label Studio plays it: for a folder "
            "trailers/ below its LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT, /data/local-files/?d=trailers/."
        ),
    ] = "/data/local-files/?d="
    label_studio_fps: Annotated[
        float,
        option(
            "Of Label Studio's tasks that do not say theirs (data.fps), and of videos whose own rate is not known: 24 "
            "is what Label Studio assumes of a Video tag without a frameRate.",
            unit="frames per second",
            ge=LABEL_STUDIO_RATES[0],
            le=LABEL_STUDIO_RATES[1],
        ),
    ] = 24.0


class SyntheticConfig(Options):
    """What synthetic trailers are like."""

    # More trailers, or longer ones, are a slip of the keyboard: two weeks of film, or a trailer of a day.
    trailers: Annotated[int, option("How many.", ge=1, le=100_000)] = 30
    duration: Annotated[float, option("Of each trailer, at least.", unit="seconds", gt=0, le=86_400)] = 12.0
    fps: Annotated[Positive, option("Of the files.", unit="frames per second")] = 24.0
    rows: Annotated[Count, option("Rows of the frames.", unit="pixels")] = 96
    cols: Annotated[Count, option("Columns of the frames.", unit="pixels")] = 128
    shot_seconds: Annotated[
        tuple[Positive, Positive], option("Shortest and longest shot.", unit="seconds", strict=False)
    ] = (1.5, 3.0)
    dissolve_seconds: Annotated[NotNegative, option("Length of a dissolve between two shots.", unit="seconds")] = 0.5
    dissolve_share: Annotated[
        float, option("Share of the shot changes that dissolve; the others are hard cuts.", ge=0, le=1)
    ] = 0.3
    split_share: Annotated[float, option("Share of the shots that show two genres side by side.", ge=0, le=1)] = 0.15
    genres: Annotated[tuple[str, ...], option("What is shown.", strict=False)] = GENRES

    def __post_init__(self) -> None:
        check_genres(self.genres)
        shortest = self.shot_seconds[1]
        require(self.duration >= shortest, f"duration must be at least {shortest:g} seconds, got {self.duration}")
