"""Synthetic trailers: the same for the same seed, labelled rightly, and no giveaway in single frames."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from genre_classifier.dataset.labels import read_labels
from genre_classifier.dataset.sense_features import COLOURS, colour_features
from genre_classifier.dataset.synthetic import (
    Shot,
    SyntheticConfig,
    draw_trailer,
    plan_shots,
    shot_labels,
    synthesize,
    trailer_sound,
)
from genre_classifier.dataset.synthetic_sound import scene_sound, voices_of
from genre_classifier.dataset.trailer_labels import frame_targets
from genre_classifier.evaluation import baselines
from genre_classifier.genres import GENRES
from preprocessing.base.errors import InputError
from preprocessing.clips import SOUND_RATE
from preprocessing.reader_client import read_sound
from tests.support.media import decode_media

SMALL = SyntheticConfig(trailers=2, duration=4.0, fps=12.0, rows=32, cols=48)


def drawn(seed: int, config: SyntheticConfig) -> tuple[np.ndarray, np.ndarray]:
    """Return frames as a clip (frames, 3, rows, cols) and targets of one trailer, without a file."""
    rng = np.random.default_rng(seed)
    shots = plan_shots(rng, config)
    clip = np.stack(list(draw_trailer(rng, shots, config))).transpose(0, 3, 1, 2)
    return clip, frame_targets(shot_labels("x", shots, config), np.arange(len(clip)) / config.fps)


def test_one_seed_gives_the_same_labels_and_pixels(tmp_path):
    for name, seed, trailers in (("a", 3, 2), ("b", 3, 3), ("c", 4, 2)):
        synthesize(tmp_path / name, dataclasses.replace(SMALL, trailers=trailers), seed=seed)
    first, more, other = (tmp_path / name for name in "abc")
    # more trailers from one seed begin with the same ones
    for name in ("trailer_000.mp4", "trailer_001.mp4"):
        assert (first / name).read_bytes() == (more / name).read_bytes()
        assert (first / name).read_bytes() != (other / name).read_bytes()
    labels = (first / "labels.csv").read_bytes()
    assert (more / "labels.csv").read_bytes().startswith(labels)
    assert (other / "labels.csv").read_bytes() != labels


def test_an_independent_reader_finds_the_frames_that_were_drawn(tmp_path):
    labels = synthesize(tmp_path, SMALL, seed=5)
    times, pictures = decode_media(tmp_path / "trailer_000.mp4")
    rng = np.random.default_rng(np.random.SeedSequence(5).spawn(1)[0])
    shots = plan_shots(rng, SMALL)
    frames = list(draw_trailer(rng, shots, SMALL))
    assert len(pictures) == len(frames) == shots[-1].stop
    np.testing.assert_allclose(times, np.arange(len(frames)) / SMALL.fps, atol=1e-3)
    error = np.abs(np.stack(pictures).astype(int) - np.stack(frames)).mean()
    assert error < 12  # of 255: what MPEG-4 costs on such small hard-edged pictures
    own = labels[labels["trailer"] == "trailer_000.mp4"]
    assert own["end"].max() == pytest.approx(len(frames) / SMALL.fps)
    assert read_labels(tmp_path / "labels.csv").equals(labels)


def test_the_sound_of_a_file_is_that_of_its_shots(tmp_path):
    synthesize(tmp_path, SMALL, seed=5)
    seeds = np.random.SeedSequence(5).spawn(1)[0]
    shots = plan_shots(np.random.default_rng(seeds), SMALL)
    sound = np.concatenate(list(trailer_sound(np.random.default_rng(seeds.spawn(1)[0]), shots, SMALL)))
    assert len(sound) == round(shots[-1].stop / SMALL.fps * SOUND_RATE)
    assert 0.2 < np.abs(sound).max() < 1
    heard = np.concatenate(list(read_sound(tmp_path / "trailer_000.mp4")))
    np.testing.assert_allclose(heard, sound, atol=1e-3)  # 16 bits in the file, 11 in the result


def hearable(sound: np.ndarray) -> np.ndarray:
    """Return how loud six octaves are, and how much that changes: (12,)."""
    spectra = np.abs(np.fft.rfft(sound[: len(sound) // 800 * 800].reshape(-1, 800))) ** 2  # of 20 Hz, 20 a second
    bands = np.stack([spectra[:, 2**octave : 2 ** (octave + 1)].sum(axis=1) for octave in range(2, 8)], axis=1)
    levels = np.log10(bands + 1e-3)
    return np.concatenate([levels.mean(axis=0), levels.std(axis=0)])


def test_what_is_heard_tells_the_genres_apart():
    voices = voices_of(GENRES)
    known, new = (
        [
            [hearable(scene_sound(np.random.default_rng(seed), voice, 2 * SOUND_RATE)) for seed in seeds]
            for voice in voices.values()
        ]
        for seeds in (range(10), range(10, 30))
    )
    means = np.mean(known, axis=1)
    distances = np.linalg.norm(np.array(new)[:, :, None] - means, axis=-1)  # (genres, seeds, genres)
    right = (distances.argmin(axis=-1) == np.arange(len(GENRES))[:, None]).mean(axis=1)
    assert (right > 0.9).all(), right


def test_no_two_genres_sound_alike():
    genres = [*GENRES, *(f"genre {number}" for number in range(14))]
    assert len(set(voices_of(genres).values())) == len(genres)
    for voice in voices_of(genres).values():
        sound = scene_sound(np.random.default_rng(0), voice, SOUND_RATE)
        assert 0.01 < np.abs(sound).max() < 0.75
        assert np.abs(sound[[0, -1]]).max() < 0.01  # no click


def test_shots_cover_the_trailer_and_overlap_only_in_dissolves():
    config = SyntheticConfig(dissolve_share=0.5)
    overlaps = set()
    for seed in range(20):
        shots = plan_shots(np.random.default_rng(seed), config)
        assert shots[0].first == 0
        assert shots[-1].stop >= config.duration * config.fps
        overlaps |= {before.stop - after.first for before, after in itertools.pairwise(shots)}
    assert overlaps == {0, 12}


def test_all_genres_are_about_as_frequent():
    config = SyntheticConfig(fps=2.0, rows=8, cols=8)
    targets = np.concatenate([drawn(seed, config)[1] for seed in range(40)])
    prevalence = targets.mean(axis=0)
    assert (prevalence > 0.12).all()
    assert (prevalence < 0.3).all()
    assert (targets.sum(axis=1) > 1).mean() > 0.05  # genres overlap sometimes


@pytest.mark.slow
def test_single_frames_do_not_give_the_genre_away():
    """A logistic regression on colour histograms stays under 0.65 macro frame-AP: scikit-learn judges."""
    from sklearn.metrics import average_precision_score

    config = SyntheticConfig(fps=6.0, rows=32, cols=32)
    trailers = [drawn(seed, config) for seed in range(100, 166)]  # of fewer the figure is chance: 0.66 of ten
    train, test = trailers[:26], trailers[26:]
    times = [np.arange(len(clip)) / config.fps for clip, _ in trailers]
    pixels = [{COLOURS: colour_features(clip)} for clip, _ in trailers]
    baseline = baselines.fit("colour_histogram", pixels[:26], times[:26], [targets for _, targets in train], seed=0)
    scores = np.concatenate([baseline.score(*pair) for pair in zip(pixels[26:], times[26:], strict=True)])
    truth = np.concatenate([targets for _, targets in test])
    macro = np.mean([average_precision_score(truth[:, g], scores[:, g]) for g in range(len(GENRES))])
    assert truth.mean() + 0.1 < macro < 0.65  # colours tell the pair, not which of the two


def test_each_genre_moves_in_its_own_way():
    """Mean change between frames, measured on the pixels, in the order that the descriptions promise."""
    from genre_classifier.dataset.synthetic import draw_scene, looks_of

    seconds = np.arange(48) / 24
    change = {}
    for genre, look in looks_of(GENRES).items():
        frames = [
            np.stack(list(draw_scene(np.random.default_rng(seed), look, seconds, 48, 64))).astype(float)
            for seed in range(8)
        ]
        steps = np.concatenate([np.abs(np.diff(clip, axis=0)).mean(axis=(1, 2, 3)) for clip in frames])
        change[genre] = (steps.mean(), np.median(steps))
    assert change["action"][0] > 4 * change["other"][0]
    assert change["thriller"][1] > 2 * change["terror"][1]  # terror is frozen most of the time,
    assert change["terror"][0] > 2 * change["terror"][1]  # and jolts
    assert change["comedy"][0] > 0.5
    assert change["musical"][0] > 0.5


def test_genres_that_are_drawn_alike_differ_in_sound_alone():
    config = dataclasses.replace(SMALL, alike=("terror", "thriller"))
    drawn, heard = (
        [draw([Shot((genre,), 0, 12)]) for genre in config.genres]
        for draw in (
            lambda shots: np.stack(list(draw_trailer(np.random.default_rng(1), shots, config))),
            lambda shots: np.concatenate(list(trailer_sound(np.random.default_rng(1), shots, config))),
        )
    )
    pairs = list(itertools.combinations(range(len(config.genres)), 2))
    same = [pair for pair in pairs if np.array_equal(drawn[pair[0]], drawn[pair[1]])]
    assert [{config.genres[number] for number in pair} for pair in same] == [set(config.alike)]
    assert not [pair for pair in pairs if np.array_equal(heard[pair[0]], heard[pair[1]])]


@pytest.mark.parametrize(
    "options",
    [{"trailers": 0}, {"duration": 1.0}, {"alike": ("terror",)}, {"alike": ("terror", "drama")}, {"alike": ("a",) * 3}],
)
def test_impossible_options_are_refused(options):
    with pytest.raises(InputError, match=next(iter(options))):
        SyntheticConfig(**options)
