"""Work ahead in a thread: decoding the next frames while the last ones are fitted, written or scored.

OpenCV, TensorFlow and reading release the interpreter, so one thread is enough for both sides to run at once.
"""

from __future__ import annotations

import queue
import threading
import weakref
from collections.abc import Iterator
from typing import Any, Generic, Self, TypeVar

ItemT = TypeVar("ItemT")


class Prefetch(Generic[ItemT]):
    """Iterate over the items of an iterator that runs in a thread, at most `ahead` items before the reader.

    An exception of the iterator is raised here, in its place. `close` must follow where the reader stops early; the
    iterator is closed then.

    Parameters
    ----------
    items : iterator
        Advanced only in the thread; a generator's `finally` runs there too.
    ahead : int
        Most items waiting, at least 1: the memory that this costs.
    """

    def __init__(self, items: Iterator[ItemT], *, ahead: int = 2) -> None:
        self._waiting: queue.Queue[tuple[str, Any]] = queue.Queue(maxsize=ahead)
        self._stopped = threading.Event()
        # The thread holds no reference to this object, so that it also stops when the object is collected.
        weakref.finalize(self, self._stopped.set)
        arguments = (items, self._waiting, self._stopped)
        self._thread = threading.Thread(target=_work, args=arguments, name="prefetch", daemon=True)
        self._thread.start()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ItemT:
        return self.take()

    def take(self, timeout: float | None = None) -> ItemT:
        """Return the next item.

        Raises
        ------
        TimeoutError
            If none comes for `timeout` seconds.
        StopIteration
            After the last one.
        """
        if self._stopped.is_set():
            raise StopIteration
        try:
            kind, item = self._waiting.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError from None
        if kind == "item":
            found: ItemT = item
            return found
        self.close()
        if kind == "error":
            raise item
        raise StopIteration

    def close(self) -> None:
        """Stop the thread; wait until it has closed the iterator."""
        self._stopped.set()
        self._thread.join()


def _work(items: Iterator[Any], waiting: queue.Queue[tuple[str, Any]], stopped: threading.Event) -> None:
    def offer(kind: str, item: Any) -> None:
        while not stopped.is_set():
            try:
                waiting.put((kind, item), timeout=0.1)
                return
            except queue.Full:
                continue

    try:
        for item in items:
            offer("item", item)
            if stopped.is_set():
                break
        offer("end", None)
    except BaseException as error:  # noqa: BLE001 - handed over and raised in the reader
        offer("error", error)
    finally:
        if hasattr(items, "close"):
            items.close()
