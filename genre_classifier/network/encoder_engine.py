"""What computes an encoder: Keras, or OpenVINO, which is faster, most of all on processors with bfloat16.

The network is converted once on a machine, in two seconds, and checked against Keras before it is used. It is then kept
in a folder of the user's own, and read from there without Keras. `choose_engine` imports neither Keras nor OpenVINO.
"""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from genre_classifier.config import ModelConfig
from preprocessing.base.errors import InputError
from preprocessing.base.extras import require_extra
from preprocessing.base.files import atomic_path, cache_folder
from preprocessing.processes.machine import processor_has_bfloat16
from preprocessing.processes.sharing import has_gpu, own_threads

logger = logging.getLogger(__name__)

SAME = 1e-3  # of the largest map: float16, in which maps are kept, has three digits
# Of maps averaged over the frame, by their Euclidean norm: a cosine of 0.99. bfloat16 moves EfficientNet-Lite0 by 0.04
# and others by 0.01; int8, which learns worse, by 0.36.
CLOSE = 0.14
STREAMS = 4  # batches at once, at most
_FORMAT = 1  # of what is kept; another number where `Encoder.steps` computes other maps than before
_PARTS = ("xml", "bin")  # of OpenVINO's own format
_MOST_KEPT = 8  # encoders, of 14 MB for the one in docs/measurements.md; the oldest go
_HINTS = {"float32": "f32", "bfloat16": "bf16"}


class Engine(NamedTuple):
    """What computes maps, and of which precision its convolutions are."""

    name: Literal["keras", "openvino"] = "keras"
    precision: Literal["float32", "bfloat16"] = "float32"

    def __str__(self) -> str:
        return f"{self.name} {self.precision}"


KERAS = Engine()


def choose_engine(wanted: str) -> Engine:
    """Return what is to compute maps on this machine.

    Parameters
    ----------
    wanted : {"auto", "keras", "openvino"}
        auto: OpenVINO where it is installed, Keras elsewhere, on a GPU, and on other processors than x86. OpenVINO
        works in bfloat16 where the processor multiplies it, and else in float32, in which it is faster, too.

    Raises
    ------
    InputError
        If OpenVINO is asked for and is not installed, or Keras has another backend than TensorFlow, which it reads.
    """
    if wanted == "keras" or (wanted == "auto" and not (_is_possible() and _is_x86() and not has_gpu())):
        return KERAS
    _load_openvino()
    if _backend() != "tensorflow":
        raise InputError(
            f"--encoder-engine openvino needs the tensorflow backend of Keras; this is {_backend()} "
            f"(KERAS_BACKEND=tensorflow)"
        )
    return Engine("openvino", "bfloat16" if processor_has_bfloat16() else "float32")


def _engine_of_training(config: ModelConfig) -> Engine:
    return Engine("openvino" if config.encoder_engine == "openvino" else "keras", config.encoder_precision)


def engine_of_run(config: ModelConfig) -> Engine:
    """Return what computes maps for a run: what did when it was trained, or what comes nearest on this machine."""
    trained = _engine_of_training(config)
    if trained.name == "keras" or not _is_possible():
        return KERAS
    return Engine("openvino", trained.precision if processor_has_bfloat16() else "float32")


def note_precision(found: Engine, config: ModelConfig) -> None:
    """Say where the maps of a run's encoder are of another precision than those that it was trained on."""
    trained = _engine_of_training(config)
    if found.precision != trained.precision:
        remedy = "" if find_spec("openvino") else " (pip install -e '.[openvino]')"
        logger.warning(
            f"the run's encoder works on {found}{remedy}, and did on {trained} when the run was trained: scores differ "
            f"a little"
        )


def require_engine(engine: Engine) -> Engine:
    """Return an engine that another process has chosen; InputError where this machine does not have it."""
    if engine.name == "openvino" and not (
        _is_possible() and (engine.precision == "float32" or processor_has_bfloat16())
    ):
        raise InputError(
            f"this machine cannot run the encoder on {engine}, as the command that shares the work out does; install "
            f"OpenVINO here, too (pip install -e '.[openvino]'), or give the command --encoder-engine keras"
        )
    return engine


def _is_possible() -> bool:
    return find_spec("openvino") is not None and _backend() == "tensorflow"


def _is_x86() -> bool:
    return platform.machine().lower() in ("x86_64", "amd64")


def _backend() -> str:
    keras = sys.modules.get("keras")
    return str(keras.backend.backend()) if keras else os.environ.get("KERAS_BACKEND", "tensorflow")


def _load_openvino() -> Any:
    """Import OpenVINO without its telemetry, which would tell its makers over the network, from a fork of the process.

    The fork outlives a process that is killed, and holds its pipes: whoever reads them waits for ever.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # not to be found: it does without
    return require_extra("openvino", "openvino", extra="openvino", needed_by="--encoder-engine openvino")


class Program:
    """An encoder that OpenVINO has compiled: from batches of frames, or of sound, to their maps or features, in order.

    Attributes
    ----------
    takes, gives : tuple of int
        The shapes of a batch, and of what it becomes.
    """

    def __init__(self, compiled: Any, streams: int) -> None:
        self.takes, self.gives = (tuple(port.shape) for port in (compiled.input(0), compiled.output(0)))
        self._requests = [compiled.create_infer_request() for _ in range(streams)]

    def __call__(self, batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield what each batch becomes, while those after it are computed."""
        count, requests = 0, self._requests
        for batch in batches:
            request = requests[count % len(requests)]
            if count >= len(requests):
                request.wait()
                yield request.get_output_tensor().data.copy()
            request.start_async({0: batch})
            count += 1
        for number in range(max(0, count - len(requests)), count):
            request = requests[number % len(requests)]
            request.wait()
            yield request.get_output_tensor().data.copy()


def openvino_program(
    steps: Callable[[Any], Any],
    variables: Sequence[Any],
    batch: np.ndarray,
    expected: np.ndarray,
    engine: Engine,
    *,
    digest: str | None = None,
    kind: str = "encoder",
) -> Program | None:
    """Convert what an encoder does; None, with a line that says why, where OpenVINO cannot do the same.

    Parameters
    ----------
    steps : callable
        From a batch to its maps, or features, of plain operations: `genre_classifier.network.frozen`.
    variables : sequence of keras.Variable
        What it reads besides the batch.
    batch : ndarray
        Frames, or stretches of sound; as many as there always will be at once.
    expected : ndarray of float16, shape (batch, channels, cells, cells) or (batch, features)
        What Keras makes of it. OpenVINO must agree: to `SAME` in float32, and then to `CLOSE` in bfloat16.
    engine : Engine
    digest : str, optional
        Of the encoder: what is found right is kept under it, for `kept_program`.
    kind : str
        Of encoder, for the line.
    """
    try:
        parts = _convert(_graph(steps, variables, batch))
        compile_for = _read(parts)
        right = expected.astype(np.float32)
        program = compile_for("float32")
        furthest = np.abs(next(program([batch])).astype(np.float32) - right).max()
        if not furthest <= SAME * np.abs(right).max():  # NaN too
            raise InputError(
                f"expected what Keras gives, of up to {np.abs(right).max():.2g}, found a difference of {furthest:.2g}"
            )
        if engine.precision != "float32":
            program = compile_for(engine.precision)
            cells = tuple(range(2, right.ndim))
            pooled, found = (one.astype(np.float32).mean(axis=cells) for one in (right, next(program([batch]))))
            distance = np.linalg.norm(found - pooled, axis=1) / np.maximum(np.linalg.norm(pooled, axis=1), 1e-9)
            if not distance.max() <= CLOSE:
                raise InputError(f"expected numbers that {engine.precision} hardly moves, found {distance.max():.0%}")
    except Exception as error:  # noqa: BLE001 - of two libraries, each with kinds of its own; Keras does what it did
        logger.warning(f"the {kind} runs on {KERAS}: {engine} cannot be used for it: {_reason(error)}")
        return None
    if digest is not None:
        with suppress(Exception):  # without it, the next command takes as long again
            _keep(_kept_file(digest, engine), parts)
    return program


def _reason(error: Exception) -> str:
    """Return the line of an error that says why; OpenVINO's begin with places in its own code."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    found = [line.removeprefix("-- ") for line in lines if line.startswith("-- ")]
    told = [line for line in lines if not line.startswith(("Exception from ", "Check "))]
    return next(iter(found or told), type(error).__name__)


def kept_program(digest: str, engine: Engine) -> Program | None:
    """Return the encoder of a digest as it was converted and checked on this machine before; None if there is none."""
    if engine.name != "openvino":
        return None
    try:
        with np.load(_kept_file(digest, engine)) as kept:  # which checks its sums
            return _read({name: kept[name].tobytes() for name in _PARTS})(engine.precision)
    except Exception:  # noqa: BLE001 - missing, damaged, or of another version: it is converted again
        return None


def is_known_encoder(sha256: str, digest: str) -> bool:
    """Whether a file of these bytes was once read by Keras, and found to hold the encoder of a digest."""
    with suppress(Exception):
        return _mark(sha256, digest).is_file()
    return False


def remember_encoder(sha256: str, digest: str) -> None:
    """Remember that a file of these bytes holds the encoder of a digest."""
    with suppress(Exception):  # without it, the next command reads the file again
        _mark(sha256, digest).parent.mkdir(parents=True, exist_ok=True)
        _mark(sha256, digest).touch()


def _mark(sha256: str, digest: str) -> Path:
    return cache_folder() / "encoders" / f"{hashlib.sha256(f'{sha256} {digest}'.encode()).hexdigest()[:32]}.known"


def _kept_file(digest: str, engine: Engine) -> Path:
    """Return where a converted encoder is kept: another place for all that its maps may depend on."""
    openvino = _load_openvino()
    processor = openvino.Core().get_property("CPU", "FULL_DEVICE_NAME")
    key = f"{digest} {engine} {openvino.__version__} {processor} {_FORMAT}"
    return cache_folder() / "encoders" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npz"


def _keep(file: Path, parts: dict[str, bytes]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(file) as temporary, temporary.open("wb") as stream:
        np.savez(stream, xml=np.frombuffer(parts["xml"], np.uint8), bin=np.frombuffer(parts["bin"], np.uint8))
    for old in sorted(file.parent.glob("*.npz"), key=lambda one: one.stat().st_mtime)[:-_MOST_KEPT]:
        old.unlink()


def _graph(steps: Callable[[Any], Any], variables: Sequence[Any], batch: np.ndarray) -> bytes:
    """Trace the function to a TensorFlow graph in which all weights are constants."""
    import keras
    import tensorflow as tf

    from genre_classifier.network.backend import plain_operations

    values = [(variable, variable.value.numpy()) for variable in variables]

    def constant(given: Any) -> Any:
        with keras.StatelessScope(state_mapping=values), plain_operations():
            return steps(given)

    signature = [tf.TensorSpec(batch.shape, batch.dtype)]
    graph = tf.function(constant, input_signature=signature, autograph=False).get_concrete_function().graph
    definition = graph.as_graph_def()
    nodes = {node.name: node for node in definition.node}
    for value, placeholder in graph.captures:  # tensors that a layer holds, such as the means of a Normalization
        node = nodes[placeholder.op.name]
        node.op = "Const"
        node.attr.clear()
        node.attr["dtype"].type = placeholder.dtype.as_datatype_enum
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value.numpy()))
    # Some layers compute what nobody reads (attention: how many tokens there are). OpenVINO takes it for an output.
    read, waiting = set(), [graph.outputs[0].op]
    while waiting:
        operation = waiting.pop()
        if operation.name not in read:
            read.add(operation.name)
            waiting += [*(tensor.op for tensor in operation.inputs), *operation.control_inputs]
    for index in reversed(range(len(definition.node))):
        if definition.node[index].name not in read:
            del definition.node[index]
    return bytes(definition.SerializeToString())


def _convert(graph: bytes) -> dict[str, bytes]:
    """Let OpenVINO read a TensorFlow graph; return it in OpenVINO's own two parts."""
    openvino = _load_openvino()
    with tempfile.TemporaryDirectory() as folder:  # it reads no graph from memory
        file = Path(folder) / "encoder.pb"
        file.write_bytes(graph)
        parts = {name: Path(folder) / f"model.{name}" for name in _PARTS}
        openvino.save_model(openvino.Core().read_model(file), parts["xml"], compress_to_fp16=False)
        return {name: part.read_bytes() for name, part in parts.items()}


def _read(parts: Mapping[str, bytes]) -> Callable[[str], Program]:
    """Let OpenVINO read what `_convert` gave; return what compiles it for a precision."""
    openvino = _load_openvino()
    core = openvino.Core()
    weights = openvino.Tensor(np.frombuffer(parts["bin"], np.uint8))
    model = core.read_model(parts["xml"], weights)
    threads = own_threads()
    streams = min(threads, STREAMS)

    def compile_for(precision: str) -> Program:
        options = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": streams,
            "ENABLE_CPU_PINNING": False,  # or all processes would share the first cores
        }
        return Program(core.compile_model(model, "CPU", options), streams)

    return compile_for
