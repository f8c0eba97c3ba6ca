"""The training loop: that of Keras's `fit`, but that frames are read a chunk at a time."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from genre_classifier.config import TrainingConfig
from genre_classifier.dataset.augmentation import Augmentation
from genre_classifier.dataset.sequence import BatchFrames, TrailerSequence
from genre_classifier.dataset.trailers import load_trailers
from genre_classifier.network.model import build_model
from genre_classifier.training.epochs import fit_epochs
from genre_classifier.training.train import compile_model, train
from tests.support.trailers import TINY_OF_TWO, TWO, write_clips

tensorflow_only = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="chunks need TensorFlow")


def tiny_model(**options):
    keras.utils.set_random_seed(1)
    model = build_model(TINY_OF_TWO)
    compile_model(model, TrainingConfig(learning_rate=0.01))
    model.configure(**options)
    return model


@pytest.mark.slow
@tensorflow_only
def test_it_trains_as_keras_fit_does(tmp_path):
    trailers = load_trailers(tmp_path, write_clips(tmp_path, [6, 4, 8, 6], weak=(1,), genres=TWO), genres=TWO)
    losses = []
    callback = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: losses.append(logs["loss"]))
    sequence = TrailerSequence(trailers, batch_size=2, weak="pool")
    usual, ours = tiny_model(chunk=3), tiny_model(chunk=3)
    usual.fit(sequence, epochs=3, shuffle=False, verbose=0, callbacks=[callback])
    sequence = TrailerSequence(trailers, batch_size=2, weak="pool")
    sequence.epoch = 1  # `fit` looks at two batches beforehand, and calls that an epoch
    fit_epochs(ours, sequence, epochs=3, callbacks=[callback])
    np.testing.assert_allclose(losses[3:], losses[:3], rtol=1e-5)
    for one, other in zip(ours.get_weights(), usual.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.slow
@tensorflow_only
def test_frames_are_read_a_chunk_at_a_time(tmp_path, monkeypatch):
    trailers = load_trailers(tmp_path, write_clips(tmp_path, [30, 17], genres=TWO), genres=TWO)
    asked = []
    read = BatchFrames.__getitem__

    def watched(self, key):
        frames = read(self, key)
        asked.append(frames.shape[:2])
        return frames

    monkeypatch.setattr(BatchFrames, "__getitem__", watched)
    fit_epochs(tiny_model(chunk=4), TrailerSequence(trailers, batch_size=2, weak="pool"), epochs=1)
    assert max(frames for _, frames in asked) == 4
    assert sum(frames for _, frames in asked) >= 2 * 30  # forwards and backwards


@pytest.mark.slow
def test_a_callback_stops_it_and_the_order_goes_on_from_there(tmp_path):
    trailers = load_trailers(tmp_path, write_clips(tmp_path, [4, 4], genres=TWO), genres=TWO)
    model, sequence = tiny_model(), TrailerSequence(trailers, weak="pool")
    seen = []

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(epoch)
            self.model.stop_training = epoch == 3

    sequence.epoch = 2
    fit_epochs(model, sequence, epochs=9, initial_epoch=2, callbacks=[Stop()])
    assert seen == [2, 3]
    assert sequence.epoch == 4


@pytest.mark.parametrize("augmentation", [None, Augmentation(crop_frames=5, flip=True, zoom=0.2, shift=0.2, stride=2)])
def test_a_stretch_of_a_batch_is_a_stretch_of_the_whole(tmp_path, augmentation):
    trailers = load_trailers(tmp_path, write_clips(tmp_path, [13, 4, 8]))
    sequence = TrailerSequence(trailers, batch_size=3, augmentation=augmentation, seed=4)
    frames, targets, _ = sequence.batch(0)
    whole = np.asarray(frames)
    assert whole.shape == frames.shape == (len(whole), targets[0].shape[1], 3, 12, 12)
    assert whole.dtype == frames.dtype
    for start in range(0, frames.shape[1], 3):
        np.testing.assert_array_equal(frames[:, start : start + 3], whole[:, start : start + 3])


@pytest.mark.slow
def test_validation_moves_with_the_training(tmp_path):
    labels = write_clips(tmp_path / "clips", [8] * 6, genres=TWO)
    config = TrainingConfig(epochs=3, learning_rate=0.05, validation_share=0.3, test_share=0)
    train(tmp_path / "clips", labels, tmp_path / "run", model_config=TINY_OF_TWO, training_config=config)
    losses = [line.split(",")[2] for line in (tmp_path / "run" / "history.csv").read_text().splitlines()[1:]]
    assert len(set(losses)) == 3
