"""Sizes of the network, and the pretrained networks that look and listen beside it."""

from __future__ import annotations

import math
from functools import partial
from typing import Annotated, Literal

from genre_classifier.genres import GENRES, check_genres
from preprocessing.base.options import Count, NotNegative, Options, Positive, Share, option, require

Head = Literal["flat", "pooled"]
PoolPadding = Literal["same", "valid"]
Exclusive = Literal["auto", "yes", "no"]
Scaling = Literal["auto", "none", "tf", "torch", "caffe"]
EncoderEngine = Literal["auto", "keras", "openvino"]
Inputs = Literal["rgb", "difference", "rgb+difference", "motion"]

INPUT_CHANNELS: dict[str, int] = {"rgb": 3, "difference": 3, "rgb+difference": 6, "motion": 1}  # by `inputs`

# On moods and film trailers, 40 to 55 of them, branches of half weight or more cost; on 158 fights they gain up to 1.5.
HALF_WEIGHT_TRAILERS = 100

_network = partial(option, group="Network")
_encoder = partial(option, group="Encoder")
_senses = partial(option, group="Senses")
_sound = partial(option, group="Sound encoder")


class EncoderConfig(Options):
    """Pretrained networks that look and listen, what of them is read, and how it is kept."""

    encoder: Annotated[
        str | None,
        _encoder(
            "A pretrained image network, frozen, that looks at the videos now and then, or else at every frame of the "
            "clips: a name of keras.applications, such as EfficientNetV2B0, or a .keras file that turns (rows, cols, "
            "3) into (rows, cols, channels). --preset pretrained has a network that fits it."
        ),
    ] = None
    encoder_layer: Annotated[
        str | None, _encoder("The layer of the encoder whose maps are read; none is its last one.")
    ] = None
    encoder_scaling: Annotated[
        Scaling,
        _encoder(
            "What the encoder wants pixels to be, in the words of keras.applications; auto is what a name wants, and "
            "for a file none: 0 to 255."
        ),
    ] = "auto"
    encoder_cells: Annotated[Count, _encoder("Rows and columns that the encoder's maps are averaged to.")] = 2
    encoder_fps: Annotated[
        float | None,
        _encoder(
            "How often the encoder looks at the video itself, at its own size; a look holds until the next one. none: "
            "it sees every frame of the clips instead.",
            unit="looks per second",
            gt=0,
            le=1000,
        ),
    ] = None
    encoder_engine: Annotated[
        EncoderEngine,
        _encoder(
            "What computes the encoders, of pictures and of sound. auto: OpenVINO where it is installed (the extra "
            "openvino), in bfloat16 if the processor multiplies that; Keras elsewhere, and on a GPU."
        ),
    ] = "auto"
    motion_size: Annotated[
        int,
        _encoder(
            "Rows and columns of a small grey picture that is kept beside the encoder's maps, a multiple of "
            "--encoder-cells: the trunk then sees the movement in it, as --inputs motion, and the branches see what "
            "the trunk gives beside the encoder's maps. With 0 the trunk sees the maps.",
            unit="pixels",
            ge=0,
            le=512,
        ),
    ] = 0
    sound_encoder: Annotated[
        str | None,
        _sound(
            "A pretrained network that listens to every second of the sound, frozen: a .keras file that turns "
            "(samples,), from -1 to 1, into (features,)."
        ),
    ] = None
    sound_rate: Annotated[
        int,
        _sound("Samples per second that the sound encoder takes.", unit="samples per second", ge=1000, le=192_000),
    ] = 16_000

    @property
    def grey_channels(self) -> int:
        """Return how many channels of an encoded frame are pixels of its small grey picture."""
        return (self.motion_size // self.encoder_cells) ** 2

    def __post_init__(self) -> None:
        require(
            self.motion_size % self.encoder_cells == 0,
            f"motion_size must be a multiple of encoder_cells = {self.encoder_cells}, got {self.motion_size}",
        )


class ModelConfig(EncoderConfig):
    """Sizes of the network. The defaults are those of the article "An introduction to ConvLSTM"."""

    rows: Annotated[Count, _network("Rows of the input frames.", unit="pixels")] = 400
    cols: Annotated[Count, _network("Columns of the input frames.", unit="pixels")] = 400
    trunk_filters: Annotated[
        tuple[Count, ...], _network("Filters of the shared ConvLSTM stages.", min_length=1, strict=False)
    ] = (20, 10)
    trunk_pools: Annotated[
        tuple[Count, ...], _network("Spatial max pooling after each trunk stage.", min_length=1, strict=False)
    ] = (2, 3)
    branch_filters: Annotated[Count, _network("Filters of the ConvLSTM of each genre's branch.")] = 5
    branch_pool: Annotated[Count, _network("Spatial max pooling in the branch.")] = 2
    pool_padding: Annotated[
        PoolPadding,
        _network(
            "Rows and columns that do not fill a window of a pooling: same keeps them, as the article's "
            "published code does (400 -> 200 -> 67 -> 34), valid drops them."
        ),
    ] = "same"
    dense_units: Annotated[
        tuple[Count, ...], _network("Hidden Dense layers of the branch, before its single output.", strict=False)
    ] = (512, 32)
    kernel_size: Annotated[
        int,
        # Ten times the article's, a hundred times its work.
        _network("Rows and columns of every convolution.", unit="pixels", ge=1, le=31),
    ] = 3
    head: Annotated[
        Head,
        _network(
            "What the Dense layers of a branch see: every pixel of its maps, or the mean and the maximum of each map."
        ),
    ] = "flat"
    inputs: Annotated[
        Inputs,
        _network(
            "What the first ConvLSTM sees: the frames, their differences from the frame before, both, or the "
            "differences of the grey values divided by their mean size in the frame."
        ),
    ] = "rgb"
    norm_momentum: Annotated[
        Share,
        _network("Moving statistics of BatchNormalization: the share of the old value that an optimizer step keeps."),
    ] = 0.99
    norm_epsilon: Annotated[Positive, _network("Added to the variance by BatchNormalization.")] = 1e-3
    genres: Annotated[tuple[str, ...], _network("What the outputs stand for, in order.", strict=False)] = GENRES
    encoder_channels: Annotated[int, option("Of an encoded frame; 0 without an encoder.", ge=0, le=262_144)] = 0
    encoder_digest: Annotated[str, option("Of the encoder's layers and weights; empty without an encoder.")] = ""
    encoder_precision: Annotated[
        Literal["float32", "bfloat16"], option("Of the arithmetic in which the encoders were computed.")
    ] = "float32"
    sound_features: Annotated[int, option("Of a second of sound; 0 without a sound encoder.", ge=0, le=262_144)] = 0
    sound_digest: Annotated[str, option("Of the sound encoder, likewise.")] = ""
    reduced_channels: Annotated[
        tuple[Count, Count],
        _encoder(
            "Channels that trainable 1x1 reductions make of the encoder's maps, and of how they change from frame to "
            "frame.",
            strict=False,
        ),
    ] = (16, 16)
    encoder_dropout: Annotated[
        Share,
        _encoder("Share of the reduced channels that each training step leaves out, other ones each time."),
    ] = 0.0
    linear_paths: Annotated[
        bool,
        _senses(
            "Movement, what an encoder sees, and what a sound encoder hears, each on a path of its own to the logits: "
            "regularised logistic regression. Needs --inputs motion, and with an encoder --encoder-fps."
        ),
    ] = False
    branch_weight: Annotated[
        NotNegative | Literal["auto"],
        _senses(
            "With --linear-paths: how much the branches' logits count beside those of the paths. auto: n^2 / (n^2 + "
            f"{HALF_WEIGHT_TRAILERS}^2) with n labelled trailers, because branches learn little from few."
        ),
    ] = 0.5
    path_components: Annotated[
        tuple[Count, Count],
        _senses("Principal components of what an encoder gives, and of its change from look to look.", strict=False),
    ] = (24, 24)
    sound_components: Annotated[
        tuple[Count, Count],
        _senses("The same of what a sound encoder gives, and of its change from second to second.", strict=False),
    ] = (12, 12)
    exclusive: Annotated[
        Exclusive,
        option(
            "Whether a trailer shows exactly one genre: a softmax over the genres then takes the place of a sigmoid "
            "for each. auto: yes where every labelled trailer does.",
            group="Labels",
        ),
    ] = "no"

    @property
    def one_genre_per_frame(self) -> bool:
        """Return whether genres exclude each other: the scores of a frame sum to 1, and the highest decides."""
        return self.exclusive == "yes"

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        """Return channels, rows and columns of what the network takes: a frame's pixels, or an encoder's maps of it."""
        if not self.maps_in_trunk:
            return 3, self.rows, self.cols
        return self.encoder_channels, self.encoder_cells, self.encoder_cells

    @property
    def trunk_shape(self) -> tuple[int, int, int]:
        """Return channels, rows and columns of what the first ConvLSTM sees."""
        if not self.maps_in_trunk:
            return INPUT_CHANNELS[self.inputs], self.rows, self.cols
        if self.motion_size:
            return 1, self.motion_size, self.motion_size
        return sum(self.reduced_channels), self.encoder_cells, self.encoder_cells

    @property
    def joined_channels(self) -> int:
        """Return how many channels of the encoder's reduced maps the branches see beside what the trunk gives."""
        return sum(self.reduced_channels) if self.maps_in_trunk and self.motion_size else 0

    @property
    def maps_in_trunk(self) -> bool:
        """Return whether an encoder's maps of every frame take the place of its pixels."""
        return self.encoder is not None and self.encoder_fps is None

    @property
    def has_encoders(self) -> bool:
        """Return whether pretrained networks look or listen."""
        return self.encoder is not None or self.sound_encoder is not None

    @property
    def features(self) -> dict[str, int]:
        """Return how many numbers of each encoder come beside a frame, by the name of the sense."""
        found = {}
        if self.encoder is not None and self.encoder_fps is not None:
            found["pictures"] = 2 * self.encoder_channels * self.encoder_cells**2 + 2
        if self.sound_encoder is not None:
            found["sound"] = 2 * self.sound_features + 2
        return found

    @property
    def components(self) -> dict[str, tuple[int, int]]:
        """Return how many components the path of each encoder uses, by the name of the sense."""
        used = {"pictures": self.path_components, "sound": self.sound_components}
        return {name: used[name] for name in self.features}

    def __post_init__(self) -> None:
        super().__post_init__()
        stages, pools = len(self.trunk_filters), len(self.trunk_pools)
        require(stages == pools, f"trunk_filters and trunk_pools must pair up, got {stages} and {pools} of them")
        check_genres(self.genres)
        shrink = self.branch_pool * math.prod(self.trunk_pools)
        require(
            not self.linear_paths or self.inputs == "motion",
            f"linear_paths needs inputs = motion, got {self.inputs}",
        )
        require(
            self.encoder is None or self.linear_paths == (self.encoder_fps is not None),
            f"an encoder with linear_paths needs encoder_fps, and only with them, got linear_paths = "
            f"{self.linear_paths} and encoder_fps = {self.encoder_fps}",
        )
        require(
            self.sound_encoder is None or self.linear_paths,
            f"sound_encoder needs linear_paths, got linear_paths = {self.linear_paths}; --preset pretrained has them",
        )
        _, rows, cols = self.trunk_shape
        what = "frames" if not self.maps_in_trunk else "grey pictures" if self.motion_size else "encoded frames"
        require(
            min(rows, cols) >= shrink,
            f"{what} of {rows}x{cols} are too small: this network pools {shrink} pixels into one"
            + ("" if not self.maps_in_trunk else "; --preset pretrained has a network that fits"),
        )
