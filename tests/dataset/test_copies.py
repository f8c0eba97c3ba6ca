"""The same video under two names: equal files are one group, near copies are found, and different films are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from genre_classifier.config import TrainingConfig
from genre_classifier.dataset.copies import group_copies, near_copies
from genre_classifier.dataset.splits import SPLIT_NAMES
from genre_classifier.dataset.trailers import Trailer, load_trailers, load_unlabelled
from preprocessing.manifest import read_manifest
from tests.support.notes import logged
from tests.support.trailers import TINY, write_clips

FPS = 8.0


def film(seed: int, *, frames: int = 64, size: int = 48) -> np.ndarray:
    """Return shots of bright and dark patches that drift: float, (frames, size, size)."""
    rng = np.random.default_rng(seed)
    pictures = []
    while len(pictures) < frames:
        shot = np.kron(rng.uniform(20, 220, (6, 6)), np.ones((size // 6, size // 6)))
        pictures += [np.roll(shot, step, axis=1) for step in range(rng.integers(6, 20))]
    return np.stack(pictures[:frames])


def write(folder: Path, number: int, pictures: np.ndarray, *, fps: float = FPS) -> None:
    clip = np.clip(pictures, 0, 255).astype(np.uint8)
    np.save(folder / f"trailer_{number}.npy", np.repeat(clip[:, None], 3, axis=1))
    np.save(folder / f"times_{number}.npy", np.arange(len(clip)) / fps)


def manifest(folder: Path, digests: list[str]) -> None:
    rows = "".join(f"{number},{number}.mp4,{digest},ok,64\n" for number, digest in enumerate(digests))
    (folder / "manifest.csv").write_text(f"trailer_id,source,sha256,status,frames\n{rows}")


def test_equal_files_are_one_group(tmp_path: Path) -> None:
    labels = write_clips(tmp_path, [4] * 8)
    labels["group"] = labels["trailer"].map({"3": "x", "4": "y", "5": "y", "6": "z"})
    manifest(tmp_path, ["a", "b", "a", "c", "c", "d", "e", ""])
    with logged() as notes:
        trailers = group_copies(load_trailers(tmp_path, labels), read_manifest(tmp_path))
    assert [trailer.group for trailer in trailers] == [
        "copies of 0.mp4",
        "trailer 1",
        "copies of 0.mp4",
        "x",
        "x",
        "x",
        "z",
        "trailer 7",
    ]
    assert notes == [
        "2 videos are there under several names (equal bytes): ('0.mp4', '2.mp4'), ('3.mp4', '4.mp4'); each is one "
        "group for the splits"
    ]


def test_clips_without_digests_stay_in_their_groups(tmp_path: Path) -> None:
    labels = write_clips(tmp_path, [4, 4])
    with logged() as notes:
        trailers = group_copies(load_trailers(tmp_path, labels), read_manifest(tmp_path))
    assert [trailer.group for trailer in trailers] == ["trailer 0", "trailer 1"]
    assert notes == []


def test_near_copies_are_found_and_other_films_are_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    films = [film(seed) for seed in range(30)]
    for number, pictures in enumerate(films):
        write(tmp_path, number, pictures)
    write(tmp_path, 30, films[3] + rng.normal(0, 6, films[3].shape))  # another codec
    write(tmp_path, 31, films[5] * 0.8 + 20)  # another brightness and contrast
    write(tmp_path, 32, films[7][::2], fps=FPS / 2)  # half the frames
    write(tmp_path, 33, films[9][:50])  # not the whole film
    write(tmp_path, 34, np.full((64, 48, 48), 80.0))  # two that never change
    write(tmp_path, 35, np.full((64, 48, 48), 80.0))
    wall = np.kron(rng.uniform(20, 220, (6, 6)), np.ones((8, 8)))  # two films of one camera that stands still
    for number in (36, 37):
        walkers = np.zeros((64, 48, 48))
        for frame in range(64):
            row, col = rng.integers(0, 36, 2)
            walkers[frame, row : row + 12, col : col + 12] = 60
        write(tmp_path, number, wall + walkers)
    assert near_copies(load_unlabelled(tmp_path)) == [(3, 30), (5, 31), (7, 32)]


def test_few_pixels_of_a_clip_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(2):
        write(tmp_path, number, film(number, frames=640))
    trailers, read = load_unlabelled(tmp_path), []

    class Watched(np.ndarray):
        def __getitem__(self, index):  # type: ignore[no-untyped-def]
            found = super().__getitem__(index)
            read.append(found.nbytes)
            return found

    monkeypatch.setattr(
        "genre_classifier.dataset.copies.load_clip", lambda path: np.load(path, mmap_mode="r").view(Watched)
    )
    assert near_copies(trailers) == []
    assert 0 < sum(read) <= 0.02 * sum(trailer.clip.stat().st_size for trailer in trailers)


def splits_of(clips: Path, labels: pd.DataFrame, *, seed: int) -> tuple[list[str], list[str], list[Trailer]]:
    from genre_classifier.training.plan import plan_training

    config = TrainingConfig(validation_share=0.25, test_share=0.25, seed=seed)
    with logged() as notes:
        plan = plan_training(
            clips,
            labels,
            clips / "run",
            model_config=TINY,
            training_config=config,
            splits_file=None,
            skip_unknown=False,
            resume=False,
        )
    assert set(plan.splits["split"]) == set(SPLIT_NAMES)
    return plan.splits["split"].tolist(), notes, plan.trailers


def test_training_never_learns_from_what_judges_it(tmp_path: Path) -> None:
    labels = write_clips(tmp_path, [8] * 12)
    manifest(tmp_path, [*"abcdef", *"abcdef"])
    for seed in range(5):
        splits, notes, _ = splits_of(tmp_path, labels, seed=seed)
        assert splits[:6] == splits[6:]
        assert sum("several names" in note for note in notes) == 1


def test_near_copies_in_different_splits_are_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    labels = write_clips(tmp_path, [64] * 12)
    for number in range(6):
        pictures = film(number, size=12)
        write(tmp_path, number, pictures)
        write(tmp_path, number + 6, pictures + rng.normal(0, 3, pictures.shape))
    splits, notes, trailers = splits_of(tmp_path, labels, seed=0)
    apart = [number for number in range(6) if splits[number] != splits[number + 6]]
    assert apart
    (note,) = (note for note in notes if "look like one video" in note)
    assert note.startswith(f"{len(apart)} pairs of trailers in different splits")
    for number in apart[:5]:
        assert f"({trailers[number].source!r}, {trailers[number + 6].source!r})" in note
    labels["group"] = [f"film {int(name) % 6}" for name in labels["trailer"]]
    _, notes, _ = splits_of(tmp_path, labels, seed=0)
    assert not any("look like one video" in note for note in notes)
