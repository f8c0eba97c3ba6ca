"""Child processes that die: how often a job is tried, and what becomes of the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from preprocessing.base.errors import WorkError
from preprocessing.processes.child import Program
from preprocessing.processes.pool import answers

TWICE = Program("tests.support.dying_child", "child", tries=2, environment=(("OMP_NUM_THREADS", "3"),))


@pytest.mark.slow
def test_a_job_is_tried_again_elsewhere_and_then_given_up(tmp_path: Path) -> None:
    tasks = [{"log": str(tmp_path / f"log_{deaths}"), "deaths": deaths} for deaths in (0, 1, 2, 0)]
    tasks[3]["log"] = str(tmp_path / "last")
    with answers(TWICE, tasks, jobs=2, scheduler=None) as results:
        found = list(results)
    done = {"done": {"threads": "3"}}
    assert found == [done, done, {"failed": "child crashed (SIGKILL)", "facts": {}}, done]
    tried = {name: (tmp_path / name).read_text().splitlines() for name in ("log_0", "log_1", "log_2", "last")}
    assert {name: len(pids) for name, pids in tried.items()} == {"log_0": 1, "log_1": 2, "log_2": 2, "last": 1}
    assert len(set(tried["log_1"])) == 2
    assert len(set(tried["log_2"])) == 2


@pytest.mark.slow
def test_what_goes_wrong_in_a_child_is_said_once(tmp_path: Path) -> None:
    log = str(tmp_path / "log")
    with answers(TWICE, [{"log": log, "raises": "ValueError"}], jobs=1, scheduler=None) as results:
        assert list(results) == [{"failed": "ValueError: wrong", "facts": {}}]
    assert len((tmp_path / "log").read_text().splitlines()) == 1  # it is the job, not the child
    with (
        pytest.raises(WorkError, match="/x: no space left on device"),
        answers(TWICE, [{"log": log, "raises": "OSError"}], jobs=1, scheduler=None) as results,
    ):
        list(results)
