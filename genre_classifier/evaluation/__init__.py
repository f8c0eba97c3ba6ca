"""Evaluation: scores of frames, segments, events and trailers against labels; `metrics.evaluate` is its front."""
