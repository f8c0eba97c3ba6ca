"""The pictures in `docs/images`: `python -m tests.support.screenshots DEMO SQUARES`, folders of `demo`, `squares`."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from genre_classifier import cli
from tests.support.browser import Tab, chromium, opened

IMAGES = Path(__file__).parents[2] / "docs" / "images"


def take(
    browser: Any, path: Path, picture: str, keys: tuple[str, ...] = (), *, fragment: str = "", player: bool = True
) -> None:
    """Open a page, press keys, and keep what is seen."""
    tab = Tab(browser.new_context(viewport={"width": 1280, "height": 1000}).new_page())
    page = opened(tab, path, fragment) if player else tab.open(path, fragment)
    for key in keys:
        page.keyboard.press(key)
    page.wait_for_timeout(500)
    page.screenshot(path=IMAGES / picture)


def main(demo: Path, squares: Path) -> None:
    """Take all pictures."""
    for name in ("strip", "horizons"):
        shutil.copyfile(squares / f"{name}.png", IMAGES / f"squares_{name}.png")
    (viewer,) = (demo / "tags").glob("*/viewer.html")
    with chromium() as browser, tempfile.TemporaryDirectory(dir=demo) as pages:
        take(browser, viewer, "viewer.png", fragment="#t=4")
        take(browser, demo / "report" / "report.html", "report.png", player=False)
        take(browser, viewer, "editor.png", ("e", "n", "c"), fragment="#t=1")
        video = demo / "trailers" / f"{viewer.parent.name}.mp4"
        assert cli.run(["label", str(video), "--out", pages]) == 0
        marks = ("2", *["ArrowRight"] * 3, "2", "4", *["ArrowRight"] * 2, "4", "Home")
        take(browser, Path(pages) / f"{viewer.parent.name}.html", "label.png", marks)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
