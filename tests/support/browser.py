"""A real Chromium for the tests of pages, or a reason to skip them."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def chromium() -> Iterator[Any]:
    """Give a running Chromium, driven by Playwright; skip where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="pages are tested with Playwright")
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not program:
        pytest.skip("pages are tested in Chromium, and there is none here (install it, or set CHROMIUM)")
    with playwright.sync_playwright() as driver:
        arguments = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        browser = driver.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


def wait(page: Any, condition: str) -> None:
    """Wait for a JavaScript condition; Playwright's own waiting needs `eval`, which the pages forbid."""
    wait_until(page, lambda: page.evaluate(condition), condition)


def wait_until(page: Any, condition: Callable[[], bool], what: str = "") -> None:
    """Wait until a page is as it should be: on a busy machine, it is late."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        page.wait_for_timeout(30)


class Tab:
    """A page, and all that it asked for and complained about."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))

    def open(self, path: Path, fragment: str = "") -> Any:
        """Open a file."""
        self.page.goto(path.as_uri() + fragment)
        return self.page

    def check(self) -> None:
        """Fail if the page complained, or asked for anything beyond the disk."""
        assert self.complaints == []
        assert [url for url in self.requests if not url.startswith(("file:", "data:", "blob:"))] == []


def opened(tab: Tab, path: Path, fragment: str = "") -> Any:
    """Open a viewer and wait until it has a picture, or has said that it can have none."""
    page = tab.open(path, fragment)
    wait(page, "document.querySelector('#video').readyState >= 2 || !document.querySelector('#notice').hidden")
    return page
