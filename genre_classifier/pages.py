"""HTML pages from `templates/`: one environment, everything escaped, styles and scripts put inside the page."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("genre_classifier"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(template: str, **values: Any) -> str:
    """Fill a template; every value is escaped.

    `inline(name)` puts a style of `templates/` in, `script(name, ...)` scripts as one element, and
    `script_digest(name, ...)` what a Content-Security-Policy needs to let that element run, and no other.
    """
    environment = _environment()
    return environment.get_template(template).render(
        inline=_inline, script=_script, script_digest=_script_digest, **values
    )


def _inline(name: str) -> Markup:
    """Return a file of `templates/` as it is: for our own styles and scripts only."""
    environment = _environment()
    assert environment.loader is not None
    return Markup(environment.loader.get_source(environment, name)[0])


def _script(*names: str) -> Markup:
    return Markup("<script>{}</script>").format(_joined(names))


def _script_digest(*names: str) -> Markup:
    digest = hashlib.sha256(_joined(names).encode("utf-8")).digest()
    return Markup(f"'sha256-{base64.b64encode(digest).decode('ascii')}'")


def _joined(names: tuple[str, ...]) -> Markup:
    return Markup("\n").join(_inline(name) for name in names)


def data_url(data: bytes, media_type: str) -> str:
    """Return bytes as a URL that needs no file and no network."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode('ascii')}"
