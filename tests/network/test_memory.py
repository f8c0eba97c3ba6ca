"""The memory estimate: its advice holds by its own figures, and it follows what it should."""

from __future__ import annotations

import re
import subprocess
import sys

import psutil
import pytest

from genre_classifier.config import ModelConfig
from genre_classifier.network import memory
from genre_classifier.network.memory import (
    GROUP,
    choose_chunk,
    frame_multiplications,
    largest_chunk,
    require_training_memory,
    scoring_bytes,
    training_bytes,
    weight_bytes,
)
from preprocessing.base.errors import WorkError
from preprocessing.processes.machine import available_bytes

ARTICLE = ModelConfig()


def test_weights_are_those_of_the_model():
    from genre_classifier.network.model import build_model

    for config in (
        ModelConfig(rows=36, cols=25),
        ModelConfig(rows=24, cols=24, head="pooled", inputs="rgb+difference"),
        ModelConfig(rows=24, cols=24, head="pooled", inputs="motion"),
        ModelConfig(encoder="x", encoder_channels=9, encoder_cells=12, head="pooled", reduced_channels=(3, 4)),
        ModelConfig(encoder="x", encoder_channels=9, motion_size=12, encoder_cells=6, reduced_channels=(3, 4)),
    ):
        variables = build_model(config).trainable_variables
        counted = sum(4 * variable.value.shape.num_elements() for variable in variables if len(variable.shape) > 1)
        assert weight_bytes(config) == counted  # biases and scales are left out


def test_the_article_trains_within_eight_gigabytes_in_chunks_only():
    assert training_bytes(ARTICLE, 1000, chunk=8) < 8e9 < training_bytes(ARTICLE, 1000) / 10
    assert training_bytes(ARTICLE, 64, precision="bfloat16") < training_bytes(ARTICLE, 64)


def test_scoring_does_not_grow_with_anything_but_the_chunk():
    assert scoring_bytes(ARTICLE, 8) < 1.6e9
    assert scoring_bytes(ARTICLE, 64) - scoring_bytes(ARTICLE, 8) < 0.1e9


@pytest.mark.parametrize("free", [3.6e9, 5e9, 9e9])
def test_advised_chunk_is_the_longest_that_fits(free):
    with pytest.raises(WorkError) as caught:
        require_training_memory(ARTICLE, 1000, free=free)
    assert "\n" not in str(caught.value)
    chunk = int(re.search(r"--chunk (\d+)", str(caught.value))[1])
    assert require_training_memory(ARTICLE, 1000, chunk=chunk, free=free) <= free
    for longer in range(chunk + 1, 1001):
        with pytest.raises(WorkError):
            require_training_memory(ARTICLE, 1000, chunk=longer, free=free)


def test_where_no_chunk_fits_size_and_frames_are_advised():
    free = 2.2e9
    with pytest.raises(WorkError) as caught:
        require_training_memory(ARTICLE, 1000, chunk=8, free=free)
    size = int(re.search(r"--size (\d+)", str(caught.value))[1])
    frames = int(re.search(r"--frames (\d+)", str(caught.value))[1])
    for fits, config, count in (
        (True, ModelConfig(rows=size, cols=size), 1000),
        (False, ModelConfig(rows=size + 1, cols=size + 1), 1000),
        (True, ARTICLE, frames),
        (False, ARTICLE, frames + 1),
    ):
        assert (largest_chunk(config, count, free=free) is not None) == fits


def test_the_chunk_that_is_chosen_leaves_a_quarter_free_where_that_costs_no_time():
    assert choose_chunk(ARTICLE, 1000, free=200e9) is None
    chunk = choose_chunk(ARTICLE, 1000, free=24e9)
    assert chunk == largest_chunk(ARTICLE, 1000, free=0.75 * 24e9)
    assert training_bytes(ARTICLE, 1000, chunk=chunk) <= 0.75 * 24e9 < training_bytes(ARTICLE, 1000, chunk=chunk + 1)
    # Scored once, all chunks of a group keep the states at their borders; of more chunks, some are scored again.
    again = largest_chunk(ARTICLE, 1000, free=0.75 * 15e9)
    assert again * GROUP < 1000 <= GROUP * choose_chunk(ARTICLE, 1000, free=15e9)
    assert choose_chunk(ARTICLE, 1000, free=15e9) == largest_chunk(ARTICLE, 1000, free=0.9 * 15e9)
    # A whole trailer is scored once only.
    whole = training_bytes(ARTICLE, 60)
    assert choose_chunk(ARTICLE, 60, free=whole / 0.85) is None
    assert choose_chunk(ARTICLE, 60, free=whole / 0.95) == largest_chunk(ARTICLE, 60, free=0.75 * whole / 0.95)
    least = min(training_bytes(ARTICLE, 1000, chunk=length) for length in range(1, 30))
    assert training_bytes(ARTICLE, 1000, chunk=choose_chunk(ARTICLE, 1000, free=least)) == least
    with pytest.raises(WorkError, match="no chunk fits"):
        choose_chunk(ARTICLE, 1000, free=least - 1)


def test_a_long_film_is_refused_without_a_search(monkeypatch):
    looked = []
    whole = memory._bytes_of_chunks
    monkeypatch.setattr(memory, "_bytes_of_chunks", lambda *args, **more: looked.append(1) or whole(*args, **more))
    with pytest.raises(WorkError, match="clips of --frames"):
        choose_chunk(ARTICLE, 100_000, free=2.2e9)
    assert len(looked) < 60  # each is one sum over an array


GB = 10**9
FAR = 9223372036854771712  # version 1's "no limit"


def control_groups(root, membership, groups):
    """Write a tree of control groups: `groups` maps a folder to its files."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(membership)
    for folder, files in groups.items():
        (root / "sys/fs/cgroup" / folder).mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (root / "sys/fs/cgroup" / folder / name).write_text(f"{content}\n")


def version_1(limit, used, stat="total_active_file 0"):
    return {"memory.limit_in_bytes": limit, "memory.usage_in_bytes": used, "memory.stat": stat}


def version_2(most, used, high="max", stat="anon 5"):
    return {"memory.max": most, "memory.high": high, "memory.current": used, "memory.stat": stat}


GROUPS = {
    "none": ("", {}, 100 * GB),
    "version 2": ("0::/a/b\n", {"a/b": version_2(4 * GB, GB)}, 3 * GB),
    "version 2, no limit": ("0::/a/b\n", {"a/b": version_2("max", GB)}, 100 * GB),
    "version 2, a softer limit": ("0::/a\n", {"a": version_2(4 * GB, GB, high=2 * GB)}, GB),
    "version 2, pages of files": (
        "0::/a\n",
        {"a": version_2(4 * GB, 3 * GB, stat=f"anon 5\nactive_file {GB}\ninactive_file {GB}\nfile {3 * GB}")},
        3 * GB,
    ),
    "version 2, the limit is further up": (
        "0::/a/b/c\n",
        {"a/b/c": version_2("max", 0), "a/b": version_2(9 * GB, GB), "a": version_2(8 * GB, 6 * GB)},
        2 * GB,
    ),
    "version 2, another group": ("0::/a\n", {"a": version_2("max", 0), "b": version_2(GB, 0)}, 100 * GB),
    "version 2, a container's own root": ("0::/\n", {"": version_2(4 * GB, GB)}, 3 * GB),
    "version 2, the machine's name": ("0::/docker/123\n", {"": version_2(4 * GB, GB)}, 3 * GB),
    "version 2, outside": ("0::/../other\n", {"": version_2(4 * GB, GB)}, 3 * GB),
    "version 1": ("5:cpu:/x\n4:memory:/a/b\n", {"memory/a/b": version_1(4 * GB, GB)}, 3 * GB),
    "version 1, two controllers": ("4:cpu,memory:/a\n", {"memory/a": version_1(4 * GB, GB)}, 3 * GB),
    "version 1, no limit": ("4:memory:/a\n", {"memory/a": version_1(FAR, GB)}, 100 * GB),
    "version 1, pages of files": (
        "4:memory:/a\n",
        {"memory/a": version_1(4 * GB, 3 * GB, f"active_file 1\ntotal_active_file {GB}\ntotal_inactive_file {GB}")},
        3 * GB,
    ),
    "version 1, the limit is further up": (
        "4:memory:/a/b\n",
        {"memory/a/b": version_1(FAR, GB), "memory/a": version_1(2 * GB, GB), "memory": version_1(FAR, 50 * GB)},
        GB,
    ),
    "version 1, the machine's name": ("4:memory:/docker/1\n", {"memory": version_1(4 * GB, GB)}, 3 * GB),
    "both": ("4:memory:/a\n0::/\n", {"memory/a": version_1(4 * GB, GB), "unified": {}}, 3 * GB),
    "version 2 beside version 1": ("4:cpu:/a\n0::/u\n", {"unified/u": version_2(4 * GB, GB)}, 3 * GB),
    "above the limit": ("0::/a\n", {"a": version_2(GB, 2 * GB)}, 0),
    "more than the machine has": ("0::/a\n", {"a": version_2(500 * GB, GB)}, 100 * GB),
}


@pytest.mark.parametrize("case", GROUPS)
def test_the_limit_of_a_container_is_seen(tmp_path, monkeypatch, case):
    membership, groups, expected = GROUPS[case]
    machine = psutil.virtual_memory()._replace(available=100 * GB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: machine)
    control_groups(tmp_path, membership, groups)
    assert available_bytes(root=tmp_path) == expected


@pytest.mark.skipif(not hasattr(psutil.Process, "rlimit"), reason="psutil reads this limit on Linux and FreeBSD only")
def test_the_limit_of_ulimit_is_seen():
    code = (
        "import psutil\nfrom preprocessing.processes.machine import available_bytes\n"
        "me = psutil.Process()\nme.rlimit(psutil.RLIMIT_AS, (me.memory_info().vms + 10**8, -1))\n"
        "print(available_bytes())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0 < float(done.stdout) <= 1e8


def test_the_multiplications_of_a_frame_are_those_of_its_layers():
    small = ModelConfig(
        rows=4,
        cols=4,
        trunk_filters=(2,),
        trunk_pools=(2,),
        branch_filters=1,
        branch_pool=2,
        dense_units=(3,),
        genres=("drama", "other"),
    )
    trunk = 3 * 3 * (3 + 2) * (4 * 2) * 16
    branches = 3 * 3 * (2 + 2) * (4 * 2) * 4  # two cells of one filter, as one
    dense = 2 * (1 * 3 + 3 * 1)
    assert frame_multiplications(small) == trunk + branches + dense
