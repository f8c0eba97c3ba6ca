"""How long work will take: from a clock that the test moves, to the words that are printed."""

from __future__ import annotations

import time

import pytest

from genre_classifier.cli.pace import Pace, about
from genre_classifier.cli.progress import ProgressBar, TrainingProgress, faster
from genre_classifier.config import PRESETS, ModelConfig

NOON = time.mktime((2026, 3, 4, 12, 0, 0, 0, 0, -1))


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


def test_the_start_up_is_no_part_of_the_pace():
    clock = Clock()
    pace = Pace(clock)
    clock.now += 20  # loading and compiling
    pace.mark(10)
    assert pace.seconds_left(100) is None
    clock.now += 4
    pace.mark(12)
    assert pace.seconds_left(100) is None  # too little to tell
    clock.now += 6
    pace.mark(20)
    assert pace.seconds_left(100) == pytest.approx(80)


def test_a_long_first_part_is_not_waited_out_twice():
    clock = Clock()
    pace = Pace(clock)
    pace.begin(done=100)
    clock.now += 150
    pace.mark(101)
    assert pace.seconds_left(103) == pytest.approx(300)
    assert pace.seconds_for(10) == pytest.approx(1500)
    clock.now += 100  # the second one shows that some of the first was spent on starting
    pace.mark(102)
    assert pace.seconds_left(103) == pytest.approx(100)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1.2, "about 1 second"),
        (7, "about 7 seconds"),
        (14.8, "about 15 seconds"),
        (44, "about 45 seconds"),
        (104, "about 100 seconds"),
        (200, "about 3 minutes"),
        (3599, "about 60 minutes"),
        (9000, "about 2.5 hours"),
        (60 * 3600, "about 2.5 days"),
    ],
)
def test_durations_in_words(seconds, words):
    assert about(seconds) == words


def test_the_time_of_day_names_the_day_where_it_is_another():
    pace = Pace(Clock())
    assert pace.done_at(3600 * 3.5) == "15:30"
    assert pace.done_at(3600 * 13) == "Thu 01:00"
    assert pace.done_at(86_400 * 10) == "2026-03-14"


def test_a_pipe_gets_a_line_each_minute(capsys):
    clock = Clock()
    bar = ProgressBar(0, "encoding", "frame", pace=Pace(clock))
    bar.reset(total=1000)
    for _ in range(10):
        clock.now += 20
        bar.update(100)
    assert capsys.readouterr().err.splitlines() == [
        "encoding: 200 of 1000 frames, about 160 seconds left: done about 12:03",
        "encoding: 500 of 1000 frames, about 100 seconds left: done about 12:03",
        "encoding: 800 of 1000 frames, about 40 seconds left: done about 12:03",
    ]


def test_steps_that_compile_are_not_taken_for_the_pace():
    clock = Clock()
    pace = Pace(clock, in_steps=True)
    for number, seconds in enumerate((30, 25, 1, 1, 20, 1, 1, 1), start=1):
        clock.now += seconds
        pace.mark(100 * number)
        if number < 4:
            assert pace.seconds_left(10_000) is None  # what is usual is not known
    assert pace.seconds_for(10_000) == pytest.approx(100)
    # Of a work that is not in steps, a pause may come again.
    other = Pace(clock)
    for number, seconds in enumerate((30, 25, 1, 1, 20, 1, 1, 1), start=1):
        clock.now += seconds
        other.mark(100 * number)
    assert other.seconds_for(700) == pytest.approx(50)


def test_other_work_has_a_pace_and_a_line_of_its_own(capsys):
    clock = Clock()
    bar = ProgressBar(0, "scoring", "frame", pace=Pace(clock))
    for total, step in ((1000, 100), (200, 10)):
        bar.reset(total=total)
        for _ in range(4):
            clock.now += 4
            bar.update(step)
    assert capsys.readouterr().err.splitlines() == [
        "scoring: 300 of 1000 frames, about 30 seconds left: done about 12:00",
        "scoring: 30 of 200 frames, about 70 seconds left: done about 12:01",
    ]


def test_a_slow_start_is_not_taken_for_the_pace():
    clock = Clock()
    pace = Pace(clock)
    clock.now += 40  # a busy machine compiles
    pace.mark(1)
    assert pace.seconds_left(480) is None


def trained(clock: Clock, *, seconds_per_step: float, epochs: int, config: ModelConfig, first: float = 0.0) -> None:
    """Go through a training of 10 steps an epoch, each of 100 frames, which stand for 4 seconds of video."""
    progress = TrainingProgress(epochs, pace=Pace(clock, in_steps=True))
    with progress:
        for epoch in range(epochs):
            progress.begin(epoch, config, steps=10, frames=1000, seconds=40.0)
            for step in range(10):
                clock.now += seconds_per_step + (first if epoch == step == 0 else 0)
                progress.step(100.0 * (step + 1))
            clock.now += 2 * seconds_per_step  # validation
            progress.end()


def test_a_training_says_how_long_its_epochs_take(capsys):
    trained(Clock(), seconds_per_step=10, epochs=4, config=ModelConfig(rows=32, cols=32), first=15)
    assert capsys.readouterr().err.splitlines() == [
        "epoch 1 of 4, about 100 seconds each: done about 12:06",
        "epoch 1 of 4, about 120 seconds each: done about 12:08",
        "epoch 2 of 4, about 120 seconds each: done about 12:08",
        "epoch 3 of 4, about 120 seconds each: done about 12:08",
    ]


def test_a_step_that_takes_minutes_says_how_far_it_is(capsys):
    """One of 1000 frames in five chunks, of which each takes 20 seconds to score and a minute to learn from."""
    clock = Clock()
    with TrainingProgress(4, pace=Pace(clock, in_steps=True)) as progress:
        for epoch in range(2):
            progress.begin(epoch, ModelConfig(rows=32, cols=32), steps=2, frames=2000, seconds=80.0)
            for step in range(2):
                frames = 0.0
                for done, seconds in (("scored", 20), ("learned from", 60)):
                    for number in range(1, 6):
                        # What is done once, compiling, comes with the first of both.
                        clock.now += seconds + 30 * (epoch == step == 0 and number == 1)
                        frames += 50.0 if done == "scored" else 150.0
                        progress.chunk(done, number, 5, frames)
                progress.step(1000.0 * (step + 1))
            progress.end()
    assert capsys.readouterr().err.splitlines() == [
        "epoch 1 of 4 (step 1 of 2: 1 of 5 chunks scored)",
        "epoch 1 of 4 (step 1 of 2: 4 of 5 chunks scored), about 13 minutes each: done about 12:53",
        "epoch 1 of 4 (step 2 of 2: 3 of 5 chunks learned from), about 14 minutes each: done about 12:56",
        "epoch 1 of 4, about 14 minutes each: done about 12:55",
        "epoch 2 of 4 (step 2 of 2: 2 of 5 chunks learned from), about 14 minutes each: done about 12:54",
        "epoch 2 of 4, about 14 minutes each: done about 12:54",
    ]


def test_above_two_hours_a_faster_preset_is_named_with_its_time(capsys):
    trained(Clock(), seconds_per_step=100, epochs=20, config=ModelConfig())
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "epoch 1 of 20, about 17 minutes each: done about 17:33"
    assert lines[1].startswith("--preset small-data, in preprocess and in train, would take about ")
    assert sum("--preset" in line for line in lines) == 1


def test_no_preset_is_faster_than_the_fastest():
    small = PRESETS["small-data"].model
    assert faster(ModelConfig(), 3 * 3600.0, 0.12) is not None
    assert faster(ModelConfig(**{**vars(small), "rows": 32, "cols": 32}), 3 * 3600.0, 1 / 15) is None
