"""What frames go through before a network learns or scores, in batches of one size, and what paths take of the maps.

It imports no Keras: an encoder that was converted before is there in a moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from genre_classifier.network.encoder_engine import STREAMS, Engine, Program, kept_program
from genre_classifier.network.memory import BATCH
from preprocessing.base.errors import InputError

CHUNK = STREAMS * BATCH  # frames that are worth giving at once
_LEAST_NORM = 1e-3


class FrameEncoder:
    """A frozen network from frames to maps.

    Attributes
    ----------
    rows, cols : int
        Of the frames that it takes.
    cells, channels : int
        Of the maps that it gives.
    """

    rows: int
    cols: int
    cells: int
    channels: int

    @property
    def look_shape(self) -> tuple[int, int, int]:
        """Return the shape of the maps of a frame."""
        return self.channels, self.cells, self.cells

    @property
    def engine(self) -> Engine:
        """Return what computes the maps."""
        raise NotImplementedError

    @property
    def _outputs(self) -> Callable[[Iterable[np.ndarray]], Iterator[np.ndarray]]:
        """Return what computes the maps of batches, in order."""
        raise NotImplementedError

    def encode(self, frames: np.ndarray) -> np.ndarray:
        """Encode frames.

        Parameters
        ----------
        frames : ndarray of uint8, shape (n, 3, rows, cols)

        Returns
        -------
        ndarray of float16, shape (n, channels, cells, cells)

        Raises
        ------
        InputError
            If the frames have another size, or the encoder gives NaN or infinity.
        """
        expected, found = (3, self.rows, self.cols), tuple(frames.shape[1:])
        if found != expected:
            raise InputError(
                f"expected frames of {'x'.join(map(str, expected))}, which this encoder was built for, found "
                f"{'x'.join(map(str, found))}"
            )
        encoded = np.empty((len(frames), *self.look_shape), np.float16)
        for number, maps in enumerate(self._outputs(batches(np.asarray(frames, np.uint8)))):
            place = encoded[number * BATCH : (number + 1) * BATCH]
            place[:] = maps[: len(place)]
        if not np.isfinite(encoded).all():
            raise InputError("expected maps of finite numbers from the encoder, found others; use another encoder")
        return encoded


class KeptEncoder(FrameEncoder):
    """An encoder that was converted and checked before.

    Parameters
    ----------
    program : Program
    engine : Engine
    """

    def __init__(self, program: Program, engine: Engine) -> None:
        self._program, self._engine = program, engine
        _, _, self.rows, self.cols = program.takes
        _, self.channels, self.cells, _ = program.gives

    @property
    def engine(self) -> Engine:
        """Return what computes the maps."""
        return self._engine

    @property
    def _outputs(self) -> Program:
        return self._program


def kept_encoder(digest: str, engine: Engine) -> KeptEncoder | None:
    """Return the encoder of a digest on an engine as it was converted before; None where it was not."""
    program = kept_program(digest, engine)
    return None if program is None else KeptEncoder(program, engine)


def with_change(values: np.ndarray) -> np.ndarray:
    """Return an encoder's values, and how they change, as the paths take them.

    Parameters
    ----------
    values : ndarray of float, shape (looks, channels)
        In the order of time.

    Returns
    -------
    ndarray of float16, shape (looks, 2 * channels + 2)
        The values of each look divided by their norm, which says more of exposure and loudness than of the genre; how
        much they differ from those of the look before (of the first: of the second); 1, where the values are known;
        and 1 where the change is, which it is but for a single look.
    """
    values = np.asarray(values, np.float32)
    values = values / (np.linalg.norm(values, axis=1, keepdims=True) + _LEAST_NORM)
    change = np.abs(np.diff(values, axis=0))
    change = np.concatenate([change[:1], change]) if len(change) else np.zeros_like(values)
    known = np.ones((len(values), 2), np.float32)
    known[:, 1] = len(values) > 1
    return np.hstack([values, change, known]).astype(np.float16)


def batches(rows: np.ndarray) -> Iterator[np.ndarray]:
    """Yield frames, or stretches of sound, `BATCH` at a time, the last batch filled up with zeros.

    It is always so many: what becomes of one does not depend on how many there are.
    """
    for start in range(0, len(rows), BATCH):
        batch = np.zeros((BATCH, *rows.shape[1:]), rows.dtype)
        real = rows[start : start + BATCH]
        batch[: len(real)] = real
        yield batch
