"""Every option of the project, and the settings that belong together: the only home of their defaults.

`config.json` of a run holds those of the network and of its training, and the options that its clips were made with.
Only the moving-squares companion has its own.
"""

from __future__ import annotations

from genre_classifier.config.network import (
    HALF_WEIGHT_TRAILERS,
    INPUT_CHANNELS,
    EncoderConfig,
    Head,
    Inputs,
    ModelConfig,
    PoolPadding,
    Scaling,
)
from genre_classifier.config.training import (
    DEFAULT_ENCODER,
    FEWEST_TO_VALIDATE,
    FROM_RATE,
    FROM_WARMUP_EPOCHS,
    PRESETS,
    VALIDATION_SHARE,
    Augmentation,
    Bptt,
    Keep,
    Precision,
    PrecisionOption,
    Preset,
    Schedule,
    TrainingConfig,
    Weak,
)
from genre_classifier.config.use import (
    LABEL_FORMATS,
    LABEL_STUDIO_RATES,
    MAX_LABEL_MB,
    EvaluationConfig,
    ExportConfig,
    MaxLabelMb,
    SegmentConfig,
    SyntheticConfig,
    TagConfig,
    scoring_chunk,
)

__all__ = [
    "DEFAULT_ENCODER",
    "FEWEST_TO_VALIDATE",
    "FROM_RATE",
    "FROM_WARMUP_EPOCHS",
    "HALF_WEIGHT_TRAILERS",
    "INPUT_CHANNELS",
    "LABEL_FORMATS",
    "LABEL_STUDIO_RATES",
    "MAX_LABEL_MB",
    "PRESETS",
    "VALIDATION_SHARE",
    "Augmentation",
    "Bptt",
    "EncoderConfig",
    "EvaluationConfig",
    "ExportConfig",
    "Head",
    "Inputs",
    "Keep",
    "MaxLabelMb",
    "ModelConfig",
    "PoolPadding",
    "Precision",
    "PrecisionOption",
    "Preset",
    "Scaling",
    "Schedule",
    "SegmentConfig",
    "SyntheticConfig",
    "TagConfig",
    "TrainingConfig",
    "Weak",
    "scoring_chunk",
]
