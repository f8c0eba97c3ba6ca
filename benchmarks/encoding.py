"""What a pretrained image network costs and saves: frames per second of encoding and of training, hours for trailers.

    python -m benchmarks.encoding --encoder ../shared/encoders/efficientnet_lite0.keras [--rounds 5]

All sides in one process, in turn, the median of several rounds: encoding frames of 224x224, a training step of the
preset `pretrained`, scoring by it, one of the preset `small-data` on 32x32, and one of the article's network on a chunk
of 8 frames of 400x400. From these, the hours that 100 and 1000 trailers of two minutes take: encoded once at `FPS` and
trained as the preset says, against `small-data` at 15 frames per second, and against the article's 1000 frames of each
and 20 epochs. Compiling is left out (a minute, once per command).
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

from genre_classifier.config import PRESETS
from genre_classifier.network.encoder import build_encoder
from genre_classifier.network.model import build_model
from genre_classifier.network.streaming import score_clip
from genre_classifier.training.train import compile_model

SIZE, ARTICLE_FRAMES, FPS, SECONDS = 224, 8, 4, 120
SMALL_SIZE, SMALL_FPS = 32, 15


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    preset, small_data, article = PRESETS["pretrained"], PRESETS["small-data"], PRESETS["article"]
    config = dataclasses.replace(preset.model, encoder=options.encoder, rows=SIZE, cols=SIZE)
    encoder = build_encoder(config, SIZE, SIZE)
    config = dataclasses.replace(config, encoder_channels=encoder.channels)
    pixels = rng.integers(0, 256, (32, 3, SIZE, SIZE), dtype=np.uint8)
    maps = rng.normal(size=(preset.training.batch_size, preset.training.crop_frames or 12, *config.frame_shape))
    maps = maps.astype(np.float16)
    small, large = build_model(config), build_model(article.model)
    crop = (small_data.training.batch_size, small_data.training.crop_frames or 12, 3, SMALL_SIZE, SMALL_SIZE)
    crops = rng.integers(0, 256, crop, dtype=np.uint8)
    moving = build_model(dataclasses.replace(small_data.model, rows=SMALL_SIZE, cols=SMALL_SIZE))
    compile_model(moving, small_data.training)
    compile_model(small, preset.training)
    compile_model(large, article.training)
    small.configure(precision=preset.training.precision)

    def train(model: object, frames: np.ndarray) -> None:
        targets = [np.zeros((*frames.shape[:2], 1), np.float32) for _ in model.outputs]  # type: ignore[attr-defined]
        model.train_on_batch(frames, targets)  # type: ignore[attr-defined]

    clip = rng.integers(0, 256, (1, ARTICLE_FRAMES, *article.model.frame_shape), dtype=np.uint8)
    sides: dict[str, tuple[int, Callable[[], object]]] = {
        "encoding, 224x224": (len(pixels), lambda: encoder.encode(pixels)),
        "training, pretrained": (maps.shape[0] * maps.shape[1], lambda: train(small, maps)),
        "scoring, pretrained": (maps.shape[1], lambda: score_clip(small, maps[0])),
        "training, small-data": (crops.shape[0] * crops.shape[1], lambda: train(moving, crops)),
        "training, article, 400x400": (ARTICLE_FRAMES, lambda: train(large, clip)),
    }
    times: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(options.rounds + 2):  # the first two compile
        for name, (_, work) in sides.items():
            began = time.perf_counter()
            work()
            if number > 1:
                times[name].append(time.perf_counter() - began)
    rate = {name: frames / statistics.median(times[name]) for name, (frames, _) in sides.items()}
    for name, value in rate.items():
        print(f"{name:<28}{value:>10.1f} frames/s")
    tagging = 1 / (1 / rate["encoding, 224x224"] + 1 / rate["scoring, pretrained"])
    print(f"{'tagging, without decoding':<28}{tagging:>10.1f} frames/s")
    frames = FPS * SECONDS
    encode, learn = frames / rate["encoding, 224x224"], frames * preset.training.epochs / rate["training, pretrained"]
    whole = 1000 * article.training.epochs / rate["training, article, 400x400"]
    moves = SMALL_FPS * SECONDS * small_data.training.epochs / rate["training, small-data"]
    for count in (100, 1000):
        print(
            f"{count} trailers of {SECONDS} s: encoding {count * encode / 3600:.2f} h, training "
            f"{count * learn / 3600:.2f} h ({preset.training.epochs} epochs); small-data {count * moves / 3600:.2f} h "
            f"({small_data.training.epochs} epochs); the article's network {count * whole / 3600:.0f} h "
            f"({article.training.epochs} epochs)"
        )
    print(f"trailers per hour of training: {whole / (encode + learn):.0f} times as many")


if __name__ == "__main__":
    main()
