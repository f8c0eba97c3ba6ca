"""A `.keras` file that runs code, reads files or takes more than it says is refused before anything is made of it."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from genre_classifier.network.image_networks import read_image_network
from genre_classifier.network.keras_checks import MOST_LAYERS, read_description
from genre_classifier.network.keras_file import load_network
from preprocessing.base.errors import InputError
from tests.support.tiny_encoder import SIZE, write_encoder

FRAMES = {
    "class_name": "__keras_tensor__",
    "config": {"shape": [None, SIZE, SIZE, 3], "dtype": "float32", "keras_history": ["frames", 0, 0]},
}


def layer(name: str, kind: str, config: dict[str, Any], *calls: Any, module: str = "keras.layers") -> dict[str, Any]:
    nodes = [{"args": [call], "kwargs": {}} for call in calls]
    described = {"module": module, "class_name": kind, "config": {"name": name, **config}, "registered_name": None}
    return {**described, "name": name, "inbound_nodes": nodes}


def write_network(path: Path, *layers: dict[str, Any], **more: Any) -> Path:
    """Write a network that does nothing, with layers beside."""
    shape = {"batch_shape": [None, SIZE, SIZE, 3], "dtype": "float32"}
    end = layer("end", "Activation", {"activation": "relu"}, FRAMES)
    config = {
        "name": "network",
        "trainable": True,
        "layers": [layer("frames", "InputLayer", shape), *layers, end],
        "input_layers": [["frames", 0, 0]],
        "output_layers": [["end", 0, 0]],
    }
    module = {"module": "keras.src.models.functional", "class_name": "Functional", "registered_name": "Functional"}
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        file.create_group("layers")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": keras.__version__, "date_saved": ""}))
        archive.writestr("config.json", json.dumps({**module, "config": config, **more}))
        archive.writestr("model.weights.h5", weights.getvalue())
    return path


def function(module: str, name: str) -> dict[str, Any]:
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def hostile(kind: str, folder: Path) -> dict[str, Any]:
    """Return the description of a layer that reads or writes files of a folder when it is made or called."""
    words = folder / "words.txt"
    words.write_text("1\n2\n")
    if kind.startswith("get_file"):
        module = "keras.utils" if kind == "get_file" else "keras.src.utils.file_utils"
        arguments = {"origin": words.as_uri(), "cache_dir": str(folder), "cache_subdir": "written"}
        return layer("bad", "Lambda", {"function": function(module, "get_file"), "arguments": arguments}, None)
    if kind == "TFSMLayer":
        return layer("bad", kind, {"filepath": str(folder / "savedmodel"), "call_endpoint": "serve"}, FRAMES)
    more: dict[str, Any] = {}
    if kind == "TextVectorization":
        more = {
            "standardize": None,
            "split": None,
            "ngrams": None,
            "output_mode": "int",
            "output_sequence_length": None,
        }
    return layer("bad", kind, {"vocabulary": str(words), **more})


KINDS = ["get_file", "get_file of a private module", "TFSMLayer", "StringLookup", "IntegerLookup", "TextVectorization"]


def test_the_network_around_hostile_layers_is_one_that_is_read(tmp_path):
    write_network(tmp_path / "good.keras", layer("more", "Activation", {"activation": "tanh"}, FRAMES))
    assert read_image_network(tmp_path / "good.keras").output_shape == (None, SIZE, SIZE, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_that_touches_files_is_refused_before_anything_is_made(kind, tmp_path, monkeypatch):
    path = write_network(tmp_path / "bad.keras", hostile(kind, tmp_path))
    for name in ("load_model", "deserialize_keras_object"):
        monkeypatch.setattr(f"keras.saving.{name}", lambda *_, **__: pytest.fail("it was made"))
    name = "Lambda" if kind.startswith("get_file") else kind
    with pytest.raises(InputError, match=rf"bad\.keras: .* found: .*keras\.layers\.{name}', which may run code"):
        read_image_network(path)
    assert not (tmp_path / "written").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_keras_itself_refuses_it_from_the_lowest_version_that_is_allowed_on(kind, tmp_path):
    path = write_network(tmp_path / "bad.keras", hostile(kind, tmp_path))
    with pytest.raises((TypeError, ValueError), match=r"safe|KerasSaveable|Cannot deserialize"):
        keras.saving.load_model(path, compile=False, safe_mode=True)
    assert not (tmp_path / "written").exists()


OTHERS = {
    "without a module": {"class_name": "Lambda", "config": {}},
    "of another module": {"module": "subprocess", "class_name": "Popen", "config": {}, "registered_name": None},
    "a layer by its file": {"module": "keras.src.layers.core.lambda_layer", "class_name": "Lambda", "config": {}},
    "a function as a class": {"module": "keras.initializers", "class_name": "deserialize", "config": {}},
    "a registered name of another": {"module": "keras.layers", "class_name": "Dense", "registered_name": "a>Lambda"},
    "a name that is none": {"module": "keras.layers", "class_name": ["Dense"], "config": {}},
    "of Python": {"class_name": "__lambda__", "config": {"value": ["", None, None]}},
    "a type": {"class_name": "__typespec__", "spec_name": "TensorSpec", "module": "tensorflow", "config": []},
    "a function of another module": function("os", "system"),
    "a function that is none of a network": function("builtins", "get_file"),
}


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("place", ["a layer", "an argument"])
def test_any_other_object_is_refused_wherever_it_stands(kind, place, tmp_path, monkeypatch):
    monkeypatch.setattr("keras.saving.deserialize_keras_object", lambda *_, **__: pytest.fail("it was made"))
    bad = OTHERS[kind] | {"name": "bad", "inbound_nodes": []}
    if place == "an argument":
        bad = layer("dense", "Dense", {"units": 1, "kernel_initializer": {"deep": [OTHERS[kind]]}})
    path = write_network(tmp_path / "bad.keras", bad)
    with pytest.raises(InputError, match=r"which may run code, read files or is not known here"):
        read_image_network(path)


def test_what_is_compiled_is_looked_at_where_it_is_read(tmp_path):
    path = write_network(tmp_path / "bad.keras", compile_config={"optimizer": "adam", "loss": function("os", "system")})
    assert load_network(path, "expected a network").name == "network"
    with pytest.raises(InputError, match=r"'os\.function', which may run code"):
        load_network(path, "expected a network", compiled=True)


@pytest.mark.parametrize("name", ["MobileNetV3Small", "ConvNeXtTiny"])  # operations of Keras; a layer of its own
def test_networks_of_keras_applications_are_known(name, tmp_path):
    with keras.StatelessScope(initialize_variables=False):
        network = getattr(keras.applications, name)(weights=None, include_top=False, input_shape=(32, 32, 3))
        document = keras.saving.serialize_keras_object(network)
    with zipfile.ZipFile(tmp_path / "known.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(document))
    with zipfile.ZipFile(tmp_path / "known.keras") as archive:
        assert read_description(archive, compiled=False)["config"]["name"] == network.name


def test_more_layers_or_calls_than_any_network_has_are_refused_before_they_are_made(tmp_path, monkeypatch):
    monkeypatch.setattr("keras.saving.deserialize_keras_object", lambda *_, **__: pytest.fail("it was made"))
    many = [layer(f"unused_{number}", "ReLU", {}) for number in range(20_000)]
    ours = {"class_name": "Frames", "config": {}, "registered_name": "genre_classifier>Frames"}
    inside = layer("inside", "Sequential", {"layers": [ours] * 19_999}, FRAMES, module="keras")
    for name, layers in (("layers", many), ("inside", [inside])):
        with pytest.raises(InputError, match=f"20003 layers; at most {MOST_LAYERS} are read"):
            read_image_network(write_network(tmp_path / f"{name}.keras", *layers))
    often = layer("often", "ReLU", {}, *[FRAMES] * 5_000)
    with pytest.raises(InputError, match=f"5001 calls of layers; at most {MOST_LAYERS} are read"):
        read_image_network(write_network(tmp_path / "calls.keras", often))


def test_a_member_that_no_network_needs_is_refused(tmp_path):
    write_encoder(tmp_path / "more.keras")
    with zipfile.ZipFile(tmp_path / "more.keras", "a") as archive:
        archive.writestr("model.weights.npz", b"pickles")
    with pytest.raises(InputError, match=r"a member \W+model\.weights\.npz\W+, which no network here needs"):
        read_image_network(tmp_path / "more.keras")


def external(file: h5py.File) -> None:
    (Path(file.filename).parent / "numbers").write_bytes(bytes(4))
    file.create_dataset("a", (1,), "float32", external=[(str(Path(file.filename).parent / "numbers"), 0, 4)])


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((1,), "float32")
    layout[:] = h5py.VirtualSource("other.h5", "a", shape=(1,))
    file.create_virtual_dataset("a", layout)


def circle(file: h5py.File) -> None:
    file.create_group("a/b")
    file["a/b/c"] = file["a"]


def deep(file: h5py.File) -> None:
    file.create_group("/".join("a" * 2000))


LARGE = (1000, 1000, 1000)
WEIGHTS: dict[str, tuple[Callable[[h5py.File], Any], str]] = {
    "4 GB in nothing": (
        lambda file: file.create_dataset("a", LARGE, "float32", chunks=(100, 100, 100), compression="gzip"),
        r"weights \W+/a\W+ of \(1000, 1000, 1000\), which no layer",
    ),
    "another kind": (lambda file: file.create_dataset("a", (4,), "int32"), "which no layer"),
    "a soft link": (lambda file: file.__setitem__("a", h5py.SoftLink("/layers")), r"a link to elsewhere .*/a"),
    "a link into a file": (lambda file: file.__setitem__("a", h5py.ExternalLink("b.h5", "/b")), "a link to elsewhere"),
    "numbers of a file": (external, r"weights \W+/a\W+ that lie in another file"),
    "arrays of a file": (virtual, r"weights \W+/a\W+ that lie in another file"),
    "another filter": (lambda file: file.create_dataset("a", (4,), "float32", compression="lzf"), "else than gzip"),
    "a large piece": (
        lambda file: file.create_dataset("a", (4,), "float32", maxshape=(None,), chunks=(500_000_000,)),
        "in pieces that are larger than they are",
    ),
    "words": (lambda file: file.create_dataset("a", (4,), h5py.string_dtype()), "that are not numbers"),
    "bytes": (lambda file: file.create_dataset("a", (4,), "V1000"), "that are not numbers"),
    "nothing": (lambda file: file.create_dataset("a", data=h5py.Empty("float32")), "that are not an array"),
    "a type": (lambda file: file.__setitem__("a", np.dtype("float32")), "that are not an array"),
    "groups in a circle": (circle, "groups in more than 100"),
    "groups in groups": (deep, "groups in more than 100"),
    "too many groups": (lambda file: [file.create_group(f"a/{number}") for number in range(50_001)], "more than 50000"),
}


@pytest.mark.parametrize("kind", WEIGHTS)
def test_weights_that_are_not_those_of_the_layers_are_refused_unread(kind, tmp_path, monkeypatch):
    path = write_encoder(tmp_path / "bad.keras")
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    (tmp_path / "weights.h5").write_bytes(members["model.weights.h5"])
    damage, expected = WEIGHTS[kind]
    with h5py.File(tmp_path / "weights.h5", "a") as file:
        damage(file)
    members["model.weights.h5"] = (tmp_path / "weights.h5").read_bytes()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    monkeypatch.setattr("keras.saving.load_model", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(InputError, match=rf"bad\.keras: .* found: .*{expected}"):
        read_image_network(path)


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_weights_of_fewer_bits_are_read(kind, tmp_path):
    frames = keras.Input((SIZE, SIZE, 3))
    network = keras.Model(frames, keras.layers.Conv2D(4, 3, dtype=keras.DTypePolicy(kind))(frames))
    network.save(tmp_path / "low.keras")
    read = read_image_network(tmp_path / "low.keras")
    for one, other in zip(network.weights, read.weights, strict=True):
        np.testing.assert_array_equal(*(keras.ops.convert_to_numpy(keras.ops.cast(w, "float32")) for w in (one, other)))
