"""What an untrusted `.keras` file may hold, checked before Keras loads it, independent of what Keras itself refuses.

Of objects: layers, and what belongs to them, that neither run code of others nor touch files. Of weights: plain arrays
of the shapes that the described layers have.
"""

from __future__ import annotations

import inspect
import io
import json
import math
import sys
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import h5py
import keras

from genre_classifier.network.layers import PACKAGE
from preprocessing.base.files import MOST_BYTES, abbreviated_repr

_DESCRIPTION, _WEIGHTS = "config.json", "model.weights.h5"
_MEMBERS = {_DESCRIPTION, _WEIGHTS, "metadata.json"}  # Keras would read others, too: pickles, files of layers
# Layers, and calls of layers; about twice those of the largest networks of keras.applications.
MOST_LAYERS = 2000
_MOST_LINKS, _DEEPEST = 50_000, 100  # groups and arrays of a file of weights, and groups in each other

# Of Keras's own layers, without those that run what a file names (Lambda, TFSMLayer, FlaxLayer, JaxLayer,
# TorchModuleWrapper) and those that read a vocabulary from a file (StringLookup, IntegerLookup, TextVectorization).
_OF_AXES = (
    "AdaptiveAveragePooling",
    "AdaptiveMaxPooling",
    "AveragePooling",
    "Conv",
    "ConvLSTM",
    "Cropping",
    "DepthwiseConv",
    "GlobalAveragePooling",
    "GlobalMaxPooling",
    "MaxPooling",
    "SeparableConv",
    "SpatialDropout",
    "UpSampling",
    "ZeroPadding",
)
_LAYERS = {f"{name}{count}" for name in _OF_AXES for count in ("1D", "2D", "3D")} | {
    "Activation",
    "ActivityRegularization",
    "Add",
    "AdditiveAttention",
    "AlphaDropout",
    "Attention",
    "AugMix",
    "AutoContrast",
    "Average",
    "BatchNormalization",
    "Bidirectional",
    "CategoryEncoding",
    "CenterCrop",
    "Concatenate",
    "Conv1DTranspose",
    "Conv2DTranspose",
    "Conv3DTranspose",
    "CutMix",
    "Dense",
    "Discretization",
    "Dot",
    "Dropout",
    "ELU",
    "EinsumDense",
    "Embedding",
    "Equalization",
    "Flatten",
    "GRU",
    "GRUCell",
    "GaussianDropout",
    "GaussianNoise",
    "GroupNormalization",
    "GroupQueryAttention",
    "Identity",
    "InputLayer",
    "LSTM",
    "LSTMCell",
    "LayerNormalization",
    "LeakyReLU",
    "Masking",
    "MaxNumBoundingBoxes",
    "Maximum",
    "MelSpectrogram",
    "Minimum",
    "MixUp",
    "MultiHeadAttention",
    "Multiply",
    "Normalization",
    "PReLU",
    "Permute",
    "Pipeline",
    "RMSNormalization",
    "RNN",
    "RandAugment",
    "RandomBrightness",
    "RandomColorDegeneration",
    "RandomColorJitter",
    "RandomContrast",
    "RandomCrop",
    "RandomElasticTransform",
    "RandomErasing",
    "RandomFlip",
    "RandomGaussianBlur",
    "RandomGrayscale",
    "RandomHue",
    "RandomInvert",
    "RandomPerspective",
    "RandomPosterization",
    "RandomRotation",
    "RandomSaturation",
    "RandomSharpness",
    "RandomShear",
    "RandomTranslation",
    "RandomZoom",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "Resizing",
    "STFTSpectrogram",
    "SimpleRNN",
    "SimpleRNNCell",
    "Softmax",
    "Solarization",
    "SpectralNormalization",
    "StackedRNNCells",
    "Subtract",
    "TimeDistributed",
    "UnitNormalization",
}
_MODELS = {"Functional", "Sequential", "Model"}
_MODEL_MODULES = {"keras", "keras.models", "keras.src.models.functional", "keras.src.models.sequential"}
# Whose classes are numbers and rules alone.
_RULES = {
    f"keras.{name}": getattr(keras, name)
    for name in (
        "constraints",
        "dtype_policies",
        "initializers",
        "losses",
        "metrics",
        "optimizers",
        "random",
        "regularizers",
    )
} | {"keras.optimizers.schedules": keras.optimizers.schedules}
_FUNCTIONS = {"keras.activations": keras.activations, "keras.losses": keras.losses, "keras.metrics": keras.metrics}
_NO_FUNCTIONS = {"get", "serialize", "deserialize"}
# What `a + b` of layers' outputs is saved as.
_OPERATIONS = {f"keras.src.ops.{name}" for name in ("core", "einops", "image", "linalg", "math", "nn", "numpy")}
_VALUES = {"__keras_tensor__", "__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__"}
_NO_LAYERS = {*_VALUES, "function", "DTypePolicy"}
_OF_APPLICATIONS = {
    ("keras.src.applications.convnext", "LayerScale"),
    ("keras.src.applications.inception_resnet_v2", "CustomScaleLayer"),
}


class Array(NamedTuple):
    """Shape of a weight, and what kind its numbers are: "float" or "whole" (true or false, too)."""

    shape: tuple[int, ...]
    kind: str


def read_description(archive: zipfile.ZipFile, *, compiled: bool) -> dict[str, Any]:
    """Return the description of a network, in which nothing stands that may not.

    Parameters
    ----------
    archive : ZipFile
        A `.keras` file.
    compiled : bool
        Whether its optimizer and losses are read, too.

    Raises
    ------
    ValueError
        With what was found.
    """
    if (size := archive.getinfo(_DESCRIPTION).file_size) > MOST_BYTES:
        raise ValueError(f"a description of {size / 1e6:.0f} MB")
    if others := {entry.filename for entry in archive.infolist()} - _MEMBERS:
        raise ValueError(f"a member {abbreviated_repr(min(others))}, which no network here needs")
    document = json.loads(archive.read(_DESCRIPTION))
    if not isinstance(document, dict):
        raise ValueError("a description that is not a JSON object")
    if not compiled:
        document["compile_config"] = None  # which Keras does not read then
    parts = list(_objects(document))
    for part in parts:
        _require_allowed(part)
    layers = sum(part["class_name"] not in _NO_LAYERS and part.get("module") not in _RULES for part in parts)
    calls = sum(len(part.get("inbound_nodes") or ()) for part in parts)
    for count, what in ((layers, "layers"), (calls, "calls of layers")):
        if count > MOST_LAYERS:
            raise ValueError(f"{count} {what}; at most {MOST_LAYERS} are read")
    return document


def require_arrays(archive: zipfile.ZipFile, arrays: Sequence[Array], *, compiled: bool) -> None:
    """Refuse a file whose weights are anything else than plain arrays of the shapes of the described layers.

    Parameters
    ----------
    archive : ZipFile
        A `.keras` file.
    arrays : sequence of Array
        Of the described layers.
    compiled : bool
        Whether what its optimizer holds is read, too.

    Raises
    ------
    ValueError
        With what was found.
    """
    known = {*arrays, *(array_of((), kind) for kind in ("float", "int"))}  # an optimizer counts its steps
    with h5py.File(io.BytesIO(archive.read(_WEIGHTS)), "r") as file:
        for name, stored in _datasets(file):
            array = _plain_array(name, stored)
            if array not in known and (compiled or not name.startswith("/optimizer/")):
                raise ValueError(
                    f"weights {abbreviated_repr(name)} of {array.shape}, which no layer that it describes has"
                )


def array_of(shape: Sequence[int], dtype: str) -> Array:
    """Return what a variable of Keras is stored as."""
    return Array(tuple(shape), "float" if "float" in dtype else "whole")


def _datasets(file: h5py.File) -> Iterator[tuple[str, h5py.Dataset]]:
    """Yield everything but groups, with its path. Nested groups, even in a circle, are followed to a limited depth."""
    waiting, links = [("", file, 0)], 0
    while waiting:
        path, group, depth = waiting.pop()
        links += len(group)
        if links > _MOST_LINKS or depth > _DEEPEST:
            raise ValueError(f"more than {_MOST_LINKS} groups and arrays of weights, or groups in more than {_DEEPEST}")
        for name in group:
            inside = f"{path}/{name}"
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ValueError(f"a link to elsewhere among its weights ({abbreviated_repr(inside)})")
            if isinstance(part := group[name], h5py.Group):
                waiting.append((inside, part, depth + 1))
            else:
                yield inside, part


def _plain_array(name: str, part: Any) -> Array:
    if not isinstance(part, h5py.Dataset) or part.shape is None:
        raise ValueError(f"weights {abbreviated_repr(name)} that are not an array")
    if part.external or part.is_virtual:
        raise ValueError(f"weights {abbreviated_repr(name)} that lie in another file")
    stored = part.id.get_create_plist()
    filters = {stored.get_filter(number)[0] for number in range(stored.get_nfilters())}
    if filters - {h5py.h5z.FILTER_DEFLATE}:
        raise ValueError(f"weights {abbreviated_repr(name)} that are packed by something else than gzip")
    if part.chunks and math.prod(part.chunks) > max(1, part.size):
        raise ValueError(f"weights {abbreviated_repr(name)} in pieces that are larger than they are")
    # What HDF5 has no type for (bfloat16) is one or two bytes without a meaning.
    kind = {"f": "float", "V": "float", "i": "whole", "u": "whole", "b": "whole"}.get(part.dtype.kind)
    if kind is None or part.dtype.itemsize > (2 if part.dtype.kind == "V" else 8):
        raise ValueError(f"weights {abbreviated_repr(name)} that are not numbers ({abbreviated_repr(str(part.dtype))})")
    return Array(part.shape, kind)


def _objects(part: Any) -> Iterator[dict[str, Any]]:
    """Yield everything of a description that Keras may take for an object."""
    waiting = [part]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if "class_name" in part:
                yield part
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


def _require_allowed(part: dict[str, Any]) -> None:
    module, name = part.get("module"), part["class_name"]
    if not (isinstance(name, str) and isinstance(module, str | None) and _is_allowed(part, module, name)):
        where = f"{module}." if module else ""
        raise ValueError(f"{abbreviated_repr(f'{where}{name}')}, which may run code, read files or is not known here")


def _is_allowed(part: dict[str, Any], module: str | None, name: str) -> bool:
    if name in _VALUES:
        return True
    config = part.get("config")
    if name == "function":
        return isinstance(config, str) and _is_function(module, config)
    registered = part.get("registered_name", name)  # Keras looks at it before the module
    if registered in keras.saving.get_custom_objects():
        return str(registered).startswith(f"{PACKAGE}>")
    if registered not in (None, name):
        return False
    if module == "keras.layers":
        return name in _LAYERS
    if module in _MODEL_MODULES and name in _MODELS:
        return True
    if module == "keras":
        return name == "DTypePolicy"
    if module in _OPERATIONS:
        found = getattr(sys.modules.get(module), name, None)
        return inspect.isclass(found) and issubclass(found, keras.Operation) and found.__module__ == module
    return (module, name) in _OF_APPLICATIONS or inspect.isclass(getattr(_RULES.get(str(module)), name, None))


def _is_function(module: str | None, name: str) -> bool:
    """Whether a name is one of Keras's activations, losses or metrics."""
    places = _FUNCTIONS.values() if module == "builtins" else [_FUNCTIONS.get(str(module))]
    return name not in _NO_FUNCTIONS and any(callable(getattr(place, name, None)) for place in places)
