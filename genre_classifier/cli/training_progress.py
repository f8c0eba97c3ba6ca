"""The progress bar of a training: trailers of the epoch, the loss, and the macro-AP of the last validation."""

from __future__ import annotations

import math
from types import TracebackType
from typing import Any, Self

import keras

from genre_classifier.cli.progress import progress_bar


class TrainingProgress:
    """A bar over all steps of all epochs, fed by `callback`."""

    def __init__(self, epochs: int) -> None:
        self.bar = progress_bar(None, "training", "step")
        self.callback = _BarCallback(self.bar, epochs)
        self._encoding: Any = None

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


class _BarCallback(keras.callbacks.Callback):
    def __init__(self, bar: Any, epochs: int) -> None:
        super().__init__()
        self.bar, self.epochs = bar, epochs
        self.shown: dict[str, str] = {}

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.bar.total is None:
            self.bar.total = self.params["steps"] * self.epochs
            self.bar.update(epoch * self.params["steps"])
        self.bar.set_description(f"epoch {epoch + 1}/{self.epochs}")

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._show(logs, ("loss",))
        self.bar.update()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._show(logs, ("loss", "val_loss", "val_macro_ap"))

    def _show(self, logs: dict[str, Any] | None, names: tuple[str, ...]) -> None:
        for name in names:
            value = float((logs or {}).get(name, math.nan))
            if not math.isnan(value):
                self.shown[name] = f"{value:.3f}"
        self.bar.set_postfix(self.shown, refresh=False)
