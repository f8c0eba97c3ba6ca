"""The moving-squares predictor: the smallest place to learn, and to check, what a ConvLSTM does.

A stack of ConvLSTM layers sees a noisy movie of moving squares and says, at every frame, what the next one will be.
Fed with its own answers, it rolls the movie out:

    config = PRESETS["quick"]
    noisy, shifted = generate_movies(500, config.frames, config=config)
    model = build_predictor(config)
    history = train_predictor(model, noisy, shifted, config=config)
    future = roll_out(model, noisy[:, :7], steps=16)

Movies, network and schedule are those of the Keras example `conv_lstm.py` of 2016 ("original" below, and in
`SquaresConfig`, whose defaults are its numbers).

Departures from the original
----------------------------
- **The last convolution reads the past alone** (`causal=True`). The original's, with "same" padding in time, reads
  frame t+1 while it is trained to predict frame t+1, and finds zeros there when it predicts for real: it is shown the
  answer, noise apart, and then tested without it. `causal=False` builds the original for comparison.
- **A rollout carries the recurrent state** from frame to frame, where the original starts again at the first frame for
  each prediction. Same movie, linear time.
- **What Keras changed since**: Adadelta starts at 0.001 there today and at 1.0 here, as it did then; the hard sigmoid
  of the gates is `relu6(x + 3) / 6` today and was `clip(0.2 x + 0.5, 0, 1)`.
- **Movies**: the same rules drawn from a NumPy generator with a seed, all at once, in float32, so other movies than the
  original's and the same ones each time. They are drawn straight onto the 40x40 window. The unseen movies have their
  own seed: every preset is tested on the same ones.
- **The order of the movies** depends on seed and epoch alone, so that a resumed training is the uninterrupted one.
- **The rollout is drawn to its end** beside the truth: the original predicts 16 frames and draws 8 of them, since its
  truth ends there. The truth is drawn without noise from the second frame on (the original: from the third).
- **Figures** on 200 unseen movies beside two guesses that need no learning; the original has none.
- **The epoch with the smallest validation loss is kept**, where the original keeps the last: with few movies, the
  statistics of BatchNormalization make single epochs bad.
- **The `quick` preset** is a smaller network, trained with Adam on fewer movies, which are as long as the rollouts: 23
  frames. Trained on the original's 15, such networks predict as well up to the 15th frame and soon after it call every
  pixel bright: nothing in their training kept the state from drifting for longer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import keras
import numpy as np
from keras import ops

from genre_classifier.moving_squares.config import PRESETS, SquaresConfig
from genre_classifier.moving_squares.movies import draw_squares, render_movies
from genre_classifier.network.layers import PACKAGE, ConvLSTM2D

__all__ = ["PRESETS", "SquaresConfig", "build_predictor", "generate_movies", "roll_out", "train_predictor"]

_OPTIMIZERS = {"adadelta": keras.optimizers.Adadelta, "adam": keras.optimizers.Adam}

HistoryRow = dict[str, float]


@keras.saving.register_keras_serializable(PACKAGE)
class CausalConv3D(keras.layers.Conv3D):
    """`keras.layers.Conv3D`, "same" padding, whose padding in time lies on the past side alone. Channels last."""

    def call(self, frames: Any) -> Any:
        """Convolve `(batch, frames, rows, cols, channels)`; each output reads its own frame and those before."""
        # "same" padding reads `ahead` frames too many: everything is moved later by as many. Put together rather than
        # padded: TensorFlow 2.21 fuses a padding with the convolution after it and forgets the "same" (wrong shape).
        ahead = self.kernel_size[0] // 2
        nothing = ops.repeat(ops.zeros_like(frames[:, :1]), ahead, axis=1)
        moved = super().call(ops.concatenate([nothing, frames], axis=1))
        return moved[:, : ops.shape(moved)[1] - ahead]


def generate_movies(
    n_samples: int = 1200,
    n_frames: int = 15,
    *,
    seed: int | Sequence[int] = 0,
    config: SquaresConfig | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw movies of three to seven squares, each moving at a constant speed.

    Parameters
    ----------
    n_samples, n_frames : int
    seed : int or sequence of int
        The same seed gives the same movies; more frames continue them.
    config : SquaresConfig, optional
        Sizes, numbers, speed and noise.

    Returns
    -------
    noisy : ndarray of float32, shape (n_samples, n_frames, rows, cols, 1)
        What the predictor sees: at most 1; noise on an empty pixel may leave it below 0, as in the original.
    shifted : ndarray of float32, shape (n_samples, n_frames, rows, cols, 1)
        What it is asked for: the same squares one frame later, without noise, 0 or 1.
    """
    config = config or SquaresConfig()
    return render_movies(draw_squares(n_samples, n_frames, seed=seed, config=config), config.size)


def build_predictor(config: SquaresConfig | None = None) -> keras.Model:
    """Build the network, with fresh weights and compiled: ConvLSTM and BatchNormalization layers, then a convolution.

    Parameters
    ----------
    config : SquaresConfig, optional
        Sizes, `causal`, optimizer and its learning rate; the defaults are the original's but for `causal`.

    Returns
    -------
    keras.Model
        From noisy movies `(batch, frames, rows, cols, 1)` to the next frame at each frame, in [0, 1], same shape. Its
        weights fit `keras.layers.ConvLSTM2D`, `BatchNormalization` and `Conv3D` in this order. Seed it with
        `keras.utils.set_random_seed` beforehand.
    """
    config = config or SquaresConfig()
    movies = frames = keras.Input((None, config.size, config.size, 1), name="movies")
    for number in range(1, config.layers + 1):
        frames, *_ = ConvLSTM2D(
            config.filters,
            config.kernel,
            padding="same",
            recurrent_activation="hard_sigmoid",
            return_sequences=True,
            return_state=True,  # for rollouts
            name=f"convlstm_{number}",
        )(frames)
        frames = keras.layers.BatchNormalization(momentum=config.norm_momentum, name=f"norm_{number}")(frames)
    convolution = CausalConv3D if config.causal else keras.layers.Conv3D
    next_frame = convolution(1, config.kernel, padding="same", activation="sigmoid", name="next_frame")
    model = keras.Model(movies, next_frame(frames), name="moving_squares")
    model.compile(
        _OPTIMIZERS[config.optimizer](learning_rate=config.learning_rate),
        "binary_crossentropy",
        jit_compile=keras.backend.backend() == "jax",  # on a CPU, TensorFlow's own kernels beat XLA's
    )
    return model


def train_predictor(
    model: keras.Model,
    noisy: np.ndarray,
    shifted: np.ndarray,
    *,
    config: SquaresConfig | None = None,
    history: Sequence[HistoryRow] = (),
    on_step: Callable[[int, int], None] = lambda done, total: None,
    on_epoch: Callable[[list[HistoryRow]], None] = lambda rows: None,
) -> list[HistoryRow]:
    """Train in place, up to `config.epochs` epochs in all.

    Parameters
    ----------
    model : keras.Model
        Of `build_predictor`, or loaded.
    noisy, shifted : ndarray of float32, shape (samples, frames, rows, cols, 1)
        As from `generate_movies`. The last `config.validation_share` of them are for validation.
    config : SquaresConfig, optional
        Epochs, batch size, validation share and seed.
    history : sequence of dict
        Rows of the epochs that `model` has behind it.
    on_step, on_epoch : callable
        Called after each batch with the batches done and their total; after each epoch with all rows.

    Returns
    -------
    list of dict
        One row per epoch: epoch (from 1), loss, val_loss (where there is validation) and seconds (wall time).
    """
    config = config or SquaresConfig()
    training = len(noisy) - int(len(noisy) * config.validation_share)
    validation = (noisy[training:], shifted[training:]) if training < len(noisy) else None
    batches = math.ceil(training / config.batch_size)
    rows = list(history)
    for epoch in range(len(rows), config.epochs):
        started = perf_counter()
        order = np.random.default_rng((config.seed, epoch)).permutation(training)
        step = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs, past=epoch * batches: on_step(
                past + batch + 1, config.epochs * batches
            )
        )
        log = model.fit(
            noisy[order],
            shifted[order],
            batch_size=config.batch_size,
            shuffle=False,
            validation_data=validation,
            validation_batch_size=config.batch_size,
            verbose=0,
            callbacks=[step],
        )
        losses = {name: float(values[0]) for name, values in log.history.items()}
        rows.append({"epoch": epoch + 1, **losses, "seconds": round(perf_counter() - started, 3)})
        on_epoch(rows)
    return rows


def roll_out(model: keras.Model, first_frames: np.ndarray, steps: int) -> np.ndarray:
    """Continue movies with the network's own predictions; the work grows linearly with `steps`.

    Parameters
    ----------
    model : keras.Model
        Of `build_predictor`, or of plain Keras layers stacked and named like it.
    first_frames : ndarray of float32, shape (batch, given, rows, cols, 1)
        At least one frame.
    steps : int
        Frames to predict; each is shown to the network before the next.

    Returns
    -------
    ndarray of float32, shape (batch, steps, rows, cols, 1)
        In [0, 1].
    """
    *body, head = model.layers[1:]
    window = head.kernel_size[0]  # frames that the last prediction is made from
    states: dict[str, Any] = {}
    seen = None
    frames = np.asarray(first_frames, np.float32)
    predicted = []
    for _ in range(steps):
        maps: Any = frames
        for layer in body:
            if isinstance(layer, keras.layers.ConvLSTM2D):
                maps, *states[layer.name] = layer(maps, initial_state=states.get(layer.name))
            else:
                maps = layer(maps, training=False)
        seen = maps if seen is None else ops.concatenate([seen, maps], axis=1)
        seen = seen[:, -window:]
        frames = ops.convert_to_numpy(head(seen, training=False)[:, -1:])
        predicted.append(frames)
    return np.concatenate(predicted, axis=1) if predicted else frames[:, :0]
