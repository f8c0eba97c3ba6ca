"""The gradient of a ConvLSTM by hand: less memory and fewer passes than automatic differentiation (TensorFlow).

The forward pass keeps, per frame, what the convolution gave, c and h: no more than it computes anyway. The backward
pass needs, per frame, one convolution for the gradients of frame and state, and one for that of the kernel.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from genre_classifier.network import convlstm
from genre_classifier.network.backend import TENSORFLOW, Tensor, frames_first, fused
from genre_classifier.network.convlstm import WHOLE, Cell, ChannelSums, PoolWindows, State, gates, join, measure

if TENSORFLOW:
    import tensorflow as tf


def run(
    cell: Cell,
    frames: Tensor,
    state: State,
    real: Tensor,
    *,
    pool: PoolWindows = WHOLE,
    signs: Tensor = 1.0,
    input_gradient: bool = True,
) -> tuple[Tensor, State, ChannelSums]:
    """Run as `genre_classifier.network.convlstm.run_and_pool` does, keeping what the backward pass needs.

    Parameters
    ----------
    cell : Cell
    frames : tensor, shape (batch, frames, rows, cols, channels)
    state : tuple
    real : float tensor, shape (batch, frames)
        1 for real frames, 0 for padded ones, which the moments leave out.
    pool : Pool
        The windows over which h is pooled.
    signs : tensor, shape (filters,)
        1 or -1: h is multiplied by it before pooling. It gets no gradient.
    input_gradient : bool
        False saves the work of the gradient with respect to `frames`, which is then zero.

    Returns
    -------
    outputs : tensor, shape (batch, frames, rows of windows, columns of windows, filters)
    state : tuple
    moments : Moments
        Of h before pooling; differentiable like the outputs.
    """
    if not TENSORFLOW:  # the backend's own differentiation
        return convlstm.run_and_pool(cell, frames, state, real, pool=pool, signs=signs)

    signs = tf.ones((cell.bias.shape[0] // 4,)) * signs

    @tf.custom_gradient
    def differentiable(
        frames: Tensor, h0: Tensor, c0: Tensor, kernel: Tensor, bias: Tensor, real: Tensor, signs: Tensor
    ) -> Any:
        loop = _Loop(cell, tf.cast(kernel, cell.dtype), bias, frames, (h0, c0), real, signs, pool)
        (h, c), moments = loop.forward()

        def gradient(
            d_outputs: Tensor, d_h: Tensor, d_c: Tensor, _: Tensor, d_total: Tensor, d_squares: Tensor
        ) -> tuple[Tensor, ...]:
            gradients = loop.backward(d_outputs, (d_h, d_c), (d_total, d_squares), input_gradient)
            return (*gradients, tf.zeros_like(real), tf.zeros_like(signs))

        return (frames_first(loop.outputs), h, c, *moments), gradient

    outputs, h, c, *moments = differentiable(frames, *state, cell.kernel, cell.bias, real, signs)
    return outputs, (h, c), ChannelSums(*moments)


class _Loop:
    """One chunk's way forward, what it keeps, and its way back. Sequences have frames first."""

    def __init__(
        self,
        cell: Cell,
        kernel: Tensor,
        bias: Tensor,
        frames: Tensor,
        state: State,
        real: Tensor,
        signs: Tensor,
        pool: PoolWindows,
    ) -> None:
        self.cell, self.kernel, self.bias, self.state, self.signs, self.pool = cell, kernel, bias, state, signs, pool
        self.frames, self.real = frames_first(frames), frames_first(real)
        self.count = tf.shape(self.frames)[0]

    def forward(self) -> tuple[State, ChannelSums]:
        """Return the last state and the moments."""
        batch, rows, cols, filters = self.state[0].shape
        pooled = (batch, self.pool.windows(rows), self.pool.windows(cols), filters)
        maps = (batch, rows, cols, filters)
        shapes = [pooled, pooled, maps, maps, (batch, rows, cols, 4 * filters)]
        types = ["float32", "uint8", "float32", "float32", self.cell.dtype]
        stores = tuple(
            tf.TensorArray(dtype, self.count, element_shape=shape, clear_after_read=False)
            for dtype, shape in zip(types, shapes, strict=True)
        )
        update, pool = convlstm.gates_and_state(self.cell.recurrent_activation), _pool(self.pool)

        def body(index: Tensor, h: Tensor, c: Tensor, moments: ChannelSums, stores: Any) -> Any:
            z = tf.nn.conv2d(join(self.frames[index], h, self.cell.dtype), self.kernel, 1, "SAME")
            h, c = update(z, self.bias, c)
            moments = moments + measure(h, self.real[index])
            values = (*pool(h, self.signs), h, c, z)
            return index + 1, h, c, moments, tuple(s.write(index, v) for s, v in zip(stores, values, strict=True))

        start = (0, *self.state, ChannelSums(tf.zeros(()), tf.zeros(filters), tf.zeros(filters)), stores)
        _, h, c, moments, (outputs, *self.kept) = tf.while_loop(
            lambda index, *_: index < self.count, body, start, parallel_iterations=1
        )
        self.outputs = outputs.stack()
        return (h, c), moments

    def backward(
        self, d_outputs: Tensor, d_last: State, d_moments: tuple[Tensor, Tensor], input_gradient: bool
    ) -> tuple[Tensor, ...]:
        """Return the gradients of frames, h0, c0, kernel and bias."""
        cell, (places, hs, cs, zs) = self.cell, self.kept
        d_outputs, (h0, c0), channels = frames_first(d_outputs), self.state, self.frames.shape[-1]
        through = self.kernel if input_gradient else self.kernel[:, :, channels:]
        back, unpool = _back(cell.recurrent_activation, cell.dtype), _unpool(self.pool)
        size, _, joined, wide = self.kernel.shape
        ones = tf.ones_like(h0[..., :1])
        d_frames = tf.TensorArray("float32", self.count, element_shape=self.frames.shape[1:])

        def body(index: Tensor, h: Tensor, d_h: Tensor, c: Tensor, d_c: Tensor, d_kernel: Tensor, d_frames: Any) -> Any:
            h_before, c_before = tf.cond(index > 0, lambda: (hs.read(index - 1), cs.read(index - 1)), lambda: (h0, c0))
            d_out = unpool(d_outputs[index], places.read(index), h, self.signs)
            counted = self.real[index][:, None, None, None]
            d_z, d_c = back(zs.read(index), self.bias, c_before, c, h, d_out, counted, *d_moments, d_h, d_c)
            d_joined = tf.raw_ops.Conv2DBackpropInput(
                input_sizes=tf.concat([tf.shape(h0)[:3], [through.shape[2]]], axis=0),
                filter=through,
                out_backprop=d_z,
                strides=[1, 1, 1, 1],
                padding="SAME",
            )
            # The bias is the weight of one more channel, always 1, at the centre of the kernel.
            part = tf.raw_ops.Conv2DBackpropFilter(
                input=join(self.frames[index], tf.concat([h_before, ones], axis=-1), cell.dtype),
                filter_sizes=[size, size, joined + 1, wide],
                out_backprop=d_z,
                strides=[1, 1, 1, 1],
                padding="SAME",
            )
            if input_gradient:
                d_frames = d_frames.write(index, tf.cast(d_joined[..., :channels], "float32"))
                d_joined = d_joined[..., channels:]
            return index - 1, h_before, d_joined, c_before, d_c, d_kernel + tf.cast(part, "float32"), d_frames

        last = self.count - 1
        d_kernel = tf.zeros((size, size, joined + 1, wide))
        start = (last, hs.read(last), tf.cast(d_last[0], cell.dtype), cs.read(last), d_last[1], d_kernel, d_frames)
        _, _, d_h, _, d_c, d_kernel, d_frames = tf.while_loop(
            lambda index, *_: index >= 0, body, start, parallel_iterations=1
        )
        d_input = d_frames.stack() if input_gradient else tf.zeros_like(self.frames)
        d_bias = d_kernel[size // 2, size // 2, joined]
        return frames_first(d_input), tf.cast(d_h, "float32"), d_c, d_kernel[:, :, :joined], d_bias


@functools.cache
def _pool(pool: PoolWindows) -> Callable[..., Tensor]:
    """Return the pooled maps, and where in its window each maximum came from."""

    def pooled(h: Tensor, signs: Tensor) -> tuple[Tensor, Tensor]:
        corners = convlstm.window_taps(h * signs, pool)
        best, place = corners[0], tf.zeros_like(corners[0], "uint8")
        for number, corner in enumerate(corners[1:], start=1):
            better = corner > best  # of equal ones the first, as everywhere
            best, place = tf.where(better, corner, best), tf.where(better, tf.constant(number, tf.uint8), place)
        return best, place

    return fused(pooled)


@functools.cache
def _unpool(pool: PoolWindows) -> Callable[..., Tensor]:
    """Return the gradient of `_pool` with respect to h."""

    def unpooled(d_pooled: Tensor, place: Tensor, h: Tensor, signs: Tensor) -> Tensor:
        _, rows, cols, filters = d_pooled.shape
        size = pool.size
        numbers = tf.cast(tf.reshape(tf.range(size * size), (1, 1, size, 1, size, 1)), tf.uint8)
        windows = tf.where(place[:, :, None, :, None] == numbers, (d_pooled * signs)[:, :, None, :, None], 0.0)
        d_h = tf.reshape(windows, (-1, rows * size, cols * size, filters))
        (top, bottom), (left, right) = (pool.margins(pixels) for pixels in h.shape[1:3])
        d_h = d_h[:, top : top + h.shape[1], left : left + h.shape[2]]  # what lies outside was never there
        return tf.pad(d_h, [[0, 0], [0, max(-bottom, 0)], [0, max(-right, 0)], [0, 0]])

    return fused(unpooled)


@functools.cache
def _back(recurrent_activation: str, dtype: str) -> Callable[..., Tensor]:
    """Return the gradients with respect to z and to c before the frame."""

    def slope(activated: Tensor) -> Tensor:
        if recurrent_activation == "sigmoid":
            return activated * (1 - activated)
        return tf.where((activated > 0) & (activated < 1), 1 / 6, 0.0)

    def back(
        z: Tensor,
        bias: Tensor,
        c_before: Tensor,
        c: Tensor,
        h: Tensor,
        d_out: Tensor,
        real: Tensor,
        d_total: Tensor,
        d_squares: Tensor,
        d_h: Tensor,
        d_c: Tensor,
    ) -> tuple[Tensor, Tensor]:
        i, f, g, o = gates(z, bias, recurrent_activation)
        d_h = tf.cast(d_h, "float32") + d_out + real * (d_total + 2 * d_squares * h)
        t = tf.tanh(c)
        d_c = d_c + d_h * o * (1 - t * t)
        parts = [d_c * g * slope(i), d_c * c_before * slope(f), d_c * i * (1 - g * g), d_h * t * slope(o)]
        return tf.cast(tf.concat(parts, axis=-1), dtype), d_c * f

    return fused(back)
