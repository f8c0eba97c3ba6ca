"""Configuration of the network and of its training: the only home of their defaults.

Frozen dataclasses with a JSON round trip; `config.json` of a run holds both, and the options that its clips were made
with.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, TypeVar

from genre_classifier.genres import GENRES
from preprocessing.errors import InputError

Precision = Literal["float32", "bfloat16"]
Bptt = Literal["truncated", "full"]
Head = Literal["flat", "pooled"]
Inputs = Literal["rgb", "difference", "rgb+difference"]

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
    dense_units : tuple of int
        Hidden Dense layers of the branch, before its single output.
    kernel_size : int
        Rows and columns of every convolution.
    head : {"flat", "pooled"}
        What the Dense layers of a branch see: every pixel of its maps, or the mean and the maximum of each map.
    inputs : {"rgb", "difference", "rgb+difference"}
        What the first ConvLSTM sees: the frames, their differences from the frame before, or both.
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
        _require(self.head in ("flat", "pooled"), f"head must be flat or pooled, got {self.head!r}")
        _require(
            self.inputs in ("rgb", "difference", "rgb+difference"),
            f"inputs must be rgb, difference or rgb+difference, got {self.inputs!r}",
        )
        _require(0 <= self.norm_momentum < 1, f"norm_momentum must be in [0, 1), got {self.norm_momentum}")
        _require(self.norm_epsilon > 0, f"norm_epsilon must be positive, got {self.norm_epsilon}")
        shrink = self.branch_pool
        for pool in self.trunk_pools:
            shrink *= pool
        _require(
            min(self.rows, self.cols) >= shrink,
            f"frames of {self.rows}x{self.cols} are too small: the pooling of this network needs {shrink} pixels each way",
        )


@dataclasses.dataclass(frozen=True)
class TrainingConfig(_Config):
    """How a network is trained.

    Attributes
    ----------
    epochs : int
        Passes over the training trailers.
    batch_size : int
        Trailers per step; shorter ones are padded and masked.
    learning_rate : float
        Of Adam.
    chunk : int or None
        Frames of truncated back-propagation through time; None takes each trailer whole.
    bptt : {"truncated", "full"}
        With `chunk`: whether the gradient stops at the borders of chunks or goes through them.
    precision : {"float32", "bfloat16"}
        Of the convolutions; state and gates stay in float32.
    validation_share, test_share : float
        Shares of the trailers kept out of training, in [0, 1).
    seed : int
        Of the initial weights, the splits and the order of trailers.
    """

    epochs: int = 20
    batch_size: int = 1
    learning_rate: float = 1e-3
    chunk: int | None = None
    bptt: Bptt = "truncated"
    precision: Precision = "float32"
    validation_share: float = 0.15
    test_share: float = 0.15
    seed: int = 0

    def __post_init__(self) -> None:
        _require(self.epochs >= 1, f"epochs must be at least 1, got {self.epochs}")
        _require(self.batch_size >= 1, f"batch_size must be at least 1, got {self.batch_size}")
        _require(self.learning_rate > 0, f"learning_rate must be positive, got {self.learning_rate}")
        _require(self.chunk is None or self.chunk >= 1, f"chunk must be at least 1 frame, got {self.chunk}")
        _require(self.bptt in ("truncated", "full"), f"bptt must be truncated or full, got {self.bptt!r}")
        _require(
            self.precision in ("float32", "bfloat16"), f"precision must be float32 or bfloat16: {self.precision!r}"
        )
        shares = (self.validation_share, self.test_share)
        _require(all(0 <= share < 1 for share in shares) and sum(shares) < 1, f"shares must leave trailers: {shares}")


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
            _require(0 <= seconds < float("inf"), f"{name} must be 0 seconds or more, got {seconds}")
        _require(0 < self.off_ratio <= 1, f"off_ratio must be above 0 and at most 1, got {self.off_ratio}")
