from .config import PRESETS, SquaresConfig
from .predictor import build_predictor, generate_movies, roll_out, train_predictor

__all__ = ["PRESETS", "SquaresConfig", "build_predictor", "generate_movies", "roll_out", "train_predictor"]
