"""Movies against a plain loop, the network against plain Keras layers, and no look into the future."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from genre_classifier import cli
from genre_classifier.moving_squares.movies import draw_squares, render_movies
from genre_classifier.moving_squares.predictor import (
    PRESETS,
    SquaresConfig,
    build_predictor,
    generate_movies,
    roll_out,
    train_predictor,
)
from genre_classifier.moving_squares.run import evaluate_predictor, read_config, run_squares, unseen_movies
from genre_classifier.network.layers import ConvLSTM2D
from preprocessing.base.errors import InputError, WorkError
from tests.support.notes import logged
from tests.support.plain_squares import PlainPredictor, plain_movies

SMALL = SquaresConfig(
    samples=16,
    unseen=4,
    frames=5,
    size=12,
    layers=2,
    filters=3,
    norm_momentum=0.5,
    optimizer="adam",
    learning_rate=0.01,
    batch_size=4,
    epochs=2,
    validation_share=0.2,
    given=3,
    predicted=3,
    movie=1,
)


@pytest.mark.parametrize(
    "config",
    [
        SquaresConfig(),
        SquaresConfig(size=13, min_squares=1, max_squares=2, min_half_width=1, max_half_width=5, speed=2, noise=0.3),
    ],
)
def test_vectorised_movies_are_those_of_the_plain_loop(config: SquaresConfig) -> None:
    squares = draw_squares(30, 9, seed=3, config=config)
    for fast, plain in zip(render_movies(squares, config.size), plain_movies(squares, config.size), strict=True):
        assert fast.dtype == np.float32
        assert fast.shape == (30, 9, config.size, config.size, 1)
        np.testing.assert_allclose(fast, plain, atol=1e-6)


def test_draws_follow_the_description() -> None:
    squares = draw_squares(4000, 3, seed=0)
    present = squares.half_width > 0
    for values, expected in (
        (present.sum(axis=1), range(3, 8)),
        (squares.start, range(40)),
        (squares.step, (-1, 0, 1)),
        (squares.half_width[present], (2, 3)),
    ):
        found, counts = np.unique(values, return_counts=True)
        assert found.tolist() == list(expected)
        # Uniform, within five standard deviations of a binomial count.
        mean = values.size / len(expected)
        assert abs(counts - mean).max() < 5 * np.sqrt(mean)
    assert not squares.noise.swapaxes(1, 2)[~present].any()
    noise = squares.noise.swapaxes(1, 2)[present]
    for value, share in ((0, 0.5), (0.1, 0.25), (-0.1, 0.25)):
        assert np.isclose(noise, value).mean() == pytest.approx(share, abs=5 * np.sqrt(share / noise.size))


def test_movies_are_repeatable_and_go_on() -> None:
    noisy, shifted = generate_movies(5, 8, seed=(1, 2))
    again, longer = generate_movies(5, 8, seed=(1, 2)), generate_movies(5, 11, seed=(1, 2))
    np.testing.assert_array_equal(noisy, again[0])
    np.testing.assert_array_equal(noisy, longer[0][:, :8])
    np.testing.assert_array_equal(shifted, longer[1][:, :8])
    assert (generate_movies(5, 8, seed=(1, 3))[0] != noisy).any()


def test_the_shifted_movie_is_one_frame_ahead() -> None:
    noisy, shifted = generate_movies(20, 6, seed=1, config=SquaresConfig(noise=0))
    np.testing.assert_array_equal(noisy[:, 1:], shifted[:, :-1])
    assert set(np.unique(shifted)) == {0, 1}


def predictor(config: SquaresConfig) -> keras.Model:
    """Build one whose normalisation has statistics that matter, as after a training."""
    keras.utils.set_random_seed(5)
    model = build_predictor(config)
    rng = np.random.default_rng(5)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.2, 1.5, weight.shape) for weight in layer.weights])
    return model


@pytest.mark.parametrize("kernel", [3, pytest.param(5, marks=pytest.mark.slow)])
def test_causal_predictor_cannot_see_the_future(kernel: int) -> None:
    config = dataclasses.replace(SMALL, kernel=kernel)
    movies, _ = generate_movies(2, 6, seed=0, config=config)
    for causal in (True, False):
        model = predictor(dataclasses.replace(config, causal=causal))
        before = model.predict(movies, verbose=0)
        for frame in range(1, 6):
            changed = movies.copy()
            changed[:, frame] = 1 - changed[:, frame]
            difference = abs(model.predict(changed, verbose=0) - before).max(axis=(0, 2, 3, 4))
            assert difference[frame] > 1e-4
            # The original's last convolution does see it; that is what the default takes away.
            assert (difference[frame - 1] == 0) == causal


@pytest.mark.parametrize("causal", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_same_weights_in_plain_layers_give_the_same_movie(causal: bool) -> None:
    config = dataclasses.replace(SMALL, causal=causal, size=15)
    movies, _ = generate_movies(3, 5, seed=2, config=config)
    model = predictor(config)
    plain = PlainPredictor(config, model.get_weights())
    np.testing.assert_allclose(model.predict(movies, verbose=0), plain(movies), atol=1e-5)
    np.testing.assert_allclose(roll_out(model, movies, 6), plain.roll_out(movies, 6), atol=1e-5)
    np.testing.assert_allclose(roll_out(model, movies[:, :1], 4), plain.roll_out(movies[:, :1], 4), atol=1e-5)
    assert roll_out(model, movies, 0).shape == (3, 0, 15, 15, 1)


def test_a_rollout_shows_every_frame_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = predictor(SMALL)
    shown = []
    call = ConvLSTM2D.call
    monkeypatch.setattr(ConvLSTM2D, "call", lambda self, *a, **k: shown.append(a[0].shape[1]) or call(self, *a, **k))
    roll_out(model, generate_movies(1, 4, config=SMALL)[0], 5)
    assert shown == [n for n in (4, 1, 1, 1, 1) for _ in range(SMALL.layers)]


@pytest.mark.slow
def test_training_beats_both_guesses_on_easy_movies() -> None:
    config = SquaresConfig(
        samples=230,
        unseen=30,
        frames=8,
        size=16,
        min_squares=1,
        max_squares=2,
        layers=1,
        filters=8,
        norm_momentum=0.8,
        optimizer="adam",
        learning_rate=0.01,
        batch_size=5,
        epochs=6,
        given=5,
        predicted=2,
    )
    keras.utils.set_random_seed(0)
    model = build_predictor(config)
    rows = train_predictor(model, *generate_movies(200, config.frames, seed=(0, 0), config=config), config=config)
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5, 6]
    measured = evaluate_predictor(model, *unseen_movies(config), config)
    assert measured["wins_through"] == {"bce": 2, "mse": 2, "ssim": 2, "f1": 2}


@pytest.mark.slow
def test_a_resumed_run_is_the_uninterrupted_one(tmp_path: Path) -> None:
    straight, halves = tmp_path / "straight", tmp_path / "halves"
    metrics = run_squares(straight, SMALL)
    run_squares(halves, dataclasses.replace(SMALL, epochs=1))
    with logged() as notes:
        resumed = run_squares(halves, SMALL, resume=True)
    assert notes == [f"{halves}: resumed after epoch 1"]

    assert resumed["rollout"]["network"]["mse"] == pytest.approx(metrics["rollout"]["network"]["mse"], rel=1e-4)
    first, second = (pd.read_csv(folder / "history.csv") for folder in (straight, halves))
    assert first["epoch"].tolist() == [1, 2]
    pd.testing.assert_series_equal(first["epoch"], second["epoch"])  # whole numbers in both
    np.testing.assert_allclose(first[["loss", "val_loss"]], second[["loss", "val_loss"]], rtol=1e-4)

    assert json.loads((straight / "metrics.json").read_text())["epoch"] == first["val_loss"].argmin() + 1
    pictures = {f"{step}_animate.png" for step in range(1, 7)} | {"strip.png", "horizons.png"}
    assert {path.name for path in straight.glob("*.png")} == pictures
    with Image.open(straight / "rollout.gif") as animation:
        assert animation.n_frames == 6
    movies, _ = unseen_movies(SMALL)
    loaded = keras.saving.load_model(straight / "model.keras")
    assert evaluate_predictor(loaded, *unseen_movies(SMALL), SMALL)["rollout"] == metrics["rollout"]
    assert roll_out(loaded, movies[:, :3], 2).shape == (4, 2, 12, 12, 1)

    for config, resume, words in (
        (SMALL, False, "--resume"),
        (dataclasses.replace(SMALL, filters=4), True, "filters 3"),
        (dataclasses.replace(SMALL, epochs=1), True, "at least the 2 epochs that are done, found epochs = 1"),
    ):
        with pytest.raises(InputError, match=words):
            run_squares(straight, config, resume=resume)
    with pytest.raises(InputError, match="expected the options of a moving-squares run"):
        run_squares(tmp_path / "nothing", SMALL, resume=True)
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--samples 100", "samples must leave movies to train on beside the 200 unseen ones, got 100"),
        ("--kernel 4", "kernel must be odd, got 4"),
        ("--kernel 81", "kernel must be below twice the size, 40; got 81"),
        ("--layers 1000", "layers must be from 1 to 100, got 1000"),
        ("--seed -1", "seed must be from 0 to 4294967295, got -1"),
        ("--learning-rate inf", "--learning-rate must be above 0 and at most 1000000, got inf"),
        ("--min-squares 9", "min_squares must not be above max_squares, got 9 and 7"),
        ("--validation-share 1", "--validation-share must be at least 0 and below 1, got 1.0"),
        ("--resume", "expected the options of a moving-squares run"),
    ],
)
def test_bad_options_get_one_line(options: str, words: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["squares", "--out", str(tmp_path / "out"), *options.split()]) == 2
    error = capfd.readouterr().err.splitlines()
    assert len(error) == 1
    assert words in error[0]
    assert not (tmp_path / "out").exists()


def test_what_cannot_fit_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    for change in ({"samples": 900_000, "size": 500}, {"layers": 90, "filters": 9000}):
        with pytest.raises(WorkError, match=r"need at least .* GB, and .* GB are free"):
            run_squares(tmp_path / "out", dataclasses.replace(SMALL, **change))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "content",
    ["[]", "3", '{"samples": "many"}', '{"unknown": 1}', '{"frames": -1}', "[" * 99_999],
    ids=lambda text: text[:20],
)
def test_a_damaged_configuration_is_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(InputError) as caught:
        read_config(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'config.json'}: expected the options of a moving-squares run")
    assert "\n" not in str(caught.value)


def test_the_original_preset_is_the_original() -> None:
    original = PRESETS["original"]
    assert original == SquaresConfig()
    assert build_predictor(original).count_params() == 407001
