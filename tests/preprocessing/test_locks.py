"""The lock of a folder: one holder at a time, whatever became of the one before, and no file left behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from preprocessing.base.errors import InputError
from preprocessing.base.locks import LOCK_NAME, locked
from tests.support.folders import contents

# Takes the lock again and again, and appends to a file between two steps that a second holder would get between.
CONTENDER = """
import sys
import time
from pathlib import Path
from preprocessing.base.errors import InputError
from preprocessing.base.locks import locked
folder, witness = Path(sys.argv[1]), Path(sys.argv[2])
held = 0
while held < 200:
    try:
        with locked(folder, purpose="clips", busy="held"):
            witness.mkdir()
            held += 1
            witness.rmdir()
    except InputError:
        time.sleep(0.0002)  # else two that spin on two cores may keep the holder from running, for minutes
"""


def test_a_second_holder_is_refused_and_nothing_stays_behind(tmp_path: Path) -> None:
    folder = tmp_path / "below" / "clips"
    with locked(folder, purpose="clips", busy="held"):
        with (
            pytest.raises(InputError, match=f"^{folder}: held; wait$"),
            locked(folder, purpose="clips", busy="held; wait"),
        ):
            pass
        assert list(contents(folder)) == [LOCK_NAME]  # the refused one took nothing away
    assert not contents(folder)
    with locked(folder, purpose="clips", busy="held"):
        pass


def test_a_killed_process_gives_the_lock_back(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom preprocessing.base.locks import locked\n"
        "with locked(Path(sys.argv[1]), purpose='clips', busy='held'):\n    print('holds', flush=True)\n"
        "    time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"holds\n"
        with pytest.raises(InputError, match="held"), locked(tmp_path, purpose="clips", busy="held"):
            pass
        holder.kill()
    with locked(tmp_path, purpose="clips", busy="held"):
        pass
    assert not contents(tmp_path)


@pytest.mark.slow
def test_never_two_at_a_time_though_each_removes_the_file(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", CONTENDER, str(tmp_path / "folder"), str(tmp_path / "witness")]
    contenders = [subprocess.Popen(arguments) for _ in range(3)]
    assert [contender.wait() for contender in contenders] == [0, 0, 0]  # a second holder could not make the witness
