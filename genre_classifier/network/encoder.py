"""A pretrained image network, frozen: it looks at videos beside the ConvLSTM, or at every frame in front of it.

Whatever network it is, it becomes one of one kind: frames of the clips' size, 0 to 255, in; maps averaged to a few
cells out. Resizing and scaling are layers of it, so that its file in a run folder is all that a frame needs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from genre_classifier.config import EncoderConfig
from genre_classifier.network.backend import Tensor
from genre_classifier.network.encoder_engine import KERAS, Engine, choose_engine
from genre_classifier.network.frame_encoder import FrameEncoder
from genre_classifier.network.frozen import LARGEST, FrozenNetwork
from genre_classifier.network.image_networks import application_network, read_image_network, scaling_weights
from genre_classifier.network.layers import PACKAGE, cell_weights
from genre_classifier.network.memory import BATCH, OWN_SIZE
from genre_classifier.network.model import GenreModel  # noqa: F401  whoever imports Keras by this module can read runs
from preprocessing.base.errors import InputError
from preprocessing.base.files import abbreviated_repr


@keras.saving.register_keras_serializable(PACKAGE)
class CellMeans(keras.layers.Layer):
    """Average maps over cells side by side: `(batch, rows, cols, channels)` to `(batch, cells, cells, channels)`.

    A pixel on the border of two cells counts for both, by the share of it that lies in each.

    Parameters
    ----------
    cells : int
        Rows and columns of the result.
    """

    def __init__(self, cells: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cells = cells

    def call(self, maps: Tensor) -> Tensor:
        """Average."""
        rows, cols = (cell_weights(pixels, self.cells) for pixels in maps.shape[1:3])
        return ops.einsum("ar,brck,dc->badk", rows, ops.cast(maps, "float32"), cols)

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the shape of the output."""
        return input_shape[0], self.cells, self.cells, input_shape[-1]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "cells": self.cells}


@keras.saving.register_keras_serializable(PACKAGE)
class GreyCells(keras.layers.Layer):
    """Make a small grey picture of frames, each cell's pixels as its channels: `(batch, cells, cells, channels)`.

    Parameters
    ----------
    cells : int
        Rows and columns of the result.
    size : int
        Rows and columns of the picture, a multiple of `cells`; pixels of the frame are averaged.
    """

    def __init__(self, cells: int, size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cells, self.size = cells, size

    def call(self, pixels: Tensor) -> Tensor:
        """Average and cut."""
        rows, cols = (cell_weights(count, self.size) for count in pixels.shape[1:3])
        grey = ops.einsum("ar,brc,dc->bad", rows, ops.mean(ops.cast(pixels, "float32"), axis=-1), cols)
        side = self.size // self.cells
        cut = ops.reshape(grey, (-1, self.cells, side, self.cells, side))
        return ops.reshape(ops.transpose(cut, (0, 1, 3, 2, 4)), (-1, self.cells, self.cells, side * side))

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the shape of the output."""
        return input_shape[0], self.cells, self.cells, (self.size // self.cells) ** 2

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "cells": self.cells, "size": self.size}


class Encoder(FrozenNetwork, FrameEncoder):
    """A frozen network of Keras from frames to maps.

    Parameters
    ----------
    network : keras.Model
        As `build_encoder` makes it: `(rows, cols, 3)`, 0 to 255, to `(cells, cells, channels)`.
    engine : Engine
        What is to compute the maps; see `engine`.

    Attributes
    ----------
    network : keras.Model
    """

    kind = "encoder"

    def __init__(self, network: keras.Model, engine: Engine = KERAS) -> None:
        super().__init__(network, engine)
        self.rows, self.cols = network.input_shape[1:3]
        self.cells, self.channels = network.output_shape[2:]

    def check_batch(self) -> np.ndarray:
        """Return frames, as `check_frames` makes them."""
        return check_frames((BATCH, 3, self.rows, self.cols))

    def steps(self, *, plain: bool = False) -> Callable[[Tensor], Tensor]:
        """Return the function that encodes a batch of frames inside a program; see `encode`.

        Parameters
        ----------
        plain : bool
            Of operations that other programs know.
        """
        network = self._plain_network() if plain else self.network

        def maps(frames: Tensor) -> Tensor:
            pixels = ops.cast(ops.transpose(frames, (0, 2, 3, 1)), "float32")
            found = ops.transpose(network(pixels, training=False), (0, 3, 1, 2))
            return ops.cast(ops.clip(found, -LARGEST, LARGEST), "float16")

        return maps

    def _plain_network(self) -> Callable[..., Tensor]:
        """Return the network with its resizing as a product of matrices."""
        resize = next((layer for layer in self.network.layers if isinstance(layer, keras.layers.Resizing)), None)
        if resize is None:
            return self.network

        def weights(pixels: int, resized: int) -> Tensor:
            columns = np.eye(pixels, dtype=np.float32)[None, :, :, None]
            options = {"interpolation": resize.interpolation, "antialias": resize.antialias}
            return ops.image.resize(columns, (resized, pixels), data_format="channels_last", **options)[0, :, :, 0]

        rows, cols = weights(self.rows, resize.height), weights(self.cols, resize.width)

        # In place of the layer's own, for the time of a call: beside another model over the same layers, Keras could
        # not write this one any more.
        def network(pixels: Tensor, **options: Any) -> Tensor:
            resize.call = lambda images, **_: ops.einsum("ar,brck,dc->badk", rows, images, cols)
            try:
                return self.network(pixels, **options)
            finally:
                del resize.call

        return network


def check_frames(shape: tuple[int, ...]) -> np.ndarray:
    """Return frames that differ in colours and shapes, uint8 of a shape (n, 3, rows, cols), always the same ones."""
    rng = np.random.default_rng(0)
    count, channels, rows, cols = shape
    coarse = rng.integers(0, 256, (count, channels, 8, 8))
    shapes = coarse[:, :, np.arange(rows) * 8 // rows][:, :, :, np.arange(cols) * 8 // cols]
    return np.clip(shapes + rng.integers(-16, 17, shape), 0, 255).astype(np.uint8)


def build_encoder(config: EncoderConfig, rows: int | None = None, cols: int | None = None) -> Encoder:
    """Build the encoder for frames of a size, with its weights.

    Parameters
    ----------
    config : EncoderConfig
        Names it.
    rows, cols : int, optional
        Of the frames; they are resized to what the network takes, where that is fixed. By default frames come at the
        network's own size, square.

    Raises
    ------
    InputError
        If the network or layer does not exist, is too large or not an image network, or has no weights to fetch.
    """
    name = str(config.encoder)
    network, wanted = (read_image_network(Path(name)), "none") if name.endswith(".keras") else application_network(name)
    scaling = wanted if config.encoder_scaling == "auto" else config.encoder_scaling
    maps = _maps_of(network, name, config.encoder_layer)
    if min(maps.shape[1:3]) < config.encoder_cells:
        raise InputError(
            f"{name}: expected maps of at least the {config.encoder_cells}x{config.encoder_cells} cells asked for "
            f"(encoder_cells), found {maps.shape[1]}x{maps.shape[2]}"
        )
    body = keras.Model(network.inputs, maps, name="body")
    if rows is None or cols is None:
        rows = cols = max(body.input_shape[1] or OWN_SIZE, body.input_shape[2] or OWN_SIZE)
    pixels = keras.Input((rows, cols, 3), name="frames")
    scaled = pixels
    if tuple(body.input_shape[1:3]) != (rows, cols):
        scaled = keras.layers.Resizing(*body.input_shape[1:3], antialias=True, name="resize")(scaled)
    if scaling != "none":
        scale = keras.layers.Conv2D(3, 1, name="scale")
        scaled = scale(scaled)
        scale.set_weights(scaling_weights(scaling))
    encoded = CellMeans(config.encoder_cells, name="cells")(body(scaled))
    if config.motion_size:
        grey = GreyCells(config.encoder_cells, config.motion_size, name="grey")(pixels)
        encoded = keras.layers.Concatenate(name="encoded")([encoded, grey])
    engine = choose_engine(config.encoder_engine)
    return Encoder(keras.Model(pixels, encoded, name="encoder"), engine).require_room(name)


def read_encoder(path: Path, engine: Engine = KERAS) -> Encoder:
    """Read what `Encoder.save` wrote, for an engine; InputError if it is not an encoder."""
    network = read_image_network(path)
    if not any(isinstance(layer, CellMeans) for layer in network.layers):
        raise InputError(f"{path}: expected an encoder of this package, found another image network")
    return Encoder(network, engine).require_room(str(path))


def _maps_of(network: keras.Model, name: str, layer: str | None) -> Tensor:
    try:
        maps = network.outputs[0] if layer is None else network.get_layer(layer).output
    except ValueError as error:
        names = ", ".join(one.name for one in network.layers[-8:])
        raise InputError(
            f"{name}: expected a layer of it, found {abbreviated_repr(layer)}; its last are {names}"
        ) from error
    if layer is None and len(network.outputs) != 1:
        raise InputError(f"{name}: expected one output, found {len(network.outputs)}; name a layer (encoder_layer)")
    if len(maps.shape) != 4 or None in maps.shape[1:]:
        raise InputError(
            f"{name}: expected maps (rows, cols, channels) from the layer that is read, found {tuple(maps.shape[1:])}; "
            f"name another layer (encoder_layer)"
        )
    return maps
