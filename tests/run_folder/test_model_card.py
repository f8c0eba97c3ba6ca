"""The model card: what Hugging Face reads of it, what is never overwritten, and the figures of a report in it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from genre_classifier.run_folder import layout
from genre_classifier.run_folder.card import write_model_card
from preprocessing.base.errors import InputError
from tests.support.tiny_run import make_run

CARD = {
    "schema": 1,
    "data_digest": "ab",
    "command": "genre-classifier train `rm -rf` \n# x",
    "seed": 3,
    "splits": {"train": 24, "validation": 6, "test": 10},
    "versions": {"genre-classifier": "0.1.0"},
    "epochs": 9,
    "kept_epoch": 7,
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    made = make_run(tmp_path / "mine")
    (made / layout.CARD).write_text(json.dumps(CARD))
    return made


def test_the_card_says_what_the_run_is(run: Path) -> None:
    yaml = pytest.importorskip("yaml")
    write_model_card(run)
    _, head, text = (run / "README.md").read_text().split("---\n", 2)
    assert yaml.safe_load(head)["library_name"] == "keras"
    for expected in (
        "# mine\n",
        "24 trailers; 6 chose, 10 were kept for judging",
        "Epoch 7 of 9; seed 3",
        "16 x 16 pixels",
        "comedy, action, terror, thriller, musical, other",
        "Not judged yet",
        "genre-classifier train 'rm -rf' \\n# x\n",
    ):
        assert expected in text
    write_model_card(run, summary="## Evaluation of mine, split test\n\n0.8\n")
    text = (run / "README.md").read_text()
    assert "### Evaluation of mine, split test\n\n0.8\n" in text
    assert "Not judged yet" not in text


def test_what_somebody_else_wrote_stays(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    (run / "README.md").write_text("my notes")
    write_model_card(run)
    assert (run / "README.md").read_text() == "my notes"
    assert "written by somebody else" in caplog.text
    assert "README.md" in layout.empty_run_folder(run)
    (run / "README.md").unlink()


def test_a_new_run_takes_the_place_of_the_card_too(run: Path) -> None:
    write_model_card(run)
    assert layout.empty_run_folder(run) == []
    assert list(run.iterdir()) == []


def test_a_card_that_lacks_what_it_should_hold_is_refused(run: Path) -> None:
    (run / layout.CARD).write_text(json.dumps(CARD | {"splits": 3}))
    with pytest.raises(InputError, match=r"card\.json: expected the card of a run"):
        write_model_card(run)


def test_a_pipe_in_its_place_is_not_waited_for(run: Path) -> None:
    os.mkfifo(run / "README.md")
    assert "README.md" in layout.empty_run_folder(run)


def test_what_it_quotes_breaks_no_line(run: Path) -> None:
    (run / layout.CARD).write_text(json.dumps(CARD | {"started_from": {"run": "a`\nb"}}))
    write_model_card(run)
    assert "weights of `a'\\nb`.\n" in (run / "README.md").read_text()
    (run / layout.CARD).write_text(json.dumps(CARD | {"started_from": {}}))
    with pytest.raises(InputError, match=r"card\.json: expected the card of a run"):
        write_model_card(run)
