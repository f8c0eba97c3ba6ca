"""Engines that compute an encoder's maps: frames per second, agreement on real frames, and looks at a whole video.

    python -m benchmarks.engines --encoder ENCODER.keras VIDEO... [--rounds 5]

All engines in one process, in turn, medians of several rounds, on frames of the videos at two looks per second. Keras
is what the others are compared with: the largest difference of a number of the maps, as a share of the largest number,
and the cosine of maps that are averaged over the frame, of all frames of the videos. Looks at a video include its
decoding, which runs meanwhile.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

from genre_classifier.config import EncoderConfig
from genre_classifier.dataset.looks import look_config, read_looks
from genre_classifier.network.encoder import build_encoder
from genre_classifier.network.encoder_engine import KERAS, Engine
from preprocessing.processes.machine import processor_has_bfloat16
from preprocessing.reader_client import SampledFrames

PER_SECOND, FRAMES = 2.0, 64  # looks; of these, timed at once


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    by_keras = build_encoder(EncoderConfig(encoder=options.encoder, encoder_engine="keras"))
    config = look_config(by_keras, PER_SECOND)
    pixels = [np.stack([frame for _, frame in SampledFrames(video, config, exact=False)]) for video in options.videos]
    frames = np.concatenate(pixels)
    spread = frames[np.linspace(0, len(frames) - 1, FRAMES).astype(int)]
    engines = [KERAS, Engine("openvino", "float32")]
    engines += [Engine("openvino", "bfloat16")] * processor_has_bfloat16()
    sides: dict[str, tuple[int, Callable[[], object]]] = {}
    expected = by_keras.encode(frames).astype(np.float32)
    for engine in engines:
        encoder = by_keras.on(engine)
        began = time.perf_counter()
        if encoder.engine != engine:
            continue  # it has said why
        ready = time.perf_counter() - began
        sides[f"{engine}: encoding"] = (len(spread), lambda encoder=encoder: encoder.encode(spread))  # type: ignore[misc]
        sides[f"{engine}: looks at {options.videos[0].name}"] = (
            len(pixels[0]),
            lambda encoder=encoder: read_looks(options.videos[0], encoder, PER_SECOND),  # type: ignore[misc]
        )
        found = encoder.encode(frames).astype(np.float32)
        one, other = (maps.mean(axis=(2, 3)) for maps in (found, expected))
        cosines = (one * other).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
        furthest = np.abs(found - expected).max() / np.abs(expected).max()
        print(
            f"{engine}: {len(frames)} frames, largest difference {furthest:.1e} of the "
            f"largest number, cosine {cosines.min():.5f} at least, {cosines.mean():.5f} in the mean; converted and "
            f"checked in {ready:.1f} s"
        )
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(options.rounds + 1):  # the first compiles
        for name, (_, work) in sides.items():
            began = time.perf_counter()
            work()
            if number:
                seconds[name].append(time.perf_counter() - began)
    for name, (count, _) in sides.items():
        fastest, slowest = count / min(seconds[name]), count / max(seconds[name])
        middle = count / statistics.median(seconds[name])
        print(f"{name:<60}{middle:>8.1f} frames/s ({slowest:.1f} to {fastest:.1f})")


if __name__ == "__main__":
    main()
