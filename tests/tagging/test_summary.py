"""`summary.csv` and `index.html` over a tags folder: what is damaged is left out with a line, no cell is a formula."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from genre_classifier.dataset.labels import read_labels
from genre_classifier.genres import GENRES
from genre_classifier.tagging.segments import write_segments
from genre_classifier.tagging.summary import read_summary, video_row, write_tags_index
from genre_classifier.tagging.tasks import plan_tasks
from tests.support.notes import logged

SEGMENTS = pd.DataFrame({"start": [0.0], "end": [2.5], "genre": ["comedy"], "score": [0.9]})
FACTS = {
    "schema": 1,
    "source": "a.mp4",
    "video": "/v/a.mp4",
    "bytes": 1000,
    "modified_ns": 0,
    "made_with": {},
    "duration": 10.0,
    "frames": 20,
    "segments_found": 1,
    "shares": dict.fromkeys(GENRES, 0.25),
}
HEAD = "start,end,genre,score\n"


def tagged(out, name, **changes):
    folder = out / name
    folder.mkdir(parents=True)
    (folder / "tags.json").write_text(json.dumps(FACTS | {"source": f"{name}.mp4"} | changes), encoding="utf-8")
    write_segments(folder / "segments.csv", SEGMENTS)
    return folder


DAMAGED_STAMPS = {
    "empty": "",
    "cut off": '{"schema": 1, "sou',
    "no object": "[1]",
    "nested": "[" * 100_000,
    "no text": b"\xff\xfe",
    "another schema": json.dumps(FACTS | {"schema": 99}),
    **{
        f"{name} {value!r}": json.dumps(FACTS | {name: value})
        for name, value in (
            ("source", None),
            ("source", ["a"]),
            ("duration", None),
            ("duration", "10"),
            ("duration", -1.0),
            ("frames", 2.5),
            ("frames", True),
            ("segments_found", None),
            ("shares", None),
            ("shares", [1]),
            ("shares", {"comedy": 1.5}),
            ("shares", dict.fromkeys(GENRES, 2.0)),
            ("shares", dict.fromkeys(GENRES, "x")),
            ("made_with", "x"),
            ("made_with", {"run": 1}),
            ("made_with", {"run": "x", "label_studio_prefix": 1}),
        )
    },
    "infinite": json.dumps(FACTS).replace("10.0", "Infinity"),
}
DAMAGED_SEGMENTS = {
    "gone": None,
    "empty": "",
    "no columns": "a,b\n1,2\n",
    "unknown genre": HEAD + "0,1,drama,0.5\n",
    "no number": HEAD + "zero,1,comedy,0.5\n",
    "no finite number": HEAD + "0,inf,comedy,0.5\n",
    "too few cells": HEAD + "0,1\n",
    "open quote": HEAD + '0,1,"comedy,0.5\n',
    "no text": b"\xff\xfe\x00",
}


@pytest.mark.parametrize(
    ("name", "content"),
    [pytest.param("tags.json", content, id=f"tags.json {case}") for case, content in DAMAGED_STAMPS.items()]
    + [pytest.param("segments.csv", content, id=f"segments.csv {case}") for case, content in DAMAGED_SEGMENTS.items()],
)
def test_a_damaged_folder_is_left_out_with_a_line(tmp_path, name, content):
    tagged(tmp_path, "good")
    damaged = tagged(tmp_path, "bad") / name
    damaged.unlink()
    if content is not None:
        damaged.write_bytes(content if isinstance(content, bytes) else content.encode())
    with logged() as notes:
        summary = write_tags_index(tmp_path, [])
    assert summary["source"].tolist() == ["good.mp4"]
    assert "good.mp4" in (tmp_path / "index.html").read_text()
    assert len(notes) == 1
    assert str(damaged) in notes[0]
    assert "left out of" in notes[0]
    assert "\n" not in notes[0]
    # A video of that name gets its folder all the same.
    assert plan_tasks([(tmp_path / "bad.mp4", "bad.mp4")], tmp_path)[0].folder.name.startswith("bad")


def test_shares_are_rounded_by_the_page_alone(tmp_path):
    tagged(tmp_path, "a", shares=dict.fromkeys(GENRES, 0.674769))  # 67.5 would be 68 % in the index, 67 in the viewer
    write_tags_index(tmp_path, [])
    page = (tmp_path / "index.html").read_text()
    data = json.loads(page.split('<script type="application/json" id="data">')[1].split("</script>")[0])
    assert data["videos"][0]["shares"] == [67.4769] * len(GENRES)
    assert video_row("a", "", 10.0, SEGMENTS.assign(end=6.74769), GENRES)["shares"][0] == 67.4769


def test_a_video_without_length_is_listed(tmp_path):
    tagged(tmp_path, "still", duration=0)
    assert write_tags_index(tmp_path, [])["duration"].tolist() == [0]


NAMES = [
    "=cmd|' /C calc'!A0.mp4",
    "+1.mp4",
    "-x.mp4",
    "@sum.mp4",
    "'=quoted.mp4",
    "''-.mp4",
    "'plain.mp4",
    "a=b.mp4",
    "NA",
]


def test_no_cell_is_a_formula_and_all_are_read_back(tmp_path):
    for number, name in enumerate(NAMES):
        tagged(tmp_path, f"v{number}", source=name)
    tagged(tmp_path, "=folder")
    write_tags_index(tmp_path, [("\tbad.mp4", '=HYPERLINK("http://x")'), ("b.mp4", "-1 frames")])
    raw = pd.read_csv(tmp_path / "summary.csv", dtype=str, keep_default_na=False)
    cells = [cell for name in ("source", "folder", "error") for cell in raw[name]]
    assert [cell for cell in cells if re.match(r"[=+\-@\t\r]", cell)] == []
    assert "'=folder" in cells
    assert "'plain.mp4" in cells  # nothing is added where nothing is to hide
    again = read_summary(tmp_path / "summary.csv")
    assert sorted(again["source"]) == sorted([*NAMES, "=folder.mp4", "\tbad.mp4", "b.mp4"])
    assert set(again["error"]) == {"", '=HYPERLINK("http://x")', "-1 frames"}
    assert "=folder" in set(again["folder"])


def test_one_file_for_label_studio_holds_every_video_that_has_one(tmp_path):
    made_with = {"run": "0123456789abcdef", "label_studio": True}
    for name, how in (
        ("a", made_with),
        ("b", made_with | {"label_studio_prefix": "https://films.example/"}),
        ("c", made_with | {"label_studio": False}),
    ):
        tagged(tmp_path, name, made_with=how, fps=25.0)
    tagged(tmp_path, "before")
    write_tags_index(tmp_path, [])
    path = tmp_path / "label_studio.json"
    tasks = json.loads(path.read_text())
    assert [task["data"]["video"] for task in tasks] == ["/data/local-files/?d=a.mp4", "https://films.example/b.mp4"]
    assert {task["predictions"][0]["model_version"] for task in tasks} == {"genre-classifier 0123456789ab"}
    assert read_labels(path)["trailer"].tolist() == ["a.mp4", "b.mp4"]
    tagged(tmp_path, "d", made_with=made_with, source="a.mp4")  # two videos of one name never become one task
    write_tags_index(tmp_path, [])
    assert read_labels(path)["trailer"].tolist() == ["a", "b.mp4", "d"]
    for name in ("a", "b", "d"):
        (tmp_path / name / "tags.json").unlink()
    write_tags_index(tmp_path, [])
    assert not path.exists()  # as in a folder that was tagged again without it


def test_no_video_gets_the_folder_of_a_file_over_all():
    names = ("index.html", "summary.csv", "segments.json", "label_studio.json")
    tasks = plan_tasks([(Path(f"/v/{name}.mp4"), f"{name}.mp4") for name in names], Path("/tags"))
    assert [task.folder.name for task in tasks] == [f"_{name}" for name in names]


def test_a_video_that_was_moved_with_its_tags_keeps_its_folder(tmp_path):
    (tmp_path / "there").mkdir()
    video = tmp_path / "there" / "a.mp4"
    video.write_bytes(b"12345")

    def folder(**stamp):
        out = tmp_path / str(len(list(tmp_path.iterdir())))
        tagged(out, "a", **{"source": "a.mp4", "video": str(tmp_path / "gone" / "a.mp4"), "bytes": 5} | stamp)
        return plan_tasks([(video, "a.mp4")], out)[0].folder.name

    assert folder() == "a"
    beside = tmp_path / "a.mp4"
    beside.write_bytes(b"12345")
    assert folder(video=str(beside)) != "a"  # it is another one, still there
    assert folder(bytes=6) != "a"
    assert folder(source="b.mp4") != "a"
