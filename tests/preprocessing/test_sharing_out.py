"""How work is shared out: other processes where they pay, else none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from preprocessing.processes.sharing import START_SECONDS, share_out


def pid_task(task: dict[str, Any], answers: Any) -> int:
    return os.getpid()


def pids(**options: Any) -> list[int]:
    """Return which processes do two tasks."""
    with share_out(
        f"{__name__}:pid_task",
        [{}, {}],
        here=lambda index: os.getpid(),
        files=[Path("a"), Path("b")],
        name="tester",
        needed_bytes=1,
        **options,
    ) as results:
        return list(results)


def test_what_is_done_before_others_have_begun_is_done_here() -> None:
    assert pids(jobs=None, seconds=START_SECONDS / 2) == [os.getpid()] * 2
    assert pids(jobs=1) == [os.getpid()] * 2


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"jobs": 2, "seconds": 0.0}, {"jobs": None, "seconds": 60.0}, {"jobs": None}])
def test_what_takes_longer_or_is_asked_for_is_shared_out(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("joblib.cpu_count", lambda: 2)
    assert os.getpid() not in pids(**options)
