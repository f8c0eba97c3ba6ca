"""The per-trailer generator: what a batch holds, its order, its padding, and that it keeps no frames in memory."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from genre_classifier.dataset.augmentation import Augmentation, draw_change
from genre_classifier.dataset.sequence import TrailerSequence
from genre_classifier.dataset.trailers import data_digest, load_trailers
from preprocessing.base.errors import InputError
from tests.support.trailers import write_clips


def augment(clip, targets, augmentation, rng):
    """Return the changed clip, and the targets of the frames that were kept."""
    change = draw_change(len(clip), augmentation, rng)
    return change.apply(clip[change.kept]), targets[change.kept]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips")
    labels = write_clips(path, [6, 4, 8, 6], weak=(1,))
    return path, labels


def test_one_trailer_at_a_time_is_the_clip_itself(folder):
    path, labels = folder
    sequence = TrailerSequence(load_trailers(path, labels), shuffle=False)
    assert len(sequence) == 4
    frames, targets, weights = sequence[2]
    assert frames.dtype == np.uint8
    np.testing.assert_array_equal(frames[0], np.load(path / "trailer_2.npy"))
    assert isinstance(targets, tuple)
    assert [target.shape for target in targets] == [(1, 8, 1)] * 6
    np.testing.assert_array_equal(targets[2][0, :, 0], [1, 1, 1, 1, 0, 0, 0, 0])  # terror, then thriller
    np.testing.assert_array_equal(targets[3][0, :, 0], [0, 0, 0, 0, 1, 1, 1, 1])
    assert all((weight == 1).all() for weight in weights)


def test_shorter_trailers_are_padded_and_weigh_nothing(folder):
    path, labels = folder
    sequence = TrailerSequence(load_trailers(path, labels), batch_size=3, shuffle=False, weak="pool")
    frames, targets, weights = sequence[0]
    assert frames.dtype == np.int16
    assert frames.shape == (3, 8, 3, 12, 12)
    for row, length in enumerate([6, 4, 8]):
        np.testing.assert_array_equal(frames[row, :length], np.load(path / f"trailer_{row}.npy"))
        assert (frames[row, length:] == -1).all()
        for target, weight in zip(targets, weights, strict=True):
            np.testing.assert_array_equal(weight[row], [1] * length + [0] * (8 - length))
            assert (target[row, length:, 0] == 0).all()
    assert targets[1][:, 0, 1].tolist() == [0, 1, 0]  # only the second trailer's label is weak
    assert targets[1][1, :4, 0].tolist() == [1, 1, 1, 1]


def test_the_order_follows_seed_and_epoch_alone(folder):
    path, labels = folder
    trailers = load_trailers(path, labels)

    def order(sequence):
        return [sequence[index][0].shape[1] for index in range(len(sequence))]

    first, second = (TrailerSequence(trailers, seed=3) for _ in range(2))
    seen = []
    for _ in range(6):
        seen.append(order(first))
        first.on_epoch_end()
    assert len(set(map(tuple, seen))) > 1
    second.epoch = 5
    assert order(second) == seen[5]
    assert all(sorted(lengths) == [4, 6, 6, 8] for lengths in seen)


@pytest.mark.parametrize(("batch_size", "stride"), [(1, 1), (2, 1), (1, 2)])
def test_keras_takes_lengths_that_first_agree_and_then_differ(tmp_path, batch_size, stride):
    """Keras reads the shape of all batches off the first two."""
    import keras

    lengths = [6, 6, 6, 6, 6, 9, 5]
    trailers = load_trailers(tmp_path, write_clips(tmp_path, lengths))
    model = keras.Sequential([keras.Input((None, 3, 12, 12)), keras.layers.GlobalAveragePooling3D()])

    class Frames(TrailerSequence):
        def __getitem__(self, index):
            frames, *_ = super().__getitem__(index)
            return (frames,)

    augmentation = Augmentation(stride=stride) if stride > 1 else None
    for seed in range(3):
        sequence = Frames(trailers, batch_size=batch_size, seed=seed, augmentation=augmentation)
        sizes = [sequence[index][0].shape[1] for index in range(len(sequence))]
        assert sizes[0] != sizes[1]
        assert len({sequence[index][0].dtype for index in range(len(sequence))}) == 1
        seen = sum(len(sequence[index][0]) for index in range(len(sequence)))
        assert seen == len(lengths)
        assert len(model.predict(sequence, verbose=0)) == len(lengths)


def test_crops_are_stretches_of_their_trailer_as_many_as_fit(tmp_path):
    lengths = [13, 4, 8, 3]
    trailers = load_trailers(tmp_path, write_clips(tmp_path, lengths))
    sequence = TrailerSequence(trailers, augmentation=Augmentation(crop_frames=4), shuffle=False, batch_size=7)
    assert len(sequence) == 1  # 3 + 1 + 2 + 1 crops
    starts = set()
    for epoch in range(8):
        sequence.epoch = epoch
        frames, targets, weights = sequence[0]
        owners = [0, 0, 0, 1, 2, 2, 3]
        assert len(frames) == len(owners)
        for row, owner in enumerate(owners):
            clip, length = np.load(tmp_path / f"trailer_{owner}.npy"), min(4, lengths[owner])
            places = [s for s in range(len(clip) - length + 1) if (clip[s : s + length] == frames[row, :length]).all()]
            assert len(places) == 1
            kept = slice(places[0], places[0] + length)
            np.testing.assert_array_equal(np.stack(targets)[:, row, :length, 0].T, trailers[owner].targets[kept])
            assert weights[0][row].tolist() == [1] * length + [0] * (frames.shape[1] - length)
            if owner == 0:
                starts.add(places[0])
    assert len(starts) > 5


def test_crops_of_one_length_need_no_padding(tmp_path):
    trailers = load_trailers(tmp_path, write_clips(tmp_path, [13, 4, 8]))
    sequence = TrailerSequence(trailers, augmentation=Augmentation(crop_frames=4), batch_size=4)
    assert [sequence[index][0].dtype for index in range(2)] == [np.uint8] * 2
    assert [sequence[index][0].shape[:2] for index in range(2)] == [(4, 4), (2, 4)]


def test_balance_weighs_each_side_of_a_genre(folder):
    path, labels = folder
    balance = np.arange(12, dtype=np.float32).reshape(2, 6) + 1
    _, targets, weights = TrailerSequence(load_trailers(path, labels), shuffle=False, balance=balance)[0]
    for genre in range(6):
        np.testing.assert_array_equal(weights[genre][0], np.where(targets[genre][0, :, 0] > 0, 7 + genre, 1 + genre))


def test_clips_that_do_not_fit_are_refused(tmp_path):
    labels = write_clips(tmp_path, [4, 4])
    np.save(tmp_path / "trailer_1.npy", np.zeros((4, 3, 10, 10), np.uint8))
    with pytest.raises(InputError, match=r"clips of one size, found 12x12 .*10x10"):
        load_trailers(tmp_path, labels)
    np.save(tmp_path / "trailer_1.npy", np.full((4, 3, 12, 12), np.nan))
    with pytest.raises(InputError, match=r"trailer_1.npy: expected a clip of uint8 .* found float64"):
        load_trailers(tmp_path, labels)
    np.save(tmp_path / "trailer_1.npy", np.zeros((5, 3, 12, 12), np.uint8))
    with pytest.raises(InputError, match=r"trailer_1.npy: expected as many frames as times \(4\), found 5"):
        load_trailers(tmp_path, labels)
    with pytest.raises(InputError, match="at least one labelled trailer"):
        TrailerSequence([])


def test_a_label_table_of_ones_own_is_taken_or_refused(folder):
    path, _ = folder
    whole = pd.DataFrame({"trailer": range(4), "genre": "comedy"})
    for table, weak in (
        (whole, True),
        (whole.assign(start=None, end=None), True),
        (whole.assign(start=0, end=9), False),
    ):
        assert [trailer.weak for trailer in load_trailers(path, table)] == [weak] * 4
    with pytest.raises(InputError, match="expected the columns trailer and genre, found no trailer"):
        load_trailers(path, pd.DataFrame({"a": [1]}))
    with pytest.raises(InputError, match="expected seconds in the columns start and end, found: could not convert"):
        load_trailers(path, whole.assign(start="soon", end=1.0))


def test_every_frame_of_a_clip_is_changed_alike():
    rng = np.random.default_rng(0)
    frame = rng.integers(60, 190, (3, 10, 14), dtype=np.uint8)
    clip, targets = np.stack([frame] * 9), np.arange(9)[:, None]
    options = Augmentation(flip=True, zoom=0.3, shift=0.2, brightness=0.2, contrast=0.2, stride=3)
    outcomes = set()
    for seed in range(20):
        changed, kept = augment(clip, targets, options, np.random.default_rng(seed))
        assert changed.dtype == np.uint8
        assert (changed == changed[0]).all()
        assert changed.shape[1:] == (3, 10, 14)
        assert len(changed) == len(kept)
        assert len(set(np.diff(kept[:, 0]))) == 1  # one stride
        outcomes.add(changed[0].tobytes())
    assert len(outcomes) == 20
    unchanged, _ = augment(clip, targets, Augmentation(), rng)
    np.testing.assert_array_equal(unchanged, clip)


def test_zoom_enlarges_a_part():
    """On a ramp, a part enlarged to the full size is a gentler ramp."""
    ramp = np.tile(np.arange(40, dtype=np.uint8) * 5, (2, 3, 20, 1))
    slopes = []
    for seed in range(30):
        zoomed, _ = augment(ramp, np.zeros((2, 1)), Augmentation(zoom=0.5), np.random.default_rng(seed))
        assert zoomed.shape == ramp.shape
        inner = zoomed[0, 0, 0, 3:-3].astype(float)
        slopes.append((inner[-1] - inner[0]) / (len(inner) - 1) / 5)  # columns of the original per column
        assert np.abs(np.diff(inner) - 5 * slopes[-1]).max() <= 1.5  # both ends of a step are rounded
    assert 0.45 < min(slopes) < 0.65
    assert 0.85 < max(slopes) <= 1.01


@pytest.mark.parametrize("wrong", [{"crop_frames": 0}, {"stride": 0}, {"zoom": 1.0}, {"shift": -0.1}])
def test_changes_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        Augmentation(**wrong)


def test_a_flip_mirrors_and_a_shift_repeats_the_border():
    clip = np.arange(2 * 3 * 4 * 5, dtype=np.uint8).reshape(2, 3, 4, 5)
    flipped = {
        augment(clip, clip[:, 0, 0, :1], Augmentation(flip=True), np.random.default_rng(s))[0].tobytes()
        for s in range(9)
    }
    assert flipped == {clip.tobytes(), np.ascontiguousarray(clip[..., ::-1]).tobytes()}
    wide = np.tile(np.arange(20, dtype=np.uint8), (1, 3, 20, 1))
    moved, _ = augment(wide, np.zeros((1, 1)), Augmentation(shift=0.5), np.random.default_rng(1))
    steps = np.diff(moved[0, 0, 0].astype(int))
    assert set(steps) <= {0, 1}  # the picture moves; what comes in repeats its border
    assert (steps == 0).any()


def test_frames_without_a_label_weigh_nothing(folder):
    path, labels = folder
    half = labels.assign(checked=labels["trailer"] != "2").drop(labels.index[(labels["trailer"] == "2")][1:])
    trailers = load_trailers(path, half)
    assert trailers[2].labelled.tolist() == [True] * 4 + [False] * 4
    assert trailers[2].genres.tolist() == [False, False, True, False, False, False]  # and no `other`
    _, _, weights = TrailerSequence(trailers, shuffle=False)[2]
    assert all(weight[0].tolist() == [1] * 4 + [0] * 4 for weight in weights)
    assert data_digest(trailers) != data_digest(load_trailers(path, half.drop(columns="checked")))
