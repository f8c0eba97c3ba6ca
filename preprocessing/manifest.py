"""The manifest of a clips folder: a row per source video, failed ones included."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from preprocessing.base.errors import InputError
from preprocessing.base.files import abbreviated_repr, write_atomically
from preprocessing.base.tables import read_numbers, read_table
from preprocessing.clips import CLIP_NAME, clip_path, load_clip

MANIFEST_NAME = "manifest.csv"

# Column -> pandas type. Empty cells mean unknown.
COLUMNS: dict[str, Any] = {
    "trailer_id": "Int64",  # of rows that are ok, and of those that were and may be again
    "source": "str",  # relative to the trailers folder, / between parts
    "sha256": "str",  # of the source file
    "bytes": "Int64",  # of the source file
    "status": "str",  # ok, failed
    "error": "str",  # why it failed, one line; of an ok row: why it could not be read again, its clip being kept
    "frames": "Int64",  # of the clip
    "rows": "Int64",  # of the clip
    "cols": "Int64",  # of the clip
    "declared_frames": "Int64",  # what the file says; never trusted
    "decoded_frames": "Int64",  # what came out of it
    "skipped_packets": "Int64",  # damaged ones, that gave no frame
    "fps": "float64",  # what the file says; never trusted
    "start": "float64",  # seconds of the first picture since the start of the container; empty: times count from it
    "duration": "float64",  # seconds from the first decoded frame to the end of the last
    "declared_duration": "float64",  # seconds by what the file says; never trusted
    "sound": "float64",  # seconds of sound beside the clip, from second 0 of its times; empty: there is none
    "timing": "str",  # where the times come from: timestamps, repaired, frame rate
    "width": "Int64",  # pixels, as shown (rotated)
    "height": "Int64",  # pixels, as shown (rotated)
    "rotation": "Int64",  # degrees clockwise, 0, 90, 180 or 270, that the file asks for; already applied to the clip
    "codec": "str",  # four characters
}
STATUSES = ("ok", "failed")


def source_name(relative: Path) -> str:
    r"""Return the text by which manifests and labels call a video.

    Control characters (a newline, say) and bytes that are not UTF-8 are written as `\x0a` and `\xff`; a name that
    already holds such text gets its backslashes doubled, so that no two files share a name.
    """
    name = relative.as_posix()
    if re.search(r"\\x[0-9a-f]{2}", name):
        name = name.replace("\\", "\\\\")
    name = os.fsencode(name).decode("utf-8", errors="backslashreplace")
    return re.sub(r"[\x00-\x1f\x7f]", lambda control: f"\\x{ord(control[0]):02x}", name)


def manifest_table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return rows as a manifest, sorted by source, every column with its type."""
    table = pd.DataFrame(list(rows), columns=list(COLUMNS))
    for name, kind in COLUMNS.items():
        if kind == "str":
            table[name] = table[name].astype(object).where(table[name].notna(), "").astype(str)
        else:
            table[name] = pd.to_numeric(table[name]).astype(kind)
    return table.sort_values("source", ignore_index=True)


def write_manifest(clips_dir: Path, manifest: pd.DataFrame) -> None:
    """Write the manifest of a clips folder, whole or not at all."""
    write_atomically(Path(clips_dir) / MANIFEST_NAME, manifest.to_csv(index=False, lineterminator="\n"))


def read_manifest(clips_dir: Path | str) -> pd.DataFrame:
    """Read the manifest of a clips folder; a folder of hand-made clips gets one made from them.

    Returns
    -------
    DataFrame
        The columns of `COLUMNS`; `trailer_id` is a nullable Int64.

    Raises
    ------
    InputError
        If the folder is missing, holds neither manifest nor clips, or its manifest is damaged.
    """
    clips_dir = Path(clips_dir)
    path = clips_dir / MANIFEST_NAME
    if not clips_dir.is_dir():
        raise InputError(
            f"{clips_dir}: expected a folder of clips, found {'a file' if clips_dir.exists() else 'nothing'}"
        )
    if not path.exists():
        return _manifest_of_clips(clips_dir)
    table = read_table(path, "a manifest", columns=("trailer_id", "source", "status", "frames"))
    table = table.reindex(columns=list(COLUMNS), fill_value="")
    for name, kind in COLUMNS.items():
        if kind != "str":
            table[name] = read_numbers(path, table, name, whole=kind == "Int64", empty=True, least=0)
    _check(path, table)
    return table


def _check(path: Path, table: pd.DataFrame) -> None:
    ok = table["status"] == "ok"
    for problem, rows in (
        (f"a status among {', '.join(STATUSES)}", ~table["status"].isin(STATUSES)),
        ("a source in every row", table["source"] == ""),
        ("each source once", table["source"].duplicated()),
        ("a trailer_id in every ok row", ok & table["trailer_id"].isna()),
        ("each trailer_id once", table["trailer_id"].notna() & table["trailer_id"].duplicated()),
    ):
        if rows.any():
            row = int(rows.to_numpy().argmax())
            raise InputError(
                f"{path}, row {row + 2}: expected {problem}, found {abbreviated_repr(table['source'][row])}"
            )


def _manifest_of_clips(clips_dir: Path) -> pd.DataFrame:
    ids = sorted(int(match[1]) for entry in clips_dir.iterdir() if (match := CLIP_NAME.fullmatch(entry.name)))
    if not ids:
        raise InputError(
            f"{clips_dir}: expected {MANIFEST_NAME} or trailer_<id>.npy clips, found neither; `genre-classifier "
            "preprocess` makes clips of a folder of videos"
        )
    rows = []
    for trailer_id in ids:
        path = clip_path(clips_dir, trailer_id)
        frames, _, height, width = load_clip(path).shape
        rows.append(
            {
                "trailer_id": trailer_id,
                "source": path.name,
                "status": "ok",
                "frames": frames,
                "rows": height,
                "cols": width,
            }
        )
    return manifest_table(rows)


def known_durations(manifest: pd.DataFrame) -> dict[str, float]:
    """Return seconds per source, from the first decoded frame to the end of the last, of the clips that have them."""
    known = ok_rows(manifest).dropna(subset=["duration"])
    return dict(zip(known["source"].astype(str), known["duration"].astype(float), strict=True))


def ok_rows(manifest: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that have a clip, in the order of their ids."""
    return manifest[manifest["status"] == "ok"].sort_values("trailer_id", ignore_index=True)
