"""The command line as a program: `genre-classifier`, or `python -m genre_classifier`."""

import os
import sys

from genre_classifier import PROGRAM


def main() -> None:
    """Run the command line and exit the process; Ctrl-C ends it in a line, while it is still imported too."""
    os.environ[PROGRAM] = "1"
    try:
        from genre_classifier.cli import main as run
    except KeyboardInterrupt:
        print("genre-classifier: stopped", file=sys.stderr)
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
