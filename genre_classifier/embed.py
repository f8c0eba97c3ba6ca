"""A small copy of a video as bytes, for a page that must not need any other file. No sound."""

from __future__ import annotations

import tempfile
from pathlib import Path

from genre_classifier.whole_video import steady_pictures
from preprocessing.video import write_video

# About 300 kbit/s: six megabytes for a trailer of two and a half minutes, as much as a mail can carry.
EMBEDDED_ROWS = 240
EMBEDDED_FPS = 25.0

# WebM is Matroska with another name in its header (RFC 9559, section 5). OpenCV writes VP8 into Matroska without
# complaint, and into WebM with a false warning on stderr; the name is replaced, and the room left filled with a Void
# element, so that no other byte moves.
_MATROSKA = b"\x42\x82\x88matroska"
_WEBM = b"\x42\x82\x84webm\xec\x82\x00\x00"


def embedded_copy(video: Path) -> bytes:
    """Return the copy as a WebM file with VP8, which every browser plays.

    Raises
    ------
    InputError
        If the video cannot be read.
    WorkError
        If the copy cannot be written.
    """
    fps, pictures = steady_pictures(video, most_fps=EMBEDDED_FPS, most_rows=EMBEDDED_ROWS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "copy.mkv"
        write_video(path, (picture for _, picture in pictures), fps)
        return path.read_bytes().replace(_MATROSKA, _WEBM, 1)
