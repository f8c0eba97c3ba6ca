from .base.errors import InputError, WorkError
from .clips import load_clip
from .config import ClipConfig, VideoLimits
from .pipeline import preprocess_directory, preprocess_trailer

__all__ = [
    "ClipConfig",
    "InputError",
    "VideoLimits",
    "WorkError",
    "load_clip",
    "preprocess_directory",
    "preprocess_trailer",
]
