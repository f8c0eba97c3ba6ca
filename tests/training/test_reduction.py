"""The reduction of an encoder's maps begins at the principal components of the training trailers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from genre_classifier.config import ModelConfig
from genre_classifier.dataset.trailers import Trailer
from genre_classifier.network.model import build_model
from genre_classifier.training.reduction import STRETCH, components, start_from_components
from tests.network.test_model import SMALL


def test_components_have_mean_zero_and_variance_one():
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(300, 6)) * [9, 5, 1, 0.1, 0.1, 0.1] + 3
    kernel, bias = components(samples, 2)
    found = samples @ kernel + bias
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(np.cov(found.T), np.eye(2), atol=1e-3)
    assert np.abs(kernel[0, 0]) > 10 * np.abs(kernel[2:, 0]).max()  # the first is the channel that varies most


@pytest.mark.parametrize(("samples", "count"), [(1, 0), (3, 2), (50, 5)])
def test_there_are_no_more_components_than_samples_and_channels(samples, count):
    kernel, bias = components(np.random.default_rng(1).normal(size=(samples, 5)), 9)
    assert kernel.shape == (5, count)
    assert bias.shape == (count,)


def test_a_network_starts_from_what_its_trailers_differ_in(tmp_path):
    config = ModelConfig(
        encoder="tiny",
        encoder_channels=9,
        encoder_cells=2,
        motion_size=4,
        reduced_channels=(2, 3),
        trunk_pools=(1, 2),
        branch_pool=1,
        genres=("drama",),
        **SMALL,
    )
    model, rng, trailers = build_model(config), np.random.default_rng(2), []
    before = [np.asarray(kernel) for kernel in model.prepare.kernels]
    for number in range(12):
        maps = rng.normal(size=(2 * STRETCH, 9, 2, 2)) * 0.1
        maps[:, 1] += 5 * number  # between trailers, nothing varies as much
        maps[::2, 3] += number  # and nothing changes as differently from frame to frame
        maps[:, 5:] *= 1e4  # grey pictures are not looked at
        np.save(tmp_path / f"{number}.npy", maps.astype(np.float16))
        empty = np.zeros((len(maps), 1), np.float32)
        trailers.append(Trailer(number, "", tmp_path, empty[:, 0], empty, empty[:, 0] == 0, True, "", 4, 4))
        trailers[-1] = dataclasses.replace(trailers[-1], encoded=tmp_path / f"{number}.npy")
    start_from_components(model, trailers)
    first, second = (np.asarray(kernel) for kernel in model.prepare.kernels)
    assert first.shape == (5, 2)
    assert np.argmax(np.abs(first[:, 0])) == 1
    assert np.argmax(np.abs(second[:, 0])) == 3
    assert not np.array_equal(before[1], second)
    frames, joined, _ = model.prepare.weights_for_run().run(
        np.stack([np.load(trailer.encoded) for trailer in trailers]), model.prepare.initial_state(12, 2, 2)
    )
    means = np.asarray(joined)[:, 1:].mean(axis=(1, 2, 3))
    np.testing.assert_allclose(means[:, 0].std(), 1, atol=0.1)
    np.testing.assert_allclose(means[:, 2].std(), 1, atol=0.1)
    assert frames.shape == (12, 2 * STRETCH, 4, 4, 1)
