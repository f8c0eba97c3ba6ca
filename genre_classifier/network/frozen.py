"""What pretrained networks that look and that listen share: frozen, known by a digest, in batches of one size."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np

from genre_classifier.network.backend import Tensor, program
from genre_classifier.network.memory import BASE_BYTES, BATCH, FLOAT
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

    Attributes
    ----------
    network : keras.Model
    """

    def __init__(self, network: keras.Model) -> None:
        self.network = network
        self.network.trainable = False

    @cached_property
    def digest(self) -> str:
        """Return a SHA-256 over layers and weights: equal for the same network."""
        layers = _nameless(self.network.get_config())
        digest = hashlib.sha256(json.dumps(layers, sort_keys=True, default=str).encode())
        for weight in self.network.get_weights():
            digest.update(np.ascontiguousarray(weight).tobytes())
        return digest.hexdigest()

    @property
    def bytes_needed(self) -> float:
        """Return about how much memory a process takes that encodes with it."""
        return BASE_BYTES + FLOAT * 2 * self.network.count_params() + self._maps_bytes

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

    def steps(self) -> Callable[[Tensor], Tensor]:
        """Return the function that encodes a batch inside a program."""
        raise NotImplementedError

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
