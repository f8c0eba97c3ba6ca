"""Small videos with known pixels and known times, made by the tests themselves.

Written with PyAV, so that what OpenCV reads is checked against an independent library.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from preprocessing.config import ClipConfig
from preprocessing.reader_client import SampledFrames

TIME_BASE = Fraction(1, 90_000)
ALL_FRAMES = ClipConfig(frames=1000, size=32)


def flat_frames(count: int, *, rows: int = 48, cols: int = 64, seed: int = 0) -> np.ndarray:
    """Return frames of one random colour each: uint8, (count, rows, cols, 3), RGB."""
    colours = np.random.default_rng(seed).integers(40, 216, (count, 1, 1, 3), dtype=np.uint8)
    return np.broadcast_to(colours, (count, rows, cols, 3))


def write_media(
    path: Path,
    frames: np.ndarray,
    times: Sequence[float] | None = None,
    *,
    fps: float = 25.0,
    codec: str = "ffv1",
    pix_fmt: str = "bgr0",
    options: dict[str, str] | None = None,
    container_format: str | None = None,
) -> Path:
    """Write RGB frames (count, rows, cols, 3) as a video, each with its own time in seconds.

    The default, FFV1 in RGB, keeps every pixel; `path` should then end in `.mkv`. The ending says the format, unless
    `container_format` does, by FFmpeg's name.
    """
    import av

    if times is None:
        times = [index / fps for index in range(len(frames))]
    with av.open(str(path), "w", format=container_format) as container:
        stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001), options=options or {})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pix_fmt
        # MPEG-1, -2 and -4 count in frames, and so does what has no clock; the others take any.
        unclocked = codec.startswith("mpeg") or path.suffix in (".h264", ".264")
        time_base = Fraction(1) / stream.codec_context.framerate if unclocked else TIME_BASE
        stream.codec_context.time_base = time_base
        for time, pixels in zip(times, frames, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts = round(time / time_base)
            frame.time_base = time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def rewrite_packets(source: Path, path: Path, *, cut: float = 0.0, emptied: Sequence[int] = ()) -> Path:
    """Copy the packets of a video's pictures to another file, without decoding them.

    Parameters
    ----------
    source, path : Path
    cut : float
        The new file begins so many seconds later; an MP4 keeps the packets before that, and hides them by an edit list.
    emptied : sequence of int
        Packets that lose their bytes, in the order of the file; of the formats only NUT (`.nut`) and Ogg keep such.
    """
    import av

    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        packets = [packet for packet in old.demux(video=0) if packet.size]
        for index, packet in enumerate(packets):
            kept = av.Packet(b"") if index in emptied else packet
            late = round(cut / packet.time_base)
            kept.pts, kept.dts, kept.time_base = packet.pts - late, packet.dts - late, packet.time_base
            kept.stream = stream
            new.mux(kept)
    return path


def write_late_pictures(path: Path, delay: float, *, count: int = 20, begin: float = 0.0) -> Path:
    """Write a video of `count` frames at 25 per second whose sound begins at `begin` and its pictures `delay` later."""
    import av

    codec, layout = ("libopus", "stereo") if path.suffix == ".webm" else ("mp2", "stereo")
    with av.open(str(path), "w") as container:
        video = container.add_stream("libvpx" if path.suffix == ".webm" else "mpeg4", rate=25)
        video.height, video.width, video.pix_fmt = 48, 64, "yuv420p"
        sound = container.add_stream(codec, rate=48_000, layout=layout)
        size = 960 if codec == "libopus" else 1152
        for index in range(math.ceil((delay + count / 25) * 48_000 / size)):
            tone = av.AudioFrame.from_ndarray(np.zeros((1, 2 * size), np.int16), format="s16", layout=layout)
            tone.sample_rate, tone.pts = 48_000, round(begin * 48_000) + index * size
            container.mux(sound.encode(tone))
        for index, pixels in enumerate(flat_frames(count)):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts = round((begin + delay) * 25) + index
            container.mux(video.encode(frame))
        container.mux(sound.encode(None))
        container.mux(video.encode(None))
    return path


@dataclasses.dataclass(frozen=True)
class Track:
    """A sound track to write: its samples, float (channels, samples), and how."""

    samples: np.ndarray
    rate: int = 48_000
    layout: str = "stereo"
    codec: str = "pcm_s16le"
    begin: float = 0.0  # seconds
    default: bool = False
    gaps: Sequence[tuple[int, float]] = ()  # before these samples, seconds by which the stamps jump


def tone(
    seconds: float, *, onset: float = 0.0, rate: int = 48_000, channels: int = 2, hertz: float = 1000
) -> np.ndarray:
    """Return a sine of amplitude 0.5 that begins at `onset`, silence before: float32, (channels, samples)."""
    at = np.arange(round(seconds * rate)) / rate
    wave = np.where(at >= onset, 0.5 * np.sin(2 * np.pi * hertz * (at - onset)), 0)
    return np.tile(wave.astype(np.float32), (channels, 1))


def write_sounding(
    path: Path,
    *tracks: Track,
    frames: np.ndarray | None = None,
    begin: float = 0.0,
    options: dict[str, str] | None = None,
) -> Path:
    """Write a video of 25 pictures a second, the first at `begin`, with sound tracks; no pictures if there are 0."""
    import av
    from av.stream import Disposition

    frames = flat_frames(50) if frames is None else frames
    lossless = path.suffix in (".mkv", ".avi")
    with av.open(str(path), "w", options=options or {}) as container:
        if len(frames):
            codec = {".webm": "libvpx", ".flv": "flv1", ".ts": "mpeg2video"}.get(path.suffix, "mpeg4")
            video = container.add_stream("ffv1" if lossless else codec, rate=25)
            video.height, video.width = frames.shape[1:3]
            video.pix_fmt = "bgr0" if lossless else "yuv420p"
            if lossless:
                video.codec_context.time_base = TIME_BASE
        sounds = []
        for track in tracks:
            sound = container.add_stream(track.codec, rate=track.rate, layout=track.layout)
            if track.default:
                sound.disposition = Disposition.default
            sounds.append(sound)
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            base = TIME_BASE if lossless else Fraction(1, 25)
            frame.pts, frame.time_base = round((begin + index / 25) / base), base
            container.mux(video.encode(frame))
        for track, sound in zip(tracks, sounds, strict=True):
            jumps = dict(track.gaps)
            size, late = sound.codec_context.frame_size or 1024, track.begin
            for first in range(0, track.samples.shape[1], size):
                late += jumps.get(first, 0.0)
                some = np.ascontiguousarray(track.samples[:, first : first + size])
                tone = av.AudioFrame.from_ndarray(some, format="fltp", layout=track.layout)
                tone.sample_rate, tone.time_base = track.rate, Fraction(1, track.rate)
                tone.pts = first + round(late * track.rate)
                container.mux(sound.encode(tone))
            container.mux(sound.encode(None))
        if len(frames):
            container.mux(video.encode(None))
    return path


def decode_media(path: Path) -> tuple[np.ndarray, list[np.ndarray]]:
    """Decode with PyAV: seconds since the start of the container, and RGB pictures; broken packets are skipped."""
    import av

    times, pictures = [], []
    with av.open(str(path), metadata_errors="replace") as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_type = "NONE"
        start = (container.start_time or 0) / av.time_base
        for packet in container.demux(stream):
            try:
                for frame in packet.decode():
                    times.append(np.nan if frame.time is None else frame.time - start)
                    pictures.append(frame.to_ndarray(format="rgb24"))
            except av.FFmpegError:
                continue
    return np.array(times), pictures


def damage(path: Path, packets: Sequence[int], *, seed: int = 0, offset: int = 0, kind: str = "video") -> Path:
    """Overwrite 16 bytes of some of a video's packets with noise; their container stays whole."""
    import av

    with av.open(str(path)) as container:
        contents = [bytes(packet) for packet in container.demux(**{kind: 0}) if packet.size]
    data, rng = bytearray(path.read_bytes()), np.random.default_rng(seed)
    for index in (index for index in packets if index < len(contents)):
        start = data.index(contents[index]) + min(offset, max(0, len(contents[index]) - 16))
        length = min(16, len(contents[index]))
        data[start : start + length] = rng.bytes(length)
    path.write_bytes(data)
    return path


def reader_processes() -> list[psutil.Process]:
    """Return the reader processes that this process has started."""
    children = psutil.Process().children()
    return [child for child in children if "preprocessing.reader_process" in " ".join(child.cmdline())]


def read(path: Path, config: ClipConfig = ALL_FRAMES) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Return times, frames and manifest fields."""
    with SampledFrames(path, config) as frames:
        pairs = list(frames)
    return np.array([time for time, _ in pairs]), np.stack([frame for _, frame in pairs]), frames.fields
