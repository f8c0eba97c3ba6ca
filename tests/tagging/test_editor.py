"""Correcting segments in the page, with a real mouse and keyboard: what is saved is what training reads."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from genre_classifier import cli
from genre_classifier.dataset.labels import read_labels
from genre_classifier.dataset.trailer_labels import is_checked
from genre_classifier.genres import GENRES
from genre_classifier.tagging.segments import frame_borders
from genre_classifier.tagging.tags import Tags
from genre_classifier.tagging.viewer import viewer_html
from tests.support.browser import Tab, opened, wait
from tests.support.tag_examples import SECONDS, example_tags, write_webm

pytestmark = pytest.mark.slow

Spans = list[tuple[str, float, float]]
CUTS = (1.025, 2.125)  # between two frames


@pytest.fixture(scope="module")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Tags]:
    folder = tmp_path_factory.mktemp("viewer")
    tags = dataclasses.replace(example_tags(write_webm(folder / "film.webm")), cuts=CUTS)
    path = folder / "tags" / "viewer.html"
    path.parent.mkdir()
    path.write_text(viewer_html(tags, path.parent, trailer="more/film, one.webm"), encoding="utf-8")
    return path, tags


@pytest.fixture
def page(tab: Tab, tagged: tuple[Path, Tags]) -> Any:
    """Return the page in editing, with nothing kept from another test."""
    page = opened(tab, tagged[0])
    page.evaluate("localStorage.clear()")
    page.keyboard.press("e")
    return page


def save(page: Any, folder: Path) -> pd.DataFrame:
    """Save the labels as a person does; return them as training reads them."""
    with page.expect_download() as download:
        page.click("#save")
    assert re.fullmatch(r"film, one\.\d{8}T\d{6}\.labels\.csv", download.value.suggested_filename)
    download.value.save_as(folder / "saved.csv")
    return read_labels(folder / "saved.csv")


def spans(labels: pd.DataFrame) -> Spans:
    assert labels["trailer"].unique().tolist() == ["more/film, one.webm"]
    rows = labels.sort_values(["genre", "start"])
    return [(row["genre"], row["start"], row["end"]) for row in rows.to_dict("records")]


def found(tags: Tags) -> Spans:
    rows = tags.segments.sort_values(["genre", "start"]).to_dict("records")
    return [(row["genre"], row["start"], row["end"]) for row in rows]


def assert_spans(labels: pd.DataFrame, expected: Spans) -> None:
    got = spans(labels)
    assert [one[0] for one in got] == [one[0] for one in sorted(expected)]
    np.testing.assert_allclose([one[1:] for one in got], [one[1:] for one in sorted(expected)], atol=1e-3)


def border_near(tags: Tags, seconds: float) -> float:
    borders = frame_borders(tags.scores.index.to_numpy(), duration=tags.duration)
    return float(borders[np.abs(borders - seconds).argmin()])


def lane(page: Any, genre: str) -> dict[str, float]:
    return page.locator(f".lane[data-genre={genre}]").bounding_box()


def x_of(box: dict[str, float], seconds: float) -> float:
    return box["x"] + seconds / SECONDS * box["width"]


def drag(page: Any, genre: str, start: float, end: float, *, height: float = 12) -> None:
    box = lane(page, genre)
    y = box["y"] + height
    page.mouse.move(x_of(box, start), y)
    page.mouse.down()
    page.mouse.move(x_of(box, (start + end) / 2), y, steps=3)
    page.mouse.move(x_of(box, end), y, steps=3)
    page.mouse.up()


def seek(page: Any, seconds: float) -> None:
    box = page.locator("#strip").bounding_box()
    page.mouse.click(x_of(box, seconds), box["y"] + 10)
    wait(page, "!document.querySelector('#video').seeking")


def test_what_was_found_is_where_editing_begins(page: Any, tagged: tuple[Path, Tags], tmp_path: Path) -> None:
    assert_spans(save(page, tmp_path), found(tagged[1]))


def test_a_segment_is_drawn_moved_and_deleted_with_the_mouse(
    page: Any, tagged: tuple[Path, Tags], tmp_path: Path
) -> None:
    tags = tagged[1]
    for node in range(page.locator(".lane[data-genre=terror] .segment").count()):
        del node
        page.locator(".lane[data-genre=terror] .segment").first.click()
        page.click("#remove")
    others = [one for one in found(tags) if one[0] != "terror"]
    drag(page, "terror", 1.02, 2.52)
    drawn = ("terror", border_near(tags, 1.02), border_near(tags, 2.52))
    assert_spans(save(page, tmp_path), [*others, drawn])
    box = page.locator(".lane[data-genre=terror] .segment").bounding_box()
    page.mouse.move(box["x"] + box["width"] - 3, box["y"] + 8)  # its right edge
    page.mouse.down()
    page.mouse.move(box["x"] + 1.9 * box["width"], box["y"] + 8, steps=5)
    page.mouse.up()
    moved = [one for one in spans(save(page, tmp_path)) if one[0] == "terror"]
    assert len(moved) == 1
    assert moved[0][1] == drawn[1]
    assert moved[0][2] == pytest.approx(1.02 + 1.9 * 1.5, abs=0.06)
    assert moved[0][2] == pytest.approx(border_near(tags, moved[0][2]), abs=1e-3)  # on a frame
    drag(page, "terror", 2.0, 5.5, height=3)  # overlapping: one segment
    assert len([one for one in spans(save(page, tmp_path)) if one[0] == "terror"]) == 1


def test_keys_mark_split_join_and_rename(page: Any, tagged: tuple[Path, Tags], tmp_path: Path) -> None:
    tags = tagged[1]
    before = found(tags)
    for node in range(page.locator(".lane[data-genre=musical] .segment").count()):
        del node
        page.locator(".lane[data-genre=musical] .segment").first.click()
        page.keyboard.press("Delete")
    others = [one for one in before if one[0] != "musical"]
    seek(page, 1.01)
    page.keyboard.press("5")
    assert "musical from 0:01" in page.inner_text("#edited")
    seek(page, 3.01)
    page.keyboard.press("5")
    first = ("musical", border_near(tags, 1.01), border_near(tags, 3.01))
    assert_spans(save(page, tmp_path), [*others, first])
    seek(page, 2.01)
    page.keyboard.press("s")  # what was marked is selected
    middle = border_near(tags, 2.01)
    parts = [one for one in spans(save(page, tmp_path)) if one[0] == "musical"]
    assert [one[1:] for one in parts] == [(first[1], middle), (pytest.approx(middle + 0.05), first[2])]
    page.keyboard.press("j")
    assert_spans(save(page, tmp_path), [*others, first])
    seek(page, 1.51)
    page.keyboard.press("[")
    seek(page, 2.51)
    page.keyboard.press("]")
    shorter = ("musical", border_near(tags, 1.51), border_near(tags, 2.51))
    assert_spans(save(page, tmp_path), [*others, shorter])
    page.keyboard.press("Shift+Digit3")
    renamed = [one for one in spans(save(page, tmp_path)) if one[0] in ("musical", "terror")]
    assert not [one for one in renamed if one[0] == "musical"]
    assert any(one[1] <= shorter[1] and shorter[2] <= one[2] for one in renamed)


def test_undo_redo_and_a_reload_lose_nothing(page: Any, tagged: tuple[Path, Tags], tmp_path: Path) -> None:
    tags = tagged[1]
    drag(page, "other", 0.2, 0.9, height=3)
    drag(page, "action", 4.0, 5.5, height=3)
    edited = spans(save(page, tmp_path))
    assert edited != sorted(found(tags))
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    assert page.is_disabled("#undo")
    assert_spans(save(page, tmp_path), found(tags))
    page.keyboard.press("Control+Shift+z")
    page.click("#redo")
    assert spans(save(page, tmp_path)) == edited
    page.reload()
    wait(page, "document.querySelector('#video').readyState >= 2")
    page.click("#edit")
    assert spans(save(page, tmp_path)) == edited
    page.keyboard.press("e")  # what the network found is still there
    assert page.locator(".segment").count() == len(tags.segments)


def test_a_reload_keeps_a_segment_that_ends_with_the_film(tab: Tab, tmp_path: Path) -> None:
    tags = example_tags(write_webm(tmp_path / "film.webm"))
    # 1e-4 of a second is what the page says of borders: this end lies 3.3e-5 before the rounded one.
    end = round(float(tags.scores.index[-1]), 2) + 0.01 + 0.00016667
    tags = dataclasses.replace(tags, duration=end)
    (tmp_path / "viewer.html").write_text(viewer_html(tags, tmp_path, trailer="more/film, one.webm"), encoding="utf-8")
    page = opened(tab, tmp_path / "viewer.html")
    page.evaluate("localStorage.clear()")
    page.keyboard.press("e")
    drag(page, "other", end - 0.6, end, height=3)
    edited = spans(save(page, tmp_path))
    assert max(one[2] for one in edited) == pytest.approx(end, abs=1e-4)
    assert edited != sorted(found(tags))
    page.reload()
    wait(page, "document.querySelector('#video').readyState >= 2")
    page.click("#edit")
    assert spans(save(page, tmp_path)) == edited


def test_a_whole_trailer_and_an_empty_one(page: Any, tagged: tuple[Path, Tags], tmp_path: Path) -> None:
    page.select_option("#whole", "thriller")
    labels = save(page, tmp_path)
    assert labels[["trailer", "genre"]].to_numpy().tolist() == [["more/film, one.webm", "thriller"]]
    assert labels["start"].isna().all()
    page.select_option("#whole", "")
    while page.locator(".segment").count():
        page.locator("#segments tr").first.click()
        page.keyboard.press("Backspace")
    page.click("#save")
    assert page.inner_text("#edited") == "nothing to save: no segment, and not checked"
    page.keyboard.press("c")
    assert save(page, tmp_path)[["start", "end", "genre"]].to_numpy().tolist() == [[0.0, np.inf, "other"]]


def test_who_has_watched_it_all_says_so(page: Any, tagged: tuple[Path, Tags], tmp_path: Path) -> None:
    assert not is_checked(save(page, tmp_path))
    page.check("#checked")
    assert is_checked(save(page, tmp_path))
    page.reload()
    wait(page, "document.querySelector('#video').readyState >= 2")
    page.keyboard.press("e")
    assert page.is_checked("#checked")
    page.keyboard.press("Control+z")  # nothing to undo after a reload
    page.keyboard.press("c")
    assert_spans(save(page, tmp_path), found(tagged[1]))
    assert not is_checked(save(page, tmp_path))


def test_edges_go_to_cuts_that_are_near(page: Any, tagged: tuple[Path, Tags], tmp_path: Path) -> None:
    while page.locator(".segment").count():
        page.locator(".segment").first.click()
        page.keyboard.press("Delete")
    near = 4 / lane(page, "terror")["width"] * SECONDS  # four pixels
    drag(page, "terror", CUTS[0] + near, CUTS[1] - near)
    drag(page, "comedy", 3.01, 3.61)  # far from any
    rows = [("terror", *CUTS), ("comedy", border_near(tagged[1], 3.01), border_near(tagged[1], 3.61))]
    assert_spans(save(page, tmp_path), rows)


def test_labels_go_into_a_file_of_choice_where_the_browser_can(page: Any, tagged: tuple[Path, Tags]) -> None:
    page.evaluate(
        """() => { window.written = []; window.showSaveFilePicker = async (options) => ({ name: options.suggestedName,
          createWritable: async () => { if (window.diskFull) throw new Error("disk full");
            return { write: async (text) => { window.written.push(text); }, close: async () => {} }; } }); }"""
    )
    page.click("#choose")
    wait(page, "window.written.length === 1")
    page.keyboard.press("c")
    page.keyboard.press("Control+s")  # into the same file
    wait(page, "window.written.length === 2")
    first, second = page.evaluate("window.written")
    assert first.splitlines()[0] == "trailer,start,end,genre,checked"
    assert sorted(second.splitlines()) == sorted(first.replace(",no", ",yes").splitlines())
    assert len(first.splitlines()) == 1 + len(tagged[1].segments)
    page.evaluate("window.diskFull = true")
    page.keyboard.press("Control+s")
    wait(page, "document.querySelector('#edited').textContent.startsWith('not saved')")
    assert page.inner_text("#edited") == "not saved: disk full"


def test_a_page_without_scores_is_for_labels_alone(tab: Tab, tmp_path: Path) -> None:
    video = write_webm(tmp_path / "film.webm")
    assert cli.run(["label", str(video), "--out", str(tmp_path / "pages"), "--genres", "drama,other"]) == 0
    page = opened(tab, tmp_path / "pages" / "film.html")
    for hidden in ("#edit", ".panel", ".lane canvas"):
        assert page.locator(hidden).first.is_hidden()
    page.keyboard.press("e")  # there is nothing else
    assert page.is_visible("#tools")
    assert page.inner_text("#count") == "none yet: draw in a lane, or hold a genre's key while it plays"
    wide = page.viewport_size
    page.set_viewport_size({"width": 390, "height": 800})  # where none of that is possible, as the page says
    wait(page, "document.querySelector('#count').textContent === 'none yet'")
    page.set_viewport_size(wide)
    wait(page, "document.querySelector('#count').textContent.startsWith('none yet: draw')")
    assert "held, it paints" in page.inner_text("footer")
    assert "thresholds" not in page.inner_text("footer")
    page.keyboard.press("1")
    seek(page, 2.01)
    page.keyboard.press("1")
    with page.expect_download() as download:
        page.click("#save")
    download.value.save_as(tmp_path / "saved.csv")
    labels = read_labels(tmp_path / "saved.csv", genres=("drama", "other"))
    assert labels[["trailer", "start", "genre", "checked"]].to_numpy().tolist() == [["film.webm", 0.0, "drama", False]]
    assert labels["end"][0] == pytest.approx(2.0, abs=0.051)


def test_what_was_begun_is_saved_too(page: Any, tagged: tuple[Path, Tags], tmp_path: Path) -> None:
    tags = tagged[1]
    while page.locator(".segment").count():
        page.locator(".segment").first.click()
        page.keyboard.press("Delete")
    seek(page, 1.01)
    page.keyboard.press("1")
    seek(page, 2.01)
    assert_spans(save(page, tmp_path), [("comedy", border_near(tags, 1.01), border_near(tags, 2.01))])


def test_what_another_tab_marks_is_not_written_over(
    browser: Any, page: Any, tagged: tuple[Path, Tags], tmp_path: Path
) -> None:
    other = opened(Tab(page.context.new_page()), tagged[0])
    other.keyboard.press("e")
    drag(page, "other", 0.2, 0.9, height=3)
    wait(other, "document.querySelector('#edited').textContent === 'changed in another tab'")
    drag(other, "action", 4.0, 5.5, height=3)
    edited = spans(save(other, tmp_path))
    wait(page, "document.querySelector('#edited').textContent === 'changed in another tab'")
    assert spans(save(page, tmp_path)) == edited
    for _ in range(2):
        other.keyboard.press("Control+z")
    assert_spans(save(other, tmp_path), found(tagged[1]))


def test_controls_that_were_used_keep_no_keys_from_marking(
    page: Any, tagged: tuple[Path, Tags], tmp_path: Path
) -> None:
    del tmp_path
    page.click("#checked")
    for start in ("1", "3"):
        page.keyboard.press(start)
        assert "from 0:0" in page.inner_text("#edited")
        page.keyboard.press("Escape")
    assert page.locator(".lane.off").count() == 0
    assert page.is_checked("#checked")
    page.keyboard.press(" ")  # it has the focus still
    assert not page.is_checked("#checked")
    assert page.evaluate("document.querySelector('#video').paused")
    page.focus("#speed")
    page.keyboard.press("2")  # looks for an entry, and hides no genre
    assert page.locator(".lane.off").count() == 0
    button = page.locator("#segments button").nth(3)
    button.focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement === document.querySelectorAll('#segments button')[3]")


def test_genres_that_exclude_each_other_share_what_is_drawn(tab: Tab, tmp_path: Path) -> None:
    tags = example_tags(write_webm(tmp_path / "film.webm"), exclusive=True)
    (tmp_path / "viewer.html").write_text(viewer_html(tags, tmp_path, trailer="more/film, one.webm"), encoding="utf-8")
    page = opened(tab, tmp_path / "viewer.html")
    page.evaluate("localStorage.clear()")
    page.keyboard.press("e")
    drag(page, "terror", 1.0, 4.0, height=3)
    rows = sorted((start, end) for _, start, end in spans(save(page, tmp_path)))
    assert all(one[1] <= other[0] + 1e-9 for one, other in itertools.pairwise(rows))
    assert rows[-1][1] == pytest.approx(tags.duration, abs=1e-3)


def test_marks_are_those_of_one_video_and_outlive_other_genres(tab: Tab, tmp_path: Path) -> None:
    for folder, number in (("a", 1), ("b", 2)):
        (tmp_path / folder).mkdir()
        write_webm(tmp_path / folder / "film.webm")
        with (tmp_path / folder / "film.webm").open("ab") as file:
            file.write(bytes(number))  # another film of the same times

    def label(folder: str, genres: str) -> Any:
        out = tmp_path / f"{folder}_pages"
        assert cli.run(["label", str(tmp_path / folder), "--out", str(out), "--genres", genres]) == 0
        return opened(tab, out / "film.html")

    page = label("a", "drama,comedy,other")
    for key in ("1", "2"):
        seek(page, 1.01)
        page.keyboard.press(key)
        seek(page, 2.01)
        page.keyboard.press(key)
    assert page.locator(".segment").count() == 2
    assert label("b", "drama,comedy,other").locator(".segment").count() == 0
    page = label("a", "drama,other")
    assert page.locator(".segment").count() == 1
    assert page.inner_text("#edited") == "1 more of genres that this page does not have"
    page.keyboard.press("c")
    assert label("a", "drama,comedy,other").locator(".segment").count() == 2


def test_what_is_kept_but_damaged_is_not_taken(page: Any, tagged: tuple[Path, Tags], tmp_path: Path) -> None:
    for kept in ('{"spans": [{"genre": "x", "start": 0, "end": 1}], "whole": ""}', "no JSON", '{"spans": 3}', "null"):
        page.evaluate("kept => localStorage.setItem(Object.keys(localStorage)[0] ?? 'none', kept)", kept)
        key = json.loads(data_of(tagged[0]))["kept"]
        page.evaluate("([key, kept]) => localStorage.setItem(key, kept)", [key, kept])
        page.reload()
        wait(page, "document.querySelector('#video').readyState >= 2")
        page.keyboard.press("e")
        assert_spans(save(page, tmp_path), found(tagged[1]))


def data_of(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    return text.split('<script type="application/json" id="data">')[1].split("</script>")[0]


def test_help_and_names_for_those_who_hear_the_page(page: Any) -> None:
    page.keyboard.press("?")
    assert page.is_visible("#keys")
    page.keyboard.press("s")  # nothing is done behind the help
    page.keyboard.press("Escape")
    assert not page.is_visible("#keys")
    page.locator(".lane[data-genre=comedy] .segment").first.click()
    assert page.locator(".segment[aria-pressed=true]").count() == 1
    assert page.locator("#segments tr.selected").count() == 1
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('button, select, input')].filter((node) => node.offsetParent !== null
           && !node.getAttribute('aria-label') && !node.textContent.trim() && !node.labels?.length).length"""
    )
    assert nameless == 0


def test_what_was_begun_survives_a_narrow_window(browser: Any, tagged: tuple[Path, Tags], tmp_path: Path) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 800})
    tab = Tab(context.new_page())
    page = opened(tab, tagged[0])
    page.click("#edit")
    assert "600 pixels" in page.inner_text("#narrow")
    assert page.locator("#tools").is_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.set_viewport_size({"width": 600, "height": 800})
    wait(page, "!document.querySelector('#tools').hidden")
    assert page.evaluate("document.documentElement.scrollWidth") <= 600
    assert page.locator(".segment:not(.drawing)").count() == len(tagged[1].segments)
    while page.locator(".lane[data-genre=musical] .segment").count():
        page.locator(".lane[data-genre=musical] .segment").first.click()
        page.keyboard.press("Delete")
    page.locator(".lane[data-genre=comedy] .segment").first.click()
    seek(page, 1.01)
    page.keyboard.press("5")
    for width, hidden in ((390, True), (600, False)):
        page.set_viewport_size({"width": width, "height": 800})
        wait(page, f"document.querySelector('#tools').hidden === {str(hidden).lower()}")
    assert "musical from 0:01" in page.inner_text("#edited")
    assert page.locator(".segment.selected").count() == 1
    assert page.is_enabled("#undo")
    seek(page, 3.01)
    page.keyboard.press("5")
    marked = [one for one in spans(save(page, tmp_path)) if one[0] == "musical"]
    assert marked[0][1:] == pytest.approx((border_near(tagged[1], 1.01), border_near(tagged[1], 3.01)), abs=1e-3)
    context.close()
    tab.check()


def test_a_held_key_paints_what_passes(page: Any, tagged: tuple[Path, Tags], tmp_path: Path) -> None:
    while page.locator(".segment").count():
        page.locator(".segment").first.click()
        page.keyboard.press("Delete")
    page.keyboard.press("Home")
    page.keyboard.press(" ")
    for key in ("1", "3"):  # two at once
        page.keyboard.down(key)
        page.keyboard.down(key)  # as keyboards repeat it
    wait(page, "document.querySelector('#video').currentTime > 1.5")
    assert page.locator(".lane[data-genre=terror] .drawing").bounding_box()["width"] > 0
    page.keyboard.up("1")
    wait(page, "document.querySelector('#video').currentTime > 2.5")
    page.keyboard.up("3")
    page.keyboard.press(" ")
    assert page.locator(".drawing").count() == 0
    comedy, terror = spans(save(page, tmp_path))
    assert (comedy[0], terror[0]) == ("comedy", "terror")
    assert 1.4 < comedy[2] < terror[2]
    assert terror[2] > 2.4
    page.keyboard.press("Escape")
    page.keyboard.press("4")  # a short press begins, and the next one ends
    assert "thriller from" in page.inner_text("#edited")
    assert page.locator(".lane[data-genre=thriller] .segment:not(.drawing)").count() == 0


def test_two_hours_with_two_thousand_segments_can_be_edited(browser: Any, tmp_path: Path) -> None:
    tags = example_tags(tmp_path / "gone.webm", seconds=7200, frames=14_400)
    waves = np.where(np.arange(14_400) % 43 < 22, 0.9, 0.1)
    tags = dataclasses.replace(tags, scores=tags.scores.assign(**{genre: waves for genre in GENRES}))
    (tmp_path / "viewer.html").write_text(viewer_html(tags, tmp_path), encoding="utf-8")
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    tab = Tab(context.new_page())
    page = opened(tab, tmp_path / "viewer.html")
    tab.complaints.clear()  # that the video is not there
    page.keyboard.press("e")
    count = page.locator(".segment").count()
    assert count > 1900
    page.locator("#segments tr").nth(1000).click()
    page.keyboard.press("Delete")
    assert page.locator(".segment").count() == count - 1
    context.close()


def test_what_a_run_proposes_is_accepted_or_left(tab: Tab, tmp_path: Path) -> None:
    tags = dataclasses.replace(example_tags(write_webm(tmp_path / "film.webm")), cuts=())
    proposed = pd.DataFrame(
        [("comedy", 0.51, 1.49), ("terror", 1.01, 2.49), ("terror", 4.01, 5.01), ("unknown", 0, 1)],
        columns=["genre", "start", "end"],
    )
    path = tmp_path / "film.html"
    path.write_text(viewer_html(tags, tmp_path, trailer="film.webm", scored=False, proposed=proposed), encoding="utf-8")
    page = opened(tab, path)
    page.evaluate("localStorage.clear()")
    assert page.locator(".proposal:visible").count() == 3
    assert page.locator(".segment").count() == 0
    page.click("#save")
    assert page.inner_text("#edited") == "nothing to save: no segment, and not checked"  # proposed is not labelled
    page.locator(".lane[data-genre=terror] .proposal").first.click()
    assert page.locator(".segment.selected").count() == 1
    assert page.locator(".proposal:visible").count() == 2
    seek(page, 2.01)
    page.keyboard.press("]")  # mended
    seek(page, 1.01)
    page.keyboard.press("a")  # at the cursor
    drag(page, "terror", 3.51, 4.51)  # drawn over what is proposed
    assert page.locator(".proposal:visible").count() == 0
    page.keyboard.press("Control+z")
    assert page.locator(".proposal:visible").count() == 1
    page.click("#accept")
    with page.expect_download() as download:
        page.click("#save")
    download.value.save_as(tmp_path / "saved.csv")
    rows = read_labels(tmp_path / "saved.csv").sort_values(["genre", "start"])[["genre", "start", "end"]]
    expected = [("comedy", 0.51, 1.49), ("terror", 1.01, 2.01), ("terror", 4.01, 5.01)]
    assert rows["genre"].tolist() == [one[0] for one in expected]
    edges = [[border_near(tags, second) for second in one[1:]] for one in expected]
    np.testing.assert_allclose(rows[["start", "end"]], edges, atol=1e-3)
