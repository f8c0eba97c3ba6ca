"""A scoring that is not done yet: its tables are kept as soon as they are there, and taken for nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from genre_classifier.evaluation.score_folder import ScoreFolder, read_fingerprint, score_file, write_score_folder
from genre_classifier.tagging.scores import read_scores
from preprocessing.base.errors import InputError, WorkError
from preprocessing.base.files import require_unchanged

_UNFINISHED = "unfinished_"


class ScoringUnderWay:
    """Tables of a scoring that is not done yet, each kept as soon as it is there, so that none is ever lost.

    Parameters
    ----------
    out : Path
        The scores folder that is to be.
    fingerprint : str
        Of all that scores depend on: tables of another fingerprint are not taken.
    genres : sequence of str
        Names of the scores: tables with others are not taken.
    again : bool
        Begin anew, whatever is there.
    """

    def __init__(self, out: Path, fingerprint: str, genres: Sequence[str], *, again: bool = False) -> None:
        self._out, self._genres = out, list(genres)
        self._folder = out / f"{_UNFINISHED}{fingerprint[:16]}"
        if again:
            shutil.rmtree(self._folder, ignore_errors=True)
        # A whole folder may lack what a later version adds.
        whole = not again and read_fingerprint(out) == fingerprint
        self._places = (self._folder, *[out] * whole)

    def find(self, trailer_id: int, *, baseline: str = "") -> pd.DataFrame | None:
        """Return the scores of a trailer by the model, or by a baseline; None where there are none."""
        for place in self._places:
            try:
                table = read_scores(place / baseline / score_file(trailer_id))
            except InputError:
                continue  # missing, or damaged by what interrupted it
            if list(table.columns) == self._genres:
                return table
        return None

    def read(self, trailer_id: int) -> pd.DataFrame:
        """Return the scores of a trailer by the model, which were found or written before."""
        table = self.find(trailer_id)
        if table is None:
            raise WorkError(f"{self.place(trailer_id)}: gone, or damaged, since it was written; run again")
        return table

    def place(self, trailer_id: int, *, baseline: str = "") -> Path:
        """Return where to write the scores of a trailer, so that they are kept."""
        (self._folder / baseline).mkdir(parents=True, exist_ok=True)
        return self._folder / baseline / score_file(trailer_id)

    def require_unchanged(self, known: Mapping[Path, Mapping[str, int]]) -> None:
        """Refuse (InputError) clips that are not what `file_facts` said; what is unfinished is of them, and goes."""
        try:
            for clip, facts in known.items():
                require_unchanged(clip, facts, doing="scored")
        except InputError:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def finish(self, folder: ScoreFolder) -> None:
        """Write the whole folder, and remove what was unfinished, here or in an earlier scoring."""
        write_score_folder(self._out, folder)
        for leftover in self._out.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(leftover, ignore_errors=True)
