"""Metrics as pure functions over arrays: no files, no Keras, no labels' formats.

A module for each level at which scores are judged (`frames`, `segments`, `events`, `detection`, `trailers`), the
`counts` that they share, and the `calibration` of scores. `genre_classifier.evaluation` joins them.
"""
