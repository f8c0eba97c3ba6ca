"""The network: built, run over clips of any length, and trained, at the memory of a few frames.

Out: `model.build_model` and the class `model.GenreModel`; `streaming.score_clip` scores a clip; `memory` says
beforehand what a piece of work takes. The only room that does arithmetic with tensors.
"""
