"""The formats of `export-model`: each is written from one step of the network, and read back as others would run it."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from genre_classifier.network.exported_step import FRAME, ExportedStep
from preprocessing.base.extras import require_extra

Arrays = Mapping[str, np.ndarray]
Runner = Callable[[Arrays], Arrays]  # inputs by name to outputs by name

OPSET = 17  # of ONNX; what the network needs is in it, and programs of 2022 read it


class ModelFormat(NamedTuple):
    """One format.

    Attributes
    ----------
    require : callable
        Imports its libraries, or raises an InputError that says how to install them.
    write : callable
        Writes a step into a folder, as `files`.
    read : callable
        Loads what lies in a folder, as a program without this package does.
    files : tuple of str
        Names of its files, or of its folder.
    """

    require: Callable[[], Any]
    write: Callable[[ExportedStep, Path], None]
    read: Callable[[Path], Runner]
    files: tuple[str, ...]


# === SavedModel ===


def _write_savedmodel(step: ExportedStep, folder: Path) -> None:
    import tensorflow as tf

    function = step.function.get_concrete_function()
    module = tf.Module()
    module.step, module.weights = step.function, list(function.variables)
    tf.saved_model.save(module, str(folder / "savedmodel"), signatures=function)


def _read_savedmodel(folder: Path) -> Runner:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder / "savedmodel"))
    serve = loaded.signatures["serving_default"]

    def run(inputs: Arrays) -> Arrays:
        _ = loaded  # its weights live as long as it does
        outputs = serve(**{name: tf.constant(value) for name, value in inputs.items()})
        return {name: value.numpy() for name, value in outputs.items()}

    return run


# === ONNX ===


def _require_onnx() -> tuple[Any, Any]:
    return (
        require_extra("tf2onnx", "tf2onnx", extra="onnx", needed_by="--to onnx"),
        require_extra("onnxruntime", "onnxruntime", extra="onnx", needed_by="--to onnx"),
    )


def _write_onnx(step: ExportedStep, folder: Path) -> None:
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    converter, _ = _require_onnx()
    function = step.function.get_concrete_function()
    # Weights become constants here: the converter takes tensors that a function holds for inputs of it.
    frozen = convert_variables_to_constants_v2(function)
    inputs = {f"{name}:0": name for name in (FRAME, *step.states)}
    names = sorted(function.structured_outputs)  # as TensorFlow flattens a dict
    outputs = {tensor.name: name for tensor, name in zip(frozen.outputs, names, strict=True)}
    with _less_said("tensorflow", "tf2onnx"):
        converter.convert.from_graph_def(
            frozen.graph.as_graph_def(),
            input_names=list(inputs),
            output_names=list(outputs),
            tensors_to_rename=inputs | outputs,
            opset=OPSET,
            output_path=str(folder / "model.onnx"),
        )


@contextmanager
def _less_said(*names: str) -> Iterator[None]:
    """Keep loggers from all but errors: the converter speaks of functions of TensorFlow's that it should not use."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _read_onnx(folder: Path) -> Runner:
    _, runtime = _require_onnx()
    session = runtime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(None, dict(inputs)), strict=True))


# === OpenVINO ===


def _require_openvino() -> Any:
    return require_extra("openvino", "openvino", extra="openvino", needed_by="--to openvino")


def _write_openvino(step: ExportedStep, folder: Path) -> None:
    library = _require_openvino()
    with tempfile.TemporaryDirectory(dir=folder) as passing:
        _write_savedmodel(step, Path(passing))
        # Not `convert_model`, which reports its use to its makers.
        model = library.Core().read_model(str(Path(passing) / "savedmodel"))
        library.save_model(model, str(folder / "model.xml"), compress_to_fp16=False)


def _read_openvino(folder: Path) -> Runner:
    library = _require_openvino()
    # Left to itself, it rounds to bfloat16 on processors that multiply it.
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = library.Core().compile_model(str(folder / "model.xml"), "CPU", options)
    return lambda inputs: {output.get_any_name(): value.copy() for output, value in compiled(dict(inputs)).items()}


MODEL_FORMATS = {
    "savedmodel": ModelFormat(lambda: None, _write_savedmodel, _read_savedmodel, ("savedmodel",)),
    "onnx": ModelFormat(_require_onnx, _write_onnx, _read_onnx, ("model.onnx",)),
    "openvino": ModelFormat(_require_openvino, _write_openvino, _read_openvino, ("model.xml", "model.bin")),
}
