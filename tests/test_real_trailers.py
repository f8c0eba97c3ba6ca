"""Two real film clips, one of them AV1, from video to report, by the commands."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest

from genre_classifier import cli
from genre_classifier.genres import GENRES

pytestmark = pytest.mark.slow

NAMES = ("caminandes1_30s_180p_av1.webm", "tos_film_17s_800p_vp9.webm")
NETWORK = "--trunk-filters 4,4 --trunk-pools 2,2 --branch-filters 2 --dense-units 8 --head pooled"


def run(line: str) -> int:
    return cli.run(line.split())


def test_the_whole_path(real_trailers, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trailers").mkdir()
    for name in NAMES:
        shutil.copy(real_trailers / name, tmp_path / "trailers" / name)
    labels = pd.read_csv(real_trailers / "labels.csv")
    labels[labels["trailer"].isin(NAMES)].to_csv("labels.csv", index=False)

    assert run("preprocess trailers clips --frames 40 --size 32 --jobs 1") == 0
    manifest = pd.read_csv("clips/manifest.csv")
    assert list(manifest["status"]) == ["ok", "ok"]
    assert run(f"train clips labels.csv runs/a --epochs 1 --validation-share 0 --test-share 0 {NETWORK}") == 0
    assert run(f"tag runs/a trailers/{NAMES[1]} --out tags") == 0
    assert run("evaluate runs/a clips labels.csv --out report --split all") == 0

    tags = tmp_path / "tags" / "tos_film_17s_800p_vp9"
    for name in ("scores.csv", "segments.csv", "segments.vtt", "segments.json", "timeline.png", "viewer.html"):
        assert (tags / name).stat().st_size > 0, name
    scores = pd.read_csv(tags / "scores.csv")
    assert list(scores.columns) == ["frame", "time", *GENRES]
    assert len(scores) == 40
    assert 15 < scores["time"].iloc[-1] < 17
    for name in ("metrics.json", "per_genre.csv", "report.html"):
        assert (tmp_path / "report" / name).stat().st_size > 0, name
