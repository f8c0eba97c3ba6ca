"""ActivityNet's detection score, written from its published definition, as a judge of files.

Caba Heilbron et al., "ActivityNet: a large-scale video benchmark for human activity understanding", CVPR 2015, and what
its `eval_detection.py` asks of both files and computes: `segment_iou`, `interpolated_prec_rec`,
`compute_average_precision_detection`. Like that program, it stops with a KeyError at a prediction of a label that the
ground truth lacks, and takes a prediction about a video without ground truth for false.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

import numpy as np

Instance = tuple[str, float, float]  # video, start, end
LIMITS = np.linspace(0.5, 0.95, 10)


def read_ground_truth(path: Path, *, subset: str = "validation") -> dict[str, list[Instance]]:
    """Return the instances of each label, as the evaluator takes them out of the file."""
    data = json.loads(path.read_text(encoding="utf-8"))
    if not all(field in data for field in ("taxonomy", "database", "version")):
        raise OSError("Please input a valid ground truth file.")
    found: dict[str, list[Instance]] = {}
    for video, entry in data["database"].items():
        if entry["subset"] != subset:
            continue
        assert entry["duration"] > 0
        for one in entry["annotations"]:
            start, end = one["segment"]
            found.setdefault(one["label"], []).append((video, float(start), float(end)))
    names = {node["nodeName"] for node in data["taxonomy"]}
    assert set(found) <= names
    return found


def read_predictions(path: Path, labels: Collection[str]) -> dict[str, list[tuple[float, str, float, float]]]:
    """Return score, video, start and end of the predictions of each of the ground truth's labels."""
    data = json.loads(path.read_text(encoding="utf-8"))
    if not all(field in data for field in ("results", "version", "external_data")):
        raise OSError("Please input a valid prediction file.")
    found: dict[str, list[tuple[float, str, float, float]]] = {label: [] for label in labels}
    for video, results in data["results"].items():
        for one in results:
            start, end = one["segment"]
            found[one["label"]].append((one["score"], video, float(start), float(end)))
    return found


def evaluate(truth: Path, predictions: Path) -> dict[str, np.ndarray]:
    """Return the average precision of each label at `LIMITS`; the mean of all is what ActivityNet ranks by."""
    references = read_ground_truth(truth)
    found = read_predictions(predictions, references)
    return {
        label: np.array([average_precision(references[label], found[label], tiou=tiou) for tiou in LIMITS])
        for label in references
    }


def segment_iou(target: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Temporal intersection over union of one segment with several."""
    intersection = np.clip(np.minimum(target[1], candidates[:, 1]) - np.maximum(target[0], candidates[:, 0]), 0, None)
    union = (candidates[:, 1] - candidates[:, 0]) + (target[1] - target[0]) - intersection
    return intersection / union


def average_precision(
    truth: list[Instance], predictions: list[tuple[float, str, float, float]], *, tiou: float
) -> float:
    """Average precision of one label at one temporal IoU."""
    if not predictions:
        return 0.0
    taken: set[tuple[str, int]] = set()
    hits = []
    for position in np.argsort([score for score, *_ in predictions])[::-1].tolist():
        _, video, start, end = predictions[position]
        own = np.array([(first, last) for name, first, last in truth if name == video])
        hit = False
        if len(own):
            overlap = segment_iou(np.array([start, end]), own)
            for index in np.argsort(overlap)[::-1].tolist():
                if overlap[index] < tiou:
                    break
                if (video, index) not in taken:
                    taken.add((video, index))
                    hit = True
                    break
        hits.append(hit)
    return interpolated_precision(np.array(hits, dtype=bool), len(truth))


def interpolated_precision(hits: np.ndarray, references: int) -> float:
    """Return the area under the precision made non-increasing (`interpolated_prec_rec`)."""
    tp = np.cumsum(hits)
    precision = np.hstack([[0], tp / np.arange(1, len(hits) + 1), [0]])
    recall = np.hstack([[0], tp / references, [1]])
    for i in range(len(precision) - 1)[::-1]:
        precision[i] = max(precision[i], precision[i + 1])
    steps = np.where(recall[1:] != recall[:-1])[0] + 1
    return float(np.sum((recall[steps] - recall[steps - 1]) * precision[steps]))
