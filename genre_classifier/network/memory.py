"""How much memory, and how much work, a piece of work will take, said before it starts.

The estimate adds up the arrays that the programs hold at their peak, from the sizes of the network alone; the
benchmark compares it with the peak that it measures. Sizes are in bytes.
"""

from __future__ import annotations

import bisect
import dataclasses
import itertools
import math
from collections.abc import Callable
from contextlib import suppress

import numpy as np

from genre_classifier.config import ModelConfig, Precision
from preprocessing.base.errors import InputError, WorkError
from preprocessing.processes.machine import available_bytes

# Of a command that has imported all it needs and compiled the programs, with a network of no size (TensorFlow 2.21 on
# x86-64, oneDNN on): `train` and scoring of the article's network peaked at this much more than the rest of the sum.
BASE_BYTES = 1.1e9
FLOAT = 4
# Of frames, or seconds, that an encoder is given: always so many, so that what it says of one depends on no others.
BATCH = 8
# Of an unpacked `.keras` file: weights, the optimizer's two moments, and a margin; beside them biases and scales, the
# description of the layers and the overhead of HDF5, for the largest networks that are of use.
_FILE_COPIES, _FILE_OVERHEAD = 4, 64e6
OPENVINO_BYTES = 150e6  # its libraries, and what a conversion leaves; weights four times come to it
# Of musicnn, on 8 stretches of three seconds: four copies of its largest maps. A process that listened peaked at 1.33
# GB, where this sum says 1.40.
HEARD_BYTES = 288e6
OWN_SIZE = 224  # rows and columns of what an encoder looks at, where it takes frames of any size
GROUP = 12  # chunks between stored states: see genre_classifier.network.training_step
# Whole maps of the first layer that are alive beside those that are kept: of the gates, and of gradients.
SCORING_COPIES, TRAINING_COPIES = 3.0, 10.0
# Shares of the free memory that a chunk takes which is chosen by itself: usually, and where that saves computing frames
# again. Others work on the machine too, and a longer chunk saves no time by itself.
USUAL_SHARE, LARGE_SHARE = 0.75, 0.9


@dataclasses.dataclass(frozen=True)
class Maps:
    """Size of one ConvLSTM's maps.

    Attributes
    ----------
    pixels : int
        Rows times columns.
    inputs, filters : int
        Channels that it sees, and that it gives.
    pooled : int
        Pixels after the pooling that follows it.
    """

    pixels: int
    inputs: int
    filters: int
    pooled: int


def layer_maps(config: ModelConfig) -> list[Maps]:
    """Return the sizes of the shared stages, then of all branches side by side."""
    inputs, rows, cols = config.trunk_shape
    branches = config.branch_filters * len(config.genres)
    maps: list[Maps] = []
    for filters, size in zip((*config.trunk_filters, branches), (*config.trunk_pools, config.branch_pool), strict=True):
        before = rows * cols
        rows, cols = (pooled_size(pixels, size, config.pool_padding) for pixels in (rows, cols))
        if len(maps) == len(config.trunk_filters):
            inputs += config.joined_channels
        maps.append(Maps(before, inputs, filters, rows * cols))
        inputs = filters
    return maps


def pooled_size(pixels: int, window: int, padding: str) -> int:
    """Return how many windows a pooling lays along an axis, as Keras counts them: "valid" or "same"."""
    return pixels // window if padding == "valid" else math.ceil(pixels / window)


def weight_bytes(config: ModelConfig) -> float:
    """Return the size of the network's kernels; biases and scales are nothing beside them."""
    *shared, branches = layer_maps(config)
    total = sum(config.kernel_size**2 * (one.inputs + one.filters) * 4 * one.filters for one in shared)
    total += config.kernel_size**2 * (branches.inputs + config.branch_filters) * 4 * branches.filters
    return (total + _dense_weights(config) + _reduction_weights(config) + _path_weights(config)) * FLOAT


def file_bytes(weights: float) -> float:
    """Return how large a network's unpacked `.keras` file can be at most, given the bytes of its weights."""
    return _FILE_COPIES * weights + _FILE_OVERHEAD


def frame_multiplications(config: ModelConfig) -> float:
    """Return how many numbers scoring a frame multiplies: those of the convolutions and Dense layers.

    The branches run as one cell whose recurrent kernel holds zeros between them (`forward.fuse_cells`): these are
    multiplied too. A training step takes two to three times as many. An encoder's own, once per frame, are not counted.
    """
    maps = layer_maps(config)
    total = sum(config.kernel_size**2 * (one.inputs + one.filters) * 4 * one.filters * one.pixels for one in maps)
    reduced = _reduction_weights(config) * config.encoder_cells**2 + _path_weights(config)
    return total + _dense_weights(config) + reduced


def _dense_weights(config: ModelConfig) -> int:
    """Return how many weights the Dense layers of all branches have."""
    maps = 2 if config.head == "pooled" else layer_maps(config)[-1].pooled
    units = (config.branch_filters * maps, *config.dense_units, 1)
    return len(config.genres) * sum(a * b for a, b in itertools.pairwise(units))


def _reduction_weights(config: ModelConfig) -> int:
    """Return how many weights the 1x1 reductions of an encoder's maps have."""
    if not config.maps_in_trunk:
        return 0
    return (config.encoder_channels - config.grey_channels) * sum(config.reduced_channels)


def _path_weights(config: ModelConfig) -> int:
    """Return how many weights make components of what encoders say beside the frames."""
    return sum((width // 2 - 1) * sum(config.components[name]) for name, width in config.features.items())


def scoring_bytes(config: ModelConfig, chunk: int, *, precision: Precision = "float32") -> float:
    """Return the peak of a process that scores clips of any length in chunks."""
    first = layer_maps(config)[0]
    low = FLOAT if precision == "float32" else 2
    one_frame = first.pixels * (low * (first.inputs + 5 * first.filters) + FLOAT * first.filters * SCORING_COPIES)
    pixels = chunk * _read_bytes(config)
    return BASE_BYTES + 2 * weight_bytes(config) + one_frame + _state_bytes(config) + pixels


def encoder_bytes(config: ModelConfig, file_bytes: int) -> float:
    """Return about how much more a process takes that has the image encoder of a run too, a file of this size.

    Weights twice, and maps of a batch of 8 frames, of as many numbers as frames of 24 channels have at full size.
    """
    pixels = config.rows * config.cols if config.maps_in_trunk else OWN_SIZE**2
    converted = OPENVINO_BYTES + 4 * file_bytes if config.encoder_engine == "openvino" else 0
    return 2 * file_bytes + converted + 4 * 8 * FLOAT * 24 * pixels


def sound_encoder_bytes(file_bytes: int) -> float:
    """Return about how much more a process takes that has the sound encoder of a run too, a file of this size.

    Weights twice, and maps of a batch of 8 stretches of sound. Keras runs it, whatever runs the other encoder.
    """
    return 2 * file_bytes + HEARD_BYTES


def training_bytes(
    config: ModelConfig,
    frames: int,
    *,
    chunk: int | None = None,
    batch: int = 1,
    precision: Precision = "float32",
) -> float:
    """Return the peak of a process that trains on batches of clips of up to `frames` frames.

    Parameters
    ----------
    config : ModelConfig
    frames, batch : int
        Longest clip, and clips per step.
    chunk : int or None
        As in `GenreModel.configure`.
    precision : {"float32", "bfloat16"}
    """
    length = frames if chunk is None else min(chunk, frames)
    return float(_bytes_of_chunks(config, frames, np.array([length]), batch=batch, precision=precision)[0])


def _bytes_of_chunks(
    config: ModelConfig, frames: int, lengths: np.ndarray, *, batch: int, precision: Precision
) -> np.ndarray:
    """Return `training_bytes` for each of several chunk lengths, none above `frames`."""
    low = FLOAT if precision == "float32" else 2
    # An encoder's maps as float32: of the frame, of the one before, their change and its sign.
    kept = 0.0 if not config.maps_in_trunk else 4.0 * FLOAT * math.prod(config.frame_shape)
    for one in layer_maps(config):
        # Per frame: input and its gradient, h, c and what the convolution gave, the pooled maps, them normalised,
        # and the gradients of both.
        channels = 2 * FLOAT * one.inputs + 2 * FLOAT * one.filters + low * 4 * one.filters
        kept += one.pixels * channels + 4 * FLOAT * one.filters * one.pooled
    first = layer_maps(config)[0]
    working = first.pixels * (low * (first.inputs + 5 * first.filters) + FLOAT * first.filters * TRAINING_COPIES)
    chunks = -(-frames // lengths)
    whole = chunks == 1
    borders = np.where(whole, 0, -(-chunks // GROUP) + np.minimum(GROUP, chunks))
    # Frames as read (int16 where they are padded) and as given to the backend; where clips are trained whole, the next
    # batch waits too.
    pixels = np.where(whole, 3, 2) * _read_bytes(config) * lengths
    # Weights, their gradients (two sets while they are added up) and Adam's two moments; then a checkpoint, which Keras
    # puts together in memory: weights and moments once more.
    fixed = BASE_BYTES + weight_bytes(config) * np.where(whole, 8, 9)
    return fixed + batch * (lengths * kept + working + borders * _state_bytes(config) + pixels)


def largest_chunk(
    config: ModelConfig, frames: int, *, free: float, batch: int = 1, precision: Precision = "float32"
) -> int | None:
    """Return how many frames the largest chunk has with which a step takes at most `free` bytes; None if none does.

    Parameters
    ----------
    config, frames, batch, precision
        As for `training_bytes`; `frames` are returned where the longest clip fits as a whole.
    free : float
    """
    lengths = np.arange(1, frames + 1)
    # Neither the longest nor the shortest chunk takes most: each border between two keeps a state.
    fits = np.flatnonzero(_bytes_of_chunks(config, frames, lengths, batch=batch, precision=precision) <= free)
    return int(lengths[fits[-1]]) if len(fits) else None


def choose_chunk(
    config: ModelConfig,
    frames: int,
    *,
    batch: int = 1,
    precision: Precision = "float32",
    free: float | None = None,
) -> int | None:
    """Return the chunk that `--chunk auto` stands for: None, the whole trailer, where a step on it fits into memory.

    Else the largest that takes `USUAL_SHARE` of it; or `LARGE_SHARE`, where only that makes at most `GROUP` chunks, of
    which none is scored again for the states at its borders; or any that fits.

    Parameters
    ----------
    config, frames, batch, precision, free
        As for `require_training_memory`.

    Raises
    ------
    WorkError
        If no chunk fits, as `require_training_memory`.
    """
    free = available_bytes() if free is None else free

    def largest(share: float) -> int:
        return largest_chunk(config, frames, free=share * free, batch=batch, precision=precision) or 0

    usual, large = largest(USUAL_SHARE), largest(LARGE_SHARE)
    saves = large == frames or GROUP * usual < frames <= GROUP * large
    if found := (large if saves else usual) or large or largest(1.0):
        return None if found == frames else found
    require_training_memory(config, frames, batch=batch, precision=precision, free=free)
    return None


def require_training_memory(
    config: ModelConfig,
    frames: int,
    *,
    chunk: int | None = None,
    batch: int = 1,
    precision: Precision = "float32",
    free: float | None = None,
) -> float:
    """Return the estimate of `training_bytes`, or refuse.

    Parameters
    ----------
    config, frames, chunk, batch, precision
        As for `training_bytes`.
    free : float, optional
        Bytes that the process may take in all; by default what the machine has free.

    Raises
    ------
    WorkError
        If the estimate is above `free`: with the largest chunk that fits, or else the frame size or count that would.
    """
    free = available_bytes() if free is None else free
    needed = training_bytes(config, frames, chunk=chunk, batch=batch, precision=precision)
    if needed <= free:
        return needed

    def largest(config: ModelConfig, frames: int) -> int | None:
        return largest_chunk(config, frames, free=free, batch=batch, precision=precision)

    message = (
        f"training on {batch} x {frames} frames of {'x'.join(map(str, config.frame_shape[1:]))}"
        f"{'' if chunk is None else f' in chunks of {chunk}'} needs about {needed / 1e9:.1f} GB, and "
        f"{free / 1e9:.1f} GB are free: "
    )
    if found := largest(config, frames):
        raise WorkError(f"{message}--chunk {found} is the largest that fits; --chunk auto finds it by itself")
    remedies = []
    if size := _largest(lambda size: largest(_resized(config, size), frames), min(config.rows, config.cols)):
        remedies.append(f"clips of --size {size}")
    if count := _largest(lambda count: largest(config, count), frames):
        remedies.append(f"clips of --frames {count}")
    raise WorkError(f"{message}no chunk fits; " + (" or ".join(remedies) or "it needs a larger machine"))


def _read_bytes(config: ModelConfig) -> float:
    """Return the size of a frame as it is read, twice that of its pixels where some are padded, or that of its maps.

    With it what encoders say beside it, float16.
    """
    return 2 * (math.prod(config.frame_shape) + sum(config.features.values()))


def _state_bytes(config: ModelConfig) -> float:
    return sum(2 * FLOAT * one.pixels * one.filters for one in layer_maps(config))


def _resized(config: ModelConfig, size: int) -> ModelConfig:
    return dataclasses.replace(config, rows=size, cols=size)


def _largest(fits: Callable[[int], object], limit: int) -> int | None:
    """Return the largest number below `limit` that fits, or None; of numbers that the network takes, less need less."""

    def too_large(number: int) -> bool:
        try:
            return not fits(number)
        except InputError:  # too small for the network
            return False

    first = bisect.bisect_left(range(1, limit), True, key=too_large)  # numbers before it are not too large
    with suppress(InputError):
        return first if first and fits(first) else None
    return None
