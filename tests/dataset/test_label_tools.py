"""Label files as other tools write them, and files written for other tools, judged by those where they are here."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from genre_classifier import cli
from genre_classifier.config import ExportConfig
from genre_classifier.dataset.label_formats import Span
from genre_classifier.dataset.labels import read_labels, write_labels
from genre_classifier.dataset.trailer_labels import frame_targets, is_weak, labels_for_trailers
from genre_classifier.dataset.trailers import load_trailers
from genre_classifier.evaluation.judged_labels import judged_labels
from genre_classifier.genres import GENRES
from preprocessing.base.errors import InputError
from tests.support.activitynet import read_ground_truth
from tests.support.notes import logged

COLUMNS = ["trailer", "start", "end", "genre"]


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def rows(labels: pd.DataFrame) -> list[tuple[object, ...]]:
    return list(labels[["trailer", "start", "end", "genre"]].itertuples(index=False, name=None))


def test_activitynet_results_and_label_studio_tasks_are_read(tmp_path: Path) -> None:
    results = {"results": {"v1": [{"label": "action", "segment": [1.5, 2], "score": 0.9}]}}
    # As Label Studio exports a video project: frames counted from 1, a prefix of its own before the name.
    task = {
        "data": {"video": "/data/local-files/?d=v1.mp4"},
        "annotations": [
            {
                "result": [
                    {
                        "type": "timelinelabels",
                        "value": {"ranges": [{"start": 25, "end": 48}], "timelinelabels": ["terror"]},
                    }
                ]
            }
        ],
    }
    for name, document in (("a.json", results), ("b.json", [task])):
        (tmp_path / name).write_text(json.dumps(document))
    first, second = read_labels(tmp_path / "a.json"), read_labels(tmp_path / "b.json")
    assert first.iloc[0].tolist() == ["v1", 1.5, 2.0, "action"]
    assert second.iloc[0].tolist() == ["v1.mp4", 1.0, 2.0, "terror"]


# --- a table without times -------------------------------------------------------------------------------------------


def test_a_table_of_trailers_and_genres_is_weak(tmp_path: Path) -> None:
    path = written(
        tmp_path / "labels.csv", "trailer,genre,group,source\na.mp4,action,x,1\na.mp4,Comedy,x,1\nb.mp4,War,y,2\n"
    )
    labels = read_labels(path)
    assert labels["trailer"].tolist() == ["a.mp4", "a.mp4", "b.mp4"]
    assert labels["genre"].tolist() == ["action", "comedy", "action"]
    assert labels["group"].tolist() == ["x", "x", "y"]
    assert labels[["start", "end"]].isna().all(axis=None)
    with pytest.raises(InputError, match="expected a label table"):
        read_labels(written(tmp_path / "half.csv", "trailer,start,genre\na,1,action\n"))


# --- intervals of one genre ------------------------------------------------------------------------------------------


def test_intervals_of_a_genre_that_overlap_or_touch_are_one_everywhere(tmp_path: Path) -> None:
    text = (
        "trailer,start,end,genre\na,4,6,action\nb,0,1,action\na,0,2,action\na,5,9,action\na,1,3,terror\na,2,3,action\n"
    )
    path = written(tmp_path / "labels.csv", text)
    joined = [("a", 4, 9, "action"), ("b", 0, 1, "action"), ("a", 0, 3, "action"), ("a", 1, 3, "terror")]
    with logged() as notes:
        labels = read_labels(path)
    assert rows(labels) == joined
    assert notes == [f"{path}: 2 intervals overlap or touch another one of their genre: joined with it"]
    overlapping = pd.read_csv(path)
    for name in ("out.csv", "out.json", "out.tsv"):
        write_labels(tmp_path / name, overlapping)
        with logged() as notes:
            assert sorted(rows(read_labels(tmp_path / name))) == sorted(joined)
        assert notes == []


# --- Label Studio ----------------------------------------------------------------------------------------------------


def region(genre: str, first: int, last: int) -> dict[str, object]:
    value = {"timelinelabels": [genre], "ranges": [{"start": first, "end": last}]}
    return {"id": "x", "type": "timelinelabels", "from_name": "genres", "to_name": "video", "value": value}


def test_label_studio_exports_of_all_tasks_are_read(tmp_path: Path) -> None:
    """Predictions named by id, skipped annotations, relations, and tasks that nobody has seen."""
    tasks = [
        {
            "data": {"video": "/data/upload/3/8b195a4c-a%201.mp4"},
            "file_upload": "8b195a4c-a_1.mp4",
            "annotations": [
                {"was_cancelled": True, "result": [region("terror", 1, 24)]},
                {
                    "was_cancelled": False,
                    "result": [region("action", 25, 48), {"type": "relation", "from_id": "x", "to_id": "y"}],
                },
            ],
            "predictions": [1],
        },
        {"data": {"video": "b.mp4"}, "annotations": [], "predictions": [2, 3]},
        {
            "data": {"video": "c.mp4"},
            "annotations": [{"was_cancelled": True, "result": []}],
            "predictions": [{"result": [region("comedy", 1, 24)]}],
        },
        {"data": {"video": "d.mp4"}, "annotations": [], "predictions": [{"result": [region("musical", 1, 24)]}]},
    ]
    labels = read_labels(written(tmp_path / "export.json", json.dumps(tasks)))
    assert rows(labels) == [("8b195a4c-a%201.mp4", 1, 2, "action"), ("d.mp4", 0, 1, "musical")]


def test_an_annotation_without_labels_says_that_nothing_is_shown(tmp_path: Path, capsys) -> None:
    """As when a person deletes all predictions and submits: like a file without events."""
    predicted = [{"result": [region("terror", 1, 24)]}]
    relation = {"type": "relation", "from_id": "x", "to_id": "y"}
    tasks = [
        {"data": {"video": "a.mp4"}, "annotations": [{"result": []}], "predictions": predicted},
        {"data": {"video": "b.mp4"}, "annotations": [{"result": []}, {"result": [region("action", 1, 24)]}]},
        {"data": {"video": "c.mp4", "group": "film"}, "annotations": [{"result": [relation]}]},
        {"data": {"video": "d.mp4"}, "annotations": [{"was_cancelled": True, "result": []}]},
        {"data": {"video": "e.mp4"}, "annotations": [], "predictions": [{"result": []}]},
        {"data": {"video": "c.mp4"}, "annotations": [{"result": []}]},
    ]
    export = written(tmp_path / "export.json", json.dumps(tasks))
    labels = read_labels(export)
    assert rows(labels) == [
        ("b.mp4", 0, 1, "action"),
        ("a.mp4", 0, np.inf, "other"),
        ("c.mp4", 0, np.inf, "other"),
    ]
    assert labels["group"].fillna("").tolist() == ["", "", "film"]
    earlier = written(tmp_path / "labels.csv", "trailer,start,end,genre\na.mp4,0,1,terror\nd.mp4,0,1,terror\n")
    assert cli.run(["labels", str(earlier), str(export), str(tmp_path / "out.csv")]) == 0
    assert f"{export}: takes the place of what earlier files say of 'a.mp4'" in capsys.readouterr().err
    assert set(rows(read_labels(tmp_path / "out.csv"))) == {*rows(labels), ("d.mp4", 0, 1, "terror")}


def test_two_videos_of_one_name_are_refused(tmp_path: Path) -> None:
    annotations = [{"result": [region("action", 1, 24)]}]
    tasks = [{"data": {"video": f"/data/{name}"}, "annotations": annotations} for name in ("a/x.mp4", "b/x.mp4")]
    path = written(tmp_path / "export.json", json.dumps(tasks))
    expected = r"task 1: expected .*another name.* found '/data/a/x.mp4' and '/data/b/x.mp4'; .* data\.trailer"
    with pytest.raises(InputError, match=expected):
        read_labels(path)
    for number, task in enumerate(tasks):
        task["data"]["trailer"] = f"{number}/x.mp4"
    assert read_labels(written(path, json.dumps(tasks)))["trailer"].tolist() == ["0/x.mp4", "1/x.mp4"]
    for task in tasks:
        task["data"] = {"video": "/data/a/x.mp4"}  # a task for each of two persons
    assert len(read_labels(written(path, json.dumps(tasks)))) == 1


def test_annotations_that_are_joined_are_counted(tmp_path: Path) -> None:
    one, two, skipped = (
        {"result": [region("action", 1, 24)]},
        {"result": [region("terror", 1, 24)]},
        {"was_cancelled": True, "result": [region("comedy", 1, 24)]},
    )
    tasks = [
        {"data": {"video": f"{name}.mp4"}, "annotations": annotations}
        for name, annotations in (("a", [one]), ("b", [one, two, skipped]), ("c", [one, one]), ("d", [one, skipped]))
    ]
    path = written(tmp_path / "export.json", json.dumps(tasks))
    with logged() as notes:
        labels = read_labels(path, fps=24)
    assert labels["trailer"].tolist() == ["a.mp4", "b.mp4", "b.mp4", "c.mp4", "d.mp4"]
    assert notes == [
        f"{path}: 2 tasks have several submitted annotations, all of which count, such as the 2 of 'b.mp4'; delete "
        "those that should not, in Label Studio"
    ]


@pytest.mark.parametrize(
    ("kind", "text"),
    [  # as Label Studio 1.23.2 writes them
        (
            "JSON-MIN",
            '[{"video": "a.mp4", "trailer": "a.mp4", "fps": 24.0, "id": 2, "annotator": 1, "annotation_id": 3, '
            '"genres": [{"ranges": [{"start": 1, "end": 24}], "timelinelabels": ["action"]}], "lead_time": null}]',
        ),
        (
            "CSV",
            '"annotation_id","annotator","created_at","fps","genres","id","lead_time","trailer","updated_at","video"\n'
            '3,"1","2026-11-30T00:09:36Z",24.0,"[{""ranges"":[{""start"":1,""end"":24}],""timelinelabels"":'
            '[""action""]}]",1,"","a.mp4","2026-11-30T00:09:36Z","a.mp4"\n',
        ),
    ],
)
def test_other_exports_of_label_studio_are_refused_with_the_one_to_use(tmp_path: Path, kind: str, text: str) -> None:
    for separator in (",", "\t")[: 1 + (kind == "CSV")]:
        path = written(tmp_path / "export", text.replace('","', f'"{separator}"'))
        with pytest.raises(InputError, match=f"found its .*{kind}.*; export the project as JSON"):
            read_labels(path)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("8b195a4c-trailer_002.mp4", "trailer_002.mp4"),
        ("8b195a4c-caf%C3%A9%20%231.mp4", "café #1.mp4"),
        ("caf%C3%A9%20%231.mp4", "café #1.mp4"),
        ("deadbeef-a.mp4", "deadbeef-a.mp4"),  # a name that is known stays
        ("100%25.mp4", "100%25.mp4"),
        ("8b195a4c-broken.mp4", None),  # known, but without a clip
    ],
)
def test_names_that_label_studio_made_of_a_source_find_it(name: str, source: str | None) -> None:
    sources = ["a.mp4", "trailer_002.mp4", "café #1.mp4", "deadbeef-a.mp4", "100%.mp4", "100%25.mp4", "7.mp4"]
    manifest = pd.DataFrame(
        {
            "trailer_id": pd.array([*range(len(sources)), None], dtype="Int64"),
            "source": [*sources, "broken.mp4"],
            "status": [*["ok"] * len(sources), "failed"],
        }
    )
    labels = pd.DataFrame({"trailer": [name, "7.mp4"], "start": [0.0, 0], "end": [1.0, 1], "genre": "action"})
    found = labels_for_trailers(labels, manifest)
    assert [sources[trailer_id] for trailer_id in found] == [*[source] * (source is not None), "7.mp4"]
    unknown = labels.assign(trailer=["8b195a4c-7", "7.mp4"])  # an id is never guessed
    with pytest.raises(InputError, match="8b195a4c-7"):
        labels_for_trailers(unknown, manifest)


def test_label_studio_gets_addresses_and_gives_the_names_back(tmp_path: Path) -> None:
    labels = pd.DataFrame(
        [
            ("films/a 1.mp4", np.nan, np.nan, "action"),
            ("films/a 1.mp4", np.nan, np.nan, "comedy"),
            ("b", 0, 1, "terror"),
        ],
        columns=COLUMNS,
    )
    expected = {
        None: ["/data/local-files/?d=films/a%201.mp4", "/data/local-files/?d=b"],
        "https://films.example/": ["https://films.example/films/a%201.mp4", "https://films.example/b"],
        "": ["films/a 1.mp4", "b"],
    }
    for prefix, addresses in expected.items():
        config = ExportConfig() if prefix is None else ExportConfig(label_studio_prefix=prefix)
        path = tmp_path / "tasks.json"
        write_labels(path, labels, file_format="labelstudio", config=config)
        tasks = json.loads(path.read_text())
        assert [task["data"]["video"] for task in tasks] == addresses
        # One result for one control: Label Studio shows no second one.
        assert [len(task["annotations"][0]["result"]) for task in tasks] == [1, 1]
        pd.testing.assert_frame_equal(read_labels(path), labels)


def test_the_labelling_interface_of_the_docs_fits_the_tasks(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "formats" / "label-studio.md").read_text()
    view = ElementTree.fromstring(text.split("```xml\n")[1].split("```")[0])
    labels = pd.DataFrame([("a", 0.0, 1.0, "action"), ("b", np.nan, np.nan, "comedy")], columns=COLUMNS)
    write_labels(tmp_path / "tasks.json", labels, file_format="labelstudio")
    for task in json.loads((tmp_path / "tasks.json").read_text()):
        (result,) = task["annotations"][0]["result"]
        (control,) = (one for one in view if one.get("name") == result["from_name"])
        assert control.tag.lower() == result["type"]
        assert control.get("toName") == result["to_name"]
        assert tuple(one.get("value") for one in control) == GENRES
        (video,) = (one for one in view if one.get("name") == result["to_name"])
        assert {video.get("value"), video.get("frameRate")} == {"$video", "$fps"}
        assert {"video", "fps"} <= set(task["data"])


def shown_in_label_studio(task: dict[str, Any]) -> list[tuple[float, float, str]]:
    """Return what its player shows: frame n lies at (n - 1) / framerate, and a rate below 1 is seconds per frame."""
    rate = Fraction(task["data"].get("fps", 24))
    rate = 1 / rate if rate < 1 else rate
    return [
        (float((span["start"] - 1) / rate), float(span["end"] / rate), genre)
        for result in task["annotations"][0]["result"]
        for span in result["value"]["ranges"]
        for genre in result["value"]["timelinelabels"]
    ]


@pytest.mark.parametrize("fps", [12.5, 24000 / 1001, 25, 30000 / 1001, 60])
def test_label_studio_counts_in_the_frames_of_each_video(tmp_path: Path, fps: float) -> None:
    spans = {"a": Span(0, 20, 20, fps), "b": Span(0, 20, 20, 50)}
    first, last = np.array([0, 7, 101, 4000]), np.array([1, 100, 102, 9001])
    labels = pd.DataFrame({"trailer": "a", "start": first / fps, "end": last / fps, "genre": list(GENRES[:4])})
    labels = pd.concat([labels, labels.assign(trailer="b", start=first / 50, end=last / 50)], ignore_index=True)
    path = tmp_path / "tasks.json"
    with logged() as notes:
        write_labels(path, labels, file_format="labelstudio", spans=spans)
    assert notes == []  # nothing was rounded
    tasks = json.loads(path.read_text())
    assert [task["data"]["fps"] for task in tasks] == [fps, 50]
    ranges = [result["value"]["ranges"][0] for result in tasks[0]["annotations"][0]["result"]]
    assert [(span["start"], span["end"]) for span in ranges] == [(1, 1), (8, 100), (102, 102), (4001, 9001)]
    back = read_labels(path)
    pd.testing.assert_frame_equal(back, labels, rtol=0, atol=1e-9)
    expected = [row[1:] for row in rows(back) if row[0] == "a"]
    for found, wanted in zip(shown_in_label_studio(tasks[0]), expected, strict=True):
        assert found[2] == wanted[2]
        assert found[:2] == pytest.approx(wanted[:2], abs=1e-9)


@pytest.mark.parametrize("fps", [None, 0.5, 1000.0])
def test_a_rate_that_label_studio_cannot_count_in_is_not_written(tmp_path: Path, fps: float | None) -> None:
    labels = pd.DataFrame([("a", 0.0, 2.0, "action")], columns=COLUMNS)
    path, config = tmp_path / "tasks.json", ExportConfig(label_studio_fps=10)
    write_labels(path, labels, file_format="labelstudio", spans={"a": Span(0, 2, 2, fps)}, config=config)
    (task,) = json.loads(path.read_text())
    assert task["data"]["fps"] == 10
    assert shown_in_label_studio(task) == [row[1:] for row in rows(read_labels(path))]


def test_tasks_without_a_rate_are_counted_as_label_studio_was_told(tmp_path: Path, capsys) -> None:
    """As exported of a project whose interface says `frameRate="50"`, or nothing; and seconds per frame."""
    annotations = [{"result": [region("action", 51, 100)]}]
    tasks = [{"data": {"video": "/data/upload/1/a.mp4"}, "annotations": annotations}]
    source, out = written(tmp_path / "export.json", json.dumps(tasks)), tmp_path / "labels.csv"
    assert cli.run(["labels", str(source), str(out), "--label-studio-fps", "50"]) == 0
    assert capsys.readouterr().err == ""
    assert rows(read_labels(out)) == [("a.mp4", 1, 2, "action")]
    assert cli.run(["labels", str(source), str(out), "--genres", "auto"]) == 0
    error = capsys.readouterr().err
    assert error.count("data.fps") == 1
    assert "1 tasks say no frames per second as data.fps: counted with 24" in error
    assert rows(read_labels(out)) == [("a.mp4", 50 / 24, 100 / 24, "action")]
    tasks[0]["data"]["fps"] = 0.02
    source.write_text(json.dumps(tasks))
    assert rows(read_labels(source)) == [("a.mp4", 1, 2, "action")]


def test_label_studio_gets_the_rates_of_the_clips(tmp_path: Path, clips: Path) -> None:
    manifest = pd.read_csv(clips / "manifest.csv").assign(fps=[25.0, 12.5, np.nan, 1000.0])
    manifest.to_csv(clips / "manifest.csv", index=False)
    text = "trailer,start,end,genre\n0,0,9.6,action\nb.mp4,0,4,comedy\nc.mp4,0,4,comedy\nd.mp4,0,4,comedy\n"
    source, out = written(tmp_path / "labels.csv", text), tmp_path / "tasks.json"
    assert cli.run(["labels", str(source), str(out), "--to", "labelstudio", "--clips", str(clips)]) == 0
    rates = {task["data"]["trailer"]: task["data"]["fps"] for task in json.loads(out.read_text())}
    assert rates == {"a 1.mp4": 25, "b.mp4": 12.5, "c.mp4": 24, "d.mp4": 24}
    judged, _ = judged_labels(read_labels(source), clips, GENRES)
    back = read_labels(out)
    assert back["genre"].tolist() == judged["genre"].tolist()
    assert (back[["start", "end"]] - judged[["start", "end"]]).abs().to_numpy().max() <= 0.5 / 12.5


# --- DCASE, DESED ----------------------------------------------------------------------------------------------------


def test_a_file_without_events_is_other_throughout(tmp_path: Path) -> None:
    text = "filename\tonset\toffset\tevent_label\na.wav\t0.5\t1.5\taction\nb.wav\t\t\t\nc.wav\na.wav\t\t\t\n"
    labels = read_labels(written(tmp_path / "events.tsv", text))
    assert rows(labels) == [("a.wav", 0.5, 1.5, "action"), ("b.wav", 0, np.inf, "other"), ("c.wav", 0, np.inf, "other")]
    silent = labels[labels["trailer"] == "b.wav"]
    assert not is_weak(silent)
    targets = frame_targets(silent, np.array([0.0, 5, 500]))
    assert targets.sum() == 3
    assert targets[:, GENRES.index("other")].all()
    for name in ("labels.csv", "again.tsv"):
        write_labels(tmp_path / name, labels)
        pd.testing.assert_frame_equal(read_labels(tmp_path / name), labels)
    assert (tmp_path / "again.tsv").read_text().splitlines()[2] == "b.wav\t\t\t"
    with logged() as notes:
        write_labels(tmp_path / "labels.json", labels)
    assert any("needs an end for `other` in 2 trailers" in note for note in notes)
    assert set(read_labels(tmp_path / "labels.json")["trailer"]) == {"a.wav"}


HEADERLESS = {
    "files.txt": ["a.wav\t0.5\t1.5\taction", "b.wav\t0.25\t10.125\tcomedy", "a.wav\t2\t3.75\tterror"],
    "scenes.txt": ["a.wav\tmusical\t0.5\t1.5\taction", "a.wav\tmusical\t2\t3.75\tterror"],
    "sources.ann": ["a.wav\tmusical\t0.5\t1.5\taction\tm", "a.wav\tmusical\t2\t3.75\tterror\tm"],
    "identified.txt": ["a.wav\t0.5\t1.5\taction\ta001", "a.wav\t2\t3.75\tterror\ta001"],
    "segments.txt": ["a.wav\tmusical\t0.5\t1.5", "a.wav\tterror\t2\t3.75"],
    "a.wav.txt": ["0.5\t1.5\taction", "2\t3.75\tterror"],
    "weak.txt": ["a.wav\tmusical", "b.wav\tcomedy"],
    "silent.txt": ["a.wav\t0.5\t1.5\taction", "b.wav"],
}


@pytest.mark.parametrize("name", HEADERLESS)
def test_headerless_events_are_read_as_dcase_util_reads_them(tmp_path: Path, name: str) -> None:
    sed_eval = pytest.importorskip("sed_eval")
    path = written(tmp_path / name, "\n".join(HEADERLESS[name]) + "\n")
    expected = []
    for event in sed_eval.io.load_event_list(str(path)):
        onset, offset = event.onset, event.offset
        label = event.event_label or event.scene_label
        if onset is None:
            onset, offset = (np.nan, np.nan) if label else (0.0, np.inf)
        expected.append((event.filename or "a.wav", onset, offset, label or "other"))
    labels = read_labels(path)
    pd.testing.assert_frame_equal(pd.DataFrame(rows(labels)), pd.DataFrame(expected), check_exact=True)


# --- what is judged is what is exported ------------------------------------------------------------------------------


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Clips of 20 frames, one every half second, of videos of 9.6, 9.6, 12 and unknown seconds."""
    folder = tmp_path / "clips"
    folder.mkdir()
    for number in range(4):
        np.save(folder / f"trailer_{number}.npy", np.zeros((20, 3, 4, 4), np.uint8))
        np.save(folder / f"times_{number}.npy", np.arange(20) / 2)
    rows = "0,a 1.mp4,ok,20,9.6\n1,b.mp4,ok,20,9.6\n2,c.mp4,ok,20,12\n3,d.mp4,ok,20,\n"
    written(folder / "manifest.csv", f"trailer_id,source,status,frames,duration\n{rows}")
    return folder


def test_labels_with_clips_are_written_as_they_are_judged(
    tmp_path: Path, clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (
        "trailer,start,end,genre,group\n0,2,99,action,x\n0,1,3,terror,x\nb.mp4,,,comedy,y\nd.mp4,0,4,other,z\n"
        "d.mp4,5,7,musical,z\nunknown.mp4,1,2,action,z\n"
    )
    source = written(tmp_path / "labels.csv", text)
    judged = [
        ("a 1.mp4", 0, 1, "other"),
        ("a 1.mp4", 1, 3, "terror"),
        ("a 1.mp4", 2, 9.6, "action"),
        ("d.mp4", 0, 5, "other"),
        ("d.mp4", 5, 7, "musical"),
        ("d.mp4", 7, 9.75, "other"),
    ]
    for name in ("out.csv", "out.tsv", "out.json"):
        assert cli.run(["labels", str(source), str(tmp_path / name), "--clips", str(clips)]) == 0
        notes = capsys.readouterr().err
        assert "1 labelled trailers have no clip" in notes
        assert "outside their intervals" not in notes
        labels = read_labels(tmp_path / name)
        assert rows(labels[labels["start"].notna()]) == judged
        assert set(labels["trailer"][labels["start"].isna()]) == ({"b.mp4"} if name == "out.csv" else set())
        assert (
            "left out" in notes.replace("no clip and are left out", "").replace("no label and are left out", "")
        ) == (name != "out.csv")
    truth = read_ground_truth(tmp_path / "out.json")
    assert sorted((*one, label) for label, found in truth.items() for one in found) == sorted(judged)
    database = json.loads((tmp_path / "out.json").read_text())["database"]
    assert {name: (entry["duration"], entry["group"]) for name, entry in database.items()} == {
        "a 1.mp4": (9.6, "x"),
        "d.mp4": (9.75, "z"),
    }
    assert cli.run(["labels", str(source), str(tmp_path / "t.json"), "--clips", str(clips), "--subset", "testing"]) == 0
    assert read_ground_truth(tmp_path / "t.json") == {}
    assert read_ground_truth(tmp_path / "t.json", subset="testing") == truth


def test_weak_labels_alone_are_segments_of_whole_trailers(tmp_path: Path, clips: Path) -> None:
    source = written(tmp_path / "labels.csv", "trailer,genre\nb.mp4,comedy\nb.mp4,action\nc.mp4,other\n")
    assert cli.run(["labels", str(source), str(tmp_path / "out.json"), "--clips", str(clips)]) == 0
    assert read_ground_truth(tmp_path / "out.json") == {
        "comedy": [("b.mp4", 0, 9.6)],
        "action": [("b.mp4", 0, 9.6)],
        "other": [("c.mp4", 0, 9.75)],
    }
    assert json.loads((tmp_path / "out.json").read_text())["database"]["c.mp4"]["duration"] == 12


def test_without_clips_what_is_missing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = written(tmp_path / "labels.csv", "trailer,start,end,genre\na,1,2,action\n")
    for name, said in (("out.json", True), ("out.tsv", True), ("out.csv", False)):
        assert cli.run(["labels", str(source), str(tmp_path / name)]) == 0
        assert ("the trailers are `other`" in capsys.readouterr().err) == said


def test_a_link_stays_a_link_and_a_device_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = written(tmp_path / "labels.csv", "trailer,start,end,genre\na,1,2,action\n")
    written(tmp_path / "target.csv", "old")
    (tmp_path / "link.csv").symlink_to("target.csv")
    assert cli.run(["labels", str(source), str(tmp_path / "link.csv")]) == 0
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "target.csv").read_text() == "trailer,start,end,genre\na,1.0,2.0,action\n"
    (tmp_path / "null.csv").symlink_to("/dev/null")
    assert cli.run(["labels", str(source), str(tmp_path / "null.csv")]) == 2
    assert "found a device" in capsys.readouterr().err
    assert Path("/dev/null").is_char_device()


# --- beyond the ends -------------------------------------------------------------------------------------------------

IN_MILLISECONDS = "trailer,start,end,genre\na 1.mp4,0,4800,action\na 1.mp4,4800,9600,terror\nb.mp4,0,9000,comedy\n"
ASKED = "are its times milliseconds? They have to be seconds"


def test_labels_past_the_end_are_counted_and_named(
    tmp_path: Path, clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "trailer,start,end,genre\na 1.mp4,1,2,action\na 1.mp4,9.8,12,terror\nb.mp4,9.8,11,comedy\nb.mp4,3,9,action\n"
    source = written(tmp_path / "labels.csv", text)
    said = (
        "2 of 4 intervals begin after the end of their trailer, and nothing is labelled by them: in 'a 1.mp4', 'b.mp4'."
    )
    assert cli.run(["labels", str(source), str(tmp_path / "out.csv"), "--clips", str(clips)]) == 0
    notes = capsys.readouterr().err
    assert said in notes.splitlines()
    assert "milliseconds" not in notes
    with logged() as lines:
        load_trailers(clips, source)
    assert said in lines


@pytest.mark.parametrize("begin", ["0,4800", "4.8,4800"])
def test_a_table_that_lies_mostly_past_the_ends_is_asked_for_its_unit(
    tmp_path: Path, clips: Path, capsys: pytest.CaptureFixture[str], begin: str
) -> None:
    source = written(tmp_path / "labels.csv", IN_MILLISECONDS.replace("0,4800", begin, 1))
    assert cli.run(["labels", str(source), str(tmp_path / "out.csv"), "--clips", str(clips)]) == 0
    (line,) = (line for line in capsys.readouterr().err.splitlines() if "milliseconds" in line)
    assert line.startswith("1 of 3 intervals begin after the end of their trailer")
    assert line.endswith(f"Most of the labelled time lies past the ends of the trailers: {ASKED}.")
    # All of them begin in time.
    source = written(tmp_path / "labels.csv", "trailer,start,end,genre\na 1.mp4,0,9600,action\n")
    with logged() as lines:
        load_trailers(clips, source)
    assert f"Most of the labelled time lies past the ends of the trailers: {ASKED}." in lines


def test_labels_up_to_the_end_are_no_reason_to_say_anything(tmp_path: Path, clips: Path) -> None:
    rows = "a 1.mp4,0,9.61,action\na 1.mp4,9.55,10,terror\nb.mp4,0,inf,other\nc.mp4,,,comedy\n"
    source = written(tmp_path / "labels.csv", f"trailer,start,end,genre\n{rows}")
    with logged() as lines:
        load_trailers(clips, source)
    assert not [line for line in lines if "end" in line]


def eaf(*origins: str) -> str:
    """Return a file of ELAN with an annotation from 1 to 2 s, that links the same trailer with each media offset."""
    media = "".join(
        f'<MEDIA_DESCRIPTOR MEDIA_URL="file:///{number}/a.mp4" MIME_TYPE="video/mp4" {origin}/>'
        for number, origin in enumerate(origins)
    )
    times = '<TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="1000"/><TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="2000"/>'
    aligned = 'ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2"'
    annotation = f"<ALIGNABLE_ANNOTATION {aligned}><ANNOTATION_VALUE/></ALIGNABLE_ANNOTATION>"
    tier = f'<TIER TIER_ID="action" LINGUISTIC_TYPE_REF="t"><ANNOTATION>{annotation}</ANNOTATION></TIER>'
    schema = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="EAFv3.0.xsd"'
    about = f'AUTHOR="" DATE="2026-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0" {schema}'
    inside = f"<HEADER>{media}</HEADER><TIME_ORDER>{times}</TIME_ORDER>{tier}"
    return f"<ANNOTATION_DOCUMENT {about}>{inside}</ANNOTATION_DOCUMENT>"


@pytest.mark.parametrize(
    ("origins", "start"),
    [
        (("",), 1.0),
        (('TIME_ORIGIN="5000"',), 6.0),
        (('TIME_ORIGIN="-250"',), 0.75),
        (('TIME_ORIGIN="5000"', 'TIME_ORIGIN="7000"'), 6.0),
        (("", 'TIME_ORIGIN="7000"'), 1.0),
    ],
)
def test_times_of_elan_count_from_its_media_offset(tmp_path: Path, origins: tuple[str, ...], start: float) -> None:
    pytest.importorskip("pympi")
    labels = read_labels(written(tmp_path / "a.eaf", eaf(*origins)))
    assert rows(labels) == [("a.mp4", start, start + 1, "action")]


@pytest.mark.parametrize("origin", ["", "soon", "1.5", "5_000", "9" * 5000])
def test_a_media_offset_that_is_no_whole_number_is_refused(tmp_path: Path, origin: str) -> None:
    pytest.importorskip("pympi")
    path = written(tmp_path / "a.eaf", eaf(f'TIME_ORIGIN="{origin}"'))
    with pytest.raises(InputError, match=r"a\.eaf: expected ELAN .* whole milliseconds .* found '") as error:
        read_labels(path)
    assert len(str(error.value)) < 400
