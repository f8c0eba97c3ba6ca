"""Runs to and from the Hugging Face hub: its own library against a stand-in for the hub on this machine."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from genre_classifier import cli
from genre_classifier.run_folder import layout
from preprocessing.video import write_video
from tests.support.hub_server import TOKEN, Hub, serving
from tests.support.media import flat_frames
from tests.support.tiny_run import make_run
from tests.support.trailers import TWO

constants = pytest.importorskip("huggingface_hub.constants")
NAME = "an-archive/trailers"


class Desk:
    """A folder with a run and a video, and the hub that its commands ask."""

    def __init__(self, folder: Path, address: str, hub: Hub) -> None:
        self.folder, self.address, self.hub = folder, address, hub

    def run(self, *arguments: str, token: str = TOKEN, address: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command in the folder; what the environment would say, the library is told."""
        address = address or self.address
        stdout, stderr = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(stdout), redirect_stderr(stderr):
            patch.chdir(self.folder)
            patch.setenv("HF_TOKEN", token)
            patch.setattr(constants, "ENDPOINT", address)
            files = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
            patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", files)
            patch.setattr(constants, "HF_HUB_CACHE", str(self.folder / "home" / "hub"))
            patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
            patch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 2)
            patch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
            code = cli.run(list(arguments))
        return subprocess.CompletedProcess(arguments, code, stdout.getvalue(), stderr.getvalue())

    def run_apart(self, *arguments: str, address: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the folder, in a process of its own."""
        environment = {
            **os.environ,
            "HF_ENDPOINT": address,
            "HF_HOME": str(self.folder / "home"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_TOKEN": TOKEN,
            "HF_HUB_ETAG_TIMEOUT": "2",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }
        return subprocess.run(
            [sys.executable, "-m", "genre_classifier", *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def refused(self, *arguments: str, token: str = TOKEN, address: str = "") -> tuple[int, str]:
        """Run a command that has to end with one line; return its exit code and the line."""
        done = self.run(*arguments, token=token, address=address)
        assert done.stdout == ""
        (line,) = done.stderr.splitlines()
        return done.returncode, line


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    make_run(folder / "mine", genres=TWO)
    (folder / "mine" / layout.CHECKPOINTS).mkdir()
    (folder / "mine" / layout.CHECKPOINTS / "epoch_1.keras").write_bytes(b"large")
    (folder / "mine" / layout.MODEL_CARD).write_text("# mine\n")
    write_video(folder / "a.mp4", flat_frames(12), 4)
    with serving() as (address, hub):
        made = Desk(folder, address, hub)
        done = made.run("push-to-hub", "mine", NAME)
        assert done.returncode == 0, done.stderr
        made.first = done.stdout.strip()
        yield made


@pytest.mark.slow
def test_a_run_is_pushed_in_one_commit_without_what_only_a_training_needs(desk):
    repository = desk.hub.repositories[NAME]
    commit, files = repository.commits[1]
    assert repository.private
    assert desk.first == f"{desk.address}/{NAME}/commit/{commit}"
    assert set(files) == {".gitattributes", "README.md", "config.json", "model.keras", "thresholds.json"}
    for name in set(files) - {".gitattributes"}:
        assert files[name] == (desk.folder / "mine" / name).read_bytes()


@pytest.mark.slow
def test_what_is_fetched_tags_as_the_run_does_also_without_the_hub(desk):
    commit = desk.hub.repositories[NAME].commits[1][0]
    assert desk.run("tag", "mine", "a.mp4", "--out", "own").returncode == 0
    fetched = f"hf://{NAME}@{commit}"
    for out, done in (
        ("its", desk.run("tag", fetched, "a.mp4", "--out", "its")),
        ("later", desk.run_apart("tag", fetched, "a.mp4", "--out", "later", address="http://127.0.0.1:9")),
    ):
        assert done.returncode == 0, done.stderr
        assert (desk.folder / out / "a/scores.csv").read_bytes() == (desk.folder / "own/a/scores.csv").read_bytes()


@pytest.mark.slow
def test_of_an_older_run_no_file_stays_and_others_do(desk):
    desk.hub.repositories["an-archive/other"] = type(desk.hub.repositories[NAME])(private=False)
    desk.hub.commit("an-archive/other", {"encoder.keras": b"old", "LICENSE": b"MIT", "README.md": b"old"})
    shutil.copytree(desk.folder / "mine", desk.folder / "newer")
    (desk.folder / "newer" / "README.md").unlink()
    done = desk.run("push-to-hub", "newer", "an-archive/other", "--public")
    assert done.returncode == 0, done.stderr
    assert set(desk.hub.repositories["an-archive/other"].commits[-1][1]) == {
        "LICENSE",
        "config.json",
        "model.keras",
        "thresholds.json",
    }


@pytest.mark.slow
def test_what_the_hub_refuses_is_one_line(desk):
    push = ("push-to-hub", "mine")
    read = ("export-model", "out", "--to", "onnx")
    cases = [
        (desk.refused(*push, NAME, token="hf_wrong"), 1, "hf auth login"),
        (desk.refused(*push, "no name"), 2, "expected a repository of the hub, OWNER/NAME"),
        (desk.refused(*push, NAME, address="http://127.0.0.1:9"), 1, "try again"),
        (desk.refused(read[0], "hf://nobody/nothing", *read[1:]), 2, "found no such repository; is the name right?"),
        (desk.refused(read[0], f"hf://{NAME}", *read[1:], token="hf_wrong"), 2, "found no such repository"),
        (desk.refused(read[0], f"hf://{NAME}@v9", *read[1:]), 2, "found no such revision"),
        (desk.refused(read[0], "hf://mine", *read[1:]), 2, "expected hf://OWNER/NAME"),
        (desk.refused(read[0], "hf://a/b", *read[1:], address="http://127.0.0.1:9"), 1, "no copy from before"),
    ]
    for (code, line), expected, part in cases:
        assert code == expected, line
        assert part in line
        assert line.startswith("genre-classifier: ")
    assert desk.refused("push-to-hub", ".", NAME)[0] == 2  # no run in it


@pytest.mark.slow
@pytest.mark.parametrize("odd", ["[]", "{}", '{"sha": 3, "siblings": 4, "url": 5}', "[" * 100_000])
def test_an_answer_of_another_shape_is_one_line(desk, odd):
    desk.hub.odd = odd.encode()
    try:
        fetched = desk.refused("export-model", f"hf://{NAME}@v3", "out", "--to", "onnx")
        pushed = desk.refused("push-to-hub", "mine", NAME)
    finally:
        desk.hub.odd = None
    for code, line in (fetched, pushed):
        assert code == 1, line
        assert "asked the Hugging Face hub" in line


@pytest.mark.slow
def test_the_card_of_a_fetched_run_is_not_written(desk):
    run = f"hf://{NAME}"
    done = desk.run("evaluate", run, "clips", "labels.csv", "--out", "report", "--card")
    assert done.returncode == 2
    assert "--card writes into RUN" in done.stderr


def test_without_the_library_one_line_names_the_extra(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert cli.run(["tag", "hf://a/b", "a.mp4", "--out", str(tmp_path / "out")]) == 2
    assert "pip install -e '.[hub]'" in capsys.readouterr().err
