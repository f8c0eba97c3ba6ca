from .labels import read_labels, write_labels
from .sequence import TrailerSequence
from .splits import read_splits
from .synthetic import SyntheticConfig, synthesize
from .trailers import Trailer, load_trailers

__all__ = [
    "SyntheticConfig",
    "Trailer",
    "TrailerSequence",
    "load_trailers",
    "read_labels",
    "read_splits",
    "synthesize",
    "write_labels",
]
