"""Where a run comes from: `card.json`; and the model card, `README.md`: what it is, and how far to trust it.

The model card is in the format of Hugging Face (huggingface.co/docs/hub/model-cards): a head in YAML, then Markdown.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import logging
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre_classifier.run_folder.layout import CARD, CARD_MARK, MODEL_CARD, RUN_SCHEMA, is_model_card
from genre_classifier.run_folder.run import Run, load_run
from preprocessing.base.documents import parse_as
from preprocessing.base.files import read_json, write_atomically

if TYPE_CHECKING:
    from genre_classifier.dataset.trailers import Trailer

logger = logging.getLogger(__name__)

_PACKAGES = ("genre-classifier", "keras", "tensorflow", "numpy", "opencv-python", "pandas", "scikit-learn")


@dataclasses.dataclass(frozen=True)
class _Card:
    """What `card.json` holds for a training that goes on."""

    data_digest: str
    seconds: float = 0.0


@dataclasses.dataclass(frozen=True)
class StartedFrom:
    """The run whose weights were the first ones of another run, as `card.json` has it.

    Attributes
    ----------
    run : str
        Its folder.
    model_sha256 : str
        Of its `model.keras`.
    """

    run: str
    model_sha256: str


@dataclasses.dataclass(frozen=True)
class _StartedCard:
    started_from: StartedFrom | None = None


def new_card(*, command: str, seed: int, data_digest: str, parts: Mapping[str, Sequence[Trailer]]) -> dict[str, Any]:
    """Return the card of a run that starts now."""
    return {
        "schema": RUN_SCHEMA,
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": command,
        "seed": seed,
        "data_digest": data_digest,
        "splits": {name: len(trailers) for name, trailers in parts.items()},
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
        "machine": platform.machine(),
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def write_card(run: Path, card: Mapping[str, Any]) -> None:
    """Write `card.json`."""
    write_atomically(run / CARD, json.dumps(card, indent=2) + "\n")


def read_card(run: Path) -> dict[str, Any]:
    """Read `card.json`; InputError if it cannot be."""
    path, expected = run / CARD, "the card of a run"
    card: dict[str, Any] = read_json(path, expected)
    parse_as(path, card, _Card, expected)
    return card


def read_start(run: Path) -> StartedFrom | None:
    """Read from `card.json` which run this one went on from; None if it began anew; InputError if it cannot be read."""
    return parse_as(run / CARD, read_card(run), _StartedCard, "the card of a run").started_from


_NO_SOUND = "What only sound tells: a musical is recognised by what is seen."
_NOT_JUDGED = (
    "Not judged yet: `genre-classifier evaluate RUN CLIPS LABELS --out REPORT --card` puts figures over the test "
    "trailers, with intervals and simple baselines, in the place of this line."
)


@dataclasses.dataclass(frozen=True)
class _Splits:
    train: int
    validation: int
    test: int


@dataclasses.dataclass(frozen=True)
class _Start:
    run: str


@dataclasses.dataclass(frozen=True)
class _FinishedCard:
    """What a model card quotes of `card.json`."""

    splits: _Splits
    command: str
    versions: dict[str, str]
    started_from: _Start | None = None


def write_model_card(run: Path, *, summary: str | None = None) -> None:
    """Write the card of a run that has a network.

    A `README.md` that was written by somebody else stays, which is logged.

    Parameters
    ----------
    run : Path
    summary : str, optional
        `summary.md` of a report over the run's test trailers.

    Raises
    ------
    InputError
        If the run cannot be read.
    """
    path = run / MODEL_CARD
    if path.exists() and not is_model_card(path):
        logger.warning(f"{path}: written by somebody else, so the model card is not put in its place")
        return
    write_atomically(path, model_card(load_run(run), read_card(run), summary=summary))


def model_card(run: Run, card: Mapping[str, Any], *, summary: str | None = None) -> str:
    """Return the card's text.

    Parameters
    ----------
    run : Run
    card : mapping
        As `genre_classifier.run_folder.card.read_card` gives it.
    summary : str, optional
        Its figures, as Markdown.
    """
    name, clips, network = run.path.resolve().name, run.clip_config, run.model_config
    found = parse_as(run.path / CARD, dict(card), _FinishedCard, "the card of a run")
    counts, command, package = found.splits, found.command, found.versions.get("genre-classifier", "?")
    trailers = f"{counts.train} trailers; {counts.validation} chose, {counts.test} were kept for judging"
    started = found.started_from and found.started_from.run
    frames = f"at most {clips.frames} frames" if clips.fps is None else f"{clips.fps:g} frames per second"
    place = "behind" if network.maps_in_trunk else "beside"
    hears = network.sound_encoder is not None
    eye = f"{place} a frozen image network ({network.encoder})"
    ear = f"beside a frozen network that listens ({network.sound_encoder})"
    frames += "".join([", without sound" * (not hears), f", {eye}" * (network.encoder is not None), f", {ear}" * hears])
    limit = "Speech: it hears how a trailer sounds, not what is said." if hears else _NO_SOUND
    before = "" if started is None else f"\n- It went on from the weights of `{_plain(str(started))}`."
    return f"""---
library_name: keras
pipeline_tag: video-classification
tags:
- genre-classifier
- convlstm
- film-trailers
---

<!-- {CARD_MARK} -->

# {_plain(name)}

A ConvLSTM network that scores **every frame** of a film trailer for {len(run.genres)} genres: {", ".join(run.genres)}.
It was made by genre-classifier {package}, and is used by it:

```sh
genre-classifier tag {_plain(name)} new_trailer.mp4 --out tags/
```

## What it was made of

- {trailers}. A digest of clips and labels is in `card.json`.
- Clips of {clips.size} x {clips.size} pixels, {frames}.
- Epoch {card.get("kept_epoch", "?")} of {card.get("epochs", "?")}; seed {card.get("seed", "?")}.{before}

```sh
{_plain(command)}
```

## How far to trust it

{_NOT_JUDGED if summary is None else summary.strip().replace("## ", "### ")}

## Meant for

Finding stretches of trailers that a person then looks at: in archives, in research, in teaching. The scores are
probabilities as far as `thresholds.json` could calibrate them, for trailers like those it was made of.

## Not meant for

- Other footage than trailers, and other kinds of trailers than it has seen: its figures say nothing about them.
- Decisions about people: it knows colours and movement, not who is shown.
- {limit}
"""


def _plain(text: str) -> str:
    """Return text that is one line, and stays what it is inside Markdown's code."""
    return json.dumps(text, ensure_ascii=False)[1:-1].replace("`", "'")
