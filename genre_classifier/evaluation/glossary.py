"""The name and one-line meaning of every metric and baseline, and which way is better: for reports and comparisons."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Entry:
    """A metric's title, one-line meaning, and whether lower is better."""

    title: str
    meaning: str
    lower_is_better: bool = False


METRICS: dict[str, Entry] = {
    "average_precision": Entry(
        "Average precision (AP)",
        "How pure the frames (or trailers) are, taken from the highest score down, averaged over those of the genre: "
        "1 is perfect, guessing gets the prevalence. The step-wise sum of scikit-learn.",
    ),
    "trapezoidal_area": Entry(
        "PR area (trapezoids)",
        "The area under the same curve with straight lines between its points. Too optimistic, and printed only "
        "because part of the trailer literature reports it; compare it with nothing but itself.",
    ),
    "prevalence": Entry(
        "Prevalence", "Share of the frames that show the genre: what average precision gets by guessing."
    ),
    "roc_auc": Entry(
        "ROC-AUC",
        "Chance that a frame (or trailer) of the genre scores above one that is not; 0.5 is guessing, 1 is perfect.",
    ),
    "accuracy": Entry(
        "Accuracy",
        "Share of the trailers for which the yes or no about the genre is right: at the stored threshold, baselines at "
        "0.5; where genres exclude each other, yes is the one with the highest score. Over the genres that some of the "
        "trailers show and some do not.",
    ),
    "precision": Entry("Precision", "Of what was predicted, the share that is right."),
    "recall": Entry("Recall", "Of what is labelled, the share that was found."),
    "f1": Entry(
        "F1",
        "Precision and recall in one number (their harmonic mean), at the stored threshold, or of the highest score "
        "where genres exclude each other.",
    ),
    "best_f1": Entry(
        "Best F1",
        "The highest F1 that any threshold would have reached on these very frames: an upper bound, not a forecast.",
    ),
    "error_rate": Entry(
        "Error rate",
        "Wrong genres per labelled genre, second by second: substitutions, deletions and insertions together; 0 is "
        "perfect, above 1 is possible.",
        lower_is_better=True,
    ),
    "substitution_rate": Entry("Substitutions", "One genre reported in place of another.", lower_is_better=True),
    "deletion_rate": Entry("Deletions", "A labelled genre with nothing in its place.", lower_is_better=True),
    "insertion_rate": Entry("Insertions", "A reported genre where nothing was missing.", lower_is_better=True),
    "mean_average_precision": Entry(
        "mAP at temporal IoU",
        "Average precision of whole segments, right only when they overlap the label enough (intersection over union "
        "of at least 0.5, 0.55 ... 0.95, averaged), as ActivityNet ranks by.",
    ),
    "sample_average_precision": Entry(
        "Sample AP", "Average precision of each trailer's own ranking of the genres, averaged over trailers."
    ),
    "label_ranking_average_precision": Entry(
        "Label-ranking AP",
        "For each genre of a trailer, the share of the genres ranked at or above it that are also right, averaged.",
    ),
    "top_1_accuracy": Entry(
        "Top-1 accuracy", "Share of the trailers whose only genre is the one with the highest score of all genres."
    ),
    "balanced_accuracy": Entry(
        "Balanced accuracy",
        "Top-1 accuracy within the trailers of each genre, averaged over genres: each genre counts alike; guessing "
        "gets one over the number of genres.",
    ),
    "hamming_loss": Entry(
        "Hamming loss",
        "Share of the yes-or-no decisions about a trailer's genres that are wrong.",
        lower_is_better=True,
    ),
    "brier": Entry(
        "Brier score",
        "Mean squared distance between score and truth; 0 is perfect, always answering the prevalence p gets p(1 - p).",
        lower_is_better=True,
    ),
    "expected_calibration_error": Entry(
        "Calibration error (ECE)",
        "How far scores are from frequencies: of frames scored about 0.7, is the share that is right about 0.7? Mean "
        "distance over bins of score.",
        lower_is_better=True,
    ),
}

LEVELS: dict[str, Entry] = {
    "frame_pooled": Entry("Frames, pooled", "Every frame is one decision; long trailers count more."),
    "frame_per_trailer": Entry(
        "Frames, averaged over trailers",
        "The figure inside each trailer, averaged over the trailers that have the genre; every trailer counts alike.",
    ),
    "segment": Entry("Segments", "The timeline in cells of a fixed length, right or wrong cell by cell."),
    "event": Entry("Events", "Whole labelled intervals, found only when begin and end are close."),
    "detection": Entry("Detection", "Scored segments against labelled intervals by overlap, as ActivityNet does."),
    "trailer_mean": Entry("Trailers, by mean", "A trailer's score is the mean of its frames."),
    "trailer_maximum": Entry("Trailers, by maximum", "A trailer's score is the highest of its frames."),
    "trailer_linear_softmax": Entry(
        "Trailers, by linear softmax", "A trailer's score is the mean of its frames' scores weighted by themselves."
    ),
    "probability_before": Entry("Probability, raw", "Scores as the network gives them."),
    "probability_after": Entry(
        "Probability, with temperature", "Scores after the run's temperature, as tagging uses them."
    ),
}

BASELINES: dict[str, Entry] = {
    "prevalence": Entry("Prevalence", "The same score for every frame: how common the genre is in training."),
    "colour_histogram": Entry(
        "Colours of the frame", "Logistic regression on the colour histogram of the single frame."
    ),
    "movement_frames": Entry(
        "Movement alone, by frames",
        "Logistic regression on 29 numbers about how things move from frame to frame, averaged over a second around "
        "the frame; no colours. They do not depend on the size of the clip.",
    ),
    "movement_trailers": Entry(
        "Movement alone, by trailers", "The same on the means over the whole trailer, one score for all of its frames."
    ),
    "pictures_frames": Entry(
        "The encoder alone, by frames",
        "Logistic regression on what the network's pretrained encoder sees within a second around the frame, and on "
        "how much that changes.",
    ),
    "pictures_trailers": Entry(
        "The encoder alone, by trailers",
        "The same on the means over the whole trailer, one score for all of its frames.",
    ),
    "sound_frames": Entry(
        "Sound alone, by frames",
        "Logistic regression on what the network's sound encoder hears within a second around the frame, and on how "
        "much that changes.",
    ),
    "sound_trailers": Entry(
        "Sound alone, by trailers", "The same on the means over the whole trailer, one score for all of its frames."
    ),
    "all_frames": Entry(
        "All senses, by frames",
        "The regressions of all senses by frames together: their logits are added, as in the network's linear paths.",
    ),
    "all_trailers": Entry(
        "All senses, by trailers", "The same of the regressions by trailers, one score for all of a trailer's frames."
    ),
    "trailer_average": Entry(
        "The model, averaged over the trailer", "The network's own scores without their course in time."
    ),
}

SCOPES: dict[str, str] = {
    "macro": "mean over genres",
    "micro": "all genres in one pot",
    "weighted": "mean over genres by support",
    "all": "all genres together",
}

# What the first page shows, in order: level, scope, metric.
HEADLINE: tuple[tuple[str, str, str], ...] = (
    ("frame_pooled", "macro", "average_precision"),
    ("frame_pooled", "micro", "average_precision"),
    ("frame_pooled", "macro", "roc_auc"),
    ("frame_pooled", "macro", "f1"),
    ("segment", "macro", "f1"),
    ("segment", "all", "error_rate"),
    ("event", "macro", "f1"),
    ("detection", "macro", "mean_average_precision"),
    ("trailer_maximum", "macro", "average_precision"),
    ("trailer_linear_softmax", "macro", "average_precision"),
    ("probability_after", "macro", "brier"),
    ("probability_after", "macro", "expected_calibration_error"),
)

# The same where every label is about a whole trailer.
WHOLE_TRAILER_HEADLINE: tuple[tuple[str, str, str], ...] = (
    ("trailer_mean", "macro", "average_precision"),
    ("trailer_mean", "macro", "roc_auc"),
    ("trailer_mean", "macro", "accuracy"),
    ("trailer_mean", "macro", "f1"),
    ("trailer_mean", "micro", "average_precision"),
    ("trailer_mean", "all", "label_ranking_average_precision"),
    ("trailer_maximum", "macro", "average_precision"),
    ("trailer_linear_softmax", "macro", "average_precision"),
)
