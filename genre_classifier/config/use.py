"""What a trained network is used with: labels, evaluation, segments, exports, tagging; and synthetic trailers."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from pydantic import Field

from genre_classifier.config.network import EncoderEngine
from genre_classifier.config.training import PrecisionOption
from genre_classifier.genres import GENRES, check_genres
from preprocessing.base.files import MOST_BYTES
from preprocessing.base.options import Count, NotNegative, Options, Positive, Seconds, Seed, option, require

MAX_LABEL_MB = MOST_BYTES / 1e6
MaxLabelMb = Annotated[
    float,
    option(
        "A larger label file is refused; read, it takes up to forty times as much memory.",
        unit="MB",
        group="Labels",
        gt=0,
        le=100_000,
    ),
]

_segments = partial(option, group="Segments")
_files = partial(option, group="Further files")


class EvaluationConfig(Options):
    """How scores are evaluated."""

    draws: Annotated[int, option("Bootstrap draws of trailers.", ge=1, le=1_000_000)] = 1000
    seed: Annotated[Seed, option("Seed of the draws, and of the frames that the baselines are fitted on.")] = 0
    confidence: Annotated[float, option("Share of the draws inside an interval.", gt=0, lt=1)] = 0.95
    grid_seconds: Annotated[Positive, option("Length of the cells of segment-level figures.", unit="seconds")] = 1.0
    collar_seconds: Annotated[
        NotNegative, option("Most that an event's begin, and end, may be off.", unit="seconds")
    ] = 0.5
    offset_share: Annotated[
        float, option("An event's end may also be off by this share of the labelled event's length.", ge=0, le=1)
    ] = 0.5
    tiou: Annotated[
        tuple[Annotated[float, Field(gt=0, le=1)], ...],
        option("Limits of temporal intersection over union; those of ActivityNet.", min_length=1, strict=False),
    ] = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
    ece_bins: Annotated[
        Count, option("Bins of equal width for the expected calibration error and the reliability diagrams.")
    ] = 15


LABEL_FORMATS = ("labels", "wide", "activitynet", "labelstudio", "dcase")  # that label tables are written in


class SegmentConfig(Options):
    """How the scores of frames become segments."""

    smooth_seconds: Annotated[
        Seconds, _segments("Length of the median filter over the scores; 0 leaves them as they are.", unit="seconds")
    ] = 0.5
    off_ratio: Annotated[
        float,
        _segments(
            "A segment needs one frame at the genre's threshold, and goes on while the scores stay at or above this "
            "share of it; 1 has no hysteresis.",
            gt=0,
            le=1,
        ),
    ] = 0.8
    min_seconds: Annotated[
        Seconds, _segments("Shortest segment. A shot of a trailer lasts one to three.", unit="seconds")
    ] = 1.0
    min_gap_seconds: Annotated[
        Seconds,
        _segments("Shortest pause between two segments of a genre; shorter ones are closed.", unit="seconds"),
    ] = 0.5


# Rates in which Label Studio can be asked to count: it takes a frameRate below 1 for seconds per frame, and a file that
# says more than the highest does not mean it.
LABEL_STUDIO_RATES = (1, 480)


_PREFIX = (
    "What comes before a trailer's name in the address from which Label Studio plays it: for a folder trailers/ below "
    "its LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT, /data/local-files/?d=trailers/."
)


class ExportConfig(Options):
    """What files for other programs say beside labels and segments."""

    subset: Annotated[
        str,
        option(
            "Name of the subset in ActivityNet JSON; validation is what its evaluator looks at unless told otherwise."
        ),
    ] = "validation"
    label_studio_prefix: Annotated[str, option(_PREFIX)] = "/data/local-files/?d="
    label_studio_fps: Annotated[
        float,
        option(
            "Rate of Label Studio's tasks that do not say theirs (data.fps), and of videos whose own is not known: 24 "
            "is what Label Studio assumes of a Video tag without a frameRate.",
            unit="frames per second",
            ge=LABEL_STUDIO_RATES[0],
            le=LABEL_STUDIO_RATES[1],
        ),
    ] = 24.0


def scoring_chunk(rows: int, cols: int) -> int:
    """Return how many frames of a size are scored at once where nothing else is asked for."""
    return min(64, max(8, 8 * 112 * 112 // (rows * cols)))


class TagConfig(Options):
    """How videos are tagged, and what is written beside the files that every video gets."""

    overlay: Annotated[bool, _files("Also write overlay.mp4, a copy with the scores drawn on each frame.")] = False
    embed: Annotated[bool, _files("Put a small copy of the video inside viewer.html.")] = False
    label_studio: Annotated[bool, _files("Also write label_studio.json, predictions to correct there.")] = False
    label_studio_prefix: Annotated[str, _files(_PREFIX)] = ExportConfig.label_studio_prefix
    chunk: Annotated[
        int | None,
        option(
            "Frames scored at once; none: 8, and up to 64 of small ones. It changes the memory, not the scores.",
            unit="frames",
            group="Computation",
            ge=1,
            le=1_000_000,
        ),
    ] = None
    precision: PrecisionOption = "float32"
    encoder_engine: Annotated[
        EncoderEngine,
        option(
            "What computes the run's encoders. auto: what did when it was trained, or what comes nearest "
            "where this machine does not have that.",
            group="Computation",
        ),
    ] = "auto"


class SyntheticConfig(Options):
    """What synthetic trailers are like."""

    # More trailers, or longer ones, are a slip of the keyboard: two weeks of film, or a trailer of a day.
    trailers: Annotated[int, option("How many trailers to make.", ge=1, le=100_000)] = 30
    duration: Annotated[float, option("Shortest duration of a trailer.", unit="seconds", gt=0, le=86_400)] = 12.0
    fps: Annotated[Positive, option("Rate of the videos.", unit="frames per second")] = 24.0
    rows: Annotated[Count, option("Rows of the frames.", unit="pixels")] = 96
    cols: Annotated[Count, option("Columns of the frames.", unit="pixels")] = 128
    shot_seconds: Annotated[
        tuple[Positive, Positive], option("Shortest and longest shot.", unit="seconds", strict=False)
    ] = (1.5, 3.0)
    dissolve_seconds: Annotated[NotNegative, option("Length of a dissolve between two shots.", unit="seconds")] = 0.5
    dissolve_share: Annotated[
        float, option("Share of the shot changes that dissolve; the others are hard cuts.", ge=0, le=1)
    ] = 0.3
    split_share: Annotated[float, option("Share of the shots that show two genres side by side.", ge=0, le=1)] = 0.15
    genres: Annotated[tuple[str, ...], option("What is shown.", strict=False)] = GENRES
    alike: Annotated[
        tuple[str, ...],
        option("Two genres that are drawn alike: only their sound tells them apart.", strict=False),
    ] = ()

    def __post_init__(self) -> None:
        check_genres(self.genres)
        if self.alike:
            require(
                len(self.alike) == len(set(self.alike) & set(self.genres)) == 2,
                f"alike must be two of the genres ({', '.join(self.genres)}), got {', '.join(self.alike)}",
            )
        shortest = self.shot_seconds[1]
        require(self.duration >= shortest, f"duration must be at least {shortest:g} seconds, got {self.duration}")
