"""A folder in which any command can run, be disturbed, and run again; and what of its output must be the same.

Every run works under the same path, so that files which name a path can be compared byte for byte.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import psutil

from preprocessing.config import ClipConfig
from preprocessing.pipeline import preprocess_directory
from tests.support.folders import contents
from tests.support.media import flat_frames, write_media
from tests.support.tags_folder import tagged
from tests.support.tiny_encoder import write_encoder
from tests.support.tiny_run import SIZE, make_run
from tests.support.trailers import write_clips

ROOT = Path(__file__).parents[2]
PATIENCE = 300.0  # seconds, after which a command hangs
_THREADS = dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1")


@dataclasses.dataclass(frozen=True)
class Command:
    """A command on the bench.

    Attributes
    ----------
    arguments : str
        With spaces between; paths are relative to the bench.
    output : str
        What it writes, relative to the bench.
    inputs : str
        Patterns of what it reads, with spaces between.
    heavy : bool
        Whether it loads TensorFlow, and so takes long.
    processes : int
        That do the work together.
    apart : str
        A pattern of what in its output no two runs have alike.
    resumable : str
        What in its output makes the next run need --resume.
    """

    arguments: str
    output: str
    inputs: str
    heavy: bool = False
    processes: int = 1
    apart: str = "^tensorboard/"
    resumable: str = "checkpoints/*.json"


_ABANDONED = r"(^|/)\.[\w-]+\.part"  # others may be at work there: what a killed one left stays for an hour
_NETWORK = (
    "--trunk-filters 2,2 --trunk-pools 2,2 --branch-filters 2 --branch-pool 2 --dense-units 4 --epochs 3 "
    "--test-share 0.2 --validation-share 0.2 --batch-size 3"  # one shape of batches: each is traced
)
COMMANDS = {
    "preprocess": Command("preprocess videos out --frames 10 --size 16 --jobs 1", "out", "videos/*.mkv"),
    "encode": Command(
        "encode video_clips --encoder encoder.keras --jobs 1",
        "video_clips/encoded",
        "videos/*.mkv encoder.keras",
        heavy=True,
        apart=_ABANDONED,
    ),
    "train": Command(f"train clips labels.csv out {_NETWORK}", "out", "clips/*.npy labels.csv", heavy=True),
    "train by two": Command(
        f"train clips labels.csv out {_NETWORK}", "out", "clips/*.npy labels.csv", heavy=True, processes=2
    ),
    "tag": Command(
        "tag run videos --out out --jobs 1",
        "out",
        "videos/*.mkv run/model.keras run/*.json",
        heavy=True,
        apart=_ABANDONED,
    ),
    "evaluate": Command(
        "evaluate run clips labels.csv --out out --split all --draws 20 --jobs 1",
        "out",
        "clips/*.npy labels.csv run/model.keras run/*.json",
        heavy=True,
        apart=_ABANDONED,
    ),
    "suggest": Command(
        "suggest run clips --labels few.csv --out out --jobs 1",
        "out",
        "clips/*.npy few.csv run/model.keras run/*.json",
        heavy=True,
        apart=_ABANDONED,
    ),
    "export-model": Command(
        "export-model run out --to onnx", "out", "run/model.keras run/*.json", heavy=True, apart=_ABANDONED
    ),
    "squares": Command(
        "squares --out out --samples 14 --unseen 6 --frames 6 --size 16 --epochs 2 --filters 2 --batch-size 2",
        "out",
        "",
        heavy=True,
        resumable="config.json",
        apart=_ABANDONED,
    ),
    "export": Command("export tags out --to eaf,chapters,otio", "out", "tags/*/*", apart=_ABANDONED),
    "label": Command("label videos --out out", "out", "videos/*.mkv", apart=_ABANDONED),
    "labels": Command("labels labels.csv weak.csv out.json", "out.json", "labels.csv weak.csv"),
    "synthesize": Command("synthesize out --trailers 3 --duration 3 --seed 1", "out", ""),
}


@dataclasses.dataclass(frozen=True)
class Done:
    """A process that has ended."""

    code: int
    stdout: str
    stderr: str


class Running:
    """A process of the command line, in a group of its own."""

    def __init__(self, arguments: Sequence[str], folder: Path, before: Callable[[], None] | None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "genre_classifier", *arguments],
            cwd=folder,
            env=os.environ | _THREADS | {"PYTHONPATH": str(ROOT)},
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=before,
        )

    def signal(self, which: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self.process.send_signal(which)

    def end(self) -> Done:
        """Wait until it, and every process that it started, is gone."""
        group = self.process.pid
        try:
            stdout, stderr = self.process.communicate(timeout=PATIENCE)
            late = time.monotonic() + 60
            while time.monotonic() < late:
                if not _members(group):
                    return Done(self.process.returncode, stdout, stderr)
                time.sleep(0.01)
            raise AssertionError("processes that it started outlive it")
        finally:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)


def _members(group: int) -> list[int]:
    """Return the processes of a group that still run: what has ended may wait for seconds until its parent asks."""
    found = []
    for process in psutil.process_iter(["status"]):
        with suppress(ProcessLookupError):
            if os.getpgid(process.pid) == group and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found


class Bench:
    """The inputs of every command, unharmed, and a copy of them to work on.

    Attributes
    ----------
    work : Path
        The copy; commands run there.
    """

    def __init__(self, base: Path) -> None:
        self._whole, self._results, self.work = base / "whole", base / "results", base / "work"
        self._heavy = False
        self._undisturbed: dict[str, tuple[dict[str, Any], float]] = {}
        self._whole.mkdir()
        (self._whole / "videos").mkdir()
        for seed, name in enumerate(("a", "b", "c")):
            frames = np.random.default_rng(seed).integers(0, 256, (20 + seed, 48, 64, 3), dtype=np.uint8)
            write_media(self._whole / "videos" / f"{name}.mkv", frames)
        write_media(self._whole / "tagged.mkv", flat_frames(24))
        table = write_clips(self._whole / "clips", [8] * 5, size=SIZE)
        table.to_csv(self._whole / "labels.csv", index=False)
        table[table["trailer"].isin(table["trailer"].unique()[:2])].to_csv(self._whole / "few.csv", index=False)
        (self._whole / "weak.csv").write_text("trailer,genres\n0,comedy|action\n7,terror\n")
        for name in ("one", "two", "three"):
            tagged(self._whole / "tags", name, video=str(self.work / "tagged.mkv"))

    def _make_networks(self) -> None:
        if not self._heavy:
            run = make_run(self._whole / "run", frames=10)
            rows = [(number, "", "train" if number < 3 else "test", "") for number in range(5)]
            pd.DataFrame(rows, columns=["trailer_id", "source", "split", "group"]).to_csv(
                run / "splits.csv", index=False
            )
            write_encoder(self._whole / "encoder.keras")
            preprocess_directory(
                self._whole / "videos", self._whole / "video_clips", config=ClipConfig(size=SIZE), jobs=1
            )
            self._heavy = True

    def prepare(self, command: Command) -> None:
        """Put a fresh copy of the inputs in place, with the times of their files."""
        if command.heavy:
            self._make_networks()
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(self._whole, self.work)

    def restore_inputs(self) -> None:
        """Put unharmed inputs in the place of harmed ones."""
        shutil.copytree(self._whole, self.work, dirs_exist_ok=True)

    def inputs(self, command: Command) -> list[Path]:
        return sorted(path for pattern in command.inputs.split() for path in self.work.glob(pattern) if path.is_file())

    def start(
        self, command: Command, *, more: Sequence[str] = (), before: Callable[[], None] | None = None
    ) -> list[Running]:
        """Start a command; several processes where it takes several."""
        arguments = [*command.arguments.split(), *more]
        if command.processes == 1:
            return [Running(arguments, self.work, before)]
        workers = ",".join(_free_addresses(command.processes))
        return [
            Running([*arguments, "--workers", workers, "--worker", str(rank)], self.work, before)
            for rank in range(command.processes)
        ]

    def again(self, command: Command) -> None:
        """Run a command undisturbed, over what an earlier one left: it must end well."""
        more = ["--resume"] if list((self.work / command.output).glob(command.resumable)) else []
        for done in [running.end() for running in self.start(command, more=more)]:
            assert done.code == 0, done.stderr

    def undisturbed(self, name: str) -> tuple[dict[str, Any], float]:
        """Return what a command writes when nothing happens, and how many seconds it takes."""
        if name not in self._undisturbed:
            command = COMMANDS[name]
            self.prepare(command)
            began = time.monotonic()
            self.again(command)
            self._undisturbed[name] = (self.result(command), time.monotonic() - began)
            shutil.copytree(self.work, self._results / name)
        return self._undisturbed[name]

    def outputs_undisturbed(self, name: str) -> list[Path]:
        """Return the files that an undisturbed run left."""
        output = self._results / name / COMMANDS[name].output
        return [path for path in [output, *output.rglob("*")] if path.is_file()]

    @contextmanager
    def moved(self) -> Iterator[None]:
        """Move all that there is to work on to another folder, and back."""
        here = self.work
        self.work = here.rename(here.with_name("elsewhere"))
        try:
            yield
        finally:
            self.work = self.work.rename(here)

    def finish(self, name: str) -> None:
        """Put in place what an undisturbed run leaves, its inputs included."""
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(self._results / name, self.work)

    def result(self, command: Command) -> dict[str, Any]:
        """Return all in the output that every run of the command must write alike."""
        path = self.work / command.output
        files = {path.name: path.read_bytes()} if path.is_file() else contents(path)
        return {
            name: _promised(name, content)
            for name, content in sorted(files.items())
            if not re.search(command.apart, name)
        }


def _free_addresses(count: int) -> list[str]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _promised(name: str, content: bytes) -> Any:
    """Return a file without the times of day and the seconds that it took."""
    if name.endswith(".keras"):
        return _weights(content)
    if name.endswith(".onnx"):  # the order of its constants is another each time
        import onnx

        return sorted(constant.raw_data for constant in onnx.load_from_string(content).graph.initializer)
    if name.endswith(".eaf"):
        return re.sub(rb'DATE="[^"]*"', b"", content)
    if name == "README.md":
        return re.sub(rb"^genre-classifier train .*$", b"", content, flags=re.M)
    if name == "history.csv":
        return pd.read_csv(io.BytesIO(content)).drop(columns="seconds").to_csv()
    if name == "card.json":
        return {key: value for key, value in json.loads(content).items() if key in ("seed", "data_digest")}
    if name == "metrics.json":
        return {key: value for key, value in json.loads(content).items() if key != "train_seconds"}
    if name == "thresholds.json":
        return json.loads(content)["genres"]
    if name.startswith("checkpoints/"):
        document = json.loads(content)
        kept = {key: value for key, value in document.get("kept", {}).items() if key != "sha256"}
        return [{key: value for key, value in row.items() if key != "seconds"} for row in document["history"]], kept
    return content


def _weights(content: bytes) -> dict[str, bytes]:
    """Return the arrays of a `.keras` file, whose archive holds the time of day too."""
    found: dict[str, bytes] = {}
    with (
        zipfile.ZipFile(io.BytesIO(content)) as archive,
        h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file,
    ):

        def keep(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                found[name] = item[()].tobytes()

        file.visititems(keep)
    return found


def limited(which: int, number: int) -> Callable[[], None]:
    """Return what limits a process before it begins."""
    return lambda: resource.setrlimit(which, (number, number))
