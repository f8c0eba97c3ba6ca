"""The notebook of the docs runs from its first cell to its last, on fewer films and epochs than it is shown with."""

from __future__ import annotations

import json
import re
from pathlib import Path

import matplotlib
import pytest

pytestmark = pytest.mark.slow

NOTEBOOK = Path(__file__).parents[1] / "docs" / "from_squares_to_trailers.ipynb"


def test_every_cell_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    matplotlib.use("Agg")
    monkeypatch.setattr("matplotlib.pyplot.show", lambda: matplotlib.pyplot.close("all"))
    cells = [cell for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    pictures = [output for cell in cells for output in cell["outputs"] if "image/png" in output["data"]]
    assert len(pictures) == 7  # it is kept as it was run
    names: dict[str, object] = {}
    for number, cell in enumerate(cells):
        source = "".join(cell["source"])
        quick = re.sub(r"epochs=\d+", "epochs=1", source).replace("generate_movies(200,", "generate_movies(20,")
        quick = quick.replace("trailers=12, duration=6.0", "trailers=3, duration=4.0")
        exec(compile(quick, f"cell {number}", "exec"), names)
    assert "trailers" in names
