"""Label tables: reading, meaning, targets per frame, and the join with a clips folder."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from genre_classifier import cli
from genre_classifier.dataset.labels import read_genre_map, read_labels, write_labels
from genre_classifier.dataset.trailer_labels import (
    frame_targets,
    is_weak,
    labelled_frames,
    labels_for_trailers,
    only_checked,
)
from genre_classifier.genres import GENRES
from preprocessing.base.errors import InputError
from preprocessing.manifest import manifest_table
from tests.support.notes import logged
from tests.support.trailers import write_clips


def table(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["trailer", "start", "end", "genre"]).astype({"start": float, "end": float})


def written(tmp_path: Path, text: str, name: str = "labels.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_intervals_cover_the_frames_from_start_to_just_before_end():
    labels = table(("a", 1.0, 2.0, "action"), ("a", 1.5, 3.0, "terror"))
    targets = frame_targets(labels, np.array([0.0, 1.0, 1.5, 2.0, 2.999, 3.0]))
    by_hand = {
        "action": [0, 1, 1, 0, 0, 0],
        "terror": [0, 0, 1, 1, 1, 0],
        "other": [1, 0, 0, 0, 0, 1],  # outside every interval
    }
    expected = np.array([by_hand.get(genre, [0] * 6) for genre in GENRES], dtype=np.float32).T
    np.testing.assert_array_equal(targets, expected)


def test_weak_labels_apply_to_every_frame_and_nothing_becomes_other():
    labels = table(("a", np.nan, np.nan, "comedy"), ("a", np.nan, np.nan, "musical"))
    assert is_weak(labels)
    targets = frame_targets(labels, np.array([0.0, 5.0]))
    np.testing.assert_array_equal(targets, [[1, 0, 0, 0, 1, 0]] * 2)


def test_names_of_other_tables_are_mapped_counted_and_left_out(tmp_path):
    path = written(tmp_path, "trailer,genres\na.mp4,Comedy|Horror|Drama\nb.mp4,Film-Noir|Drama|Romance\nc.mp4,Drama\n")
    with logged() as notes:
        labels = read_labels(path)
    assert list(zip(labels["trailer"], labels["genre"], strict=True)) == [
        ("a.mp4", "comedy"),
        ("a.mp4", "terror"),
        ("b.mp4", "thriller"),
    ]
    assert notes == [f"{path}: genres outside the six, left out: Drama (3), Romance (1)"]
    as_other = read_labels(path, unmapped_as_other=True)
    assert set(as_other.loc[as_other["trailer"] == "c.mp4", "genre"]) == {"other"}


def test_a_genre_map_adds_and_overrides(tmp_path):
    genre_map = read_genre_map(written(tmp_path, "name,genre\nSlapstick,comedy\nwar,\n", "map.csv"))
    labels = read_labels(written(tmp_path, "trailer,genres\na,slapstick|War|action\n"), genre_map=genre_map)
    assert list(labels["genre"]) == ["comedy", "action"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("trailer,start,end,genre\na,0,1,comdey\n", "row 2: expected a genre .* found 'comdey'"),
        ("trailer,start,end,genre\na,0,1,action\na,5,2,action\n", "row 3: expected an end after its start"),
        ("trailer,start,end,genre\na,zero,1,action\n", "row 2: expected seconds, found 'zero'"),
        ("trailer,start,end,genre\na,nan,1,action\n", "row 2: expected seconds, found 'nan'"),
        ("trailer,start,end,genre\na,1,,action\n", "row 2: expected both start and end"),
        ("trailer,start,end,genre\na,-1,2,action\n", "row 2: expected a start of at least 0"),
        ("trailer,start,end,genre\na,1,inf,action\n", "row 2: expected finite seconds"),
        ("trailer,start,end,genre\na,1,2,action\na,,,comedy\n", "intervals or whole-trailer labels"),
        ("trailer,start,end,genre\n,1,2,action\n", "row 2: expected a trailer"),
        ("a,b\n1,2\n", "expected a label table"),
        ("", "expected a label table"),
        ("trailer,start,end,genre\n", "found no label"),
        ('{"nothing": 1}', "JSON of another kind"),
        ('[{"data": {}}]', "task 0: expected a name as data.trailer"),
        (
            "trailer,start,end,genre,group\na,0,1,action,x\na,1,2,action,y\n",
            "one group for each trailer, found 'x' and 'y' for 'a'",
        ),
    ],
)
def test_a_bad_table_is_refused_with_its_row(tmp_path, text, expected):
    path = written(tmp_path, text)
    with pytest.raises(InputError, match=expected) as refused:
        read_labels(path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "rows",
    [
        "a,0,1,comedy,film\na,2,3,action,\n",
        "a,0,1,comedy,\na,2,3,action,film\n",
        "a,0,1,comedy, \na,1,2,comedy,film\n",  # one interval, once they are joined
        "a,0,1,drama,film\na,0,1,comedy,\n",  # a genre that is left out
        "a,0,1,comedy, film\na,2,3,comedy,film \n",
    ],
)
def test_a_group_in_any_row_of_a_trailer_is_that_of_the_trailer(tmp_path, rows):
    labels = read_labels(written(tmp_path, f"trailer,start,end,genre,group\n{rows}b,0,1,action,\n"))
    assert set(labels.loc[labels["trailer"] == "a", "group"]) == {"film"}
    assert labels.loc[labels["trailer"] == "b", "group"].isna().all()


def test_a_group_is_one_however_it_is_written(tmp_path):
    one, two = (unicodedata.normalize(form, "Am\u00e9lie") for form in ("NFC", "NFD"))
    labels = read_labels(written(tmp_path, f"trailer,genre,group\na,comedy,{one}\nb,comedy,{two}\nc,comedy,{one} \n"))
    assert set(labels["group"]) == {one}
    assert "group" not in read_labels(written(tmp_path, "trailer,genre,group\na,comedy, \nb,comedy,\n"))


MANIFEST = pd.DataFrame(
    {
        "trailer_id": pd.array([0, None, 1, 2], dtype="Int64"),
        "source": ["a.mp4", "broken.mp4", "b/c.mp4", "2"],
        "status": ["ok", "failed", "ok", "ok"],
    }
)


def test_labels_find_clips_by_source_or_id_and_say_what_is_left_out():
    labels = table(("b/c.mp4", 0, 1, "action"), ("0", 0, 1, "comedy"), ("broken.mp4", 0, 1, "other"))
    with logged() as notes:
        joined = labels_for_trailers(labels, MANIFEST)
    assert list(joined) == [0, 1]
    assert joined[0]["genre"].tolist() == ["comedy"]
    assert notes == [
        "1 labelled trailers have no clip and are left out, such as 'broken.mp4'",
        "1 clips have no label and are left out, such as trailer 2",
    ]


def test_unknown_trailers_are_refused_unless_asked():
    labels = table(("a.mp4", 0, 1, "action"), ("z.mp4", 0, 1, "comedy"))
    with pytest.raises(InputError, match=r"'z.mp4' .* does not know"):
        labels_for_trailers(labels, MANIFEST)
    assert list(labels_for_trailers(labels, MANIFEST, skip_unknown=True)) == [0]
    with pytest.raises(InputError, match="no label has a clip"):
        labels_for_trailers(labels[1:], MANIFEST, skip_unknown=True)
    with pytest.raises(InputError, match="twice"):
        labels_for_trailers(table(("a.mp4", 0, 1, "action"), ("0", 1, 2, "comedy")), MANIFEST)


CHECKED = "trailer,start,end,genre,checked\n"


def test_a_trailer_that_is_not_checked_has_labels_inside_its_intervals_alone(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text(CHECKED + "a,0.5,1,comedy,no\na,2,2.5,action,no\nb,0,1,comedy,yes\nc,,,terror,no\nd,0,1,action,\n")
    table = read_labels(path)
    assert table.groupby("trailer")["checked"].first().to_dict() == {"a": False, "b": True, "c": True, "d": True}
    rows = table[table["trailer"] == "a"]
    times = np.arange(6) / 2
    assert labelled_frames(rows, times).tolist() == [False, True, False, False, True, False]
    assert labelled_frames(table[table["trailer"] == "b"], times).all()
    write_labels(tmp_path / "again.csv", table)
    pd.testing.assert_frame_equal(read_labels(tmp_path / "again.csv"), table)


def test_nothing_is_judged_by_trailers_that_are_not_checked(tmp_path, caplog):
    path = tmp_path / "labels.csv"
    path.write_text(CHECKED + "a,0,1,comedy,no\nb,0,1,comedy,yes\n")
    kept = only_checked(read_labels(path))
    assert kept["trailer"].tolist() == ["b"]
    assert "checked" not in kept
    assert "1 trailers are not checked" in caplog.text


def test_labels_that_nobody_has_checked_are_refused_with_the_reason(tmp_path, capsys):
    write_clips(tmp_path / "clips", [4])
    path, out = tmp_path / "labels.csv", tmp_path / "out.csv"
    path.write_text(CHECKED + "0,0,1,comedy,no\n0,2,3,action,no\n")
    assert cli.run(["labels", str(path), str(out), "--clips", str(tmp_path / "clips")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "expected trailers that are checked, found none: 1 say `no`" in line
    assert not out.exists()


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("a,0,1,comedy,maybe\n", "row 2: expected checked to be yes or no, found 'maybe'"),
        ("a,0,1,comedy,no\na,2,3,action,yes\n", "expected one value of checked for each trailer, found both for 'a'"),
    ],
)
def test_what_says_nothing_about_checking_is_refused(tmp_path, rows, expected):
    (tmp_path / "labels.csv").write_text(CHECKED + rows)
    with pytest.raises(InputError, match=expected):
        read_labels(tmp_path / "labels.csv")


def test_formats_that_cannot_hold_it_say_so(tmp_path, caplog):
    (tmp_path / "labels.csv").write_text(CHECKED + "a,0,1,comedy,no\n")
    write_labels(tmp_path / "labels.json", read_labels(tmp_path / "labels.csv"))
    assert "activitynet cannot hold that 1 trailers are not checked" in caplog.text


def test_a_name_written_with_other_signs_is_said() -> None:
    composed, decomposed = (unicodedata.normalize(form, "\u00e9t\u00e9.mp4") for form in ("NFC", "NFD"))
    for one, other in ((composed, decomposed), (decomposed, composed)):
        manifest = manifest_table([{"trailer_id": 7, "source": one, "status": "ok", "frames": 1}])
        labels = pd.DataFrame([(other, np.nan, np.nan, "comedy")], columns=["trailer", "start", "end", "genre"])
        with pytest.raises(InputError, match=r"NFC, NFD.*or give the id 7"):
            labels_for_trailers(labels, manifest)
        assert list(labels_for_trailers(labels.assign(trailer=one), manifest)) == [7]
