"""The scores of a video with ONNX Runtime and OpenCV alone: `python tag_with_onnx.py model/ video.mp4 > scores.csv`."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import onnxruntime


def halved(image):
    return cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2), interpolation=cv2.INTER_AREA)


def resized(image, size):
    """Resize as `preprocessing/fitting.py` does: areas are averaged, those of large pictures by samples."""
    rows, cols = image.shape[:2]
    shrink, samples = max(rows, cols) / size, 4
    if rows * cols >= 640 * 360 and shrink > 1:
        if size > 256:
            samples = 1 if shrink <= 2.2 else 2
        while samples > 1 and min(image.shape[:2]) >= samples * size and not any(n % 2 for n in image.shape[:2]):
            image = halved(image)
        if max(image.shape[:2]) / size <= 2.2 * samples:
            image = cv2.resize(image, (samples * size, samples * size), interpolation=cv2.INTER_LINEAR)
            while len(image) > size:
                image = halved(image)
            return image
        return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    image = cv2.resize(image, (min(size, cols), min(size, rows)), interpolation=cv2.INTER_AREA)
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)  # along axes that grow


folder, video = Path(sys.argv[1]), sys.argv[2]
facts = json.loads((folder / "model.json").read_text(encoding="utf-8"))
size, fps, most, fit, trim = (facts["preprocessing"][name] for name in ("size", "fps", "frames", "fit", "trim_bars"))
if fit != "stretch" or trim:
    sys.exit(f"{folder}: this example stretches whole frames, found fit {fit}, trim_bars {trim}")
if "features" in facts or "softmax" in facts["calibration"]:
    sys.exit(
        f"{folder}: this example gives frames alone, and scores each genre by itself; model.json says what is else"
    )
times, capture = [], cv2.VideoCapture(video)
while capture.grab():
    times.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
if len(times) < 2:
    sys.exit(f"{video}: expected a video of some frames, found {len(times)}")
if fps:  # what is shown every 1/fps seconds
    ticks, edges = np.arange(0, times[-1] + np.median(np.diff(times)), 1 / fps), np.array(times[1:]) - 1e-6
else:  # what is nearest to evenly spread times
    ticks, edges = np.linspace(times[0], times[-1], min(most, len(times))), (np.array(times[1:]) + times[:-1]) / 2
picks = set(np.unique(np.searchsorted(edges, ticks, side="right"))[:most].tolist())

session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
states = {state["name"]: np.zeros(state["shape"], np.float32) for state in facts["states"]}
wanted = ["scores", *(state["next"] for state in facts["states"])]
temperatures = np.array([facts["temperatures"][genre] for genre in facts["genres"]])
print("time", *facts["genres"], sep=",")
capture = cv2.VideoCapture(video)
for index, time in enumerate(times):
    capture.grab()
    if index in picks:
        image = resized(capture.retrieve()[1], size)
        frame = np.ascontiguousarray(image[None, :, :, ::-1].transpose(0, 3, 1, 2))  # BGR to RGB, channels first
        raw, *values = session.run(wanted, {"frame": frame, **states})
        states = dict(zip(states, values, strict=True))
        sure = np.clip(raw[0].astype(float), 1e-7, 1 - 1e-7)  # as `tag` calibrates
        print(time, *1 / (1 + (1 / sure - 1) ** (1 / temperatures)), sep=",")
