"""The baselines learn what they can see, and nothing else."""

import numpy as np
import pytest

from genre_classifier.dataset import frame_features
from genre_classifier.dataset.sense_features import (
    COLOURS,
    colour_features,
    map_features,
    movement_features,
    sense_features,
    window_means,
)
from genre_classifier.dataset.trailers import Trailer
from genre_classifier.evaluation import baselines
from genre_classifier.evaluation.evaluate import trailer_average
from genre_classifier.metrics.regression import fit_regression
from genre_classifier.network.senses import MOVEMENT, PICTURES, SOUND


def clips_of(kind, rng, number=4, frames=60):
    """Clips whose first genre is told by colour, or by movement alone; the second is always there, the third never."""
    clips, targets = [], []
    for _ in range(number):
        shown = np.repeat(rng.random(frames // 10) < 0.5, 10)
        clip = rng.integers(0, 60, (frames, 3, 24, 24)).astype(np.uint8)
        if kind == "colour":
            clip[shown, 0] += 120
        else:
            still = clip[0]
            for frame in range(frames):
                clip[frame] = np.roll(still, 3 * frame, axis=2) if shown[frame] else still
                still = clip[frame]
        clips.append(clip)
        targets.append(np.column_stack([shown, np.ones(frames), np.zeros(frames)]).astype(np.float32))
    return clips, targets


BASELINES = baselines.possible([MOVEMENT, PICTURES, SOUND])
OF_PIXELS = baselines.possible([MOVEMENT])
OF_MAPS, OF_SOUND = ["pictures_frames", "pictures_trailers"], ["sound_frames", "sound_trailers"]


def times_of(clip):
    return np.arange(len(clip)) / 10


def senses(clip):
    return {COLOURS: colour_features(clip), MOVEMENT: movement_features(clip)}


def seen(maps):
    return {PICTURES: map_features(maps, times_of(maps))}


def fit(name, clips, targets, *, of=senses, **options):
    return baselines.fit(name, [of(clip) for clip in clips], [times_of(clip) for clip in clips], targets, **options)


def score(baseline, clip, *, of=senses):
    return baseline.score(of(clip), times_of(clip))


def accuracy(baseline, clips, targets, *, of=senses):
    scores = np.concatenate([score(baseline, clip, of=of) for clip in clips])
    return np.mean((scores[:, 0] > 0.5) == (np.concatenate(targets)[:, 0] > 0))


def test_all_senses_need_two_and_one_alone_itself():
    assert baselines.possible([MOVEMENT]) == ["colour_histogram", "movement_frames", "movement_trailers"]
    assert list(baselines.RECIPES) == BASELINES
    assert {*baselines.possible([PICTURES])} == {"colour_histogram", *OF_MAPS}
    assert {*BASELINES} - {*baselines.possible([MOVEMENT, PICTURES])} == {*OF_SOUND}


def test_each_learns_what_it_can_see():
    rng = np.random.default_rng(0)
    for kind, learner in (("colour", "colour_histogram"), ("motion", "movement_frames")):
        clips, targets = clips_of(kind, rng)
        for name in ("colour_histogram", "movement_frames"):
            found = accuracy(fit(name, clips[:3], targets[:3]), clips[3:], targets[3:])
            # Movement sees half a second ahead and back, and so takes changes for a little early or late.
            assert (found > 0.8) == (name == learner), (kind, name, found)


def bursts(number, size=16):
    """A clip of colours at random that moves all the time, or in bursts."""
    rng = np.random.default_rng(100 + number)
    clip = rng.integers(0, 200, (1, 3, 16, 16)) + rng.integers(0, 56, (1, 3, 1, 1))
    clip = np.repeat(clip, 20, axis=0).astype(np.uint8)
    for frame in range(20):
        clip[frame] = np.roll(clip[frame], (6 if number % 2 and frame % 5 == 0 else 1) * frame, axis=2)
    return clip.repeat(size // 16, axis=2).repeat(size // 16, axis=3)


def test_movement_is_learned_from_labels_of_whole_clips_at_any_size():
    """Few clips of colours at random, labelled as wholes: what moves is told by few numbers, colours tell nothing."""
    clips = [bursts(number) for number in range(40)]
    targets = [np.full((20, 1), number % 2, dtype=np.float32) for number in range(40)]
    fitted = {name: fit(name, clips[:16], targets[:16]) for name in OF_PIXELS}
    found = {name: accuracy(one, clips[16:], targets[16:]) for name, one in fitted.items()}
    assert min(found["movement_frames"], found["movement_trailers"]) > 0.95
    assert found["colour_histogram"] < 0.8
    for name in ("movement_frames", "movement_trailers"):
        for number in (20, 21):
            large = score(fitted[name], bursts(number, size=64))
            np.testing.assert_allclose(large, score(fitted[name], clips[number]), atol=1e-3)


def test_scores_are_probabilities_and_constant_genres_stay_constant():
    clips, targets = clips_of("colour", np.random.default_rng(1), number=2)
    scores = score(fit("colour_histogram", clips, targets), clips[0])
    assert scores.shape == (60, 3)
    assert scores.dtype == np.float32
    assert ((scores >= 0) & (scores <= 1)).all()
    np.testing.assert_allclose(scores[:, 1], 121 / 122, rtol=1e-5)  # Laplace's rule of succession
    np.testing.assert_allclose(scores[:, 2], 1 / 122, rtol=1e-5)


def test_same_seed_same_scores_and_few_frames_do():
    clips, targets = clips_of("colour", np.random.default_rng(2))
    for name in OF_PIXELS:
        first, second = (score(fit(name, clips, targets, seed=5, frames=50), clips[0]) for _ in range(2))
        np.testing.assert_array_equal(first, second)


def test_nothing_to_learn_from_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        fit("colour_histogram", [], [])


def test_genres_that_exclude_each_other_share_one_regression():
    rng = np.random.default_rng(12)
    clips, targets = [], []
    for number in range(24):
        maps = rng.normal(scale=0.4, size=(10, 6, 2, 2))
        maps[:, number % 3] += 1
        clips.append(maps.astype(np.float16))
        targets.append(np.tile(np.eye(4, dtype=np.float32)[number % 3], (10, 1)))
    for name in OF_MAPS:
        fitted = fit(name, clips[:15], targets[:15], of=seen)
        assert fitted.exclusive
        scores = np.array([score(fitted, clip, of=seen).mean(axis=0) for clip in clips[15:]])
        np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-5)
        assert (scores.argmax(axis=1) == np.arange(15, 24) % 3).all()
        both = [np.maximum(own, np.eye(4, dtype=np.float32)[3]) for own in targets[:15]]
        assert not fit(name, clips[:15], both, of=seen).exclusive


def test_frames_of_which_nothing_is_known_are_not_learned_from():
    clips = [bursts(number) for number in range(16)]
    targets = [np.full((20, 1), number % 2, dtype=np.float32) for number in range(16)]
    known = [np.arange(20) < 15 for _ in clips]
    wrong = [np.where(own[:, None], target, 1 - target) for own, target in zip(known, targets, strict=True)]
    for name in OF_PIXELS:
        found, expected = (score(fit(name, clips, own, labelled=known), clips[0]) for own in (wrong, targets))
        np.testing.assert_array_equal(found, expected)


def test_histograms_are_shares_of_pixels():
    clip = np.zeros((2, 3, 8, 8), dtype=np.uint8)
    clip[1, 0, :, :4] = 255  # half red
    shares = frame_features.colour_histograms(clip, np.array([1])) ** 2
    channels, joint = shares[0, :48].reshape(3, 16), shares[0, 48:].reshape(4, 4, 4)
    np.testing.assert_allclose(channels[0, [0, 15]], [0.5, 0.5], atol=1e-6)
    np.testing.assert_allclose(channels[1:, 0], 1, atol=1e-6)
    np.testing.assert_allclose([joint[0, 0, 0], joint[3, 0, 0]], [0.5, 0.5], atol=1e-6)


def test_differences_look_at_the_frame_before():
    clip = np.zeros((3, 3, 8, 8), dtype=np.uint8)
    clip[2] = 51
    found = frame_features.frame_differences(clip, np.array([0, 1, 2]))
    np.testing.assert_allclose(found[:2], 0)
    np.testing.assert_allclose(found[2], [0.2, 0, 0.2, 1], atol=1e-6)


def test_movement_looks_at_a_second_around_the_frame():
    rng = np.random.default_rng(6)
    clip = rng.integers(0, 256, (9, 3, 8, 8)).astype(np.uint8)
    times = np.array([0.0, 0.4, 0.5, 0.9, 1.4, 1.5, 3.0, 3.1, 9.0])  # seconds, unevenly spaced
    change = frame_features.frame_differences(clip, np.arange(9)).astype(np.float64)
    frames = np.array([0, 2, 3, 8])
    windows = [change[1:3], change[1:4], change[1:5], change[8:9]]
    expected = [np.concatenate([one.mean(0), one.std(0), one.max(0)]) for one in windows]
    np.testing.assert_allclose(frame_features.movement(clip, times, frames), expected, rtol=1e-5)
    np.testing.assert_array_equal(frame_features.movement(clip[:1], times[:1], np.array([0])), np.zeros((1, 12)))


def test_large_frames_are_thinned_alike():
    rng = np.random.default_rng(3)
    small = rng.integers(0, 256, (2, 3, 32, 32)).astype(np.uint8)
    large = small.repeat(8, axis=2).repeat(8, axis=3)
    frames = np.array([0, 1])
    for describe in (frame_features.colour_histograms, frame_features.frame_differences):
        np.testing.assert_allclose(describe(large, frames), describe(small, frames))


def test_trailer_average():
    scores = np.array([[0.2, 0.0], [0.4, 1.0], [0.9, 0.5]])
    averaged = trailer_average(scores, np.array([0, 0, 1]))
    np.testing.assert_allclose(averaged, [[0.3, 0.5], [0.3, 0.5], [0.9, 0.5]], atol=1e-6)


@pytest.mark.parametrize("frames", [1, 2, 40, 700])
def test_windows_hold_the_known_frames_of_a_second(frames):
    rng = np.random.default_rng(frames)
    times = np.sort(rng.random(frames)) * frames / 5
    features = rng.normal(size=(frames, 4))
    features[:, 3] = np.arange(frames) >= 2
    found = np.concatenate([means for _, means in window_means(features, times, 1.0)])
    near = (np.abs(times - times[:, None]) <= 0.5) & (features[:, 3] > 0)
    expected = np.array([features[own].mean(axis=0) if own.any() else np.zeros(4) for own in near])
    np.testing.assert_allclose(found, expected, atol=1e-9)
    alone = np.concatenate([means for _, means in window_means(features, times, 0.0)])
    np.testing.assert_allclose(alone, features * features[:, 3:], atol=1e-9)


def shown_in_maps(trailer_id, target, folder, rng):
    """A trailer whose encoded clip tells its genre in some of 200 quiet maps, beside 64 channels of loud pixels."""
    frames = len(target)
    np.save(folder / f"trailer_{trailer_id}.npy", rng.integers(0, 256, (frames, 3, 8, 8), dtype=np.uint8))
    maps = np.abs(rng.normal(scale=0.4, size=(frames, 200, 2, 2)))
    maps[:, :20] += target[:, :, None, None] / 2
    pixels = rng.integers(0, 256, (frames, 64, 2, 2))
    (folder / "encoded").mkdir(exist_ok=True)
    encoded = folder / "encoded" / f"trailer_{trailer_id}.npy"
    np.save(encoded, np.concatenate([maps, pixels], axis=1).astype(np.float16))
    return Trailer(
        trailer_id,
        f"{trailer_id}.mp4",
        folder / f"trailer_{trailer_id}.npy",
        np.arange(frames) / 10,
        target,
        np.ones(frames, dtype=bool),
        True,
        str(trailer_id),
        8,
        8,
        encoded,
    )


@pytest.mark.parametrize("name", OF_MAPS)
def test_maps_tell_beside_the_loud_pixels_of_a_grey_picture(tmp_path, name):
    rng = np.random.default_rng(6)
    targets = [np.full((12, 1), number % 2, dtype=np.float32) for number in range(40)]
    trailers = [shown_in_maps(number, target, tmp_path, rng) for number, target in enumerate(targets)]
    opened = [{PICTURES: sense_features(PICTURES, trailer, grey_channels=64)} for trailer in trailers]
    times = [trailer.times for trailer in trailers]
    fitted, again = (baselines.fit(name, opened[:30], times[:30], targets[:30]) for _ in range(2))
    scores = np.array([fitted.score(*pair)[:, 0].mean() for pair in zip(opened[30:], times[30:], strict=True)])
    assert ((scores > 0.5) == np.arange(30, 40) % 2).all()
    np.testing.assert_array_equal(fitted.score(opened[35], times[35]), again.score(opened[35], times[35]))


def test_a_change_of_maps_tells_where_their_means_do_not():
    rng = np.random.default_rng(8)
    targets = [np.full((20, 1), number % 2, dtype=np.float32) for number in range(24)]
    clips = []
    for target in targets:
        maps = rng.normal(scale=0.4, size=(20, 8, 2, 2))
        swing = np.where(np.arange(20) // (1 if target[0, 0] else 5) % 2, 1.0, -1.0)  # often, or seldom
        maps[:, 3] += swing[:, None, None]
        clips.append(maps.astype(np.float16))
    for name in OF_MAPS:
        fitted = fit(name, clips[:16], targets[:16], of=seen)
        assert accuracy(fitted, clips[16:], targets[16:], of=seen) > 0.9


@pytest.mark.parametrize("name", ["all_frames", "all_trailers"])
def test_a_loud_sense_beside_a_quiet_one_does_not_hide_it(name):
    """Many loud numbers of one sense that tell nothing, and few quiet ones of another that tell."""
    rng = np.random.default_rng(9)
    targets = [np.full((10, 1), number % 2, dtype=np.float32) for number in range(60)]
    trailers = []
    for target in targets:
        quiet = np.hstack([rng.normal(size=(10, 29)) / 100 + target / 50, np.ones((10, 1))])
        maps = rng.normal(size=(10, 100, 1, 1)).astype(np.float32)
        trailers.append({MOVEMENT: quiet, PICTURES: map_features(maps, np.arange(10) / 10)})
    times = [np.arange(10) / 10] * len(trailers)
    fitted = baselines.fit(name, trailers[:40], times[:40], targets[:40])
    scores = np.array([fitted.score(trailer, times[0])[:, 0].mean() for trailer in trailers[40:]])
    assert ((scores > 0.5) == np.arange(20) % 2).mean() > 0.9


def test_the_logits_of_senses_are_added_with_the_share_of_the_genre_once():
    rng = np.random.default_rng(13)
    targets = [np.full((12, 1), number % 4 == 0, dtype=np.float32) for number in range(24)]
    trailers = [
        senses(rng.integers(0, 256, (12, 3, 16, 16), dtype=np.uint8)) | seen(rng.normal(size=(12, 5, 2, 2)))
        for _ in targets
    ]
    times = [np.arange(12) / 10] * len(trailers)
    for by in ("frames", "trailers"):
        names = [f"{sense}_{by}" for sense in ("movement", "pictures", "all")]
        fitted = [baselines.fit(name, trailers, times, targets) for name in names]
        movement, pictures, every = (np.log(1 / one.score(trailers[0], times[0]) - 1) for one in fitted)
        np.testing.assert_allclose(every, movement + pictures + fitted[0].prior, rtol=1e-3, atol=1e-3)


def test_a_whole_trailer_is_scored_with_the_share_of_its_frames():
    rng = np.random.default_rng(10)
    shares = rng.random(80)
    targets = [(np.arange(50) < 50 * share).astype(np.float32)[:, None] for share in shares]
    clips = []
    for number, share in enumerate(shares):  # what tells is the direction, not the size
        maps = np.array([1 + share, 2 - share, 1.5])[:, None, None] + rng.normal(scale=0.02, size=(50, 3, 2, 2))
        clips.append(maps * (1 + number % 3))
    fitted = fit("pictures_trailers", clips[:60], targets[:60], of=seen)
    scores = np.array([score(fitted, clip, of=seen) for clip in clips[60:]])
    assert scores.shape == (20, 50, 1)
    assert (np.ptp(scores, axis=1) == 0).all()
    assert np.corrcoef(scores[:, 0, 0], shares[60:])[0, 1] > 0.95
    assert scores.mean() == pytest.approx(shares[60:].mean(), abs=0.05)


def test_maps_that_never_vary_in_training_decide_nothing():
    for channels in (5, 200):  # as they are, or reduced
        clips = [np.zeros((10, channels, 2, 2), dtype=np.float16) for _ in range(4)]
        targets = [np.full((10, 1), number % 2, dtype=np.float32) for number in range(4)]
        for name in OF_MAPS:
            fitted = fit(name, clips, targets, of=seen)
            np.testing.assert_allclose(score(fitted, clips[0] + 3, of=seen), 0.5, atol=0.01)


def test_whole_trailers_of_one_group_have_a_bias_of_their_own():
    clips, targets = clips_of("movement", np.random.default_rng(5), number=12)
    groups = [f"film {number % 3}" for number in range(12)]
    for name, differs in (("movement_trailers", True), ("movement_frames", False)):
        alone, grouped = fit(name, clips, targets), fit(name, clips, targets, groups=groups)
        assert np.array_equal(alone.paths[MOVEMENT].kernel, grouped.paths[MOVEMENT].kernel) != differs
    path = fit("movement_trailers", clips, targets, groups=groups).paths[MOVEMENT]
    kernel, shift = path.components[0]
    means = np.stack([movement_features(clip)[2:, :-1].mean(axis=0) for clip in clips])
    shares = np.stack([own.mean(axis=0) for own in targets])
    expected, _ = fit_regression(means @ kernel + shift, shares, exclusive=False, groups=groups)
    np.testing.assert_allclose(path.kernel, expected, atol=1e-4)
