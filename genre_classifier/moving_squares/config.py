"""Every number of the moving-squares companion, and its two presets: the only home of their defaults.

Light to import: the command line makes its options from these fields. What is larger than a field allows is a slip: it
would not end, or not fit anywhere.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

from pydantic import Field

from preprocessing.base.options import Options, Seed, Share, option, require

Optimizer = Literal["adadelta", "adam"]
Million = Annotated[int, Field(ge=1, le=1_000_000)]
Probability = Annotated[float, Field(ge=0, le=1)]

_movies = partial(option, group="Movies")
_network = partial(option, group="Network")
_training = partial(option, group="Training")
_rollouts = partial(option, group="Rollouts")


class SquaresConfig(Options):
    """Movies, network, schedule and test.

    The defaults are the numbers of the original Keras script, but for `causal`.
    """

    samples: Annotated[Million, _movies("Movies in all, the unseen ones included.")] = 1200
    unseen: Annotated[Million, _movies("Movies kept for the figures.")] = 200
    frames: Annotated[int, _movies("Length of a training movie.", unit="frames", ge=1, le=10_000)] = 15
    size: Annotated[
        int, _movies("Rows and columns of a movie; squares start inside.", unit="pixels", ge=8, le=2_000)
    ] = 40
    min_squares: Annotated[int, _movies("Fewest squares of a movie.", ge=1, le=1_000)] = 3
    max_squares: Annotated[int, _movies("Most squares of a movie.", ge=1, le=1_000)] = 7
    min_half_width: Annotated[int, _movies("Least half of a square's side.", unit="pixels", ge=1, le=1_000)] = 2
    max_half_width: Annotated[int, _movies("Largest half of a square's side.", unit="pixels", ge=1, le=1_000)] = 3
    speed: Annotated[int, _movies("Largest movement along each axis.", unit="pixels per frame", ge=0, le=1_000)] = 1
    noise: Annotated[
        Probability, _movies("Grey that is added to, or taken from, a square and one pixel around it; 1 is white.")
    ] = 0.1
    noise_chance: Annotated[Probability, _movies("Probability of that noise, per square and frame.")] = 0.5
    layers: Annotated[int, _network("ConvLSTM layers.", ge=1, le=100)] = 4
    filters: Annotated[int, _network("Filters of each of them.", ge=1, le=10_000)] = 40
    kernel: Annotated[
        int,
        _network(
            "Rows and columns of every kernel, and frames of the last one's; an odd number.",
            unit="pixels",
            ge=1,
            le=4_000,
        ),
    ] = 3
    norm_momentum: Annotated[
        Share,
        _network("Moving statistics of BatchNormalization: the share of the old value that a step keeps."),
    ] = 0.99
    causal: Annotated[bool, _network("The last convolution reads the past only.")] = True
    optimizer: Annotated[Optimizer, _training("Optimizer of the training.")] = "adadelta"
    learning_rate: Annotated[float, _training("Learning rate of the optimizer.", gt=0, le=1_000_000)] = 1.0
    batch_size: Annotated[Million, _training("Movies per step.")] = 10
    epochs: Annotated[Million, _training("Passes over the training movies.")] = 300
    validation_share: Annotated[Share, _training("Share of the seen movies, at their end, that is not trained on.")] = (
        0.05
    )
    seed: Annotated[Seed, _training("Seed of the movies, of the first weights and of the order of the movies.")] = 0
    given: Annotated[int, _rollouts("Frames shown before a rollout.", unit="frames", ge=2, le=10_000)] = 7
    predicted: Annotated[int, _rollouts("Length of a rollout, measured and drawn.", unit="frames", ge=1, le=10_000)] = (
        16
    )
    movie: Annotated[
        int,
        _rollouts(
            "Number of the unseen movie that is drawn; 4 is the one that the original draws, its movie 1004.",
            ge=0,
            le=1_000_000,
        ),
    ] = 4

    def __post_init__(self) -> None:
        for least, most in (("min_squares", "max_squares"), ("min_half_width", "max_half_width")):
            low, high = getattr(self, least), getattr(self, most)
            require(low <= high, f"{least} must not be above {most}, got {low} and {high}")
        require(self.kernel % 2 == 1, f"kernel must be odd, got {self.kernel}")
        require(self.kernel < 2 * self.size, f"kernel must be below twice the size, {self.size}; got {self.kernel}")
        require(
            self.samples > self.unseen,
            f"samples must leave movies to train on beside the {self.unseen} unseen ones, got {self.samples}",
        )
        require(self.movie < self.unseen, f"movie must be below unseen, {self.unseen}; got {self.movie}")


PRESETS: dict[str, SquaresConfig] = {
    # Movies as long as the rollouts: the state of a network that has only seen shorter ones drifts off after their end.
    "quick": SquaresConfig(
        samples=520,
        frames=23,
        layers=2,
        filters=10,
        norm_momentum=0.9,
        optimizer="adam",
        learning_rate=5e-3,
        batch_size=4,
        epochs=7,
    ),
    "original": SquaresConfig(),
}
