"""The exported network, run by other programs, against the network itself; and the example that tags with one."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from genre_classifier import cli
from genre_classifier.config import EncoderConfig, ModelConfig, TrainingConfig
from genre_classifier.network.encoder import Encoder, check_frames
from genre_classifier.network.encoder_engine import Engine
from genre_classifier.network.exported_step import exported_step
from genre_classifier.run_folder.export_model import MODEL_FORMATS, Runner, export_model, run_step
from genre_classifier.run_folder.run import Run, load_run, write_config
from genre_classifier.tagging.tag import score_frames, tag_trailer
from preprocessing.base.errors import InputError
from preprocessing.config import ClipConfig
from preprocessing.fitting import fit_frame
from tests.support.media import write_media
from tests.support.tiny_encoder import write_encoder, write_sound_encoder
from tests.support.tiny_run import SIZE, make_run

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "tag_with_onnx.py"
MODULES = {"onnx": ("tf2onnx", "onnxruntime")}


def require(name: str) -> None:
    for module in MODULES.get(name, ()):
        pytest.importorskip(module, reason=f"pip install -e '.[{name}]'")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("exported") / "run")


@pytest.fixture(scope="module")
def exported(path: Path) -> tuple[Run, Path]:
    """Return a run and the folder of its network as ONNX."""
    require("onnx")
    run = load_run(path)
    export_model(run, path / "onnx", ["onnx"])
    return run, path / "onnx"


def run_of(path: Path, *, size: int = SIZE, encoder: Encoder | None = None, **changes: object) -> Path:
    """Write a run of another network, its weights as random as those of `make_run`."""
    import keras

    from genre_classifier.network.model import build_model

    path.mkdir()
    sizes = {"rows": size, "cols": size, "trunk_filters": (4, 3), "branch_filters": 2, "dense_units": (8, 4)}
    if encoder is not None:
        sizes |= {"encoder": "tiny.keras", "encoder_channels": encoder.channels, "encoder_digest": encoder.digest}
        encoder.save(path / "encoder.keras")
    config = ModelConfig(**(sizes | changes))  # type: ignore[arg-type]
    keras.utils.set_random_seed(3)
    model = build_model(config)
    rng = np.random.default_rng(5)
    for variable in model.weights:
        weight = np.asarray(variable)
        if weight.ndim > 1:  # paths and what is added to them begin at zero
            variable.assign(weight * 3 if weight.any() else rng.normal(0, 0.2, weight.shape))
    model.save(path / "model.keras")
    write_config(path, config, TrainingConfig(), ClipConfig(frames=40, size=size))
    return path


def moving_boxes(count: int, *, rows: int = 48, cols: int = 64) -> np.ndarray:
    """Return a coloured gradient over which a box moves: uint8, (count, rows, cols, 3), RGB."""
    y, x = np.mgrid[:rows, :cols]
    frames = np.stack([np.stack([3 * x + i, 4 * y, 0 * x + 5 * i], axis=-1) % 256 for i in range(count)])
    for i in range(count):
        frames[i, 8:24, 2 * i % cols : 2 * i % cols + 12] = 255 - frames[i, 8:24, 2 * i % cols : 2 * i % cols + 12]
    return frames.astype(np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODEL_FORMATS)
def test_others_score_as_the_network_does(path: Path, tmp_path: Path, name: str, capsys) -> None:
    require(name)
    assert cli.run(["export-model", str(path), str(tmp_path / "out"), "--to", name]) == 0
    printed = capsys.readouterr()
    one = MODEL_FORMATS[name]
    files = {"model.json", one.file}
    assert {Path(line).name for line in printed.out.splitlines()} == files
    assert {file.name for file in (tmp_path / "out").iterdir()} == files
    assert printed.err.splitlines()[-1].startswith(f"{name}: scores differ from those of the network by at most")
    run, facts = load_run(path), json.loads((tmp_path / "out" / "model.json").read_text())
    frames = np.random.default_rng(1).integers(0, 256, (12, *facts["frame"]["shape"][1:]), dtype=np.uint8)
    step, found = one.read(tmp_path / "out" / one.file), []
    states = {state["name"]: np.zeros(state["shape"], np.float32) for state in facts["states"]}
    for frame in frames:
        outputs = step({"frame": frame[None], **states})
        assert set(outputs) == {"scores", *(state["next"] for state in facts["states"])}
        states = {state["name"]: outputs[state["next"]] for state in facts["states"]}
        found.append(outputs["scores"][0])
    expected = score_frames(run, frames)
    assert np.ptp(expected, axis=0).min() > 0.01
    np.testing.assert_allclose(run.calibrate(np.stack(found)), expected, atol=1e-5)
    assert (facts["genres"], facts["temperatures"]) == (list(run.genres), run.temperatures)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"inputs": "rgb+difference", "head": "pooled", "genres": ("drama", "sci-fi")},
        {"inputs": "motion", "pool_padding": "valid", "trunk_filters": (3,), "trunk_pools": (3,)},
    ],
)
def test_whatever_the_network(tmp_path: Path, changes: dict[str, object]) -> None:
    names = [name for name in MODEL_FORMATS if all(map(_is_there, MODULES.get(name, ())))]
    run = load_run(run_of(tmp_path / "run", **changes))
    assert max(export_model(run, tmp_path / "out", names).values()) < 1e-5
    facts = json.loads((tmp_path / "out" / "model.json").read_text())
    assert [state["name"] for state in facts["states"]][:3] == ["before", "started", "trunk_1_h"]


@pytest.mark.slow
@pytest.mark.parametrize(("motion_size", "cells"), [(0, 4), (8, 2)])
def test_a_pretrained_network_becomes_a_part_of_the_step(tmp_path: Path, motion_size: int, cells: int) -> None:
    from genre_classifier.network.encoder import build_encoder

    names = [name for name in MODEL_FORMATS if all(map(_is_there, MODULES.get(name, ())))]
    config = EncoderConfig(
        encoder=str(write_encoder(tmp_path / "tiny.keras")), encoder_cells=cells, motion_size=motion_size
    )
    encoder = build_encoder(config, 24, 24)  # of other frames than it takes: they are resized
    path = run_of(
        tmp_path / "run",
        size=24,
        encoder=encoder,
        encoder_cells=cells,
        motion_size=motion_size,
        trunk_pools=(2, 1),
        branch_pool=2,
        reduced_channels=(3, 4),
        genres=("drama", "western"),
    )
    export_model(load_run(path), tmp_path / "out", names)  # checks the scores
    facts = json.loads((tmp_path / "out" / "model.json").read_text())
    assert facts["frame"]["shape"] == [1, 3, 24, 24]
    assert facts["encoder"] == "tiny.keras"


@pytest.mark.slow
@pytest.mark.parametrize("exclusive", ["no", "yes"])
def test_what_encoders_saw_and_heard_of_the_video_goes_in_beside_the_frame(tmp_path: Path, exclusive: str) -> None:
    from genre_classifier.dataset.heard import hear, heard_features
    from genre_classifier.dataset.looks import ClipInputs, HeldLooks
    from genre_classifier.network.encoder import build_encoder
    from genre_classifier.network.sound_encoder import read_sound_encoder

    names = [name for name in MODEL_FORMATS if all(map(_is_there, MODULES.get(name, ())))]
    config = EncoderConfig(encoder=str(write_encoder(tmp_path / "tiny.keras")), encoder_cells=1, encoder_fps=2.0)
    encoder = build_encoder(config)
    ear = read_sound_encoder(write_sound_encoder(tmp_path / "ear.keras"), 16_000)
    path = run_of(
        tmp_path / "run",
        size=24,
        encoder=encoder,
        sound_encoder="ear.keras",
        sound_features=ear.features,
        sound_digest=ear.digest,
        sound_components=(2, 3),
        inputs="motion",
        encoder_cells=1,
        encoder_fps=2.0,
        linear_paths=True,
        path_components=(4, 3),
        exclusive=exclusive,
        trunk_pools=(2, 2),
        branch_pool=2,
        genres=("drama", "western"),
    )
    (path / "thresholds.json").unlink(missing_ok=True)
    ear.save(path / "sound_encoder.keras")
    run = load_run(path)
    export_model(run, tmp_path / "out", names)  # checks scores, maps and what is heard
    facts = json.loads((tmp_path / "out" / "model.json").read_text())
    assert facts["seconds"]["samples_per_second"] == 16_000
    assert (facts["looks"]["per_second"], facts["features"][0]["shape"]) == (2.0, [1, 2 * encoder.channels + 2])
    assert ("softmax" in facts["calibration"]) == (exclusive == "yes")
    rng = np.random.default_rng(3)
    frames, pictures = check_frames((9, 3, 24, 24)), check_frames((4, *facts["looks"]["frame"]["shape"][1:]))
    times, seen_at = np.arange(9) / 6, np.array([0.0, 0.5, 1.0, 1.5]) + rng.uniform(0, 0.01, 4)
    held = HeldLooks(encoder.encode(pictures), seen_at, times)
    sound = np.sin(np.cumsum(np.linspace(0, 1, 16_000))).astype(np.float16)  # of one second: some frames have none
    listened = heard_features(hear([sound], ear), times)
    expected = score_frames(run, ClipInputs({"frames": frames, "pictures": held, "sound": listened}))
    for one in map(MODEL_FORMATS.__getitem__, names):
        look, listen, step = (
            one.read(tmp_path / "out" / name) for name in (one.encoder_file, one.sound_file, one.file)
        )
        shape = facts["seconds"]["samples"]["shape"]
        middle = sound[None, 8000 - shape[1] // 2 : 8000 + shape[1] // 2].astype(np.float32)
        heard = listen({"samples": middle})["features"]
        heard = np.hstack([heard / (np.linalg.norm(heard) + 0.001), 0 * heard, [[1, 0]]]).astype(np.float32)
        maps = np.concatenate([look({"frame": picture[None]})["maps"] for picture in pictures]).reshape(4, -1)
        even = maps / (np.linalg.norm(maps, axis=1, keepdims=True) + 0.001)  # as the rule in model.json says
        change = np.abs(np.diff(even, axis=0))
        features = np.hstack([even, np.vstack([change[:1], change]), np.ones((4, 2))]).astype(np.float32)
        states = {state["name"]: np.zeros(state["shape"], np.float32) for state in facts["states"]}
        for number, frame in enumerate(frames):
            last = max(int((seen_at <= times[number]).sum()) - 1, 0)
            said = {"features_pictures": features[last, None], "features_sound": heard * (times[number] < 1)}
            outputs = step({"frame": frame[None], **said, **states})
            states = {state["name"]: outputs[state["next"]] for state in facts["states"]}
            np.testing.assert_allclose(outputs["scores"][0], expected[number], atol=5e-3)
    assert np.ptp(expected, axis=0).min() > 0.01


@pytest.mark.slow
def test_an_ear_is_checked_against_keras_whatever_computed_it_for_the_run(tmp_path: Path, monkeypatch) -> None:
    from genre_classifier.network import frozen
    from genre_classifier.network.sound_encoder import read_sound_encoder

    ear = read_sound_encoder(write_sound_encoder(tmp_path / "ear.keras"), 16_000)
    path = run_of(
        tmp_path / "run",
        sound_encoder="ear.keras",
        sound_features=ear.features,
        sound_digest=ear.digest,
        sound_components=(2, 3),
        inputs="motion",
        linear_paths=True,
        genres=("drama", "western"),
        encoder_engine="openvino",
        encoder_precision="bfloat16",
    )
    ear.save(path / "sound_encoder.keras")
    monkeypatch.setattr(frozen, "kept_program", lambda *_: lambda batches: (3 + 0 * ear.listen(one) for one in batches))
    run = dataclasses.replace(load_run(path), wanted_engine=Engine("openvino", "bfloat16"))
    assert run.sound_encoder is not None
    assert run.sound_encoder.engine.name == "openvino"
    export_model(run, tmp_path / "out", ["savedmodel"])
    assert (tmp_path / "out" / "sound_encoder").is_dir()


def _is_there(module: str) -> bool:
    try:
        __import__(module)
    except ImportError:
        return False
    return True


@pytest.mark.slow
def test_what_scores_differently_is_not_written(path: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    one = MODEL_FORMATS["savedmodel"]

    def read(folder: Path) -> Runner:
        step = one.read(folder)
        return lambda inputs: {name: value + 2e-4 * (name == "scores") for name, value in step(inputs).items()}

    monkeypatch.setitem(MODEL_FORMATS, "savedmodel", one._replace(read=read))
    assert cli.run(["export-model", str(path), str(tmp_path / "out"), "--to", "savedmodel"]) == 1
    assert "found a difference of 0.0002" in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.slow
def test_what_cannot_be_exported_is_said(path: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    def refused(run: Path, name: str) -> str:
        assert cli.run(["export-model", str(run), str(tmp_path / "out"), "--to", name]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1, error
        return error

    assert "expected one or more of savedmodel, onnx, found 'tflite'" in refused(path, "onnx,tflite")
    assert cli.run(["export-model", str(path), str(tmp_path / "out"), "--to", "savedmodel"]) == 0
    capsys.readouterr()
    require("onnx")
    other = run_of(tmp_path / "other")
    assert "found savedmodel of another one" in refused(other, "onnx")
    run = load_run(path)
    with pytest.raises(InputError, match="export-model RUN OUT --to onnx"):
        run.model.export(tmp_path / "whole.onnx", format="onnx")
    for name, module in (("onnx", "tf2onnx"), ("onnx", "onnxruntime")):
        monkeypatch.setitem(sys.modules, module, None)
        assert f"pip install -e '.[{name}]'" in refused(path, name)


@pytest.mark.slow
def test_openvino_reads_the_onnx_file(exported: tuple[Run, Path]) -> None:
    openvino = pytest.importorskip("openvino")
    run, folder = exported
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(folder / "model.onnx"), "CPU", options)
    frames = check_frames((8, 3, SIZE, SIZE))

    def step(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {output.get_any_name(): value.copy() for output, value in compiled(dict(inputs)).items()}

    found = run_step(step, exported_step(run.model), frames)
    np.testing.assert_allclose(run.calibrate(found), score_frames(run, frames), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "clips", [{"frames": 30}, {"frames": 13}, {"fps": 10.0}, {"fps": 7.0, "frames": 5}], ids=lambda clips: str(clips)
)
def test_the_example_tags_a_video_as_this_program_does(
    exported: tuple[Run, Path], tmp_path: Path, clips: dict[str, Any]
) -> None:
    loaded, model = exported
    run = dataclasses.replace(loaded, clip_config=ClipConfig(size=SIZE, **clips))
    vars(run)["model"] = loaded.model  # not read again
    (tmp_path / "model.onnx").symlink_to(model / "model.onnx")
    facts = json.loads((model / "model.json").read_text()) | {"preprocessing": run.clip_config.to_dict()}
    (tmp_path / "model.json").write_text(json.dumps(facts))
    video = write_media(tmp_path / "video.mkv", moving_boxes(25), times=np.arange(25) / 24 + np.arange(25) % 3 / 90)
    with (tmp_path / "scores.csv").open("w") as out:
        subprocess.run([sys.executable, EXAMPLE, tmp_path, video], stdout=out, check=True, cwd=tmp_path)
    found, expected = pd.read_csv(tmp_path / "scores.csv"), tag_trailer(run, video).scores
    np.testing.assert_allclose(found["time"], expected.index, atol=1e-6)
    np.testing.assert_allclose(found[list(run.genres)], expected, atol=1e-3)
    assert np.ptp(expected.to_numpy(), axis=0).max() > 0.01


@pytest.mark.parametrize("size", [(48, 64), (40, 8), (360, 640), (480, 854), (1080, 1920), (400, 3000)])
def test_the_example_resizes_as_preprocessing_does(size: tuple[int, int]) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    exec(text[: text.index("\nfolder, video = ")].replace("import onnxruntime", ""), names)
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    for side in (16, 112, 224, 400):
        expected = fit_frame(image, ClipConfig(size=side))
        np.testing.assert_array_equal(names["resized"](image, side)[:, :, ::-1].transpose(2, 0, 1), expected)


def test_the_example_needs_nothing_of_this_program() -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    imported = {line.split()[1] for line in lines if line.startswith(("import ", "from "))}
    assert imported == {"json", "sys", "pathlib", "cv2", "numpy", "onnxruntime"}
