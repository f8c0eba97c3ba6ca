"""Peak memory of one process alone (Linux).

`ru_maxrss` of a child starts at the size of its parent; VmHWM belongs to the program that runs now.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path


def peak_bytes(process: int | str = "self") -> int:
    """Return the most memory that a process has held so far; 0 for one that has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return 1024 * int(found[1]) if found else 0


def run_and_measure(command: Sequence[str]) -> tuple[float, int]:
    """Run a command to its end; return wall seconds and its peak, without that of its children."""
    started, peak = time.perf_counter(), 0
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            peak = max(peak, peak_bytes(process.pid))
            time.sleep(0.05)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return time.perf_counter() - started, peak
