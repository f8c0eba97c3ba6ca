"""`python -m genre_classifier` is the command line."""

from genre_classifier.cli import main

main()
