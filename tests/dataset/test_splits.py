"""Splits: whole groups, fair shares, and no leakage."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genre_classifier.dataset.splits import (
    SPLIT_NAMES,
    check_leakage,
    draw_splits,
    keep_splits,
    read_splits,
    require_kept,
    splits_of_trailers,
    splits_table,
    write_splits,
)
from genre_classifier.dataset.trailer_labels import own_group
from preprocessing.base.errors import InputError

SHARES = (0.6, 0.2, 0.2)


@given(
    groups=st.lists(st.integers(0, 12), min_size=1, max_size=40),
    seed=st.integers(0, 99),
    data=st.data(),
)
@settings(max_examples=80, deadline=None)
def test_groups_stay_whole_and_asked_splits_are_filled(groups, seed, data):
    genres = np.array(data.draw(st.lists(st.tuples(*[st.booleans()] * 6), min_size=len(groups), max_size=len(groups))))
    names = [f"g{group}" for group in groups]
    splits = draw_splits(genres, names, SHARES, seed=seed)
    assert len(splits) == len(groups)
    for name in set(names):
        assert len({split for split, group in zip(splits, names, strict=True) if group == name}) == 1
    assert len(set(splits)) == min(3, len(set(names)))
    assert "train" in splits
    assert splits == draw_splits(genres, names, SHARES, seed=seed)


def test_each_split_gets_its_share_of_a_rare_genre():
    genres = np.zeros((60, 6), dtype=bool)
    genres[:, 0] = True
    genres[:10, 1] = True  # rare
    for seed in range(10):
        splits = np.array(draw_splits(genres, [str(i) for i in range(60)], SHARES, seed=seed))
        assert [int((splits[:10] == split).sum()) for split in SPLIT_NAMES] == [6, 2, 2]
        assert [int((splits == split).sum()) for split in SPLIT_NAMES] == [36, 12, 12]


def test_a_share_of_zero_gets_nothing():
    splits = draw_splits(np.ones((5, 6), bool), list("abcde"), (0.8, 0.2, 0.0))
    assert set(splits) == {"train", "validation"}


@pytest.mark.parametrize("column", ["trailer_id", "source", "group"])
def test_leakage_is_refused(tmp_path, column):
    table = pd.DataFrame(
        {
            "trailer_id": [0, 1],
            "source": ["a", "b"],
            "split": ["train", "test"],
            "group": ["x", "y"],
        }
    )
    check_leakage(table, "fine")
    table.loc[1, column] = table.loc[0, column]
    write_splits(tmp_path / "splits.csv", table)
    with pytest.raises(InputError, match=f"expected each {column} in one split"):
        read_splits(tmp_path / "splits.csv")


@pytest.mark.parametrize(
    ("text", "expected"), [("a,b\n", "columns trailer_id,split"), ("trailer_id,split\n1,dev\n", "found 'dev'")]
)
def test_a_bad_table_is_refused(tmp_path, text, expected):
    (tmp_path / "splits.csv").write_text(text)
    with pytest.raises(InputError, match=expected):
        read_splits(tmp_path / "splits.csv")


def test_splits_of_another_run_are_kept_by_source_and_group() -> None:
    def trailer(trailer_id: int, source: str, group: str = "") -> Any:
        return SimpleNamespace(trailer_id=trailer_id, source=source, group=group or own_group(trailer_id))

    rows = [(0, "a", "test", "trailer 0"), (1, "b", "train", "film"), (2, "c", "validation", "trailer 2")]
    before = pd.DataFrame(rows, columns=["trailer_id", "source", "split", "group"])
    # Numbered anew; "b" is gone, its film has another trailer; "e" belongs to "a".
    now = [trailer(2, "a", "pair"), trailer(1, "c"), trailer(0, "d", "film"), trailer(3, "e", "pair"), trailer(4, "f")]
    kept = keep_splits(now, before, "splits.csv")
    assert kept == {2: "test", 1: "validation", 0: "train", 3: "test"}
    table = splits_table(now, ["test", "train", "train", "train", "test"])
    with pytest.raises(InputError, match="of runs/a to stay in the split test, found trailer 3 in train"):
        require_kept(table, kept, "runs/a")
    require_kept(splits_table(now, ["test", "train", "train", "test", "train"]), kept, "runs/a")


def test_trailers_of_another_clips_folder_are_known_again_by_source() -> None:
    def trailer(trailer_id: int, source: str) -> Any:
        return SimpleNamespace(trailer_id=trailer_id, source=source, group=own_group(trailer_id))

    rows = [(0, "a", "test"), (1, "b", "train"), (2, "c", "validation"), (3, None, "train")]
    table = pd.DataFrame(rows, columns=["trailer_id", "source", "split"])
    now = [trailer(0, "b"), trailer(1, "c"), trailer(2, "new"), trailer(3, "x"), trailer(4, "a")]
    found = splits_of_trailers(now, table)
    assert found[["trailer_id", "source", "split"]].to_numpy().tolist() == [
        [0, "b", "train"],
        [1, "c", "validation"],
        [3, "x", "train"],
        [4, "a", "test"],
    ]
    by_id = splits_of_trailers(now, table[["trailer_id", "split"]])
    assert by_id["split"].tolist() == ["test", "train", "validation", "train"]


def test_splits_without_sources_cannot_be_kept(tmp_path: Path) -> None:
    (tmp_path / "splits.csv").write_text("trailer_id,split\n0,train\n")  # as a person may give it
    with pytest.raises(InputError, match=r"runs/a/splits\.csv: expected the column source"):
        keep_splits([], read_splits(tmp_path / "splits.csv"), "runs/a/splits.csv")
