"""Evaluation: a run, or stored scores, against labels; figures with intervals, baselines, failures, and a report.

Out: `evaluate.evaluate` computes, `run_evaluation.run_evaluation` is the whole way from files to a report folder.
"""
