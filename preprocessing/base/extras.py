"""Libraries that only some users need."""

from __future__ import annotations

import importlib
from typing import Any

from preprocessing.base.errors import InputError


class MissingExtraError(InputError):
    """An optional library is not installed."""


def require_extra(module: str, package: str, *, extra: str, needed_by: str = "this") -> Any:
    """Import a module of an optional library.

    Parameters
    ----------
    module, package : str
        What to import, and what it is called when it is installed.
    extra : str
        Which extra of this package brings it.
    needed_by : str
        What needs it, for the message.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(f"{needed_by} needs {package}: pip install -e '.[{extra}]'") from error
