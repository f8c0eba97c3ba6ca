"""An evaluation in a few sentences and as Markdown, for the top of the report, an issue or a model card."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from genre_classifier.evaluation.bootstrap import LEAST_SOURCES, SOURCES_FOR_TRUST
from genre_classifier.evaluation.comparison import Comparison
from genre_classifier.evaluation.document import About, baseline_verdicts, interval, number, with_interval
from genre_classifier.evaluation.evaluate import Evaluation
from genre_classifier.evaluation.glossary import BASELINES, LEVELS, METRICS, SCOPES

_VERDICTS = {"better": "beaten", "worse": "NOT beaten", "not shown": "not shown to be beaten"}


def lead_sentences(evaluation: Evaluation, about: About) -> list[str]:
    """Return the first paragraph: what was evaluated, the figure, whether it beats what is simple, and what to mind."""
    return [opening(evaluation, about), *against_baselines(evaluation), *caveats(evaluation, about)]


def opening(evaluation: Evaluation, about: About) -> str:
    """Say what was evaluated, and the first figure with its interval."""
    data, level = evaluation.data, evaluation.judged_level
    score = evaluation.figure(level, "macro", "average_precision")
    seconds = float(data.seconds[data.timed_frames].sum())
    length = f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"
    every, defined = len(data.genres), sum(details["frames"] > 0 for details in evaluation.genres.values())
    over = f"the {every} genres" if defined == every else f"the {defined} of {every} genres that the labels show"
    averaged = f"averaged over {over}" if every > 1 else f"for {data.genres[0]}, its only genre"
    width = f" ({evaluation.config.confidence:.0%} interval {interval(score)})" if score.has_interval else ""
    on = f"On {_count(int(data.timed.sum()), 'trailer')} ({length}, {int(data.timed_frames.sum()):,} frames)"
    if not data.timed_by_weak_labels:
        on += " labelled in time" * bool(data.weak.any())
        return (
            f"{on} the scores of “{about.run}” reach an average precision over frames of {number(score.value)}{width}, "
            f"{averaged}; 1 is perfect.{_no_choice(evaluation)}"
        )
    auc = with_interval(evaluation.figure(level, "macro", "roc_auc"))
    if data.exclusive and "top_1_accuracy" in evaluation.levels[level]["all"]:
        right = with_interval(evaluation.figure(level, "all", "top_1_accuracy"))
        decided = f"The genre with the highest score is right in a share of {right}."
    else:
        accuracy = with_interval(evaluation.figure(level, "macro", "accuracy"))
        by = "by the highest score" if data.exclusive else "at the stored thresholds"
        decided = f"Accuracy of the yes or no {by}: {accuracy}."
    return (
        f"{on}, each labelled as a whole, the mean scores of “{about.run}” reach an average precision over trailers of "
        f"{number(score.value)}{width}, {averaged}; 1 is perfect.{_no_choice(evaluation)} ROC-AUC: {auc}. "
        f"{decided}"
    )


def _no_choice(evaluation: Evaluation) -> str:
    """Say that the first figure is 1 for any scores, where it is."""
    data = evaluation.data
    items = "trailers" if data.timed_by_weak_labels else "frames"
    everything = len(data.trailers) if data.timed_by_weak_labels else int(data.timed_frames.sum())
    shown = [details[items] for details in evaluation.genres.values() if details[items]]
    if shown and min(shown) == everything:
        return (
            f" All of these {items} show all of those genres, so that any scores reach 1, also those of every "
            f"baseline: judge the network on more trailers."
        )
    return ""


def caveats(evaluation: Evaluation, about: About) -> list[str]:
    """Say what a reader of the figures must know, one sentence each."""
    sentences = list(about.notes)
    whole = _labelled_otherwise(evaluation)
    if about.trained_on:
        comma, figures = "," if whole else "", "figures"
        if whole and not about.trained_on_timed:
            figures = "figures about whole trailers"
        sentences.append(
            f"{of_trailers(evaluation, about.trained_on, about.trained_on_timed)}{comma} took part in training: the "
            f"{figures} say how well the network remembers, not how well it will do on new trailers."
        )
    if evaluation.data.timed_by_weak_labels:
        sentences.append("No trailer has labels in time: whole trailers are judged, and frames and segments are not.")
    timed, sources = int(evaluation.data.timed.sum()), evaluation.sources_at(evaluation.judged_level)
    if whole:
        sentences.append(
            f"{_count(whole, 'more trailer')} labelled as a whole {'takes' if whole == 1 else 'take'} part in figures "
            "about whole trailers alone."
        )
    if sources < SOURCES_FOR_TRUST:
        rough, of_whole = "rough, and rather too narrow", evaluation.sources_at("trailer_mean")
        if sources < LEAST_SOURCES:
            what = "there are no intervals" + " for frames and segments" * (of_whole >= LEAST_SOURCES)
        else:
            only = " for frames and segments" * (of_whole >= SOURCES_FOR_TRUST)
            what = f"the intervals{only} are {rough}"
        labelled = "" if evaluation.data.timed_by_weak_labels else " labelled in time"
        grouped = "" if sources == timed else f" of {_count(sources, 'group')}"
        sentences.append(f"With only {_count(timed, 'trailer')}{grouped}{labelled} {what}.")
        if sources < LEAST_SOURCES <= of_whole < SOURCES_FOR_TRUST:
            every = len(evaluation.data.trailers)
            grouped = "" if of_whole == every else f" of {_count(of_whole, 'group')}"
            sentences.append(f"With only {every} trailers{grouped} the intervals for whole trailers are {rough}.")
    return sentences


def of_trailers(evaluation: Evaluation, number_of: int, timed: int) -> str:
    """Write a number of the evaluated trailers; where some are labelled as a whole, how many of it are in time."""
    if not _labelled_otherwise(evaluation):
        return f"{number_of} of these trailers"
    every = len(evaluation.data.trailers)
    return f"{number_of} of the {every} trailers of this report, {timed or 'none'} of them labelled in time"


def _labelled_otherwise(evaluation: Evaluation) -> int:
    """Return how many trailers are labelled as a whole beside others that are labelled in time."""
    return 0 if evaluation.data.timed_by_weak_labels else int(evaluation.data.weak.sum())


def best_baseline(evaluation: Evaluation) -> str:
    """Return the baseline with the highest figure. The model's own average is left out: it needs the model."""
    values = {name: _judged(evaluation, name) for name in evaluation.baselines if name != "trailer_average"}
    return max(values, key=lambda name: float(np.nan_to_num(values[name], nan=-1.0)))


def against_baselines(evaluation: Evaluation) -> list[str]:
    """Say whether the network beats the best baseline, and which of the others; nothing where any scores reach 1."""
    if _no_choice(evaluation):
        return []
    best, verdicts = best_baseline(evaluation), baseline_verdicts(evaluation)

    def told(*names: str) -> str:
        return ", ".join(f"“{BASELINES[name].title}” ({number(_judged(evaluation, name))})" for name in names)

    lead = evaluation.lead(best)
    unsure = ", and its interval holds 0" if lead.has_interval else "; a lead without an interval shows nothing"
    begin, end = {
        "better": ("It beats", "."),
        "worse": ("It does NOT beat", ". Something that simple does better here."),
        "not shown": ("It is not shown to beat", f"{unsure}."),
    }[verdicts[best]]
    sentences = [f"{begin} the best simple baseline, {told(best)}: its lead is {with_interval(lead)}{end}"]
    others = {
        answer: [name for name, own in verdicts.items() if own == answer and name != best] for answer in _VERDICTS
    }
    if others["better"] and not others["worse"] and not others["not shown"]:
        return [*sentences, f"It beats all others: {told(*others['better'])}."]
    for answer, words in (("worse", "does NOT beat"), ("not shown", "is not shown to beat"), ("better", "beats")):
        if others[answer]:
            sentences.append(f"Of the others it {words}: {told(*others[answer])}.")
    return sentences


def _judged(evaluation: Evaluation, baseline: str) -> float:
    return evaluation.baseline_figure(baseline, evaluation.judged_level, "macro", "average_precision").value


def _count(number_of: int, noun: str) -> str:
    return f"{number_of} {noun}" + ("" if number_of == 1 else "s")


def markdown_summary(evaluation: Evaluation, about: About, comparison: Comparison | None = None) -> str:
    """Return `summary.md`: the first paragraph, the headline, baselines, genres and the comparison as tables."""
    percent = f"{evaluation.config.confidence:.0%}"
    parts = [
        f"## Evaluation of {_escaped(about.run)}, split {about.split}",
        _escaped(" ".join(lead_sentences(evaluation, about))),
    ]
    rows: list[tuple[str, ...]] = []
    level, data = evaluation.judged_level, evaluation.data
    items = "trailers" if data.timed_by_weak_labels else "frames"
    everything = len(data.trailers) if data.timed_by_weak_labels else max(1, int(data.timed_frames.sum()))
    for of_level, scope, metric in evaluation.headline:
        estimate = evaluation.figure(of_level, scope, metric)
        what = f"{LEVELS[of_level].title}: {METRICS[metric].title}, {SCOPES[scope]}"
        rows.append((what, number(estimate.value), interval(estimate)))
    parts.append(_table(("Figure", "Value", f"{percent} interval over trailers"), rows))
    rows = [
        (
            BASELINES[name].title,
            with_interval(evaluation.baseline_figure(name, level, "macro", "average_precision")),
            with_interval(evaluation.lead(name)),
            _VERDICTS[answer],
        )
        for name, answer in baseline_verdicts(evaluation).items()
    ]
    parts.append(_table(("Baseline", f"Macro AP of {items}", "Lead of the network", "Verdict"), rows))
    rows = [
        (
            genre,
            f"{evaluation.genres[genre][items]:,}",
            number(evaluation.genres[genre][items] / everything),
            with_interval(evaluation.figure(level, genre, "average_precision")),
            with_interval(evaluation.figure(level, genre, "f1")),
        )
        for genre in data.genres
    ]
    parts.append(_table(("Genre", items.capitalize(), "Prevalence", "Average precision", "F1"), rows))
    if comparison is not None:
        rows = [
            (
                f"{LEVELS[row.level].title}: {METRICS[row.metric].title}, {SCOPES.get(row.scope, row.scope)}",
                number(row.first.value),
                number(row.second.value),
                with_interval(row.difference),
                row.verdict,
            )
            for row in comparison.differences
        ]
        columns = ("Figure", _escaped(about.run), _escaped(comparison.other), "Difference", "Verdict")
        parts.append(_table(columns, rows))
    return "\n\n".join(parts) + "\n"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _escaped(text: str) -> str:
    """Return text with everything that Markdown or HTML would act on made harmless."""
    for sign in "\\`*_[]<>|#":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())
