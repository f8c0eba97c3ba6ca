"""The progress bar of every long command: on a terminal only, quiet in a pipe."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

from genre_classifier.cli.output import one_line


def progress_bar(total: float | None, description: str, unit: str, **options: Any) -> tqdm:
    """Return a tqdm bar on stderr, disabled if stderr is not a terminal."""
    return tqdm(
        total=total,
        desc=description,
        unit=unit,
        file=sys.stderr,
        disable=not sys.stderr.isatty(),
        dynamic_ncols=True,
        **options,
    )


_FORMAT = "{desc}: {percentage:3.0f}% |{bar}| {n:.0f}/{total:.0f} s of video [{elapsed}, {remaining} left{postfix}]"


class VideoTime:
    """A bar over videos, several of them at once.

    Parameters
    ----------
    videos : iterable of Path
        Their paths as text are their keys. How long the ones to come are is guessed from their bytes and the ones
        before.
    what : str
        What is done with them.
    """

    def __init__(self, videos: Iterable[Path], what: str) -> None:
        self._sizes = {str(video): video.stat().st_size if video.is_file() else 0 for video in videos}
        self._what = what
        self._waiting = sum(self._sizes.values())  # bytes
        self._past_seconds, self._past_bytes, self._past_frames = 0.0, 0, 0
        self._running: dict[str, tuple[float, float, int]] = {}
        self.bar = progress_bar(1e-9, what, "s", bar_format=_FORMAT)

    def start(self, name: str) -> None:
        """Begin a video."""
        self.bar.set_description_str(f"{self._what} {one_line(name)}")

    def step(self, key: str, now: float, end: float, frames: int) -> None:
        """Take the time of the frame that was just scored, that of the video's last one, in seconds, and a count."""
        self._running[key] = now, end, frames
        begun = sum(self._sizes[one] for one in self._running)
        known = self._past_seconds + sum(end for _, end, _ in self._running.values())
        rate = known / max(1, self._past_bytes + begun)
        self.bar.total = known + rate * (self._waiting - begun)
        frames = self._past_frames + sum(frames for *_, frames in self._running.values())
        self.bar.set_postfix_str(f"{frames / max(self.bar.format_dict['elapsed'], 1e-9):.1f} frames/s", refresh=False)
        self.bar.update(self._past_seconds + sum(now for now, *_ in self._running.values()) - self.bar.n)

    def finish(self, key: str) -> None:
        """End a video, read or not."""
        self._waiting -= self._sizes[key]
        if key in self._running:
            _, end, frames = self._running.pop(key)
            self._past_seconds += end
            self._past_bytes += self._sizes[key]
            self._past_frames += frames

    def close(self) -> None:
        """Remove the bar."""
        self.bar.close()


class TrainingProgress:
    """A bar over all steps of all epochs: the loss, and the macro-AP of the last validation; `callback` feeds it."""

    def __init__(self, epochs: int) -> None:
        self.bar = progress_bar(None, "training", "step")
        self.epochs = epochs
        self._shown: dict[str, str] = {}
        self._encoding: Any = None

    def callback(self) -> Any:
        """Return the Keras callback of the training."""
        import keras  # seconds, and of no use to the other bars

        def begin(epoch: int, logs: dict[str, Any] | None) -> None:
            steps = callback.params["steps"]
            if self.bar.total is None:
                self.bar.total = steps * self.epochs
                self.bar.update(epoch * steps)
            self.bar.set_description(f"epoch {epoch + 1}/{self.epochs}")

        def step(batch: int, logs: dict[str, Any] | None) -> None:
            self._show(logs, "loss")
            self.bar.update()

        def end(epoch: int, logs: dict[str, Any] | None) -> None:
            self._show(logs, "loss", "val_loss", "val_macro_ap")

        callback = keras.callbacks.LambdaCallback(on_epoch_begin=begin, on_epoch_end=end, on_train_batch_end=step)
        return callback

    def _show(self, logs: dict[str, Any] | None, *names: str) -> None:
        for name in names:
            value = float((logs or {}).get(name, math.nan))
            if not math.isnan(value):
                self._shown[name] = f"{value:.3f}"
        self.bar.set_postfix(self._shown, refresh=False)

    def start_encoding(self, frames: int) -> None:
        """Show how far an encoder is, before the first epoch."""
        self._encoding = progress_bar(frames, "encoding", "frame") if frames else None

    def encoded(self, frames: int) -> None:
        """Take so many more frames that are encoded."""
        if self._encoding is not None:
            self._encoding.update(frames)
            if self._encoding.n >= self._encoding.total:
                self._encoding.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._encoding is not None:
            self._encoding.close()
        self.bar.close()
