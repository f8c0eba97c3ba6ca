"""What a tags folder of many videos costs: the summary over it, and opening its page.

    python -m benchmarks.many [--counts 100 1000 10000] [--segments 20]

Makes folders with the stamps and segments of as many videos, without the videos, and runs `write_index` over each in a
process of its own; then opens `index.html` in Chromium, where there is one, sorts it and filters it. Prints seconds,
the peak of memory, and how large the page is.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peaks import peak_bytes
from genre_classifier.genres import GENRES
from genre_classifier.tagging.tasks import STAMP

DURATION = 140.0  # seconds


def make_folder(out: Path, videos: int, segments: int) -> None:
    """Write what `tag` leaves of each video that the summary reads."""
    rng = np.random.default_rng(0)
    for number in range(videos):
        folder = out / f"trailer_{number:05d}"
        folder.mkdir(parents=True)
        starts = np.sort(rng.uniform(0, DURATION - 5, segments))
        genres = rng.choice(GENRES, segments)
        rows = [f"{start!r},{start + 4.0!r},{genre},0.75" for start, genre in zip(starts.tolist(), genres, strict=True)]
        (folder / "segments.csv").write_text("\n".join(["start,end,genre,score", *rows]) + "\n")
        facts = {
            "schema": 1,
            "source": f"trailer_{number:05d}.mp4",
            "video": f"/videos/trailer_{number:05d}.mp4",
            "bytes": 1000,
            "modified_ns": 0,
            "made_with": {},
            "duration": DURATION,
            "frames": 1000,
            "segments_found": segments,
            "shares": dict(zip(GENRES, rng.dirichlet(np.ones(len(GENRES))).tolist(), strict=True)),
        }
        (folder / STAMP).write_text(json.dumps(facts))


def measure_page(page_file: Path) -> dict[str, float]:
    """Open the page; return seconds until its rows stand there, and those of a sort and of a filter."""
    try:
        from tests.support.browser import chromium

        with chromium() as browser:
            page = browser.new_page()
            began = time.perf_counter()
            page.goto(page_file.as_uri(), timeout=300_000)
            page.locator("tbody tr").first.wait_for(timeout=300_000)
            opened = time.perf_counter() - began
            steps = "const began = performance.now(); {}; document.body.offsetHeight; performance.now() - began"
            sort = page.evaluate(steps.format("document.querySelectorAll('th button')[1].click()"))
            find = "const field = document.getElementById('filter'); field.value = '99';"
            filtered = page.evaluate(steps.format(f"{find} field.dispatchEvent(new Event('input'))"))
            return {"open": opened, "sort": sort / 1000, "filter": filtered / 1000}
    except BaseException as error:  # noqa: BLE001 - pytest's Skipped is none of Exception
        print(f"no page was opened: {error}")
        return {}


def main() -> None:
    """Measure each count and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[100, 1000, 10000])
    parser.add_argument("--segments", type=int, default=20, help="Of each video.")
    parser.add_argument("--index", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.index:
        from genre_classifier.tagging.summary import write_tags_index

        wall = time.perf_counter()
        write_tags_index(options.index, [])
        print(json.dumps({"seconds": time.perf_counter() - wall, "peak": peak_bytes()}))
        return
    print(
        f"{'videos':>8}{'summary s':>11}{'ms each':>9}{'peak MB':>9}{'page MB':>9}"
        f"{'open s':>8}{'sort s':>8}{'filter s':>9}"
    )
    for count in options.counts:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "tags"
            make_folder(out, count, options.segments)
            command = [sys.executable, "-m", "benchmarks.many", "--index", str(out)]
            found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
            page = measure_page(out / "index.html")
            print(
                f"{count:>8}{found['seconds']:>11.2f}{1000 * found['seconds'] / count:>9.2f}"
                f"{found['peak'] / 1e6:>9.0f}{(out / 'index.html').stat().st_size / 1e6:>9.1f}"
                + "".join(f"{page.get(name, float('nan')):>8.2f}" for name in ("open", "sort", "filter")),
                flush=True,
            )


if __name__ == "__main__":
    main()
