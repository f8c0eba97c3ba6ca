"""The command `evaluate`: scoring, stored scores, comparison, and what it refuses."""

import dataclasses
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from genre_classifier import cli
from genre_classifier.config import EvaluationConfig
from genre_classifier.dataset.labels import write_labels
from genre_classifier.evaluation import clip_scores, score_folder
from genre_classifier.evaluation.run_evaluation import Request, run_evaluation
from genre_classifier.evaluation.score_folder import ScoredTrailer, ScoreFolder, read_score_folder, write_score_folder
from genre_classifier.genres import GENRES
from genre_classifier.network.streaming import score_clip
from genre_classifier.tagging.scores import write_scores
from preprocessing.base.errors import InputError
from tests.support import activitynet, tiny_run
from tests.support.evaluation_cases import label_table, made_up
from tests.support.folders import contents

pytestmark = pytest.mark.usefixtures("without_plots")

THREE = GENRES[:3]  # of a run: a report takes its time for each


def run_command(capsys, *arguments):
    """Run the command line in this process; return exit code, stdout, stderr."""
    # `main` would close this process's stderr to native libraries.
    code = cli.run(["evaluate", "--jobs", "1", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def stored(tmp_path):
    """A scores folder of six trailers and its labels."""
    labels, scores = made_up(trailers=6, frames=40)
    write_labels(tmp_path / "labels.csv", labels)
    folder = ScoreFolder(
        run="stored",
        split="test",
        clips="",
        fingerprint="x",
        thresholds=dict.fromkeys(GENRES, 0.4),
        temperatures=dict.fromkeys(GENRES, 1.5),
        training_prevalence=dict.fromkeys(GENRES, 0.2),
        trailers=tuple(
            ScoredTrailer(trailer_id=number + 3, source=name, split="test", cuts=(1.0, 2.5), width=64, height=36)
            for number, name in enumerate(sorted(scores))
        ),
        scores=scores,
        baselines={"colour_histogram": scores},
    )
    write_score_folder(tmp_path / "scores", folder)
    return tmp_path, folder


def test_scores_folder_reads_back_to_the_last_bit(stored):
    path, folder = stored
    again = read_score_folder(path / "scores")
    assert again.trailers == folder.trailers
    assert again.training_prevalence == folder.training_prevalence
    for name, table in folder.scores.items():
        pd.testing.assert_frame_equal(again.scores[name], table, check_exact=True)
        pd.testing.assert_frame_equal(again.baselines["colour_histogram"][name], table, check_exact=True)


def test_stored_scores_are_evaluated_without_the_model(stored, capsys):
    path, _ = stored
    code, out, _ = run_command(
        capsys, "--scores", path / "scores", path / "labels.csv", "--out", path / "report", "--draws", 20
    )
    assert code == 0
    assert out.startswith("On 6 trailers")
    assert out.endswith(f"{path / 'report' / 'report.html'}\n")
    document = json.loads((path / "report" / "metrics.json").read_text())
    assert document["genres"]["comedy"]["threshold"] == 0.4
    assert document["evaluated"]["temperatures"]["comedy"] == 1.5
    assert document["where_it_goes_wrong"]["errors_by_cut_distance"] is not None
    assert document["baselines"]["colour_histogram"]["verdict"] == "not shown"


@pytest.mark.slow
def test_labels_may_name_trailers_by_id(stored, capsys):
    path, folder = stored
    labels = pd.read_csv(path / "labels.csv")
    ids = {trailer.source: trailer.trailer_id for trailer in folder.trailers}
    labels.assign(trailer=labels["trailer"].map(ids)).to_csv(path / "by_id.csv", index=False)
    for name in ("labels.csv", "by_id.csv"):
        options = ("--scores", path / "scores", path / name, "--out", path / name[:-4], "--draws", 5)
        assert run_command(capsys, *options)[0] == 0
    assert (path / "labels" / "metrics.json").read_bytes() == (path / "by_id" / "metrics.json").read_bytes()


def test_score_tables_made_elsewhere_are_taken(tmp_path, capsys):
    labels, scores = made_up(trailers=3, frames=30)
    write_labels(tmp_path / "labels.csv", labels)
    (tmp_path / "mine").mkdir()
    for name, table in scores.items():
        write_scores(tmp_path / "mine" / f"{name}.csv", table)
    options = ("--scores", tmp_path / "mine", tmp_path / "labels.csv", "--out", tmp_path / "out", "--draws", 5)
    code, out, _ = run_command(capsys, *options)
    assert code == 0
    assert "the scores of “mine” reach" in out
    # They have no ids: a number names none of them, wherever they stand in the folder.
    pd.read_csv(tmp_path / "labels.csv").assign(trailer="1").to_csv(tmp_path / "labels.csv", index=False)
    code, _, err = run_command(capsys, *options)
    assert code == 2
    assert "none in common" in err


def test_what_is_about_scoring_is_refused_beside_scores(stored, capsys):
    path, _ = stored
    for option in (["--split", "test"], ["--rescore"]):
        options = ("--scores", path / "scores", path / "labels.csv", "--out", path / "report", *option)
        code, _, err = run_command(capsys, *options)
        assert code == 2
        assert f"{option[0]} is about scoring a RUN: leave it or --scores out" in err


def test_names_of_a_genre_map_stand_for_genres(stored, capsys):
    path, _ = stored
    labels = pd.read_csv(path / "labels.csv")
    labels.assign(genre=labels["genre"].replace("comedy", "Funny Film")).to_csv(path / "own.csv", index=False)
    (path / "map.csv").write_text("name,genre\nfunny film,comedy\n")
    options = ("--scores", path / "scores", "--draws", 5)
    assert run_command(capsys, *options, path / "labels.csv", "--out", path / "one")[0] == 0
    code = run_command(capsys, *options, path / "own.csv", "--out", path / "two", "--genre-map", path / "map.csv")[0]
    assert code == 0
    assert (path / "one" / "metrics.json").read_bytes() == (path / "two" / "metrics.json").read_bytes()


def test_two_score_folders_are_compared_on_the_trailers_of_both(stored, capsys):
    path, folder = stored
    kept = folder.trailers[:4]
    other = ScoreFolder(
        **{
            **vars(folder),
            "run": "other",
            "trailers": tuple(ScoredTrailer(trailer_id=t.trailer_id, source=t.source, split="train") for t in kept),
            "scores": {t.source: folder.scores[t.source] * np.float32(0.5) for t in kept},
            "baselines": {},
        }
    )
    write_score_folder(path / "other" / "scores", other)
    options = ("--scores", path / "scores", path / "labels.csv", "--out", path / "out", "--draws", 5)
    code, out, err = run_command(capsys, *options, "--compare", path / "other")
    assert code == 0
    assert "2 trailers have no scores of other" in err
    assert "learned from 4 of these trailers" in out
    document = json.loads((path / "out" / "metrics.json").read_text())
    assert document["evaluated"]["trailers"] == 4
    assert document["comparison"]["other"] == "other"


def test_trailers_learned_from_are_told_by_their_labels(stored, capsys):
    path, folder = stored
    names = [trailer.source for trailer in folder.trailers]
    learned = (names[0], *names[2:5])
    trailers = [dataclasses.replace(one, split="train") if one.source in learned else one for one in folder.trailers]
    write_score_folder(path / "scores", dataclasses.replace(folder, trailers=tuple(trailers)))
    labels = pd.read_csv(path / "labels.csv")
    weak = label_table([(name, None, None, "comedy") for name in names[2:]])
    write_labels(path / "labels.csv", pd.concat([labels[labels["trailer"].isin(names[:2])], weak]))
    options = ("--scores", path / "scores", path / "labels.csv", "--out", path / "out", "--draws", 5)
    said = "4 of the 6 trailers of this report, 1 of them labelled in time"
    assert f"{said}, took part in training" in run_command(capsys, *options)[1]
    said = f"learned from {said}, which favours it"
    assert said in run_command(capsys, *options, "--compare", path / "scores")[1]


def test_links_lead_to_the_viewers_of_a_tags_folder(stored, capsys):
    path, folder = stored
    name = folder.trailers[0].source
    (path / "tags" / "trailer 0 #").mkdir(parents=True)
    summary = pd.DataFrame({"source": [name], "folder": ["trailer 0 #"], "status": ["ok"]})
    summary.to_csv(path / "tags" / "summary.csv", index=False)
    options = ("--scores", path / "scores", path / "labels.csv", "--out", path / "out", "--draws", 5)
    assert run_command(capsys, *options, "--tags", path / "tags")[0] == 0
    assert 'href="../tags/trailer%200%20%23/viewer.html"' in (path / "out" / "report.html").read_text()
    code, _, err = run_command(capsys, *options, "--tags", path)
    assert code == 2
    assert "summary.csv" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--scores", "{0}/nowhere", "{0}/labels.csv"), "nowhere: expected score tables"),
        (("--scores", "{0}/scores", "{0}/nolabels.csv"), "nolabels.csv: expected"),
        (("--scores", "{0}/scores", "a", "b"), "expected RUN CLIPS LABELS, or --scores DIR and LABELS; got 2 paths"),
        (("{0}/norun", "{0}/noclips", "{0}/labels.csv"), "norun: expected a run folder"),
        (("--scores", "{0}/scores", "{0}/labels.csv", "--compare", "{0}/labels.csv"), "needs clips"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(stored, capsys, arguments, message):
    path, _ = stored
    code, out, err = run_command(capsys, *(part.format(path) for part in arguments), "--out", path / "out")
    assert code == 2
    assert out == ""
    assert message in err
    assert "Traceback" not in err
    assert not (path / "out" / "report.html").exists()


@pytest.mark.parametrize("content", ["{", "[]", '{"schema": 99}', '{"schema": 1, "trailers": [{}]}'])
def test_a_broken_index_is_named(stored, capsys, content):
    path, _ = stored
    (path / "scores" / "evaluation.json").write_text(content)
    code, _, err = run_command(capsys, "--scores", path / "scores", path / "labels.csv", "--out", path / "out")
    assert code == 2
    assert "evaluation.json" in err


DAMAGES = [
    *((key, None) for key in ("run", "split", "clips", "fingerprint", "trailers", "genres", "baselines")),
    ("run", ["a"]),
    ("clips", 7),
    ("trailers", {}),
    ("trailers.0", "a"),
    ("trailers.0.source", None),
    ("trailers.0.source", ["a"]),
    ("trailers.0.source", "trailer_001.mp4"),  # twice
    ("trailers.0.trailer_id", "../3"),
    ("trailers.0.trailer_id", True),
    ("trailers.0.trailer_id", -1),
    ("trailers.0.trailer_id", 4),  # twice
    ("trailers.0.split", 3),
    ("trailers.0.cuts", 3),
    ("trailers.0.cuts", ["1"]),
    ("trailers.0.cuts", [None]),
    ("trailers.0.width", "64"),
    ("trailers.0.height", -1),
    ("trailers.0.duration", "10"),
    ("genres", []),
    ("genres.comedy", 0.5),
    ("genres.comedy.threshold", None),
    ("genres.comedy.threshold", 1.5),
    ("genres.comedy.threshold", True),
    ("genres.comedy.temperature", 0),
    ("genres.comedy.temperature", -1.0),
    ("genres.comedy.temperature", "warm"),
    ("genres.comedy.training_prevalence", 2),
    ("baselines", "movement_trailers"),
    ("baselines", [3]),
    ("baselines", ["../elsewhere"]),
    ("baselines", [["movement_trailers"]]),
]


@pytest.mark.parametrize(("key", "value"), DAMAGES)
def test_whatever_is_wrong_in_an_index_is_one_line(stored, key, value):
    index = stored[0] / "scores" / "evaluation.json"
    document = json.loads(index.read_text())
    *outer, last = (int(part) if part.isdigit() else part for part in key.split("."))
    place = document
    for part in outer:
        place = place[part]
    place[last] = value
    index.write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"evaluation\.json: expected") as caught:
        read_score_folder(stored[0])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["temperature", "threshold", "training_prevalence"])
@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "9" * 5000])
def test_a_number_that_is_none_in_an_index_is_one_line(stored, name, number):
    index = stored[0] / "scores" / "evaluation.json"
    text = index.read_text()
    index.write_text(re.sub(rf'"{name}": [\d.]+', f'"{name}": {number}', text, count=1))
    with pytest.raises(InputError, match=r"evaluation\.json: expected"):
        read_score_folder(stored[0])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"time\n",
        b"a,b\n1,2\n",
        "{head}\n0,0",
        "{head}\n0,0,1,1,1,1,1,2",
        "{head}\n0,x,1,1,1,1,1,1",
        "{head}\n0,0,True,1,1,1,1,1",
        "{head}\n0,0,,1,1,1,1,1",
        "{head}\n0,0,1e999,1,1,1,1,1",
        "{head}\n0,nan,1,1,1,1,1,1",
        "{head}\n0,1,1,1,1,1,1,1\n1,0,1,1,1,1,1,1",
        '{head}\n0,0,"1,1,1,1,1,1',
    ],
)
def test_a_damaged_table_of_scores_is_one_line(stored, content):
    head = "frame,time," + ",".join(GENRES)
    damaged = stored[0] / "scores" / "scores_4.csv"
    damaged.write_bytes(content.format(head=head).encode() if isinstance(content, str) else content)
    with pytest.raises(InputError, match=r"scores_4\.csv: expected") as caught:
        read_score_folder(stored[0])
    assert "\n" not in str(caught.value).rstrip()


def test_what_a_later_version_adds_to_an_index_is_passed_over(stored):
    index = stored[0] / "scores" / "evaluation.json"
    document = json.loads(index.read_text())
    document["trailers"][0]["new"] = 1
    index.write_text(json.dumps(document | {"new": {}}))
    assert read_score_folder(stored[0]).trailers == stored[1].trailers


def make_run(folder: Path, splits: list[tuple[int, str]]) -> None:
    """Write a run folder with an untrained network."""
    tiny_run.make_run(folder, frames=30, genres=THREE)
    pd.DataFrame(splits, columns=["trailer_id", "split"]).to_csv(folder / "splits.csv", index=False)


def make_clips(folder: Path) -> Path:
    """Write five clips of noise into `clips`, and `labels.csv`."""
    rng = np.random.default_rng(0)
    clips = folder / "clips"
    clips.mkdir()
    rows = []
    for number in range(5):
        clip = rng.integers(0, 256, (30, 3, tiny_run.SIZE, tiny_run.SIZE), dtype=np.uint8)
        np.save(clips / f"trailer_{number}.npy", clip)
        np.save(clips / f"times_{number}.npy", np.arange(30) / 3)
        rows += [(number, 0.0, 5.0, "comedy"), (number, 5.0, 8.0, THREE[number % 3])]
    pd.DataFrame(rows, columns=["trailer", "start", "end", "genre"]).to_csv(folder / "labels.csv", index=False)
    return clips


@pytest.mark.slow
def test_an_interrupted_scoring_goes_on_where_it_stopped(tmp_path, monkeypatch):
    clips = make_clips(tmp_path)
    make_run(tmp_path / "run", [(0, "train"), (1, "train")])
    scored = []

    def evaluate_into(out, *, break_at=None, **options):
        scored.clear()

        def score(model, clip):
            if len(scored) == break_at:
                raise KeyboardInterrupt
            scored.append(int(clip[0, 0, 0, 0]))
            return score_clip(model, clip)

        monkeypatch.setattr(clip_scores, "score_clip", score)
        request = Request(tmp_path / "run", clips, tmp_path / "labels.csv", out, split="all", **options)
        run_evaluation(request, config=EvaluationConfig(draws=5), on_start=totals.append, jobs=1)

    totals: list[int] = []
    evaluate_into(tmp_path / "undisturbed" / "report")
    everything = list(scored)
    assert totals[0] == 5 * 30
    assert len(totals) == 2  # scores, and then what baselines read

    out = tmp_path / "disturbed" / "report"
    with pytest.raises(KeyboardInterrupt):
        evaluate_into(out, break_at=2)
    assert not (out / "scores" / "evaluation.json").exists()
    damaged = min((out / "scores").rglob("scores_1.csv"))
    damaged.write_text(damaged.read_text()[:100])  # half a file, as a power failure leaves it, is no score
    with pytest.raises(KeyboardInterrupt):
        evaluate_into(out, break_at=2)
    assert scored == [everything[1], everything[2]]
    evaluate_into(out)
    assert scored == everything[3:]
    assert totals[-2] == 2 * 30  # what is left to do
    assert contents(out) == contents(tmp_path / "undisturbed" / "report")

    # Scored anew when asked, also after an interruption; what is half done then is not taken for whole.
    with pytest.raises(KeyboardInterrupt):
        evaluate_into(out, break_at=2, rescore=True)
    assert contents(out / "scores").items() >= contents(tmp_path / "undisturbed" / "report" / "scores").items()
    evaluate_into(out, rescore=True)
    assert scored == everything
    assert contents(out) == contents(tmp_path / "undisturbed" / "report")

    # Another network takes nothing of the old one's.
    with pytest.raises(KeyboardInterrupt):
        evaluate_into(out, break_at=2, rescore=True)
    with (tmp_path / "run" / "model.keras").open("ab") as file:
        file.write(b"\n")
    evaluate_into(out)
    assert scored == everything
    assert {path.name for path in (out / "scores").iterdir() if path.is_dir()} == set(read_score_folder(out).baselines)


@pytest.mark.slow
def test_scores_of_a_clip_that_was_replaced_meanwhile_are_not_kept(tmp_path, monkeypatch):
    clips = make_clips(tmp_path)
    make_run(tmp_path / "run", [(0, "train"), (1, "train")])
    request = Request(tmp_path / "run", clips, tmp_path / "labels.csv", tmp_path / "out", split="all")
    content, times = (clips / "trailer_2.npy").read_bytes(), (clips / "trailer_2.npy").stat()

    def put(content: bytes, nanoseconds: int) -> None:
        (clips / "other.npy").write_bytes(content)
        os.utime(clips / "other.npy", ns=(nanoseconds, nanoseconds))
        (clips / "other.npy").replace(clips / "trailer_2.npy")

    def score(model, clip):
        put(content[:-1000] + bytes(1000), times.st_mtime_ns + 1)
        return score_clip(model, clip)

    monkeypatch.setattr(clip_scores, "score_clip", score)
    with pytest.raises(InputError, match=r"trailer_2\.npy: it changed while it was scored; run again"):
        run_evaluation(request, config=EvaluationConfig(draws=5), jobs=1)
    monkeypatch.undo()
    put(content, times.st_mtime_ns)
    run_evaluation(request, config=EvaluationConfig(draws=5), jobs=1)
    again = dataclasses.replace(request, out=tmp_path / "undisturbed")
    run_evaluation(again, config=EvaluationConfig(draws=5), jobs=1)
    assert contents(tmp_path / "out" / "scores") == contents(tmp_path / "undisturbed" / "scores")


@pytest.mark.slow
def test_scores_that_lack_a_baseline_get_it_without_the_model(tmp_path, monkeypatch):
    clips = make_clips(tmp_path)
    make_run(tmp_path / "run", [(0, "train"), (1, "train"), (2, "test"), (3, "test")])
    request = Request(tmp_path / "run", clips, tmp_path / "labels.csv", tmp_path / "out")

    def score():
        run_evaluation(request, config=EvaluationConfig(draws=5), jobs=1)

    score()
    expected = contents(tmp_path / "out")
    index = tmp_path / "out" / "scores" / "evaluation.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"baselines": ["colour_histogram"]}))
    monkeypatch.setattr(clip_scores, "score_clip", lambda model, clip: pytest.fail("scored again"))
    score()
    assert contents(tmp_path / "out") == expected


def test_a_scores_folder_that_is_half_written_is_not_taken_for_whole(stored, monkeypatch):
    path, folder = stored

    def full_disk(file, table):
        raise OSError("no space left")

    monkeypatch.setattr(score_folder, "write_scores", full_disk)
    with pytest.raises(OSError, match="no space"):
        write_score_folder(path / "scores", folder)
    assert score_folder.read_fingerprint(path / "scores") is None


@pytest.mark.slow
def test_a_run_is_scored_once_and_evaluated(tmp_path, capsys):
    clips = make_clips(tmp_path)
    make_run(tmp_path / "run", [(0, "train"), (1, "train"), (2, "test"), (3, "test")])
    out = tmp_path / "out"
    arguments = (tmp_path / "run", clips, tmp_path / "labels.csv", "--out", out, "--draws", 10)

    code, text, _ = run_command(capsys, *arguments)
    assert code == 0
    assert text.startswith("On 2 trailers")
    folder = read_score_folder(out)
    assert [trailer.trailer_id for trailer in folder.trailers] == [2, 3]
    assert set(folder.baselines) == {"colour_histogram", "movement_frames", "movement_trailers"}
    assert folder.training_prevalence is not None
    assert folder.training_prevalence["comedy"] == pytest.approx(1 / 2 + 1 / 2 * 9 / 30)
    assert "data:image/jpeg" in (out / "report.html").read_text()

    # A second time nothing is scored; new thresholds are taken all the same.
    scored = out / "scores" / "scores_2.csv"
    before = (scored.stat().st_mtime_ns, scored.read_bytes())
    genres = {genre: {"threshold": 0.25, "temperature": 2.0} for genre in THREE}
    (tmp_path / "run" / "thresholds.json").write_text(json.dumps({"schema": 1, "genres": genres}))
    figures = (out / "per_genre.csv").read_bytes()
    assert run_command(capsys, *arguments)[0] == 0
    assert (scored.stat().st_mtime_ns, scored.read_bytes()) == before
    assert (out / "per_genre.csv").read_bytes() != figures
    assert json.loads((out / "scores" / "evaluation.json").read_text())["genres"]["comedy"]["threshold"] == 0.25

    # From the stored scores alone the figures are the same.
    stored = tmp_path / "stored"
    assert run_command(capsys, "--scores", out, tmp_path / "labels.csv", "--out", stored, "--draws", 10)[0] == 0
    assert (stored / "metrics.json").read_bytes() == (out / "metrics.json").read_bytes()

    # The same run under another name.
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    assert run_command(capsys, tmp_path / "copy", *arguments[1:])[0] == 0
    assert json.loads((out / "metrics.json").read_text())["evaluated"]["run"] == "copy"
    assert scored.stat().st_mtime_ns == before[0]

    code, text, _ = run_command(capsys, *arguments, "--split", "all")
    assert code == 0
    assert text.startswith("On 5 trailers")
    assert "2 of these trailers took part in training" in text

    os.utime(clips / "trailer_2.npy")  # a clip made anew is scored anew
    code, _, err = run_command(capsys, *arguments, "--split", "validation")
    assert code == 2
    assert "no labelled clip" in err
    assert "train 2, validation 0, test 2, never seen by the run 1" in err.replace("labelled clips: ", "")

    make_run(tmp_path / "elsewhere", [(7, "train"), (0, "test")])
    away = (tmp_path / "elsewhere", *arguments[1:3], "--out", tmp_path / "away", "--draws", 10, "--split", "all")
    for _ in range(2):  # when scored, and when the scores are there already
        text = run_command(capsys, *away)[1]
        assert "The baselines of colours and senses are missing" in text
    assert "baselines of colours and senses are missing" in (tmp_path / "away" / "report.html").read_text()

    make_run(tmp_path / "stranger", [(8, "train"), (9, "test")])
    text = run_command(capsys, tmp_path / "stranger", *away[1:])[1]
    assert "stranger knows none of these trailers by name" in text

    make_run(tmp_path / "other", [(2, "train"), (0, "test")])
    code, text, _ = run_command(capsys, *arguments, "--compare", tmp_path / "other")
    assert code == 0
    assert "other, the run compared with, learned from 1 of these trailers" in text


def test_labels_past_the_end_are_in_the_notes(stored, capsys):
    path, _ = stored
    labels = pd.read_csv(path / "labels.csv")
    labels.assign(start=labels["start"] * 1000, end=labels["end"] * 1000).to_csv(path / "labels.csv", index=False)
    late = int((labels["start"] > 0).sum())
    options = ("--scores", path / "scores", path / "labels.csv", "--out", path / "report", "--draws", 5)
    code, out, _ = run_command(capsys, *options)
    assert code == 0
    (note,) = json.loads((path / "report" / "metrics.json").read_text())["evaluated"]["notes"]
    assert note in out
    assert note.startswith(f"{late} of {len(labels)} intervals begin after the end of their trailer")
    assert note.endswith("are its times milliseconds? They have to be seconds.")


def test_activitynets_evaluator_finds_what_evaluate_finds(stored, capsys):
    """On the files as written, where a genre is predicted that no label shows, and trailers have no labels."""
    path, folder = stored
    labels = pd.read_csv(path / "labels.csv")
    kept = (labels["genre"] != "musical") & (labels["trailer"] != folder.trailers[0].source)
    labels[kept].to_csv(path / "labels.csv", index=False)
    options = ("--scores", path / "scores", path / "labels.csv", "--out", path / "report", "--draws", 5)
    assert run_command(capsys, *options)[0] == 0
    theirs = activitynet.evaluate(
        *(path / "report" / "activitynet" / f"{name}.json" for name in ("truth", "predictions"))
    )
    document = json.loads((path / "report" / "metrics.json").read_text())
    assert document["genres"]["musical"]["detected_events"] > 0
    assert set(theirs) == set(GENRES) - {"musical"}
    figures = document["figures"]["detection"]
    for genre, values in theirs.items():
        ours = [figures[genre][f"average_precision_at_{tiou:.2f}"]["value"] for tiou in activitynet.LIMITS]
        np.testing.assert_allclose(ours, values, atol=1e-12)
    expected = np.mean(list(theirs.values()))
    assert 0 < expected < 1
    assert figures["macro"]["mean_average_precision"]["value"] == pytest.approx(expected, abs=1e-12)
