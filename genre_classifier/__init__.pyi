from .config import PRESETS, ModelConfig, TrainingConfig
from .dataset.sequence import TrailerSequence
from .evaluation.evaluate import evaluate
from .genres import GENRES
from .network.model import build_model
from .run_folder.hub import fetch_run, push_run
from .run_folder.run import load_run
from .tagging.tag import tag_trailer
from .training.train import train

__all__ = [
    "GENRES",
    "PRESETS",
    "ModelConfig",
    "TrailerSequence",
    "TrainingConfig",
    "build_model",
    "evaluate",
    "fetch_run",
    "load_run",
    "push_run",
    "tag_trailer",
    "train",
]
