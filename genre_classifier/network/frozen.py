"""What pretrained networks that look and that listen share: frozen, known by a digest, in batches of one size."""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from genre_classifier.network.backend import Tensor, program
from genre_classifier.network.encoder_engine import KERAS, Engine, Program, kept_program, openvino_program
from genre_classifier.network.memory import BASE_BYTES, BATCH, FLOAT, OPENVINO_BYTES
from preprocessing.base.errors import InputError
from preprocessing.base.files import atomic_path
from preprocessing.processes.machine import available_bytes

LARGEST = 65000.0  # of what is said: what is further from zero does not fit into float16, or means padding
_COPIES = 4.0  # of the largest maps that are alive at once


class FrozenNetwork:
    """A network whose weights do not change.

    Parameters
    ----------
    network : keras.Model
    engine : Engine
        What is to compute it; see `engine`.

    Attributes
    ----------
    network : keras.Model
    kind : str
        For messages.
    """

    kind = "network"

    def __init__(self, network: keras.Model, engine: Engine = KERAS) -> None:
        self.network = network
        self.network.trainable = False
        self._wanted = engine

    @cached_property
    def digest(self) -> str:
        """Return a SHA-256 over layers and weights: equal for the same network."""
        layers = _nameless(self.network.get_config())
        digest = hashlib.sha256(json.dumps(layers, sort_keys=True, default=str).encode())
        for weight in self.network.get_weights():
            digest.update(np.ascontiguousarray(weight).tobytes())
        return digest.hexdigest()

    @property
    def output_digest(self) -> str:
        """Return a SHA-256 that is equal for encoders that give the same: of the network, and what computes it."""
        if self.engine == KERAS:
            return self.digest
        return hashlib.sha256(f"{self.digest} {self.engine}".encode()).hexdigest()

    @property
    def engine(self) -> Engine:
        """Return what computes it: what was asked for, or Keras where OpenVINO turns out not to give the same."""
        return KERAS if self._converted is None else self._wanted

    def on(self, engine: Engine) -> Self:
        """Return the same network, computed by another engine."""
        if engine == self._wanted:
            return self
        other = copy.copy(self)
        other._wanted = engine
        other.__dict__.pop("_converted", None)
        return other

    def require_working_on(self, engine: Engine, name: str) -> Self:
        """Return it; InputError, with the name, where an engine that another process has chosen cannot compute it."""
        if self.engine != engine:
            raise InputError(
                f"{name}: expected an encoder that works on {engine}, as where it was written, found one that works on "
                f"{self.engine}"
            )
        return self

    @property
    def bytes_needed(self) -> float:
        """Return about how much memory a process takes that encodes with it."""
        weights = FLOAT * 2 * self.network.count_params()
        openvino = OPENVINO_BYTES + 2 * weights if self._wanted.name == "openvino" else 0
        return BASE_BYTES + weights + self._maps_bytes + openvino

    @property
    def _maps_bytes(self) -> float:
        return FLOAT * _COPIES * BATCH * max(math.prod(shape[1:]) for shape in _output_shapes(self.network))

    def require_room(self, name: str) -> Self:
        """Return it; refuse one whose maps take more memory than there is, which few weights can make.

        Raises
        ------
        InputError
            With the name.
        """
        if (needed := self._maps_bytes) > (free := available_bytes()):
            raise InputError(
                f"{name}: expected a network that fits into memory, found one whose maps take {needed / 1e6:.0f} MB "
                f"({free / 1e6:.0f} MB are free)"
            )
        return self

    def save(self, path: Path) -> None:
        """Write the network to a `.keras` file, whole or not at all."""
        with atomic_path(path) as temporary:
            self.network.save(temporary)

    def steps(self, *, plain: bool = False) -> Callable[[Tensor], Tensor]:
        """Return the function that encodes a batch inside a program.

        Parameters
        ----------
        plain : bool
            Of operations that other programs know.
        """
        raise NotImplementedError

    def check_batch(self) -> np.ndarray:
        """Return a batch, always the same one, on which another engine is compared with Keras."""
        raise NotImplementedError

    @cached_property
    def _converted(self) -> Program | None:
        if self._wanted == KERAS:
            return None
        if (kept := kept_program(self.digest, self._wanted)) is not None:
            return kept
        batch = self.check_batch()
        steps, expected = self.steps(plain=True), next(self._by_keras([batch]))
        return openvino_program(
            steps, self.network.variables, batch, expected, self._wanted, digest=self.digest, kind=self.kind
        )

    @property
    def _outputs(self) -> Callable[[Iterable[np.ndarray]], Iterator[np.ndarray]]:
        return self._converted or self._by_keras

    def _by_keras(self, batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for batch in batches:
            yield np.asarray(self._program(ops.convert_to_tensor(batch)))

    @cached_property
    def _program(self) -> Callable[[Tensor], Tensor]:
        return program(self.steps(), self.network.variables)


def _output_shapes(network: keras.Model) -> Iterator[tuple[int, ...]]:
    """Yield the shapes of the maps of a network, and of the networks inside it."""
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            yield from _output_shapes(layer)
        else:
            yield from (tensor.shape for tensor in keras.tree.flatten(layer.output))


def _nameless(part: Any) -> Any:
    """Return a configuration without what its maps do not depend on: names, which Keras numbers, and types."""
    if isinstance(part, dict):
        return {key: _nameless(value) for key, value in part.items() if key not in ("name", "build_config")}
    return [_nameless(value) for value in part] if isinstance(part, list | tuple) else part
