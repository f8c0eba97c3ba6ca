"""Axe finds nothing on any page: names for those who hear it, contrast for those who see little, keys for all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genre_classifier.config import EvaluationConfig
from genre_classifier.evaluation.document import About
from genre_classifier.evaluation.evaluate import evaluate
from genre_classifier.evaluation.report import write_report
from genre_classifier.genres import GENRES
from genre_classifier.tagging.viewer import viewer_html
from tests.support.browser import Tab, chromium
from tests.support.evaluation_cases import made_up
from tests.support.tag_examples import example_tags, write_webm
from tests.tagging.test_index_page import page_text

pytestmark = pytest.mark.slow

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    tags = example_tags(write_webm(folder / "film.webm"))
    (folder / "viewer.html").write_text(viewer_html(tags, folder), encoding="utf-8")
    (folder / "label.html").write_text(viewer_html(tags, folder, scored=False), encoding="utf-8")
    (folder / "index.html").write_text(page_text(), encoding="utf-8")
    labels, scores = made_up(trailers=4)
    about = About("run", "test", 0, dict.fromkeys(GENRES, 1.0), ())
    write_report(folder, evaluate(labels, scores, cuts={"x": np.zeros(0)}, config=EvaluationConfig(draws=20)), about)
    return folder


@pytest.fixture(scope="module")
def browser() -> Any:
    with chromium() as running:
        yield running


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("name", "keys"), [("viewer", "e?"), ("label", "1?"), ("index", ""), ("report", "")])
def test_axe_finds_nothing(pages: Path, browser: Any, name: str, keys: str, scheme: str) -> None:
    for width in (1280, 390):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page = Tab(context.new_page()).open(pages / f"{name}.html")
        page.wait_for_timeout(200)
        for key in ("", *keys):
            if key:
                page.keyboard.press(key)
            found = axe.Axe().run(page).response["violations"]
            assert not [(one["id"], [node["target"] for node in one["nodes"]]) for one in found], (width, key)
        context.close()
