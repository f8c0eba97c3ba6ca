"""`genre-classifier tag`: files, index, resuming, bad inputs and exit codes."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from genre_classifier import cli
from genre_classifier.dataset.labels import read_labels
from genre_classifier.genres import GENRES
from genre_classifier.run_folder import run as runs
from genre_classifier.tagging.scores import read_scores
from genre_classifier.tagging.tasks import FILES, STAMP, plan_tasks
from preprocessing.base.errors import InputError, WorkError
from tests.support.media import flat_frames, write_media
from tests.support.tiny_run import make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "tiny", frames=20)


@pytest.fixture(autouse=True, scope="module")
def loaded_once() -> Iterator[None]:
    """Load each run once in this file: loading costs more than tagging here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "load_run", functools.cache(runs.load_run))
        yield


@pytest.fixture
def trailers(tmp_path: Path) -> Path:
    folder = tmp_path / "trailers"
    (folder / "more").mkdir(parents=True)
    write_media(folder / "a.mkv", flat_frames(30, seed=1))
    write_media(folder / "more" / "b.mkv", flat_frames(50, seed=2))
    return folder


def tag(*arguments: object) -> int:
    """Run the command without what `main` does to the process: its stderr stays the one that pytest reads."""
    return cli.run(["tag", "--jobs", "1", *map(str, arguments)])


def test_every_file_is_written(run: Path, trailers: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "tags"
    assert (
        tag(run, trailers / "a.mkv", "--out", out, "--overlay", "--embed", "--label-studio", "--min-segment", 0.1) == 0
    )
    folder = out / "a"
    assert capfd.readouterr().out.splitlines() == [str(folder / "viewer.html"), str(out / "index.html")]
    names = {path.name for path in folder.iterdir()}
    assert names == {*FILES, "tags.json", "overlay.mp4", "label_studio.json", "poster.jpg"}
    scores = read_scores(folder / "scores.csv")
    assert len(scores) == 20
    assert (folder / "scores.csv").read_text().splitlines()[0] == "frame,time," + ",".join(GENRES)
    assert (folder / "segments.csv").read_text().splitlines()[0] == "start,end,genre,score"
    segments = pd.read_csv(folder / "segments.csv")
    assert len(segments) > 0
    labels = read_labels(folder / "segments.json")
    assert set(labels["trailer"]) == {"a.mkv"}
    assert labels["genre"].tolist() == segments["genre"].tolist()
    assert len(read_labels(folder / "label_studio.json")) == len(segments)
    assert (out / "label_studio.json").read_text() == (folder / "label_studio.json").read_text()
    page = (folder / "viewer.html").read_text()
    assert "data:video/webm;base64," in page
    assert (folder / "timeline.png").read_bytes().startswith(b"\x89PNG")
    overlay = cv2.VideoCapture(str(folder / "overlay.mp4"))
    assert overlay.get(cv2.CAP_PROP_FRAME_COUNT) == 30
    assert overlay.get(cv2.CAP_PROP_FPS) == pytest.approx(25)


@pytest.mark.slow
def test_exports_come_with_the_tags(run: Path, trailers: Path, tmp_path: Path, capsys) -> None:
    pytest.importorskip("pympi")
    out = tmp_path / "tags"
    shutil.copy(trailers / "a.mkv", trailers / "exports.mkv")
    assert tag(run, trailers, "--out", out, "--min-segment", 0.1, "--also", "eaf,chapters") == 0
    ends = ("eaf", "ffmetadata", "chapters.xml", "chapters.vtt")
    expected = [f"{name}.{end}" for name in ("_exports", "a", "b") for end in ends]
    assert sorted(path.name for path in (out / "exports").iterdir()) == sorted(expected)
    printed = capsys.readouterr().out.splitlines()
    lines = [" ".join(expected[start : start + 4]) for start in (0, 4, 8)]  # one for each video
    assert printed[-4:] == [str(out / "index.html"), *(f"{out / 'exports'}{os.sep}{line}" for line in lines)]
    assert cli.run(["export", str(out), str(tmp_path / "again"), "--to", "chapters"]) == 0
    for path in (tmp_path / "again").iterdir():
        assert path.read_bytes() == (out / "exports" / path.name).read_bytes()
    segments = pd.read_csv(out / "b" / "segments.csv")
    assert len(read_labels(out / "exports" / "b.eaf")) == len(segments)


def test_exports_of_before_are_named(run: Path, trailers: Path, tmp_path: Path, capsys) -> None:
    out, video, said = tmp_path / "tags", trailers / "a.mkv", "holds the segments of before; --also FORMATS"
    assert tag(run, video, "--out", out, "--also", "chapters") == 0
    assert tag(run, video, "--out", out) == 0  # nothing has changed
    assert said not in capsys.readouterr().err
    assert tag(run, video, "--out", out, "--threshold", 0.9) == 0
    assert said in capsys.readouterr().err
    assert tag(run, video, "--out", out, "--threshold", 0.8, "--also", "chapters") == 0
    assert said not in capsys.readouterr().err
    assert tag(run, trailers, "--out", out, "--threshold", 0.8) == 0  # another video
    assert said in capsys.readouterr().err


def test_a_prefix_for_a_file_that_is_not_written_is_refused(run: Path, trailers: Path, tmp_path: Path, capsys) -> None:
    out, prefix = tmp_path / "tags", ("--label-studio-prefix", "/films/")
    said = "--label-studio-prefix does nothing without --label-studio"
    assert tag(run, trailers, "--out", out, *prefix) == 2
    assert said in capsys.readouterr().err
    assert not out.exists()
    assert tag(run, trailers / "a.mkv", "--out", out, "--label-studio", "--min-segment", 0.1) == 0
    assert cli.run(["tag", str(out), "--again", *prefix]) == 0  # it was written then
    assert "/films/a.mkv" in (out / "label_studio.json").read_text()
    assert cli.run(["tag", str(out), "--again", "--no-label-studio", *prefix]) == 2
    assert said in capsys.readouterr().err


def test_exports_that_cannot_be_are_refused_before_the_work(
    run: Path, trailers: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pympi.Elan", None)
    for wanted, said in (("avi", "--also: expected one or more of eaf"), ("eaf", "[export]'")):
        assert tag(run, trailers, "--out", tmp_path / "tags", "--also", wanted) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert said in error
    assert not (tmp_path / "tags").exists()


@pytest.mark.slow
def test_a_folder_gets_an_index_and_is_resumed(run: Path, trailers: Path, tmp_path: Path) -> None:
    out = tmp_path / "tags"
    (trailers / "bad.mp4").write_text("no video")
    assert tag(run, trailers, "--out", out) == 0
    summary = pd.read_csv(out / "summary.csv", keep_default_na=False).set_index("source")
    assert summary["status"].to_dict() == {"a.mkv": "ok", "more/b.mkv": "ok", "bad.mp4": "failed"}
    assert "expected a video" in summary.loc["bad.mp4", "error"]
    assert float(summary.loc["more/b.mkv", "duration"]) == pytest.approx(2, abs=0.01)
    segments = pd.read_csv(out / "b" / "segments.csv")
    for genre in GENRES:
        rows = segments[segments["genre"] == genre]
        share = (rows["end"] - rows["start"]).sum() / 2
        assert float(summary.loc["more/b.mkv", f"{genre}_share"]) == pytest.approx(share, abs=1e-3)
    assert "more/b.mkv" in (out / "index.html").read_text()

    def written() -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in out.glob("*/*")}

    before = written()
    shutil.copy(trailers / "a.mkv", trailers / "c.mkv")
    (out / "b" / "timeline.png").unlink()
    assert tag(run, trailers, "--out", out) == 0
    after = written()
    # The one that is complete is left alone, the damaged one is done again, the new one is added.
    changed = {Path(path).parent.name for path in after if before.get(path) != after[path]}
    assert changed == {"b", "c"}
    # Other bytes, or another way of tagging, is other work.
    write_media(trailers / "a.mkv", flat_frames(31, seed=9))
    assert tag(run, trailers, "--out", out) == 0
    assert written()[str(out / "a" / "tags.json")] != after[str(out / "a" / "tags.json")]
    assert written()[str(out / "b" / "tags.json")] == after[str(out / "b" / "tags.json")]
    assert tag(run, trailers, "--out", out, "--off-ratio", 1) == 0
    assert written()[str(out / "b" / "tags.json")] != after[str(out / "b" / "tags.json")]


@pytest.mark.slow
def test_other_thresholds_need_no_new_scores(
    run: Path, trailers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "tags"
    assert tag(run, trailers, "--out", out, "--min-segment", 0.1) == 0
    names = ("segments.csv", "segments.vtt", "segments.json", "viewer.html", STAMP)

    def written() -> dict[str, bytes]:
        return {name: (out / "b" / name).read_bytes() for name in names}

    first = written()
    monkeypatch.setattr("genre_classifier.tagging.folder.tag_video", None)  # nothing is scored from here on
    table = pd.read_csv(out / "b" / "scores.csv")
    middle = f"{table.iloc[:, 2:].median().median():.6f}"  # half of the scores lie on either side
    assert cli.run(["tag", str(out), "--again", "--threshold", middle]) == 0
    other = written()
    assert all(first[name] != other[name] for name in names)
    # The same thresholds: done. The run's: not done, and made from the scores.
    assert tag(run, trailers, "--out", out, "--min-segment", 0.1, "--threshold", middle) == 0
    assert written() == other
    assert "stored scores" not in capsys.readouterr().err
    assert tag(run, trailers, "--out", out, "--min-segment", 0.1) == 0
    assert written() == first
    assert "2 scored before: segments and pages are made again from the stored scores" in capsys.readouterr().err
    monkeypatch.undo()
    scores = (out / "b" / "scores.csv").read_bytes()
    (out / "b" / "scores.csv").write_bytes(scores[:400])  # damaged, it is scored again
    assert tag(run, trailers, "--out", out, "--min-segment", 0.2) == 0
    assert (out / "b" / "scores.csv").read_bytes() == scores
    assert tag(run, trailers, "--out", tmp_path / "fresh", "--min-segment", 0.1, "--threshold", middle) == 0
    for name in names[:4]:
        assert (tmp_path / "fresh" / "b" / name).read_bytes() == other[name], name


def test_videos_and_a_folder_are_needed(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, said in (([run], "Missing argument 'VIDEO...'"), ([run, "x.mp4"], "Missing option '--out'")):
        assert tag(*arguments) == 2
        assert said in capsys.readouterr().err


def test_extras_of_another_command_do_not_stay(run: Path, trailers: Path, tmp_path: Path) -> None:
    video, out = trailers / "a.mkv", tmp_path / "tags"
    assert tag(run, video, "--out", out, "--overlay") == 0
    assert (out / "a" / "overlay.mp4").exists()
    assert tag(run, video, "--out", out) == 0
    assert not (out / "a" / "overlay.mp4").exists()


@pytest.mark.slow
def test_two_videos_of_one_name_are_both_kept(run: Path, trailers: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    write_media(other / "a.mkv", flat_frames(10, seed=5))
    out = tmp_path / "tags"
    assert tag(run, trailers / "a.mkv", other / "a.mkv", trailers / "a.mkv", "--out", out) == 0
    first, second = sorted(path.parent for path in out.glob("*/tags.json"))
    assert first.name == "a"
    assert second.name.startswith("a-")
    assert len(read_scores(first / "scores.csv")) == 20
    assert len(read_scores(second / "scores.csv")) == 10
    # The same names in another command, and in the other order.
    assert tag(run, other / "a.mkv", "--out", out) == 0
    assert tag(run, other / "a.mkv", trailers / "a.mkv", "--out", out) == 0
    assert len(list(out.glob("*/tags.json"))) == 2
    assert len(pd.read_csv(out / "summary.csv")) == 2


def test_genres_that_exclude_each_other_share_out_the_video(
    trailers: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run, out = make_run(tmp_path / "run", frames=20, exclusive=True), tmp_path / "tags"
    assert tag(run, trailers / "a.mkv", "--out", out, "--min-segment", 0, "--min-gap", 0, "--smooth", 0) == 0
    scores, segments = read_scores(out / "a" / "scores.csv"), pd.read_csv(out / "a" / "segments.csv")
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    assert segments["start"].tolist()[1:] == segments["end"].tolist()[:-1]
    best = scores.idxmax(axis=1)
    assert segments["genre"].tolist() == best[best != best.shift()].tolist()
    assert json.loads((out / "a" / STAMP).read_text())["made_with"]["exclusive"] is True
    shares = pd.read_csv(out / "summary.csv").filter(like="_share").loc[0]
    assert shares.sum() == pytest.approx(1, abs=1e-4)
    capfd.readouterr()
    assert tag(run, trailers / "a.mkv", "--out", tmp_path / "other", "--threshold", 0.4) == 2
    assert "--threshold: the genres of this run exclude each other" in capfd.readouterr().err
    assert not (tmp_path / "other").exists()
    before = (out / "a" / "segments.csv").read_bytes()
    assert tag(run, trailers / "a.mkv", "--out", out) == 0  # from the stored scores
    assert (out / "a" / "segments.csv").read_bytes() != before
    assert (out / "a" / "scores.csv").stat().st_mtime_ns < (out / "a" / STAMP).stat().st_mtime_ns


def test_an_empty_folder_that_was_there_stays(run: Path, tmp_path: Path) -> None:
    bad, out = tmp_path / "bad.mp4", tmp_path / "tags"
    bad.write_text("no video")
    out.mkdir()
    assert tag(run, bad, "--out", out) == 2
    assert list(out.iterdir()) == []


def test_exit_codes(run: Path, trailers: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_text("no video")
    out = tmp_path / "tags"
    assert tag(run, bad, "--out", out) == 2
    message = capfd.readouterr().err.strip().splitlines()[-1]
    assert message.startswith(f"genre-classifier: {bad}: expected a video")
    assert not out.exists()  # nothing was tagged
    assert tag(run, bad, trailers / "a.mkv", "--out", out) == 0
    assert tag(run, bad, trailers / "a.mkv", "--out", out, "--strict") == 1
    capfd.readouterr()

    file = tmp_path / "file"
    file.touch()
    for arguments, words in (
        ((tmp_path / "no run", trailers, "--out", out), "expected a run folder"),
        ((run, tmp_path / "gone.mp4", "--out", out), "no such file"),
        ((run, trailers, "--out", file), "expected a folder to write to"),
        ((run, trailers, "--out", file / "below"), "expected a folder to write to"),
        ((run, trailers, "--out", out, "--off-ratio", 2), "--off-ratio must be above 0 and at most 1, got 2"),
        ((run, trailers, "--out", out, "--min-gap", "nan"), "--min-gap must be from 0"),
    ):
        assert tag(*arguments) == 2, words
        lines = capfd.readouterr().err.strip().splitlines()
        assert words in lines[-1]
        assert not any("Traceback" in line for line in lines)


def test_a_model_that_cannot_be_loaded_is_no_fault_of_the_videos(
    run: Path, trailers: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(run, broken)
    (broken / "model.keras").write_bytes(b"PK")
    assert tag(broken, trailers, "--out", tmp_path / "tags") == 2
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err.count("model.keras: expected a model") == 1


@pytest.mark.slow
def test_a_full_disk_ends_the_work(
    run: Path, trailers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def full(path: Path, *_: object) -> None:
        raise WorkError(f"{path}: could not be written: No space left on device")

    out = tmp_path / "tags"
    with monkeypatch.context() as patch:
        patch.setattr("genre_classifier.tagging.video_folder.write_timeline", full)
        assert tag(run, trailers, "--out", out) == 1
    assert "No space left" in capfd.readouterr().err
    assert not list(out.glob("*/tags.json"))
    assert tag(run, trailers, "--out", out) == 0
    assert len(list(out.glob("*/tags.json"))) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["..mkv", "-rf.mkv", "index.html.mkv", "two\nlines.mkv", "caf\udce9.mkv", "{{x}}$a$.mkv"]
)
def test_awkward_names(run: Path, tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    video = tmp_path / "in" / name
    video.parent.mkdir()
    write_media(tmp_path / "plain.mkv", flat_frames(3))
    os.rename(tmp_path / "plain.mkv", video)  # noqa: PTH104 - the name may hold any bytes
    out = tmp_path / "tags"
    assert tag(run, video, "--out", out) == 0
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) == 2
    (stamp,) = out.glob("*/tags.json")
    assert stamp.parent.parent == out
    json.loads(stamp.read_text(encoding="utf-8"))
    assert len(pd.read_csv(out / "summary.csv")) == 1
    assert tag(run, video, "--out", out) == 0
    assert len(list(out.glob("*/tags.json"))) == 1


def test_folders_are_named_the_same_in_every_command(tmp_path: Path) -> None:
    videos = [(tmp_path / place / "x.mp4", "x.mp4") for place in ("one", "two", "one")]
    jobs = plan_tasks(videos, tmp_path / "out")
    assert [job.video for job in jobs] == [tmp_path / "one" / "x.mp4", tmp_path / "two" / "x.mp4"]
    assert jobs[0].folder == tmp_path / "out" / "x"
    assert jobs == plan_tasks(videos, tmp_path / "out")
    long = plan_tasks([(Path("é" * 120 + ".mp4"), "long")], tmp_path)[0].folder.name
    assert len(os.fsencode(long)) <= 200


def test_help_is_quick_to_load() -> None:
    heavy = "{'keras', 'tensorflow', 'pandas', 'cv2'}"
    code = f"import genre_classifier.cli.tag, sys; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_overlay_bars_are_as_long_as_the_scores() -> None:
    from genre_classifier.genres import GENRE_COLOURS
    from genre_classifier.tagging.video_copies import draw_scores

    picture = np.full((360, 640, 3), 200, np.uint8)
    scores = np.array([0.0, 0.25, 0.5, 0.75, 1.0, 0.6])
    colours = {genre: tuple(bytes.fromhex(colour[1:])) for genre, colour in GENRE_COLOURS.items()}
    named = dict(zip(GENRES, scores, strict=True))
    drawn = draw_scores(picture, named, dict.fromkeys(GENRES, 0.9), colours, ["terror"])
    pixels = [int((drawn == colours[genre]).all(axis=2).sum(axis=1).max()) for genre in GENRES]
    # A bar of score 1 is full; one of score 0 is a pixel wide, and antialiasing leaves two more.
    np.testing.assert_allclose(np.array(pixels) / pixels[4], scores, atol=4 / pixels[4])
    assert (picture == 200).all()
    assert (drawn[230:265] != 200).any()  # the name of the running genre stands above the bars
    unnamed = draw_scores(picture, named, dict.fromkeys(GENRES, 0.9), colours, [])
    assert (unnamed[:268] == 200).all()
    full = {**named, "comedy": 1.0}
    ticked, plain = (draw_scores(picture, full, limits, colours, []) for limits in (dict.fromkeys(GENRES, 0.5), None))
    assert (plain == colours["comedy"]).all(axis=2).sum() > (ticked == colours["comedy"]).all(axis=2).sum()


def test_errors_of_extras_name_the_video(tmp_path: Path) -> None:
    from genre_classifier.tagging.video_copies import embedded_copy

    (tmp_path / "x.mp4").write_text("no video")
    with pytest.raises(InputError, match=r"x\.mp4: expected a video"):
        embedded_copy(tmp_path / "x.mp4")
