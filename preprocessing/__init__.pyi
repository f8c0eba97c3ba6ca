from .clips import load_clip
from .pipeline import preprocess_directory, preprocess_trailer

__all__ = ["load_clip", "preprocess_directory", "preprocess_trailer"]
