"""The standard streams: what dies says why, and closed, full or abandoned streams end in a line and an exit code."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from genre_classifier import cli
from genre_classifier.cli.output import one_line, say

ROOT = Path(__file__).parents[2]
HEADING = "genre-classifier: did not end well; the last that its libraries wrote:"
WORDS = r"F0000 tensor.cc:12] Check failed: ok (0 vs. 1) \x1b]0;title\n"


def shell(line: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash; `$PROGRAM` is the command line, `$PYTHON` the interpreter."""
    environment = os.environ | {
        "PYTHON": sys.executable,
        "PROGRAM": f"{sys.executable} -m genre_classifier",
        "PYTHONPATH": str(ROOT),
    }
    return subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env=environment | variables,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )


def run_instead(code: str, folder: Path, redirections: str = "") -> subprocess.CompletedProcess[str]:
    """Run the program with `code` in place of its commands, which has written `WORDS` to descriptor 2."""
    script = (
        f"import os, signal, sys\nfrom genre_classifier import cli\n"
        f"signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # which a shell ignores in the background
        f"def run(arguments):\n    os.write(2, b'{WORDS}')\n    print('own words', file=sys.stderr)\n    {code}\n"
        f"cli.run = run\ncli.main(['labels'])\n"
    )
    return shell(f'exec "$PYTHON" -c "$SCRIPT" {redirections}', folder, SCRIPT=script)


DEATHS = {
    "abort": ("os.abort()", -signal.SIGABRT),
    "segmentation fault": ("os.kill(os.getpid(), signal.SIGSEGV)", -signal.SIGSEGV),
    "killed": ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
    "left at once": ("os._exit(3)", 3),
    "a defect": ("raise AssertionError('a defect')", 1),
}


@pytest.mark.slow
@pytest.mark.parametrize("death", DEATHS)
def test_a_process_that_dies_says_why(tmp_path, death):
    code, expected = DEATHS[death]
    done = run_instead(code, tmp_path)
    assert done.returncode == expected
    lines = done.stderr.splitlines()
    assert lines[0] == "own words"
    after = lines[lines.index(HEADING) + 1 :]
    assert after.pop(0) == "F0000 tensor.cc:12] Check failed: ok (0 vs. 1) \\x1b]0;title"
    if death in ("abort", "segmentation fault"):
        assert after.pop(0).startswith("Fatal Python error: ")
        assert any("in run" in line for line in after)
    else:
        assert not after


GREETINGS = r"""2026-11-30 01:00:00.123456: I tensorflow/core/util/port.cc:153] oneDNN custom operations are on.
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1764464400.123456    1234 cpu_feature_guard.cc:227] This TensorFlow binary is optimized to use AVX2.
To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow with the right flags.
W0000 00:00:1764464400.2    1234 gpu_device.cc:2342] Cannot dlopen some GPU libraries.
"""


@pytest.mark.slow
def test_a_killed_process_does_not_repeat_greetings(tmp_path):
    kill = (
        "os.ftruncate(2, 0); os.lseek(2, 0, 0); os.write(2, GREETINGS.encode()); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = run_instead(f"GREETINGS = {GREETINGS!r}; {kill}", tmp_path)
    assert (done.returncode, done.stderr) == (-signal.SIGKILL, "own words\n")


@pytest.mark.slow
@pytest.mark.parametrize("code", ["return 0", "return 1", "return 2", "return 130", "sys.exit(1)"])
def test_a_process_that_ends_well_keeps_to_its_own_words(tmp_path, code):
    done = run_instead(code, tmp_path)
    assert done.stderr == "own words\n"
    assert done.returncode == int(re.search(r"\d+", code)[0])


@pytest.mark.slow
def test_only_the_end_of_many_words_is_shown(tmp_path):
    done = run_instead("[os.write(2, b'line %d\\n' % number) for number in range(50_000)]; os.abort()", tmp_path)
    lines = done.stderr.partition(f"{HEADING}\n")[2].splitlines()
    assert [line for line in lines if line.startswith("line")] == [
        f"line {number}" for number in range(50_000 - 20, 50_000)
    ]


@pytest.mark.slow
def test_ctrl_c_is_not_for_the_watcher(tmp_path):
    # A terminal sends it to the whole group of processes.
    code = "signal.signal(signal.SIGINT, signal.SIG_IGN); os.killpg(0, signal.SIGINT); os.abort()"
    done = run_instead(code, tmp_path)
    assert done.returncode == -signal.SIGABRT
    assert HEADING in done.stderr


@pytest.mark.slow
def test_ctrl_c_when_all_is_done_changes_nothing(tmp_path):
    late = "lambda alive: (os.kill(os.getpid(), signal.SIGINT), end(alive))"
    code = f"from genre_classifier.cli import streams; end = streams._end_well; streams._end_well = {late}; return 0"
    done = run_instead(code, tmp_path)
    assert (done.returncode, done.stderr) == (0, "own words\n")


@pytest.mark.slow
def test_ctrl_c_that_a_library_swallows_is_raised_again(tmp_path):
    code = """
    import time
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        pass
    time.sleep(60)"""
    done = run_instead(code.strip(), tmp_path)
    assert done.returncode == 130
    assert done.stderr.startswith("own words\ngenre-classifier: stopped; what was finished is kept\n")


@pytest.mark.slow
def test_ctrl_c_while_an_object_goes_away_is_raised_again_without_a_traceback(tmp_path):
    code = """
    import time
    class Gone:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGINT)
    Gone()
    time.sleep(60)"""
    done = run_instead(code.strip(), tmp_path)
    assert done.returncode == 130
    assert done.stderr.startswith("own words\ngenre-classifier: stopped; what was finished is kept\n")


@pytest.mark.slow
def test_ctrl_c_leaves_time_to_what_is_done_because_of_it(tmp_path):
    code = """
    import contextlib, time
    def late(what):
        time.sleep(1.2)
        print(what, file=sys.stderr)
    def numbers():
        try:
            yield 1
        finally:
            late("closed")
    try:
        with contextlib.closing(numbers()) as generator:
            next(generator)
            os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        late("drawn")
        raise
    finally:
        late("removed")"""
    done = run_instead(code.strip(), tmp_path)
    assert done.returncode == 130
    assert done.stderr.startswith(
        "own words\nclosed\ndrawn\nremoved\ngenre-classifier: stopped; what was finished is kept"
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("streams")
    (path / "labels.csv").write_text("trailer,start,end,genre\na.mp4,0,1,action\n")
    (path / "bad.csv").write_text("trailer,start,end,genre\na.mp4,soon,1,action\n")
    return path


FULL = "genre-classifier: stdout: the result could not be printed: No space left on device\n"
STREAMS = {
    "closed stderr": ("labels labels.csv out.csv 2>&-", 0, ""),
    "closed stderr, an error": ("labels bad.csv out.csv 2>&-", 2, ""),
    "full stderr, an error": ("labels bad.csv out.csv 2>/dev/full", 2, ""),
    "full stdout": ("labels labels.csv out.csv >/dev/full", 1, FULL),
    "full stdout, help": ("--help >/dev/full", 1, "genre-classifier: No space left on device; --debug shows where\n"),
    "closed stdout": ("labels labels.csv out.csv >&-", 0, ""),
    "all closed": ("labels bad.csv out.csv <&- >&- 2>&-", 2, ""),
    "nobody reads": ("--help | true", 1, ""),
    "full streams": ("labels labels.csv out.csv >/dev/full 2>&1", 1, ""),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", STREAMS)
def test_streams_that_take_nothing(folder, case):
    line, code, message = STREAMS[case]
    # The sleep lets `true` end first.
    program = "(sleep 1; exec $PROGRAM --help)" if "|" in line else f"$PROGRAM {line}"
    done = shell(f"{program} {'| true' if '|' in line else ''}; exit ${{PIPESTATUS[0]}}", folder)
    assert (done.returncode, done.stderr) == (code, message)


@pytest.mark.slow
def test_no_file_takes_the_place_of_a_closed_stream(tmp_path):
    done = run_instead("open('model', 'wb').write(b'weights'); os.write(2, b'noise'); return 0", tmp_path, "2>&- >&-")
    assert done.returncode == 0
    assert (tmp_path / "model").read_bytes() == b"weights"
    code = "number = os.open('model', os.O_RDWR); assert number > 2, number; return 0"
    assert run_instead(code, tmp_path, "<&- 2>&- >&-").returncode == 0


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(24, "Too many open files"), "genre-classifier: Too many open files; --debug shows where\n"),
        (PermissionError(13, "Denied", "a\nb"), "genre-classifier: a\\nb: Denied; --debug shows where\n"),
        (MemoryError("8 GiB"), "genre-classifier: out of memory: 8 GiB; --debug shows where\n"),
    ],
)
def test_what_the_machine_refuses_is_one_line(monkeypatch, capsys, error, line):
    def refuse(*arguments, **options):
        raise error

    monkeypatch.setattr(cli.group, "main", refuse)
    assert cli.run(["tag"]) == 1
    assert capsys.readouterr().err == line
    with pytest.raises(type(error)):
        cli.run(["tag", "--debug"])


def test_nothing_printed_can_speak_to_the_terminal(tmp_path, monkeypatch, capsys):
    assert one_line("a\x1b]0;title\x07\r\n\u202eb\udcff é\N{GRINNING FACE}\n") == (
        "a\\x1b]0;title\\x07\\r\\n\\u202eb\\udcff é\N{GRINNING FACE}"
    )
    say("a\x1b[2Jb")
    assert capsys.readouterr().out == "a\\x1b[2Jb\n"
    monkeypatch.chdir(tmp_path)
    Path("labels.csv").write_text("trailer,start,end,genre\na.mp4,0,1,\x1b]0;title\x07\n")
    assert cli.run(["labels", "labels.csv", "\x1b[31mout.csv"]) == 2
    assert cli.run(["labels", "labels.csv", "--\x1b[31m"]) == 2
    Path("labels.csv").write_text("trailer,start,end,genre\na.mp4,0,1,action\n")
    assert cli.run(["labels", "labels.csv", "\x1b[31mout.csv"]) == 0
    printed = capsys.readouterr()
    assert "\\x1b[31mout.csv" in printed.out
    assert "\x1b" not in printed.out + printed.err
