"""Every number of the moving-squares companion and its two presets: the only home of their defaults.

Light to import: the command line makes its options from these fields.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Literal

from genre_classifier.config import _Config
from preprocessing.errors import InputError

Optimizer = Literal["adadelta", "adam"]


def _field(default: Any, meaning: str, *, least: float | None = None, most: float = math.inf) -> Any:
    return dataclasses.field(default=default, metadata={"meaning": meaning, "least": least, "most": most})


@dataclasses.dataclass(frozen=True)
class SquaresConfig(_Config):
    """Movies, network, schedule and test of the companion; each field carries its meaning and bounds as metadata.

    The defaults are the numbers of the original Keras script; `PRESETS` holds them as "original", and as "quick" a
    smaller network and a faster optimizer.

    Raises
    ------
    InputError
        For a value out of its bounds, or values that do not fit together.
    """

    samples: int = _field(1200, "movies in all, the unseen ones included", least=2)
    unseen: int = _field(200, "movies kept for the figures", least=1)
    frames: int = _field(15, "frames of a training movie", least=2)
    size: int = _field(40, "rows and columns of a movie, in pixels; squares start inside", least=8)
    min_squares: int = _field(3, "fewest squares of a movie", least=1)
    max_squares: int = _field(7, "most squares of a movie", least=1)
    min_half_width: int = _field(2, "half the side of the smallest square, in pixels", least=1)
    max_half_width: int = _field(3, "half the side of the largest square, in pixels", least=1)
    speed: int = _field(1, "largest movement along each axis, in pixels per frame", least=0)
    noise: float = _field(0.1, "added to or taken from a square and its border", least=0, most=1)
    noise_chance: float = _field(0.5, "probability of that, per square and frame", least=0, most=1)
    layers: int = _field(4, "ConvLSTM layers", least=1)
    filters: int = _field(40, "filters of each of them", least=1)
    norm_momentum: float = _field(0.99, "share of the old moving statistics that a step keeps", least=0, most=0.9999)
    kernel: int = _field(3, "rows and columns of every convolution; frames too of the last", least=1)
    causal: bool = _field(True, "let the last convolution read the past only")
    optimizer: Optimizer = _field("adadelta", "adadelta or adam")
    learning_rate: float = _field(1.0, "of the optimizer", least=1e-9)
    batch_size: int = _field(10, "movies per step", least=1)
    epochs: int = _field(300, "passes over the training movies", least=1)
    validation_share: float = _field(
        0.05, "share of the training movies, at their end, not trained on", least=0, most=0.9
    )
    seed: int = _field(0, "of the movies, the first weights and their order", least=0)
    given: int = _field(7, "frames shown before a rollout", least=2)
    predicted: int = _field(16, "frames of the rollout that is drawn", least=1)
    movie: int = _field(4, "unseen movie that is drawn; the original's movie 1004 is number 4 of its unseen", least=0)
    horizons: int = _field(8, "frames ahead that are measured", least=1)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, least = getattr(self, field.name), field.metadata["least"]
            if least is not None and not least <= value <= field.metadata["most"]:
                most = field.metadata["most"]
                bounds = f"at least {least:g}" if most == math.inf else f"between {least:g} and {most:g}"
                raise InputError(f"{field.name} must be {bounds}, got {value}")
        for small, large in (("min_squares", "max_squares"), ("min_half_width", "max_half_width")):
            if getattr(self, small) > getattr(self, large):
                raise InputError(f"{small} must not be above {large}: {getattr(self, small)} > {getattr(self, large)}")
        if self.optimizer not in ("adadelta", "adam"):
            raise InputError(f"optimizer must be adadelta or adam, got {self.optimizer!r}")
        if self.training_movies < 1:
            raise InputError(
                f"samples must leave a movie to train on beside the {self.unseen} unseen ones, got {self.samples}"
            )
        if self.movie >= self.unseen:
            raise InputError(f"movie must be below the number of unseen movies, {self.unseen}; got {self.movie}")

    @property
    def training_movies(self) -> int:
        """Movies that training sees, without those of validation."""
        seen = self.samples - self.unseen
        return seen - int(seen * self.validation_share)


PRESETS: dict[str, SquaresConfig] = {
    "quick": SquaresConfig(
        samples=700, layers=2, filters=12, optimizer="adam", learning_rate=4e-3, batch_size=10, epochs=8
    ),
    "original": SquaresConfig(),
}
