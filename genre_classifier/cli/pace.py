"""How long work will take, from how long what is done of it took; in words."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable

FIRST_SECONDS = 5.0  # of work, from which the first estimate is made
COUNTED_FIRST_SECONDS = 120.0  # a first step of this length is one itself, though it holds what is done once
FIRST_STEPS = 50  # of a work in steps, among which are those that hold what is done once, such as compiling
_FEW_STEPS, _LONG_STEP = 3, 5.0  # that show what is usual; so many times as long as usual
LINE_SECONDS = 60.0  # between two lines in a pipe
LONG_SECONDS = 2 * 3600.0  # of work, from which on a faster way is named


class Pace:
    """What a work's first part says about the rest.

    What is done once, loading and compiling, comes before the first part that is done: time counts from there.

    Parameters
    ----------
    clock : callable
        Gives seconds.
    in_steps : bool
        Whether each part is a step that takes as long as others: of the first ones, those that take much longer hold
        what is done once too, and count as usual.
    """

    def __init__(self, clock: Callable[[], float] = time.time, *, in_steps: bool = False) -> None:
        self._clock, self._in_steps = clock, in_steps
        self.begin()

    def begin(self, done: float = 0.0) -> None:
        """Begin, or begin other work, with so much done already."""
        self._said = -math.inf
        self._start = self._now = self._clock(), done
        self._first: tuple[float, float] | None = None
        self._steps: list[tuple[float, float]] = []  # seconds and work of the first ones

    def mark(self, done: float) -> None:
        """Take how much is done by now; time that passes without more of it counts too."""
        if done >= self._now[1] and done > self._start[1]:
            before, self._now = self._now, (self._clock(), done)
            if self._first and done > before[1] and len(self._steps) < FIRST_STEPS:
                self._steps.append((self._now[0] - before[0], done - before[1]))
            self._first = self._first or self._now

    def seconds_for(self, work: float) -> float | None:
        """Return how long so much work takes; None while that is not known."""
        if self._first is None:
            return None
        known = not self._in_steps or len(self._steps) >= _FEW_STEPS
        once = self._once() if self._in_steps and known else 0.0
        for start, enough, left_out in ((self._first, FIRST_SECONDS, once), (self._start, COUNTED_FIRST_SECONDS, 0.0)):
            seconds, done = self._now[0] - start[0] - left_out, self._now[1] - start[1]
            if done > 0 and seconds >= enough and (known or start is self._start):
                return work * seconds / done
        return None

    def _once(self) -> float:
        """Return by how much the long ones of the first steps are longer than usual, in seconds."""
        usual = statistics.median(seconds / work for seconds, work in self._steps)
        return sum(seconds - usual * work for seconds, work in self._steps if seconds > _LONG_STEP * usual * work)

    def seconds_left(self, total: float) -> float | None:
        """Return how long the rest of the work takes; None while that is not known."""
        return self.seconds_for(max(0.0, total - self._now[1]))

    def is_time(self, *, after: float = LINE_SECONDS) -> bool:
        """Return whether so many seconds have passed since this was last true."""
        if self._clock() - self._said < after:
            return False
        self._said = self._clock()
        return True

    def done_at(self, seconds: float) -> str:
        """Return the time of day in so many seconds: "15:40", "Tue 15:40", "2026-12-03"."""
        now = self._clock()
        then = time.localtime(now + seconds)
        if seconds > 6 * 86_400:
            return time.strftime("%Y-%m-%d", then)
        return time.strftime("%H:%M" if then.tm_yday == time.localtime(now).tm_yday else "%a %H:%M", then)


def about(seconds: float) -> str:
    """Return a duration in words, rounded by a sixth at most: "about 45 seconds", "about 3 minutes", "about 2 days"."""
    steps = ((20, 1, 1, "second"), (60, 1, 5, "second"), (180, 1, 10, "second"))
    for limit, length, step, unit in (*steps, (5400, 60, 1, "minute"), (36 * 3600, 3600, 0.1, "hour")):
        if seconds < limit:
            count = max(1, round(seconds / length / step) * step)
            return f"about {count:g} {unit}{'' if count == 1 else 's'}"
    return f"about {seconds / 86_400:.1f} days"
