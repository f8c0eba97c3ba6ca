"""Every number of the moving-squares companion, and its two presets: the only home of their defaults.

Light to import: the command line makes its options from these fields.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from genre_classifier.config import _Config, _require

Optimizer = Literal["adadelta", "adam"]

# What is larger is a slip: it would not end, or not fit anywhere. One million for the others.
_MOST = {"frames": 10_000, "predicted": 10_000, "given": 10_000, "size": 2_000, "speed": 1_000, "layers": 100,
         "filters": 10_000, "seed": 2**32 - 1}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class SquaresConfig(_Config):
    """Movies, network, schedule and test. The defaults are the numbers of the original Keras script, but for `causal`.

    Attributes
    ----------
    samples : int
        Movies in all, the unseen ones included.
    unseen : int
        Movies kept for the figures.
    frames : int
        Frames of a training movie.
    size : int
        Rows and columns of a movie, in pixels; squares start inside.
    min_squares, max_squares : int
        Squares of a movie.
    min_half_width, max_half_width : int
        Half the side of a square, in pixels.
    speed : int
        Largest movement along each axis, in pixels per frame.
    noise : float
        Added to, or taken from, a square and one pixel around it, in [0, 1].
    noise_chance : float
        Probability of that, per square and frame.
    layers : int
        ConvLSTM layers.
    filters : int
        Filters of each of them.
    kernel : int
        Rows and columns of every convolution; frames too of the last one. Odd.
    norm_momentum : float
        Of the moving statistics of BatchNormalization, in [0, 1): the share of the old value that a step keeps.
    causal : bool
        The last convolution reads the past only.
    optimizer : {"adadelta", "adam"}
        What trains.
    learning_rate : float
        Of the optimizer.
    batch_size : int
        Movies per step.
    epochs : int
        Passes over the training movies.
    validation_share : float
        Share of the seen movies, at their end, that is not trained on, in [0, 1).
    seed : int
        Of the movies, of the first weights and of the order of the movies.
    given : int
        Frames shown before a rollout.
    predicted : int
        Frames of a rollout, measured and drawn.
    movie : int
        Unseen movie that is drawn; the original's, movie 1004, is number 4 of its unseen ones.
    """

    samples: int = 1200
    unseen: int = 200
    frames: int = 15
    size: int = 40
    min_squares: int = 3
    max_squares: int = 7
    min_half_width: int = 2
    max_half_width: int = 3
    speed: int = 1
    noise: float = 0.1
    noise_chance: float = 0.5
    layers: int = 4
    filters: int = 40
    kernel: int = 3
    norm_momentum: float = 0.99
    causal: bool = True
    optimizer: Optimizer = "adadelta"
    learning_rate: float = 1.0
    batch_size: int = 10
    epochs: int = 300
    validation_share: float = 0.05
    seed: int = 0
    given: int = 7
    predicted: int = 16
    movie: int = 4

    def __post_init__(self) -> None:
        counts = (
            "samples",
            "unseen",
            "frames",
            "min_squares",
            "min_half_width",
            "layers",
            "filters",
            "batch_size",
            "epochs",
        )
        least_of = dict.fromkeys((*counts, "predicted"), 1) | {"size": 8, "speed": 0, "seed": 0, "given": 2}
        for name, least in least_of.items():
            value, most = getattr(self, name), _MOST.get(name, 1_000_000)
            _require(least <= value <= most, f"{name} must be from {least} to {most}, got {value}")
        for name in ("squares", "half_width"):
            least, most = getattr(self, f"min_{name}"), getattr(self, f"max_{name}")
            _require(least <= most, f"min_{name} must not be above max_{name}, got {least} and {most}")
            _require(most <= 1000, f"max_{name} must be at most 1000, got {most}")
        for name in ("noise", "noise_chance"):
            _require(0 <= getattr(self, name) <= 1, f"{name} must be between 0 and 1, got {getattr(self, name)}")
        for name in ("norm_momentum", "validation_share"):
            _require(0 <= getattr(self, name) < 1, f"{name} must be at least 0 and below 1, got {getattr(self, name)}")
        _require(self.kernel >= 1 and self.kernel % 2 == 1, f"kernel must be odd, got {self.kernel}")
        _require(self.kernel < 2 * self.size, f"kernel must be below twice the size, {self.size}; got {self.kernel}")
        _require(self.optimizer in ("adadelta", "adam"), f"optimizer must be adadelta or adam, got {self.optimizer!r}")
        _require(0 < self.learning_rate <= 1e6, f"learning_rate must be positive, got {self.learning_rate}")
        _require(
            self.samples > self.unseen,
            f"samples must leave movies to train on beside the {self.unseen} unseen ones, got {self.samples}",
        )
        _require(0 <= self.movie < self.unseen, f"movie must be below unseen, {self.unseen}; got {self.movie}")


PRESETS: dict[str, SquaresConfig] = {
    # Movies as long as the rollouts: the state of a network that has only seen shorter ones drifts off after their end.
    "quick": SquaresConfig(
        samples=520, frames=23, layers=2, filters=10, norm_momentum=0.9, optimizer="adam", learning_rate=5e-3,
        batch_size=4, epochs=7,
    ),
    "original": SquaresConfig(),
}  # fmt: skip
