"""Every shape of damage in a label file is one line that names the file, never a traceback, and never a wrong label."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from genre_classifier.dataset.labels import read_genre_map, read_labels
from preprocessing.base.errors import InputError
from preprocessing.base.files import MOST_BYTES

HEADER = "trailer,start,end,genre\n"


def activitynet(annotation: object = None, **entry: object) -> str:
    annotations = [{"label": "action", "segment": [0, 1]} if annotation is None else annotation]
    return json.dumps({"database": {"a": {"annotations": annotations, **entry}}})


def segment(*sides: object) -> str:
    return activitynet({"label": "action", "segment": list(sides)})


def task(result: object = None, **data: object) -> str:
    value = {"timelinelabels": ["action"], "ranges": [{"start": 1, "end": 24}]}
    results = [{"value": value} if result is None else result]
    return json.dumps([{"data": {"video": "a", **data}, "annotations": [{"result": results}]}])


def frames(start: object, end: object) -> str:
    return task({"value": {"timelinelabels": ["action"], "ranges": [{"start": start, "end": end}]}})


DAMAGES: dict[str, str | bytes] = {
    # of any file
    "nothing": "",
    "blank lines": "\n\n \n",
    "NUL": HEADER + "a\0b,0,1,action\n",
    "UTF-16": (HEADER + "a,0,1,action\n").encode("utf-16"),
    "Latin-1": (HEADER + "é,0,1,action\n").encode("latin-1"),
    "random bytes": bytes(range(256)),
    # of a table
    "a word": "null",
    "only a header": HEADER,
    "other columns": "a,b\n1,2\n",
    "a column twice": "trailer,start,end,genre,Genre\na,0,1,action,terror\n",
    "a start without an end": "trailer,start,genre\na,0,action\n",
    "a cell too many": HEADER + "a,0,1,action,more\n",
    "a cell too few": HEADER + "a,0,1\n",
    "all rows too long": HEADER + "a,0,1,action,more\nb,0,1,action,more\n",
    "a quote that never closes": HEADER + 'a,0,1,action\n"b,0,1,action\nc,0,1,action\n',
    "text after a quote": HEADER + '"a"b,0,1,action\n',
    "a cell without end": HEADER + "a" * 200_000 + ",0,1,action\n",
    "no trailer": HEADER + " ,0,1,action\n",
    "no genre": HEADER + "a,0,1,\n",
    "not a number": HEADER + "a,0,NaN,action\n",
    "infinite": HEADER + "a,0,1e999,action\n",
    "other throughout beside another genre": HEADER + "a,3,4,action\na,0,inf,other\n",
    "underscores": HEADER + "a,0,1_0,action\n",
    "a weak label without a genre": "trailer,genre\na,\n",
    "an event without a name": "filename\tonset\toffset\tevent_label\na\t0\t1\t\n",
    "headerless without a label": "a.wav\t0.0\t1.0\n",
    "headerless with words for numbers": "a.wav\tzero\tone\taction\n",
    # of JSON
    "JSON cut off": activitynet()[:-3],
    "JSON nested 100,000 deep": "[" * 100_000 + "]" * 100_000,
    "objects nested 100,000 deep": '{"database":' * 100_000 + "1" + "}" * 100_000,
    "half a surrogate pair": '{"database": {"\\ud800": {"annotations": [{"label": "action", "segment": [0, 1]}]}}}',
    "an integer of 5,000 digits": segment(0, 0).replace("0, 0", "0, " + "9" * 5000),
    "an integer of 400 digits": segment(0, 0).replace("0, 0", "0, " + "9" * 400),
    "NaN": segment(0, float("nan")),
    "Infinity": segment(0, float("inf")),
    "an object of another kind": '{"nothing": 1}',
    "an empty object": "{}",
    "an empty list": "[]",
    "a list of numbers": "[1, 2, 3]",
    "a list of null": "[null]",
    "a list of lists": "[[[]]]",
    # of ActivityNet
    "a list as database": '{"database": [1]}',
    "null as database": '{"database": null}',
    "a video twice": '{"results": {"a": [{"label": "action"}], "a": [{"label": "terror"}]}}',
    "annotations twice": activitynet()[:-3] + ', "annotations": [{"label": "terror"}]}}}',
    "a number as results": '{"results": 3}',
    "a list as entry": '{"database": {"a": []}}',
    "a number of results": '{"results": {"a": 3}}',
    "no annotations": '{"database": {"a": {}}}',
    "an object as annotations": '{"database": {"a": {"annotations": {"label": "action"}}}}',
    "a number as annotation": activitynet(5),
    "no label": activitynet({"segment": [0, 1]}),
    "a list as label": activitynet({"label": ["action"], "segment": [0, 1]}),
    "null as segment": activitynet({"label": "action", "segment": None}),
    "text as segment": activitynet({"label": "action", "segment": "12"}),
    "a number as segment": activitynet({"label": "action", "segment": 3}),
    "half a segment": segment(0),
    "a segment of three": segment(0, 1, 2),
    "a segment of nulls": segment(None, None),
    "a segment of texts": segment("", ""),
    "a segment of truths": segment(False, True),
    "a segment of objects": segment({}, {}),
    "an object as group": activitynet(group={"a": 1}),
    "no name": json.dumps({"results": {"": [{"label": "action", "segment": [0, 1]}]}}),
    # of Label Studio
    "no data": '[{"annotations": []}]',
    "a list as data": '[{"data": [1]}]',
    "no video": '[{"data": {}, "annotations": [{"result": []}]}]',
    "a list as video": task(video=["a"]),
    "an object as trailer": task(trailer={"a": 1}),
    "zero frames per second": task(fps=0),
    "infinite frames per second": task(fps="inf"),
    "text as frames per second": task(fps="many"),
    "a list as group": task(group=[1]),
    "a number as annotations": '[{"data": {"video": "a"}, "annotations": 3}]',
    "text as annotation": '[{"data": {"video": "a"}, "annotations": ["b"]}]',
    "no result": '[{"data": {"video": "a"}, "annotations": [{}]}]',
    "a number as result": task(5),
    "a list as value": task({"value": [1]}),
    "text as labels": task({"value": {"timelinelabels": "action", "ranges": []}}),
    "no ranges": task({"value": {"timelinelabels": ["action"]}}),
    "a number as range": task({"value": {"timelinelabels": ["action"], "ranges": [1]}}),
    "an object as choice": task({"value": {"choices": [{}]}}),
    "null as frame": frames(1, None),
    "text as frame": frames(1, "24"),
    "a truth as frame": frames(True, 24),
    "frames that go back": frames(24, 1),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_one_line(tmp_path: Path, damage: str) -> None:
    content = DAMAGES[damage]
    path = tmp_path / "labels.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    with pytest.raises(InputError) as refused:
        read_labels(path)
    message = str(refused.value)
    assert message.startswith(str(path))
    assert "expected" in message
    assert len(message) < 500 + len(str(path))
    assert "\n" not in message


def test_the_examples_are_damaged_in_one_place_only(tmp_path: Path) -> None:
    for text in (activitynet(), segment(0, 1), task(), frames(1, 24), activitynet(group=3), task(group="g", trailer=7)):
        (tmp_path / "labels.json").write_text(text)
        assert read_labels(tmp_path / "labels.json")["end"].tolist() == [1.0]


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    with path.open("wb") as file:
        file.write(HEADER.encode())
        file.truncate(200_000_000)
    with pytest.raises(
        InputError, match=rf"labels\.csv: expected a label table.*200.0 MB.*at most {MOST_BYTES // 10**6}"
    ):
        read_labels(path)
    with pytest.raises(InputError, match=r"200\.0 MB; at most 199\.5 MB are read \(--max-label-mb\)"):
        read_labels(path, max_mb=199.5)
    with pytest.raises(InputError, match="a NUL"):  # it was read
        read_labels(path, max_mb=200)


@pytest.mark.parametrize(
    "text", ["", "name\nwar\n", "name,genre\nwar\n", 'name,genre\n"war,action\n', "name,genre,name\na,,b\n"]
)
def test_a_damaged_genre_map_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "map.csv").write_text(text)
    with pytest.raises(InputError, match=r"map\.csv"):
        read_genre_map(tmp_path / "map.csv")
