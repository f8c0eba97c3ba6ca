"""The loop of the pages: a bad run tags a trailer, a person corrects it in the page, the next run is better."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from genre_classifier import cli
from genre_classifier.dataset.labels import read_labels
from genre_classifier.dataset.trailer_labels import frame_targets, is_checked
from genre_classifier.genres import GENRES
from genre_classifier.metrics.frames import average_precision
from genre_classifier.tagging.scores import read_scores
from tests.support.browser import Tab, chromium

pytestmark = pytest.mark.slow

JUDGED = "trailer_000.mp4"
SHOWN = GENRES[:3]  # each genre is a branch, whose training is traced
TRAINING = [
    "--genres",
    ",".join(SHOWN),
    "--trunk-filters",
    "4,4",
    "--trunk-pools",
    "2,2",
    "--branch-filters",
    "4",
    "--dense-units",
    "8",
    "--head",
    "pooled",
    "--validation-share",
    "0",
    "--test-share",
    "0",
    "--keep",
    "last",
    "--learning-rate",
    "0.01",
]


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with videos, clips, and a run that has seen one epoch of every trailer but one."""
    folder = tmp_path_factory.mktemp("loop")
    for command in (
        ["synthesize", "videos", "--trailers", "4", "--duration", "6", "--seed", "3", "--genres", ",".join(SHOWN)],
        ["preprocess", "videos", "clips", "--size", "24", "--fps", "6"],
    ):
        assert run(folder, *command) == 0
    labels = pd.read_csv(folder / "videos" / "labels.csv")
    labels[labels["trailer"] != JUDGED].to_csv(folder / "labels.csv", index=False)
    assert run(folder, "train", "clips", "labels.csv", "bad", "--epochs", "1", *TRAINING) == 0
    assert run(folder, "tag", "bad", f"videos/{JUDGED}", "--out", "before") == 0
    return folder


def run(folder: Path, *command: str) -> int:
    """Run a command; words that name something in the folder are made paths."""
    places = {"videos", "clips", "labels.csv", "bad", "better", "before", "after", "saved.csv", "merged.csv"}
    return cli.run([str(folder / word) if word.split("/")[0] in places else word for word in command])


def mean_ap(folder: Path, tags: str) -> float:
    """Return the mean average precision over the judged trailer's frames, of the genres that it shows."""
    scores = read_scores(folder / tags / Path(JUDGED).stem / "scores.csv")
    truth = read_labels(folder / "videos" / "labels.csv")
    targets = frame_targets(truth[truth["trailer"] == JUDGED], scores.index.to_numpy(), SHOWN) > 0
    shown = [column for column in range(len(SHOWN)) if targets[:, column].any()]
    return float(np.mean([average_precision(targets[:, column], scores.to_numpy()[:, column]) for column in shown]))


def correct(page: Any, truth: pd.DataFrame) -> None:
    """Delete what was found, and draw what is true."""
    page.keyboard.press("e")
    while page.locator(".segment").count():
        page.locator("#segments tr").first.click()
        page.keyboard.press("Delete")
    duration = page.evaluate("JSON.parse(document.getElementById('data').textContent).duration")
    for row in truth.to_dict("records"):
        box = page.locator(f".lane[data-genre={row['genre']}]").bounding_box()
        first, last = (box["x"] + row[side] / duration * box["width"] for side in ("start", "end"))
        page.mouse.move(first, box["y"] + 4)
        page.mouse.down()
        page.mouse.move((first + last) / 2, box["y"] + 4, steps=3)
        page.mouse.move(last, box["y"] + 4, steps=3)
        page.mouse.up()
    page.keyboard.press("c")


def test_what_is_corrected_in_the_page_is_learned(bad: Path) -> None:
    truth = pd.read_csv(bad / "videos" / "labels.csv")
    truth = truth[truth["trailer"] == JUDGED]
    with chromium() as browser:
        tab = Tab(browser.new_context(viewport={"width": 1280, "height": 1000}, accept_downloads=True).new_page())
        page = tab.open(bad / "before" / Path(JUDGED).stem / "viewer.html")
        correct(page, truth)
        with page.expect_download() as download:
            page.keyboard.press("Control+s")
        download.value.save_as(bad / "saved.csv")
    saved = read_labels(bad / "saved.csv")
    assert is_checked(saved)
    times = read_scores(bad / "before" / Path(JUDGED).stem / "scores.csv").index.to_numpy()
    wrong = frame_targets(saved, times) != frame_targets(truth, times)
    assert wrong.mean() < 0.02  # a pixel is some hundredths of a second
    assert run(bad, "labels", "labels.csv", "saved.csv", "merged.csv") == 0
    # After one epoch the run has learned little: it needs the full rate still.
    further = ["--from", "bad", "--epochs", "30", "--learning-rate", "0.01"]
    assert run(bad, "train", "clips", "merged.csv", "better", *further) == 0
    assert run(bad, "tag", "better", f"videos/{JUDGED}", "--out", "after") == 0
    assert json.loads((bad / "better" / "card.json").read_text())["splits"]["train"] == 4
    before, after = mean_ap(bad, "before"), mean_ap(bad, "after")
    assert after > before + 0.1, (before, after)
