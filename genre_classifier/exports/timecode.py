"""Start timecodes: what a file says of its first frame, and timecode as a frame number (`opentimelineio`)."""

from __future__ import annotations

import logging
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

from preprocessing.base.errors import InputError
from preprocessing.base.extras import require_extra
from preprocessing.config import VideoLimits
from preprocessing.processes.pool import Pool
from preprocessing.reader_client import container_job

logger = logging.getLogger(__name__)

DROP_FRAME = (Fraction(30000, 1001), Fraction(60000, 1001))  # the rates that SMPTE ST 12-1 drops frame numbers at
_TIMECODE = re.compile(r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d[:;]\d\d")


def editing_library() -> Any:
    """Return OpenTimelineIO."""
    return require_extra("opentimelineio", "opentimelineio", extra="export")


def start_frame(timecode: str, rate: Fraction) -> int:
    """Return the frame number of an SMPTE timecode; `;` before the frames means drop-frame. That of zero is 0.

    Raises
    ------
    InputError
        If it is not a timecode at this rate.
    """
    if re.fullmatch("00:00:00[:;]00", timecode):  # also where no timecode counts the rate
        return 0
    otio = editing_library()
    try:
        if not _TIMECODE.fullmatch(timecode):
            raise ValueError(timecode)
        return int(otio.opentime.from_timecode(timecode, float(rate)).value)
    except ValueError as error:
        raise InputError(
            f"--start-timecode: expected hh:mm:ss:ff at {float(rate):g} fps, found {timecode!r}"
        ) from error


def file_timecode(path: Path, readers: Pool) -> str | None:
    """Return the timecode of a file's first frame as FFmpeg finds it, in a timecode track or in the metadata.

    Parameters
    ----------
    path : Path
        QuickTime and MP4 (`tmcd`), MXF, Matroska (a tag `TIMECODE`) and all other places from which FFmpeg reads it.
    readers : Pool
        Reader processes, one of which opens it.

    Returns
    -------
    str or None
        None if the file has none, or cannot be read, which is logged.
    """
    answer = readers.run(container_job(path), VideoLimits().timeout)
    if "failed" in answer:
        logger.warning(f"{path}: cannot be read for its start timecode; counted from zero, or give --start-timecode")
        return None
    timecode: str | None = answer["done"]["timecode"]
    return timecode


def start_timecode(path: Path, rate: Fraction, readers: Pool) -> str:
    """Return the timecode of a video's first frame: that of its file, or zero, in drop-frame where the rate has it.

    Parameters
    ----------
    path : Path
    rate : Fraction
        Frames per second. A sign other than `:` before the frames means drop-frame, as FFmpeg reads it, but only at
        29.97 and 59.94: at other rates no frame number is dropped.
    readers : Pool
        Reader processes, one of which opens it.
    """
    zero = "00:00:00;00" if rate in DROP_FRAME else "00:00:00:00"
    found = file_timecode(path, readers)
    if found is None:
        return zero
    timecode = f"{found[:8]}{';' if rate in DROP_FRAME and found[8:9] != ':' else ':'}{found[9:]}"
    try:
        start_frame(timecode, rate)
    except InputError:
        logger.warning(f"{path}: expected a start timecode at {float(rate):g} fps, found {found!r}; counted from zero")
        return zero
    return timecode
