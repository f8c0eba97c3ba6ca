"""The border to the disk: every shape of damage is one line, and what is written is written whole or not at all."""

from __future__ import annotations

import errno
import os
import socket
import time
from pathlib import Path

import numpy as np
import pytest

from preprocessing.base import files
from preprocessing.base.errors import InputError, WorkError
from preprocessing.base.files import (
    abbreviated_repr,
    atomic_path,
    make_folder,
    read_document,
    read_json,
    read_text,
    write_atomically,
)
from preprocessing.base.tables import read_numbers, read_table


def one_line(caught: pytest.ExceptionInfo[BaseException]) -> str:
    """Return the message, which must fit a line of a terminal."""
    text = str(caught.value)
    assert text.isprintable(), text
    assert len(text) < 400
    return text


# --- what stands in a file's place ------------------------------------------------------------------------------------


def special_missing(path: Path) -> None:
    pass


def special_link(path: Path) -> None:
    path.symlink_to(path.name)


def special_socket(path: Path) -> None:
    os.chdir(path.parent)  # a socket's address is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)


SPECIAL = {
    "no such file": special_missing,
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
    "a socket": special_socket,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "too many levels of symbolic links": special_link,
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("read", [read_text, read_json, read_table])
@pytest.mark.parametrize("found", SPECIAL)
def test_what_is_no_file_is_refused_unopened(tmp_path, monkeypatch, read, found):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "manifest.csv"
    SPECIAL[found](path)
    with pytest.raises(InputError) as caught:
        read(path, "a manifest")
    assert one_line(caught) == f"{path}: expected a manifest, found {found}"


def test_a_file_below_a_file_a_name_with_nul_and_one_too_long_are_refused(tmp_path):
    (tmp_path / "file").touch()
    for name in ("file/a.csv", "a\0b", "n" * 300):
        with pytest.raises(InputError, match="expected a manifest, found"):
            read_text(tmp_path / name, "a manifest")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.touch(mode=0)
    with pytest.raises(InputError, match=r"a.csv: expected a manifest, found permission denied"):
        read_text(path, "a manifest")


def test_a_file_above_the_limit_is_refused(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"[" + b"1," * 1_000_000 + b"1]")
    assert len(read_json(path, "labels", most_bytes=2_000_003)) == 1_000_001
    with pytest.raises(InputError) as caught:
        read_json(path, "labels", most_bytes=1_500_000)
    assert one_line(caught) == f"{path}: expected labels, found 2.0 MB; at most 1.5 MB are read"
    with path.open("r+b") as file:
        file.truncate(10**12)  # a sparse terabyte
    with pytest.raises(InputError, match=r"found 1000000\.0 MB; at most 64 MB are read"):
        read_json(path, "labels")


# --- what a file holds ------------------------------------------------------------------------------------------------

DAMAGED_TEXT = {
    "latin-1": ("schön".encode("latin-1"), "no UTF-8 text (byte 3)"),
    "utf-16": ("a,b\n".encode("utf-16"), "no UTF-8 text (byte 0)"),
    "utf-16 without mark": ("a,b\n".encode("utf-16-le"), "no UTF-8 text (a NUL, character 1)"),
    "zeros": (bytes(4096), "no UTF-8 text (a NUL, character 0)"),
}


@pytest.mark.parametrize("read", [read_text, read_json, read_table])
@pytest.mark.parametrize("damage", DAMAGED_TEXT)
def test_what_is_no_text_is_refused(tmp_path, read, damage):
    path = tmp_path / "file"
    content, found = DAMAGED_TEXT[damage]
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read(path, "a manifest")
    assert one_line(caught) == f"{path}: expected a manifest, found {found}"


def test_a_byte_order_mark_is_no_content(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_text(path, "text") == '{"a": 1}'
    assert read_json(path, "text") == {"a": 1}
    path.write_bytes(b"\xef\xbb\xbfa,b\r\n1,2\r\n")
    assert read_table(path, "text").to_dict("records") == [{"a": "1", "b": "2"}]


DAMAGED_JSON = {
    "empty": (" \n", "an empty file"),
    "cut": ('{"schema": 1', "no JSON (Expecting"),
    "text after": ('{"schema": 1} x', "no JSON (Extra data"),
    "NaN": ('{"schema": NaN}', "no JSON (NaN is not a number"),
    "infinity": ("[-Infinity]", "no JSON (-Infinity is not a number"),
    "overflow": ("[1e999]", "no JSON ('1e999' is not a finite number"),
    "huge number": ("[" + "9" * 5000 + "]", "does not fit into 64 bits"),
    "large number": ("[-9223372036854775809]", "does not fit into 64 bits"),
    "nested lists": ("[" * 100_000, "JSON that is nested too deeply"),
    "nested objects": ('{"a":' * 100_000, "JSON that is nested too deeply"),
    "half a surrogate pair": ('["a\\ud83d"]', "half of a surrogate pair in a string"),
    "a line break in a string": ('["a\nb"]', "no JSON (Invalid control character"),
}


@pytest.mark.parametrize("damage", DAMAGED_JSON)
def test_damaged_json_is_one_line(tmp_path, damage):
    path = tmp_path / "file.json"
    content, found = DAMAGED_JSON[damage]
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        read_document(path, 1, "a JSON file", "train again")
    assert one_line(caught).startswith(f"{path}: expected a JSON file, found ")
    assert found in str(caught.value)


def test_good_json_is_read_as_it_stands(tmp_path):
    path = tmp_path / "file.json"
    path.write_text('{"a": [1, -2.5, 1e3, null, true, 9223372036854775807], "\\ud83d\\ude00": "\\u0000"}')
    document = read_json(path, "a JSON file")
    assert document == {"a": [1, -2.5, 1000.0, None, True, 2**63 - 1], "\N{GRINNING FACE}": "\0"}


@pytest.mark.parametrize("content", ["[]", "3", "null", '{"schema": 2}', '{"schema": "' + "\\u001b" * 999 + '"}', "{}"])
def test_another_schema_is_refused_with_its_remedy(tmp_path, content):
    path = tmp_path / "file.json"
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        read_document(path, 1, "a JSON file", "train again")
    assert one_line(caught).startswith(f"{path}: expected schema 1, found ")
    assert str(caught.value).endswith("; train again")
    path.write_text('{"schema": 1, "a": 2}')
    assert read_document(path, 1, "a JSON file", "train again") == {"schema": 1, "a": 2}


DAMAGED_TABLE = {
    "empty": ("\n\n", ": expected splits, found an empty file"),
    "unclosed quote": ('id,split\n1,"train\n2,test\n', ": expected splits, found no table (unexpected end of data)"),
    "text after a quote": ('id,split\n1,"train"s\n', ": expected splits, found no table ("),
    "more cells": ("id,split\n1,train\n2,test,3\n", ", row 3: expected 2 cells, found 3"),
    "cut off": ("id,split\n1,train\n2", ", row 3: expected 2 cells, found 1"),
    "more cells everywhere": ("id,split\n1,train,a\n2,test,b\n", ", row 2: expected 2 cells, found 3"),
    "missing column": ("id,part\n1,train\n", ": expected the columns id,split; missing split, found 'id,part'"),
    "column twice": ("id,split,id\n1,train,2\n", ": expected each column once, found 'id' twice"),
    "huge cell": ("id,split\n1," + "a" * 200_000 + "\n", ": expected splits, found no table (field larger"),
    "one long line": ("id\tsplit" * 1000, ": expected the columns id,split; missing id,split, found 'id\\tsplit"),
}


@pytest.mark.parametrize("damage", DAMAGED_TABLE)
def test_a_damaged_table_is_one_line(tmp_path, damage):
    path = tmp_path / "splits.csv"
    content, message = DAMAGED_TABLE[damage]
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        read_table(path, "splits", columns=("id", "split"))
    assert one_line(caught).startswith(f"{path}{message}")


def test_a_table_is_text_to_the_last_cell(tmp_path):
    path = tmp_path / "table.tsv"
    path.write_text('a\tb\n\n007\tNA\n\t"two\r\nlines ""x"""\n', newline="")
    table = read_table(path, "a table", columns=["b"], separator="\t")
    assert table.to_dict("list") == {"a": ["007", ""], "b": ["NA", 'two\r\nlines "x"']}
    path.write_text("a,b\n")
    assert read_table(path, "a table").columns.tolist() == ["a", "b"]


def test_numbers_of_a_table(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("id,time,fps\n0,0.1000000000000000055,\n9007199254740993,-1e-300,24\n3.0,2,25.5\n")
    table = read_table(path, "a table")
    ids = read_numbers(path, table, "id", whole=True, least=0)
    assert ids.tolist() == [0, 2**53 + 1, 3]
    assert str(ids.dtype) == "Int64"
    assert read_numbers(path, table, "time").tolist() == [0.1, -1e-300, 2.0]
    np.testing.assert_array_equal(read_numbers(path, table, "fps", empty=True), [np.nan, 24.0, 25.5])


@pytest.mark.parametrize(
    ("cell", "options", "expected"),
    [
        ("", {}, "a number"),
        ("nan", {}, "a number"),
        ("1e999", {}, "a number"),
        ("soon", {"empty": True}, "a number"),
        ("1.5", {"whole": True}, "a whole number"),
        ("1e300", {"whole": True}, "a whole number"),
        ("9" * 5000, {"whole": True}, "a whole number"),
        ("inf", {"whole": True, "empty": True}, "a whole number"),
        ("-1", {"whole": True, "least": 0}, "a whole number from 0 to inf"),
        ("1.01", {"least": 0, "most": 1}, "a number from 0 to 1"),
    ],
)
def test_what_is_no_number_is_refused_with_its_row(tmp_path, cell, options, expected):
    path = tmp_path / "table.csv"
    path.write_text(f"a,b\n1,1\n1,{cell}\n")
    with pytest.raises(InputError) as caught:
        read_numbers(path, read_table(path, "a table"), "b", **options)
    assert one_line(caught) == f"{path}, row 3: expected {expected} in column b, found {abbreviated_repr(cell)}"


# --- writing ----------------------------------------------------------------------------------------------------------


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.txt"
    write_atomically(path, "é")
    for error in (KeyboardInterrupt, ValueError):
        with pytest.raises(error), atomic_path(path) as temporary:  # noqa: PT012 - the block is what is interrupted
            temporary.write_text("half")
            raise error
    assert path.read_text(encoding="utf-8") == "é"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["n" * 250 + ".json", "\N{GRINNING FACE}" * 63, "." + "x" * 254])
def test_the_longest_names_are_written(tmp_path, name):
    write_atomically(tmp_path / name, "text")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "text"


def test_the_temporary_file_has_the_ending_of_the_file(tmp_path):
    with atomic_path(tmp_path / "copy.mp4") as temporary:
        temporary.touch()
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(".")
        assert temporary.name.endswith(".part.mp4")


def test_the_error_of_the_disk_is_the_one_told(tmp_path, monkeypatch):
    def refuse(code):
        def operation(*arguments, **options):
            raise OSError(code, os.strerror(code))

        return operation

    monkeypatch.setattr(files.Path, "write_bytes", refuse(errno.ENOSPC))
    monkeypatch.setattr(files.Path, "unlink", refuse(errno.EROFS))
    with pytest.raises(WorkError) as caught:
        write_atomically(tmp_path / "a.txt", "text")
    assert one_line(caught) == f"{tmp_path / 'a.txt'}: could not be written: No space left on device"


def test_no_folder_to_write_to_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    for name in ("none/a.txt", "file/a.txt", "n" * 300):
        with pytest.raises(WorkError, match="could not be written"):
            write_atomically(tmp_path / name, "text")


def test_a_symbolic_link_is_written_through(tmp_path):
    (tmp_path / "other").mkdir()
    target = tmp_path / "other" / "real.csv"
    target.write_text("old")
    (tmp_path / "first").symlink_to(target)
    (tmp_path / "second").symlink_to("first")
    write_atomically(tmp_path / "second", "new")
    assert (tmp_path / "second").is_symlink()
    assert (tmp_path / "first").is_symlink()
    assert target.read_text() == "new"

    (tmp_path / "dangling").symlink_to("other/made.csv")
    write_atomically(tmp_path / "dangling", "made")
    assert (tmp_path / "dangling").is_symlink()
    assert (tmp_path / "other" / "made.csv").read_text() == "made"
    assert len(list((tmp_path / "other").iterdir())) == 2


def test_what_was_killed_an_hour_ago_goes_and_what_is_anybody_elses_stays(tmp_path):
    with atomic_path(tmp_path / "report.html") as temporary:
        begun = [temporary.name, ".a_folder.part"]  # the second one as tempfile calls it
        others = [".notes.part", ".scores.csv.123.part", ".partners", "report.html.part"]
        for name in (*begun, *others):
            (tmp_path / name).mkdir() if "folder" in name else (tmp_path / name).touch()
        make_folder(tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*begun, *others])  # may be at work
        for name in (*begun, *others):
            os.utime(tmp_path / name, (time.time() - 3601,) * 2)
        make_folder(tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(others)
        temporary.touch()


@pytest.mark.timeout(20)
@pytest.mark.parametrize("found", ["a folder", "a pipe", "a socket", "a device"])
def test_what_is_no_file_is_not_replaced(tmp_path, monkeypatch, found):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "out.csv"
    SPECIAL[found](path)
    before = path.lstat()
    with pytest.raises(InputError) as caught:
        write_atomically(path, "text")
    assert one_line(caught) == f"{path}: expected the name of a file to write, found {found}"
    assert (path.lstat().st_ino, path.lstat().st_mode) == (before.st_ino, before.st_mode)
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_to_itself_is_no_place_to_write(tmp_path):
    special_link(tmp_path / "loop")
    with pytest.raises(WorkError, match="symbolic links"):
        write_atomically(tmp_path / "loop", "text")
