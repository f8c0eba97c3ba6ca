"""Segments again from stored scores: the files of a fresh tagging, without its run, its network and its video."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from genre_classifier import cli
from genre_classifier.config import SegmentConfig, TagConfig
from genre_classifier.genres import GENRES
from genre_classifier.tagging.segments import read_thresholds, to_segments
from genre_classifier.tagging.summary import write_tags_index
from genre_classifier.tagging.tags import Tags
from genre_classifier.tagging.tasks import STAMP, Task, has_scores, is_done, made_with, make_stamp, read_record
from genre_classifier.tagging.video_folder import write_tags
from genre_classifier.tagging.viewer import read_page
from preprocessing.base.errors import InputError
from preprocessing.config import VideoLimits
from tests.support.tag_examples import example_tags, write_webm

NAMES = ("first", "second")
RULES = SegmentConfig(smooth_seconds=0.3, off_ratio=0.8, min_seconds=0.4, min_gap_seconds=0.2)  # those of the example


def changed(tags: Tags, thresholds: dict[str, float], rules: SegmentConfig) -> Tags:
    used = {**tags.thresholds, **thresholds}
    segments = to_segments(tags.scores, used, rules, duration=tags.duration)
    return dataclasses.replace(tags, thresholds=used, segment_config=rules, segments=segments)


def write_exclusive(out: Path, videos: Path, rules: SegmentConfig = RULES) -> None:
    """Write what `tag` writes of a video whose genres exclude each other."""
    task = Task(videos / "first.webm", "first.webm", out / "best")
    tags = example_tags(task.video, seconds=2.0, frames=60, exclusive=True)
    segments = to_segments(tags.scores, None, rules, duration=tags.duration)
    tags = dataclasses.replace(tags, segment_config=rules, segments=segments)
    stamp = make_stamp(task, made_with("run", TagConfig(), rules, {}, exclusive=True))
    write_tags(task, tags, stamp, config=TagConfig(), limits=VideoLimits())
    write_tags_index(out, [])


def write(
    out: Path,
    videos: Path,
    config: TagConfig,
    *,
    thresholds: dict[str, float] | None = None,
    rules: SegmentConfig = RULES,
) -> None:
    """Write what `tag` writes of two videos, and of one that it could not read."""
    thresholds = thresholds or {}
    for name in NAMES:
        task = Task(videos / f"{name}.webm", f"{name}.webm", out / name)
        stamp = make_stamp(task, made_with("run", config, rules, thresholds))
        tags = changed(example_tags(task.video, seconds=2.0, frames=60), thresholds, rules)
        write_tags(task, tags, stamp, config=config, limits=VideoLimits())
    write_tags_index(out, [("bad.mp4", "no video")])


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    (tmp_path / "videos").mkdir()
    for name in NAMES:
        write_webm(tmp_path / "videos" / f"{name}.webm", seconds=2)
    return tmp_path / "videos"


_COPY = re.compile(rb"data:video/webm;base64,[^\"]+")


def content(path: Path) -> bytes:
    """Return what a file holds; of a copy of the video, which has a number drawn at random, that it is there."""
    return _COPY.sub(b"copy", path.read_bytes())


def again(tags: Path, *options: object) -> int:
    return cli.run(["tag", str(tags), "--again", *map(str, options)])


@pytest.mark.slow
@pytest.mark.parametrize("config", [TagConfig(), TagConfig(embed=True, label_studio=True, label_studio_prefix="x/")])
def test_the_files_are_those_of_a_fresh_tagging(videos: Path, tmp_path: Path, config: TagConfig, capsys) -> None:
    out, fresh = tmp_path / "tags", tmp_path / "fresh"
    write(out, videos, config)
    before = (out / "first" / "segments.csv").read_bytes()
    copies = _COPY.findall((out / "first" / "viewer.html").read_bytes())
    chosen = dict.fromkeys(GENRES, 0.45) | {"action": 0.3}
    write(fresh, videos, config, thresholds=chosen, rules=dataclasses.replace(RULES, off_ratio=0.5))
    shutil.rmtree(videos)  # nothing of it is needed
    assert again(out, "--threshold", "0.45,action=0.3", "--off-ratio", 0.5) == 0
    pages = [str(out / name / "viewer.html") for name in NAMES]
    assert capsys.readouterr().out.splitlines() == [*pages, str(out / "index.html")]
    files = {path.relative_to(fresh) for path in fresh.rglob("*") if path.is_file()}
    assert {path.relative_to(out) for path in out.rglob("*") if path.is_file()} == files
    for name in files:
        if name.name != "timeline.png":  # drawn with the pictures of the page, which are JPEG
            assert content(out / name) == content(fresh / name), name
    assert (out / "first" / "segments.csv").read_bytes() != before
    assert _COPY.findall((out / "first" / "viewer.html").read_bytes()) == copies
    assert len(copies) == config.embed
    assert "bad.mp4" in (out / "summary.csv").read_text()


def test_what_is_not_given_stays(videos: Path, tmp_path: Path) -> None:
    out, fresh = tmp_path / "tags", tmp_path / "fresh"
    write(out, videos, TagConfig())
    assert again(out, "--threshold", "action=0.3") == 0
    assert again(out, "--threshold", "comedy=0.9", "--min-segment", 0.7, "--label-studio") == 0
    record = read_record(out / "first")
    assert record.made_with["thresholds"] == {"comedy": 0.9, "action": 0.3}
    assert record.made_with["segments"] == RULES.to_dict() | {"min_seconds": 0.7}
    rules = dataclasses.replace(RULES, min_seconds=0.7)
    write(fresh, videos, TagConfig(label_studio=True), thresholds={"comedy": 0.9, "action": 0.3}, rules=rules)
    for name in ("first/segments.csv", "first/viewer.html", "first/tags.json", "label_studio.json"):
        assert (out / name).read_bytes() == (fresh / name).read_bytes(), name


@pytest.mark.slow
def test_genres_that_exclude_each_other_go_on_without_thresholds(videos: Path, tmp_path: Path, capsys) -> None:
    out, fresh = tmp_path / "tags", tmp_path / "fresh"
    write_exclusive(out, videos)
    assert json.loads((out / "best" / STAMP).read_text())["made_with"]["exclusive"] is True
    assert read_page(out / "best" / "viewer.html").thresholds() == {}
    rules = dataclasses.replace(RULES, min_seconds=0.6)
    write_exclusive(fresh, videos, rules)
    assert again(out, "--min-segment", 0.6) == 0
    for name in ("segments.csv", "viewer.html", STAMP):
        assert (out / "best" / name).read_bytes() == (fresh / "best" / name).read_bytes(), name
    # A threshold means nothing to them: alone it is refused, beside other videos it passes them over.
    capsys.readouterr()
    assert again(out, "--threshold", 0.4) == 2
    message = capsys.readouterr().err
    assert "--threshold: the genres of this run exclude each other" in message
    write(out, videos, TagConfig())
    before = (out / "best" / "segments.csv").read_bytes()
    assert again(out, "--threshold", 0.4) == 0
    assert (out / "best" / "segments.csv").read_bytes() == before
    assert read_record(out / "first").made_with["thresholds"]["action"] == 0.4


@pytest.mark.slow
def test_without_tensorflow(videos: Path, tmp_path: Path) -> None:
    write(tmp_path / "tags", videos, TagConfig())
    program = "import sys; from genre_classifier.cli import run; code = run(sys.argv[1:]); sys.stdout.flush(); "
    program += "print(code, sorted({'tensorflow', 'keras'} & set(sys.modules)))"
    command = [sys.executable, "-c", program, "tag", str(tmp_path / "tags"), "--again", "--threshold", "0.4"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed.splitlines()[-1] == "0 []"


def test_one_that_was_killed_is_not_done_and_can_be_done(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, fresh = tmp_path / "tags", tmp_path / "fresh"
    write(out, videos, TagConfig())

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    task = Task(videos / "first.webm", "first.webm", out / "first")
    stamp = make_stamp(task, made_with("run", TagConfig(), RULES, dict.fromkeys(GENRES, 0.4)))
    with monkeypatch.context() as patch:
        patch.setattr("genre_classifier.tagging.video_folder.write_timeline", stop)
        assert again(out, "--threshold", 0.4) == 130
    assert not is_done(out / "first", stamp)
    assert again(out) == 0  # the thresholds that were begun with
    assert is_done(out / "first", stamp)
    write(fresh, videos, TagConfig(), thresholds=dict.fromkeys(GENRES, 0.4))
    assert (out / "first" / "viewer.html").read_bytes() == (fresh / "first" / "viewer.html").read_bytes()


@pytest.mark.slow
def test_a_copy_or_an_overlay_needs_the_video(videos: Path, tmp_path: Path, capsys) -> None:
    out, fresh = tmp_path / "tags", tmp_path / "fresh"
    write(out, videos, TagConfig())
    write(fresh, videos, TagConfig(embed=True))
    assert again(out, "--embed") == 0
    for name in NAMES:
        assert content(out / name / "viewer.html") == content(fresh / name / "viewer.html")
    assert again(out, "--no-embed") == 0
    linked = (out / "first" / "viewer.html").read_text()
    assert "data:video/webm" not in linked
    assert "../../videos/first.webm" in linked
    (videos / "first.webm").unlink()
    before = {path: path.read_bytes() for path in (out / "first").iterdir()}
    assert again(out, "--overlay", "--threshold", 0.2) == 0
    assert "first.webm: expected the video that was tagged, found another one or none" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in (out / "first").iterdir()} == before
    assert (out / "second" / "overlay.mp4").exists()
    assert again(out, "--overlay", "--strict") == 1


@pytest.mark.slow
def test_a_damaged_folder_leaves_the_others(videos: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "tags"
    write(out, videos, TagConfig())
    good = {name: (out / "first" / name).read_text() for name in ("viewer.html", "scores.csv", STAMP)}
    wrong = json.loads(good[STAMP])
    wrong["made_with"]["segments"]["off_ratio"] = 2
    halved = "\n".join(good["scores.csv"].splitlines()[:50])
    for name, content, said in (
        ("viewer.html", "<p>", "viewer.html: expected the page that `tag` wrote, found none of its data"),
        ("viewer.html", good["viewer.html"].replace("image/jpeg;base64,/9", "image/jpeg;base64,AA"), "JPEG pictures"),
        ("scores.csv", halved, "scores.csv: expected the frames and genres that tags.json tells of"),
        (STAMP, json.dumps(wrong), "tags.json: off_ratio must be above 0 and at most 1"),
        (STAMP, good[STAMP].replace('"segments": {', '"segments": 1, "x": {'), "expected values by name as segments"),
        (STAMP, good[STAMP].replace('"overlay"', '"thresholds": {"action": "x"}, "overlay"'), "numbers as thresholds"),
    ):
        (out / "first" / name).write_text(content)
        assert again(out, "--threshold", "0.4") == 0, said
        captured = capsys.readouterr()
        assert said in captured.err
        assert captured.out.splitlines()[0] == str(out / "second" / "viewer.html")
        assert again(out, "--threshold", "0.4", "--strict") == 1
        (out / "first" / name).write_text(good[name])
    shutil.rmtree(out / "second")
    (out / "first" / "scores.csv").unlink()
    assert again(out) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--threshold", "1.2"), "--threshold must be a number above 0 and at most 1, or GENRE=NUMBER"),
        (("--threshold", "action=0.3,action=0.4"), "each genre once; got 'action=0.4'"),
        (("--threshold", "action=x"), "got 'action=x'"),
        (("--threshold", "drama=0.3"), "expected genres of the run (comedy, action, terror, thriller, musical, other)"),
        (("film.mp4",), "leave 'VIDEO...' out"),
        (("--out", "x", "--jobs", "2"), "leave '--out', '--jobs' out"),
    ],
)
def test_what_cannot_be_is_refused(videos: Path, tmp_path: Path, capsys, arguments, said) -> None:
    write(tmp_path / "tags", videos, TagConfig())
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert again(tmp_path / "tags", *arguments) == 2
    assert said in capsys.readouterr().err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_folder_that_tag_did_not_write(tmp_path: Path, capsys) -> None:
    assert again(tmp_path) == 2
    assert "expected a folder that `tag` wrote" in capsys.readouterr().err


@pytest.mark.slow
def test_exports_of_before_are_named_or_written_again(videos: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "tags"
    write(out, videos, TagConfig())
    assert again(out, "--also", "chapters", "--threshold", 0.9) == 0
    chapters = (out / "exports" / "first.chapters.vtt").read_text()
    assert again(out, "--threshold", 0.2) == 0
    assert "holds the segments of before; --also FORMATS writes them again" in capsys.readouterr().err
    assert again(out, "--also", "chapters") == 0
    assert "of before" not in capsys.readouterr().err
    assert (out / "exports" / "first.chapters.vtt").read_text() != chapters
    assert len(pd.read_csv(out / "summary.csv")) == 3


def test_thresholds_as_they_are_typed() -> None:
    assert read_thresholds("0.4") == {"": 0.4}
    assert read_thresholds("action=0.3,comedy=1") == {"action": 0.3, "comedy": 1.0}
    assert read_thresholds("action=0.3,.5") == {"action": 0.3, "": 0.5}
    for text in ("", "0", "nan", "action=", "0.4,", "0.4,0.5", "-1", "action:0.3"):
        with pytest.raises(InputError, match=r"--threshold must be a number above 0 and at most 1"):
            read_thresholds(text)


def test_scores_of_another_engine_are_not_taken(videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "tags"
    write(out, videos, TagConfig())
    task = Task(videos / "first.webm", "first.webm", out / "first")
    for config, same in ((TagConfig(label_studio=True), True), (TagConfig(encoder_engine="keras"), False)):
        stamp = make_stamp(task, made_with("run", config, RULES, {}))
        assert has_scores(task.folder, stamp) is same
