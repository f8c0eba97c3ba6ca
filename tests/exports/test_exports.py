"""Exports, each read back by a library that others wrote: pympi, OpenTimelineIO, FFmpeg, iiif-prezi3, mmif-python."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import av
import click
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from genre_classifier import cli
from genre_classifier.cli import group
from genre_classifier.dataset.label_formats import read_table
from genre_classifier.dataset.labels import read_labels
from genre_classifier.exports.chapters import chapters
from genre_classifier.exports.export import TAGS_FORMATS
from genre_classifier.exports.tagged import TaggedVideo, read_video
from genre_classifier.genres import GENRES
from genre_classifier.tagging.segments import write_segments
from preprocessing.base.errors import InputError
from tests.support.media import flat_frames, write_media
from tests.support.tags_folder import SEGMENTS, exported, tagged


@pytest.fixture
def tags(tmp_path: Path) -> Path:
    return tagged(tmp_path / "tags")


def test_elan_reads_its_tiers_and_so_does_training(tags: Path, tmp_path: Path) -> None:
    elan = pytest.importorskip("pympi")
    path = exported(tags, tmp_path / "out", "--to", "eaf")["film one.eaf"]
    document = elan.Eaf(str(path))
    assert sorted(document.get_tier_names()) == sorted(GENRES)
    found = [span[:3] for span in sorted(document.get_annotation_data_for_tier("comedy"))]
    assert found == [(0, 2002, "0.90"), (4500, 7250, "0.50")]
    (link,) = document.get_linked_files()
    assert link["MEDIA_URL"] == "file:///videos/film%20one.mp4"
    assert link["RELATIVE_MEDIA_URL"].endswith("/videos/film%20one.mp4")
    assert link["MIME_TYPE"] == "video/mp4"
    labels = read_labels(path).sort_values(["start", "genre"], ignore_index=True)
    assert labels["trailer"].unique().tolist() == ["film one.mp4"]
    pd.testing.assert_frame_equal(labels[["start", "end", "genre"]], SEGMENTS[["start", "end", "genre"]])


def test_a_tier_may_name_genres_by_its_values(tmp_path: Path) -> None:
    elan = pytest.importorskip("pympi")
    document = elan.Eaf()
    document.add_linked_file("file:///a/b.mp4", mimetype="video/mp4")
    document.add_annotation("default", 1000, 2500, "terror")
    document.to_file(str(tmp_path / "b.eaf"))
    assert read_labels(tmp_path / "b.eaf").to_dict("records") == [
        {"trailer": "b.mp4", "start": 1.0, "end": 2.5, "genre": "terror"}
    ]


def elan_of(tiers: str) -> str:
    header = '<HEADER><MEDIA_DESCRIPTOR MEDIA_URL="a.mp4" MIME_TYPE="video/mp4"/></HEADER>'
    times = '<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="0"/><TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="9"/>'
    schema = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="EAFv3.0.xsd"'
    about = 'AUTHOR="" DATE="2026-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0"'
    inside = f"{header}{times}</TIME_ORDER>{tiers}"
    return f"<ANNOTATION_DOCUMENT {about} {schema}>{inside}</ANNOTATION_DOCUMENT>"


def elan_tier(name: str, parent: str, **references: str) -> str:
    """Return a tier of annotations that refer to others; to a time where that is nothing."""
    lines = [f'<TIER TIER_ID="{name}" LINGUISTIC_TYPE_REF="t"' + (f' PARENT_REF="{parent}">' if parent else ">")]
    for number, other in references.items():
        times = 'TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2"'
        kind, words = ("REF", f'ANNOTATION_REF="{other}"') if other else ("ALIGNABLE", times)
        value = "<ANNOTATION_VALUE>action</ANNOTATION_VALUE>"
        lines.append(
            f'<ANNOTATION><{kind}_ANNOTATION ANNOTATION_ID="{number}" {words}>{value}</{kind}_ANNOTATION></ANNOTATION>'
        )
    return "".join(lines) + "</TIER>"


CIRCLES = {
    "one": (elan_tier("genre", "top", a1="a1"), "annotations that refer to each other in a circle ('a1')"),
    "two": (
        elan_tier("genre", "top", a1="a2") + elan_tier("b", "top", a2="a1"),
        "annotations that refer to each other",
    ),
    "into one": (
        elan_tier("genre", "b", a1="a2") + elan_tier("b", "top", a2="a2"),
        "annotations that refer to each other",
    ),
    "tiers": (elan_tier("genre", "b", a1="") + elan_tier("b", "genre"), "tiers that refer to each other in a circle"),
    "a long way": (
        elan_tier("genre", "top", a0="", **{f"a{number}": f"a{number - 1}" for number in range(1, 2000)}),
        "annotations whose references go over more than 100 others",
    ),
}


@pytest.mark.parametrize("kind", CIRCLES)
@pytest.mark.timeout(60)
def test_references_that_go_in_a_circle_are_a_line(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("pympi")
    tiers, expected = CIRCLES[kind]
    (tmp_path / "a.eaf").write_text(elan_of(tiers))
    with pytest.raises(InputError, match=rf"a\.eaf: expected ELAN annotations.*{re.escape(expected)}"):
        read_labels(tmp_path / "a.eaf")


def test_annotations_that_refer_to_others_have_their_times(tmp_path: Path) -> None:
    pytest.importorskip("pympi")
    tiers = elan_tier("top", "", a1="") + elan_tier("middle", "top", a2="a1") + elan_tier("genre", "middle", a3="a2")
    (tmp_path / "a.eaf").write_text(elan_of(tiers.replace("action", "terror")))
    labels = read_table(tmp_path / "a.eaf")
    assert set(zip(labels["start"], labels["end"], strict=True)) == {(0, 0.009)}
    assert list(labels["genre"]) == ["top", "middle", "terror"]


@pytest.mark.parametrize("text", ["<?xml version='1.0'?><ANNOTATION_DOCUMENT", "<html></html>", "<a/>"])
def test_what_is_no_elan_is_one_line(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pympi")
    (tmp_path / "a.eaf").write_text(text)
    assert cli.run(["labels", str(tmp_path / "a.eaf"), str(tmp_path / "out.csv")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "expected ELAN annotations (.eaf)" in error


def test_an_editor_finds_the_markers_where_the_segments_are(tags: Path, tmp_path: Path) -> None:
    otio = pytest.importorskip("opentimelineio")
    options = ["--to", "otio", "--start-timecode", "01:00:00:00"]
    timeline = otio.adapters.read_from_file(str(exported(tags, tmp_path / "out", *options)["film one.otio"]))
    (clip,) = timeline.find_clips()
    assert clip.media_reference.target_url == "file:///videos/film%20one.mp4"
    start = timeline.global_start_time
    assert start.to_timecode() == "01:00:00:00"
    rate = 24000 / 1001
    assert start.rate == rate
    assert clip.duration().value == round(12.5 * rate)
    assert [marker.name for marker in clip.markers] == ["comedy", "action", "comedy", "musical"]
    for marker, row in zip(clip.markers, SEGMENTS.to_dict("records"), strict=True):
        begin = (marker.marked_range.start_time - start).to_seconds()
        assert abs(begin - row["start"]) <= 0.5 / rate
        assert abs(begin + marker.marked_range.duration.to_seconds() - row["end"]) <= 0.5 / rate
        assert marker.metadata["genre_classifier"]["score"] == row["score"]


def test_a_list_of_edits_for_each_genre(tags: Path, tmp_path: Path) -> None:
    otio = pytest.importorskip("opentimelineio")
    files = exported(tags, tmp_path / "out", "--to", "edl", "--fps", "25", "--start-timecode", "10:00:00:00")
    assert sorted(files) == ["film one.action.edl", "film one.comedy.edl", "film one.musical.edl"]
    timeline = otio.adapters.read_from_file(str(files["film one.comedy.edl"]), rate=25)
    clips = list(timeline.find_clips())
    sources = [(clip.source_range.start_time.to_timecode(), clip.source_range.duration.value) for clip in clips]
    assert sources == [("10:00:00:00", 50), ("10:00:04:13", 68)]  # 4.5 s and 2.75 s, to the nearest frame
    records = re.findall(r"(\S+) (\S+)$", files["film one.comedy.edl"].read_text(), re.MULTILINE)
    assert ("00:00:04:13", "00:00:07:06") in records  # as long into the list as into the video
    assert "FROM CLIP NAME:  film one.mp4" in files["film one.comedy.edl"].read_text()


def test_lists_of_genres_that_are_gone_are_removed(tags: Path, tmp_path: Path, capsys) -> None:
    pytest.importorskip("otio_cmx3600_adapter")
    out = tmp_path / "out"
    assert len(exported(tags, out, "--to", "edl,chapters", "--fps", "25")) == 6
    other = ("film one.mine.edl", "film one.edl", "another.comedy.edl", "film one.comedy.edl.bak")
    for name in other:
        (out / name).write_text("not of this program")
    (out / "film one.terror.edl").mkdir()  # nor is a folder
    write_segments(tags / "film one" / "segments.csv", SEGMENTS[SEGMENTS["genre"] == "action"])
    capsys.readouterr()
    files = exported(tags, out, "--to", "edl", "--fps", "25")
    kept = ("film one.chapters.vtt", "film one.chapters.xml", "film one.ffmetadata")
    assert sorted(files) == sorted(["film one.action.edl", "film one.terror.edl", *kept, *other])
    printed = capsys.readouterr()
    assert printed.out == f"{out / 'film one.action.edl'}\n"
    assert "2 files of genres without a segment are removed" in printed.err
    write_segments(tags / "film one" / "segments.csv", SEGMENTS[:0])
    assert "film one.action.edl" not in exported(tags, out, "--to", "edl")


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\x85", "\u2028"])
def test_a_line_break_in_a_name_writes_no_line_of_its_own_in_an_edl(tmp_path: Path, end: str) -> None:
    pytest.importorskip("otio_cmx3600_adapter")
    line = "002  BAD V C 00:00:00:00 00:00:01:00 00:00:00:00 00:00:01:00"
    tags = tagged(tmp_path / "tags", source=f"a{end}{line}.mp4", video=f"/videos/b{end}{line}.mp4")
    files = exported(tags, tmp_path / "out", "--to", "edl", "--fps", "25")
    plain = exported(tagged(tmp_path / "plain"), tmp_path / "plain out", "--to", "edl", "--fps", "25")
    for name, path in plain.items():
        expected, found = (one.read_bytes().decode().splitlines() for one in (path, files[name]))
        assert len(found) == len(expected)
        assert not any(one.startswith("002  BAD") for one in found)


def test_ffmpeg_reads_the_chapters(tags: Path, tmp_path: Path) -> None:
    files = exported(tags, tmp_path / "out", "--to", "chapters")
    with av.open(str(files["film one.ffmetadata"]), format="ffmetadata") as container:
        found = [(float(one["start"] * one["time_base"]), one["metadata"]["title"]) for one in container.chapters()]
    assert found == [
        (0.0, "comedy"),
        (2.002, "action"),
        (4.5, "comedy + action"),
        (6.0, "comedy"),
        (7.25, "no genre"),
        (10.01, "musical"),
    ]
    document = ElementTree.fromstring(files["film one.chapters.xml"].read_bytes())
    atoms = [[atom.findtext(f".//{name}") for name in ("ChapterTimeStart", "ChapterString")] for atom in document[0]]
    assert atoms[:2] == [["00:00:00.000000000", "comedy"], ["00:00:02.002000000", "action"]]
    cues = (tmp_path / "out" / "film one.chapters.vtt").read_text().split("\n\n")
    assert cues[0] == "WEBVTT"
    assert cues[3] == "00:00:04.500 --> 00:00:06.000\ncomedy + action"


def test_names_of_genres_are_escaped_in_chapters(tmp_path: Path) -> None:
    tags = tagged(tmp_path / "tags", shares={"r&b's": 0.1})
    write_segments(tags / "film one" / "segments.csv", SEGMENTS.head(1).assign(genre="r&b's"))
    files = exported(tags, tmp_path / "out", "--to", "chapters")
    assert files["film one.chapters.vtt"].read_text().split("\n\n")[1].endswith("\nr&amp;b's")
    assert ElementTree.fromstring(files["film one.chapters.xml"].read_bytes()).findtext(".//ChapterString") == "r&b's"
    assert "title=r&b's\n" in files["film one.ffmetadata"].read_text()


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs the ffmpeg program")
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_the_line_for_ffmpeg_replaces_the_chapters_and_keeps_the_rest(tags: Path, tmp_path: Path, suffix: str) -> None:
    chapters_file = exported(tags, tmp_path / "out", "--to", "chapters")["film one.ffmetadata"]
    video, muxed, old = tmp_path / f"film{suffix}", tmp_path / f"muxed{suffix}", tmp_path / "old.ffmetadata"
    old.write_text(";FFMETADATA1\ntitle=My film\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=5000\ntitle=old\n")
    sources = "-f lavfi -i testsrc=d=13:s=64x64:r=10 -f lavfi -i sine=d=13 -f lavfi -i sine=d=13"
    tracks = "-map 0 -map 1 -map 2 -map_metadata 3 -c:v mpeg4"
    made = ["ffmpeg", *sources.split(), "-i", str(old), *tracks.split(), str(video)]
    subprocess.run(made, check=True, capture_output=True)
    text = (Path(__file__).parents[2] / "docs" / "editors.md").read_text()
    (line,) = re.findall(r"`(ffmpeg [^`]*)`", text)
    names = {"VIDEO": str(video), "FILE.ffmetadata": str(chapters_file), "OUT": str(muxed)}
    done = subprocess.run([names.get(word, word) for word in line.split()], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with av.open(str(muxed)) as container:
        found = [one["metadata"]["title"] for one in container.chapters()]
        assert found == [one.title for one in chapters(read_video(tags / "film one"))]
        assert container.metadata["title"] == "My film"
        assert len(container.streams.audio) == 2


@pytest.mark.skipif(shutil.which("mkvmerge") is None, reason="needs mkvtoolnix")
def test_mkvtoolnix_takes_the_chapters(tags: Path, tmp_path: Path) -> None:
    chapters_file = exported(tags, tmp_path / "out", "--to", "chapters")["film one.chapters.xml"]
    video = write_media(tmp_path / "film.mkv", flat_frames(320))
    merged = tmp_path / "merged.mkv"
    command = ["mkvmerge", "-q", "-o", str(merged), "--chapters", str(chapters_file), str(video)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    with av.open(str(merged)) as container:
        found = [
            (float(one["start"] * one["time_base"]), float(one["end"] * one["time_base"]), one["metadata"]["title"])
            for one in container.chapters()
        ]
    expected = [(one.start / 1000, one.end / 1000, one.title) for one in chapters(read_video(tags / "film one"))]
    assert found == expected


def test_what_is_missing_is_said(tags: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    def refused(*arguments: str) -> str:
        assert cli.run(["export", *arguments]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        return error

    out = str(tmp_path / "out")
    assert "expected one or more of eaf, otio" in refused(str(tags), out, "--to", "eaf,avi")
    for name, module in (("eaf", "pympi.Elan"), ("otio", "opentimelineio"), ("iiif", "iiif_prezi3"), ("mmif", "mmif")):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, module, None)
            assert "pip install -e '.[export]'" in refused(str(tags), out, "--to", name)
    for module in ("pympi", "opentimelineio", "iiif_prezi3"):
        pytest.importorskip(module)
    assert "found no tags.json" in refused(str(tmp_path), out, "--to", "eaf")
    assert "expected hh:mm:ss:ff" in refused(str(tags), out, "--to", "otio", "--start-timecode", "noon")
    bare = tagged(tmp_path / "bare", fps=None, size=None)
    assert "give --fps" in refused(str(bare), out, "--to", "otio")
    assert "tag it again" in refused(str(bare), out, "--to", "iiif")


@pytest.mark.parametrize(
    ("needs", "options", "said"),
    [
        ("pympi", "--to eaf --start-timecode garbage", "--start-timecode does nothing without --to otio or edl"),
        ("mmif", "--to chapters,mmif --start-timecode auto", "--start-timecode does nothing without --to otio or edl"),
        ("av", "--to chapters --fps 3", "--fps does nothing without --to otio or edl"),
        ("opentimelineio", "--to otio,chapters --base-url zzz", "--base-url does nothing without --to iiif"),
    ],
)
def test_an_option_that_no_format_uses_is_refused(
    tags: Path, tmp_path: Path, capsys, needs: str, options: str, said: str
) -> None:
    pytest.importorskip(needs)  # the libraries of the formats come before what is asked of them
    assert cli.run(["export", str(tags), str(tmp_path / "out"), *options.split()]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_rate_without_timecode_is_no_obstacle_to_markers(tmp_path: Path) -> None:
    otio = pytest.importorskip("opentimelineio")
    tags = tagged(tmp_path / "tags", fps=15.0)
    timeline = otio.adapters.read_from_file(str(exported(tags, tmp_path / "out", "--to", "otio")["film one.otio"]))
    (clip,) = timeline.find_clips()
    assert clip.markers[1].marked_range.start_time.value == 30


def test_clams_reads_the_time_frames(tags: Path, tmp_path: Path) -> None:
    mmif = pytest.importorskip("mmif")
    text = exported(tags, tmp_path / "out", "--to", "mmif")["film one.mmif"].read_text()
    document = mmif.Mmif(text)  # checks the schema
    (video,) = document.get_documents_by_type(mmif.DocumentTypes.VideoDocument)
    assert (video.location, video.properties.mime) == ("file:///videos/film%20one.mp4", "video/mp4")
    (view,) = document.get_all_views_contain(mmif.AnnotationTypes.TimeFrame)
    contains = view.metadata.contains[mmif.AnnotationTypes.TimeFrame]
    assert contains["timeUnit"] == "milliseconds"
    assert contains["labelset"] == list(GENRES)
    frames = list(view.get_annotations(mmif.AnnotationTypes.TimeFrame))
    assert [frame["document"] for frame in frames] == [video.id] * 4
    for frame, row in zip(frames, SEGMENTS.to_dict("records"), strict=True):
        assert frame["timeUnit"] == "milliseconds"
        assert (frame["start"], frame["end"]) == (round(1000 * row["start"]), round(1000 * row["end"]))
        assert (frame["label"], frame["classification"]) == (row["genre"], {row["genre"]: row["score"]})
    assert exported(tags, tmp_path / "out", "--to", "mmif")["film one.mmif"].read_text() == text


def test_the_help_names_every_format() -> None:
    result = CliRunner().invoke(group.get_command(click.Context(group), "export"), ["--help"])
    text = " ".join(result.output.split())
    assert all(re.search(rf"\b{name} \(", text) for name in TAGS_FORMATS)


def test_one_that_lacks_something_does_not_stop_the_others(tags: Path, tmp_path: Path, capsys) -> None:
    pytest.importorskip("opentimelineio")
    tagged(tags, "a bare one", fps=None)
    assert sorted(exported(tags, tmp_path / "out", "--to", "otio")) == ["film one.otio"]
    assert "give --fps; left out" in capsys.readouterr().err


def test_a_folder_may_be_called_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prezi = pytest.importorskip("iiif_prezi3")
    tags = tagged(tmp_path / "tags", "50% #1?")
    monkeypatch.chdir(tags / "50% #1?")
    files = exported(Path(), tmp_path / "out", "--to", "iiif,chapters")
    assert sorted(files) == [
        "50% #1?.chapters.vtt",
        "50% #1?.chapters.xml",
        "50% #1?.ffmetadata",
        "50% #1?.manifest.json",
    ]
    document = json.loads(files["50% #1?.manifest.json"].read_text())
    assert document["id"] == "http://localhost:8000/50%25%20%231%3F.manifest.json"
    video = document["items"][0]["items"][0]["items"][0]["body"]
    assert video["id"] == "http://localhost:8000/50%25%20%231%3F.mp4"  # expected beside the manifest
    prezi.Manifest.model_validate(document)


def test_a_damaged_video_is_left_out(tags: Path, tmp_path: Path, capsys) -> None:
    (tagged(tags, "other") / "other" / "tags.json").write_text("{")
    files = exported(tags, tmp_path / "out", "--to", "chapters")
    assert sorted(files) == ["film one.chapters.vtt", "film one.chapters.xml", "film one.ffmetadata"]
    assert "left out" in capsys.readouterr().err


@given(st.lists(st.tuples(st.floats(0, 20), st.floats(0, 20), st.sampled_from(GENRES)), max_size=8))
def test_chapters_cover_the_video_without_overlap(spans: list[tuple[float, float, str]]) -> None:
    rows = [(min(a, b), max(a, b), genre, 0.5) for a, b, genre in spans]
    segments = pd.DataFrame(rows, columns=["start", "end", "genre", "score"])
    video = TaggedVideo("a", Path("/a"), Path("/t"), 20.0, segments, GENRES, None, None)
    found = chapters(video)
    assert found[0].start == 0
    assert found[-1].end == 20_000
    assert all(one.end == two.start and one.title != two.title for one, two in itertools.pairwise(found))
    for moment in np.linspace(0.0137, 19.9937, 40):
        (here,) = [one for one in found if one.start <= 1000 * moment < one.end]
        near = any(abs(1000 * moment - 1000 * border) < 1 for row in rows for border in row[:2])
        running = [genre for genre in GENRES if any(a <= moment < b and genre == name for a, b, name, _ in rows)]
        assert near or here.title == (" + ".join(running) or "no genre")


def test_a_damaged_record_is_refused(tags: Path) -> None:
    (tags / "film one" / "tags.json").write_text((tags / "film one" / "tags.json").read_text().replace("23.98", '"x"'))
    with pytest.raises(InputError, match="found 'x' as 'fps'"):
        read_video(tags / "film one")
