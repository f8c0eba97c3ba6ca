"""The scores of a video with ONNX Runtime, OpenCV and NumPy alone, as `genre-classifier tag` writes them.

`genre-classifier export-model runs/mine model/ --to onnx`, and wherever Python runs
`python tag_with_onnx.py model/ video.mp4 > scores.csv`.
"""

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
clip = facts["preprocessing"]
size = clip["size"]
if clip["fit"] != "stretch" or clip["trim_bars"]:
    sys.exit(f"{folder}: this example stretches whole frames, found fit {clip['fit']}, trim_bars {clip['trim_bars']}")

# Which frames: those shown at each 1/fps seconds, or some spread evenly over the video.
times, capture = [], cv2.VideoCapture(video)
while capture.grab():
    times.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
if not times:
    sys.exit(f"{video}: expected a video, found no frame")
begins = np.array([0.0, *times[1:]]) - 1e-6
if clip["fps"] is not None:
    end = times[-1] + (np.median(np.diff(times)) if len(times) > 1 else 0.04)
    picks = np.searchsorted(begins, np.arange(np.ceil(end * clip["fps"])) / clip["fps"], side="right") - 1
elif len(times) <= clip["frames"]:
    picks = np.arange(len(times))
else:
    even = np.linspace(times[0], times[-1], clip["frames"])
    picks = np.searchsorted((np.array(times[1:]) + times[:-1]) / 2, even)
picks = set(np.unique(picks)[: clip["frames"]].tolist())

session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
names = [output.name for output in session.get_outputs()]
states = {state["name"]: np.zeros(state["shape"], np.float32) for state in facts["states"]}
temperatures = np.array([facts["temperatures"][genre] for genre in facts["genres"]])
print("frame", "time", *facts["genres"], sep=",")
row, capture = 0, cv2.VideoCapture(video)
for index, time in enumerate(times):
    capture.grab()
    if index not in picks:
        continue
    image = resized(capture.retrieve()[1], size)
    frame = np.ascontiguousarray(image[None, :, :, ::-1].transpose(0, 3, 1, 2))  # BGR to RGB, channels first
    outputs = dict(zip(names, session.run(None, {"frame": frame, **states}), strict=True))
    states = {state["name"]: outputs[state["next"]] for state in facts["states"]}
    raw = np.clip(outputs["scores"][0].astype(float), 1e-7, 1 - 1e-7)
    print(row, time, *1 / (1 + ((1 - raw) / raw) ** (1 / temperatures)), sep=",")
    row += 1
