"""Preprocessing against the `ffmpeg` program and against bare decoding: `python -m benchmarks.preprocessing VIDEOS`.

For each file, in turn and several times over: this preprocessor (a reader process that is already running, as in a
folder, and once more with its start), ffmpeg making the same number of frames in the same size and planar form, and
the loop that only decodes (`grab`), which nothing built on OpenCV can beat. Then the whole folder, against ffmpeg run
file after file. Only ratios within one run mean anything: absolute times move with the load of the machine.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from preprocessing.config import ClipConfig, VideoLimits
from preprocessing.pipeline import preprocess_directory, preprocess_trailer
from preprocessing.processes.pool import Pool
from preprocessing.reader_client import READER, job
from preprocessing.sources import find_videos
from preprocessing.video import open_video, write_video

EVERY_FRAME = 10**6
SYNTHETIC = "synthetic_480p.mp4"


def moving_squares(frames: int, rows: int = 480, cols: int = 854) -> Iterator[np.ndarray]:
    """Yield RGB pictures of noise that drifts under a moving square: neither trivial nor impossible to encode."""
    rng = np.random.default_rng(0)
    ground = np.repeat(np.repeat(rng.integers(0, 255, (rows // 8, cols // 7, 3), dtype=np.uint8), 8, axis=0), 7, axis=1)
    for number in range(frames):
        picture = np.roll(ground, number, axis=1)
        top, left = (number * 3) % (rows - 80), (number * 5) % (cols - 80)
        picture[top : top + 80, left : left + 80] = (number % 256, 128, 255 - number % 256)
        yield picture


def seconds(work: Callable[[], object]) -> float:
    """Return how long something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def grab_all(video: Path) -> None:
    """Decode every frame and do nothing with it."""
    with open_video(video) as opened:
        while opened.grab() is not None:
            pass


def ffmpeg(video: Path, size: int, every: int, out: Path) -> None:
    """Make one frame of `every`, scaled by area, planar: `select` before `scale`."""
    chosen = "" if every == 1 else f"select=not(mod(n\\,{every})),"
    filters = f"{chosen}scale={size}:{size}:flags=area,format=gbrp"
    command = ["ffmpeg", "-v", "quiet", "-nostdin", "-y", "-i", str(video), "-an", "-vf", filters]
    subprocess.run([*command, "-fps_mode", "passthrough", "-f", "rawvideo", str(out)], check=True)


def compare(ways: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Time each way in turn, `repeats` times over; return medians of seconds."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, work in ways.items():
            times[name].append(seconds(work))
    return {name: statistics.median(values) for name, values in times.items()}


def time_file(video: Path, config: ClipConfig, every: int, repeats: int, folder: Path) -> dict[str, float]:
    """Compare the ways on one file."""
    pool = Pool(READER)
    staged = folder / "staged.npy"

    def running_reader() -> None:
        staged.with_suffix(".json").unlink(missing_ok=True)  # or it would find its work done
        pool.run(job(video, config, VideoLimits(), clip=staged))

    ways: dict[str, Callable[[], object]] = {
        "ours": running_reader,
        "ours_with_start": lambda: preprocess_trailer(video, folder, config=config),
        "grab": lambda: grab_all(video),
    }
    if shutil.which("ffmpeg"):
        ways["ffmpeg"] = lambda: ffmpeg(video, config.size, every, folder / "ffmpeg.raw")
    running_reader()
    try:
        return compare(ways, repeats)
    finally:
        pool.close()


def time_folder(videos: Path, config: ClipConfig, repeats: int, folder: Path) -> dict[str, float]:
    """Compare a folder of videos with ffmpeg run file after file."""
    names = find_videos(videos)

    def ours() -> None:
        shutil.rmtree(folder / "clips", ignore_errors=True)
        preprocess_directory(videos, folder / "clips", config=config)

    ways: dict[str, Callable[[], object]] = {"ours_with_start": ours}
    if shutil.which("ffmpeg"):
        ways["ffmpeg"] = lambda: [ffmpeg(videos / name, config.size, 1, folder / "ffmpeg.raw") for name in names]
    return compare(ways, repeats)


def main() -> None:
    """Run all comparisons and print them as a table and as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path, nargs="?", help="folder of real videos")
    parser.add_argument("--size", type=int, default=ClipConfig().size)
    parser.add_argument("--synthetic-frames", type=int, default=4000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    every_frame = ClipConfig(frames=EVERY_FRAME, size=options.size)
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        synthetic = folder / SYNTHETIC
        write_video(synthetic, moving_squares(options.synthetic_frames), 24.0)
        files = [(synthetic, every_frame, 1, f"{SYNTHETIC}, all {options.synthetic_frames}")]
        quarter = ClipConfig(frames=options.synthetic_frames // 4, size=options.size)
        files.append((synthetic, quarter, 4, f"{SYNTHETIC}, {quarter.frames} of {options.synthetic_frames}"))
        if options.videos:
            files += [(options.videos / video, every_frame, 1, str(video)) for video in find_videos(options.videos)]
        for video, config, every, title in files:
            rows.append({"what": title, **time_file(video, config, every, options.repeats, folder)})
        if options.videos:
            found = time_folder(options.videos, every_frame, options.repeats, folder)
            rows.append({"what": "the folder", **found})
    if not shutil.which("ffmpeg"):
        print("No ffmpeg program here: its side is left out.")
    print(f"{'':45}{'ours, s':>9}{'x ffmpeg':>10}{'+start':>8}{'x grab':>8}")
    for row in rows:
        alone, whole, other, bare = (row.get(key) for key in ("ours", "ours_with_start", "ffmpeg", "grab"))
        ratios = [
            f"{above / below:.2f}" if isinstance(above, float) and isinstance(below, float) else "-"
            for above, below in ((other, alone), (other, whole), (bare, alone))
        ]
        row |= dict(zip(("speed_over_ffmpeg", "speed_over_ffmpeg_with_start", "speed_over_grab"), ratios, strict=True))
        print(f"{row['what']!s:45}{alone or whole:9.2f}{ratios[0]:>10}{ratios[1]:>8}{ratios[2]:>8}")
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
