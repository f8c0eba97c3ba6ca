"""Training: from clips and labels to a run folder.

Out: `train.train`.
"""
