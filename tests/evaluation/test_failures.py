"""Where it goes wrong: hand-made cases."""

import numpy as np
import pytest

from genre_classifier.evaluation import failures
from genre_classifier.evaluation.alignment import align
from genre_classifier.genres import GENRES
from genre_classifier.tagging.scores import scores_table
from tests.support.evaluation_cases import label_table

COMEDY, ACTION, OTHER = (GENRES.index(name) for name in ("comedy", "action", "other"))


def case():
    """Ten frames, one a second: comedy for five, then other; the scores see action instead in frames 2 to 4."""
    scores = np.full((10, 6), 0.1)
    scores[:2, COMEDY] = 0.9
    scores[2:5, ACTION] = 0.8
    scores[5:, OTHER] = 0.9
    labels = label_table([("t", 0.0, 5.0, "comedy")])
    return align(labels, {"t": scores_table(np.arange(10.0), scores)})


def test_co_occurrence_counts_frames():
    shares = failures.co_occurrence(case())
    assert shares[COMEDY].tolist() == pytest.approx([0.4, 0.6, 0, 0, 0, 0, 0])
    assert shares[OTHER].tolist() == pytest.approx([0, 0, 0, 0, 0, 1, 0])
    assert np.isnan(shares[ACTION]).all()


def test_co_occurrence_has_a_column_for_nothing():
    labels = label_table([("t", 0.0, 4.0, "comedy")])
    data = align(labels, {"t": scores_table(np.arange(4.0), np.zeros((4, 6)))})
    assert failures.co_occurrence(data)[COMEDY].tolist() == [0, 0, 0, 0, 0, 0, 1]


def test_worst_segments_are_the_costly_runs():
    worst = failures.worst_segments(case())
    assert [(s.genre, s.kind, s.start, s.end) for s in worst] == [
        ("comedy", "missed", 1.5, 4.5),
        ("action", "false", 1.5, 4.5),
    ]
    assert worst[0].cost_seconds == pytest.approx(3 * 0.9)
    assert worst[0].score == pytest.approx(0.1)
    assert worst[0].frame == 2
    assert len(failures.worst_segments(case(), most=1)) == 1


def test_runs_end_with_the_trailer():
    labels = label_table([("a", 0.0, 4.0, "comedy"), ("b", 0.0, 4.0, "comedy")])
    table = scores_table(np.arange(4.0), np.zeros((4, 6)))
    worst = failures.worst_segments(align(labels, {"a": table, "b": table}))
    assert [(s.trailer, s.start, s.end, s.frame) for s in worst] == [("a", 0.0, 3.5, 0), ("b", 0.0, 3.5, 0)]


def test_a_run_begins_with_its_first_frame_and_only_what_has_frames_counts():
    labels = label_table([("late", 100.0, 104.0, "comedy")])
    data = align(labels, {"late": scores_table(np.arange(100.0, 104.0), np.zeros((4, 6)))})
    assert [(s.start, s.end, s.frame_time) for s in failures.worst_segments(data)] == [(100.0, 103.5, 100.0)]
    (row,) = failures.trailers_by_score(data, {"average_precision": np.zeros((1, 6)), "f1": np.zeros((1, 6))})
    assert row["seconds"] == 3.5


def test_errors_by_distance_to_the_nearest_cut():
    rows = failures.errors_by_cut_distance(case(), {"t": np.array([2.6, 3.0])})
    by_band = {row["from_seconds"]: row for row in rows}
    assert [row["frames"] for row in rows] == [1, 0, 1, 2, 3, 3]  # 3; none; 2; 1, 4; 0, 5, 6; 7, 8, 9
    assert by_band[0.0]["error_rate"] == pytest.approx(2 / 6)  # comedy missed, action false
    assert by_band[2.0]["error_rate"] == 0
    assert np.isnan(by_band[0.25]["error_rate"])


def test_trailers_without_cuts_are_left_out():
    assert sum(row["frames"] for row in failures.errors_by_cut_distance(case(), {"t": np.zeros(0)})) == 0
