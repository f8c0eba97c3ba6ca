"""How long 100 and 1,000 trailers take, from videos to a trained run.

    python -m benchmarks.hours --video two_minutes.mp4 --encoder efficientnet_lite0.keras --out /tmp/hours

The commands as a user types them, each in a process of its own, on `FEW` copies of a video and on `MANY`: `preprocess`,
with `--encoder` for the preset `pretrained`, and `train`. What the difference takes is the price of a trailer; the rest
is that of a start. From both follow the minutes for many trailers. The copies differ in a few bytes after the film, so
that none is taken for another.

Prints the seconds of each command, and minutes for 100 and 1,000 trailers. Run it alone on the machine.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

FEW, MANY = 4, 12
GENRES = ("comedy", "action")


def copy_videos(video: Path, folder: Path, count: int) -> None:
    """Write copies of an MP4 file that are files of their own: each ends with a box that players skip."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        copy = folder / f"trailer_{number}{video.suffix}"
        shutil.copyfile(video, copy)
        with copy.open("ab") as file:
            file.write((16).to_bytes(4, "big") + b"free" + number.to_bytes(8, "big"))


def seconds_of(*arguments: object) -> float:
    """Return how long a command takes."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-m", "genre_classifier", *map(str, arguments)]
    began = time.perf_counter()
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seconds = time.perf_counter() - began
    print(f"{seconds:8.1f} s  {' '.join(map(str, arguments))}", flush=True)
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", type=Path, required=True, help="An MP4 file, such as a trailer of two minutes.")
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--out", type=Path, required=True, help="A folder that is not there yet.")
    options = parser.parse_args()
    for count in (FEW, MANY):
        copy_videos(options.video, options.out / f"videos_{count}", count)
    labels = options.out / "labels.csv"
    rows = [f"trailer_{number}{options.video.suffix},{GENRES[number % 2]}" for number in range(MANY)]

    for preset, encoder in (("small-data", []), ("pretrained", ["--encoder", options.encoder])):
        took: dict[str, list[float]] = {"preprocess": [], "train": []}
        for count in (FEW, MANY):
            labels.write_text("\n".join(["trailer,genre", *rows[:count]]) + "\n")
            clips = options.out / f"{preset}_{count}"
            videos = options.out / f"videos_{count}"
            took["preprocess"].append(seconds_of("preprocess", videos, clips, "--preset", preset, *encoder))
            took["train"].append(seconds_of("train", clips, labels, options.out / f"{preset}_{count}_run", *encoder))
        for command, (few, many) in took.items():
            trailer = (many - few) / (MANY - FEW)
            minutes = [(few + (count - FEW) * trailer) / 60 for count in (100, 1000)]
            print(
                f"{preset}, {command}: {trailer:.2f} s for each trailer, {few - FEW * trailer:.0f} s for the start; "
                f"{minutes[0]:.1f} min for 100 trailers, {minutes[1]:.0f} min for 1,000",
                flush=True,
            )


if __name__ == "__main__":
    main()
