"""The linear paths begin at scikit-learn's regression on means over time; the untrained network is that regression."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from genre_classifier.config import ModelConfig, TrainingConfig
from genre_classifier.dataset.looks import write_looks
from genre_classifier.dataset.splits import splits_table, write_splits
from genre_classifier.dataset.trailers import load_trailers
from genre_classifier.metrics.regression import STRENGTH, fit_regression, prior_logits
from genre_classifier.network import movement
from genre_classifier.network.frame_encoder import with_change
from genre_classifier.network.model import build_model
from genre_classifier.network.streaming import score_clip
from genre_classifier.run_folder import layout
from genre_classifier.run_folder.card import new_card, write_card
from genre_classifier.run_folder.run import write_config
from genre_classifier.training.plan import plan_training
from genre_classifier.training.regression import start_from_regression
from genre_classifier.training.train import train
from preprocessing.config import ClipConfig
from tests.network.test_model import SMALL
from tests.support.trailers import write_clips

GENRES = ("drama", "horror", "western")
CHANNELS = 6
MOVING = ModelConfig(
    rows=16,
    cols=16,
    inputs="motion",
    trunk_pools=(2, 2),
    branch_pool=2,
    genres=GENRES,
    linear_paths=True,
    **SMALL,
)
SEEING = dataclasses.replace(
    MOVING, encoder="tiny", encoder_fps=2.0, encoder_cells=1, encoder_channels=CHANNELS, path_components=(3, 2)
)


def trailers_in(folder, *, exclusive, looks=(5,) * 12):
    """Return weakly labelled trailers whose movement and looks follow their genres, and their genres as bools."""
    rng = np.random.default_rng(1)
    write_clips(folder, [20] * len(looks), size=16)
    y_true = np.eye(3)[np.arange(len(looks)) % 3] > 0
    if not exclusive:
        y_true[::4] = ~y_true[::4]
    labels = [(str(number), genre) for number, row in enumerate(y_true) for genre in np.array(GENRES)[row]]
    (folder / "labels.csv").write_text("trailer,genre\n" + "".join(f"{one},{genre}\n" for one, genre in labels))
    trailers, seen_of = [], rng.normal(size=(3, CHANNELS))
    for trailer, count, shown in zip(
        load_trailers(folder, folder / "labels.csv", genres=GENRES), looks, y_true, strict=True
    ):
        speed = 1 + 3 * shown[0] + rng.normal(0, 0.3)
        x = np.arange(16) * np.ones((16, 1))
        frames = [128 + 90 * np.sin((x + 0.3 * speed * t) / 2) + rng.normal(0, 4, (16, 16)) for t in range(20)]
        np.save(trailer.clip, np.repeat(np.clip(frames, 0, 255).astype(np.uint8)[:, None], 3, axis=1))
        seen = rng.normal(size=(count, CHANNELS)) + shown @ seen_of + 3
        place = folder / "looks" / trailer.clip.name
        place.parent.mkdir(exist_ok=True)
        write_looks(place, seen[..., None, None].astype(np.float16), np.arange(count) / 2.0, sha256="")
        trailers.append(dataclasses.replace(trailer, looks=place))
    return trailers, y_true


def held(trailer):
    """Return what the encoder says of each frame, by a plain loop."""
    looks = np.load(trailer.looks).reshape(-1, CHANNELS)
    features = with_change(looks).astype(np.float64)
    return np.stack([features[min(int(time * 2 + 1e-6), len(looks) - 1)] for time in trailer.times])


def moves(trailer):
    features, _ = movement.movement_features(np.load(trailer.clip)[None], movement.initial_state(1))
    return np.asarray(features)[0].astype(np.float64)


def regressed(x, y_true, exclusive):
    """Return the logits that scikit-learn's own prediction gives for components."""
    if exclusive:
        fitted = LogisticRegression(C=STRENGTH, max_iter=1000).fit(x, y_true.argmax(axis=1))
        return np.log(fitted.predict_proba(x))
    found = [LogisticRegression(C=STRENGTH, max_iter=1000).fit(x, column).predict_proba(x)[:, 1] for column in y_true.T]
    return np.stack([np.log(share / (1 - share)) for share in found], axis=1)


def likelihoods(logits, exclusive):
    if not exclusive:
        return 1 / (1 + np.exp(-logits))
    shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shares / shares.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("exclusive", [False, True])
def test_the_untrained_network_is_the_regression_of_movement(tmp_path, exclusive):
    trailers, y_true = trailers_in(tmp_path, exclusive=exclusive)
    model = build_model(dataclasses.replace(MOVING, exclusive="yes" if exclusive else "no"))
    start_from_regression(model, trailers)
    means = np.stack([moves(trailer)[2:, :-1].mean(axis=0) for trailer in trailers])
    expected = likelihoods(regressed(StandardScaler().fit_transform(means), y_true, exclusive), exclusive)
    found = []
    for trailer in trailers:  # a trailer's score is that of its frames' mean logit; of the first two none is known
        scores = score_clip(model, np.load(trailer.clip))[2:]
        logits = np.log(scores) if exclusive else np.log(scores / (1 - scores))
        found.append(likelihoods(logits.mean(axis=0), exclusive))
    np.testing.assert_allclose(found, expected, atol=2e-3)
    assert np.ptp(expected, axis=0).min() > 0.05


def test_trailers_of_one_group_have_a_bias_of_their_own(tmp_path):
    trailers, y_true = trailers_in(tmp_path, exclusive=True)
    trailers = [dataclasses.replace(one, group=f"film {number % 2}") for number, one in enumerate(trailers)]
    model = build_model(dataclasses.replace(MOVING, exclusive="yes"))
    start_from_regression(model, trailers)
    means = np.stack([moves(trailer)[2:, :-1].mean(axis=0) for trailer in trailers])
    options = {"exclusive": True, "groups": [trailer.group for trailer in trailers]}
    expected, _ = fit_regression(StandardScaler().fit_transform(means), y_true, **options)
    np.testing.assert_allclose(model.senses.paths["movement"].linear_kernel, expected, atol=1e-3)


@pytest.mark.parametrize("exclusive", [False, True])
def test_the_logits_of_senses_add_up_and_the_share_of_a_genre_counts_once(tmp_path, exclusive):
    trailers, y_true = trailers_in(tmp_path, exclusive=exclusive)
    model = build_model(dataclasses.replace(SEEING, exclusive="yes" if exclusive else "no"))
    start_from_regression(model, trailers)
    prior = prior_logits(y_true, exclusive=exclusive)
    np.testing.assert_allclose(model.senses.total.prior, prior, atol=1e-6)
    means = np.stack([held(trailer).mean(axis=0) for trailer in trailers])
    parts = []
    for kind, count in ((means[:, :CHANNELS], 3), (means[:, CHANNELS:-2], 2)):
        scaled = StandardScaler().fit_transform(kind)
        parts.append(PCA(count, whiten=True, svd_solver="full").fit_transform(scaled))
    pictures = regressed(np.hstack(parts), y_true, exclusive)
    path = model.senses.paths["pictures"]
    said = np.stack([np.asarray(path(held(trailer)[None]))[0].mean(axis=0) for trailer in trailers]) + prior
    np.testing.assert_allclose(likelihoods(said, exclusive), likelihoods(pictures, exclusive), atol=5e-3)
    trailer = trailers[4]
    scores = score_clip(model, trailer.open())
    logits = np.log(scores) if exclusive else np.log(scores / (1 - scores))
    moved = np.asarray(model.senses.paths["movement"](moves(trailer)[None]))[0]
    expected = moved + np.asarray(path(held(trailer)[None]))[0] + prior
    np.testing.assert_allclose(likelihoods(logits, exclusive), likelihoods(expected, exclusive), atol=1e-3)


def test_intervals_give_one_mean_for_each_set_of_genres(tmp_path):
    labels = write_clips(tmp_path, [20] * 9, size=16)
    genres = tuple(labels["genre"].unique())
    trailers = load_trailers(tmp_path, labels, genres=genres)
    model = build_model(dataclasses.replace(MOVING, genres=genres))
    start_from_regression(model, trailers)
    samples, y_true = [], []
    for trailer in trailers:
        features = moves(trailer)
        for half in (slice(2, 10), slice(10, 20)):
            samples.append(features[half, :-1].mean(axis=0))
            y_true.append(trailer.targets[half][0] > 0)
    samples, y_true = np.stack(samples), np.stack(y_true)
    expected = regressed(StandardScaler().fit_transform(samples), y_true, exclusive=False)
    known = np.hstack([samples, np.ones((len(samples), 1))]).astype(np.float32)
    said = np.asarray(model.senses.paths["movement"](known[None]))[0] + prior_logits(y_true, exclusive=False)
    np.testing.assert_allclose(likelihoods(said, False), likelihoods(expected, False), atol=5e-3)


def test_a_trailer_of_one_look_is_learned_from_without_its_change(tmp_path):
    trailers, y_true = trailers_in(tmp_path, exclusive=True, looks=(1, *(5,) * 11))
    model = build_model(dataclasses.replace(SEEING, exclusive="yes"))
    start_from_regression(model, trailers)
    path = model.senses.paths["pictures"]
    values = np.stack([held(trailer).mean(axis=0)[:CHANNELS] for trailer in trailers])
    change = np.stack([held(trailer).mean(axis=0)[CHANNELS:-2] for trailer in trailers[1:]])
    scaled = StandardScaler().fit_transform(values)
    first = PCA(3, whiten=True, svd_solver="full").fit_transform(scaled)
    second = PCA(2, whiten=True, svd_solver="full").fit_transform(StandardScaler().fit_transform(change))
    expected = likelihoods(regressed(np.hstack([first, np.vstack([[0, 0], second])]), y_true, True), True)
    said = np.stack([np.asarray(path(held(trailer)[None]))[0].mean(axis=0) for trailer in trailers])
    np.testing.assert_allclose(likelihoods(said + np.asarray(model.senses.total.prior), True), expected, atol=5e-3)


def test_where_every_trailer_has_one_look_only_what_is_seen_counts(tmp_path):
    trailers, _ = trailers_in(tmp_path, exclusive=True, looks=(1,) * 12)
    model = build_model(dataclasses.replace(SEEING, exclusive="yes"))
    start_from_regression(model, trailers)
    path = model.senses.paths["pictures"]
    assert np.abs(np.asarray(path.linear_kernel)[:3]).max() > 0.01
    assert not np.asarray(path.kernels[1]).any()
    assert np.isfinite(score_clip(model, trailers[0].open())).all()


def test_a_clip_too_short_to_move_says_so(tmp_path, caplog):
    labels = write_clips(tmp_path, [2] * 6, size=16)
    genres = tuple(labels["genre"].unique())
    model = build_model(dataclasses.replace(MOVING, genres=genres))
    start_from_regression(model, load_trailers(tmp_path, labels, genres=genres))
    assert "no training trailer has movement: nothing is learned from it" in caplog.text
    scores = score_clip(model, np.zeros((3, 3, 16, 16), np.uint8))
    np.testing.assert_allclose(scores, np.broadcast_to(scores[0], scores.shape), atol=1e-6)


@pytest.mark.parametrize("shown", [[0, 0, 0, 0], [1, 1, 2, 2], [0, 1, 2, 1]])
def test_genres_that_exclude_each_other_are_regressed_as_scikit_learn_does(shown):
    x, y_true = np.random.default_rng(0).normal(size=(4, 2)), np.eye(3)[shown] > 0
    kernel, bias = fit_regression(x, y_true, exclusive=True)
    there = np.unique(shown)
    found = likelihoods((x @ kernel + bias)[:, there], True)
    if len(there) == 1:
        assert not kernel.any()
        np.testing.assert_allclose(likelihoods(bias, True), [5 / 7, 1 / 7, 1 / 7], atol=1e-6)
        return
    expected = LogisticRegression(C=STRENGTH, max_iter=1000).fit(x, shown).predict_proba(x)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_genre_of_all_trailers_or_none_keeps_its_share():
    y_true = np.array([[1, 0, 1], [1, 0, 0], [1, 0, 1]]) > 0
    kernel, bias = fit_regression(np.random.default_rng(0).normal(size=(3, 2)), y_true, exclusive=False)
    assert not kernel[:, :2].any()
    np.testing.assert_allclose(bias[:2], [np.log(4), -np.log(4)], atol=1e-6)


def test_branches_count_by_the_number_of_trailers_also_when_a_run_is_gone_on_with(tmp_path):
    labels = write_clips(tmp_path / "clips", [8] * 6, size=16)
    model_config = dataclasses.replace(MOVING, genres=tuple(labels["genre"].unique()), branch_weight="auto")
    training_config = TrainingConfig(epochs=1, batch_size=3, validation_share=0.0, test_share=0.0)
    configs = {"model_config": model_config, "training_config": training_config}
    run = train(tmp_path / "clips", labels, tmp_path / "run", **configs)
    assert run.model_config.branch_weight == run.model.senses.total.branch_weight == 0.004  # 36 / (36 + 100^2)
    fewer = labels[labels["trailer"] != labels["trailer"].iloc[0]]
    others = {"splits_file": None, "skip_unknown": False, "resume": False}
    for start, expected in ((run.path, 0.004), (None, 0.002)):
        plan = plan_training(tmp_path / "clips", fewer, tmp_path / "again", start=start, **configs, **others)
        assert plan.model_config.branch_weight == expected


def linear_weights(model):
    return [*model.senses.paths["movement"].weights, *model.senses.total.weights]


def test_a_run_that_is_gone_on_from_learns_the_regression_anew(tmp_path, monkeypatch, caplog):
    trailers, y_true = trailers_in(tmp_path / "clips", exclusive=True)
    known = [trailer for trailer, western in zip(trailers, y_true[:, 2], strict=True) if not western]
    config, old, begun = dataclasses.replace(MOVING, exclusive="yes"), tmp_path / "old", []
    keras.utils.set_random_seed(8)
    before = build_model(config)
    start_from_regression(before, known)
    old.mkdir()
    before.save(old / layout.MODEL)
    write_config(old, config, TrainingConfig(validation_share=0.0, test_share=0.0), ClipConfig(frames=20, size=16))
    write_card(old, new_card(command="train", seed=0, data_digest="", parts={}))
    write_splits(old / layout.SPLITS, splits_table(known, ["train"] * len(known)))

    def stop(model, *_, **__):
        begun.append(model)
        raise RuntimeError("stopped")

    monkeypatch.setattr("genre_classifier.training.train.fit_epochs", stop)
    labels = pd.read_csv(tmp_path / "clips" / "labels.csv", dtype={"trailer": str}).assign(start=np.nan, end=np.nan)
    with pytest.raises(RuntimeError, match="stopped"):
        train(tmp_path / "clips", labels, tmp_path / "more", start=old)
    assert "learned from" not in caplog.text
    expected = build_model(config)
    start_from_regression(expected, trailers)
    for one, other in zip(linear_weights(begun[0]), linear_weights(expected), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    for one, other in zip(begun[0].trainable_weights, before.trainable_weights, strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(RuntimeError, match="stopped"):
        train(tmp_path / "clips", labels[labels["trailer"] != "0"], tmp_path / "fewer", start=old)
    assert f"1 of the 8 trailers that {old} learned from are not among these" in caplog.text
    strange = labels[labels["trailer"].isin([known[0].source, known[1].source, *labels["trailer"].tail(4)])]
    with pytest.raises(RuntimeError, match="stopped"):
        train(tmp_path / "clips", strange, tmp_path / "strange", start=old)
    assert "stay as they are" in caplog.text
    for one, other in zip(linear_weights(begun[-1]), linear_weights(before), strict=True):
        np.testing.assert_array_equal(one, other)
