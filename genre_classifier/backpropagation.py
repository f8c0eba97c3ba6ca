"""The gradient of a ConvLSTM by hand: less memory and fewer passes than automatic differentiation (TensorFlow).

The forward pass keeps, per frame, the activated gates, c and h. The backward pass needs, per frame, one convolution
for the gradients of frame and state, and one for that of the kernel.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from keras import ops

from genre_classifier import convlstm
from genre_classifier.acceleration import TENSORFLOW, frames_first, fused
from genre_classifier.convlstm import Cell, State, gates, join

if TENSORFLOW:
    import tensorflow as tf


class Moments(NamedTuple):
    """Sums over the real frames' pixels of a layer's outputs: what the statistics of a normalisation are made of.

    Attributes
    ----------
    count : scalar
        Pixels.
    total, squares : tensor, shape (channels,)
        Sum of the values and of their squares.
    """

    count: Any
    total: Any
    squares: Any

    def __add__(self, other: Any) -> Moments:
        """Return the moments of two sets of pixels together."""
        return Moments(*(one + another for one, another in zip(self, other, strict=True)))


def measure(frames: Any, weights: Any) -> Moments:
    """Add up `(n, rows, cols, channels)`; `weights` `(n,)` is 1 for a real frame and 0 for a padded one."""
    _, rows, cols, channels = frames.shape
    kept = ops.reshape(frames * ops.reshape(weights, (-1, 1, 1, 1)), (-1, channels))
    flat = ops.reshape(frames, (-1, channels))
    # Matrix products: one pass over the memory, with all cores.
    total = ops.matmul(ops.ones((1, ops.shape(flat)[0])), kept)[0]
    squares = ops.diagonal(ops.matmul(ops.transpose(kept), flat))
    return Moments(ops.sum(weights) * (rows * cols), total, squares)


def run(
    cell: Cell, frames: Any, state: State, weights: Any, *, input_gradient: bool = True
) -> tuple[Any, State, Moments]:
    """Run as `genre_classifier.convlstm.run` does, keeping what the backward pass needs.

    Parameters
    ----------
    cell : Cell
    frames : tensor, shape (batch, frames, rows, cols, channels)
    state : tuple
    weights : float tensor, shape (batch, frames)
        1 for real frames, 0 for padded ones, which the moments leave out.
    input_gradient : bool
        False saves the work of the gradient with respect to `frames`, which is then zero.

    Returns
    -------
    outputs : tensor, shape (batch, frames, rows, cols, filters)
    state : tuple
    moments : Moments
        Of the outputs; differentiable like them.
    """
    if not TENSORFLOW:  # the backend's own differentiation
        outputs, state = convlstm.run(cell, frames, state)
        merged = ops.reshape(outputs, (-1, *outputs.shape[2:]))
        return outputs, state, measure(merged, ops.reshape(weights, (-1,)))

    @tf.custom_gradient
    def differentiable(frames: Any, h0: Any, c0: Any, kernel: Any, bias: Any, weights: Any) -> Any:
        low = tf.cast(kernel, cell.dtype)
        hs, (h, c), moments, kept = _forward(cell, low, bias, frames, (h0, c0), weights)

        def gradient(d_hs: Any, d_h: Any, d_c: Any, _: Any, d_total: Any, d_squares: Any) -> Any:
            out = (d_hs, weights, d_total, d_squares)
            backward = _backward(cell, low, frames, (h0, c0), hs, kept, (d_h, d_c), out, input_gradient)
            return (*backward, tf.zeros_like(weights))

        return (frames_first(hs), h, c, *moments), gradient

    hs, h, c, *moments = differentiable(frames, *state, cell.kernel, cell.bias, weights)
    return hs, (h, c), Moments(*moments)


def _forward(cell: Cell, kernel: Any, bias: Any, frames: Any, state: State, weights: Any) -> Any:
    """Return h of all frames (frames first), the last state, the moments, and c and gates for the backward pass."""
    frames, weights = frames_first(frames), frames_first(weights)
    count, shape = tf.shape(frames)[0], state[0].shape
    update = _update(cell.recurrent_activation, cell.dtype)
    stores = (
        tf.TensorArray("float32", count, element_shape=shape),
        tf.TensorArray("float32", count, element_shape=shape, clear_after_read=False),
        tf.TensorArray(cell.dtype, count, element_shape=(*shape[:-1], 4 * shape[-1]), clear_after_read=False),
    )
    filters = shape[-1]
    moments = Moments(tf.zeros(()), tf.zeros(filters), tf.zeros(filters))

    def body(index: Any, h: Any, c: Any, moments: Any, stores: Any) -> Any:
        z = tf.nn.conv2d(join(frames[index], h, cell.dtype), kernel, 1, "SAME")
        h, c, activated = update(z, bias, c)
        moments = moments + measure(h, weights[index])
        return (
            index + 1,
            h,
            c,
            moments,
            tuple(s.write(index, v) for s, v in zip(stores, (h, c, activated), strict=True)),
        )

    _, h, c, moments, (hs, cs, activated) = tf.while_loop(
        lambda index, *_: index < count, body, (0, *state, moments, stores), parallel_iterations=1
    )
    return hs.stack(), (h, c), moments, (cs, activated)


def _backward(
    cell: Cell,
    kernel: Any,
    frames: Any,
    first: State,
    hs: Any,
    kept: Any,
    d_last: State,
    d_out: tuple[Any, Any, Any, Any],
    input_gradient: bool,
) -> tuple[Any, Any, Any, Any, Any]:
    """Walk back through the frames; return the gradients of frames, h0, c0, kernel and bias."""
    (h0, c0), (cs, activated) = first, kept
    d_hs, weights, d_total, d_squares = d_out
    d_hs, weights, sequence = frames_first(d_hs), frames_first(weights), frames_first(frames)
    channels = frames.shape[-1]
    through = kernel if input_gradient else kernel[:, :, channels:]
    back = _back(cell.recurrent_activation, cell.dtype)
    count = tf.shape(sequence)[0]
    d_frames = tf.TensorArray("float32", count, element_shape=sequence.shape[1:])

    def body(index: Any, d_h: Any, c: Any, d_c: Any, d_kernel: Any, d_bias: Any, d_frames: Any) -> Any:
        h_before, c_before = tf.cond(index > 0, lambda: (hs[index - 1], cs.read(index - 1)), lambda: (h0, c0))
        d_moments = weights[index][:, None, None, None], d_total, d_squares
        d_z, d_c = back(activated.read(index), c_before, c, hs[index], d_hs[index], *d_moments, d_h, d_c)
        joined = join(sequence[index], h_before, cell.dtype)
        d_joined = tf.cast(_gradient_of_input(d_z, through, tf.shape(h0)), "float32")
        d_kernel += tf.cast(
            tf.raw_ops.Conv2DBackpropFilter(
                input=joined, filter_sizes=tf.shape(kernel), out_backprop=d_z, strides=[1, 1, 1, 1], padding="SAME"
            ),
            "float32",
        )
        flat = tf.reshape(d_z, (-1, d_z.shape[-1]))
        # A product with ones adds up all pixels with all cores.
        d_bias += tf.cast(tf.matmul(tf.ones((1, tf.shape(flat)[0]), flat.dtype), flat)[0], "float32")
        if input_gradient:
            d_frames = d_frames.write(index, d_joined[..., :channels])
            d_joined = d_joined[..., channels:]
        return index - 1, d_joined, c_before, d_c, d_kernel, d_bias, d_frames

    d_h, d_c = d_last
    start = (count - 1, d_h, cs.read(count - 1), d_c, tf.zeros(kernel.shape), tf.zeros(cell.bias.shape), d_frames)
    _, d_h, _, d_c, d_kernel, d_bias, d_frames = tf.while_loop(
        lambda index, *_: index >= 0, body, start, parallel_iterations=1
    )
    d_input = frames_first(d_frames.stack()) if input_gradient else tf.zeros_like(frames)
    return d_input, d_h, d_c, d_kernel, d_bias


def _gradient_of_input(d_z: Any, kernel: Any, shape: Any) -> Any:
    sizes = tf.stack([shape[0], shape[1], shape[2], tf.shape(kernel)[2]])
    return tf.raw_ops.Conv2DBackpropInput(
        input_sizes=sizes, filter=kernel, out_backprop=d_z, strides=[1, 1, 1, 1], padding="SAME"
    )


@functools.cache
def _update(recurrent_activation: str, dtype: str) -> Callable[..., Any]:
    def update(z: Any, bias: Any, c: Any) -> Any:
        i, f, g, o = gates(z, bias, recurrent_activation)
        c = f * c + i * g
        return o * tf.tanh(c), c, tf.cast(tf.concat([i, f, g, o], axis=-1), dtype)

    return fused(update)


@functools.cache
def _back(recurrent_activation: str, dtype: str) -> Callable[..., Any]:
    def slope(activated: Any) -> Any:
        if recurrent_activation == "sigmoid":
            return activated * (1 - activated)
        return tf.where((activated > 0) & (activated < 1), 1 / 6, 0.0)

    def back(
        activated: Any,
        c_before: Any,
        c: Any,
        h: Any,
        d_out: Any,
        weights: Any,
        d_total: Any,
        d_squares: Any,
        d_h: Any,
        d_c: Any,
    ) -> Any:
        i, f, g, o = tf.split(tf.cast(activated, "float32"), 4, axis=-1)
        d_h = d_h + d_out + weights * (d_total + 2 * d_squares * h)
        t = tf.tanh(c)
        d_c = d_c + d_h * o * (1 - t * t)
        parts = [d_c * g * slope(i), d_c * c_before * slope(f), d_c * i * (1 - g * g), d_h * t * slope(o)]
        return tf.cast(tf.concat(parts, axis=-1), dtype), d_c * f

    return fused(back)
