"""The network as two programs over a chunk, with the state carried from chunk to chunk.

`step_through` scores: all layers step together, one frame at a time, so that memory does not grow with the chunk.
`run_layers` trains: one layer after the other over the whole chunk, because BatchNormalization's statistics need all
of its frames. Both run the branches as one wider ConvLSTM, and both equal the layer-by-layer functional model.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from keras import ops

from genre_classifier.network import backpropagation, convlstm
from genre_classifier.network.backend import Tensor, fused, scan
from genre_classifier.network.convlstm import Cell, ChannelSums, PoolWindows
from genre_classifier.network.layers import Frames
from genre_classifier.network.map_frames import MapReduction, join_maps

# Frames, `(batch, frames, 3, rows, cols)`; with encoders a dict of them, "frames", and of each encoder's features,
# `(batch, frames, features)`, by the name of its sense.
Inputs: TypeAlias = Any


def frames_of(inputs: Inputs) -> Tensor:
    """Return the frames of what the network takes."""
    return inputs["frames"] if isinstance(inputs, Mapping) else inputs


class StageWeights(NamedTuple):
    """Weights of one shared stage: of its ConvLSTM and its normalisation; and the pooling after them."""

    cell: Cell
    gamma: Tensor
    beta: Tensor
    moving_mean: Tensor
    moving_variance: Tensor
    epsilon: float
    pool: PoolWindows


class Weights(NamedTuple):
    """The network's weights at one moment, as both programs take them.

    Attributes
    ----------
    prepare : Frames or MapReduction
        What comes before the first stage: from pixels, without weights, or from an encoder's maps.
    stages : sequence of StageWeights
    branches : Cell
        All branches' ConvLSTMs, as `fuse_cells` makes them one.
    branch_pool : Pool
    heads : sequence of callable
        Each branch's layers from its pooled maps to its score.
    finish : callable, optional
        `finish(logits, inputs, state)`: from the heads' logits, the chunk and the last of the states to scores and that
        state after the chunk, where senses beside the trunk have their say.
    """

    prepare: Frames | MapReduction
    stages: Sequence[StageWeights]
    branches: Cell
    branch_pool: PoolWindows
    heads: Sequence[Callable[[Tensor], Tensor]]
    finish: Callable[[Tensor, Inputs, Any], tuple[Tensor, Any]] | None = None


# Of the preparation, of each shared stage, of the branches, and of the senses where there are any: tuples of tensors.
States = tuple[Any, ...]


def step_through(
    weights: Weights, inputs: Inputs, states: States, *, measure: bool = False
) -> tuple[Tensor, States, tuple[ChannelSums, ...]]:
    """Score a chunk, frame by frame, with the moving statistics of the normalisation.

    Parameters
    ----------
    weights : Weights
    inputs : tensor, shape (batch, frames, 3, rows, cols), or dict of tensors
        See `Inputs`.
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
    pixels, (states, senses) = frames_of(inputs), _apart(weights, states)
    stages = weights.stages
    affine = [_affine(stage, stage.moving_mean, stage.moving_variance) for stage in stages]
    cells = [*(stage.cell for stage in stages), weights.branches]

    def one(carry: Any, frame: Tensor) -> Any:
        (prepared, *recurrent), moments = carry
        pixels, beside, prepared = weights.prepare.step(frame, prepared)
        after, measured = [], []
        joined = convlstm.join(pixels, recurrent[0][0], cells[0].dtype)
        for number, cell in enumerate(cells):
            h, c = convlstm.step(cell, joined, recurrent[number][1])
            after.append((h, c))
            if number < len(stages):
                if measure:
                    real = _real(weights.prepare, frame[:, None])[:, 0]
                    measured.append(moments[number] + convlstm.measure(h, real))
                pooled = _pool_and_join(stages[number].pool, cells[number + 1].dtype)
                last = number == len(stages) - 1 and beside is not None
                joined = pooled(h, *affine[number], recurrent[number + 1][0], *[beside] * last)
        maps = convlstm.max_pool(h, weights.branch_pool)
        return ((prepared, *after), tuple(measured)), (maps,)

    zero = tuple(_no_moments(stage) for stage in stages) if measure else ()
    batch, rows, cols, channels = states[-1][0].shape
    pool = weights.branch_pool
    shape = (batch, pool.windows(rows), pool.windows(cols), channels)
    (maps,), (states, moments) = scan(one, (states, zero), pixels, [(shape, "float32")])
    return *_scores(weights, maps, inputs, states, senses), moments


def run_layers(
    weights: Weights,
    inputs: Inputs,
    states: States,
    *,
    batch_statistics: bool,
    keep: bool = True,
    joined: Callable[[ChannelSums], ChannelSums] | None = None,
) -> tuple[Tensor, States, tuple[ChannelSums, ...]]:
    """Score a chunk, layer by layer.

    Parameters
    ----------
    weights : Weights
    inputs : tensor, shape (batch, frames, 3, rows, cols), or dict of tensors
        See `Inputs`.
    states : tuple
    batch_statistics : bool
        Whether the normalisation uses this chunk's own statistics or its moving ones.
    keep : bool
        Whether to keep what a gradient needs.
    joined : callable, optional
        Adds to a stage's moments those of rows that are elsewhere, for the statistics of the whole batch.

    Returns
    -------
    scores : float32 tensor, shape (batch, frames, genres)
    states : tuple
    moments : tuple of Moments
        Of each stage.
    """
    run = backpropagation.run if keep else convlstm.run_and_pool
    pixels, (states, senses) = frames_of(inputs), _apart(weights, states)
    frames, beside, prepared = weights.prepare.run(pixels, states[0])
    real = _real(weights.prepare, pixels)
    after, measured = [prepared], []
    for number, stage in enumerate(weights.stages):
        # Pooled before normalised, so that the rest has less to do. That is the same number, since rounding is
        # monotonic, if a channel whose scale is negative is pooled with its sign turned.
        signs = ops.where(stage.gamma < 0, -1.0, 1.0)
        needed = number > 0 or (isinstance(weights.prepare, MapReduction) and beside is None)
        options = {"input_gradient": needed} if keep else {}
        frames, state, moments = run(
            stage.cell, frames, states[1 + number], real, pool=stage.pool, signs=signs, **options
        )
        after.append(state)
        if batch_statistics and joined:
            moments = joined(moments)
        measured.append(moments)
        mean, variance = statistics(moments) if batch_statistics else (stage.moving_mean, stage.moving_variance)
        scale, shift = _affine(stage, mean, variance)
        frames = frames * (scale * signs) + shift
    if beside is not None:
        frames = join_maps(frames, beside)
    frames, state, _ = run(weights.branches, frames, states[-1], real, pool=weights.branch_pool)
    after.append(state)
    return *_scores(weights, frames, inputs, tuple(after), senses), tuple(measured)


def _apart(weights: Weights, states: States) -> tuple[States, Any]:
    """Return the states of the layers, and that of the senses beside them."""
    return (states, None) if weights.finish is None else (states[:-1], states[-1])


def _scores(weights: Weights, maps: Tensor, inputs: Inputs, states: States, senses: Any) -> tuple[Tensor, States]:
    found = run_heads(weights.heads, maps)
    if weights.finish is None:
        return found, states
    scores, senses = weights.finish(found, inputs, senses)
    return scores, (*states, senses)


def run_heads(heads: Sequence[Callable[[Tensor], Tensor]], maps: Tensor) -> Tensor:
    """Turn the pooled maps of all branches, `(batch, frames, rows, cols, channels)`, into scores."""
    parts = ops.split(maps, len(heads), axis=-1)
    return ops.concatenate([head(part) for head, part in zip(heads, parts, strict=True)], axis=-1)


def fuse_cells(cells: Sequence[Cell]) -> Cell:
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


def statistics(moments: ChannelSums) -> tuple[Tensor, Tensor]:
    """Return mean and (biased) variance, as BatchNormalization defines them; zeros without pixels."""
    count = ops.maximum(moments.count, 1.0)
    mean = moments.total / count
    return mean, ops.maximum(moments.squares / count - mean * mean, 0.0)


def _affine(stage: StageWeights, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    scale = stage.gamma / ops.sqrt(variance + stage.epsilon)
    return scale, stage.beta - mean * scale


def _real(prepare: Frames | MapReduction, pixels: Tensor) -> Tensor:
    """Return 1 for real frames and 0 for padded ones, `(batch, frames)`."""
    mask = prepare.mask(pixels)
    return ops.ones_like(pixels[:, :, 0, 0, 0], dtype="float32") if mask is None else ops.cast(mask, "float32")


def _no_moments(stage: StageWeights) -> ChannelSums:
    zeros = ops.zeros_like(stage.moving_mean)
    return ChannelSums(ops.zeros((), "float32"), zeros, zeros)


@functools.cache
def _pool_and_join(pool: PoolWindows, dtype: str) -> Callable[..., Tensor]:
    def apply(frames: Tensor, scale: Tensor, shift: Tensor, h: Tensor, *beside: Tensor) -> Tensor:
        pooled = functools.reduce(ops.maximum, convlstm.window_taps(frames * scale + shift, pool))
        if beside:
            pooled = join_maps(pooled, *beside)
        return convlstm.join(pooled, h, dtype)

    return fused(apply)
