"""The baselines learn what they can see, and nothing else."""

import numpy as np
import pytest

from genre_classifier.dataset import frame_features
from genre_classifier.dataset.trailers import Trailer
from genre_classifier.evaluation import baselines


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


PIXEL_BASELINES = baselines.possible([baselines.PIXELS])


def arrays(clip):
    return {baselines.PIXELS: clip, baselines.MAPS: clip}


def fit(name, clips, targets, **options):
    times = [np.arange(len(clip)) / 10 for clip in clips]
    return baselines.fit(name, [arrays(clip) for clip in clips], times, targets, **options)


def accuracy(baseline, clips, targets):
    scores = np.concatenate([baseline.score(arrays(clip), np.arange(len(clip)) / 10) for clip in clips])
    return np.mean((scores[:, 0] > 0.5) == (np.concatenate(targets)[:, 0] > 0))


def test_each_learns_what_it_can_see():
    rng = np.random.default_rng(0)
    for kind, learners in (
        ("colour", {"colour_histogram", "colour_and_motion"}),
        ("motion", {"colour_and_motion", "movement"}),
    ):
        clips, targets = clips_of(kind, rng)
        for name in PIXEL_BASELINES:
            found = accuracy(fit(name, clips[:3], targets[:3]), clips[3:], targets[3:])
            # Movement sees half a second ahead and back, and so takes changes for a little early or late.
            assert (found > (0.8 if name == "movement" else 0.9)) == (name in learners), (kind, name, found)


def test_movement_is_learned_from_labels_of_whole_clips_where_colours_drown_it():
    """Few clips of colours at random, labelled as wholes: what moves is told by a dozen numbers, not by 116."""
    rng = np.random.default_rng(4)
    clips, targets = [], []
    for number in range(40):
        moves = number % 2
        clip = rng.integers(0, 200, (1, 3, 16, 16)) + rng.integers(0, 56, (1, 3, 1, 1))
        clip = np.repeat(clip, 20, axis=0).astype(np.uint8)
        for frame in range(20):
            # Both kinds move; one of them in bursts.
            clip[frame] = np.roll(clip[frame], (6 if moves and frame % 5 == 0 else 1) * frame, axis=2)
        clips.append(clip)
        targets.append(np.full((20, 1), moves, dtype=np.float32))
    found = {name: accuracy(fit(name, clips[:16], targets[:16]), clips[16:], targets[16:]) for name in PIXEL_BASELINES}
    assert found["movement"] > 0.95
    assert found["colour_and_motion"] < 0.8


def test_scores_are_probabilities_and_constant_genres_stay_constant():
    clips, targets = clips_of("colour", np.random.default_rng(1), number=2)
    scores = fit("colour_histogram", clips, targets).score(arrays(clips[0]), np.arange(60) / 10)
    assert scores.shape == (60, 3)
    assert scores.dtype == np.float32
    assert ((scores >= 0) & (scores <= 1)).all()
    assert (scores[:, 1] == 1).all()
    assert (scores[:, 2] == 0).all()


def test_same_seed_same_scores_and_few_frames_do():
    clips, targets = clips_of("colour", np.random.default_rng(2))
    for name in PIXEL_BASELINES:
        first, second = (
            fit(name, clips, targets, seed=5, frames=50).score(arrays(clips[0]), np.arange(60) / 10) for _ in range(2)
        )
        np.testing.assert_array_equal(first, second)


def test_nothing_to_learn_from_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        fit("colour_histogram", [], [])


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
    np.testing.assert_allclose(
        frame_features.colours_and_differences(large, frames), frame_features.colours_and_differences(small, frames)
    )


def test_prevalence_and_trailer_average():
    targets = [np.array([[1, 0], [0, 0]]), np.array([[1, 0], [1, 1]])]
    np.testing.assert_allclose(baselines.prevalence_scores(targets), [0.75, 0.25])
    scores = np.array([[0.2, 0.0], [0.4, 1.0], [0.9, 0.5]])
    averaged = baselines.trailer_average(scores, np.array([0, 0, 1]))
    np.testing.assert_allclose(averaged, [[0.3, 0.5], [0.3, 0.5], [0.9, 0.5]], atol=1e-6)


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


@pytest.mark.parametrize("name", ["encoder_frames", "encoder_trailers"])
def test_maps_tell_beside_the_loud_pixels_of_a_grey_picture(tmp_path, name):
    rng = np.random.default_rng(6)
    targets = [np.full((12, 1), number % 2, dtype=np.float32) for number in range(40)]
    trailers = [shown_in_maps(number, target, tmp_path, rng) for number, target in enumerate(targets)]
    opened = [baselines.arrays_of(trailer, grey_channels=64) for trailer in trailers]
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
    for name in ("encoder_frames", "encoder_trailers"):
        assert accuracy(fit(name, clips[:16], targets[:16]), clips[16:], targets[16:]) > 0.9


def test_a_loud_sense_beside_a_quiet_one_does_not_hide_it(monkeypatch):
    """What a further sense is: one more entry, scaled and reduced by itself."""
    rng = np.random.default_rng(9)
    targets = [np.full((10, 1), number % 2, dtype=np.float32) for number in range(60)]
    trailers = [
        {"loud": rng.normal(scale=1000, size=(10, 100)), "quiet": rng.normal(size=(10, 30)) / 100 + target / 50}
        for target in targets
    ]
    senses = tuple(baselines.Sense(source, lambda array, times, frames: array[frames], 8) for source in trailers[0])
    monkeypatch.setitem(baselines.RECIPES, "two", baselines.Recipe(senses, whole_trailers=True))
    assert "two" not in baselines.possible(["quiet"])
    times = [np.arange(10) / 10] * len(trailers)
    fitted = baselines.fit("two", trailers[:40], times[:40], targets[:40])
    scores = np.array([fitted.score(trailer, times[0])[0, 0] for trailer in trailers[40:]])
    assert ((scores > 0.5) == np.arange(20) % 2).all()


def test_a_whole_trailer_is_scored_with_the_share_of_its_frames():
    rng = np.random.default_rng(10)
    shares = rng.random(80)
    targets = [(np.arange(50) < 50 * share).astype(np.float32)[:, None] for share in shares]
    clips = [share + rng.normal(scale=0.05, size=(50, 3, 2, 2)) for share in shares]
    fitted = fit("encoder_trailers", clips[:60], targets[:60])
    scores = np.array([fitted.score(arrays(clip), np.arange(50) / 10) for clip in clips[60:]])
    assert scores.shape == (20, 50, 1)
    assert (np.ptp(scores, axis=1) == 0).all()
    assert np.corrcoef(scores[:, 0, 0], shares[60:])[0, 1] > 0.97
    assert scores.mean() == pytest.approx(shares[60:].mean(), abs=0.05)


def test_maps_that_never_vary_in_training_decide_nothing():
    clips = [np.zeros((10, 5, 2, 2), dtype=np.float16) for _ in range(4)]
    targets = [np.full((10, 1), number % 2, dtype=np.float32) for number in range(4)]
    for name in ("encoder_frames", "encoder_trailers"):
        fitted = fit(name, clips, targets)
        np.testing.assert_allclose(fitted.score(arrays(clips[0] + 3), np.arange(10) / 10), 0.5, atol=0.01)


def test_change_of_maps_is_what_its_words_say():
    rng = np.random.default_rng(11)
    maps = rng.normal(size=(9, 4, 2, 2)).astype(np.float16)
    times = np.array([0.0, 0.4, 0.5, 0.9, 1.4, 1.5, 3.0, 3.1, 9.0])  # seconds, unevenly spaced
    exact = maps.astype(np.float64)
    change = np.abs(np.diff(exact, axis=0, prepend=exact[:1])).mean(axis=(2, 3))
    frames = np.array([0, 2, 3, 8])
    expected = np.stack([change[1:3].mean(0), change[1:4].mean(0), change[1:5].mean(0), change[8]])
    found = frame_features.maps_and_change(maps, times, frames)
    np.testing.assert_allclose(found, np.hstack([exact[frames].mean(axis=(2, 3)), expected]), rtol=1e-3, atol=1e-5)
    alone = frame_features.maps_and_change(maps[:1], times[:1], np.array([0]))
    np.testing.assert_array_equal(alone[:, 4:], np.zeros((1, 4)))
