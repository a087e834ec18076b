"""A deadline for a trial that hangs: a lock that nobody lets go, a disk that never answers, a collective of dead ranks.

Nobody outside can tell a hung trial from a slow one but by its silence. So its own process watches over it, writes down
where each thread stands, and ends itself; for Tune the execution is lost, and the next one goes on from the checkpoint.
"""

import faulthandler
import os
import threading
from types import TracebackType
from typing import Self

EXIT_STATUS = 70
"""EX_SOFTWARE of sysexits.h."""


class SilenceLimit:
    """Use as a context manager around a trial; `touch` whenever it shows that it lives."""

    def __init__(self, seconds: float | None) -> None:
        """Nothing is watched yet; `None`: nothing ever is."""
        self._seconds = seconds
        self._touched, self._is_over = threading.Event(), False

    def touch(self) -> None:
        """The trial lives."""
        self._touched.set()

    def __enter__(self) -> Self:
        if self._seconds is not None:
            threading.Thread(target=self._watch, args=(self._seconds,), name="silence-limit", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._is_over = True
        self.touch()

    def _watch(self, seconds: float) -> None:
        while self._touched.wait(seconds):
            self._touched.clear()
            if self._is_over:
                return
        # Into the trial's own log, if it has one by now; not through Python's buffers, which may be what hangs.
        os.write(2, f"this trial gave no sign of life for {seconds:.0f} s: it was taken for hung, and ended\n".encode())
        faulthandler.dump_traceback(2, all_threads=True)
        os._exit(EXIT_STATUS)
