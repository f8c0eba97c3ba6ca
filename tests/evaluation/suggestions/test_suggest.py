"""Suggestions from a run and a clips folder: what is left out, what is written, what is used again, and the page."""

from __future__ import annotations

import dataclasses
import html
import json
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd
import pytest

from genre_classifier import cli
from genre_classifier.evaluation import scoring
from genre_classifier.evaluation.suggestions.acquisition import Limits, evidence, reason
from genre_classifier.evaluation.suggestions.suggest import suggest, suggestions_html
from genre_classifier.genres import GENRES
from genre_classifier.tagging.scores import scores_table
from preprocessing.base.errors import InputError
from preprocessing.manifest import manifest_table, write_manifest
from tests.support.browser import Tab, chromium
from tests.support.media import flat_frames, write_media
from tests.support.tiny_run import SIZE, make_run
from tests.support.trailers import write_clips

NAMES = [f"trailer {number}.mp4" for number in range(6)] + ["=HYPERLINK(1) <b>&.mp4"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run that saw the trailers 0 and 1, and clips of seven, the last two of which are twins."""
    path = tmp_path_factory.mktemp("suggestions")
    write_clips(path / "clips", [9, 8, 9, 10, 8, 9, 9], size=SIZE)
    for name in ("trailer", "times"):
        (path / "clips" / f"{name}_6.npy").write_bytes((path / "clips" / f"{name}_5.npy").read_bytes())
    rows = [
        {"trailer_id": number, "source": source, "status": "ok", "frames": 9, "rows": SIZE, "cols": SIZE}
        for number, source in enumerate(NAMES)
    ]
    write_manifest(path / "clips", manifest_table(rows))
    run = make_run(path / "run")
    splits = pd.DataFrame({"trailer_id": [0, 1], "source": NAMES[:2], "split": ["train", "test"], "group": ["a", "b"]})
    splits.to_csv(run / "splits.csv", index=False)
    return path


def labels_of(path: Path, *names: str) -> Path:
    pd.DataFrame({"trailer": names, "start": "", "end": "", "genre": "film noir"}).to_csv(path, index=False)
    return path


def test_what_has_no_label_is_suggested_once_and_twins_are_apart(folder, tmp_path):
    table = suggest(folder / "run", folder / "clips", tmp_path / "out", jobs=1)
    assert set(table["trailer_id"]) == {2, 3, 4, 5, 6}
    assert table["rank"].tolist() == [1, 2, 3, 4, 5]
    assert table["entropy"].between(0, 1).all()
    assert table["margin"].between(0, 1).all()
    place = dict(zip(table["trailer_id"], table.itertuples(), strict=True))
    first, second = sorted((place[5], place[6]), key=lambda row: row.rank)
    assert second.rank > first.rank + 1
    assert second.distance == 0
    assert second.nearest == first.source
    written = pd.read_csv(tmp_path / "out" / "suggestions.csv")
    assert written.columns.tolist() == [
        "rank",
        "trailer_id",
        "source",
        "entropy",
        "margin",
        "distance",
        "nearest",
        "why",
    ]
    np.testing.assert_allclose(written["distance"], table["distance"], atol=1e-4)
    assert f"'{NAMES[6]}" in set(written["source"])
    again = suggest(folder / "run", folder / "clips", tmp_path / "out", count=2, jobs=1)
    pd.testing.assert_frame_equal(again, table.head(2))


def test_labels_take_the_place_of_the_splits_and_nothing_is_scored_twice(folder, tmp_path, monkeypatch, caplog):
    scored: list[int] = []
    real = scoring.score_clips
    monkeypatch.setattr(
        scoring,
        "score_clips",
        lambda run, trailers, *rest, **named: scored.append(len(trailers)) or real(run, trailers, *rest, **named),
    )
    labels = tmp_path / "labels.csv"
    out = tmp_path / "out"
    suggest(folder / "run", folder / "clips", out, jobs=1)
    table = suggest(folder / "run", folder / "clips", out, labels=labels_of(labels, "0", "1", NAMES[6]), jobs=1)
    assert set(table["trailer_id"]) == {2, 3, 4, 5}
    assert scored == [5]
    table = suggest(
        folder / "run", folder / "clips", out, labels=labels_of(labels, NAMES[2]), jobs=1
    )  # 0 and 1 may be labelled again
    assert set(table["trailer_id"]) == {0, 1, 3, 4, 5, 6}
    assert "have no clip" not in caplog.text
    suggest(folder / "run", folder / "clips", out, labels=labels_of(labels, NAMES[2], "Trailer 3.mp4"), jobs=1)
    assert f"{labels}: 1 labelled trailers have no clip in {folder / 'clips'}, such as 'Trailer 3.mp4'" in caplog.text
    with pytest.raises(InputError, match=r"labels\.csv.*--labels"):
        suggest(folder / "run", folder / "clips", out, labels=labels_of(labels, *NAMES), jobs=1)
    with pytest.raises(InputError, match=r"at most 1e-05 MB are read \(--max-label-mb\)"):
        suggest(folder / "run", folder / "clips", out, labels=labels_of(labels, NAMES[2]), max_label_mb=1e-5, jobs=1)


def test_without_a_labelled_clip_the_first_has_no_distance(folder, tmp_path, caplog):
    run = make_run(tmp_path / "run")
    pd.DataFrame({"trailer_id": [90], "source": ["elsewhere.mp4"], "split": ["train"]}).to_csv(
        run / "splits.csv", index=False
    )
    table = suggest(run, folder / "clips", tmp_path / "out", jobs=1)
    assert len(table) == 7
    assert table["distance"].isna().tolist() == [True] + 6 * [False]
    assert table["nearest"][0] == ""
    assert "no clip has a label" in caplog.text
    assert 'aria-label="nothing to compare with"' in (tmp_path / "out" / "suggestions.html").read_text(encoding="utf-8")


def test_the_command_writes_both_files(folder, tmp_path, capsys):
    command = ["suggest", str(folder / "run"), str(folder / "clips"), "--out", str(tmp_path)]
    assert cli.run([*command, "--count", "1", "--jobs", "1"]) == 0
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / f"suggestions.{end}") for end in ("csv", "html")]
    assert len(pd.read_csv(tmp_path / "suggestions.csv")) == 1


def test_a_tags_folder_gives_links_to_the_least_certain_moment(folder, tmp_path):
    (tmp_path / "tags").mkdir()
    (tmp_path / "tags" / "summary.csv").write_text(f"source,folder\n{NAMES[2]},trailer 2\nbad.mp4,\n", encoding="utf-8")
    table = suggest(folder / "run", folder / "clips", tmp_path / "out", tags=tmp_path / "tags", jobs=1)
    text = (tmp_path / "out" / "suggestions.html").read_text(encoding="utf-8")
    moment = table.loc[table["source"] == NAMES[2], "moment"].item()
    assert text.count("<a href") == 1
    assert text.count('<img src="data:image/jpeg;base64,') == 5
    assert f'<a href="../tags/trailer%202/viewer.html#t={moment:.2f}">{NAMES[2]}</a>' in text
    with pytest.raises(InputError, match=r"summary\.csv"):
        suggest(folder / "run", folder / "clips", tmp_path / "out", tags=tmp_path, jobs=1)


@pytest.mark.slow
def test_label_pages_propose_what_the_run_finds(folder, tmp_path, capsys, caplog):
    videos = tmp_path / "videos"
    videos.mkdir()
    for name in NAMES[2:5]:
        write_media(videos / name, flat_frames(25), codec="mpeg4", pix_fmt="yuv420p")
    (videos / NAMES[5]).write_text("no video")
    (videos / "new.mp4").touch()
    arguments = ["suggest", str(folder / "run"), str(folder / "clips"), "--out", str(tmp_path / "out")]
    assert cli.run([*arguments, "--label", str(videos)]) == 0
    pages = tmp_path / "out" / "pages"
    captured = capsys.readouterr()
    assert captured.out.splitlines()[-1] == str(pages / "index.html")
    assert f"{NAMES[5]}: " in captured.err  # it cannot be read
    assert "found none for 1 of 5 suggestions" in caplog.text
    assert sorted(path.name for path in pages.iterdir()) == [
        "index.html",
        "trailer 2.html",
        "trailer 3.html",
        "trailer 4.html",
    ]
    table = suggest(folder / "run", folder / "clips", tmp_path / "out", label=videos, count=2)
    text = (tmp_path / "out" / "suggestions.html").read_text(encoding="utf-8")
    assert text.count("<a href") == sum(source in NAMES[2:5] for source in table["source"])
    found = dict(zip(table["source"], table["found"], strict=True))
    source = next(source for source in table["source"] if source in NAMES[2:5])
    assert f'<a href="pages/{quote(Path(source).stem)}.html#t=' in text
    page = (pages / f"{Path(source).stem}.html").read_text(encoding="utf-8")
    data = json.loads(page.split('<script type="application/json" id="data">')[1].split("</script>")[0])
    assert data["proposed"]
    assert data["proposed"] == [dict(zip(("genre", "start", "end"), one, strict=True)) for one in found[source]]
    with pytest.raises(InputError, match="expected a folder of videos"):
        suggest(folder / "run", folder / "clips", tmp_path / "out", label=tmp_path / "out")


def test_reasons_say_what_the_scores_say():
    values = np.full((4, len(GENRES)), 0.1)
    values[:, :2] = 0.7, 0.6
    values[2] = 0.5
    found = evidence(scores_table(np.arange(4) / 2, values, GENRES), dict.fromkeys(GENRES, 0.6))
    assert (found.moment, found.none_share, found.rivals) == (1.0, 0.25, ("comedy", "action"))
    limits = Limits(found.entropy, found.margin, 1.0)
    near = {"by_colours": True, "nearest": "a.mp4", "suggested": False}
    assert reason(found, limits, distance=1.5, **near) == (
        "The network is less sure of it than of most; comedy and action are close in it; its colours are unlike what "
        "is labelled"
    )
    sure = Limits(1.0, 0.0, 2.0)
    none = dataclasses.replace(found, none_share=0.625)
    assert reason(none, sure, distance=0.1, **near) == "No genre reaches its threshold in 62% of its frames"
    assert reason(found, sure, distance=0.1, **near) == "Nothing stands out; it is most like a.mp4, which is labelled"
    near = {"by_colours": False, "nearest": "", "suggested": False}
    assert reason(found, sure, distance=float("nan"), **near) == "Nothing stands out"
    alone = evidence(scores_table(np.arange(2.0), np.full((2, 1), 0.9), ["war"]), {"war": 0.5})
    assert alone.rivals == ("war",)
    best_only = evidence(scores_table(np.arange(4) / 2, values / values.sum(axis=1, keepdims=True), GENRES), None)
    assert best_only.none_share == 0  # each frame has the genre with the highest score


def page_of(sources: list[str], tmp_path: Path) -> Path:
    count = len(sources)
    table = pd.DataFrame({"rank": range(1, count + 1), "trailer_id": range(count), "source": sources})
    table = table.assign(
        entropy=np.linspace(0.9, 0.1, count),
        margin=np.linspace(0, 1, count),
        distance=[np.nan, *range(1, count)],
        nearest="",
        why="The <network> is less sure of it than of most",
        moment=1.25,
        found=[(("comedy", 0.0, 1.0), ("comedy", 2.0, 3.0)), (("comedy", 0.0, 1.0), ("terror", 0.0, 1.0)), ()],
    )
    path = tmp_path / "suggestions.html"
    viewers = {sources[1]: "../tags/a%20b/viewer.html"}
    path.write_text(
        suggestions_html(table, viewers, run="r <i>", genres=GENRES, labelled=1200, waiting=3), encoding="utf-8"
    )
    return path


@pytest.mark.slow
def test_the_page_sorts_links_and_fits(tmp_path):
    names = ["b.mp4", "a10.mp4", 'a9 <b>"&.mp4']
    path = page_of(names, tmp_path)
    assert html.escape("The <network>") in path.read_text(encoding="utf-8")
    with chromium() as browser:
        for width in (390, 1280):
            tab = Tab(browser.new_page(viewport={"width": width, "height": 800}))
            page = tab.open(path)
            assert page.evaluate("document.documentElement.scrollWidth") <= width

            def shown(page=page):
                return [text.split("\n")[0].split(" The ")[0] for text in page.locator("tbody .name").all_inner_texts()]

            assert shown() == names
            assert page.locator("tbody a").get_attribute("href") == "../tags/a%20b/viewer.html#t=1.25"
            page.click("th:has-text('entropy') button")
            page.click("th:has-text('entropy') button")
            assert shown() == names[::-1]
            page.click("th:has-text('trailer') button")
            assert shown() == [names[2], names[1], names[0]]
            page.click("th:has-text('distance') button")
            assert shown() == [names[2], names[1], names[0]]
            page.click("th:has-text('rank') button")
            page.click("th:has-text('rank') button")
            assert shown() == names
            page.select_option("select", "comedy")
            assert page.locator("tbody tr:visible").count() == 2
            page.select_option("select", "terror")
            assert page.locator("tbody tr:visible").count() == 1
            page.select_option("select", "")
            assert page.locator("tbody tr:visible").count() == 3
            tab.check()
