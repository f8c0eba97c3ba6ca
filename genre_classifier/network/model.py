"""The network of "An introduction to ConvLSTM": a shared trunk of ConvLSTM stages, then one branch per genre.

Input `(batch, frames, 3, rows, cols)`, channels first, RGB, 0 to 255, uint8 or any number type; the scaling to [0, 1]
is inside. Output: a list of six tensors `(batch, frames, 1)` in the order of `GENRES`, each named after its genre.
Inside, the layout is channels last, which is what a CPU runs fastest.

Clips of different lengths
--------------------------
A batch holds clips of one length: shorter ones are padded at the end with frames whose every pixel is -1
(`layers.PADDING`; such a batch is int16 or float, since uint8 cannot hold it). Nothing flows backwards in time, so a
padded frame never reaches a real one's score; BatchNormalization's statistics leave padded frames out. The outputs
carry no Keras mask: the scores of padded frames are numbers without meaning, and the loss leaves them out by sample
weights of zero, one `(batch, frames)` array per output, with the reduction `"mean_with_sample_weight"`, which makes
the loss the average over the real frames.
"""

from __future__ import annotations

from typing import Any

import keras

from genre_classifier.config import ModelConfig
from genre_classifier.network.genre_model import GenreModel
from genre_classifier.network.layers import FastConvLSTM2D, FrameFeatures, FrameNormalization, FramePooling, Frames
from genre_classifier.network.losses import TrailerLoss

# Importing this module is enough for `keras.saving.load_model` to read a run's `model.keras`, its loss included.
__all__ = ["GenreModel", "TrailerLoss", "build_branch", "build_model", "build_trunk"]


def build_model(config: ModelConfig | None = None) -> GenreModel:
    """Build the network, with fresh weights.

    Parameters
    ----------
    config : ModelConfig, optional
        Sizes; the defaults are the article's, on frames of 3 x 400 x 400.

    Returns
    -------
    GenreModel
        A functional `keras.Model`, not yet compiled. Seed it with `keras.utils.set_random_seed` beforehand.
    """
    config = config or ModelConfig()
    # float32 takes uint8 and padded int16 batches alike; a chunk at a time is cast, never a whole clip.
    pixels = keras.Input((None, 3, config.rows, config.cols), dtype="float32", name="frames")
    frames, mask = Frames(config.inputs, name="prepare")(pixels)
    shared = build_trunk(frames, mask, config)
    return GenreModel(pixels, [build_branch(shared, genre, config) for genre in config.genres], name="genres")


def build_trunk(frames: Any, mask: Any, config: ModelConfig) -> Any:
    """Stack the shared stages: ConvLSTM, BatchNormalization over the channel axis, max pooling.

    Parameters
    ----------
    frames : tensor, shape (batch, frames, rows, cols, channels)
    mask : bool tensor, shape (batch, frames)
        False for padded frames, which the statistics of the normalisation leave out.
    config : ModelConfig

    Returns
    -------
    tensor, shape (batch, frames, rows', cols', filters)
    """
    for number, (filters, pool) in enumerate(zip(config.trunk_filters, config.trunk_pools, strict=True), start=1):
        frames = _convlstm(filters, config, name=f"trunk_{number}")(frames)
        frames = FrameNormalization(
            momentum=config.norm_momentum, epsilon=config.norm_epsilon, name=f"trunk_{number}_norm"
        )(frames, real=mask)
        frames = FramePooling(pool, config.pool_padding, name=f"trunk_{number}_pool")(frames)
    return frames


def build_branch(shared: Any, genre: str, config: ModelConfig) -> Any:
    """Put one genre's layers on the trunk.

    Parameters
    ----------
    shared : tensor, shape (batch, frames, rows, cols, channels)
        The trunk's output.
    genre : str
        Name of the output.
    config : ModelConfig

    Returns
    -------
    tensor, shape (batch, frames, 1)
        Scores in [0, 1].
    """
    maps = _convlstm(config.branch_filters, config, name=f"{genre}_convlstm")(shared)
    maps = FramePooling(config.branch_pool, config.pool_padding, name=f"{genre}_pool")(maps)
    features = FrameFeatures(config.head, name=f"{genre}_features")(maps)
    for number, units in enumerate(config.dense_units, start=1):
        features = keras.layers.Dense(units, activation="relu", name=f"{genre}_dense_{number}")(features)
    return keras.layers.Dense(1, activation="sigmoid", name=genre)(features)


def _convlstm(filters: int, config: ModelConfig, name: str) -> keras.Layer:
    return FastConvLSTM2D(
        filters,
        config.kernel_size,
        padding="same",
        data_format="channels_last",
        recurrent_activation="hard_sigmoid",
        return_sequences=True,
        name=name,
    )
