"""Settings that belong together, by name: what `train --preset` starts from.

`article` is the network of "An introduction to ConvLSTM" as it stands there. `small-data` is for fewer than a few
hundred trailers, labelled as a whole or in intervals; its values are those that won on real footage, group by group,
together (`python -m benchmarks.fights`; what was tried stands in `benchmarks/fights.md`).
"""

from __future__ import annotations

import dataclasses

from genre_classifier.config import EncoderConfig, ModelConfig, TrainingConfig

# EfficientNetV2B0: 7 million parameters, 29 MB, scaling inside, 78.7 % of ImageNet right (Keras documentation, "Keras
# Applications"): none of its size there is better.
DEFAULT_ENCODER = EncoderConfig(encoder="EfficientNetV2B0", motion_size=32)


@dataclasses.dataclass(frozen=True)
class Preset:
    """A network and how to train it."""

    model: ModelConfig
    training: TrainingConfig


PRESETS: dict[str, Preset] = {
    "article": Preset(ModelConfig(), TrainingConfig()),
    "small-data": Preset(
        ModelConfig(
            inputs="motion",  # a few films' colours do not carry over to others; what moves does
            trunk_filters=(8, 16),
            trunk_pools=(2, 2),
            branch_filters=8,
            head="pooled",  # where in the picture something happens says nothing about its genre
            dense_units=(16,),
            norm_momentum=0.9,  # a few hundred steps: 0.99 would still remember the beginning
        ),
        TrainingConfig(
            epochs=12,
            batch_size=8,  # of a single trailer, the normalisation would remove what tells it from others
            learning_rate=3e-3,
            schedule="cosine",
            weight_decay=1e-3,
            keep="last",  # of a schedule that settles; a few validation trailers would choose by chance
            patience=None,
            weak="broadcast",
            label_smoothing=0.1,
            match_prevalence=True,  # long trailers give more crops; without, 0.5 is no middle
            crop_frames=12,
            flip=True,
            zoom=0.2,
            validation_share=0.0,  # every trailer is needed for learning: nothing is chosen, thresholds stay at 0.5
        ),
    ),
    "pretrained": Preset(
        ModelConfig(
            **vars(DEFAULT_ENCODER),
            trunk_filters=(8, 16),
            trunk_pools=(2, 2),
            branch_filters=8,
            head="pooled",
            dense_units=(16,),
            norm_momentum=0.9,
            reduced_channels=(4, 32),
            encoder_dropout=0.5,
        ),
        TrainingConfig(
            epochs=24,
            batch_size=8,
            learning_rate=3e-3,
            schedule="cosine",
            weight_decay=1e-3,
            keep="last",
            patience=None,
            weak="mean",
            label_smoothing=0.1,
            match_prevalence=True,
            crop_frames=24,
            flip=True,
            validation_share=0.0,
        ),
    ),
}
