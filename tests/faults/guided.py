"""Damaged files by a fuzzer that looks at which lines of the readers they reach: `pip install atheris`, on Linux.

    python -m tests.faults.guided KIND [-max_total_time=3600] [FOLDER_OF_INTERESTING_FILES]

KIND is one of `test_fuzz.KINDS`; what follows is for libFuzzer. It ends at the first file that is neither read nor
refused with a line, and keeps that file.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["genre_classifier", "preprocessing", "pympi"]):
    from tests.faults.test_fuzz import KINDS, is_taken, write_whole


def main() -> None:
    """Fuzz one kind of file."""
    name, *options = sys.argv[1:]
    kind = KINDS[name]
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        base, seeds = Path(folder) / "base", Path(folder) / "seeds"
        base.mkdir()
        seeds.mkdir()
        path = write_whole(base) / kind.file
        (seeds / path.name).write_bytes(path.read_bytes())

        def one_file(data: bytes) -> None:
            path.write_bytes(data)
            is_taken(kind, base)

        atheris.Setup([sys.argv[0], "-max_len=20000", *options, str(seeds)], one_file)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
