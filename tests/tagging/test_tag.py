"""Tagging a video equals preprocessing it and scoring the clip; bad videos are refused in preprocessing's words."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from genre_classifier.config import TagConfig
from genre_classifier.genres import GENRES
from genre_classifier.network.streaming import score_clip
from genre_classifier.run_folder.run import Run, load_run
from genre_classifier.tagging import folder
from genre_classifier.tagging.folder import tag_videos
from genre_classifier.tagging.scores import read_scores
from genre_classifier.tagging.tag import score_frames, tag_trailer
from genre_classifier.tagging.tasks import STAMP, plan_tasks
from preprocessing import load_clip, preprocess_directory, preprocess_trailer
from preprocessing.base.errors import InputError
from preprocessing.clips import clip_path, load_times, times_path
from preprocessing.config import ClipConfig
from preprocessing.processes.prefetch import Prefetch
from preprocessing.reader_client import SampledFrames
from tests.support.media import flat_frames, write_media
from tests.support.tag_examples import write_webm
from tests.support.tiny_run import make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return load_run(make_run(tmp_path_factory.mktemp("runs") / "tiny"))


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty frames of random colours, wider than high, at an uneven pace."""
    steps = np.random.default_rng(3).choice([0.04, 0.04, 0.04, 0.2], 60)
    times = (np.cumsum(steps) - steps[0]).tolist()
    return write_media(tmp_path_factory.mktemp("video") / "film.mkv", flat_frames(60, rows=48, cols=96), times)


def scored_by_steps(run: Run, video: Path, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Preprocess into files, then score the clip, and calibrate by the formula."""
    preprocess_trailer(video, folder, config=run.clip_config)
    raw = score_clip(run.model, load_clip(clip_path(folder, 0))).astype(np.float64)
    temperatures = np.array(list(run.temperatures.values()))
    calibrated = 1 / (1 + np.exp(-np.log(raw / (1 - raw)) / temperatures))
    return load_times(times_path(folder, 0)), calibrated


def test_tagging_equals_preprocessing_and_scoring(run: Run, video: Path, tmp_path: Path) -> None:
    times, scores = scored_by_steps(run, video, tmp_path)
    seen: list[tuple[float, float]] = []
    tags = tag_trailer(run, video, chunk=7, on_progress=lambda now, end: seen.append((now, end)))
    assert tags.scores.index.tolist() == times.tolist()
    assert tags.scores.columns.tolist() == list(GENRES)
    np.testing.assert_allclose(tags.scores.to_numpy(), scores, atol=1e-5)
    assert scores.std(axis=0).min() > 1e-3  # equal, and about something
    assert seen == [(now, times[-1]) for now in times]
    assert times[-1] < tags.duration <= times[-1] + 0.21
    assert set(tags.segments.columns) == {"start", "end", "genre", "score"}
    assert len(tags.thumbnails) == len(times)
    assert {one.picture.shape for one in tags.thumbnails} == {(144, 288, 3)}
    first = flat_frames(60, rows=48, cols=96)[0, 0, 0]
    np.testing.assert_allclose(tags.thumbnails[0].picture.mean(axis=(0, 1)), first, atol=2)


@pytest.mark.parametrize("chunk", [1, 40, 1000])
def test_scores_do_not_depend_on_the_chunk(run: Run, video: Path, chunk: int) -> None:
    found, whole = tag_trailer(run, video, chunk=chunk).scores, tag_trailer(run, video).scores
    assert found.index.tolist() == whole.index.tolist()
    np.testing.assert_allclose(found.to_numpy(), whole.to_numpy(), atol=1e-5)


def test_breaking_off_ends_the_reader(run: Run, video: Path) -> None:
    before = set(psutil.Process().children(recursive=True))

    def stop(now: float, end: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tag_trailer(run, video, chunk=2, on_progress=stop)
    assert set(psutil.Process().children(recursive=True)) <= before


def test_frames_in_memory(run: Run, video: Path, tmp_path: Path) -> None:
    _, scores = scored_by_steps(run, video, tmp_path)
    clip = load_clip(clip_path(tmp_path, 0))
    np.testing.assert_allclose(score_frames(run, clip, chunk=9), scores, atol=1e-5)
    assert score_frames(run, clip[:0]).shape == (0, 6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["chaplin_10s_360p.mp4", "caminandes1_30s_180p_av1.webm"])
def test_real_trailers(run: Run, real_trailers: Path, tmp_path: Path, name: str) -> None:
    times, scores = scored_by_steps(run, real_trailers / name, tmp_path)
    tags = tag_trailer(run, real_trailers / name)
    assert tags.scores.index.tolist() == times.tolist()
    np.testing.assert_allclose(tags.scores.to_numpy(), scores, atol=1e-4)


@pytest.mark.slow
def test_odd_videos_are_tagged(run: Run, tmp_path: Path) -> None:
    lone = tag_trailer(run, write_media(tmp_path / "lone.mkv", flat_frames(1)))
    assert len(lone.scores) == 1
    assert lone.duration == pytest.approx(1 / 25, abs=0.02)
    tall = tag_trailer(run, write_media(tmp_path / "tall.mkv", flat_frames(5, rows=400, cols=32)))
    assert tall.thumbnails[0].picture.shape == (144, 36, 3)
    black = np.broadcast_to(np.zeros((1, 1, 1, 3), np.uint8), (1500, 32, 32, 3))
    ten_minutes = tag_trailer(run, write_media(tmp_path / "black.mkv", black, [index * 0.4 for index in range(1500)]))
    assert ten_minutes.duration == pytest.approx(600, abs=1)
    assert len(ten_minutes.scores) == 40
    assert (ten_minutes.segments["end"] <= ten_minutes.duration).all()


@pytest.mark.slow
def test_a_clip_that_covers_only_the_beginning(run: Run, tmp_path: Path) -> None:
    """With a frame rate and a cap, the rest of the video has no scores and no segments."""
    import dataclasses

    capped = dataclasses.replace(run, clip_config=ClipConfig(frames=10, size=run.clip_config.size, fps=5))
    tags = tag_trailer(capped, write_webm(tmp_path / "film.webm", seconds=6))
    assert tags.scores.index.max() == pytest.approx(1.8, abs=0.05)
    assert tags.duration == pytest.approx(6, abs=0.1)
    assert (tags.segments["end"] <= 1.95).all()


def test_refusals_are_those_of_preprocessing(run: Run, tmp_path: Path) -> None:
    trailers = tmp_path / "trailers"
    trailers.mkdir()
    (trailers / "empty.mp4").write_bytes(b"")
    (trailers / "text.mp4").write_text("this is no video")
    (trailers / "folder.mp4").mkdir()
    manifest = preprocess_directory(trailers, tmp_path / "clips", config=run.clip_config, jobs=1)
    assert (manifest["status"] == "failed").all()
    for source, reason in zip(manifest["source"], manifest["error"], strict=True):
        with pytest.raises(InputError) as caught:
            tag_trailer(run, trailers / source)
        assert str(caught.value) == f"{trailers / source}: {reason}"
    with pytest.raises(InputError, match=r"gone\.mp4: expected a video file, found no such file"):
        tag_trailer(run, trailers / "gone.mp4")


@pytest.mark.slow
def test_awkward_real_files_end_as_in_preprocessing(run: Run, oddities: Path, tmp_path: Path) -> None:
    names = ["jet_error.mp4", "mp_result.webm", "iio_imageio_issue245.gif", "dec_video_90.mov", "exo_sample.flv"]
    (tmp_path / "some").mkdir()
    for name in names:
        (tmp_path / "some" / name).symlink_to(oddities / name)
    manifest = preprocess_directory(tmp_path / "some", tmp_path / "clips", config=run.clip_config, jobs=1)
    assert len(manifest) == len(names)
    for row in manifest.to_dict("records"):
        if row["status"] == "ok":
            assert len(tag_trailer(run, tmp_path / "some" / row["source"]).scores) == row["frames"]
        else:
            with pytest.raises(InputError) as caught:
                tag_trailer(run, tmp_path / "some" / row["source"])
            assert str(caught.value).endswith(row["error"])


def test_a_run_of_another_version(run: Run, tmp_path: Path) -> None:
    other = make_run(tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    config["model"]["wings"] = 2
    (other / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"config\.json.*wings.*version"):
        load_run(other)
    (other / "config.json").write_text((run.path / "config.json").read_text())
    (other / "model.keras").write_bytes(b"PK something else")
    with pytest.raises(InputError, match=r"model\.keras: expected a model of this version"):
        tag_trailer(load_run(other), write_media(tmp_path / "any.mkv", flat_frames(2)))


class Counter:
    """An iterator that remembers how far it was asked, and whether it was closed."""

    def __init__(self, stop: int, *, broken_at: int = -1) -> None:
        self.given = 0
        self.closed = False
        self._stop, self._broken_at = stop, broken_at

    def __call__(self) -> Iterator[int]:
        try:
            for number in range(self._stop):
                if number == self._broken_at:
                    raise InputError("broken here")
                self.given = number + 1
                yield number
        finally:
            self.closed = True


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before it is read", "while it is read", "while it is copied"])
def test_a_video_that_is_replaced_meanwhile_is_not_taken_for_the_one_before(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    video = write_media(tmp_path / "film.mkv", flat_frames(8))
    [task] = plan_tasks([(video, "film.mkv")], tmp_path / "tags")

    def replace(*_: object, **__: object) -> None:
        write_media(video, flat_frames(12, seed=1))

    if moment == "while it is copied":
        monkeypatch.setattr("genre_classifier.tagging.video_folder.write_overlay", replace)
    on_start, on_progress = (replace, None) if moment == "before it is read" else (None, replace)
    failures = tag_videos(
        run,
        [task],
        config=TagConfig(overlay=True),
        on_start=on_start,
        on_progress=on_progress if moment == "while it is read" else None,
        jobs=1,
    )
    assert [reason for _, reason in failures] == [
        f"{video}: it changed while it was tagged; run again when it is complete"
    ]
    assert not (task.folder / STAMP).exists()
    monkeypatch.undo()
    assert tag_videos(run, [task], config=TagConfig(overlay=True), jobs=1) == []
    assert len(read_scores(task.folder / "scores.csv")) == 12


def test_the_memory_of_an_ear_does_not_depend_on_what_runs_the_eye(tmp_path: Path) -> None:
    path = make_run(tmp_path / "run")
    run = load_run(path)
    needed = {}
    for engine in ("keras", "openvino"):
        model_config = dataclasses.replace(run.model_config, encoder_engine=engine)
        one = dataclasses.replace(run, model_config=model_config)
        (path / "sound_encoder.keras").unlink(missing_ok=True)
        without = folder._needed_bytes(one, TagConfig())
        (path / "sound_encoder.keras").write_bytes(bytes(1_000_000))
        needed[engine] = folder._needed_bytes(one, TagConfig()) - without
    assert needed["keras"] == needed["openvino"] > 100e6


def test_prefetch_keeps_order_and_stays_a_little_ahead() -> None:
    counter = Counter(50)
    for position, number in enumerate(Prefetch(counter(), ahead=3)):
        assert number == position
        time.sleep(0.001)
        # Three waiting, one in the worker's hand, one here.
        assert counter.given <= position + 5
    assert counter.given == 50


def test_prefetch_hands_errors_over_in_their_place() -> None:
    counter = Counter(9, broken_at=4)
    stream = Prefetch(counter())
    assert [next(stream) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(InputError, match="broken here"):
        next(stream)
    assert counter.closed


def test_prefetch_closes_what_it_reads() -> None:
    counter = Counter(1000)
    stream = Prefetch(counter())
    assert next(stream) == 0
    stream.close()
    assert counter.closed
    assert counter.given < 10


def test_times_that_packets_tell_wrongly(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the reader starts again, what was scored before is forgotten."""
    video = write_media(tmp_path / "film.mkv", flat_frames(50, seed=4))
    answer, answers = SampledFrames._next, list[dict[str, Any]]()

    def kept(frames: SampledFrames) -> dict[str, Any]:
        answers.append(answer(frames))
        return answers[-1]

    monkeypatch.setattr(SampledFrames, "_next", kept)
    expected = tag_trailer(run, video)
    pictures = [one for one in answers if "clip" in one]
    wrong = {"times": [np.linspace(0, 9, run.clip_config.frames).tolist()]}
    again = iter([wrong, *pictures[30:41], wrong, *pictures[:1], *answers])
    monkeypatch.setattr(SampledFrames, "_next", lambda _: next(again))
    found = tag_trailer(run, video, chunk=4)
    np.testing.assert_allclose(found.scores.to_numpy(), expected.scores.to_numpy(), atol=1e-6)
    assert found.scores.index.tolist() == expected.scores.index.tolist()
    assert len(found.thumbnails) == len(expected.thumbnails) == 40
