"""What computes an encoder's maps: chosen by the machine, checked against Keras, named in the folder of the maps."""

from __future__ import annotations

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from genre_classifier.config import EncoderConfig, ModelConfig
from genre_classifier.network import encoder_engine
from genre_classifier.network.encoder import BATCH, Encoder, build_encoder, check_frames, read_encoder
from genre_classifier.network.encoder_engine import (
    CLOSE,
    KERAS,
    SAME,
    Engine,
    choose_engine,
    engine_of_run,
    note_precision,
    openvino_program,
    require_engine,
)
from genre_classifier.network.frame_encoder import kept_encoder
from preprocessing.base.errors import InputError
from preprocessing.processes.machine import processor_has_bfloat16
from tests.support.tiny_encoder import SIZE, write_encoder

FLOAT, BFLOAT = Engine("openvino", "float32"), Engine("openvino", "bfloat16")
FRAMES = check_frames((3 * BATCH + 3, 3, SIZE, SIZE))
with_bfloat16 = pytest.mark.skipif(not processor_has_bfloat16(), reason="the processor has no bfloat16 arithmetic")


@pytest.fixture
def machine(monkeypatch):
    """Return what makes this machine another one."""

    def make(*, installed=True, bfloat16=True, gpu=False, backend="tensorflow", x86=True):
        found = (lambda name: object()) if installed else (lambda name: None)
        monkeypatch.setattr(encoder_engine, "find_spec", found)
        monkeypatch.setattr(encoder_engine, "processor_has_bfloat16", lambda: bfloat16)
        monkeypatch.setattr(encoder_engine, "has_gpu", lambda: gpu)
        monkeypatch.setattr(encoder_engine, "_is_x86", lambda: x86)
        monkeypatch.setattr(encoder_engine, "_backend", lambda: backend)
        monkeypatch.setattr(encoder_engine, "_load_openvino", lambda: None)

    return make


@pytest.mark.parametrize(
    ("wanted", "facts", "expected"),
    [
        ("auto", {}, BFLOAT),
        ("auto", {"installed": False}, KERAS),
        ("auto", {"bfloat16": False}, FLOAT),
        ("auto", {"x86": False}, KERAS),
        ("auto", {"gpu": True}, KERAS),
        ("auto", {"backend": "jax"}, KERAS),
        ("keras", {}, KERAS),
        ("openvino", {}, BFLOAT),
        ("openvino", {"bfloat16": False}, FLOAT),
        ("openvino", {"gpu": True}, BFLOAT),
    ],
)
def test_auto_is_openvino_where_it_is_installed_and_pays(machine, wanted, facts, expected):
    machine(**facts)
    assert choose_engine(wanted) == expected


def test_openvino_that_is_asked_for_and_missing_is_one_line(machine, monkeypatch):
    machine(backend="jax")
    with pytest.raises(InputError, match="needs the tensorflow backend of Keras; this is jax"):
        choose_engine("openvino")
    monkeypatch.undo()
    monkeypatch.setitem(encoder_engine.sys.modules, "openvino", None)
    with pytest.raises(InputError, match=r"--encoder-engine openvino needs openvino: pip install .*\[openvino\]"):
        choose_engine("openvino")


@pytest.mark.parametrize(
    ("trained", "facts", "expected", "said"),
    [
        (("auto", "float32"), {}, KERAS, False),  # of a run from before there was another
        (("keras", "float32"), {}, KERAS, False),
        (("openvino", "bfloat16"), {}, BFLOAT, False),
        (("openvino", "bfloat16"), {"gpu": True}, BFLOAT, False),
        (("openvino", "bfloat16"), {"bfloat16": False}, FLOAT, True),
        (("openvino", "bfloat16"), {"installed": False}, KERAS, True),
        (("openvino", "bfloat16"), {"backend": "jax"}, KERAS, True),
        (("openvino", "float32"), {}, FLOAT, False),
        (("openvino", "float32"), {"installed": False}, KERAS, False),
    ],
)
def test_a_run_keeps_what_it_was_trained_with_or_says_so(machine, caplog, trained, facts, expected, said):
    machine(**facts)
    config = ModelConfig(encoder_engine=trained[0], encoder_precision=trained[1])
    assert engine_of_run(config) == expected
    note_precision(expected, config)
    assert ["scores differ a little" in message for message in caplog.messages] == [True] * said


def test_a_process_elsewhere_refuses_an_engine_that_it_does_not_have(machine):
    machine(bfloat16=False)
    assert [require_engine(one) for one in (KERAS, FLOAT)] == [KERAS, FLOAT]
    with pytest.raises(InputError, match="cannot run the encoder on openvino bfloat16"):
        require_engine(BFLOAT)
    machine(installed=False)
    with pytest.raises(InputError, match="or give the command --encoder-engine keras"):
        require_engine(FLOAT)


@pytest.mark.slow
def test_openvino_tells_nobody_that_it_is_used():
    """Its telemetry sends from a fork, which keeps the pipes of a process that is killed meanwhile."""
    pytest.importorskip("openvino")
    program = """
import sys, threading, multiprocessing
from genre_classifier.network.encoder_engine import choose_engine
choose_engine("openvino")
import openvino.tools.ovc
print([name for name, module in sys.modules.items() if name.startswith("openvino_telemetry") and module])
print([one.name for one in threading.enumerate()], multiprocessing.active_children())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "['MainThread'] []"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    path = write_encoder(tmp_path_factory.mktemp("encoder") / "tiny.keras")
    return build_encoder(EncoderConfig(encoder=str(path), encoder_engine="keras"), 30, 26)  # resized


@pytest.mark.slow
def test_maps_of_openvino_are_those_of_keras_however_frames_are_cut(encoder, monkeypatch):
    pytest.importorskip("openvino")
    frames = check_frames((3 * BATCH + 3, 3, 30, 26))
    right = encoder.encode(frames).astype(np.float32)
    whole = {}
    for threads in (1, 3):
        monkeypatch.setattr(encoder_engine, "own_threads", lambda threads=threads: threads)
        other = encoder.on(FLOAT)
        assert other.engine == FLOAT
        whole[threads] = other.encode(frames)
    assert np.abs(whole[1] - right).max() <= SAME * np.abs(right).max()
    np.testing.assert_array_equal(whole[3], whole[1])
    parts = [other.encode(part) for part in np.split(frames, [1, 1, 4, 20])]
    np.testing.assert_array_equal(np.concatenate(parts), whole[1])


@pytest.mark.slow
@with_bfloat16
def test_bfloat16_is_close_and_goes_into_a_folder_of_its_own(encoder):
    pytest.importorskip("openvino")
    other, frames = encoder.on(BFLOAT), check_frames((BATCH, 3, 30, 26))
    assert other.engine == BFLOAT
    right, found = (one.encode(frames).astype(np.float32).mean(axis=(2, 3)) for one in (encoder, other))
    assert 0 < np.linalg.norm(found - right) <= CLOSE * np.linalg.norm(right)
    assert encoder.output_digest == encoder.digest == other.digest
    assert len({one.output_digest for one in (encoder, other, encoder.on(FLOAT))}) == 3


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Return the folder in which converted encoders are kept, of which there are none yet."""
    monkeypatch.setenv("GENRE_CLASSIFIER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "encoders"


def refuse(*_, **__):
    raise AssertionError


@pytest.mark.slow
@pytest.mark.parametrize("engine", [FLOAT, pytest.param(BFLOAT, marks=with_bfloat16)])
def test_what_was_converted_once_is_kept_and_gives_the_same_maps(encoder, cache, monkeypatch, engine):
    pytest.importorskip("openvino")
    frames = check_frames((BATCH + 3, 3, 30, 26))
    assert kept_encoder(encoder.digest, engine) is None
    expected = encoder.on(engine).encode(frames)
    (file,) = cache.iterdir()
    monkeypatch.setattr(encoder_engine, "_graph", refuse)
    again = encoder.on(engine)
    assert again.engine == engine
    np.testing.assert_array_equal(again.encode(frames), expected)
    kept = kept_encoder(encoder.digest, engine)
    assert (kept.engine, kept.rows, kept.cols, kept.look_shape) == (engine, 30, 26, encoder.look_shape)
    np.testing.assert_array_equal(kept.encode(frames), expected)
    with pytest.raises(InputError, match="expected frames of 3x30x26"):
        kept.encode(frames[:, :, :9])
    # Of another encoder, engine or version nothing is kept.
    assert kept_encoder("0" * 64, engine) is None
    assert kept_encoder(encoder.digest, KERAS) is None
    assert kept_encoder(encoder.digest, FLOAT if engine == BFLOAT else BFLOAT) is None
    monkeypatch.setattr(encoder_engine, "_FORMAT", 0)
    assert kept_encoder(encoder.digest, engine) is None
    assert [file] == list(cache.iterdir())


@pytest.mark.slow
def test_a_kept_encoder_is_read_without_keras(encoder, cache):
    pytest.importorskip("openvino")
    assert encoder.on(FLOAT).engine == FLOAT
    program = f"""
import sys
import numpy as np
from genre_classifier.network.encoder_engine import Engine
from genre_classifier.network.frame_encoder import kept_encoder
maps = kept_encoder({encoder.digest!r}, Engine("openvino", "float32")).encode(np.zeros((1, 3, 30, 26), np.uint8))
print(maps.shape, "keras" in sys.modules, "tensorflow" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{(1, *encoder.look_shape)} False False"


@pytest.mark.slow
def test_what_is_kept_and_damaged_is_made_again(encoder, cache):
    pytest.importorskip("openvino")
    frames = check_frames((BATCH, 3, 30, 26))
    expected = encoder.on(FLOAT).encode(frames)
    (file,) = cache.iterdir()
    whole = file.read_bytes()
    middle = len(whole) // 2
    for harm in (b"", whole[:middle], whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :]):
        file.write_bytes(harm)
        assert kept_encoder(encoder.digest, FLOAT) is None
        np.testing.assert_array_equal(encoder.on(FLOAT).encode(frames), expected)
        assert kept_encoder(encoder.digest, FLOAT) is not None


@pytest.mark.slow
def test_a_cache_that_cannot_be_written_to_changes_nothing(encoder, cache, caplog):
    pytest.importorskip("openvino")
    cache.parent.mkdir()
    cache.write_text("a file where a folder should be")
    assert encoder.on(FLOAT).engine == FLOAT
    assert not caplog.messages


@pytest.mark.slow
def test_the_oldest_of_many_kept_encoders_go(encoder, cache, monkeypatch):
    pytest.importorskip("openvino")
    monkeypatch.setattr(encoder_engine, "_MOST_KEPT", 2)
    cache.mkdir(parents=True)
    for age in range(3):
        (cache / f"{age}.npz").touch()
        os.utime(cache / f"{age}.npz", (10 - age, 10 - age))
    assert encoder.on(FLOAT).engine == FLOAT
    assert {file.name for file in cache.iterdir()} > {"0.npz"}
    assert len(list(cache.iterdir())) == 2


@pytest.mark.slow
def test_tensors_that_a_layer_holds_are_converted(tmp_path):
    pytest.importorskip("openvino")
    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            layers.Normalization(mean=[90, 120, 60], variance=[9, 16, 4]),
            layers.Conv2D(2, 3),
        ]
    )
    network.save(tmp_path / "normalized.keras")
    config = EncoderConfig(encoder=str(tmp_path / "normalized.keras"), encoder_engine="keras")
    assert build_encoder(config, SIZE, SIZE).on(FLOAT).engine == FLOAT


@pytest.mark.slow
def test_what_a_layer_computes_for_nobody_is_left_out():
    pytest.importorskip("openvino")
    layers = keras.layers
    pixels = keras.Input((4, 4, 3))
    tokens = layers.Reshape((16, 3))(layers.Rescaling(1 / 255)(pixels))
    attended = layers.MultiHeadAttention(1, 3)(tokens, tokens)  # which takes the length of its tokens, and no use of it
    encoder = Encoder(keras.Model(pixels, layers.Reshape((4, 4, 3))(attended)), FLOAT)
    assert encoder.engine == FLOAT


@keras.saving.register_keras_serializable("tests")
class Strange(keras.layers.Layer):
    """Singular values of the pixels, which OpenVINO does not compute."""

    def call(self, pixels):
        return keras.ops.transpose(keras.ops.svd(keras.ops.transpose(pixels, (0, 3, 1, 2)))[0], (0, 2, 3, 1))


@pytest.mark.slow
def test_what_cannot_be_converted_falls_back_to_keras_with_a_line(caplog):
    pytest.importorskip("openvino")
    pixels = keras.Input((6, 6, 3))
    encoder = Encoder(keras.Model(pixels, Strange()(pixels)), FLOAT)
    frames = check_frames((2, 3, 6, 6))
    np.testing.assert_array_equal(encoder.encode(frames), encoder.on(KERAS).encode(frames))
    assert (encoder.engine, encoder.output_digest) == (KERAS, encoder.digest)
    (line,) = [one for one in caplog.messages if "openvino" in one]
    begin = "the encoder runs on keras float32: openvino float32 cannot be used for it: "
    assert line == f"{begin}No conversion rule found for operations: Svd"


@pytest.mark.slow
def test_what_is_converted_wrongly_falls_back_to_keras_with_a_line(encoder, caplog):
    pytest.importorskip("openvino")
    steps, frames = encoder.steps(plain=True), check_frames((BATCH, 3, 30, 26))

    def convert(factor):
        def wrong(pixels):
            return steps(pixels) * keras.ops.cast(factor, "float16")

        return openvino_program(wrong, encoder.network.variables, frames, encoder.encode(frames), FLOAT)

    assert convert(1.0) is not None
    assert not caplog.messages
    assert convert(1.01) is None
    assert "expected what Keras gives, of up to" in caplog.text
    caplog.clear()
    assert convert(np.nan) is None
    assert "found a difference of nan" in caplog.text


@pytest.mark.slow
@with_bfloat16
def test_maps_that_bfloat16_moves_too_far_fall_back_to_keras(caplog):
    pytest.importorskip("openvino")
    keras.utils.set_random_seed(1)
    pixels = keras.Input((SIZE, SIZE, 3))
    many = keras.layers.Conv2D(64, 3, use_bias=False)(pixels)
    rest = keras.layers.Conv2D(1, 1, use_bias=False, name="rest")
    encoder = Encoder(keras.Model(pixels, rest(many)), BFLOAT)
    # The difference of two sums that are nearly equal: what is left of it in eight bits is chance.
    kernel = np.random.default_rng(0).normal(size=(1, 1, 64, 1)).astype(np.float32)
    first = encoder.network.layers[1].get_weights()[0]
    first[..., 32:] = first[..., :32]
    encoder.network.layers[1].set_weights([first])
    kernel[:, :, 32:] = -kernel[:, :, :32] * (1 + 1e-3)
    rest.set_weights([kernel])
    assert encoder.engine == KERAS
    assert "expected numbers that bfloat16 hardly moves, found" in caplog.text


@pytest.mark.slow
def test_a_network_that_was_converted_can_still_be_written(tmp_path):
    path = write_encoder(tmp_path / "tiny.keras")
    config = EncoderConfig(encoder=str(path), encoder_engine="keras", motion_size=8)
    encoder = build_encoder(config, 30, 26)  # the frames are resized, and seen as they are, too
    frames = check_frames((BATCH, 3, 30, 26))
    plain = np.asarray(encoder.steps(plain=True)(frames))
    encoder.save(tmp_path / "encoder.keras")
    again = read_encoder(tmp_path / "encoder.keras")
    assert again.digest == encoder.digest
    np.testing.assert_allclose(plain.astype(np.float32), again.encode(frames).astype(np.float32), rtol=2e-3, atol=2e-3)
