"""The pages in a real Chromium, opened from the disk: they play, seek, redraw, and ask for nothing else."""

from __future__ import annotations

import dataclasses
import http.server
import os
import shutil
import threading
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from genre_classifier.config import SegmentConfig
from genre_classifier.genres import GENRES
from genre_classifier.tagging.scores import scores_table
from genre_classifier.tagging.segments import frame_borders, to_segments, webvtt
from genre_classifier.tagging.tags import Tags, Thumbnail, clock, poster
from genre_classifier.tagging.viewer import relative_url, viewer_html
from tests.support.browser import Tab, opened, wait, wait_until
from tests.support.tag_examples import SECONDS, example_tags, write_webm

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Tags]:
    folder = tmp_path_factory.mktemp("viewer")
    tags = example_tags(write_webm(folder / "film.webm"))
    page = folder / "tags" / "viewer.html"
    page.parent.mkdir()
    page.write_text(viewer_html(tags, page.parent), encoding="utf-8")
    return page, tags


def now(page: Any) -> float:
    return page.evaluate("document.querySelector('#video').currentTime")


def cursor_seconds(page: Any) -> float:
    """Read where the cursor stands on the screen, as a time."""
    box = page.locator("#over").bounding_box()
    line = page.locator("#cursor").bounding_box()
    return (line["x"] + line["width"] / 2 - box["x"]) / box["width"] * SECONDS


def shown_segments(page: Any) -> list[tuple[str, float, float]]:
    """Read the segments from where they are drawn."""
    drawn = page.evaluate(
        """() => [...document.querySelectorAll('.segment')].map((node) =>
           [node.closest('.lane').dataset.genre, parseFloat(node.style.left), parseFloat(node.style.width)])"""
    )
    return [(genre, left * SECONDS / 100, width * SECONDS / 100) for genre, left, width in drawn]


def expected_segments(tags: Tags, thresholds: dict[str, float]) -> list[tuple[str, float, float]]:
    table = to_segments(tags.scores, thresholds, tags.segment_config, duration=tags.duration)
    rows = [(row["genre"], row["start"], row["end"] - row["start"]) for row in table.to_dict("records")]
    return sorted(rows, key=lambda row: (GENRES.index(row[0]), row[1]))


def assert_same_segments(found: list[tuple[str, float, float]], expected: list[tuple[str, float, float]]) -> None:
    assert [row[0] for row in found] == [row[0] for row in expected]
    np.testing.assert_allclose([row[1:] for row in found], [row[1:] for row in expected], atol=2e-3)


def test_the_cursor_follows_playback(tab: Tab, tagged: tuple[Path, Tags]) -> None:
    page = opened(tab, tagged[0])
    assert cursor_seconds(page) == pytest.approx(0, abs=0.05)
    page.click("#play")
    wait(page, "document.querySelector('#video').currentTime > 0.6")
    wait_until(page, lambda: cursor_seconds(page) > 0.4)
    page.keyboard.press("k")
    assert page.evaluate("document.querySelector('#video').paused")
    stopped = now(page)
    wait_until(page, lambda: cursor_seconds(page) == pytest.approx(stopped, abs=0.05))
    assert set(tab.requests) == {tagged[0].as_uri(), (tagged[0].parents[1] / "film.webm").as_uri()}


def test_a_click_on_a_curve_seeks(tab: Tab, tagged: tuple[Path, Tags]) -> None:
    page = opened(tab, tagged[0])
    box = page.locator(".lane[data-genre=terror] canvas").bounding_box()
    for share in (0.75, 0.25):
        page.mouse.click(box["x"] + share * box["width"], box["y"] + 10)
        wait(page, "!document.querySelector('#video').seeking")
        assert now(page) == pytest.approx(share * SECONDS, abs=0.02)
        assert cursor_seconds(page) == pytest.approx(share * SECONDS, abs=0.02)
        # The picture on the screen is the one of that moment: its grey rises with time.
        picture = cv2.imdecode(np.frombuffer(page.locator("#video").screenshot(), np.uint8), cv2.IMREAD_COLOR)
        assert picture[picture.shape[0] // 2, picture.shape[1] // 2] == pytest.approx(20 + 200 * share, abs=12)
    assert page.evaluate("document.querySelector('#video').paused")


def test_dragging_scrubs_and_a_link_names_a_moment(tab: Tab, tagged: tuple[Path, Tags]) -> None:
    page = opened(tab, tagged[0], "#t=2.5")
    wait(page, "document.querySelector('#video').currentTime == 2.5")
    box = page.locator("#strip").bounding_box()
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 10, steps=4)
    page.mouse.up()
    assert now(page) == pytest.approx(SECONDS / 2, abs=0.02)
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 10)
    assert now(page) == pytest.approx(SECONDS / 2, abs=0.02)
    assert page.locator("#bubble").inner_text().strip() in ("0:05.3", "0:05.4")


def test_a_click_on_a_segment_plays_it_to_its_end(tab: Tab, tagged: tuple[Path, Tags]) -> None:
    page = opened(tab, tagged[0])
    page.select_option("#speed", "2")
    rows = tagged[1].segments
    shortest = rows.loc[(rows["end"] - rows["start"]).idxmin()]
    order = rows[rows["genre"] == shortest["genre"]]["start"].tolist().index(shortest["start"])
    page.evaluate("document.querySelector('#video').addEventListener('seeking', (e) => sought = e.target.currentTime)")
    page.locator(f".lane[data-genre={shortest['genre']}] .segment").nth(order).click()
    wait(page, "typeof sought == 'number'")
    assert shortest["start"] - 0.01 <= page.evaluate("sought") < shortest["end"]
    wait(page, "document.querySelector('#video').paused")
    assert now(page) == pytest.approx(shortest["end"], abs=0.35)
    page.locator("#segments tr").first.click()
    assert page.locator("#segments tr.playing").count() == 1


def test_the_threshold_sliders_redraw_the_segments(tab: Tab, tagged: tuple[Path, Tags]) -> None:
    path, tags = tagged
    page = opened(tab, path)
    assert_same_segments(shown_segments(page), expected_segments(tags, dict(tags.thresholds)))
    page.locator("#shift").fill("0.2")
    raised = {genre: threshold + 0.2 for genre, threshold in tags.thresholds.items()}
    assert_same_segments(shown_segments(page), expected_segments(tags, raised))
    page.locator("#meters input").nth(GENRES.index("musical")).fill("0.3")
    assert_same_segments(shown_segments(page), expected_segments(tags, raised | {"musical": 0.3}))
    shares = page.locator(".share").all_inner_texts()
    found = dataclasses.replace(
        tags, segments=to_segments(tags.scores, raised | {"musical": 0.3}, tags.segment_config, duration=tags.duration)
    )
    assert shares == [f"{round(100 * share)}%" for share in found.shares().values()]
    page.click("#reset")
    assert_same_segments(shown_segments(page), expected_segments(tags, dict(tags.thresholds)))


@pytest.mark.parametrize("start", [0.0, 1.5])
def test_genres_that_exclude_each_other_have_the_segments_of_python_and_no_thresholds(
    tab: Tab, tagged: tuple[Path, Tags], tmp_path: Path, start: float
) -> None:
    tags = example_tags(tagged[0].parents[1] / "film.webm", exclusive=True, start=start)
    path = tmp_path / "viewer.html"
    path.write_text(viewer_html(tags, tmp_path), encoding="utf-8")
    page = opened(tab, path)
    rows = [(row["genre"], row["start"], row["end"] - row["start"]) for row in tags.segments.to_dict("records")]
    assert len(rows) > 5
    assert_same_segments(shown_segments(page), sorted(rows, key=lambda row: (GENRES.index(row[0]), row[1])))
    assert page.locator("#shift").is_hidden()
    assert page.locator("#meters input").count() == 0
    assert "exclude each other" in page.locator(".panel").inner_text()
    assert "threshold" not in page.locator("footer").inner_text()
    assert page.locator("#keep").is_hidden()
    page.keyboard.press("ArrowUp")
    assert page.locator("#segments tr").count() == len(rows)
    shown = [int(text.removesuffix("%")) for text in page.locator(".share").all_inner_texts()]
    np.testing.assert_allclose(shown, [100 * share for share in tags.shares().values()], atol=0.51)
    # Exactly one genre at any moment.
    for time in np.linspace(start + 0.05, SECONDS - 0.1, 7):
        page.evaluate("(time) => page.seek(time)", float(time))
        now_on = [genre for genre, start, length in rows if start <= time < start + length]
        wait(page, f"document.querySelector('#running').dataset.names === {now_on[0]!r}")
    if start:  # before the first picture there is none
        page.evaluate("(time) => page.seek(time)", start / 2)
        wait(page, "!document.querySelector('#running').dataset.names")
    page.keyboard.press("e")
    assert page.locator("#segments tr").count() == len(rows)


def test_the_loudness_of_the_sound_stands_below_the_pictures_where_it_was_heard(
    tab: Tab, tagged: tuple[Path, Tags], tmp_path: Path
) -> None:
    assert opened(tab, tagged[0]).locator("#wave").is_hidden()
    peaks = np.zeros(round(10 * SECONDS))
    peaks[len(peaks) // 2 :] = 1.0  # silent, then loud
    path = tmp_path / "viewer.html"
    path.write_text(viewer_html(dataclasses.replace(tagged[1], peaks=tuple(peaks)), tmp_path), encoding="utf-8")
    page = opened(tab, path)
    high = page.evaluate(
        """() => { const wave = document.querySelector('#wave'), { width, height } = wave;
           const drawn = wave.getContext('2d').getImageData(0, 0, width, height).data;
           const there = (x, y) => drawn[4 * (y * width + x) + 3] > 0;
           return [0.25, 0.75].map((share) =>
             [...Array(height).keys()].filter((y) => there(Math.round(width * share), y)).length / height); }"""
    )
    assert high[0] < 0.2
    assert high[1] > 0.9
    above, below = (page.locator(name).bounding_box() for name in ("#strip", ".lane >> nth=0"))
    wave = page.locator("#wave").bounding_box()
    assert above["y"] + above["height"] <= wave["y"] + 1
    assert wave["y"] + wave["height"] <= below["y"] + 1


def test_the_page_cuts_segments_as_python_does(tab: Tab, tagged: tuple[Path, Tags]) -> None:
    page = opened(tab, tagged[0])
    random = np.random.default_rng(7)
    for _ in range(60):
        count = int(random.integers(1, 60))
        times = np.cumsum(random.choice([0.1, 0.1, 0.1, 0.04, 0.8], count))
        values = np.round(random.random(count) ** random.choice([0.3, 1, 3]), 3)
        rules = SegmentConfig(*np.round([random.random(), 0.2 + 0.8 * random.random(), *random.random(2)], 2).tolist())
        threshold = round(float(random.uniform(0.05, 1)), 2)
        table = scores_table(times, np.repeat(values[:, None], len(GENRES), axis=1))
        expected = to_segments(table, dict.fromkeys(GENRES, threshold), rules)
        found = page.evaluate(
            """([scores, times, borders, threshold, rules]) => {
                const reach = smoothingReach(times, rules.smooth_seconds);
                return toSegments(scores, medianFilter(scores, reach), borders, threshold, reach, rules); }""",
            [table["comedy"].tolist(), times.tolist(), frame_borders(times).tolist(), threshold, rules.to_dict()],
        )
        mine = expected[expected["genre"] == "comedy"]
        assert [one["start"] for one in found] == mine["start"].tolist()
        assert [one["end"] for one in found] == mine["end"].tolist()
        np.testing.assert_allclose([one["score"] for one in found], mine["score"], atol=1e-9)


def test_keys_and_toggles(tab: Tab, tagged: tuple[Path, Tags]) -> None:
    path, tags = tagged
    page = opened(tab, path)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    assert now(page) == pytest.approx(6, abs=0.02)
    page.keyboard.press("Home")
    page.keyboard.press("n")
    later = sorted(start for start in tags.segments["start"] if start > 0.05)
    assert now(page) == pytest.approx(later[0], abs=0.01)
    page.keyboard.press(".")
    following = tags.scores.index[tags.scores.index > later[0] + 1e-6][0]
    assert now(page) == pytest.approx(following, abs=0.06)

    total = page.locator("#segments tr").count()
    mine = int((tags.segments["genre"] == "action").sum())
    page.keyboard.press("2")
    assert page.locator("#segments tr").count() == total - mine
    assert page.locator(".lane[data-genre=action] canvas").is_hidden()
    assert page.locator(".meter .toggle").nth(1).get_attribute("aria-pressed") == "false"
    page.locator(".label .toggle").nth(1).click()
    assert page.locator("#segments tr").count() == total
    page.keyboard.press("ArrowUp")
    assert page.locator("#shifted").inner_text() == "+0.01"
    page.locator(".label .toggle").first.focus()
    page.keyboard.press(" ")  # the focused button's own key
    assert page.evaluate("document.querySelector('#video').paused")
    assert page.locator("#segments tr").count() < total


@pytest.mark.parametrize("kind", ["not a video", "gone", "gone, and its name is no UTF-8"])
def test_without_a_playable_video_the_pictures_and_curves_stay(tab: Tab, tmp_path: Path, kind: str) -> None:
    odd = kind.endswith("UTF-8")
    video = tmp_path / os.fsdecode(b"f%ilm \xff\xc3\xa9.avi" if odd else b"film.avi")
    if kind == "not a video":
        video.write_bytes(b"RIFF\0\0\0\0AVI nothing that a browser plays")
    tags = example_tags(video)
    (tmp_path / "viewer.html").write_text(viewer_html(tags, tmp_path), encoding="utf-8")
    page = opened(tab, tmp_path / "viewer.html", "#t=3")
    tab.complaints[:] = [text for text in tab.complaints if "ERR_FILE_NOT_FOUND" not in text]  # the browser's own note
    notice = page.locator("#notice").inner_text()
    assert "cannot show the video" in notice
    assert ("f%ilm %FF%C3%A9.avi" if odd else "film.avi") in notice
    assert page.locator("#still").is_visible()
    wait(page, "document.querySelector('#still').naturalWidth === 256")
    assert cursor_seconds(page) == pytest.approx(3, abs=0.02)
    assert page.locator(".segment").count() == len(tags.segments)
    before = page.evaluate("document.querySelector('#still').src")
    page.keyboard.press(" ")
    wait_until(page, lambda: cursor_seconds(page) > 3.3)
    page.keyboard.press(" ")
    page.keyboard.press("Home")
    assert cursor_seconds(page) == pytest.approx(0, abs=0.02)
    assert page.evaluate("document.querySelector('#still').src") != before


@pytest.mark.parametrize(
    "name",
    [
        """<img src=x onerror=alert(1)>"'&amp;.webm""",
        "</script><script>alert(1)</script>.webm".replace("/", "\N{FRACTION SLASH}"),
        "#50% of? it + a:b.webm",
        "\N{CYRILLIC SMALL LETTER ZHE}\N{CLAPPER BOARD}.webm",
        "{{ 7 * 7 }} ${x}.webm",
    ],
)
def test_names_are_shown_as_they_are_and_play(tab: Tab, tmp_path: Path, name: str) -> None:
    write_webm(tmp_path / name, seconds=1)
    folder = tmp_path / "tags"
    folder.mkdir()
    (folder / "viewer.html").write_text(viewer_html(example_tags(tmp_path / name), folder), encoding="utf-8")
    page = opened(tab, folder / "viewer.html")
    assert page.locator("h1").inner_text() == name
    assert page.title() == name
    assert page.evaluate("document.querySelector('#video').videoWidth") == 160
    assert page.locator("#notice").is_hidden()


def test_a_name_that_is_no_utf8(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.webm")
    tags = example_tags(tmp_path / name)
    assert tags.name == "caf\N{REPLACEMENT CHARACTER}.webm"
    assert relative_url(tmp_path / name, tmp_path) == "./caf%E9.webm"
    viewer_html(tags, tmp_path).encode("utf-8")


def test_an_embedded_copy_needs_no_other_file(tab: Tab, tmp_path: Path) -> None:
    copy = write_webm(tmp_path / "copy.webm", seconds=2).read_bytes()
    page_path = tmp_path / "alone" / "viewer.html"
    page_path.parent.mkdir()
    html = viewer_html(example_tags(tmp_path / "gone.mkv"), page_path.parent, embedded=copy)
    page_path.write_text(html, encoding="utf-8")
    page = opened(tab, page_path, "#t=1")
    wait(page, "document.querySelector('#video').currentTime == 1")
    assert {url for url in tab.requests if not url.startswith("data:")} == {page_path.as_uri()}
    page.keyboard.press(" ")
    wait(page, "document.querySelector('#video').currentTime > 1.3")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(browser: Any, tagged: tuple[Path, Tags], scheme: str) -> None:
    context = browser.new_context(
        viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True, color_scheme=scheme
    )
    tab = Tab(context.new_page())
    page = opened(tab, tagged[0])
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    box = page.locator(".lane[data-genre=comedy] canvas").bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert now(page) == pytest.approx(SECONDS / 2, abs=0.05)
    ink, paper = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    brightness = [sum(int(part) for part in text[4:-1].split(",")) for text in (ink, paper)]
    assert (brightness[0] > brightness[1]) == (scheme == "dark")
    context.close()
    tab.check()


def test_a_track_shows_the_subtitles(browser: Any, tagged: tuple[Path, Tags], tmp_path: Path) -> None:
    """`segments.vtt` through a browser's own parser; tracks load over HTTP only."""
    path, tags = tagged
    shutil.copy(path.parents[1] / "film.webm", tmp_path / "film.webm")
    (tmp_path / "segments.vtt").write_text(webvtt(tags.segments), encoding="utf-8")
    (tmp_path / "page.html").write_text('<video id="video" src="film.webm"><track default src="segments.vtt"></video>')

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{server.server_port}/page.html")
    wait(page, "document.querySelector('track').readyState >= 2")
    cues = page.evaluate(
        """() => [...document.querySelector('track').track.cues].map(
           (cue) => [cue.startTime, cue.endTime, cue.text.split(' ')[0]])"""
    )
    context.close()
    server.shutdown()
    server.server_close()
    expected = tags.segments[["start", "end", "genre"]].to_numpy().tolist()
    assert [cue[2] for cue in cues] == [row[2] for row in expected]
    np.testing.assert_allclose([cue[:2] for cue in cues], [row[:2] for row in expected], atol=6e-4)


def test_no_segments_and_no_thumbnails(tab: Tab, tagged: tuple[Path, Tags]) -> None:
    path, tags = tagged
    bare = dataclasses.replace(tags, thumbnails=(), thresholds=dict.fromkeys(GENRES, 1.0))
    other = path.with_name("bare.html")
    other.write_text(viewer_html(bare, path.parent), encoding="utf-8")
    page = opened(tab, other)
    assert page.locator(".segment").count() == 0
    assert "none" in page.locator("#count").inner_text()
    assert page.locator("#strip").is_hidden()


def test_the_keys_shown_are_those_of_the_mode(tab: Tab, tagged: tuple[Path, Tags]) -> None:
    page = opened(tab, tagged[0])
    assert "thresholds" in page.inner_text("footer")
    assert "undo" not in page.inner_text("footer")
    page.keyboard.press("e")
    assert "thresholds" not in page.inner_text("footer")
    assert "undo" in page.inner_text("footer")


def test_clocks_and_durations_round_alike(tab: Tab, tmp_path: Path) -> None:
    tags = example_tags(tmp_path / "gone.webm", seconds=59.96)
    path = tmp_path / "viewer.html"
    path.write_text(viewer_html(tags, tmp_path), encoding="utf-8")
    page = opened(tab, path, "#t=59.96")
    tab.complaints.clear()  # that the video is not there
    assert page.inner_text(".time") == f"{clock(59.96, decimals=1)} / {clock(59.96, decimals=1)}" == "1:00.0 / 1:00.0"
    rows = page.evaluate(
        "[...document.querySelectorAll('#segments tr')].map((row) => [...row.cells].map((cell) => cell.textContent))"
    )
    for row, (_, start, end) in zip(
        rows, sorted(expected_segments(tags, dict(tags.thresholds)), key=lambda one: one[1]), strict=True
    ):
        assert row[3] == f"{end:.1f}"
        assert row[1] == clock(start, decimals=1)


def test_all_rows_of_the_table_are_printed(tab: Tab, tmp_path: Path) -> None:
    tags = example_tags(tmp_path / "gone.webm", seconds=600, frames=6000)
    waves = np.where(np.arange(6000) % 100 < 50, 0.9, 0.1)
    tags = dataclasses.replace(tags, scores=tags.scores.assign(comedy=waves))
    path = tmp_path / "viewer.html"
    path.write_text(viewer_html(tags, tmp_path), encoding="utf-8")
    page = opened(tab, path)
    tab.complaints.clear()  # that the video is not there
    page.emulate_media(media="print")
    assert page.locator("#segments tr").count() > 60
    last, table = page.locator("#segments tr").last.bounding_box(), page.locator(".list").bounding_box()
    assert last["y"] + last["height"] <= table["y"] + table["height"]
    assert page.evaluate("getComputedStyle(document.querySelector('#segments tr')).contentVisibility") == "visible"
    assert page.locator("footer").is_hidden()


def test_the_picture_of_a_moment_covers_no_button(tab: Tab, tagged: tuple[Path, Tags]) -> None:
    page = opened(tab, tagged[0])
    page.keyboard.press("e")
    strip = page.locator("#strip").bounding_box()
    buttons = [
        one
        for one in page.locator("button:visible, select:visible").all()
        if not one.evaluate("(node) => node.matches('.segment')")
    ]
    for share in (0.01, 0.5, 0.99):
        page.mouse.move(strip["x"] + share * strip["width"], strip["y"] + strip["height"] + 60)
        bubble = page.locator("#bubble").bounding_box()
        assert bubble["height"] > 60
        for one in buttons:
            box = one.bounding_box()
            apart = (
                bubble["y"] >= box["y"] + box["height"]
                or box["y"] >= bubble["y"] + bubble["height"]
                or bubble["x"] >= box["x"] + box["width"]
                or box["x"] >= bubble["x"] + bubble["width"]
            )
            assert apart, one.inner_text()


def test_before_it_plays_a_picture_of_the_trailer_is_shown(tab: Tab, tmp_path: Path) -> None:
    tags = example_tags(tmp_path / "film.webm")
    write_webm(tags.video)
    varied = np.random.default_rng(1).integers(0, 255, (144, 256, 3), dtype=np.uint8)
    black = tuple(Thumbnail(one.time, np.zeros_like(one.picture)) for one in tags.thumbnails)
    tags = dataclasses.replace(tags, thumbnails=(*black[:5], Thumbnail(1.0, varied), *black[6:]))
    path = tmp_path / "viewer.html"
    path.write_text(viewer_html(tags, tmp_path), encoding="utf-8")
    page = opened(tab, path)
    assert np.array_equal(poster(tags.thumbnails).picture, varied)
    shot = cv2.imdecode(np.frombuffer(page.locator("#video").screenshot(), np.uint8), cv2.IMREAD_COLOR)
    assert shot[shot.shape[0] // 2, shot.shape[1] // 3 : -shot.shape[1] // 3].std() > 20
    page.keyboard.press("ArrowRight")
    wait(page, "!document.querySelector('#video').seeking")
    shot = cv2.imdecode(np.frombuffer(page.locator("#video").screenshot(), np.uint8), cv2.IMREAD_COLOR)
    assert shot[shot.shape[0] // 2, shot.shape[1] // 3 : -shot.shape[1] // 3].std() < 10


def test_the_page_says_the_command_that_keeps_its_thresholds(tab: Tab, tagged: tuple[Path, Tags]) -> None:
    page = opened(tab, tagged[0])
    assert page.locator("#keep").is_hidden()
    page.locator("#meters input").nth(GENRES.index("musical")).fill("0.3")
    command = "genre-classifier tag TAGS --again --threshold"
    assert page.inner_text("#command") == f"{command} musical=0.3"
    page.locator("#shift").fill("0.05")
    shifted = "comedy=0.55,action=0.65,terror=0.45,thriller=0.55,musical=0.35,other=0.55"
    assert page.inner_text("#command") == f"{command} {shifted}"
    page.click("#reset")
    assert page.locator("#keep").is_hidden()
