"""The progress of every long command: a bar on a terminal, and a line now and then in a pipe."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

from genre_classifier.cli.output import note, one_line
from genre_classifier.cli.pace import LINE_SECONDS, LONG_SECONDS, Pace, about
from genre_classifier.config import ModelConfig


class ProgressBar(tqdm):
    """A bar on stderr; where that is not a terminal, a line each minute that says how long the rest takes.

    Parameters
    ----------
    total : float or None
        How much work there is.
    what, unit : str
        What is done, and what of it is counted.
    units : str, optional
        Of several.
    lines : bool
        Whether a pipe gets them.
    pace : Pace, optional
    **options
        Of `tqdm`.
    """

    def __init__(
        self,
        total: float | None,
        what: str,
        unit: str,
        *,
        units: str | None = None,
        lines: bool = True,
        pace: Pace | None = None,
        **options: Any,
    ) -> None:
        self._lines = lines
        self.what, self._units = what, units or f"{unit}s"
        self.pace = pace or Pace()
        super().__init__(
            total=total,
            desc=what,
            unit=unit,
            file=sys.stderr,
            disable=not sys.stderr.isatty(),
            dynamic_ncols=True,
            **options,
        )

    def reset(self, total: float | None = None) -> None:
        """Begin other work of this kind."""
        super().reset(total)
        self.pace.begin()

    def update(self, n: float | None = 1) -> bool | None:
        """Take so much more work that is done."""
        shown = super().update(n)
        if self.disable:
            self.n += n or 0
        self.pace.mark(self.n)
        left = self.pace.seconds_left(self.total or 0)
        if self.disable and self._lines and left and self.pace.is_time():
            note(
                f"{self.what}: {self.n:.0f} of {self.total:.0f} {self._units}, {about(left)} left: done about "
                f"{self.pace.done_at(left)}"
            )
        return shown


def progress_bar(total: float | None, description: str, unit: str, **options: Any) -> ProgressBar:
    """Return the progress of work that is counted in a unit, in the singular."""
    return ProgressBar(total, description, unit, **options)


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
        self.bar = progress_bar(1e-9, what, "s", units="s of video", bar_format=_FORMAT)

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
    """A bar over all steps of all epochs: the loss, and the macro-AP of the last validation; `callback` feeds it.

    In a pipe, a line as soon as it is known how long an epoch takes, and then one after an epoch, or after ten minutes.
    Before it is known, where a step takes long, a line each minute on how many of its chunks are done (`chunk`).
    """

    def __init__(self, epochs: int, *, pace: Pace | None = None) -> None:
        self.epochs, self.pace = epochs, pace or Pace(in_steps=True)
        # Drawn again when time has passed, not only after steps: one may take minutes.
        self.bar = progress_bar(None, "training", "step", lines=False, miniters=0)
        self._shown: dict[str, str] = {}
        self._encoding: Any = None
        self._epoch, self._step, self._done = 0, 0, 0.0  # of the epoch: steps, and frames
        self._chunk = ""
        self._known = False

    def callback(self) -> Any:
        """Return the Keras callback of the training."""
        import keras  # seconds, and of no use to the other bars

        def begin(epoch: int, logs: dict[str, Any] | None) -> None:
            self.begin(epoch, callback.model.config, **callback.params)

        def step(batch: int, logs: dict[str, Any] | None) -> None:
            self._show(logs, "loss")
            self.step((logs or {}).get("frames", 0.0))

        def end(epoch: int, logs: dict[str, Any] | None) -> None:
            self._show(logs, "loss", "val_loss", "val_macro_ap")
            self.end()

        callback = keras.callbacks.LambdaCallback(on_epoch_begin=begin, on_epoch_end=end, on_train_batch_end=step)
        return callback

    def begin(self, epoch: int, config: ModelConfig, *, steps: int, frames: float, seconds: float, **_: Any) -> None:
        """Begin an epoch, counted from 0, of so many steps, frames, and seconds of video."""
        if self.bar.total is None:
            self.bar.total = steps * self.epochs
            self.bar.update(epoch * steps)
            self.pace.begin(epoch * frames)
        self._epoch, self._step, self._done, self._config = epoch, 0, 0.0, config
        self._steps, self._frames, self._seconds = steps, frames, seconds
        self.bar.set_description(f"epoch {epoch + 1}/{self.epochs}")

    def chunk(self, done: str, number: int, chunks: int, frames: float) -> None:
        """Take what was done with how many of the chunks of a step, and how far it is, in frames.

        As `genre_classifier.network.model.GenreModel.configure` has it.
        """
        self._shown["chunk"] = f"{number}/{chunks} {done}"
        self._chunk = f" (step {self._step + 1} of {self._steps}: {number} of {chunks} chunks {done})"
        self._mark(self._done + frames)
        if not self._known and self.bar.disable and self.pace.is_time():
            note(f"epoch {self._epoch + 1} of {self.epochs}{self._chunk}")
        self._show(None)
        self.bar.update(0)

    def step(self, frames: float) -> None:
        """Take how many frames of the epoch are done."""
        self._step, self._done, self._chunk = self._step + 1, frames, ""
        self.bar.update()
        self._mark(frames)

    def _mark(self, frames: float) -> None:
        """Take how many frames of the epoch are done; name a faster preset once it is known how long all takes."""
        self.pace.mark(self._epoch * self._frames + min(frames, self._frames))
        first = not self._known
        if self._tell(after=600.0) and first:
            each = self.pace.seconds_for(self._frames) or 0.0
            seconds = self._seconds / self._frames
            if each * self.epochs >= LONG_SECONDS and (line := faster(self._config, each, seconds)):
                with self.bar.external_write_mode():
                    note(line)

    def end(self) -> None:
        """Take that the epoch is done, and validated."""
        self.pace.mark((self._epoch + 1) * self._frames)
        if self._epoch + 1 < self.epochs:
            self._tell(after=LINE_SECONDS)

    def _tell(self, *, after: float) -> bool:
        """Say how long the rest takes, on a terminal in the bar; return whether it is known."""
        left, each = self.pace.seconds_left(self.epochs * self._frames), self.pace.seconds_for(self._frames)
        if left is None or each is None:
            return False
        self._shown["done about"] = self.pace.done_at(left)
        if self.bar.disable and self.pace.is_time(after=after if self._known else 0.0):
            loss = f", loss {self._shown['loss']}" if "loss" in self._shown else ""
            note(
                f"epoch {self._epoch + 1} of {self.epochs}{self._chunk}, {about(each)} each{loss}: done about "
                f"{self._shown['done about']}"
            )
        self._known = True
        return True

    def _show(self, logs: dict[str, Any] | None, *names: str) -> None:
        for name in names:
            value = float((logs or {}).get(name, math.nan))
            if not math.isnan(value):
                self._shown[name] = f"{value:.3f}"
        self.bar.set_postfix(self._shown, refresh=False)

    def start_encoding(self, frames: int) -> None:
        """Show how far an encoder is, before the first epoch."""
        if self._encoding is not None:  # of the encoder before: how many frames it would see was an estimate
            self._encoding.close()
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


def faster(config: ModelConfig, epoch_seconds: float, seconds_per_frame: float) -> str | None:
    """Return a line on the preset that would train faster, and how long; None where none is much faster.

    Parameters
    ----------
    config, epoch_seconds, seconds_per_frame
        As for `genre_classifier.training.plan.fastest_preset`.
    """
    from genre_classifier.training.plan import fastest_preset

    name, seconds = fastest_preset(config, epoch_seconds, seconds_per_frame)
    if epoch_seconds < seconds:
        return None
    return f"--preset {name}, in preprocess and in train, would take {about(seconds)} on this machine"
