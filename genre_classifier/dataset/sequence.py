"""The generator that feeds trailers to Keras, a batch of clips at a time; a batch's frames are read when asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeAlias

import keras
import numpy as np

from genre_classifier.config import Augmentation
from genre_classifier.dataset.augmentation import Change, draw_change, possible_lengths
from genre_classifier.dataset.looks import ClipInputs
from genre_classifier.dataset.trailers import Trailer
from genre_classifier.network.layers import MAP_PADDING, PADDING
from preprocessing.base.errors import InputError
from preprocessing.processes.machine import release_pages


class BatchFrames:
    """The frames of a batch, read from the clips when asked for: `batch[:, start:stop]`, or all by `np.asarray`.

    Parameters
    ----------
    clips : sequence of (memmap, Change)
        uint8 (frames, 3, rows, cols) each, or float16 (frames, channels, rows, cols) encoded ones, or features (frames,
        features), and what happens to it.
    frames : int
        Of the batch; what a clip lacks is padded at its end.
    dtype : numpy dtype
        int16 where pixels are padded, since no uint8 can hold the padding; float16 for encoded clips.

    Attributes
    ----------
    shape : tuple of int
        (batch, frames, 3, rows, cols)
    dtype : numpy dtype
    """

    def __init__(self, clips: Sequence[tuple[np.ndarray, Change]], frames: int, dtype: np.dtype) -> None:
        self._clips = clips
        self.shape = (len(clips), frames, *clips[0][0].shape[1:])
        self.dtype = dtype
        # Features are not known of padded frames, which is what 0 at their end says.
        self._padding = 0 if len(self.shape) == 3 else MAP_PADDING if dtype == np.float16 else PADDING

    def __getitem__(self, key: tuple[slice, slice]) -> np.ndarray:
        """Read frames of some clips: `[clips, frames]`, both slices, the second with a step of 1."""
        chosen, stretch = key
        clips, places = self._clips[chosen], range(self.shape[1])[stretch]
        frames = np.empty((len(clips), len(places), *self.shape[2:]), self.dtype)
        for row, (clip, change) in zip(frames, clips, strict=True):
            kept = change.kept[places.start : places.stop]
            part = clip[kept.start : kept.stop : kept.step]
            row[: len(kept)] = change.apply(part) if part.ndim == 4 else part
            row[len(kept) :] = self._padding if len(kept) < len(row) else 0
            release_pages(clip)
        return frames

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Read all of it."""
        return self[:, :].astype(dtype or self.dtype, copy=False)


BatchInputs: TypeAlias = Any  # BatchFrames, or a dict of them: frames, and features of each sense


class TrailerSequence(keras.utils.PyDataset):
    """Batches of trailers for `model.fit`: one trailer (or a few, padded) at a time, shuffled again each epoch.

    Each batch is `(frames, targets, weights)`:

    - frames: `(batch, frames, 3, rows, cols)`, uint8 where nothing needs padding; where lengths vary within a batch, or
      at random, int16 and padded at the end with -1, which the model leaves out; of encoded clips float16
      `(batch, frames, channels, rows, cols)`, padded with -65504; with an encoder's looks beside them a dict of
      "frames" and of features, `(batch, frames, features)`, zeros where padded;
    - targets: a tuple of float32 arrays, one per genre in the order of `Trailer.targets`: `(batch, frames, 1)` with
      `weak="broadcast"`, fit for any Keras loss; `(batch, frames, 2)` otherwise, the second channel being 1
      where the trailer's label is weak, as `genre_classifier.network.losses.TrailerLoss` takes them;
    - weights: a tuple of as many float32 `(batch, frames)`, 0 for padded frames and those without a label.

    Parameters
    ----------
    trailers : sequence of Trailer
        See `load_trailers`.
    batch_size : int
        Trailers per batch.
    shuffle : bool
        A new order each epoch; it depends on `seed` and the epoch alone, so that a resumed training sees the same.
    seed : int
    weak : {"broadcast", "pool", "mean"}
        How weak labels are handed on.
    balance : ndarray of float, shape (2, genres), optional
        Weight of a frame without and with the genre, per genre.
    augmentation : Augmentation, optional
        Random changes to each clip, the same for all of its frames. With `crop_frames`, an epoch takes as many crops
        of each trailer, from random places, as fit into it side by side; each is a trailer of its own to the loss.
    grey_channels : int
        Of encoded trailers: so many last channels are pixels of a small grey picture (`ModelConfig.grey_channels`).
    share : tuple of int
        `(rank, count)`: of `count` processes that train together this is number `rank`, and gets every `count`-th row
        of each batch, and rows of padding where there are not enough. Its pixels are int16.
    workers : int
        Threads that load ahead of the training; 0 loads in turn with it.
    """

    def __init__(
        self,
        trailers: Sequence[Trailer],
        *,
        batch_size: int = 1,
        shuffle: bool = True,
        seed: int = 0,
        weak: str = "broadcast",
        balance: np.ndarray | None = None,
        augmentation: Augmentation | None = None,
        grey_channels: int = 0,
        share: tuple[int, int] = (0, 1),
        workers: int = 1,
    ) -> None:
        # Each waiting batch is a batch in memory: one being loaded, one ready.
        super().__init__(workers=workers, max_queue_size=1)
        if not trailers:
            raise InputError("expected at least one labelled trailer, found none")
        self.trailers = list(trailers)
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.weak = weak
        self._genres = self.trailers[0].targets.shape[1]
        self.balance = np.ones((2, self._genres), dtype=np.float32) if balance is None else balance
        self.augmentation, self.grey_channels, self.share = augmentation, grey_channels, share
        # What an epoch is made of: pairs of a trailer and the number of its crop.
        self._crops = [
            (which, crop)
            for which, trailer in enumerate(self.trailers)
            for crop in range(_crops_per_epoch(len(trailer.times), augmentation))
        ]
        frames = [len(self.trailers[which].times) for which, _ in self._crops]
        lengths = [{count} if augmentation is None else possible_lengths(count, augmentation) for count in frames]
        self._lengths = [max(possible) for possible in lengths]
        self._lengths_vary = len(set.union(*lengths)) > 1
        self._padded = self._lengths_vary and (batch_size > 1 or any(len(possible) > 1 for possible in lengths))
        self.epoch = 0

    @property
    def epoch(self) -> int:
        """The epoch, counted from 0, whose order and augmentation the batches follow."""
        return self._epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._epoch = epoch
        self._order = np.arange(len(self._crops))
        if self.shuffle:
            np.random.default_rng([self.seed, epoch]).shuffle(self._order)
        if self._lengths_vary and not self._padded:
            # Keras fixes the number of frames for good where its first two batches agree in it: they must not.
            lengths = np.array(self._lengths)[self._order]
            other = int(np.argmax(lengths != lengths[0]))
            self._order[[1, other]] = self._order[[other, 1]]

    @property
    def frames(self) -> int:
        """How many frames the batches of the epoch have in all, padding included; with random strides, at most."""
        lengths = np.array(self._lengths)[self._order]
        batches = (lengths[start : start + self.batch_size] for start in range(0, len(lengths), self.batch_size))
        return int(sum(len(batch) * batch.max() for batch in batches))

    @property
    def seconds(self) -> float:
        """How many seconds of video the frames of an epoch stand for."""
        videos = sum(trailer.times[-1] - trailer.times[0] for trailer in self.trailers)
        return float(videos) * self.frames / sum(len(trailer.times) for trailer in self.trailers)

    def __len__(self) -> int:
        return -(-len(self._crops) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
        """Load batch `index` of the epoch."""
        frames, targets, weights = self.batch(index)
        return keras.tree.map_structure(np.asarray, frames), targets, weights

    def batch(self, index: int) -> tuple[BatchInputs, tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
        """Return batch `index` of the epoch, its frames still on disk."""
        chosen = [self._crops[which] for which in self._order[index * self.batch_size : (index + 1) * self.batch_size]]
        clips = [self._open(which, crop) for which, crop in chosen]
        longest = max(len(change.kept) for _, change in clips)
        if self._padded:
            # An odd number of frames in the second batch, even ones elsewhere: see the note on Keras above.
            longest += (longest + (index == 1)) % 2
        channels = 1 if self.weak == "broadcast" else 2
        targets = np.zeros((self._genres, len(clips), longest, channels), dtype=np.float32)
        weights = np.zeros((self._genres, len(clips), longest), dtype=np.float32)
        for row, ((which, _), (_, change)) in enumerate(zip(chosen, clips, strict=True)):
            trailer, real = self.trailers[which], slice(len(change.kept))
            target, known = trailer.targets[change.kept], trailer.labelled[change.kept]
            targets[:, row, real, 0] = target.T
            if self.weak != "broadcast":
                targets[:, row, :, 1] = trailer.weak
            weights[:, row, real] = np.where(target > 0, self.balance[1], self.balance[0]).T * known
        if self.share[1] == 1:
            return _batch_inputs(clips, longest, padded=self._padded), tuple(targets), tuple(weights)
        return self._own_share(clips, longest, targets, weights)

    def _own_share(
        self, clips: list[tuple[Any, Change]], frames: int, targets: np.ndarray, weights: np.ndarray
    ) -> tuple[BatchInputs, tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
        """Return the rows of this process, as many of one type in every batch: all processes must compile alike."""
        rank, count = self.share
        own, rows = slice(rank, None, count), -(-self.batch_size // count)
        padding = (clips[0][0], dataclasses.replace(clips[0][1], kept=range(0)))
        lacking = rows - len(clips[own])
        shares = (np.pad(one[:, own], [(0, 0), (0, lacking), *[(0, 0)] * (one.ndim - 2)]) for one in (targets, weights))
        chosen = _batch_inputs([*clips[own], *[padding] * lacking], frames, padded=True)
        own_targets, own_weights = map(tuple, shares)
        return chosen, own_targets, own_weights

    def on_epoch_end(self) -> None:
        """Move to the next epoch's order; called by Keras."""
        self.epoch += 1

    def _open(self, which: int, crop: int) -> tuple[Any, Change]:
        trailer = self.trailers[which]
        clip = trailer.open()
        if self.augmentation is None:
            return clip, Change(range(len(clip)))
        rng = np.random.default_rng([self.seed, self.epoch, trailer.trailer_id, 1 + crop])
        change = draw_change(len(clip), self.augmentation, rng)
        return clip, dataclasses.replace(change, grey_channels=self.grey_channels)


def _batch_inputs(clips: Sequence[tuple[Any, Change]], frames: int, *, padded: bool) -> BatchInputs:
    """Return clips as a batch: of frames, or a dict of frames and features."""
    first = clips[0][0]
    if isinstance(first, ClipInputs):
        return {
            name: _batch_inputs([(clip.parts[name], change) for clip, change in clips], frames, padded=padded)
            for name in first.parts
        }
    return BatchFrames(clips, frames, np.dtype(np.int16) if padded and first.dtype == np.uint8 else first.dtype)


def _crops_per_epoch(frames: int, augmentation: Augmentation | None) -> int:
    """Return how many crops of a trailer make an epoch: as many as fit into it side by side, at least one."""
    if augmentation is None or augmentation.crop_frames is None:
        return 1
    fit = max(1, frames // augmentation.crop_frames)
    return fit if augmentation.crops_per_epoch is None else min(fit, augmentation.crops_per_epoch)
