"""What an earlier version wrote is still read, resumed, used and judged, with the same numbers.

`data/version_0_1.zip` holds what version 0.1.0 of 2026-11-25 made of five synthetic trailers: `clips/`, `labels.csv`,
`run/` (two epochs, frames of 26x26 so that pooling leaves rows over), `tags/` of `trailer_000.mp4`, and `report/` with
the raw scores of all trailers.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from genre_classifier import load_run, tag_trailer, train
from genre_classifier.config import EvaluationConfig
from genre_classifier.evaluation.run_evaluation import Request, run_evaluation
from genre_classifier.tagging.scores import read_scores

pytestmark = pytest.mark.slow

EARLIER = Path(__file__).parent / "data" / "version_0_1.zip"


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with everything that the earlier version wrote."""
    folder = tmp_path_factory.mktemp("earlier")
    with zipfile.ZipFile(EARLIER) as archive:
        archive.extractall(folder)
    return folder


def test_an_earlier_run_tags_with_the_same_scores_and_segments(earlier):
    import pandas as pd

    tags = tag_trailer(load_run(earlier / "run"), earlier / "trailer_000.mp4")
    written = earlier / "tags" / "trailer_000"
    np.testing.assert_allclose(tags.scores, read_scores(written / "scores.csv"), atol=1e-6)
    expected = pd.read_csv(written / "segments.csv")
    assert list(tags.segments["genre"]) == list(expected["genre"])
    np.testing.assert_allclose(tags.segments[["start", "end"]], expected[["start", "end"]], atol=1e-6)


def test_an_earlier_run_and_its_stored_scores_are_judged_as_before(earlier, tmp_path):
    for request in (
        Request(earlier / "run", earlier / "clips", earlier / "labels.csv", tmp_path / "a", split="all"),
        Request(None, None, earlier / "labels.csv", tmp_path / "b", scores=earlier / "report"),
    ):
        run_evaluation(request, config=EvaluationConfig(draws=10), jobs=1)
        now, then = (json.loads((folder / "metrics.json").read_text()) for folder in (request.out, earlier / "report"))
        for genre in ("comedy", "action", "terror", "thriller", "other", "macro"):
            found, expected = (one["figures"]["frame_pooled"][genre]["average_precision"] for one in (now, then))
            assert found["value"] == pytest.approx(expected["value"], abs=1e-6)


def test_an_earlier_run_is_resumed(earlier, tmp_path):
    """A run that stopped after its second epoch of two goes on to a third."""
    run = earlier / "run"
    config = json.loads((run / "config.json").read_text())
    config["training"]["epochs"] = 3
    (run / "config.json").write_text(json.dumps(config))
    resumed = train(earlier / "clips", earlier / "labels.csv", run, resume=True)
    assert len((run / "history.csv").read_text().splitlines()) == 1 + 3
    assert resumed.model_config.rows == 26
