from .config import PRESETS, ModelConfig, TrainingConfig
from .dataset.labels import read_labels
from .dataset.sequence import TrailerSequence
from .dataset.trailers import load_trailers
from .evaluation.evaluate import evaluate
from .genres import GENRES
from .network.model import build_model
from .run_folder.hub import fetch_run, push_run
from .run_folder.run import Run, load_run
from .tagging.tag import tag_trailer
from .tagging.tags import Tags
from .training.train import train

PROGRAM: str  # in the environment: the command line runs

__all__ = [
    "GENRES",
    "PRESETS",
    "ModelConfig",
    "Run",
    "Tags",
    "TrailerSequence",
    "TrainingConfig",
    "build_model",
    "evaluate",
    "fetch_run",
    "load_run",
    "load_trailers",
    "push_run",
    "read_labels",
    "tag_trailer",
    "train",
]
