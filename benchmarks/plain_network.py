"""The article's network in plain Keras layers: what this project's is measured against, and must agree with."""

from __future__ import annotations

from typing import Any

import keras

from genre_classifier.config import ModelConfig


def build_plain_model(config: ModelConfig, data_format: str, *, stateful_batch: int | None = None) -> keras.Model:
    """Build the network with `keras.layers.ConvLSTM2D`; layers carry the names that `build_model` gives them.

    Parameters
    ----------
    config : ModelConfig
        With the default `head` and `inputs`.
    data_format : {"channels_first", "channels_last"}
        Layout of the layers; the input is channels first in both.
    stateful_batch : int, optional
        Makes the ConvLSTM layers stateful, for batches of this size.
    """
    last = data_format == "channels_last"
    axis = -1 if last else 2

    def convlstm(filters: int, name: str) -> keras.Layer:
        return keras.layers.ConvLSTM2D(
            filters,
            config.kernel_size,
            padding="same",
            data_format=data_format,
            recurrent_activation="hard_sigmoid",
            return_sequences=True,
            stateful=stateful_batch is not None,
            name=name,
        )

    def pooled(values: Any, size: int) -> Any:
        if last:
            return keras.layers.MaxPooling3D((1, size, size), padding=config.pool_padding)(values)
        pooling = keras.layers.MaxPooling2D(size, padding=config.pool_padding, data_format="channels_first")
        return keras.layers.TimeDistributed(pooling)(values)

    pixels = keras.Input(batch_shape=(stateful_batch, None, 3, config.rows, config.cols), name="frames")
    values = keras.layers.Rescaling(1 / 255)(pixels)
    if last:
        values = keras.layers.Permute((1, 3, 4, 2))(values)
    for number, (filters, size) in enumerate(zip(config.trunk_filters, config.trunk_pools, strict=True), start=1):
        values = convlstm(filters, f"trunk_{number}")(values)
        values = keras.layers.BatchNormalization(
            axis=axis, momentum=config.norm_momentum, epsilon=config.norm_epsilon, name=f"trunk_{number}_norm"
        )(values)
        values = pooled(values, size)
    outputs = []
    for genre in config.genres:
        branch = pooled(convlstm(config.branch_filters, f"{genre}_convlstm")(values), config.branch_pool)
        if last:  # flatten in the order of the other layout, so that the Dense weights are the same
            branch = keras.layers.Permute((1, 4, 2, 3))(branch)
        features = branch.shape[2] * branch.shape[3] * branch.shape[4]
        branch = keras.layers.Reshape((-1, features))(branch)
        for number, units in enumerate(config.dense_units, start=1):
            branch = keras.layers.Dense(units, activation="relu", name=f"{genre}_dense_{number}")(branch)
        outputs.append(keras.layers.Dense(1, activation="sigmoid", name=genre)(branch))
    return keras.Model(pixels, outputs)


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Give every layer of `target` the weights of the layer of that name in `source`."""
    for layer in target.layers:
        if layer.weights:
            layer.set_weights(source.get_layer(layer.name).get_weights())
