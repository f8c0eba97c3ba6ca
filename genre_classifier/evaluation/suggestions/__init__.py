"""Suggestions: which trailers of a clips folder to label next, in what order, and why.

Out: `suggest.suggest`, from a run and a clips folder to `suggestions.csv` and `suggestions.html`.
"""
