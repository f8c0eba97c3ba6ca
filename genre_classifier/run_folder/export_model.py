"""The trained network of a run for programs without this package: one step per frame, checked against the network."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from genre_classifier.network.encoder import Encoder, check_frames
from genre_classifier.network.encoder_engine import KERAS
from genre_classifier.network.exported_step import (
    FEATURES,
    FRAME,
    HEARD,
    MAPS,
    NEXT,
    SAMPLES,
    SCORES,
    Exported,
    ExportedEncoder,
    ExportedStep,
    exported_encoder,
    exported_step,
)
from genre_classifier.network.frame_encoder import with_change
from genre_classifier.network.senses import PICTURES, SOUND
from genre_classifier.network.sound_encoder import SoundEncoder
from genre_classifier.network.streaming import ScoreStream
from genre_classifier.run_folder.run import Run
from preprocessing.base.errors import InputError, WorkError
from preprocessing.base.extras import require_extra
from preprocessing.base.files import make_folder, not_written, read_document, write_atomically

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
        Writes a step, or an encoder, to a file, or a folder.
    read : callable
        Loads what lies there, as a program without this package does.
    file, encoder_file, sound_file : str
        Names of the file, or folder, of the step, of an encoder that looks at the video itself, and of one that
        listens.
    """

    require: Callable[[], Any]
    write: Callable[[Exported, Path], None]
    read: Callable[[Path], Runner]
    file: str
    encoder_file: str
    sound_file: str

    @property
    def files(self) -> tuple[str, str, str]:
        """Return all names."""
        return self.file, self.encoder_file, self.sound_file

    def file_of(self, encoder: Encoder | SoundEncoder) -> str:
        """Return the name of the file of an encoder."""
        return self.sound_file if isinstance(encoder, SoundEncoder) else self.encoder_file


# === SavedModel ===


def _write_savedmodel(step: Exported, target: Path) -> None:
    import tensorflow as tf

    function = step.function.get_concrete_function()
    module = tf.Module()
    module.step, module.weights = step.function, list(function.variables)
    tf.saved_model.save(module, str(target), signatures=function)


def _read_savedmodel(target: Path) -> Runner:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(target))
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


def _write_onnx(step: Exported, target: Path) -> None:
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    converter, _ = _require_onnx()
    function = step.function.get_concrete_function()
    # Weights become constants here: the converter takes tensors that a function holds for inputs of it.
    frozen = convert_variables_to_constants_v2(function)
    inputs = {f"{name}:0": name for name in step.inputs}
    names = sorted(function.structured_outputs)  # as TensorFlow flattens a dict
    outputs = {tensor.name: name for tensor, name in zip(frozen.outputs, names, strict=True)}
    with _less_said("tensorflow", "tf2onnx"):
        converter.convert.from_graph_def(
            frozen.graph.as_graph_def(),
            input_names=list(inputs),
            output_names=list(outputs),
            tensors_to_rename=inputs | outputs,
            opset=OPSET,
            output_path=str(target),
        )


@contextmanager
def _less_said(*names: str) -> Iterator[None]:
    """Silence loggers except for errors: the converter warns about TensorFlow functions that it should not use."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _read_onnx(target: Path) -> Runner:
    _, runtime = _require_onnx()
    session = runtime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(None, dict(inputs)), strict=True))


MODEL_FORMATS = {
    "savedmodel": ModelFormat(
        lambda: None, _write_savedmodel, _read_savedmodel, "savedmodel", "encoder", "sound_encoder"
    ),
    "onnx": ModelFormat(_require_onnx, _write_onnx, _read_onnx, "model.onnx", "encoder.onnx", "sound_encoder.onnx"),
}


EXPORTED_SCHEMA = 1
DOCUMENT = "model.json"
TOLERANCE = 1e-4  # of a score; arithmetic in another order differs by a thousandth of it
MAPS_TOLERANCE = 2e-3  # of an encoder's maps, of their largest number; float16 has three digits
ENCODED_TOLERANCE = 1e-3  # with an encoder, whose maps are rounded to float16
_CHECKED_FRAMES = 8
FEATURES_RULES = {
    PICTURES: "the maps of the last look that is no later than the frame, flattened and divided by their Euclidean "
    "norm plus 0.001; then how much each of these numbers differs from that of the look before (of the first look: "
    "from that of the second), without its sign, or zeros where there is a single look; then 1; then 1, or 0 for a "
    "single look",
    SOUND: "the features of the second that the frame lies in, divided by their Euclidean norm plus 0.001; then how "
    "much each of these numbers differs from that of the second before (of the first: from that of the next), without "
    "its sign, or zeros where there is a single second; then 1; then 1, or 0 for a single second. Zeros throughout "
    "beyond the end of the sound, and where there is none",
}
SECONDS_RULE = (
    "of each second of the sound, mono, from -1 to 1: so many samples around its middle, zeros beyond the ends of the "
    "sound; second 0 begins where the times of the frames do"
)


def export_model(
    run: Run, out: Path, formats: Sequence[str], *, on_file: Callable[[Path], None] | None = None
) -> dict[str, float]:
    """Write the network of a run as one step per frame, with `model.json`, which says how to use it.

    Each format is run as others would run it, over a short sequence of random frames with its state carried over,
    before it takes its place in the folder.

    Parameters
    ----------
    run : Run
    out : Path
        The folder; made when it is missing, and files of the same names are replaced.
    formats : sequence of str
        Of `MODEL_FORMATS`.
    on_file : callable, optional
        Told each file, or folder, that was written.

    Returns
    -------
    dict
        For each format, the largest difference between its scores and those of the network.

    Raises
    ------
    InputError
        If a library is missing, the run cannot be loaded, or the folder holds other formats of another network.
    WorkError
        If the network could not be converted or written, or what was written scores differently.
    """
    chosen = {name: MODEL_FORMATS[name] for name in formats}
    for one in chosen.values():
        one.require()
    whole = run.encoder and run.encoder.on(KERAS)  # whose float32 is what others are checked against
    ear = run.sound_encoder and run.sound_encoder.on(KERAS)
    inside, eye = (whole, None) if run.model_config.maps_in_trunk else (None, whole)
    step = exported_step(run.model, encoder=inside)
    apart = {one: exported_encoder(one) for one in (eye, ear) if one is not None}
    frames = check_frames((_CHECKED_FRAMES, *step.frame[1:]))
    features = {name: random_features(_CHECKED_FRAMES, width) for name, (_, width) in step.features.items()}
    inputs = {"frames": frames} | {name.removeprefix(FEATURES): one for name, one in features.items()}
    expected = ScoreStream(run.model, encoder=inside).feed(inputs if features else frames)
    make_folder(out, purpose="a network")
    _require_same(
        out,
        run.sha256,
        [file for name, one in MODEL_FORMATS.items() if name not in chosen for file in one.files],
    )
    tolerance = TOLERANCE if inside is None else ENCODED_TOLERANCE
    differences = {}
    try:
        with tempfile.TemporaryDirectory(dir=out, prefix=".", suffix=".part") as temporary:
            folder = Path(temporary)
            for name, one in chosen.items():
                try:
                    one.write(step, folder / one.file)
                    found = run_step(one.read(folder / one.file), step, frames, features)
                    said = {
                        encoder: _write_encoder(one, exported, folder / one.file_of(encoder))
                        for encoder, exported in apart.items()
                    }
                except (MemoryError, OSError):
                    raise
                except Exception as error:  # of several libraries, each with kinds of its own
                    reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
                    raise WorkError(f"{out}: the network could not be written as {name}: {reason}") from error
                differences[name] = _require_agreement(found, expected, tolerance, f"{out}: {name}", "scores")
                for encoder, given in said.items():
                    encode = encoder.listen if isinstance(encoder, SoundEncoder) else encoder.encode
                    own = encode(_random_inputs(apart[encoder])).astype(np.float32)
                    limit = MAPS_TOLERANCE * max(1.0, float(np.abs(own).max()))
                    _require_agreement(given, own, limit, f"{out}: {one.file_of(encoder)}", "output of the encoder")
            (out / DOCUMENT).unlink(missing_ok=True)  # it comes last: it speaks for what lies beside it
            for file in (file for one in chosen.values() for file in (one.file, *map(one.file_of, apart))):
                _replace(folder / file, out / file)
                if on_file:
                    on_file(out / file)
    except OSError as error:
        raise not_written(out, error) from error
    write_atomically(out / DOCUMENT, json.dumps(describe(run, step), indent=2, ensure_ascii=False) + "\n")
    if on_file:
        on_file(out / DOCUMENT)
    return differences


def _write_encoder(one: ModelFormat, encoder: ExportedEncoder, target: Path) -> np.ndarray:
    """Write an encoder; return what it says of random inputs, as others read it."""
    one.write(encoder, target)
    read = one.read(target)
    return np.concatenate([read({encoder.name: given[None]})[encoder.output] for given in _random_inputs(encoder)])


def _random_inputs(encoder: ExportedEncoder) -> np.ndarray:
    """Return frames, or stretches of sound, always the same."""
    if encoder.name == FRAME:
        return check_frames((_CHECKED_FRAMES, *encoder.shape[1:]))
    return np.random.default_rng(0).uniform(-1, 1, (_CHECKED_FRAMES, *encoder.shape[1:])).astype(np.float32)


def describe(run: Run, step: ExportedStep) -> dict[str, Any]:
    """Return what a program has to know to use the step: the content of `model.json`."""
    return {
        "schema": EXPORTED_SCHEMA,
        "genres": list(run.genres),
        "thresholds": run.thresholds,
        "temperatures": run.temperatures,
        "calibration": (
            "softmax(log(score) / temperature) over the genres; a frame belongs to the genre with the highest of them"
            if run.exclusive
            else "sigmoid(log(score / (1 - score)) / temperature), compared with the threshold"
        ),
        "preprocessing": run.clip_config.to_dict(),
        "frame": {
            "name": FRAME,
            "shape": list(step.frame),
            "dtype": "uint8",
            "values": "RGB, channels first, 0 to 255",
        },
        "scores": {"name": SCORES, "shape": [1, len(run.genres)], "dtype": "float32", "values": "raw, 0 to 1"},
        "states": [
            {"name": name, "next": f"{NEXT}{name}", "shape": list(shape), "dtype": "float32"}
            for name, shape in step.states.items()
        ],
        "start": "every state is zeros before the first frame of a video; then each is what the step gave as its next",
        "encoder": run.model_config.encoder,
        "sound_encoder": run.model_config.sound_encoder,
        **_describe_features(run, step),
        "model_sha256": run.sha256,
    }


def _describe_features(run: Run, step: ExportedStep) -> dict[str, Any]:
    """Return what has to be known of encoders beside the step."""
    found: dict[str, Any] = {}
    if step.features:
        rules = {f"{FEATURES}{sense}": rule for sense, rule in FEATURES_RULES.items()}
        found["features"] = [
            {"name": name, "shape": list(shape), "dtype": "float32", "values": rules[name]}
            for name, shape in step.features.items()
        ]
    if (eye := run.encoder) is not None and not run.model_config.maps_in_trunk:
        found["looks"] = {
            "per_second": run.model_config.encoder_fps,
            "frame": {"name": FRAME, "shape": [1, 3, eye.rows, eye.cols], "dtype": "uint8"},
            "maps": {"name": MAPS, "shape": [1, *eye.look_shape], "dtype": "float32"},
        }
    if (ear := run.sound_encoder) is not None:
        found["seconds"] = {
            "samples_per_second": ear.rate,
            "samples": {"name": SAMPLES, "shape": [1, ear.samples], "dtype": "float32", "values": SECONDS_RULE},
            "heard": {"name": HEARD, "shape": [1, ear.features], "dtype": "float32"},
        }
    return found


def run_step(
    run: Runner, step: ExportedStep, frames: np.ndarray, features: Mapping[str, np.ndarray] | None = None
) -> np.ndarray:
    """Score frames one by one, the state carried over.

    Parameters
    ----------
    run : callable
        The step, as a format is read back.
    step : ExportedStep
    frames : ndarray of uint8, shape (n, 3, rows, cols)
    features : mapping of str to ndarray, optional
        Float32 (n, features), by their names in the step.

    Returns
    -------
    ndarray of float32, shape (n, genres)
    """
    states = {name: np.zeros(shape, np.float32) for name, shape in step.states.items()}
    rows = []
    for number, frame in enumerate(frames):
        beside = {name: found[number, None] for name, found in (features or {}).items()}
        outputs = run({FRAME: frame[None], **beside, **states})
        states = {name: outputs[f"{NEXT}{name}"] for name in states}
        rows.append(outputs[SCORES][0])
    return np.stack(rows)


def random_features(count: int, width: int) -> np.ndarray:
    """Return what an encoder could say of frames: float32, (count, width), always the same."""
    looks = np.random.default_rng(0).normal(size=(count, width // 2 - 1))
    return with_change(looks).astype(np.float32)


def _require_agreement(found: np.ndarray, expected: np.ndarray, tolerance: float, what: str, of: str) -> float:
    difference = float(np.abs(found - expected).max())
    if not difference <= tolerance:  # NaN too
        raise WorkError(
            f"{what}: expected the {of} of the network, to {tolerance:g}, found a difference of {difference:.2g}; "
            f"nothing was written"
        )
    return difference


def _require_same(out: Path, sha256: str, others: Sequence[str]) -> None:
    """Refuse a folder in which files of another network would stand beside those of this one (InputError)."""
    left = [name for name in others if (out / name).exists()]
    if not left or not (out / DOCUMENT).is_file():
        return
    document = read_document(out / DOCUMENT, EXPORTED_SCHEMA, f"a {DOCUMENT} of `export-model`", "name another folder")
    if document.get("model_sha256") != sha256:
        raise InputError(
            f"{out}: expected a folder for this network, found {left[0]} of another one; name another folder, or write "
            f"every format again"
        )


def _replace(source: Path, target: Path) -> None:
    if target.is_dir() and not target.is_symlink():
        if not (target / "saved_model.pb").is_file():
            raise InputError(f"{target}: expected a SavedModel to replace, found another folder; name another OUT")
        shutil.rmtree(target)
    source.replace(target)
