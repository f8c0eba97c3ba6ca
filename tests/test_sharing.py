"""Tagging, encoding and scoring by several processes, here or on a cluster, give the files of one, whoever dies.

The cluster is one of this machine.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import psutil
import pytest

from genre_classifier import cli
from genre_classifier.config import TagConfig
from genre_classifier.run_folder.run import Run, load_run
from genre_classifier.tagging.folder import tag_videos
from genre_classifier.tagging.summary import write_tags_index
from genre_classifier.tagging.tasks import Task, plan_tasks
from preprocessing.base.errors import InputError
from tests.support.folders import contents
from tests.support.media import flat_frames, write_media
from tests.support.tiny_encoder import write_encoder
from tests.support.tiny_run import make_run
from tests.support.trailers import TWO, write_clips

pytestmark = pytest.mark.slow

NAMES = ("a.mkv", "b.mkv", "bad.mkv", "c.mkv", "d.mkv")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return load_run(make_run(tmp_path_factory.mktemp("runs") / "tiny", frames=20, genres=TWO))


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for seed, name in enumerate(NAMES):
        write_media(folder / name, flat_frames(20 + seed, seed=seed))
    (folder / "bad.mkv").write_text("no video")
    return folder


@pytest.fixture(scope="module")
def undisturbed(run: Run, videos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the tags folder that one process writes."""
    return tag(run, videos, tmp_path_factory.mktemp("tags"))


def tag(run: Run, videos: Path, out: Path, *, jobs: int = 1, **options: object) -> dict[str, bytes]:
    tasks = plan_tasks([(videos / name, name) for name in NAMES], out)
    failures = tag_videos(run, tasks, config=TagConfig(label_studio=True), jobs=jobs, **options)  # type: ignore[arg-type]
    write_tags_index(out, failures)
    assert [source for source, _ in failures] == ["bad.mkv"]
    return contents(out)


def taggers() -> list[psutil.Process]:
    """Return the processes below this one that tag."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            found += [child] if "preprocessing.processes.stage_worker" in child.cmdline() else []
        except psutil.Error:  # gone by now
            continue
    return found


def test_a_process_that_dies_costs_nothing(
    run: Run, videos: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    killed: list[int] = []
    steps: list[tuple[str, float, float, int]] = []

    def kill(task: Task) -> None:
        if not killed:
            first = taggers()[0]
            killed.append(first.pid)
            first.kill()

    found = tag(
        run,
        videos,
        tmp_path,
        jobs=2,
        on_start=kill,
        on_progress=lambda task, now, end, frames: steps.append((task.source, now, end, frames)),
    )
    assert killed
    assert found == undisturbed
    assert not taggers()
    assert steps
    assert all(now <= end and 1 <= frames <= 20 for _, now, end, frames in steps)


def test_breaking_off_leaves_no_process_behind(run: Run, videos: Path, tmp_path: Path) -> None:
    # The first one is soon done, while another process works.
    tasks = plan_tasks([(videos / name, name) for name in ("bad.mkv", "a.mkv", "b.mkv")], tmp_path)

    def stop(task: Task, error: InputError | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tag_videos(run, tasks, jobs=2, on_done=stop)
    assert not taggers()
    assert not list(tmp_path.glob("*/.*"))


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with clips, their labels, an encoder, and a run that learned from the encoded clips."""
    folder = tmp_path_factory.mktemp("work")
    write_encoder(folder / "tiny.keras")
    labels = write_clips(folder / "clips", [24] * 4, size=16, genres=TWO)
    labels.to_csv(folder / "labels.csv", index=False)
    command = [
        "train",
        f"{folder}/clips",
        f"{folder}/labels.csv",
        f"{folder}/run",
        "--genres",
        ",".join(TWO),
        "--preset",
        "pretrained",
        "--encoder",
        f"{folder}/tiny.keras",
        "--motion-size",
        "8",
        "--encoder-cells",
        "2",
        "--encoder-fps",
        "none",
        "--no-linear-paths",
        "--zoom",
        "0",
        "--epochs",
        "1",
        "--trunk-filters",
        "2,2",
        "--trunk-pools",
        "2,2",
        "--branch-filters",
        "2",
    ]
    assert cli.run(command) == 0
    return folder


def judged(work: Path, out: Path, *options: str, encode: bool = True) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Encode, if asked, and score anew; return the encoded clips and the scores."""
    if encode:
        shutil.rmtree(work / "clips" / "encoded")
    assert (
        cli.run(
            [
                "evaluate",
                f"{work}/run",
                f"{work}/clips",
                f"{work}/labels.csv",
                "--out",
                str(out),
                "--split",
                "all",
                "--draws",
                "5",
                *options,
            ]
        )
        == 0
    )
    encoded = {name: data for name, data in contents(work / "clips" / "encoded").items() if name.endswith(".npy")}
    assert len(encoded) == 4
    scores = contents(out / "scores")
    # Which files the scores are of: those that are encoded anew have other times.
    evaluation = json.loads(scores["evaluation.json"])
    del evaluation["fingerprint"]
    return encoded, scores | {"evaluation.json": json.dumps(evaluation).encode()}


@pytest.fixture(scope="module")
def judged_by_one(work: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return the encoded clips and the scores of one process."""
    return judged(work, tmp_path_factory.mktemp("one"), "--jobs", "1")


def test_reports_are_the_same_however_many_work(
    work: Path, judged_by_one: tuple[dict[str, bytes], dict[str, bytes]], tmp_path: Path
) -> None:
    # `test_encoded` encodes by several processes.
    assert judged(work, tmp_path, "--jobs", "2", encode=False) == judged_by_one


def test_a_cluster_of_which_a_worker_dies(
    run: Run,
    videos: Path,
    undisturbed: dict[str, bytes],
    work: Path,
    judged_by_one: tuple[dict[str, bytes], dict[str, bytes]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, protocol="tcp"
    ) as cluster:
        done: list[str] = []

        def kill(task: Task, error: InputError | None) -> None:
            if not done:
                psutil.Process(cluster.workers[0].pid).kill()
            done.append(task.source)

        address = cluster.scheduler_address
        found = tag(run, videos, tmp_path_factory.mktemp("tags"), scheduler=address, on_done=kill)
        assert done == list(NAMES)
        assert found == undisturbed
        assert judged(work, tmp_path_factory.mktemp("there"), "--scheduler", address) == judged_by_one
