"""Genres belong to the scores: any, in any order, with or without `other`; two runs share some."""

import json

import numpy as np
import pandas as pd
import pytest

from genre_classifier.config import EvaluationConfig
from genre_classifier.dataset.labels import write_labels
from genre_classifier.evaluation.alignment import align, reference_intervals
from genre_classifier.evaluation.comparison import compare, shared_genres
from genre_classifier.evaluation.evaluate import evaluate
from genre_classifier.evaluation.run_evaluation import Request, run_evaluation
from genre_classifier.evaluation.score_folder import ScoredTrailer, ScoreFolder, read_score_folder, write_score_folder
from genre_classifier.genres import GENRES
from genre_classifier.tagging.scores import scores_table, write_scores
from preprocessing.base.errors import InputError
from tests.support.evaluation_cases import TWENTY, label_table, made_up
from tests.support.notes import logged

FEW = EvaluationConfig(draws=10)
SKETCHES = ("sketch", "comedy", "action")


def stored(path, scores, name):
    """Write a scores folder, its genres those of the scores."""
    genres = next(iter(scores.values())).columns
    write_score_folder(
        path,
        ScoreFolder(
            run=name,
            split="test",
            clips="",
            fingerprint="x",
            thresholds={genre: 0.3 + 0.01 * number for number, genre in enumerate(genres)},
            temperatures=dict.fromkeys(genres, 1.5),
            training_prevalence=dict.fromkeys(genres, 0.2),
            trailers=tuple(
                ScoredTrailer(trailer_id=number, source=source, split="test")
                for number, source in enumerate(sorted(scores))
            ),
            scores=scores,
            baselines={"movement_trailers": scores},
        ),
    )
    return path


def test_without_other_a_gap_shows_nothing():
    labels = label_table([("t", 1.0, 2.0, "comedy"), ("t", 3.0, 4.0, "sketch")])
    times = np.arange(10) * 0.5
    assert reference_intervals(labels, times, SKETCHES) == [(3.0, 4.0, 0), (1.0, 2.0, 1)]
    data = align(labels, {"t": scores_table(times, np.full((10, 3), 0.7), SKETCHES)})
    assert data.y_true.any(axis=1).tolist() == [False, False, True, True, False, False, True, True, False, False]
    assert data.references.genre.tolist() == [0, 1]


def test_figures_do_not_depend_on_the_order_of_genres():
    labels, scores = made_up(genres=SKETCHES, columns=SKETCHES)
    turned = {name: table[list(reversed(SKETCHES))] for name, table in scores.items()}
    first, second = (evaluate(labels, one, config=FEW) for one in (scores, turned))
    assert first.data.genres == second.data.genres[::-1] == SKETCHES
    for level, table in first.levels.items():
        for genre in SKETCHES:
            for metric, values in table[genre].items():
                np.testing.assert_array_equal(values, second.levels[level][genre][metric])


def test_scores_baselines_and_labels_of_different_genres_are_refused():
    labels, scores = made_up(trailers=2, genres=SKETCHES, columns=SKETCHES)
    (name, table), *_ = reversed(scores.items())
    odd = {**scores, name: table.rename(columns={"sketch": "drama"})}
    with pytest.raises(InputError, match=r"trailer_001.mp4': expected .* found none of sketch and also drama"):
        evaluate(labels, odd, config=FEW)
    with pytest.raises(
        InputError, match=r"baseline 'movement' of trailer 'trailer_001.mp4': expected scores of sketch"
    ):
        evaluate(labels, scores, baselines={"movement_trailers": odd}, config=FEW)
    with pytest.raises(InputError, match=r"found drama, war; .*--genres"):
        evaluate(pd.concat([labels, label_table([(name, 0, 9, "war"), (name, 0, 9, "drama")])]), scores, config=FEW)


def test_some_of_the_genres_are_judged_as_among_all():
    labels, scores = made_up(genres=GENRES, skill=1.0)
    whole = evaluate(labels, scores, baselines={"movement_trailers": scores}, config=FEW)
    some = evaluate(labels, scores, genres=("terror", "other"), baselines={"movement_trailers": scores}, config=FEW)
    assert some.data.genres == ("terror", "other")
    assert some.data.trailers == whole.data.trailers
    for level in ("frame_pooled", "segment", "event", "detection", "trailer_mean", "probability_after"):
        for genre in ("terror", "other"):
            for metric, values in some.levels[level][genre].items():
                np.testing.assert_array_equal(values, whole.levels[level][genre][metric])
    assert some.lead("movement_trailers").value == 0


def test_runs_share_genres_but_what_is_left_over():
    assert shared_genres(GENRES, GENRES[::-1]) == GENRES
    assert shared_genres(GENRES, ("other", "sketch", "terror", "comedy")) == ("comedy", "terror")
    assert shared_genres(TWENTY, GENRES) == GENRES[:5]
    with pytest.raises(InputError, match=r"genres in common, found comedy, other and action, other; `other` is"):
        shared_genres(("comedy", "other"), ("action", "other"))
    labels, scores = made_up(trailers=2)
    first = evaluate(labels, scores, config=FEW)
    with pytest.raises(InputError, match="same genres in both runs"):
        compare(first, evaluate(labels, scores, genres=GENRES[:2], config=FEW), other="fewer")


def test_runs_of_different_genres_are_compared_over_those_they_share(tmp_path):
    labels, scores = made_up(trailers=6, genres=GENRES, skill=3.0)
    sketches = label_table([("trailer_000.mp4", 0.0, 1.0, "sketch")])  # only the other run knows these
    write_labels(tmp_path / "labels.csv", pd.concat([labels, sketches]))
    others = made_up(trailers=6, genres=SKETCHES, columns=SKETCHES, seed=9)[1]
    mine, other = stored(tmp_path / "mine", scores, "mine"), stored(tmp_path / "other", others, "theirs")
    request = Request(None, None, tmp_path / "labels.csv", tmp_path / "out", scores=mine, other=other)
    with logged() as notes:
        _, text = run_evaluation(request, config=FEW, jobs=1)
    told = "theirs, the run compared with, has other genres: the two are compared over comedy, action alone."
    assert told in text
    assert told in notes
    assert any("left out: sketch (1)" in note for note in notes)
    document = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert list(document["genres"]) == list(GENRES)
    rows = {(row["scope"], row["metric"]): row for row in document["comparison"]["differences"][::-1]}
    assert {scope for scope, _ in rows} == {"comedy", "action", "macro", "micro", "all"}
    each = document["figures"]["frame_pooled"]
    expected = [each[genre]["average_precision"]["value"] for genre in ("comedy", "action")]
    assert rows["macro", "average_precision"]["first"]["value"] is not None
    for genre, value in zip(("comedy", "action"), expected, strict=True):
        assert rows[genre, "average_precision"]["first"]["value"] == pytest.approx(value, abs=1e-12)
    assert "over the genres that both have: comedy, action." in (tmp_path / "out" / "report.html").read_text()

    none = stored(tmp_path / "none", made_up(trailers=6, columns=("drama", "other"))[1], "none")
    with pytest.raises(InputError, match="expected runs with genres in common"):
        run_evaluation(Request(None, None, request.labels, request.out, scores=mine, other=none), config=FEW, jobs=1)


def test_a_folder_of_scores_has_its_own_genres(tmp_path):
    _, scores = made_up(trailers=3, columns=TWENTY)
    folder = read_score_folder(stored(tmp_path / "scores", scores, "twenty"))
    assert folder.genres == TWENTY
    assert folder.thresholds["r-&-b"] == pytest.approx(0.49)
    # Bare tables may have their columns in any order.
    (tmp_path / "bare").mkdir()
    for number, (name, table) in enumerate(scores.items()):
        write_scores(tmp_path / "bare" / f"{name}.csv", table[list(np.roll(TWENTY, number))])
    bare = read_score_folder(tmp_path / "bare")
    assert bare.genres == TWENTY
    for name, table in scores.items():
        assert list(bare.scores[name].columns) == list(TWENTY)
        np.testing.assert_array_equal(bare.scores[name], table)

    index = tmp_path / "scores" / "evaluation.json"
    document = json.loads(index.read_text())
    for genres, message in (
        ({**document["genres"], "macro": document["genres"]["war"]}, r"evaluation\.json: genres must not be called"),
        ({}, r"evaluation\.json: genres must be 1 to"),
        ({"war": document["genres"]["war"]}, r"scores_0\.csv: expected scores of war, found also action, "),
    ):
        index.write_text(json.dumps(document | {"genres": genres}))
        with pytest.raises(InputError, match=message):
            read_score_folder(tmp_path)


def test_a_folder_of_scores_of_an_earlier_version_is_read_as_it_was(tmp_path, caplog):
    """Written out as version 0.1.0 did: nothing says which genres but the keys, and no trailer has a duration."""
    values = {genre: {"threshold": 0.4, "temperature": 2.0, "training_prevalence": None} for genre in GENRES}
    trailer = {"trailer_id": 7, "source": "a.mp4", "split": "test", "cuts": [1.5], "width": 64, "height": 36}
    index = {
        "schema": 1,
        "run": "old",
        "split": "test",
        "clips": "",
        "fingerprint": "f",
        "genres": values,
        "baselines": ["encoder"],
        "trailers": [trailer],
    }
    (tmp_path / "evaluation.json").write_text(json.dumps(index, indent=1) + "\n")
    head = "frame,time,comedy,action,terror,thriller,musical,other\n"
    (tmp_path / "scores_7.csv").write_text(head + "0,0.0,0.9,0.1,0.2,0.3,0.4,0.5\n1,0.5,0.1,0.8,0.2,0.3,0.4,0.5\n")
    folder = read_score_folder(tmp_path)
    assert folder.genres == GENRES
    assert folder.baselines == {}  # that of the encoder said too little, and is not read
    assert "of an earlier version and is left out; score again" in caplog.text
    assert folder.training_prevalence is None
    assert folder.scores["a.mp4"].to_numpy()[0].tolist() == pytest.approx([0.9, 0.1, 0.2, 0.3, 0.4, 0.5])


def make_run(folder, genres, splits):
    """Write a run of an untrained network for clips of noise."""
    from genre_classifier.config import ModelConfig, TrainingConfig
    from genre_classifier.network.model import build_model
    from genre_classifier.run_folder.run import write_config
    from preprocessing.config import ClipConfig

    config = ModelConfig(
        rows=12,
        cols=12,
        trunk_filters=(2, 2),
        trunk_pools=(2, 2),
        branch_filters=2,
        branch_pool=2,
        dense_units=(4,),
        genres=genres,
    )
    folder.mkdir()
    build_model(config).save(folder / "model.keras")
    write_config(folder, config, TrainingConfig(epochs=1), ClipConfig(frames=20, size=12))
    pd.DataFrame({"trailer_id": range(len(splits)), "split": splits}).to_csv(folder / "splits.csv", index=False)
    return folder


@pytest.mark.slow
def test_runs_of_different_genres_are_scored_with_their_own_labels(tmp_path):
    rng, clips = np.random.default_rng(0), tmp_path / "clips"
    clips.mkdir()
    for number in range(4):
        np.save(clips / f"trailer_{number}.npy", rng.integers(0, 256, (20, 3, 12, 12), dtype=np.uint8))
        np.save(clips / f"times_{number}.npy", np.arange(20) / 2)
    rows = [(0, 0, 5, "comedy"), (1, 0, 5, "sketch"), (2, 0, 5, "comedy"), (2, 6, 9, "sketch"), (3, 0, 5, "musical")]
    pd.DataFrame(rows, columns=["trailer", "start", "end", "genre"]).to_csv(tmp_path / "labels.csv", index=False)
    splits = ["train", "train", "test", "test"]
    mine, other = (make_run(tmp_path / f"run{len(genres)}", genres, splits) for genres in (GENRES, SKETCHES))
    request = Request(mine, clips, tmp_path / "labels.csv", tmp_path / "out", other=other)
    run_evaluation(request, config=FEW, jobs=1)
    first, second = (read_score_folder(tmp_path / "out" / name) for name in ("scores", "scores_other"))
    assert (first.genres, second.genres) == (GENRES, SKETCHES)
    # The other run knows nothing of musicals, and is scored on that trailer all the same.
    assert [one.trailer_id for one in first.trailers] == [one.trailer_id for one in second.trailers] == [2, 3]
    assert second.training_prevalence == {"sketch": 0.25, "comedy": 0.25, "action": 0.0}
    for folder in (first, second):
        for tables in (folder.scores, *folder.baselines.values()):
            assert {tuple(table.columns) for table in tables.values()} == {folder.genres}
    # Scored once; its genres are in the report, and what is none of them is nothing.
    alone = Request(other, clips, request.labels, tmp_path / "alone")
    for _ in range(2):
        started = []
        assert "“run3” reach" in run_evaluation(alone, config=FEW, on_start=started.append, jobs=1)[1]
    assert started == []
    assert list(json.loads((tmp_path / "alone" / "metrics.json").read_text())["genres"]) == list(SKETCHES)
