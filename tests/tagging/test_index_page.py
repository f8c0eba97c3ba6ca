"""The index page: what it lists, and its sorting and filtering in a real Chromium."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from genre_classifier.genres import GENRES
from genre_classifier.tagging.summary import index_html
from tests.support.browser import Tab, chromium

SEGMENTS = pd.DataFrame({"start": [0.0, 5.0], "end": [2.5, 10.0], "genre": ["comedy", "other"], "score": [0.9, 0.8]})


def summary() -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for source, duration, comedy in (("b.mp4", 20.0, 0.125), ("a10.mp4", 75.0, 0.5), ('a9 <b>"&.mp4', 10.0, 0.0)):
        row = {"source": source, "folder": f"of {source[0]}#{len(rows)}", "status": "ok", "error": ""}
        row |= {"duration": duration, "frames": 10, "segments": 2}
        rows.append(row | {f"{genre}_share": 0.0 for genre in GENRES} | {"comedy_share": comedy})
    rows.append({"source": "bad.mp4", "folder": "", "status": "failed", "error": "bad.mp4: <i>no</i> video"})
    return pd.DataFrame(rows).astype({"frames": "Int64", "segments": "Int64"})


def page_text() -> str:
    table = summary()
    folders = table.loc[table["status"] == "ok", "folder"]
    return index_html(table, {folder: SEGMENTS for folder in folders})


def test_everything_is_listed_and_escaped() -> None:
    text = page_text()
    data = json.loads(text.split('<script type="application/json" id="data">')[1].split("</script>")[0])
    assert [video["source"] for video in data["videos"]] == ["b.mp4", "a10.mp4", 'a9 <b>"&.mp4']
    assert [genre["name"] for genre in data["genres"]] == list(GENRES)
    first = data["videos"][0]
    assert first["spans"] == [[0, 0.0, 125.0], [5, 250.0, 250.0]]  # of a film of 20 s
    assert first["shares"] == [12.5, 0, 0, 0, 0, 0]
    assert data["videos"][1]["link"] == "./of%20a%231/viewer.html"
    assert data["videos"][1]["duration"] == "1:15"
    assert "<b>" not in text
    assert "bad.mp4: &lt;i&gt;no&lt;/i&gt; video" in text
    empty = summary().iloc[:0]
    assert "No video has been tagged" in index_html(empty, {})


@pytest.mark.slow
def test_colours_are_explained_where_the_table_is_wider_than_the_screen(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(page_text(), encoding="utf-8")
    with chromium() as browser:
        for width in (390, 1280):
            tab = Tab(browser.new_page(viewport={"width": width, "height": 800}))
            page = tab.open(tmp_path / "index.html")
            shown = page.evaluate(
                "[...document.querySelectorAll('th .swatch, .legend .swatch')].map(one => one.getBoundingClientRect())"
                ".filter(box => box.width > 0 && box.right < innerWidth).length"
            )
            assert shown == len(GENRES)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert (
                page.evaluate("[...document.body.children].map(one => one.tagName).join()")
                == "HEADER,MAIN,SCRIPT,SCRIPT"
            )
            tab.check()


def names(page: Any) -> list[str]:
    return list(page.locator("tbody tr:visible .name").all_inner_texts())


@pytest.mark.slow
def test_sorting_and_filtering(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(page_text(), encoding="utf-8")
    with chromium() as browser:
        tab = Tab(browser.new_page())
        page = tab.open(tmp_path / "index.html")
        assert page.locator("tbody rect").count() == 6
        assert page.locator("tbody tr").first.locator(".share").first.inner_text() == "13%"
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
        assert names(page) == [nine, "b.mp4", "a10.mp4"]
        page.fill("#filter", "A1")
        assert names(page) == ["a10.mp4"]
        assert not page.is_visible("#pages")
    tab.check()


@pytest.mark.slow
def test_many_are_shown_a_page_at_a_time(tmp_path: Path) -> None:
    rows = pd.concat([summary().iloc[:1]] * 250, ignore_index=True)
    rows["source"] = [f"{number}.mp4" for number in range(250)]
    (tmp_path / "index.html").write_text(index_html(rows, {rows["folder"][0]: SEGMENTS}), encoding="utf-8")
    with chromium() as browser:
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
