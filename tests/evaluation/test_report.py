"""The report folder: the same figures in every file, everything escaped, a page that works without a network."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from genre_classifier.config import EvaluationConfig
from genre_classifier.evaluation import sentences as summary
from genre_classifier.evaluation.bootstrap import Estimate
from genre_classifier.evaluation.comparison import compare
from genre_classifier.evaluation.document import METRICS_SCHEMA, About, metrics_document, number, with_interval
from genre_classifier.evaluation.evaluate import evaluate
from genre_classifier.evaluation.glossary import HEADLINE, LEVELS, METRICS
from genre_classifier.evaluation.plots import HATCHES
from genre_classifier.evaluation.report import SegmentPicture, write_report
from genre_classifier.genres import GENRES, PATTERNS
from genre_classifier.tagging.tags import as_jpeg
from tests.support.browser import Tab, chromium, wait
from tests.support.evaluation_cases import TWENTY, label_table, made_up

FEW = EvaluationConfig(draws=50)
NASTY = 'a <script>alert("1")</script> & $x$ trailer.mp4'
ABOUT = About("run <i>7</i>", "test", 0, dict.fromkeys(GENRES, 1.2), ("a <b>note</b>",))


@pytest.fixture(scope="module")
def evaluation():
    # Terror is never labelled, and one trailer's name means harm.
    labels, scores = made_up(trailers=6, genres=("comedy", "action", "thriller", "musical", "other"))
    labels = labels.replace({"trailer": {"trailer_000.mp4": NASTY}})
    scores[NASTY] = scores.pop("trailer_000.mp4")
    return evaluate(
        labels,
        scores,
        temperatures=ABOUT.temperatures,
        cuts={NASTY: np.array([2.0])},
        baselines={"colour_histogram": scores},
        config=FEW,
    )


@pytest.fixture(scope="module")
def folder(evaluation, tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    picture = as_jpeg(np.full((32, 32, 3), 90, dtype=np.uint8))
    write_report(
        out,
        evaluation,
        ABOUT,
        comparison=compare(evaluation, evaluation, other="other <u>run</u>"),
        thumbnails={evaluation.worst_segments[0]: SegmentPicture(picture, 128, 72)},
        viewers={NASTY: "../tags/a%20%3Cscript%3E/viewer.html"},
    )
    return out


def test_every_file_is_there(folder):
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    plots = {"baselines", "precision_recall", "reliability", "co_occurrence", "cut_distance", "timelines"}
    expected = {"report.html", "metrics.json", "per_genre.csv", "summary.md"} | {f"plots/{name}.svg" for name in plots}
    expected |= {"activitynet/truth.json", "activitynet/predictions.json"}
    assert names == expected


def test_the_same_figures_in_every_file(folder, evaluation):
    document = json.loads((folder / "metrics.json").read_text())
    table = pd.read_csv(folder / "per_genre.csv", dtype=str).set_index("genre")
    page, markdown = (folder / "report.html").read_text(), (folder / "summary.md").read_text()
    for genre in GENRES:
        estimate = evaluation.figure("frame_pooled", genre, "average_precision")
        stored = document["figures"]["frame_pooled"][genre]["average_precision"]
        if genre == "terror":
            assert stored == {"value": None, "low": None, "high": None}
            assert table.loc[genre, "average_precision"] == "not defined"
            assert re.search(r"\| terror \| 0 \| 0\.000 \| not defined", markdown)
        else:
            assert stored["value"] == estimate.value
            assert float(table.loc[genre, "average_precision"]) == pytest.approx(estimate.value, rel=1e-5)
            assert float(table.loc[genre, "average_precision_low"]) == pytest.approx(stored["low"], rel=1e-5)
            assert number(estimate.value) in page
            assert number(estimate.value) in markdown
    assert "not defined" in page
    assert "nan" not in re.sub('data:image/jpeg[^"]*', "", page).lower()


def test_document_is_plain_and_complete(evaluation):
    document = metrics_document(evaluation, ABOUT)
    json.dumps(document, allow_nan=False)
    assert document["schema"] == METRICS_SCHEMA
    assert len(document["headline"]) == len(HEADLINE)
    assert set(document["figures"]) == set(LEVELS)
    assert document["comparison"] is None
    assert document["where_it_goes_wrong"]["errors_by_cut_distance"][-1]["to_seconds"] is None
    named = {metric for table in document["figures"].values() for scope in table.values() for metric in scope}
    assert {name for name in named if not name.startswith("average_precision_at_")} <= set(METRICS)


def test_everything_from_outside_is_escaped(folder):
    for name in ("report.html", "summary.md"):
        text = (folder / name).read_text()
        for harm in ('<script>alert("1")', "<i>7</i>", "<b>note</b>", "<u>run</u>"):
            assert harm not in text.replace("\\<", "").replace("\\>", ""), (name, harm)
    assert "&lt;script&gt;alert" in (folder / "report.html").read_text()


@pytest.mark.slow
def test_the_page_works_in_a_browser_without_a_network(folder):
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs the program chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 800})
        messages, requests = [], []
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto((folder / "report.html").as_uri())
        assert messages == []
        # Below the summary all is folded, until a link leads there.
        assert page.evaluate("[...document.querySelectorAll('details')].filter(one => one.open).length") == 0
        assert page.locator("#headline").is_visible()
        assert page.evaluate("document.documentElement.scrollHeight") < 7000
        page.locator("nav a", has_text="By genre").click()
        assert page.locator("#genres .scroll table").first.is_visible()
        assert not page.locator("#time .scroll table").first.is_visible()
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.evaluate("[...document.querySelectorAll('details')].every(one => one.open)")
        # On a narrow screen the meaning of a figure has the whole width, below it.
        says = page.locator(".headline tbody tr").first.locator("td").last.bounding_box()
        value = page.locator(".headline tbody tr").first.locator("td").first.bounding_box()
        assert says["width"] > 300
        assert says["y"] >= value["y"] + value["height"] - 1
        assert [url for url in requests if not url.startswith("data:")] == [(folder / "report.html").as_uri()]
        assert page.evaluate("document.documentElement.scrollWidth") <= 390  # wide tables scroll by themselves
        wait(page, "[...document.images].every(image => image.naturalWidth > 0)")
        identifiers = page.evaluate("[...document.querySelectorAll('[id]')].map(element => element.id)")
        assert len(identifiers) == len(set(identifiers))

        rows = page.locator("#genres .scroll table").first.locator("tbody tr")
        head = page.locator("#genres .scroll table").first.locator("th", has_text="AP").first
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == "descending"
        values = [float(cell) for cell in rows.evaluate_all("rows => rows.map(row => row.cells[4].dataset.sort)")[:6]]
        assert values == sorted(values, reverse=True)
        assert values[-1] == -1  # not defined goes last
        last_three = rows.evaluate_all("rows => rows.map(row => row.cells[0].textContent)")[-3:]
        assert last_three == ["macro", "weighted", "micro"]  # totals stay below
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == "ascending"
        page.locator("#genres .scroll table").first.locator("th button", has_text="Genre").click()
        names = rows.evaluate_all("rows => rows.map(row => row.cells[0].textContent)")
        assert names == [*sorted(GENRES), "macro", "weighted", "micro"]  # words from A to Z
        # A picture keeps its size, and is moved in its box.
        assert page.evaluate("[...document.querySelectorAll('.chart svg')].every(one => one.clientWidth >= 600)")

        page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme="dark")
        page.goto((folder / "report.html").as_uri())
        page.evaluate(UNFOLD)
        too_wide = "[...document.querySelectorAll('.scroll, .chart')].filter(one => one.scrollWidth > one.clientWidth)"
        assert page.evaluate(f"{too_wide}.map(one => one.textContent.slice(0, 80))") == []
        dark = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every(one => one < 60)"
        assert page.evaluate(dark)
        light = "getComputedStyle(one).fill.match(/\\d+/g).every(value => value > 150)"
        assert page.evaluate(f"[...document.querySelectorAll('.chart text')].filter(one => {light}).length") > 50
        outside = "[...document.body.children].map(one => one.tagName).sort().join()"
        assert page.evaluate(outside) == "HEADER,MAIN,NAV,SCRIPT"
        page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))")
        assert page.evaluate("window.ran") is None  # no script runs but the page's own
        browser.close()


UNFOLD = "document.querySelectorAll('details').forEach(one => { one.open = true; })"

# Pairs of words in one picture that lie over each other.
COLLISIONS = """[...document.querySelectorAll(".chart svg")].flatMap(picture => {
  const words = [...picture.querySelectorAll("text")].map(one => [one.textContent, one.getBoundingClientRect()]);
  return words.flatMap(([first, a], at) => words.slice(at + 1).filter(([, b]) =>
    Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3
  ).map(([second]) => first + " / " + second));
})"""


@pytest.mark.slow
@pytest.mark.parametrize("genres", [("comedy",), (*TWENTY[1:], "a-name-of-thirty-letters-or-so")], ids=len)
def test_the_page_has_room_for_any_number_of_genres(tmp_path, genres):
    labels, scores = made_up(trailers=3, frames=40, genres=(*genres, "a gap"), columns=genres)
    found = evaluate(labels, scores, cuts=dict.fromkeys(scores, np.array([2.0])), config=FEW)
    write_report(tmp_path, found, About("r", "test", 0, dict.fromkeys(genres, 1.0)))
    assert list(pd.read_csv(tmp_path / "per_genre.csv")["genre"]) == [*genres, "macro", "micro", "weighted"]
    page = (tmp_path / "report.html").read_text()
    assert f"({len(genres)} per frame)" in page
    assert ("show none of the genres" in page) == ("other" not in genres)
    with chromium() as browser:
        tab = Tab(browser.new_page())
        page = tab.open(tmp_path / "report.html")
        page.evaluate(UNFOLD)
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") == width
            assert page.evaluate(COLLISIONS) == []
        tab.check()


def test_every_pattern_has_a_hatch():
    assert len(set(HATCHES)) == PATTERNS


def test_numbers_and_intervals_for_people():
    assert number(float("nan")) == "not defined"
    assert number(-0.0001) == "0.000"
    assert with_interval(Estimate(0.5, 0.25, 0.75)) == "0.500 (0.250\u20130.750)"
    assert with_interval(Estimate(-0.5, -0.75, -0.25)) == "-0.500 (-0.750 to -0.250)"
    assert with_interval(Estimate(0.5)) == "0.500"


@pytest.mark.slow
def test_pictures_are_the_same_bytes_each_time(evaluation):
    from genre_classifier.evaluation.plots import report_plots

    assert report_plots(evaluation) == report_plots(evaluation)


def test_every_baseline_is_drawn():
    from genre_classifier.evaluation.baselines import RECIPES
    from genre_classifier.evaluation.glossary import BASELINES
    from genre_classifier.evaluation.plots import report_plots

    labels, scores = made_up(trailers=2, frames=20)
    found = evaluate(labels, scores, baselines=dict.fromkeys(RECIPES, scores), config=FEW)
    assert set(found.baselines) == set(BASELINES)
    drawn = report_plots(found)["baselines"]
    assert [name for name, entry in BASELINES.items() if entry.title not in drawn] == []


def test_the_first_paragraph_admits_a_baseline_that_is_better():
    labels, good = made_up(trailers=12, skill=3.0)
    _, bad = made_up(trailers=12, skill=0.0)
    found = evaluate(labels, bad, baselines={"colour_histogram": good}, config=FEW)
    text = " ".join(summary.lead_sentences(found, ABOUT))
    assert "It does NOT beat the best simple baseline, “Colours of the frame”" in text
    assert "Something that simple does better here" in text
    found = evaluate(labels, good, baselines={"colour_histogram": bad}, config=FEW)
    text = " ".join(summary.lead_sentences(found, ABOUT))
    assert "It beats the best simple baseline, “" in text
    assert "It beats all others: “" in text


def test_the_best_baseline_is_compared_with_first_whatever_its_verdict():
    labels, good = made_up(trailers=12, skill=3.0)
    _, bad = made_up(trailers=12, skill=0.0)
    for own, words in ((good, "It is not shown to beat"), (bad, "It does NOT beat")):
        found = evaluate(labels, own, baselines={"all_frames": bad, "all_trailers": good}, config=FEW)
        assert summary.best_baseline(found) == "all_trailers"  # not the model's own average
        first = summary.against_baselines(found)[0]
        assert first.startswith(f"{words} the best simple baseline, “All senses, by trailers”")


def test_the_first_paragraph_says_what_to_mind():
    labels, scores = made_up(trailers=1)
    found = evaluate(labels, scores, config=FEW)
    text = " ".join(summary.lead_sentences(found, About("r", "train", 1, dict.fromkeys(GENRES, 1.0))))
    assert "With only 1 trailer labelled in time there are no intervals." in text
    assert "1 of these trailers took part in training" in text
    weak = evaluate(label_table([(name, None, None, "comedy") for name in scores]), scores, config=FEW)
    text = " ".join(summary.lead_sentences(weak, ABOUT))
    assert "No trailer has labels in time" in text
    assert "averaged over the 1 of 6 genres that the labels show" in text
    assert "With only 1 trailer there are no intervals." in text
    assert "All of these trailers show all of those genres, so that any scores reach 1, also those of every" in text
    assert "beat" not in text  # nothing can be compared where everything is perfect


def test_trailers_labelled_as_wholes_lead_the_report(tmp_path):
    _, scores = made_up(trailers=10, frames=20)
    labels = label_table([(name, None, None, GENRES[i % 2]) for i, name in enumerate(sorted(scores))])
    for i, name in enumerate(sorted(scores)):  # right on average, wrong on half of the frames
        scores[name].loc[:, :] = 0.0
        scores[name].iloc[::2, i % 2] = 0.9
    found = evaluate(
        labels, scores, baselines={"movement_trailers": {name: 0 * one for name, one in scores.items()}}, config=FEW
    )
    write_report(tmp_path, found, ABOUT)
    text = " ".join(summary.lead_sentences(found, ABOUT))
    assert "each labelled as a whole" in text
    assert "average precision over trailers of 1.000" in text
    assert "any scores reach 1" not in text
    assert "ROC-AUC: 1.000" in text
    assert "Accuracy of the yes or no at the stored thresholds: 0.500" in text
    assert "It beats the best simple baseline, “Prevalence” (0.500): its lead is 0.500" in text
    assert "It beats all others: “Movement alone, by trailers” (0.500)." in text
    page = (tmp_path / "report.html").read_text()
    assert "The model, averaged over the trailer" not in page
    for about_frames in ("genres", "time", "probability"):
        assert f'id="{about_frames}"' not in page
        assert f'href="#{about_frames}"' not in page
    for line in (LEVELS["frame_per_trailer"].title, "The worst stretches", "Near cuts"):
        assert line not in page
    assert [path.name for path in (tmp_path / "plots").iterdir()] == ["baselines.svg"]
    assert "average precision over trailers" in page
    document = json.loads((tmp_path / "metrics.json").read_text())
    within = document["figures"]["frame_per_trailer"]["comedy"]
    assert {figure["value"] for figure in within.values()} == {None}  # all frames of a trailer are alike
    hardest = document["where_it_goes_wrong"]["trailers"][0]
    assert (hardest["average_precision"], hardest["f1"]) == (1.0, 0.0)  # ranked right, and below the threshold
    assert hardest["error_rate"] == pytest.approx(1 / 6)
    assert [row["metric"] for row in document["headline"][:3]] == ["average_precision", "roc_auc", "accuracy"]
    assert {row["level"] for row in document["headline"][:3]} == {"trailer_mean"}
    table = pd.read_csv(tmp_path / "per_genre.csv", dtype=str).set_index("genre")
    assert table.loc["comedy", "trailer_accuracy"] == "0.5"
    assert "| comedy | 5 | 0.500 | 1.000" in (tmp_path / "summary.md").read_text()


def test_the_schema_is_documented(evaluation):
    text = (Path(__file__).parents[2] / "docs" / "formats" / "report.md").read_text(encoding="utf-8")
    document = metrics_document(evaluation, ABOUT)
    names = set(document) | set(LEVELS) | set(evaluation.baselines)
    for key in ("evaluated", "options", "where_it_goes_wrong"):
        names |= set(document[key])
    names |= set(document["genres"]["comedy"]) | set(document["reliability"]["comedy"]["after"])
    for key in ("worst_segments", "errors_by_cut_distance", "trailers"):
        names |= set(document["where_it_goes_wrong"][key][0])
    metrics = {metric for table in document["figures"].values() for scope in table.values() for metric in scope}
    names |= {metric for metric in metrics if not metric.startswith("average_precision_at_")}
    assert [name for name in sorted(names) if f"`{name}`" not in text] == []


def test_the_first_sentence_counts_what_was_judged():
    labels, scores = made_up(trailers=6)
    strong = labels[labels["trailer"] < "trailer_002"]
    weak = label_table([(name, None, None, "comedy") for name in list(scores)[2:]])
    found = evaluate(pd.concat([strong, weak]), scores, config=FEW)
    assert summary.opening(found, ABOUT).startswith(
        "On 2 trailers (30 seconds, 120 frames) labelled in time the scores"
    )
    text = " ".join(summary.caveats(found, ABOUT))
    assert "4 more trailers labelled as a whole take part in figures about whole trailers alone." in text
    assert "With only 2 trailers labelled in time the intervals are rough" in text


def test_caveats_tell_trailers_labelled_in_time_from_the_others():
    labels, scores = made_up(trailers=22)
    names = list(scores)

    def told(timed, every, trained_on, trained_on_timed):
        strong = labels[labels["trailer"].isin(names[:timed])]
        weak = label_table([(name, None, None, "comedy") for name in names[timed:every]])
        found = evaluate(pd.concat([strong, weak]), {name: scores[name] for name in names[:every]}, config=FEW)
        about = About("r", "all", trained_on, ABOUT.temperatures, trained_on_timed=trained_on_timed)
        return " ".join(summary.caveats(found, about))

    text = told(1, 12, 9, 0)
    assert (
        "9 of the 12 trailers of this report, none of them labelled in time, took part in training: the figures about "
        "whole trailers say how well the network remembers"
    ) in text
    assert (
        "With only 1 trailer labelled in time there are no intervals for frames and segments. With only 12 trailers "
        "the intervals for whole trailers are rough"
    ) in text
    text = told(1, 22, 9, 1)
    assert "9 of the 22 trailers of this report, 1 of them labelled in time, took part in training: the figures" in text
    assert text.endswith("there are no intervals for frames and segments.")
    assert "With only 2 trailers labelled in time the intervals for frames and segments are rough" in told(2, 22, 0, 0)


def test_the_page_says_where_no_validation_trailers_gave_temperatures(folder, tmp_path):
    labels, scores = made_up(trailers=2, frames=20)
    found = evaluate(labels, scores, config=FEW)
    write_report(tmp_path, found, About("r", "test", 0, dict.fromkeys(GENRES, 1.0)))
    page = (tmp_path / "report.html").read_text()
    assert "Without validation trailers the temperature is 1: before and after are the same." in page
    assert "found on the validation trailers" not in page
    page = (folder / "report.html").read_text()
    assert "Without validation trailers" not in page
    assert "found on the validation trailers" in page


def test_the_page_speaks_of_intervals_only_where_there_are_some(tmp_path):
    labels, scores = made_up(trailers=3, frames=20)
    one = labels[labels["trailer"] == "trailer_000.mp4"]
    weak = label_table([(name, None, None, "comedy") for name in list(scores)[1:]])
    cases = {
        "one": (evaluate(one, {"trailer_000.mp4": scores["trailer_000.mp4"]}, config=FEW), False, False),
        "mixed": (evaluate(pd.concat([one, weak]), scores, config=FEW), True, False),
        "three": (evaluate(labels, scores, config=FEW), True, True),
    }
    for name, (found, row, bar) in cases.items():
        write_report(tmp_path / name, found, ABOUT)
        page = (tmp_path / name / "report.html").read_text()
        assert ('<th scope="row">Intervals</th>' in page) == row, name
        assert ("the bar its 95% interval" in page) == bar, name
        assert "Filled circle: the network" in page


def test_the_length_of_the_videos_reads_well_at_any_length(tmp_path):
    for step, said in ((0.25, "; 0:04.9 of video"), (300, "; 1:37:30.0 of video")):
        labels, scores = made_up(trailers=1, frames=20, step_seconds=step)
        write_report(tmp_path, evaluate(labels, scores, config=FEW), ABOUT)
        assert said in (tmp_path / "report.html").read_text()


def test_trailers_of_one_group_are_counted_together():
    labels, scores = made_up(trailers=6)
    found = evaluate(labels.assign(group=labels["trailer"].str[-5]), scores, config=FEW)
    pairs = evaluate(
        labels.assign(group="g" + (labels["trailer"].str[-5].astype(int) // 2).astype(str)), scores, config=FEW
    )
    assert "With only 6 trailers labelled in time the" in " ".join(summary.caveats(found, ABOUT))
    assert "With only 6 trailers of 3 groups labelled in time the" in " ".join(summary.caveats(pairs, ABOUT))
