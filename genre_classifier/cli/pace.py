"""How long work will take, from how long what is done of it took; in words."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

FIRST_SECONDS = 5.0  # of work, from which the first estimate is made
START_SECONDS = 120.0  # a first step of this length is one itself, though it holds what is done once
LINE_SECONDS = 60.0  # between two lines in a pipe
LONG_SECONDS = 2 * 3600.0  # of work, from which on a faster way is named


class Pace:
    """What a work's first part says about the rest.

    What is done once, loading and compiling, comes before the first part that is done: time counts from there.

    Parameters
    ----------
    clock : callable
        Gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._said = -math.inf
        self.begin()

    def begin(self, done: float = 0.0) -> None:
        """Begin with so much done already."""
        self._start = self._now = self._clock(), done
        self._first: tuple[float, float] | None = None

    def mark(self, done: float) -> None:
        """Take how much is done by now; time that passes without more of it counts too."""
        if done >= self._now[1] and done > self._start[1]:
            self._now = self._clock(), done
            self._first = self._first or self._now

    def seconds_for(self, work: float) -> float | None:
        """Return how long so much work takes; None while that is not known."""
        if self._first is None:
            return None
        for start, enough in ((self._first, FIRST_SECONDS), (self._start, START_SECONDS)):
            seconds, done = self._now[0] - start[0], self._now[1] - start[1]
            if done > 0 and seconds >= enough:
                return work * seconds / done
        return None

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
    """Return a duration in words: "about 40 seconds", "about 3 minutes", "about 2.5 hours", "about 4.5 days"."""
    for unit, length, limit, digits in (("second", 1, 90, -1), ("minute", 60, 5400, 0), ("hour", 3600, 36 * 3600, 1)):
        if seconds < limit:
            count = round(seconds / length, digits)
            if unit == "second" and seconds < 10:
                count = max(1, round(seconds))
            return f"about {count:g} {unit}{'' if count == 1 else 's'}"
    return f"about {seconds / 86_400:.1f} days"
