"""Processes that end with the one that started them: a service that was killed ends nothing itself."""

import multiprocessing
import os
import threading

WATCH = "end with the parent"
"""Name of the thread that waits for it."""


def end_with_parent() -> None:
    """Of a process that `multiprocessing` has spawned: it ends at once when its parent does, however that ends."""
    threading.Thread(target=_end_after_parent, name=WATCH, daemon=True).start()


def _end_after_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    # The parent alone holds the other end of a pipe as long as it lives.
    parent.join()
    os._exit(1)
