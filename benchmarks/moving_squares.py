"""Drawing movies of moving squares: all at once against a plain loop per movie, square and frame.

    python -m benchmarks.moving_squares [--movies 300] [--rounds 7]

Both draw the same squares, so the random draws are no part of it. Sides alternate; the table shows medians of the
processor's time, and of the ratio within each round.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import numpy as np

from genre_classifier.moving_squares.config import SquaresConfig
from genre_classifier.moving_squares.movies import Squares, draw_squares, render_movies
from tests.support.plain_squares import plain_movies


def seconds(draw: Callable[[Squares, int], object], squares: Squares, size: int) -> float:
    """Return the processor's seconds of one call."""
    started = time.process_time()
    draw(squares, size)
    return time.process_time() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--movies", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    config = SquaresConfig()
    squares = draw_squares(arguments.movies, config.frames, config=config)
    for fast, plain in zip(render_movies(squares, config.size), plain_movies(squares, config.size), strict=True):
        np.testing.assert_allclose(fast, plain, atol=1e-6)
    rounds = [
        (seconds(plain_movies, squares, config.size), seconds(render_movies, squares, config.size))
        for _ in range(arguments.rounds)
    ]
    result = {
        "movies": arguments.movies,
        "plain_milliseconds_per_movie": 1e3 * statistics.median(plain for plain, _ in rounds) / arguments.movies,
        "milliseconds_per_movie": 1e3 * statistics.median(fast for _, fast in rounds) / arguments.movies,
        "times_faster": statistics.median(plain / fast for plain, fast in rounds),
    }
    for name, value in result.items():
        print(f"{name:32s}{value:10.4g}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
