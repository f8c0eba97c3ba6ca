"""Work ahead in a thread: decoding the next frames while the last ones are scored.

OpenCV and TensorFlow release the interpreter while they compute, so one thread is enough for both to run at once.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from typing import Any, TypeVar

ItemT = TypeVar("ItemT")


def prefetch(items: Iterator[ItemT], *, ahead: int = 2) -> Generator[ItemT]:
    """Yield the items of an iterator that runs in a thread, at most `ahead` items before the reader.

    An exception of the iterator is raised here, in its place. When the reader stops early, the iterator is closed.

    Parameters
    ----------
    items : iterator
        Advanced only in the thread; a generator's `finally` runs there too.
    ahead : int
        Most items waiting, at least 1: the memory that this costs.
    """
    waiting: queue.Queue[tuple[str, Any]] = queue.Queue(maxsize=ahead)
    stopped = threading.Event()

    def offer(kind: str, item: Any) -> None:
        while not stopped.is_set():
            try:
                waiting.put((kind, item), timeout=0.1)
                return
            except queue.Full:
                continue

    def work() -> None:
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

    thread = threading.Thread(target=work, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            kind, item = waiting.get()
            if kind == "end":
                return
            if kind == "error":
                raise item
            yield item
    finally:
        stopped.set()
        thread.join()
