"""The index page: what it lists, and its sorting and filtering in a real Chromium."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pandas as pd
import pytest

from genre_classifier import cli
from genre_classifier.genres import GENRES
from genre_classifier.tagging.summary import index_html, video_row
from genre_classifier.tagging.viewer import viewer_html
from tests.support.browser import Tab, wait, wait_until
from tests.support.media import write_late_pictures
from tests.support.notes import logged
from tests.support.tag_examples import example_tags, write_webm

SEGMENTS = pd.DataFrame({"start": [0.0, 5.0], "end": [2.5, 10.0], "genre": ["comedy", "other"], "score": [0.9, 0.8]})


def rows() -> list[dict[str, Any]]:
    videos = (("b.mp4", 20.0, SEGMENTS), ("a10.mp4", 75.0, SEGMENTS), ('a9 <b>"&.mp4', 10.0, SEGMENTS.tail(1)))
    return [
        video_row(source, quote(f"./of {source[0]}#{at}/viewer.html"), duration, segments, GENRES)
        for at, (source, duration, segments) in enumerate(videos)
    ]


def page_text() -> str:
    return index_html(rows(), GENRES, [("bad.mp4", "bad.mp4: <i>no</i> video")])


def test_everything_is_listed_and_escaped() -> None:
    text = page_text()
    data = json.loads(text.split('<script type="application/json" id="data">')[1].split("</script>")[0])
    assert [video["source"] for video in data["videos"]] == ["b.mp4", "a10.mp4", 'a9 <b>"&.mp4']
    assert [genre["name"] for genre in data["genres"]] == list(GENRES)
    first = data["videos"][0]
    assert first["spans"] == [[0, 0.0, 125.0], [5, 250.0, 250.0]]  # of a film of 20 s
    assert first["shares"] == [12.5, 0, 0, 0, 0, 25]
    assert data["videos"][1]["link"] == "./of%20a%231/viewer.html"
    assert data["videos"][1]["duration"] == "1:15"
    assert "<b>" not in text
    assert "bad.mp4: &lt;i&gt;no&lt;/i&gt; video" in text
    assert "No video has been tagged" in index_html([], GENRES, [])


@pytest.mark.slow
def test_colours_are_explained_where_the_table_is_wider_than_the_screen(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(page_text(), encoding="utf-8")
    for width in (390, 1280):
        tab = Tab(browser.new_page(viewport={"width": width, "height": 800}))
        page = tab.open(tmp_path / "index.html")
        shown = page.evaluate(
            "[...document.querySelectorAll('th .swatch, .legend .swatch')].map(one => one.getBoundingClientRect())"
            ".filter(box => box.width > 0 && box.right < innerWidth).length"
        )
        assert shown == len(GENRES)
        # Where the filters have a line of their own, they begin where the heading does.
        left, heading = (page.locator(one).bounding_box()["x"] for one in (".filters", "h1"))
        assert (left == heading) == (width == 390)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert (
            page.evaluate("[...document.body.children].map(one => one.tagName).join()") == "HEADER,MAIN,SCRIPT,SCRIPT"
        )
        tab.check()


def names(page: Any) -> list[str]:
    return list(page.locator("tbody tr:visible .name").all_inner_texts())


def kept(page: Any, step: Callable[[], object], expected: list[str]) -> None:
    """Repeat a step until a reload shows what it gave.

    The browser hands what a tab keeps to another process, and does not say when.
    """

    def once() -> bool:
        step()
        assert names(page) == expected
        page.wait_for_timeout(100)
        page.reload()
        return names(page) == expected

    wait_until(page, once, f"{expected} after a reload")


@pytest.mark.slow
def test_sorting_and_filtering(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(page_text(), encoding="utf-8")
    tab = Tab(browser.new_page())
    page = tab.open(tmp_path / "index.html")
    assert page.locator("tbody rect").count() == 5
    assert page.locator("tbody tr").last.locator(".share").first.inner_text() == "13%"
    assert page.locator("tbody a").nth(1).get_attribute("href") == "./of%20a%231/viewer.html"
    nine = 'a9 <b>"&.mp4'
    page.click("th:first-child button")
    assert names(page) == ["b.mp4", "a10.mp4", nine]
    page.click("th:first-child button")
    assert names(page) == [nine, "a10.mp4", "b.mp4"]  # numbers as numbers
    page.click("th:has-text('length') button")
    assert names(page) == ["a10.mp4", "b.mp4", nine]
    page.click("th:has-text('comedy') button")
    page.click("th:has-text('comedy') button")
    assert names(page) == [nine, "a10.mp4", "b.mp4"]
    # As when somebody comes back from a trailer's page.
    kept(page, lambda: page.select_option("#genre", "comedy"), ["a10.mp4", "b.mp4"])
    page.select_option("#genre", "")
    page.fill("#filter", "A1")
    assert names(page) == ["a10.mp4"]
    assert not page.is_visible("#pages")
    tab.check()


@pytest.mark.slow
def test_many_are_shown_a_page_at_a_time(browser: Any, tmp_path: Path) -> None:
    many = [rows()[0] | {"source": f"{number}.mp4", "link": f"./{number}/viewer.html"} for number in range(250)]
    (tmp_path / "index.html").write_text(index_html(many, GENRES, []), encoding="utf-8")
    tab = Tab(browser.new_page(viewport={"width": 390, "height": 800}))
    page = tab.open(tmp_path / "index.html")
    assert names(page) == [f"{number}.mp4" for number in range(100)]
    assert page.inner_text("#shown") == "1\N{EN DASH}100 of 250"
    assert page.is_disabled("#previous")
    page.click("#next")
    page.click("#next")
    assert names(page) == [f"{number}.mp4" for number in range(200, 250)]
    assert page.inner_text("#shown") == "201\N{EN DASH}250 of 250"
    assert page.is_disabled("#next")
    page.click("#previous")
    assert names(page)[0] == "100.mp4"
    page.click("th:first-child button")
    assert names(page)[0] == "249.mp4"
    page.fill("#filter", "24")
    assert names(page) == [f"{number}.mp4" for number in (*range(249, 239, -1), 224, 124, 24)]
    tab.check()


@pytest.mark.slow
def test_a_page_leads_to_its_neighbours_and_up(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(page_text(), encoding="utf-8")
    links = [row["link"] for row in rows()][::-1]  # by name
    for link in links:
        page_path = tmp_path / unquote(link)
        page_path.parent.mkdir()
        tags = example_tags(page_path.with_name("gone.webm"))
        page_path.write_text(viewer_html(tags, page_path.parent, index="../index.html", link=link), encoding="utf-8")
    page = Tab(browser.new_page()).open(tmp_path / unquote(links[0]))

    def at(link: str) -> None:
        page.wait_for_url(lambda url: url.endswith(link.removeprefix(".")), wait_until="load")

    page.click("text=next")
    at(links[1])
    page.click("text=next")
    at(links[2])
    page.click("text=next")  # there is none: the table
    at("./index.html")
    wait(page, "document.querySelector('tr.came') !== null")
    assert page.inner_text("tr.came .name") == "b.mp4"

    def by_comedy() -> None:
        page.select_option("#genre", "comedy")
        while names(page) != ["b.mp4", "a10.mp4"]:  # pressed again, it turns round
            page.click("th:has-text('comedy') button")

    kept(page, by_comedy, ["b.mp4", "a10.mp4"])
    page.click("tbody a >> nth=1")
    at(links[1])
    page.click("text=previous")  # in the order of the table
    at(links[2])
    page.click("text=all videos")
    at("./index.html")
    assert names(page) == ["b.mp4", "a10.mp4"]


def reload_until(index: Any, done: str) -> None:
    """Reload an index, as somebody does who misses something in it, until it says what is done.

    Chromium hands what a page keeps to the processes of other pages without saying when; where the machine is busy,
    some show it only after a reload, and a page that is left at once may keep nothing.
    """

    def says() -> bool:
        index.reload()
        return bool(index.inner_text("#done") == done)

    wait_until(index, says, done)


@pytest.mark.slow
def test_label_pages_get_an_index_that_says_what_is_done(browser: Any, tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    videos = [write_webm(tmp_path / name, seconds=2) for name in ("a b.webm", "index.webm", "c.webm")]
    assert cli.run(["label", *map(str, videos[:2]), "--out", str(pages)]) == 0
    assert cli.run(["label", str(videos[2]), "--out", str(pages), "--genres", "drama,comedy"]) == 0
    assert sorted(path.name for path in pages.iterdir()) == ["_index.html", "a b.html", "c.html", "index.html"]
    context = browser.new_context()
    page = Tab(context.new_page()).open(pages / "index.html")
    assert names(page) == ["c.webm", "a b.webm", "index.webm"]
    assert page.inner_text("#done") == "0 saved, 0 begun."
    wait(page, "[...document.querySelectorAll('tbody img')].every(image => image.naturalWidth === 160)")
    page.click("text=a b.webm")
    page.wait_for_url("**/a%20b.html", wait_until="load")
    wait(page, "document.querySelector('#video').readyState >= 2")
    page.keyboard.press("2")
    page.keyboard.press("ArrowRight")
    wait(page, "!document.querySelector('#video').seeking")
    page.keyboard.press("2")
    beside = Tab(context.new_page()).open(pages / "index.html")
    reload_until(beside, "0 saved, 1 begun.")
    page.click("text=all videos")
    page.wait_for_url("**/index.html", wait_until="load")
    reload_until(page, "0 saved, 1 begun.")
    assert page.locator("tbody rect").count() == 1
    page.click("text=a b.webm")
    page.wait_for_url("**/a%20b.html", wait_until="load")
    wait(page, "document.querySelector('#video').readyState >= 2")
    page.keyboard.press("c")
    with page.expect_download() as download:
        page.keyboard.press("Control+s")
    download.value.save_as(pages / download.value.suggested_filename)
    reload_until(beside, "1 saved, 0 begun.")
    page.click("text=next")
    page.wait_for_url("**/_index.html", wait_until="load")
    page.click("text=all videos")
    page.wait_for_url("**/index.html", wait_until="load")
    reload_until(page, "1 saved, 0 begun.")
    assert "saved, checked" in page.locator("tbody tr", has_text="a b.webm").inner_text()
    beside.goto((pages / "c.html").as_uri())  # what is marked in another tab is seen without a reload
    wait(beside, "document.querySelector('#video').readyState >= 2")
    beside.keyboard.press("c")
    wait(page, "document.querySelector('#done').textContent === '1 saved, 1 begun.'")
    assert "begun" in page.locator("tbody tr", has_text="c.webm").inner_text()
    other = Tab(browser.new_context().new_page())  # a browser that knows nothing
    assert cli.run(["label", str(videos[2]), "--out", str(pages)]) == 0
    page = other.open(pages / "index.html")
    assert page.inner_text("#done") == "1 saved, 0 begun."
    page.select_option("#genre", "action")
    assert names(page) == ["a b.webm"]


def test_a_damaged_index_of_label_pages_begins_anew(tmp_path: Path) -> None:
    video = write_webm(tmp_path / "a.webm", seconds=1)
    for content in ("x", '<script type="application/json" id="data">{"pages": [{"page": "a.html"}]}</script>'):
        (tmp_path / "a.html").touch()
        (tmp_path / "index.html").write_text(content)
        with logged() as notes:
            assert cli.run(["label", str(video), "--out", str(tmp_path)]) == 0
        assert any("it begins anew" in note for note in notes)
        assert "a.webm" in (tmp_path / "index.html").read_text()


def test_the_last_file_that_a_page_saved_counts_for_its_own_video(tmp_path: Path) -> None:
    videos, out = tmp_path / "videos", tmp_path / "pages"
    for name in ("a/x.webm", "b/x.webm"):
        (videos / name).parent.mkdir(parents=True)
        write_webm(videos / name, seconds=1)
    label = ["label", str(videos), "--out", str(out)]
    assert cli.run(label) == 0
    for time, genre in (("20261130T181500", "action"), ("20261130T181459", "comedy")):
        rows = f"trailer,start,end,genre\na/x.webm,0.1,0.5,{genre}\n"
        (out / f"x.{time}.labels.csv").write_text(rows)
    (out / "x.y.labels.csv").write_text("trailer,start,end,genre\na/x.webm,0.1,0.9,other\n")  # of another video
    assert cli.run(label) == 0
    text = (out / "index.html").read_text()
    data = json.loads(text.split('<script type="application/json" id="data">')[1].split("</script>")[0])
    shown = {video["source"]: video for video in data["videos"]}
    assert [shown[name]["saved"] for name in ("a/x.webm", "b/x.webm")] == [True, False]
    assert shown["a/x.webm"]["spans"] == [[GENRES.index("action"), 100.0, 400.0]]


def test_files_of_names_that_browsers_change_are_known(tmp_path: Path) -> None:
    video = write_webm(tmp_path / "Alien: Covenant?.webm", seconds=1)
    label = ["label", str(video), "--out", str(tmp_path / "pages")]
    assert cli.run(label) == 0
    rows = f"trailer,start,end,genre\n{video.name},0.1,0.5,action\n"
    (tmp_path / "pages" / "Alien_ Covenant_.20261130T181500.labels.csv").write_text(rows)
    assert cli.run(label) == 0
    text = (tmp_path / "pages" / "index.html").read_text()
    data = json.loads(text.split('<script type="application/json" id="data">')[1].split("</script>")[0])
    assert [video["saved"] for video in data["videos"]] == [True]


@pytest.mark.slow
def test_shares_of_label_pages_are_of_the_time_that_has_pictures(browser: Any, tmp_path: Path) -> None:
    video, out = write_late_pictures(tmp_path / "late.webm", 1.0, count=50), tmp_path / "pages"
    label = ["label", str(video), "--out", str(out)]
    assert cli.run(label) == 0
    at = GENRES.index("action")
    for rows in ("late.webm,1.0,2.0,action", "late.webm,,,action"):
        (out / "late.labels.csv").write_text(f"trailer,start,end,genre\n{rows}\n")
        assert cli.run(label) == 0
        text = (out / "index.html").read_text()
        data = json.loads(text.split('<script type="application/json" id="data">')[1].split("</script>")[0])
        (shown,) = data["videos"]
        weak = ",," in rows
        assert shown["shares"][at] == pytest.approx(100 if weak else 50, abs=0.5)
        assert shown["spans"][0][1:] == pytest.approx([1000 / 3, 2000 / 3 if weak else 1000 / 3], abs=3)
    # What the browser keeps of the page counts in the same way.
    half = {"spans": [{"genre": "action", "start": 1.0, "end": 2.0}], "whole": ""}
    for kept in (half, {"spans": [], "whole": "action"}):
        page = Tab(browser.new_context().new_page()).open(out / "index.html")
        page.evaluate("([name, text]) => localStorage.setItem(name, text)", [shown["kept"], json.dumps(kept)])
        page.reload()
        assert page.inner_text("#done") == "0 saved, 1 begun."
        found = page.locator("tbody tr .share").nth(at).inner_text()
        assert found == ("100%" if kept["whole"] else "50%")
        left = float(page.locator("tbody rect").get_attribute("x"))
        assert left == pytest.approx(1000 / 3, abs=3)


def test_an_index_of_label_pages_that_does_not_say_when_pictures_begin_stays(tmp_path: Path) -> None:
    videos = [write_webm(tmp_path / name, seconds=1) for name in ("a.webm", "b.webm")]
    out = tmp_path / "pages"
    assert cli.run(["label", str(videos[0]), "--out", str(out)]) == 0
    text = (out / "index.html").read_text()
    (out / "index.html").write_text(text.replace('"start": 0.0, ', ""))  # as an earlier version wrote it
    assert cli.run(["label", str(videos[1]), "--out", str(out)]) == 0
    text = (out / "index.html").read_text()
    assert "a.webm" in text
    assert "b.webm" in text
