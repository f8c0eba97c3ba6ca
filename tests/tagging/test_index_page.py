"""The index page: what it lists, and its sorting and filtering in a real Chromium."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from genre_classifier.genres import GENRES
from genre_classifier.tagging.index_page import index_html
from tests.browser import Tab, chromium

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
    assert 'href="./of%20a%231/viewer.html"' in text
    assert "a9 &lt;b&gt;&#34;&amp;.mp4" in text
    assert "<b>" not in text
    assert "bad.mp4: &lt;i&gt;no&lt;/i&gt; video" in text
    assert text.count("<rect") == 6
    assert 'x="250.0" y="51" width="250.0"' in text  # the second segment of the 20 s film
    assert "1:15" in text
    assert "12%" in text
    empty = summary().iloc[:0]
    assert "No video has been tagged" in index_html(empty, {})


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
            assert page.evaluate("[...document.body.children].map(one => one.tagName).join()") == "HEADER,MAIN,SCRIPT"
            tab.check()


def test_sorting_and_filtering(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(page_text(), encoding="utf-8")
    with chromium() as browser:
        tab = Tab(browser.new_page())
        page = tab.open(tmp_path / "index.html")

        def names() -> list[str]:
            return [row.split()[0] for row in page.locator("tbody tr:visible .name").all_inner_texts()]

        page.click("th:first-child button")
        assert names() == ["b.mp4", "a10.mp4", "a9"]
        page.click("th:first-child button")
        assert names() == ["a9", "a10.mp4", "b.mp4"]  # numbers as numbers
        page.click("th:has-text('length') button")
        assert names() == ["a10.mp4", "b.mp4", "a9"]
        page.click("th:has-text('comedy') button")
        page.click("th:has-text('comedy') button")
        assert names() == ["a9", "b.mp4", "a10.mp4"]
        page.fill("#filter", "A1")
        assert names() == ["a10.mp4"]
    tab.check()
