"""What makes the network fast on one backend only; everywhere else these functions change nothing.

TensorFlow runs a graph of operations: its convolutions are the fastest on a CPU, and the small arithmetic between them
is compiled by XLA, alone, because XLA's own convolutions are several times slower there. JAX compiles whole programs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeAlias

import keras
from keras import ops

from preprocessing.base.errors import InputError
from preprocessing.processes.machine import processor_has_bfloat16

TENSORFLOW = keras.backend.backend() == "tensorflow"

OpenAxes: TypeAlias = Sequence[Sequence[int]] | None  # see `program`

# What `keras.ops` take and give: the backend's tensors and variables, NumPy arrays, Keras's symbolic tensors. They have
# no class in common.
Tensor: TypeAlias = Any

_PLAIN = ContextVar("_PLAIN", default=False)


@contextmanager
def plain_operations() -> Iterator[None]:
    """Trace what follows into operations that other programs know: nothing compiled apart, and no loop over frames.

    How many frames there are must then be known while tracing.
    """
    token = _PLAIN.set(True)
    try:
        yield
    finally:
        _PLAIN.reset(token)


def fused(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile elementwise arithmetic into one pass over memory (TensorFlow; JAX does it by itself)."""
    if not TENSORFLOW:
        return function
    import tensorflow as tf

    compiled = tf.function(function, jit_compile=True, autograph=False)

    @functools.wraps(function)
    def either(*arguments: Any) -> Any:
        return (function if _PLAIN.get() else compiled)(*arguments)

    return either


def program(
    function: Callable[..., Any],
    variables: Sequence[keras.Variable] = (),
    *,
    open_axes: OpenAxes = None,
) -> Callable[..., Any]:
    """Compile a function of tensors, once per shape and type of its arguments, for any number of frames.

    Parameters
    ----------
    function : callable
    variables : sequence of keras.Variable
        What the function reads besides its arguments: it sees their present values at every call.
    open_axes : sequence of sequences of int, optional
        For each argument, the axes of its tensors whose length differs from call to call: TensorFlow traces one program
        for all lengths, since each takes seconds. JAX compiles each shape anyway.
    """
    if TENSORFLOW:
        import tensorflow as tf

        graph: Any = tf.function(function, autograph=False, reduce_retracing=True)
        return graph if open_axes is None else _traced_once(graph, open_axes)
    if keras.backend.backend() == "jax":
        import jax

        # A value that the function takes from anywhere but its arguments would be compiled in as a constant.
        def of_values(values: list[Tensor], *arguments: Any) -> Any:
            with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
                return function(*arguments)

        compiled = jax.jit(of_values)
        return lambda *arguments: compiled([variable.value for variable in variables], *arguments)
    return function


def _traced_once(graph: Any, open_axes: Sequence[Sequence[int]]) -> Callable[..., Any]:
    """Trace a graph with open axes first: calls with any lengths find that trace, and need no other."""
    import tensorflow as tf

    def spec(array: Any, axes: Sequence[int]) -> Any:
        if array is None:  # no sample weights
            return None
        shape = [None if axis in axes else length for axis, length in enumerate(array.shape)]
        return tf.TensorSpec(shape, tf.as_dtype(array.dtype))

    def run(*arguments: Any) -> Any:
        if not graph.experimental_get_tracing_count():
            pairs = zip(arguments, open_axes, strict=True)
            specs = [keras.tree.map_structure(functools.partial(spec, axes=axes), one) for one, axes in pairs]
            graph.get_concrete_function(*specs)
        return graph(*arguments)

    return run


def scan(
    step: Callable[..., Any], state: Any, frames: Any, outputs: Sequence[tuple[tuple[Tensor | int, ...], str]]
) -> tuple[tuple[Tensor, ...], Any]:
    """Step through the frames of a chunk.

    Parameters
    ----------
    step : callable
        `step(state, frame)` gives `(state, outputs)`.
    state : nested tuple of tensors
    frames : tensor or tuple of tensors, shape (batch, frames, ...)
    outputs : sequence of (shape, dtype)
        Of each of the outputs, for one frame: `(batch, ...)`.

    Returns
    -------
    outputs : tuple of tensors, shape (batch, frames, ...)
    state : like `state`
    """
    if _PLAIN.get():
        sequences, results = keras.tree.flatten(frames), []
        for index in range(sequences[0].shape[1]):
            one = keras.tree.pack_sequence_as(frames, [sequence[:, index] for sequence in sequences])
            state, written = step(state, one)
            results.append(written)
        return tuple(ops.stack(each, axis=1) for each in zip(*results, strict=True)), state
    if not TENSORFLOW:
        state, stacked = ops.scan(step, state, keras.tree.map_structure(frames_first, frames))
        return tuple(frames_first(output) for output in stacked), state
    import tensorflow as tf

    frames = keras.tree.map_structure(frames_first, frames)
    count = tf.shape(keras.tree.flatten(frames)[0])[0]
    stores = tuple(tf.TensorArray(dtype, count, element_shape=shape) for shape, dtype in outputs)

    def body(index: Tensor, state: Any, stores: Any) -> Any:
        state, written = step(state, keras.tree.map_structure(lambda sequence: sequence[index], frames))
        return index + 1, state, tuple(store.write(index, one) for store, one in zip(stores, written, strict=True))

    # One frame at a time: more in flight would hold more of the large arrays between layers.
    _, state, stores = tf.while_loop(lambda index, *_: index < count, body, (0, state, stores), parallel_iterations=1)
    return tuple(frames_first(store.stack()) for store in stores), state


def frames_first(sequence: Tensor) -> Tensor:
    """Swap `(batch, frames, ...)` into `(frames, batch, ...)`, or back; costs nothing for a batch of one."""
    return ops.transpose(sequence, (1, 0, *range(2, len(sequence.shape))))


def require_precision(precision: str) -> None:
    """Refuse bfloat16 where the processor would emulate it.

    Raises
    ------
    InputError
        If `precision` is bfloat16 and the CPU has neither avx512_bf16 nor amx_bf16.
    """
    if precision == "bfloat16" and not has_bfloat16():
        raise InputError(
            "precision bfloat16 needs a processor with avx512_bf16 or amx_bf16 (or a GPU), and this one has neither: "
            "it would be slower than float32; use float32"
        )


@functools.cache
def has_bfloat16() -> bool:
    """Return whether the machine multiplies bfloat16 in hardware (of CPUs, those that say so; every GPU)."""
    if processor_has_bfloat16():
        return True
    if TENSORFLOW:
        import tensorflow as tf

        return bool(tf.config.list_physical_devices("GPU"))
    if keras.backend.backend() == "jax":
        import jax

        return str(jax.default_backend()) != "cpu"
    return False
