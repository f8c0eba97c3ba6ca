"""What the timeline picture shows, read from its axes, and names and lengths that trip drawing up."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest

from genre_classifier.genres import GENRES
from genre_classifier.tagging.scores import scores_table
from genre_classifier.tagging.tags import Tags, clock
from genre_classifier.tagging.timeline import timeline_figure, write_timeline
from tests.support.tag_examples import SECONDS, example_tags


def test_rows_show_scores_thresholds_and_segments() -> None:
    tags = example_tags(Path("film.webm"))
    axes = timeline_figure(tags).axes
    assert len(axes) == 1 + len(GENRES)
    for row, genre in zip(axes[1:], GENRES, strict=True):
        texts = [text.get_text() for text in row.texts]
        assert texts == [genre, f"{tags.shares()[genre]:.0%}"]
        area = row.patches[0]
        np.testing.assert_allclose(area.get_data().values, tags.scores[genre], atol=1e-6)
        assert row.lines[0].get_ydata()[0] == tags.thresholds[genre]
        mine = tags.segments[tags.segments["genre"] == genre]
        drawn = [path.get_extents() for path in row.collections[0].get_paths()]
        np.testing.assert_allclose([(box.x0, box.x1) for box in drawn], mine[["start", "end"]].to_numpy(), atol=1e-9)
        assert row.get_xlim() == (0, SECONDS)


@pytest.mark.parametrize("start", [0.0, 1.5])
def test_shares_are_of_the_time_that_has_pictures(start: float) -> None:
    tags = example_tags(Path("film.webm"), exclusive=True, start=start)
    assert tags.segments["start"].iloc[0] == start
    assert sum(tags.shares().values()) == pytest.approx(1)
    lone = dataclasses.replace(tags, duration=start, scores=tags.scores.iloc[:1], segments=tags.segments.iloc[:0])
    assert set(lone.shares().values()) == {0.0}  # of a picture that has no length


def test_genres_that_exclude_each_other_have_no_threshold_in_the_picture() -> None:
    tags = example_tags(Path("film.webm"), exclusive=True)
    figure = timeline_figure(tags)
    assert [len(row.lines) for row in figure.axes[1:]] == [1] * len(GENRES)  # the line of score 0 alone
    assert not any("threshold" in text.get_text() for text in figure.texts)


def test_thumbnails_stand_over_their_times() -> None:
    axes = timeline_figure(example_tags(Path("film.webm"))).axes[0]
    assert len(axes.images) >= 4
    for image in axes.images:
        left, right = image.get_extent()[:2]
        # The grey of the example's thumbnails rises from 20 to 220 over its length.
        middle = 20 + 200 * (left + right) / 2 / SECONDS
        assert image.get_array().mean() == pytest.approx(middle, abs=200 / SECONDS * 0.2)


@pytest.mark.parametrize("name", ["$x^2$ \\frac.mp4", "a\nb\x07.mp4", "\N{CJK UNIFIED IDEOGRAPH-6F22}.mp4", "x" * 300])
def test_any_name_and_little_content(tmp_path: Path, name: str, recwarn: pytest.WarningsRecorder) -> None:
    tags = example_tags(Path(name))
    lone = Tags(
        video=tags.video,
        duration=0.04,
        scores=scores_table(np.zeros(1), np.full((1, 6), 0.5)),
        segments=tags.segments.iloc[:0],
        thresholds=tags.thresholds,
        segment_config=tags.segment_config,
    )
    for number, one in enumerate([lone, dataclasses.replace(tags, thumbnails=())]):
        write_timeline(tmp_path / f"{number}.png", one)
        picture = cv2.imread(str(tmp_path / f"{number}.png"))
        assert picture.shape[1] > 1500
    assert [str(warning.message) for warning in recwarn] == []


def test_clock() -> None:
    assert [clock(0), clock(59.99), clock(3600), clock(86399.5)] == ["0:00", "1:00", "1:00:00", "24:00:00"]
    assert clock(61.26, decimals=1) == "1:01.3"
