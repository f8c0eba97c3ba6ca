"""Make a file for `--encoder` of what sees in a model of KerasHub: SigLIP, CLIP or DINOv2.

    pip install keras-hub
    python hub_encoder.py siglip_base_patch16_224 siglip.keras
    python hub_encoder.py dinov2_small dinov2.keras 224    # for pictures of another size, which DINOv2 can take

The first is a preset of KerasHub, which downloads its weights, or a folder that one was saved to. The file holds layers
of Keras alone: whoever trains or tags with it needs no KerasHub. What they give is compared with what KerasHub gives.
"""

import sys
from operator import attrgetter
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers, ops


class Family(NamedTuple):
    """Where a model of KerasHub has its layers, by the names of attributes."""

    projection: str  # of the pixels of a patch
    blocks: str
    parts: str  # of a block, in order: norm, attention, norm, the two layers for each token
    last_norm: str


FAMILIES = {
    "SigLIPVisionEncoder": Family(
        "embedding.patch_embedding",
        "encoder_layers",
        "layer_norm1 self_attn layer_norm2 mlp.fc1 mlp.fc2",
        "post_layer_norm",
    ),
    "CLIPVisionEncoder": Family(
        "embedding.patch_embedding",
        "encoder_layers",
        "layer_norm_1 attention layer_norm_2 dense_1 dense_2",
        "layer_norm",
    ),
    "DINOV2Backbone": Family(
        "embeddings.patch_embeddings.projection",
        "encoder.layers",
        "norm1 attention.attention norm2 mlp.fc1 mlp.fc2",
        "layernorm",
    ),
}


def added_to_tokens(model: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the tokens in front of the patches, as far as there are any, and the positions of the patches."""
    if type(model).__name__ == "DINOV2Backbone":
        seen = model.embeddings
        positions, first = np.asarray(seen.interpolated_position_embeddings)[0], np.asarray(seen.cls_token)[0]
        registers = [np.asarray(seen.register_tokens)[0]] if model.num_register_tokens else []
        return np.concatenate([first + positions[:1], *registers]), positions[1:]
    seen = model.embedding
    positions = np.asarray(seen.position_embedding(seen.position_ids))[0]
    if not hasattr(seen, "class_embedding"):
        return positions[:0], positions
    return np.asarray(seen.class_embedding)[None] + positions[:1], positions[1:]


def copy(layer: Any, *given: Any, scale: Any = None, **changes: Any) -> Any:
    """Return what a new layer like another, with its weights, makes of what it is given, times a scale."""
    made = type(layer).from_config({**layer.get_config(), "name": None, **changes})
    output = made(*given)
    *others, kernel, bias = layer.get_weights()
    factor = 1 if scale is None else np.asarray(scale.lambda1)
    made.set_weights([*others, kernel * factor, bias * factor])
    return output


def network(model: Any, scale: Any, offset: Any) -> keras.Model:
    """Return the network from pixels, 0 to 255, to a map, (patches, patches, width)."""
    family = FAMILIES.get(type(model).__name__)
    if family is None or getattr(model, "use_swiglu_ffn", False):
        sys.exit(f"expected one of {', '.join(FAMILIES)}, and not dinov2_giant; found {type(model).__name__}")
    activation = getattr(model, "intermediate_activation", "gelu")

    def activated(given: Any) -> Any:
        if activation == "quick_gelu":
            return given * ops.sigmoid(1.702 * given)
        return ops.gelu(given, approximate=activation == "gelu_approximate")

    kernel, *biases = attrgetter(family.projection)(model).get_weights()
    size, side, width = model.image_shape[0], kernel.shape[0], kernel.shape[-1]
    patches = size // side
    pixels = keras.Input((size, size, 3), name="pixels")
    cut = layers.Cropping2D(((0, size % side),) * 2)(layers.Rescaling(scale, offset)(pixels))
    squares = layers.Permute((1, 3, 2, 4, 5))(layers.Reshape((patches, side, patches, side, 3))(cut))
    front, positions = added_to_tokens(model)
    # Patches of zeros stand for the tokens in front. Each token's own numbers are the bias of the projection.
    flat = layers.ZeroPadding1D((len(front), 0))(layers.Reshape((patches**2, side * side * 3))(squares))
    table = np.concatenate([front, positions + sum(biases)])
    projection = layers.EinsumDense("btp,pd->btd", output_shape=table.shape, bias_axes="td")
    tokens = projection(flat)
    projection.set_weights([kernel.reshape(-1, width), table])

    if hasattr(model, "pre_layer_norm"):
        tokens = copy(model.pre_layer_norm, tokens)
    for block in attrgetter(family.blocks)(model):
        norm, attention, second_norm, widen, narrow = attrgetter(*family.parts.split())(block)
        normed = copy(norm, tokens)
        tokens += copy(attention, normed, normed, scale=getattr(block, "layer_scale1", None))
        wide = activated(copy(widen, copy(second_norm, tokens), activation=None))
        tokens += copy(narrow, wide, scale=getattr(block, "layer_scale2", None))
    tokens = copy(attrgetter(family.last_norm)(model), tokens)
    seen = layers.Reshape((patches, patches, width))(layers.Cropping1D((len(front), 0))(tokens))
    return keras.Model(pixels, seen, name="eye")


def main(preset: str, target: str, size: str | None = None) -> None:
    """Make the file."""
    import keras_hub

    shape = {} if size is None else {"image_shape": (int(size), int(size), 3)}
    whole = keras_hub.models.Backbone.from_preset(preset, dtype="float32", **shape)
    model = getattr(whole, "vision_encoder", whole)  # SigLIP and CLIP can read, too
    wants = keras_hub.layers.ImageConverter.from_preset(preset)
    scale, offset = (np.asarray(given).tolist() for given in (wants.scale or 1, wants.offset or 0))
    made = network(model, scale, offset)

    pixels = np.random.default_rng(0).uniform(0, 255, (1, *model.image_shape)).astype(np.float32)
    last = keras.Model(model.input, attrgetter(FAMILIES[type(model).__name__].last_norm)(model).output)
    maps, tokens = made.predict(pixels, verbose=0), last.predict({"images": pixels * scale + offset}, verbose=0)
    expected = tokens[:, -maps.shape[1] * maps.shape[2] :].reshape(maps.shape)
    difference = np.abs(maps - expected).max() / np.abs(expected).max()
    if not difference < 1e-4:
        sys.exit(f"{preset}: expected the maps that KerasHub gives, found a difference of {difference:.2g}")
    made.save(target)
    print(f"{target}: {made.input_shape[1:]} to {made.output_shape[1:]}, as KerasHub within {difference:.1g}")


if __name__ == "__main__":
    main(*sys.argv[1:])
