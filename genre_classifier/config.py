"""Configuration of the network and of its training: the only home of their defaults.

Frozen dataclasses with a JSON round trip; `config.json` of a run holds both, and the options that its clips were made
with.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, TypeVar, get_args

from genre_classifier.genres import GENRES
from preprocessing.errors import InputError

Precision = Literal["float32", "bfloat16"]
Bptt = Literal["truncated", "full"]
Schedule = Literal["constant", "cosine"]
Weak = Literal["pool", "broadcast"]
Keep = Literal["best", "last"]
Head = Literal["flat", "pooled"]
PoolPadding = Literal["same", "valid"]
Inputs = Literal["rgb", "difference", "rgb+difference", "motion"]

INPUT_CHANNELS: dict[str, int] = {"rgb": 3, "difference": 3, "rgb+difference": 6, "motion": 1}  # by `inputs`

LARGEST_KERNEL = 31  # pixels: ten times the article's, a hundred times its work

ConfigT = TypeVar("ConfigT", bound="_Config")


class _Config:
    """JSON round trip of a frozen dataclass."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types (tuples become lists)."""
        fields = dataclasses.asdict(self)  # type: ignore[call-overload]
        return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}

    @classmethod
    def from_dict(cls: type[ConfigT], fields: dict[str, Any]) -> ConfigT:
        """Rebuild from `to_dict`.

        Raises
        ------
        InputError
            For a field that this version does not know, or a value out of range.
        """
        known = {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
        if unknown := sorted(set(fields) - known):
            raise InputError(
                f"{cls.__name__}: options {unknown} are not known to this version; expected {sorted(known)}"
            )
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()})


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise InputError(message)


def _require_numbers(config: _Config) -> None:
    """Refuse NaN, infinity and what fits into no library's 32 bits."""
    for name, value in vars(config).items():
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, int | float):
                _require(abs(number) < 2**32, f"{name} must be below {2**32}, got {number}")


def _require_choices(config: _Config, **choices: Any) -> None:
    for name, options in choices.items():
        allowed, value = get_args(options), getattr(config, name)
        _require(value in allowed, f"{name} must be one of {', '.join(allowed)}, got {value!r}")


@dataclasses.dataclass(frozen=True)
class ModelConfig(_Config):
    """Sizes of the network. The defaults are those of the article "An introduction to ConvLSTM".

    Attributes
    ----------
    rows, cols : int
        Size of the input frames, in pixels.
    trunk_filters : tuple of int
        Filters of the shared ConvLSTM stages (3x3, same padding).
    trunk_pools : tuple of int
        Spatial max pooling after each trunk stage.
    branch_filters : int
        Filters of the ConvLSTM of each genre's branch.
    branch_pool : int
        Spatial max pooling in the branch.
    pool_padding : {"same", "valid"}
        What becomes of rows and columns that fill no window of a pooling: "same" keeps them, as the article's published
        code does (400 -> 200 -> 67 -> 34), "valid" drops them.
    dense_units : tuple of int
        Hidden Dense layers of the branch, before its single output.
    kernel_size : int
        Rows and columns of every convolution.
    head : {"flat", "pooled"}
        What the Dense layers of a branch see: every pixel of its maps, or the mean and the maximum of each map.
    inputs : {"rgb", "difference", "rgb+difference", "motion"}
        What the first ConvLSTM sees: the frames, their differences from the frame before, both, or the differences of
        the grey values divided by their mean size in the frame.
    norm_momentum : float
        Of the moving statistics of BatchNormalization, in [0, 1): the share of the old value that an optimizer step
        keeps.
    norm_epsilon : float
        Added to the variance by BatchNormalization.
    genres : tuple of str
        Names of the outputs, in order.
    """

    rows: int = 400
    cols: int = 400
    trunk_filters: tuple[int, ...] = (20, 10)
    trunk_pools: tuple[int, ...] = (2, 3)
    branch_filters: int = 5
    branch_pool: int = 2
    pool_padding: PoolPadding = "same"
    dense_units: tuple[int, ...] = (512, 32)
    kernel_size: int = 3
    head: Head = "flat"
    inputs: Inputs = "rgb"
    norm_momentum: float = 0.99
    norm_epsilon: float = 1e-3
    genres: tuple[str, ...] = GENRES

    def __post_init__(self) -> None:
        _require(len(self.trunk_filters) == len(self.trunk_pools) > 0, "trunk_filters and trunk_pools must pair up")
        _require(self.genres == GENRES, f"genres must be {GENRES}, got {self.genres}")
        sizes = (*self.trunk_filters, *self.trunk_pools, self.branch_filters, self.branch_pool, *self.dense_units)
        _require(all(size >= 1 for size in sizes), f"layer sizes must be at least 1, got {self}")
        _require(
            1 <= self.kernel_size <= LARGEST_KERNEL,
            f"kernel_size must be from 1 to {LARGEST_KERNEL} pixels, got {self.kernel_size}",
        )
        _require_choices(self, head=Head, inputs=Inputs, pool_padding=PoolPadding)
        _require_numbers(self)
        _require(0 <= self.norm_momentum < 1, f"norm_momentum must be in [0, 1), got {self.norm_momentum}")
        _require(self.norm_epsilon > 0, f"norm_epsilon must be positive, got {self.norm_epsilon}")
        shrink = self.branch_pool
        for pool in self.trunk_pools:
            shrink *= pool
        _require(
            min(self.rows, self.cols) >= shrink,
            f"frames of {self.rows}x{self.cols} are too small: this network pools {shrink} pixels into one",
        )

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> ModelConfig:
        """Rebuild from `to_dict`; what was written before there was `pool_padding` is "valid"."""
        return super().from_dict({"pool_padding": "valid", **fields})


@dataclasses.dataclass(frozen=True)
class TrainingConfig(_Config):
    """How a network is trained.

    Attributes
    ----------
    epochs : int
        Passes over the training trailers, at most.
    batch_size : int
        Trailers per step; shorter ones are padded and masked.
    learning_rate : float
        Of Adam, at the start.
    schedule : {"constant", "cosine"}
        What becomes of the learning rate over the epochs: it stays, or falls to a hundredth along a cosine.
    weight_decay : float
        Decoupled weight decay of the optimizer (AdamW), per step and relative to the learning rate.
    clip_norm : float or None
        Largest norm of the whole gradient; None leaves it as it is.
    keep : {"best", "last"}
        Which epoch's network the run keeps: the one with the best validation macro-AP, or the last one, which is the
        better choice where few validation trailers say little and the schedule lets the network settle.
    patience : int or None
        Epochs without a better validation macro-AP after which training ends; None trains all epochs.
    chunk : int or None
        Frames of truncated back-propagation through time; None takes each trailer whole.
    bptt : {"truncated", "full"}
        With a chunk: whether the gradient stops at the borders of chunks, or goes through the whole trailer, exactly,
        with BatchNormalization using its moving statistics.
    precision : {"float32", "bfloat16"}
        Of the convolutions; state and gates stay in float32.
    weak : {"pool", "broadcast"}
        How trailers with whole-trailer labels are learnt: through a pooled score over their frames, or with the label
        copied to every frame.
    balance : bool
        Weigh each genre's frames so that those with and without it count alike.
    label_smoothing : float
        Targets become target * (1 - s) + s / 2.
    match_prevalence : bool
        After the last epoch, move the output bias of each genre so that the mean score of the training trailers, whole
        and unchanged, is the share of them that show the genre. Crops, which count long trailers more often, and random
        changes leave scores that lean. Needs keep = "last" and weak = "broadcast".
    crop_frames : int or None
        Train on crops of this many consecutive frames from random places, as many per epoch as fit into each trailer
        side by side; None takes each trailer whole.
    flip : bool
        Mirror training clips at random.
    zoom : float
        Cut up to this share of rows and columns off training clips at random, and enlarge the rest.
    shift : float
        Move training clips at random, up to this share of their size.
    brightness : float
        Change the brightness of training clips at random, up to this share of the grey range.
    contrast : float
        Change the contrast of training clips at random, up to this share.
    stride : int
        Keep every n-th frame of training clips, n drawn from 1 to this.
    validation_share : float
        Share of the trailers that chooses the epoch and the thresholds.
    test_share : float
        Share of the trailers kept out of training altogether, for evaluation.
    deterministic : bool
        Only deterministic operations: two runs with one seed on one machine end with the same bits. Slower.
    seed : int
        Of the initial weights, the splits, the order of trailers and their random changes.
    """

    epochs: int = 20
    batch_size: int = 1
    learning_rate: float = 1e-3
    schedule: Schedule = "constant"
    weight_decay: float = 0.0
    clip_norm: float | None = 1.0
    keep: Keep = "best"
    patience: int | None = 10
    chunk: int | None = None
    bptt: Bptt = "truncated"
    precision: Precision = "float32"
    weak: Weak = "pool"
    balance: bool = False
    label_smoothing: float = 0.0
    match_prevalence: bool = False
    crop_frames: int | None = None
    flip: bool = False
    zoom: float = 0.0
    shift: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    stride: int = 1
    validation_share: float = 0.15
    test_share: float = 0.15
    deterministic: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        _require_choices(self, schedule=Schedule, bptt=Bptt, precision=Precision, weak=Weak, keep=Keep)
        for name in ("epochs", "batch_size", "patience", "chunk", "crop_frames", "stride"):
            value = getattr(self, name)
            _require(value is None or value >= 1, f"{name} must be at least 1, got {value}")
        _require(0 <= self.seed < 2**32, f"seed must be from 0 to {2**32 - 1}, got {self.seed}")
        for name in ("learning_rate", "clip_norm"):
            value = getattr(self, name)
            _require(value is None or 0 < value < float("inf"), f"{name} must be positive, got {value}")
        for name in ("label_smoothing", "zoom", "shift", "brightness", "contrast", "validation_share", "test_share"):
            value = getattr(self, name)
            _require(0 <= value < 1, f"{name} must be at least 0 and below 1, got {value}")
        _require(
            0 <= self.weight_decay < float("inf"),
            f"weight_decay must be at least 0 and finite, got {self.weight_decay}",
        )
        _require_numbers(self)
        _require(
            not self.match_prevalence or (self.keep == "last" and self.weak == "broadcast"),
            f"match_prevalence needs keep = last and weak = broadcast, got {self.keep} and {self.weak}; "
            f"--no-match-prevalence trains without it",
        )
        _require(
            self.validation_share + self.test_share < 1,
            f"validation_share and test_share must leave trailers for training, got {self.validation_share} and "
            f"{self.test_share}",
        )


@dataclasses.dataclass(frozen=True)
class EvaluationConfig(_Config):
    """How scores are evaluated.

    Attributes
    ----------
    draws : int
        Bootstrap draws of trailers.
    seed : int
        Of the draws, and of the frames that the baselines are fitted on.
    confidence : float
        Share of the draws inside an interval, in (0, 1).
    grid_seconds : float
        Length of the cells of segment-level figures, in seconds.
    collar_seconds : float
        Most that an event's begin, and end, may be off, in seconds.
    offset_share : float
        An event's end may also be off by this share of the labelled event's length.
    tiou : tuple of float
        Limits of temporal intersection over union, in (0, 1]; those of ActivityNet.
    ece_bins : int
        Bins of equal width for the expected calibration error and the reliability diagrams.
    """

    draws: int = 1000
    seed: int = 0
    confidence: float = 0.95
    grid_seconds: float = 1.0
    collar_seconds: float = 0.5
    offset_share: float = 0.5
    tiou: tuple[float, ...] = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
    ece_bins: int = 15

    def __post_init__(self) -> None:
        _require(1 <= self.draws <= 1_000_000, f"draws must be from 1 to 1000000, got {self.draws}")
        _require(0 <= self.seed < 2**32, f"seed must be from 0 to {2**32 - 1}, got {self.seed}")
        _require(0 < self.confidence < 1, f"confidence must be between 0 and 1, got {self.confidence}")
        _require(0 < self.grid_seconds < float("inf"), f"grid_seconds must be above 0, got {self.grid_seconds}")
        _require(
            0 <= self.collar_seconds < float("inf"), f"collar_seconds must be 0 or more, got {self.collar_seconds}"
        )
        _require(0 <= self.offset_share <= 1, f"offset_share must be between 0 and 1, got {self.offset_share}")
        limits = len(self.tiou) > 0 and all(0 < limit <= 1 for limit in self.tiou)
        _require(limits, f"tiou must be limits above 0 and at most 1, got {self.tiou}")
        _require(self.ece_bins >= 1, f"ece_bins must be at least 1, got {self.ece_bins}")


@dataclasses.dataclass(frozen=True)
class SegmentConfig(_Config):
    """How the scores of frames become segments.

    Attributes
    ----------
    smooth_seconds : float
        Length of the median filter, in seconds; 0 leaves the scores as they are.
    off_ratio : float
        A segment needs one frame at the genre's threshold, and goes on while the scores stay at or above this share
        of it; in (0, 1], 1 has no hysteresis.
    min_seconds : float
        Shortest segment, in seconds. A shot of a trailer lasts one to three.
    min_gap_seconds : float
        Shortest pause between two segments of a genre, in seconds; shorter ones are closed.
    """

    smooth_seconds: float = 0.5
    off_ratio: float = 0.8
    min_seconds: float = 1.0
    min_gap_seconds: float = 0.5

    def __post_init__(self) -> None:
        for name in ("smooth_seconds", "min_seconds", "min_gap_seconds"):
            seconds = getattr(self, name)
            _require(0 <= seconds <= 1e6, f"{name} must be from 0 to 1000000 seconds, got {seconds}")
        _require(0 < self.off_ratio <= 1, f"off_ratio must be above 0 and at most 1, got {self.off_ratio}")


@dataclasses.dataclass(frozen=True)
class ExportConfig:
    """What files for other programs say beside labels and segments.

    Attributes
    ----------
    subset : str
        ActivityNet's subset of the trailers in a file of labels.
    label_studio_prefix : str
        What comes before a trailer's name in the address from which Label Studio plays it; empty: the bare name.
    """

    # What ActivityNet's evaluator takes unless told otherwise.
    subset: str = "validation"
    # Where Label Studio serves the files below LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT.
    label_studio_prefix: str = "/data/local-files/?d="
