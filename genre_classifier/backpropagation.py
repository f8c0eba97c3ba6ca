"""The gradient of a ConvLSTM by hand (TensorFlow): less memory and fewer passes than automatic differentiation.

The forward pass keeps, per frame, the activated gates, c and h. The backward pass needs, per frame, one convolution
for the gradients of frame and state, and one for that of the kernel.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from genre_classifier import convlstm
from genre_classifier.acceleration import TENSORFLOW, frames_second, fused, scan
from genre_classifier.convlstm import Cell, State, gates, join

if TENSORFLOW:
    import tensorflow as tf


def run(cell: Cell, frames: Any, state: State, *, input_gradient: bool = True) -> tuple[Any, State]:
    """Run as `genre_classifier.convlstm.run` does, keeping what the backward pass needs.

    Parameters
    ----------
    cell : Cell
    frames : tensor, shape (batch, frames, rows, cols, channels)
    state : tuple
    input_gradient : bool
        False saves the work of the gradient with respect to `frames`, which is then zero.
    """
    if not TENSORFLOW:  # the backend's own differentiation
        return convlstm.run(cell, frames, state)

    @tf.custom_gradient
    def differentiable(frames: Any, h0: Any, c0: Any, kernel: Any, bias: Any) -> Any:
        low = tf.cast(kernel, cell.dtype)
        update = _update(cell.recurrent_activation, cell.dtype)

        def one(state: State, frame: Any) -> Any:
            h, c = state
            z = tf.nn.conv2d(join(frame, h, cell.dtype), low, 1, "SAME")
            h, c, kept = update(z, bias, c)
            return (h, c), (h, c, kept)

        four = (*h0.shape[:-1], 4 * h0.shape[-1])
        outputs = [(h0.shape, "float32"), (c0.shape, "float32"), (four, cell.dtype)]
        (hs, cs, kept), (h_last, c_last) = scan(one, (h0, c0), frames, outputs)

        def gradient(d_hs: Any, d_h: Any, d_c: Any) -> Any:
            return _backward(cell, low, frames, (h0, c0), hs, cs, kept, (d_hs, d_h, d_c), input_gradient)

        return (hs, h_last, c_last), gradient

    hs, h, c = differentiable(frames, state[0], state[1], cell.kernel, cell.bias)
    return hs, (h, c)


def _backward(
    cell: Cell,
    kernel: Any,
    frames: Any,
    first: State,
    hs: Any,
    cs: Any,
    kept: Any,
    gradients: tuple[Any, Any, Any],
    input_gradient: bool,
) -> tuple[Any, Any, Any, Any, Any]:
    """Walk back through the frames; return the gradients of frames, h0, c0, kernel and bias."""
    h0, c0 = first
    d_hs, d_h_last, d_c_last = gradients
    channels = frames.shape[-1]
    through = kernel if input_gradient else kernel[:, :, channels:]
    back = _back(cell.recurrent_activation, cell.dtype)
    count = tf.shape(frames)[1]
    d_frames = tf.TensorArray("float32", count, element_shape=(frames.shape[0], *frames.shape[2:]))

    def body(index: Any, d_h: Any, d_c: Any, d_kernel: Any, d_bias: Any, d_frames: Any) -> Any:
        h, c = tf.cond(index > 0, lambda: (hs[:, index - 1], cs[:, index - 1]), lambda: (h0, c0))
        d_z, d_c = back(kept[:, index], c, cs[:, index], d_hs[:, index], d_h, d_c)
        joined = join(frames[:, index], h, cell.dtype)
        d_joined = tf.cast(_convolution_input(d_z, through, tf.shape(h)), "float32")
        d_kernel += tf.cast(
            tf.raw_ops.Conv2DBackpropFilter(
                input=joined, filter_sizes=tf.shape(kernel), out_backprop=d_z, strides=[1, 1, 1, 1], padding="SAME"
            ),
            "float32",
        )
        # A product with ones adds up all pixels with all cores.
        flat = tf.reshape(d_z, (-1, d_z.shape[-1]))
        d_bias += tf.cast(tf.matmul(tf.ones((1, tf.shape(flat)[0]), flat.dtype), flat)[0], "float32")
        if input_gradient:
            d_frames = d_frames.write(index, d_joined[..., :channels])
            d_joined = d_joined[..., channels:]
        return index - 1, d_joined, d_c, d_kernel, d_bias, d_frames

    start = (count - 1, d_h_last, d_c_last, tf.zeros(kernel.shape), tf.zeros(cell.bias.shape), d_frames)
    _, d_h, d_c, d_kernel, d_bias, d_frames = tf.while_loop(
        lambda index, *_: index >= 0, body, start, parallel_iterations=1
    )
    d_input = frames_second(d_frames.stack()) if input_gradient else tf.zeros_like(frames)
    return d_input, d_h, d_c, d_kernel, d_bias


def _convolution_input(d_z: Any, kernel: Any, shape: Any) -> Any:
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

    def back(kept: Any, c_before: Any, c: Any, d_out: Any, d_h: Any, d_c: Any) -> Any:
        i, f, g, o = tf.split(tf.cast(kept, "float32"), 4, axis=-1)
        d_h = d_h + d_out
        t = tf.tanh(c)
        d_c = d_c + d_h * o * (1 - t * t)
        parts = [d_c * g * slope(i), d_c * c_before * slope(f), d_c * i * (1 - g * g), d_h * t * slope(o)]
        return tf.cast(tf.concat(parts, axis=-1), dtype), d_c * f

    return fused(back)
