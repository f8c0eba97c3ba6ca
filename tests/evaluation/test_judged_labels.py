"""What `tag` writes is what `evaluate` judges, to the last bit, and what ActivityNet's evaluator judges alike."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from genre_classifier import cli, load_run, tag_trailer
from genre_classifier.config import EvaluationConfig
from genre_classifier.evaluation import run_evaluation as pipeline
from genre_classifier.evaluation.evaluate import Evaluation
from genre_classifier.evaluation.judged_labels import PREDICTIONS, TRUTH, write_activitynet
from genre_classifier.evaluation.run_evaluation import Request, run_evaluation
from genre_classifier.genres import GENRES
from genre_classifier.run_folder.run import Run
from preprocessing import preprocess_directory
from preprocessing.config import ClipConfig
from tests.support import activitynet
from tests.support.media import write_media
from tests.support.tiny_run import SIZE, make_run

pytestmark = pytest.mark.slow

FRAMES = 24
SOURCES = ("a.mkv", "b.mkv", "later/c.mkv")


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three videos of 12 s, their clips, a run, and labels near the segments that it finds."""
    folder = tmp_path_factory.mktemp("judged")
    rng = np.random.default_rng(3)
    for source in SOURCES:
        video = folder / "trailers" / source
        video.parent.mkdir(parents=True, exist_ok=True)
        colours = np.repeat(rng.integers(0, 256, (6, 1, 1, 3), dtype=np.uint8), 20, axis=0)
        write_media(video, np.broadcast_to(colours, (120, 32, 32, 3)), fps=10)
    preprocess_directory(folder / "trailers", folder / "clips", config=ClipConfig(frames=FRAMES, size=SIZE), jobs=1)
    run = load_run(make_run(folder / "run", frames=FRAMES))
    pd.DataFrame({"trailer_id": [0, 1, 2], "split": "test"}).to_csv(folder / "run" / "splits.csv", index=False)
    labels = []
    for source, segments in tagged(run, folder).items():
        for row in segments[segments["genre"] != "other"].itertuples():
            end = row.end - rng.uniform(0, 0.4) * (row.end - row.start)
            labels.append((source, row.start, end, row.genre))
    pd.DataFrame(labels, columns=["trailer", "start", "end", "genre"]).to_csv(folder / "labels.csv", index=False)
    return folder


def tagged(run: Run, folder: Path) -> dict[str, pd.DataFrame]:
    return {source: tag_trailer(run, folder / "trailers" / source).segments for source in SOURCES}


def evaluated(request: Request, monkeypatch: pytest.MonkeyPatch) -> Evaluation:
    """Return what the command `evaluate` computes, in place of its report."""
    kept: list[Evaluation] = []

    def keep(out: Path, evaluation: Evaluation, *rest: object, **options: object) -> Path:
        kept.append(evaluation)
        return out

    monkeypatch.setattr(pipeline, "write_report", keep)
    run_evaluation(request, config=EvaluationConfig(draws=5), jobs=1)
    return kept[0]


def test_evaluate_judges_the_segments_that_tag_finds(
    media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = tagged(load_run(media / "run"), media)
    assert sum(len(segments) for segments in found.values()) > 6
    labels = media / "labels.csv"
    for request in (
        Request(media / "run", media / "clips", labels, tmp_path / "first"),
        Request(media / "run", media / "clips", labels, tmp_path / "first"),  # scored before
        Request(None, None, labels, tmp_path / "second", scores=tmp_path / "first"),
    ):
        data = evaluated(request, monkeypatch).data
        assert data.trailers == SOURCES
        for number, source in enumerate(SOURCES):
            own = data.detections.trailer == number
            judged = zip(data.detections.start[own], data.detections.end[own], data.detections.genre[own], strict=True)
            segments = found[source]
            expected = zip(segments["start"], segments["end"], segments["genre"].map(GENRES.index), strict=True)
            assert sorted(judged) == sorted(expected)
            np.testing.assert_allclose(sorted(data.detections.score[own]), sorted(segments["score"]), atol=1e-5)
    # A scores folder of an earlier version knows no durations, and is judged all the same.
    index = tmp_path / "first" / "scores" / "evaluation.json"
    document = json.loads(index.read_text())
    for trailer in document["trailers"]:
        del trailer["duration"]
    index.write_text(json.dumps(document))
    request = Request(None, None, labels, tmp_path / "third", scores=tmp_path / "first")
    assert (evaluated(request, monkeypatch).data.ends > 12.1).all()


def test_files_for_activitynet_get_the_score_of_the_report(
    media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`evaluate` writes what ActivityNet's evaluator reads, and it finds what `evaluate` finds: of what `tag` found."""
    tags, truth, labels = tmp_path / "tags", tmp_path / "truth.json", media / "labels.csv"
    evaluation = evaluated(Request(media / "run", media / "clips", labels, tmp_path / "report"), monkeypatch)
    write_activitynet(tmp_path / "judged", evaluation.data)
    expected = activitynet.read_ground_truth(tmp_path / "judged" / TRUTH)
    assert cli.run(["labels", str(labels), str(truth), "--clips", str(media / "clips")]) == 0
    assert {label: sorted(found) for label, found in activitynet.read_ground_truth(truth).items()} == {
        label: sorted(found) for label, found in expected.items()
    }
    assert cli.run(["tag", str(media / "run"), str(media / "trailers"), "--out", str(tags)]) == 0
    tagged_segments = json.loads((tags / "segments.json").read_text())["results"]
    judged = json.loads((tmp_path / "judged" / PREDICTIONS).read_text())["results"]
    assert {
        video: sorted((one["label"], *one["segment"]) for one in found if one["label"] in expected)
        for video, found in tagged_segments.items()
    } == {video: sorted((one["label"], *one["segment"]) for one in found) for video, found in judged.items()}
    theirs = activitynet.evaluate(tmp_path / "judged" / TRUTH, tmp_path / "judged" / PREDICTIONS)
    values = []
    for genre in GENRES:
        for tiou, value in zip(activitynet.LIMITS, theirs.get(genre, []), strict=genre in theirs):
            ours = evaluation.figure("detection", genre, f"average_precision_at_{tiou:.2f}").value
            assert ours == pytest.approx(value, abs=1e-12)
            values.append(value)
    assert 0 in values
    assert 1 in values
    assert any(0 < value < 1 for value in values)
    assert "other" in expected
    # What was tagged before, and by another command, is in the one file, too; two videos of one name are told apart.
    again = tmp_path / "again"
    again.mkdir()
    (again / "a.mkv").symlink_to(media / "trailers" / "b.mkv")
    assert cli.run(["tag", str(media / "run"), str(again), "--out", str(tags)]) == 0
    results = json.loads((tags / "segments.json").read_text())["results"]
    (other,) = (path.name for path in tags.glob("a-*"))
    assert set(results) == {"a", other, "b.mkv", "later/c.mkv"}
    assert results[other] == results["b.mkv"]
