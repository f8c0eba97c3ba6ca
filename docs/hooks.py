"""What `mkdocs build` does beyond Markdown: pages from outside docs/, their links, drawings, and no other hosts.

Links in the documents are relative to the file that they stand in, as a code host takes them. Here they are made
relative to the page that the file becomes.
"""

from __future__ import annotations

import itertools
import logging
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

logger = logging.getLogger("mkdocs.hooks")
ROOT = Path(__file__).resolve().parents[1]
PAGES = {  # documents outside docs/, and the pages that they become
    "README.md": "index.md",
    "data/README.md": "formats/index.md",
    "benchmarks/fights.md": "fights.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
}
DOCUMENTS = {page: document for document, page in PAGES.items()}

FENCE = re.compile(r"(^```.*?^```[^\n]*$)", re.M | re.S)
LINK = re.compile(r"\]\(([^)\s#]+)(#[^)\s]*)?\)")
NODE = re.compile(r"(\w+)(?:\[\(?(.+?)\)?\])?$")
# Resources that a browser would fetch by itself; links that a reader clicks may lead anywhere.
FETCHED = re.compile(
    r'<(?:script|link|img|iframe|video|audio|source|object|embed)\b[^>]*?(?:src|href)="?((?:https?:)?//[^" >]+)'
)
SHIM = "https://unpkg.com/iframe-worker/shim"  # what Material's plugin `offline` would have a browser fetch
OWN_SHIM = "search_from_disk.js"


def on_files(files: Files, *, config: Any) -> Files:
    """Add the documents that stand outside docs/."""
    for document, page in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / document)))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Files) -> str:
    """Return the text of a page, with the links, lists and drawings of the site."""
    uri = page.file.src_uri
    document = DOCUMENTS.get(uri, f"docs/{uri}")
    pieces = FENCE.split(markdown)
    pieces[0::2] = [indented(relinked(piece, document, uri)) for piece in pieces[0::2]]
    pieces[1::2] = [drawn(piece) if piece.startswith("```mermaid") else piece for piece in pieces[1::2]]
    return "".join(pieces)


def on_post_page(output: str, *, page: Any, config: Any) -> str:
    """Let a page that is opened from disk be searched with our own script."""
    return output.replace(SHIM, posixpath.relpath(OWN_SHIM, posixpath.dirname(page.file.dest_uri) or "."))


def on_post_template(output: str, *, template_name: str, config: Any) -> str:
    """Do the same for the page that a server shows in place of a missing one."""
    return output.replace(SHIM, f"/{OWN_SHIM}")


def on_post_build(*, config: Any) -> None:
    """Warn about everything that a browser would fetch from another host."""
    for path in sorted(Path(config["site_dir"]).rglob("*.html")):
        for address in FETCHED.findall(path.read_text(encoding="utf-8")):
            logger.warning("%s: a browser would fetch %s", path.name, address)


def relinked(text: str, document: str, uri: str) -> str:
    """Return text whose links to files lead to the pages that these become."""

    def link(match: re.Match[str]) -> str:
        target, anchor = match[1], match[2] or ""
        if re.match(r"\w+:", target):
            return match[0]
        file = posixpath.normpath(posixpath.join(posixpath.dirname(document), target))
        if file not in PAGES and not file.startswith("docs/"):
            logger.warning("%s: %s is not a page", document, target)
        page = PAGES.get(file, file.removeprefix("docs/"))
        return f"]({posixpath.relpath(page, posixpath.dirname(uri) or '.')}{anchor})"

    return LINK.sub(link, text)


def indented(text: str) -> str:
    """Return text whose lists go on with four spaces, as Python-Markdown wants, where the document has two."""
    return re.sub(r"^  (?=\S)", "    ", text, flags=re.M)


def drawn(fence: str) -> str:
    """Return a drawing as a table of its arrows: a browser would fetch what draws them from another host."""
    names: dict[str, str] = {}
    arrows: dict[str, list[str]] = {}
    for line in fence.splitlines()[2:-1]:
        chain = []
        for word in line.split("-->"):
            node = NODE.match(word.strip())
            assert node, line
            names[node[1]] = node[2] or names.get(node[1], node[1])
            chain.append(node[1])
        for one, other in itertools.pairwise(chain):
            arrows.setdefault(one, []).append(other)
    rows = [f"| {names[one]} | {', '.join(names[other] for other in others)} |" for one, others in arrows.items()]
    return "\n".join(["| From | To |", "| --- | --- |", *rows])
