"""Make a file for `--sound-encoder` of musicnn (J. Pons, X. Serra, 2019), which was trained to tag a million songs.

    pip download --no-deps musicnn==0.1.0
    python musicnn_encoder.py musicnn-0.1.0-py3-none-any.whl musicnn.keras

The package itself is not installed: it needs a TensorFlow of 2019. Its weights are read out of the wheel and laid out
for Keras, with the spectrogram in front; what the network then says is compared with the graph that its authors saved.
Their licence (ISC) is written beside the file.
"""

import re
import sys
import tempfile
import zipfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

RATE, FFT, HOP, BANDS, FRAMES = 16_000, 512, 256, 96, 187
SAMPLES = (FRAMES - 1) * HOP + FFT  # three seconds
tf.get_logger().setLevel("ERROR")
_STATISTICS = ("gamma", "beta", "moving_mean", "moving_variance")
CHECKPOINT, LICENCE = "musicnn/MSD_musicnn/", "musicnn-0.1.0.dist-info/LICENSE.md"


def mel_bands() -> np.ndarray:
    """Return the weights of frequencies in bands, (257, 96): equal triangles on Slaney's scale, as in librosa."""
    linear, step = 200 / 3, np.log(6.4) / 27  # hertz per mel up to 1000 Hz; above, logarithmic

    def hertz(mel: np.ndarray) -> np.ndarray:
        return np.where(mel < 15, linear * mel, 1000 * np.exp(step * (mel - 15)))

    highest = 15 + np.log(RATE / 2 / 1000) / step
    edges = hertz(np.linspace(0, highest, BANDS + 2))
    frequencies = np.linspace(0, RATE / 2, FFT // 2 + 1)[:, None]
    rising = (frequencies - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequencies) / (edges[2:] - edges[1:-1])
    return np.maximum(0, np.minimum(rising, falling)) * 2 / (edges[2:] - edges[:-2])


def spectrogram(samples: keras.KerasTensor) -> keras.KerasTensor:
    """Return the loudness of bands as musicnn takes it, (batch, 187, 96), by layers with fixed weights."""
    angles = 2 * np.pi * np.arange(FFT)[:, None] * np.arange(FFT // 2 + 1) / FFT
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FFT) / FFT)
    waves = np.concatenate([np.cos(angles), -np.sin(angles)], axis=1) * window[:, None]
    fourier = layers.Conv1D(waves.shape[1], FFT, strides=HOP, use_bias=False, name="fourier")
    parts = fourier(layers.Reshape((SAMPLES, 1))(samples))
    fourier.set_weights([waves[:, None]])
    mel = layers.Dense(BANDS, use_bias=False, name="mel")
    power = mel(layers.Multiply()([parts, parts]))  # of cosines and sines: their sum is the power
    mel.set_weights([np.concatenate([mel_bands()] * 2)])
    return ops.log(10_000 * power + 1) / np.log(10)


def network(weights: dict[str, np.ndarray]) -> keras.Model:
    """Return the network from samples, -1 to 1, to 200 features, with weights by their names in the checkpoint."""
    made = {"conv2d": 0, "batch_normalization": 0, "dense": 0}

    def laid(kind: str, layer: layers.Layer, given: keras.KerasTensor) -> keras.KerasTensor:
        name = f"{kind}_{made[kind]}".removesuffix("_0")
        made[kind] += 1
        output = layer(given)
        parts = {"batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance")}.get(
            kind, ("kernel", "bias")
        )
        layer.set_weights([weights[f"{name}/{part}"] for part in parts])
        return output

    def normalised(given: keras.KerasTensor) -> keras.KerasTensor:
        return laid("batch_normalization", layers.BatchNormalization(epsilon=1e-3), given)

    def convolved(given: keras.KerasTensor, filters: int, size: tuple[int, int], padding: str) -> keras.KerasTensor:
        if padding == "time":
            given, padding = layers.ZeroPadding2D(((size[0] // 2,) * 2, (0, 0)))(given), "valid"
        return normalised(laid("conv2d", layers.Conv2D(filters, size, padding=padding, activation="relu"), given))

    samples = keras.Input((SAMPLES,), name="samples")
    bands = normalised(layers.Reshape((FRAMES, BANDS, 1))(spectrogram(samples)))
    wide = [convolved(bands, 204, (7, rows), "time") for rows in (38, 67)]  # timbre
    long = [convolved(bands, 51, (frames, 1), "same") for frames in (128, 64, 32)]  # rhythm
    seen = layers.Concatenate(axis=2)([ops.max(maps, axis=2) for maps in (*wide, *long)])
    parts = [layers.Reshape((FRAMES, 561, 1))(seen)]
    for width in (561, 64, 64):
        following = layers.Permute((1, 3, 2))(convolved(parts[-1], 64, (7, width), "time"))
        parts.append(following if len(parts) == 1 else layers.Add()([following, parts[-1]]))
    course = layers.Concatenate(axis=2)(parts)
    pooled = ops.concatenate([ops.max(course, axis=1), ops.mean(course, axis=1)], axis=2)
    flat = normalised(layers.Flatten()(pooled))
    features = normalised(laid("dense", layers.Dense(200, activation="relu"), flat))
    return keras.Model(samples, features, name="musicnn")


def said_by_authors(folder: Path, checkpoint: str, bands: np.ndarray) -> np.ndarray:
    """Return the features of spectrograms by the graph that the authors saved: their arithmetic, not ours."""
    meta = tf.compat.v1.MetaGraphDef.FromString((folder / checkpoint / ".meta").read_bytes())
    output = "model/batch_normalization_10/batchnorm/add_1"
    graph_def = tf.compat.v1.graph_util.extract_sub_graph(meta.graph_def, [output, "save/restore_all"])
    with tf.Graph().as_default():
        tf.import_graph_def(graph_def, name="")
        with tf.compat.v1.Session() as session:
            session.run("save/restore_all", {"save/Const:0": f"{folder / checkpoint}/"})
            return session.run(f"{output}:0", {"model/Placeholder:0": bands, "model/Placeholder_2:0": False})


def main(wheel: str, target: str) -> None:
    """Make the file."""
    with tempfile.TemporaryDirectory() as temporary, zipfile.ZipFile(wheel) as archive:
        folder = Path(temporary)
        archive.extractall(folder, [name for name in archive.namelist() if name.startswith(CHECKPOINT)])
        reader = tf.compat.v1.train.NewCheckpointReader(f"{folder / CHECKPOINT}/")
        shapes = reader.get_variable_to_shape_map()
        model = network({name: reader.get_tensor(name) for name in shapes if not re.search("Adam|power|dense_1", name)})
        samples = np.random.default_rng(0).uniform(-0.5, 0.5, (4, SAMPLES)).astype(np.float32)
        bands = keras.Model(model.inputs, model.get_layer("mel").output).predict(samples, verbose=0)
        expected = said_by_authors(folder, CHECKPOINT, np.log10(10_000 * bands + 1))
        difference = np.abs(model.predict(samples, verbose=0) - expected).max() / np.abs(expected).max()
        if not difference < 1e-4:
            sys.exit(f"{wheel}: expected the features of the authors' graph, found a difference of {difference:.2g}")
        model.save(target)
        Path(target).with_suffix(".LICENCE.md").write_bytes(archive.read(LICENCE))
    print(
        f"{target}: {SAMPLES} samples at {RATE} a second to 200 features, as the authors' graph within {difference:.1g}"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
