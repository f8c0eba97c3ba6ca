"""What can happen to a command: signals, full disks, inputs that go away or change, others at the same work."""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from tests.faults.bench import COMMANDS, Bench, Done, Running, limited

_DAY = 24 * 3600 * 10**9  # nanoseconds
_LONGEST_ALONE = 120.0  # seconds, which no command takes here
Fault = Callable[[Bench, str, np.random.Generator], list[Done]]


def _at_a_moment(bench: Bench, name: str, rng: np.random.Generator, running: list[Running]) -> None:
    """Wait until a command starts, or has written some of its files; not longer than it lives."""
    result, seconds = bench.undisturbed(name)
    bench_files = bench.work / COMMANDS[name].output
    early = rng.random() < 0.3
    files, late = int(rng.integers(0, len(result) + 1)), rng.uniform(0, 0.05)
    while running[0].process.poll() is None and not all(map(_has_begun, running)):
        time.sleep(0.01)  # until then it is all Python's own; a look takes milliseconds of a core that it needs
    until = time.monotonic() + rng.uniform(0, 0.5) * seconds
    while running[0].process.poll() is None:
        if early and time.monotonic() >= until:
            break
        if not early and sum(1 for _ in bench_files.rglob("*")) + bench_files.is_file() >= files:
            time.sleep(late)
            break
        time.sleep(0.001)


def _has_begun(running: Running) -> bool:
    """Whether the command line has begun its work: it then has the process that watches over its messages."""
    try:
        return bool(psutil.Process(running.process.pid).children())
    except psutil.NoSuchProcess:
        return True


def _ends(running: list[Running]) -> list[Done]:
    """Wait for all; one that still waits for another, which has ended by then, is stopped as its user would."""
    late = float("inf")
    while (ended := [one.process.poll() is not None for one in running]) != [True] * len(running):
        if any(ended):
            late = min(late, time.monotonic() + _LONGEST_ALONE)
        if time.monotonic() > late:
            for one in running:
                one.signal(signal.SIGINT)
            late = float("inf")
        time.sleep(0.05)
    return [one.end() for one in running]


def _signal(which: signal.Signals) -> Fault:
    def fault(bench: Bench, name: str, rng: np.random.Generator) -> list[Done]:
        running = _start(bench, name)
        _at_a_moment(bench, name, rng, running)
        running[int(rng.integers(len(running)))].signal(which)
        return _ends(running)

    return fault


def _killed_when_met(bench: Bench, name: str, rng: np.random.Generator) -> list[Done]:
    """One of several that train together is gone, after their first epoch: they have met."""
    if COMMANDS[name].processes == 1:
        pytest.skip(f"{name} works alone")
    running = _start(bench, name)
    checkpoints = bench.work / COMMANDS[name].output
    while all(one.process.poll() is None for one in running) and not list(checkpoints.glob("checkpoints/*.json")):
        time.sleep(0.001)
    time.sleep(rng.uniform(0, 1))
    running[int(rng.integers(len(running)))].signal(signal.SIGKILL)
    return _ends(running)


def _moved_between_steps(bench: Bench, name: str, rng: np.random.Generator) -> list[Done]:
    """Killed, or done; then everything is moved elsewhere, gone on with there, and moved back."""
    if rng.random() < 0.5:
        ends = _signal(signal.SIGKILL)(bench, name, rng)
    else:
        bench.undisturbed(name)
        bench.finish(name)
        ends = []
    with bench.moved():
        bench.again(COMMANDS[name])
    return ends


def _killed_on_a_cluster(bench: Bench, name: str, rng: np.random.Generator) -> list[Done]:
    """The work is done by two Dask workers, of which one is gone."""
    command = COMMANDS[name]
    if "--jobs 1" not in command.arguments:
        pytest.skip(f"{name} takes no cluster")
    distributed = pytest.importorskip("distributed")
    bench.undisturbed(name)
    bench.prepare(command)
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, protocol="tcp"
    ) as cluster:
        arguments = command.arguments.replace("--jobs 1", f"--scheduler {cluster.scheduler_address}")
        running = bench.start(dataclasses.replace(command, arguments=arguments))
        _at_a_moment(bench, name, rng, running)
        psutil.Process(cluster.workers[int(rng.integers(2))].pid).kill()
        ends = _ends(running)
    assert all(done.code == 0 for done in ends), ends
    return ends


def _start(bench: Bench, name: str, before: Callable[[], None] | None = None) -> list[Running]:
    bench.undisturbed(name)
    bench.prepare(COMMANDS[name])
    return bench.start(COMMANDS[name], before=before)


def _full_disk(bench: Bench, name: str, rng: np.random.Generator) -> list[Done]:
    """No file may be larger than so many bytes; some of the command's would be."""
    bench.undisturbed(name)
    bench.finish(name)
    output = bench.work / COMMANDS[name].output
    sizes = sorted({path.stat().st_size for path in [output, *output.rglob("*")] if path.is_file()})
    limit = int(rng.uniform(0, rng.choice(sizes)))
    return _ends(_start(bench, name, limited(resource.RLIMIT_FSIZE, limit)))


def _full_filesystem(bench: Bench, name: str, rng: np.random.Generator) -> list[Done]:
    """A file system of its own, with room for the inputs and for some of the output."""
    bench.undisturbed(name)
    bench.prepare(COMMANDS[name])
    needed = sum(-(-path.stat().st_size // 4096) * 4096 for path in bench.outputs_undisturbed(name))
    saved = bench.work.with_name("saved")
    with _small_filesystem(bench.work) as leave_room:
        bench.restore_inputs()
        leave_room(int(rng.uniform(0, 1) * needed) // 4096 * 4096)
        ends = _ends(bench.start(COMMANDS[name]))
        shutil.copytree(bench.work, saved)
    shutil.rmtree(bench.work)
    saved.rename(bench.work)
    return ends


def _filling_filesystem(bench: Bench, name: str, rng: np.random.Generator) -> list[Done]:
    """A file system of its own, in which no room is left from some moment of the work on."""
    bench.undisturbed(name)
    bench.prepare(COMMANDS[name])
    saved = bench.work.with_name("saved")
    with _small_filesystem(bench.work) as leave_room:
        bench.restore_inputs()
        running = bench.start(COMMANDS[name])
        _at_a_moment(bench, name, rng, running)
        leave_room(0)
        ends = _ends(running)
        shutil.copytree(bench.work, saved)
    shutil.rmtree(bench.work)
    saved.rename(bench.work)
    return ends


@contextmanager
def _small_filesystem(folder: Path) -> Iterator[Callable[[int], None]]:
    """Mount one over a folder; what is called with a number of bytes leaves that much room in it."""
    mount = ["mount", "-t", "tmpfs", "none", folder]
    if (
        os.getuid()
        or shutil.which("mount") is None
        or subprocess.run(mount, capture_output=True, check=False).returncode
    ):
        pytest.skip("only root can mount a file system, and not everywhere")

    def leave_room(size: int) -> None:
        for _ in range(100):  # more may be written between looking and limiting
            most = shutil.disk_usage(folder).used + size
            limit = ["mount", "-o", f"remount,size={most}", folder]
            if not subprocess.run(limit, capture_output=True, check=False).returncode:
                return
        raise AssertionError(f"{folder} takes no limit")

    try:
        yield leave_room
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def _few_descriptors(bench: Bench, name: str, rng: np.random.Generator) -> list[Done]:
    return _ends(_start(bench, name, limited(resource.RLIMIT_NOFILE, int(rng.integers(8, 48)))))


def _closed_stdout(bench: Bench, name: str, rng: np.random.Generator) -> list[Done]:
    ends = _ends(_start(bench, name, lambda: os.close(1)))
    assert all(done.code == 0 for done in ends), ends
    return ends


def _obstacle(bench: Bench, name: str, rng: np.random.Generator) -> list[Done]:
    """A file stands where a folder should be made, or a folder where a file should."""
    command = COMMANDS[name]
    bench.undisturbed(name)
    bench.prepare(command)
    path = bench.work / command.output
    if path.suffix:
        path.mkdir()
    else:
        path.write_text("in the way")
    ends = _ends(bench.start(command))
    assert all(done.code in (1, 2) for done in ends), ends
    path.rmdir() if path.suffix else path.unlink()
    return ends


def _read_only(bench: Bench, name: str, rng: np.random.Generator) -> list[Done]:
    """The folder of the output takes no files."""
    command = COMMANDS[name]
    bench.undisturbed(name)
    bench.prepare(command)
    path = bench.work / command.output
    folder = path.parent if path.suffix else path
    folder.mkdir(exist_ok=True)
    with _immutable(folder):
        ends = _ends(bench.start(command))
    assert all(done.code in (1, 2) for done in ends), ends
    return ends


class _immutable:  # noqa: N801  # reads as a statement
    """Take the permission to write to a folder, from root too."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        if os.getuid():
            self._folder.chmod(0o555)
        elif shutil.which("chattr") is None or self._change("+i").returncode:
            pytest.skip("root may write to any folder, and chattr does not work here")

    def _change(self, how: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(["chattr", how, self._folder], capture_output=True, check=False)

    def __exit__(self, *_: object) -> None:
        self._change("-i") if os.getuid() == 0 else self._folder.chmod(0o755)


def _harm(bench: Bench, name: str, rng: np.random.Generator, how: str) -> Path:
    """Delete, cut or replace one of the inputs; return which."""
    paths = bench.inputs(COMMANDS[name])
    if not paths:
        pytest.skip(f"{name} reads no files")
    path = paths[int(rng.integers(len(paths)))]
    if how == "deleted":
        path.unlink()
    elif how == "cut":
        with path.open("rb+") as file:
            file.truncate(int(rng.integers(path.stat().st_size)))
    else:
        others = [other for other in paths if other.suffix == path.suffix and other != path]
        content = others[int(rng.integers(len(others)))].read_bytes() if others else rng.bytes(path.stat().st_size)
        beside = path.with_name(f"{path.name}.new")
        beside.write_bytes(content)
        beside.replace(path)
    return path


def _forget_other(bench: Bench, name: str, path: Path) -> None:
    """Begin anew where the command has taken from its start what was there for a while.

    A video that was gone when it was to be read has no id yet, and comes with the next one. A training of replaced
    clips or labels is one of other data: it cannot be resumed on these.
    """
    output = bench.work / COMMANDS[name].output
    if (card := output / "card.json").is_file():
        expected = bench.undisturbed(name)[0]["card.json"]["data_digest"]
        if json.loads(card.read_text(encoding="utf-8"))["data_digest"] != expected:
            shutil.rmtree(output)
            return
    if (manifest := output / "manifest.csv").is_file():
        rows = pd.read_csv(manifest, dtype=str)
        if rows.loc[rows["source"] == path.name, "trailer_id"].isna().all():
            shutil.rmtree(output)


def _while_running(how: str) -> Fault:
    def fault(bench: Bench, name: str, rng: np.random.Generator) -> list[Done]:
        running = _start(bench, name)
        _at_a_moment(bench, name, rng, running)
        try:
            harmed = _harm(bench, name, rng, how)
        finally:
            ends = _ends(running)
        bench.restore_inputs()
        _forget_other(bench, name, harmed)
        return ends

    return fault


def _between_runs(how: str) -> Fault:
    def fault(bench: Bench, name: str, rng: np.random.Generator) -> list[Done]:
        bench.undisturbed(name)
        bench.finish(name)
        _harm(bench, name, rng, how)
        ends = _ends(bench.start(COMMANDS[name]))
        bench.restore_inputs()
        return ends

    return fault


def _moved_away_for_a_while(bench: Bench, name: str, rng: np.random.Generator) -> list[Done]:
    running = _start(bench, name)
    _at_a_moment(bench, name, rng, running)
    paths = bench.inputs(COMMANDS[name])
    if not paths:
        pytest.skip(f"{name} reads no files")
    path = paths[int(rng.integers(len(paths)))]
    away = path.with_name(f"{path.name}.away")
    path.rename(away)
    time.sleep(rng.uniform(0, 1))
    away.rename(path)
    ends = _ends(running)
    _forget_other(bench, name, path)
    return ends


def _killed_worker(bench: Bench, name: str, rng: np.random.Generator) -> list[Done]:
    """One of the processes that the command started is gone."""
    running = _start(bench, name)
    _at_a_moment(bench, name, rng, running)
    with suppress(psutil.NoSuchProcess):
        children = psutil.Process(running[0].process.pid).children(recursive=True)
        if children:
            children[int(rng.integers(len(children)))].kill()
    return _ends(running)


def _clock_set_back(bench: Bench, name: str, rng: np.random.Generator) -> list[Done]:
    """Stopped; and when it is run again, all that it wrote is of tomorrow."""
    ends = _signal(signal.SIGKILL)(bench, name, rng)
    output = bench.work / COMMANDS[name].output
    for path in [*output.rglob("*"), *output.parent.glob(".*")]:
        times = path.stat()
        os.utime(path, ns=(times.st_atime_ns + _DAY, times.st_mtime_ns + _DAY))
    return ends


def _little_memory(bench: Bench, name: str, rng: np.random.Generator) -> list[Done]:
    """So many bytes of addresses: fewer than the libraries take, or fewer than the work."""
    most = 6e9 if COMMANDS[name].heavy else 1e9
    return _ends(_start(bench, name, limited(resource.RLIMIT_AS, int(rng.uniform(0.05, 1) * most))))


def _two_at_once(bench: Bench, name: str, rng: np.random.Generator) -> list[Done]:
    running = _start(bench, name)
    if rng.random() < 0.5:
        _at_a_moment(bench, name, rng, running)
    return _ends([*running, *bench.start(COMMANDS[name])])


FAULTS: dict[str, Fault] = {
    "SIGKILL": _signal(signal.SIGKILL),
    "SIGKILL when they have met": _killed_when_met,
    "SIGKILL, then moved": _moved_between_steps,
    "SIGTERM": _signal(signal.SIGTERM),
    "SIGINT": _signal(signal.SIGINT),
    "a full disk": _full_disk,
    "a full file system": _full_filesystem,
    "a file system that fills up": _filling_filesystem,
    "an obstacle": _obstacle,
    "a read-only folder": _read_only,
    "few descriptors": _few_descriptors,
    "closed stdout": _closed_stdout,
    "two at once": _two_at_once,
    "a killed worker": _killed_worker,
    "a killed Dask worker": _killed_on_a_cluster,
    "a clock set back": _clock_set_back,
    "little memory": _little_memory,
    "an input moved away and back": _moved_away_for_a_while,
    **{f"an input {how} while running": _while_running(how) for how in ("deleted", "cut", "replaced")},
    **{f"an input {how} between runs": _between_runs(how) for how in ("deleted", "cut", "replaced")},
}
