"""Runs on the Hugging Face hub (huggingface.co): a run folder pushed to a repository, and fetched from one."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from genre_classifier.run_folder.layout import (
    CARD,
    CONFIG,
    CURVES,
    ENCODER,
    HISTORY,
    HUB,
    MODEL,
    MODEL_CARD,
    SOUND_ENCODER,
    SPLITS,
    THRESHOLDS,
)
from genre_classifier.run_folder.run import load_run
from preprocessing.base.errors import InputError, WorkError
from preprocessing.base.extras import require_extra
from preprocessing.base.files import abbreviated_repr

# What a run is used, judged and gone on from with; checkpoints and events are for going on with the training itself.
FILES = (MODEL, ENCODER, SOUND_ENCODER, CONFIG, THRESHOLDS, SPLITS, CARD, HISTORY, CURVES, MODEL_CARD)

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_ADDRESS = re.compile(rf"{HUB}(?P<repository>{_REPOSITORY.pattern})(@(?P<revision>[\w./-]+))?")


def push_run(run: Path, repository: str, *, public: bool = False) -> str:
    """Put a run folder into a repository of the hub, in one commit.

    The repository is made if it does not exist. Files of an older run are removed; files that are not a run's stay.

    Parameters
    ----------
    run : Path
    repository : str
        OWNER/NAME. Who may write there is known by the token in HF_TOKEN, or by `hf auth login`.
    public : bool
        Whether a repository that is made is for everyone to see; one that is there stays as it is.

    Returns
    -------
    str
        The address of the commit.

    Raises
    ------
    InputError
        If the folder holds no run, or `repository` is not OWNER/NAME.
    WorkError
        If the hub cannot be reached, or does not let us.
    """
    if not _REPOSITORY.fullmatch(repository):
        raise InputError(f"{abbreviated_repr(repository)}: expected a repository of the hub, OWNER/NAME")
    load_run(run)
    hub = _library()
    paths = [run / name for name in FILES if (run / name).is_file()]
    with _one_line(repository):
        api = hub.HfApi()
        api.create_repo(repository, private=not public, exist_ok=True)
        stale = set(FILES).intersection(api.list_repo_files(repository)) - {path.name for path in paths}
        operations = [
            *(hub.CommitOperationAdd(path_in_repo=path.name, path_or_fileobj=str(path)) for path in paths),
            *(hub.CommitOperationDelete(path_in_repo=name) for name in sorted(stale)),
        ]
        commit = api.create_commit(repository, operations=operations, commit_message=f"Run {run.resolve().name}")
    return str(commit.commit_url)


def fetch_run(address: str) -> Path:
    """Return the folder of a run on the hub, fetched into the hub's cache (`HF_HOME`) where it is not there yet.

    What was fetched before is used without asking again when the hub cannot be reached.

    Parameters
    ----------
    address : str
        hf://OWNER/NAME, or hf://OWNER/NAME@REVISION: a branch, a tag or a commit.

    Returns
    -------
    Path
        For `load_run`; nothing is to be written there.

    Raises
    ------
    InputError
        If it is not such an address, or the repository or revision does not exist or may not be read.
    WorkError
        If the hub cannot be reached.
    """
    found = _ADDRESS.fullmatch(address)
    if not found:
        raise InputError(f"{abbreviated_repr(address)}: expected {HUB}OWNER/NAME or {HUB}OWNER/NAME@REVISION")
    hub = _library()
    with _one_line(address):
        return Path(hub.snapshot_download(found["repository"], revision=found["revision"], allow_patterns=list(FILES)))


def _library() -> Any:
    hub = require_extra("huggingface_hub", "huggingface_hub", extra="hub", needed_by=f"{HUB} and push-to-hub")
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # our one line says it
    if not sys.stderr.isatty():
        from huggingface_hub.utils import disable_progress_bars

        disable_progress_bars()
    return hub


@contextmanager
def _one_line(what: str) -> Iterator[None]:
    """Turn what the library raises into one line."""
    from huggingface_hub import errors

    asked = f"{what}: asked the Hugging Face hub"
    access = "; is the name right? For a private one, `hf auth login` or set HF_TOKEN"
    try:
        yield
    except errors.RevisionNotFoundError as error:
        raise InputError(f"{asked}, found no such revision") from error
    except errors.RepositoryNotFoundError as error:  # what it says to strangers of a private one, too
        raise InputError(f"{asked}, found no such repository{access}") from error
    except errors.HFValidationError as error:
        raise InputError(f"{what}: expected a repository of the hub, OWNER/NAME: {_first_line(error)}") from error
    except errors.LocalEntryNotFoundError as error:
        raise WorkError(f"{asked}, found no connection to it and no copy from before; try again") from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else None
        hint = access if status in (401, 403) else "; try again"
        raise WorkError(f"{asked}, was answered with HTTP status {status}{hint}") from error
    # No connection, no disk, an answer that makes no sense; the errors of its HTTP library are of no kind of their own.
    except (OSError, ValueError, errors.HfHubHTTPError.__bases__[0]) as error:
        raise WorkError(f"{asked}, which failed: {_first_line(error)}; try again") from error

    # The library does not check the answers of the hub; nothing else runs here.
    except (LookupError, TypeError, AttributeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {_first_line(error)}"
        raise WorkError(f"{asked}, was answered in a way that its library does not understand ({reason})") from error


def _first_line(error: Exception) -> str:
    """Return what an error says first: the library adds a paragraph to it."""
    return abbreviated_repr(next(iter(str(error).strip().splitlines()), type(error).__name__))
