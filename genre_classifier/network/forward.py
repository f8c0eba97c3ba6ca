"""The network as two programs over a chunk, with the state carried from chunk to chunk.

`step_through` scores: all layers step together, one frame at a time, so that memory does not grow with the chunk.
`run_layers` trains: one layer after the other over the whole chunk, because BatchNormalization's statistics need all
of its frames. Both run the branches as one wider ConvLSTM, and both equal the layer-by-layer functional model.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from keras import ops

from genre_classifier.network import backpropagation, convlstm
from genre_classifier.network.backend import fused, scan
from genre_classifier.network.convlstm import Moments, Pool
from genre_classifier.network.layers import Frames


class Stage(NamedTuple):
    """One shared stage, ready for use: a ConvLSTM, its normalisation and its pooling."""

    cell: convlstm.Cell
    gamma: Any
    beta: Any
    moving_mean: Any
    moving_variance: Any
    epsilon: float
    pool: Pool


class Branches(NamedTuple):
    """All branches, ready for use: one ConvLSTM as wide as all of theirs, and each one's layers after it."""

    cell: convlstm.Cell
    pool: Pool
    heads: Sequence[Callable[[Any], Any]]


class Network(NamedTuple):
    """The whole network, ready for use."""

    prepare: Frames
    stages: Sequence[Stage]
    branches: Branches


States = tuple[Any, ...]  # of the preparation, of each shared stage, of the branches


def step_through(
    network: Network, pixels: Any, states: States, *, measure: bool = False
) -> tuple[Any, States, tuple[Moments, ...]]:
    """Score a chunk, frame by frame, with the moving statistics of the normalisation.

    Parameters
    ----------
    network : Network
    pixels : tensor, shape (batch, frames, 3, rows, cols)
    states : tuple
        `GenreModel.initial_states`, or what this function gave for the chunk before.
    measure : bool
        Whether to add up the moments of the normalised layers.

    Returns
    -------
    scores : float32 tensor, shape (batch, frames, genres)
    states : tuple
    moments : tuple of Moments
        Of each stage; empty without `measure`.
    """
    stages, branches = network.stages, network.branches
    affine = [_affine(stage, stage.moving_mean, stage.moving_variance) for stage in stages]
    cells = [*(stage.cell for stage in stages), branches.cell]

    def one(carry: Any, frame: Any) -> Any:
        (prepared, *recurrent), moments = carry
        pixels, prepared = network.prepare.step(frame, prepared)
        after, measured = [], []
        joined = convlstm.join(pixels, recurrent[0][0], cells[0].dtype)
        for number, cell in enumerate(cells):
            h, c = convlstm.step(cell, joined, recurrent[number][1])
            after.append((h, c))
            if number < len(stages):
                if measure:
                    weights = _weights(network.prepare, frame[:, None])[:, 0]
                    measured.append(moments[number] + convlstm.measure(h, weights))
                pooled = _pool_and_join(stages[number].pool, cells[number + 1].dtype)
                joined = pooled(h, *affine[number], recurrent[number + 1][0])
        maps = convlstm.max_pool(h, branches.pool)
        return ((prepared, *after), tuple(measured)), (maps,)

    zero = tuple(_no_moments(stage) for stage in stages) if measure else ()
    batch, rows, cols, channels = states[-1][0].shape
    shape = (batch, branches.pool.windows(rows), branches.pool.windows(cols), channels)
    (maps,), (states, moments) = scan(one, (states, zero), pixels, [(shape, "float32")])
    return run_heads(branches, maps), states, moments


def run_layers(
    network: Network, pixels: Any, states: States, *, batch_statistics: bool, keep: bool = True
) -> tuple[Any, States, tuple[Moments, ...]]:
    """Score a chunk, layer by layer.

    Parameters
    ----------
    network : Network
    pixels : tensor, shape (batch, frames, 3, rows, cols)
    states : tuple
    batch_statistics : bool
        Whether the normalisation uses this chunk's own statistics or its moving ones.
    keep : bool
        Whether to keep what a gradient needs.

    Returns
    -------
    scores : float32 tensor, shape (batch, frames, genres)
    states : tuple
    moments : tuple of Moments
        Of each stage.
    """
    run = backpropagation.run if keep else convlstm.run_and_pool
    frames, prepared = network.prepare.run(pixels, states[0])
    weights = _weights(network.prepare, pixels)
    after, measured = [prepared], []
    for number, stage in enumerate(network.stages):
        # Pooled before normalised, so that the rest has less to do. That is the same number, since rounding is
        # monotonic, if a channel whose scale is negative is pooled with its sign turned.
        signs = ops.where(stage.gamma < 0, -1.0, 1.0)
        options = {"input_gradient": number > 0} if keep else {}
        frames, state, moments = run(
            stage.cell, frames, states[1 + number], weights, pool=stage.pool, signs=signs, **options
        )
        after.append(state)
        measured.append(moments)
        mean, variance = statistics(moments) if batch_statistics else (stage.moving_mean, stage.moving_variance)
        scale, shift = _affine(stage, mean, variance)
        frames = frames * (scale * signs) + shift
    frames, state, _ = run(network.branches.cell, frames, states[-1], weights, pool=network.branches.pool)
    after.append(state)
    return run_heads(network.branches, frames), tuple(after), tuple(measured)


def run_heads(branches: Branches, maps: Any) -> Any:
    """Turn the pooled maps of all branches, `(batch, frames, rows, cols, channels)`, into scores."""
    parts = ops.split(maps, len(branches.heads), axis=-1)
    return ops.concatenate([head(part) for head, part in zip(branches.heads, parts, strict=True)], axis=-1)


def fuse_cells(cells: Sequence[convlstm.Cell]) -> convlstm.Cell:
    """Make one cell that runs several side by side on the same input.

    Its state holds theirs one after the other along the channels; its recurrent kernel is block-diagonal, so none
    sees another's state.
    """
    first, count = cells[0], len(cells)
    filters = first.bias.shape[0] // 4
    size, _, joined, _ = first.kernel.shape
    inputs = joined - filters
    # Gate by gate, then cell by cell: (..., 4, count, filters).
    kernels = ops.stack([ops.reshape(cell.kernel, (size, size, joined, 4, filters)) for cell in cells], axis=-2)
    own = ops.reshape(kernels[:, :, inputs:], (size, size, 1, filters, 4, count, filters))
    blocks = own * ops.reshape(ops.eye(count, dtype=own.dtype), (1, 1, count, 1, 1, count, 1))
    wide = ops.concatenate(
        [
            ops.reshape(kernels[:, :, :inputs], (size, size, inputs, 4 * count * filters)),
            ops.reshape(blocks, (size, size, count * filters, 4 * count * filters)),
        ],
        axis=2,
    )
    bias = ops.reshape(ops.stack([ops.reshape(cell.bias, (4, filters)) for cell in cells], axis=1), (-1,))
    return first._replace(kernel=wide, bias=bias)


def statistics(moments: Moments) -> tuple[Any, Any]:
    """Return mean and (biased) variance, as BatchNormalization defines them; zeros when there is no pixel."""
    count = ops.maximum(moments.count, 1.0)
    mean = moments.total / count
    return mean, ops.maximum(moments.squares / count - mean * mean, 0.0)


def _affine(stage: Stage, mean: Any, variance: Any) -> tuple[Any, Any]:
    scale = stage.gamma / ops.sqrt(variance + stage.epsilon)
    return scale, stage.beta - mean * scale


def _weights(prepare: Frames, pixels: Any) -> Any:
    """Return 1 for real frames and 0 for padded ones, `(batch, frames)`."""
    mask = prepare.mask(pixels)
    return ops.ones_like(pixels[:, :, 0, 0, 0], dtype="float32") if mask is None else ops.cast(mask, "float32")


def _no_moments(stage: Stage) -> Moments:
    zeros = ops.zeros_like(stage.moving_mean)
    return Moments(ops.zeros((), "float32"), zeros, zeros)


@functools.cache
def _pool_and_join(pool: Pool, dtype: str) -> Callable[..., Any]:
    def apply(frames: Any, scale: Any, shift: Any, h: Any) -> Any:
        pooled = functools.reduce(ops.maximum, convlstm.corners(frames * scale + shift, pool))
        return convlstm.join(pooled, h, dtype)

    return fused(apply)
