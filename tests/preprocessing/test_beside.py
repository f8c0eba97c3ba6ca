"""Other frames of videos, taken while these are decoded for their clips: the same, and no clip is lost by them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from preprocessing import preprocess_directory, reader_process
from preprocessing.base.errors import InputError, WorkError
from preprocessing.config import ClipConfig, VideoLimits
from preprocessing.processes.serving import Answers
from preprocessing.reader_client import job
from tests.support.beside import Recorded
from tests.support.folders import CONFIG, contents, make_trailers
from tests.support.media import damage, flat_frames, read, write_media


@pytest.mark.slow
def test_other_frames_of_the_same_decoding_are_those_of_another_and_clips_stay_the_same(tmp_path: Path) -> None:
    trailers = make_trailers(tmp_path / "trailers")  # a, b (bad), c, d/e
    noise = np.random.default_rng(1).integers(0, 256, (50, 48, 64, 3), dtype=np.uint8)
    damage(write_media(trailers / "damaged.avi", noise, codec="mpeg4", pix_fmt="yuv420p"), [20, 33])
    uneven = np.cumsum(np.random.default_rng(2).choice([0.04, 0.3], 50)).tolist()
    write_media(trailers / "uneven.mkv", noise, uneven)
    found = Recorded()
    manifest = preprocess_directory(trailers, tmp_path / "clips", config=CONFIG, jobs=2, beside=found)
    preprocess_directory(trailers, tmp_path / "alone", config=CONFIG, jobs=1)
    assert contents(tmp_path / "clips") == contents(tmp_path / "alone")
    assert [row["source"] for row in found.rows] == manifest["source"].tolist()
    good = manifest.loc[manifest["status"] == "ok", "source"].tolist()
    assert sorted(found.times) == good == ["a.mkv", "c.mkv", "d/e.mkv", "damaged.avi", "uneven.mkv"]
    for source in good[2:]:
        times, frames, _ = read(trailers / source, found.config)
        np.testing.assert_array_equal(np.stack(found.frames[source]), frames)
        np.testing.assert_array_equal(found.times[source], times)
    again = Recorded()
    preprocess_directory(trailers, tmp_path / "clips", config=CONFIG, jobs=1, beside=again)
    assert not again.frames  # nothing was decoded
    assert len(again.rows) == len(found.rows)


def test_a_picture_that_the_clip_does_without_does_not_cost_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = write_media(tmp_path / "v.mkv", flat_frames(12))
    usual = reader_process.decode

    def refusing(path: Path, configs: Any, limits: Any, sink: Any, **options: Any) -> Any:
        decoded = usual(path, configs, limits, sink, **options)
        if len(configs) > 1:
            raise InputError("a frame was decoded but could not be turned into pixels")
        return decoded

    def answered(name: str, *configs: ClipConfig) -> dict[str, Any]:
        task = job(video, configs, VideoLimits(), clip=tmp_path / name / "staged.npy")
        (tmp_path / name).mkdir()
        return reader_process._answer(task, Answers(io.BytesIO()))

    expected = answered("alone", CONFIG)
    monkeypatch.setattr(reader_process, "decode", refusing)
    found = answered("beside", Recorded.config, CONFIG)
    assert found == expected
    assert contents(tmp_path / "beside") == contents(tmp_path / "alone")


def test_a_full_disk_beside_the_clips_stops_the_run_and_a_rerun_goes_on(tmp_path: Path) -> None:
    trailers = make_trailers(tmp_path / "trailers")

    class Full(Recorded):
        def settle(self, row: dict[str, Any]) -> None:
            if row["source"] == "c.mkv":
                raise WorkError("no space left on device")

    with pytest.raises(WorkError, match="no space left"):
        preprocess_directory(trailers, tmp_path / "clips", config=CONFIG, jobs=1, beside=Full())
    preprocess_directory(trailers, tmp_path / "clips", config=CONFIG, jobs=1, beside=Recorded())
    preprocess_directory(trailers, tmp_path / "undisturbed", config=CONFIG, jobs=1)
    assert contents(tmp_path / "clips") == contents(tmp_path / "undisturbed")
