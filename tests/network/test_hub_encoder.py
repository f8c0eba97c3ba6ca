"""The example that lays an eye of KerasHub out in layers of Keras, against the arithmetic of its papers in NumPy.

KerasHub itself brings 200 MB of libraries for text, and wants a newer Keras than this project: the tests do without it.
What the example reads of it is imitated here, by the names of its attributes. The example itself compares what it makes
with the real one, each time.
"""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import layers
from scipy.special import erf, expit

from genre_classifier.config import EncoderConfig
from genre_classifier.network.encoder import build_encoder
from genre_classifier.network.encoder_engine import Engine

WIDTH, HEADS, SIDE, PATCHES, REGISTERS = 8, 2, 3, 4, 2
SIZE = SIDE * PATCHES + 2  # the last two pixels belong to no patch
SCALE, OFFSET = [0.01, 0.02, 0.03], [-1.0, -2.0, -3.0]
EXAMPLE = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "examples" / "hub_encoder.py"), run_name="example")


def _gelu(values):
    return values * (1 + erf(values / np.sqrt(2))) / 2


def _gelu_approximate(values):
    return values * (1 + np.tanh(np.sqrt(2 / np.pi) * (values + 0.044715 * values**3))) / 2


def _quick_gelu(values):
    return values * expit(1.702 * values)


ACTIVATIONS = {"gelu": _gelu, "gelu_approximate": _gelu_approximate, "quick_gelu": _quick_gelu}


class _Made:
    """Layers and weights with seeded numbers."""

    def __init__(self):
        self.rng = np.random.default_rng(0)

    def weight(self, *shape):
        return self.rng.normal(0, 0.5, shape).astype(np.float32)

    def layer(self, layer, *shape):
        layer.build(*([(None, *shape)] * (2 if isinstance(layer, layers.MultiHeadAttention) else 1)))
        layer.set_weights([self.weight(*one.shape) for one in layer.weights])
        return layer

    def norm(self):
        return self.layer(layers.LayerNormalization(epsilon=1e-3), WIDTH)  # large, so that it can be seen

    def parts(self, activation=None):
        """Norm, attention, norm, and the two layers for each token, of a block."""
        attention = self.layer(layers.MultiHeadAttention(HEADS, WIDTH // HEADS), PATCHES, WIDTH)
        wide = self.layer(layers.Dense(2 * WIDTH, activation=activation), WIDTH)
        return self.norm(), attention, self.norm(), wide, self.layer(layers.Dense(WIDTH), 2 * WIDTH)

    def projection(self, *, bias=True):
        return self.layer(layers.Conv2D(WIDTH, SIDE, strides=SIDE, use_bias=bias), SIZE, SIZE, 3)

    def position_embedding(self, count):
        return self.layer(layers.Embedding(count, WIDTH))


def _siglip(made):
    """A SigLIPVisionEncoder, and its tokens in front, positions, norms and blocks as the reference takes them."""
    parts = [made.parts("relu") for _ in range(2)]  # the example is to leave the activation out of its copy
    blocks = [
        SimpleNamespace(layer_norm1=a, self_attn=b, layer_norm2=c, mlp=SimpleNamespace(fc1=d, fc2=e))
        for a, b, c, d, e in parts
    ]
    positions = made.position_embedding(PATCHES**2)
    seen = SimpleNamespace(patch_embedding=made.projection(), position_embedding=positions)
    seen.position_ids = np.arange(PATCHES**2)[None]
    model = {"embedding": seen, "encoder_layers": blocks, "post_layer_norm": made.norm()}
    known = {"projection": seen.patch_embedding, "positions": positions.get_weights()[0]}
    known |= {"last": model["post_layer_norm"], "parts": parts}
    return "SigLIPVisionEncoder", model | {"intermediate_activation": "gelu_approximate"}, known


def _clip(made):
    parts = [made.parts() for _ in range(2)]
    blocks = [
        SimpleNamespace(layer_norm_1=a, attention=b, layer_norm_2=c, dense_1=d, dense_2=e) for a, b, c, d, e in parts
    ]
    positions = made.position_embedding(PATCHES**2 + 1)
    seen = SimpleNamespace(patch_embedding=made.projection(bias=False), position_embedding=positions)
    seen.position_ids, seen.class_embedding = np.arange(PATCHES**2 + 1)[None], made.weight(WIDTH)
    model = {"embedding": seen, "encoder_layers": blocks, "pre_layer_norm": made.norm(), "layer_norm": made.norm()}
    first, *others = positions.get_weights()[0]
    known = {"projection": seen.patch_embedding, "front": [seen.class_embedding + first], "positions": np.stack(others)}
    known |= {"first": model["pre_layer_norm"], "last": model["layer_norm"], "parts": parts}
    return "CLIPVisionEncoder", model | {"intermediate_activation": "quick_gelu"}, known


def _dinov2(made):
    parts = [made.parts("gelu") for _ in range(2)]
    scales = [[made.weight(WIDTH) for _ in range(2)] for _ in parts]
    blocks = [
        SimpleNamespace(
            norm1=a,
            attention=SimpleNamespace(attention=b),
            layer_scale1=SimpleNamespace(lambda1=first),
            norm2=c,
            mlp=SimpleNamespace(fc1=d, fc2=e),
            layer_scale2=SimpleNamespace(lambda1=second),
        )
        for (a, b, c, d, e), (first, second) in zip(parts, scales, strict=True)
    ]
    positions, token = made.weight(1, PATCHES**2 + 1, WIDTH), made.weight(1, 1, WIDTH)
    seen = SimpleNamespace(patch_embeddings=SimpleNamespace(projection=made.projection()), cls_token=token)
    seen.interpolated_position_embeddings, seen.register_tokens = positions, made.weight(1, REGISTERS, WIDTH)
    model = {"embeddings": seen, "encoder": SimpleNamespace(layers=blocks), "layernorm": made.norm()}
    front = [token[0, 0] + positions[0, 0], *seen.register_tokens[0]]
    known = {"projection": seen.patch_embeddings.projection, "front": front, "positions": positions[0, 1:]}
    known |= {"scales": scales, "last": model["layernorm"], "parts": parts}
    return "DINOV2Backbone", model | {"num_register_tokens": REGISTERS, "use_swiglu_ffn": False}, known


def _normed(tokens, norm):
    gamma, beta = norm.get_weights()
    centred = tokens - tokens.mean(-1, keepdims=True)
    return centred / np.sqrt(tokens.var(-1, keepdims=True) + norm.epsilon) * gamma + beta


def _attended(tokens, attention):
    *weights, out, bias = attention.get_weights()
    query, key, value = (
        np.einsum("td,dhk->htk", tokens, weights[part]) + weights[part + 1][:, None] for part in (0, 2, 4)
    )
    alike = np.exp(query @ key.transpose(0, 2, 1) / np.sqrt(WIDTH // HEADS))
    return np.einsum("htk,hkd->td", alike / alike.sum(-1, keepdims=True) @ value, out) + bias


def _reference(picture, activation, *, projection, positions, parts, last, front=(), first=None, scales=None):
    """Return the map of a picture, 0 to 255, by the equations."""
    scaled = picture * SCALE + OFFSET
    kernel, *bias = projection.get_weights()
    corners = [(row * SIDE, col * SIDE) for row in range(PATCHES) for col in range(PATCHES)]
    patches = [np.tensordot(scaled[row : row + SIDE, col : col + SIDE], kernel, 3) + sum(bias) for row, col in corners]
    tokens = np.stack([*front, *(np.stack(patches) + positions)])
    if first is not None:
        tokens = _normed(tokens, first)
    for (norm, attention, second_norm, wide, narrow), (one, two) in zip(parts, scales or [(1, 1)] * 2, strict=True):
        tokens = tokens + one * _attended(_normed(tokens, norm), attention)
        (wide, wide_bias), (narrow, narrow_bias) = wide.get_weights(), narrow.get_weights()
        activated = ACTIVATIONS[activation](_normed(tokens, second_norm) @ wide + wide_bias)
        tokens = tokens + two * (activated @ narrow + narrow_bias)
    return _normed(tokens, last)[len(front) :].reshape(PATCHES, PATCHES, WIDTH)


@pytest.mark.slow
@pytest.mark.parametrize("family", [_siglip, _clip, _dinov2])
def test_an_eye_becomes_an_encoder_file_of_plain_layers(family, tmp_path):
    name, attributes, known = family(_Made())
    model = type(name, (SimpleNamespace,), {})(image_shape=(SIZE, SIZE, 3), **attributes)
    EXAMPLE["network"](model, SCALE, OFFSET).save(tmp_path / "eye.keras")
    pictures = np.random.default_rng(1).integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)
    activation = attributes.get("intermediate_activation", "gelu")
    expected = np.stack([_reference(picture, activation, **known) for picture in pictures])
    found = keras.saving.load_model(tmp_path / "eye.keras").predict(pictures.astype(np.float32), verbose=0)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    config = EncoderConfig(encoder=str(tmp_path / "eye.keras"), encoder_cells=PATCHES, encoder_engine="keras")
    encoder = build_encoder(config, SIZE, SIZE)
    maps = encoder.encode(pictures.transpose(0, 3, 1, 2)).astype(np.float32)
    np.testing.assert_allclose(maps.transpose(0, 2, 3, 1), expected, rtol=2e-3, atol=2e-3)
    pytest.importorskip("openvino")
    engine = Engine("openvino", "float32")
    assert encoder.on(engine).engine == engine  # which has compared its maps with those of Keras


def test_another_model_is_refused():
    swiglu = type("DINOV2Backbone", (SimpleNamespace,), {})(use_swiglu_ffn=True)
    for model in (SimpleNamespace(), swiglu):
        with pytest.raises(SystemExit, match="expected one of SigLIPVisionEncoder, CLIPVisionEncoder, DINOV2Backbone"):
            EXAMPLE["network"](model, 1, 0)
