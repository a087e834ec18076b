"""Whether a server that runs still answers: one that hangs has a deadline, too."""

import time
from collections.abc import Callable

LOOK_SECONDS = 15.0
"""Pause between two questions."""
SILENT_LOOKS = 20
"""So many questions without an answer, one after another: a busy machine answers in between."""


class Pulse:
    """One server's. Life: made as it starts; `look` again and again."""

    def __init__(self, start_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing was asked yet.

        Args:
            start_seconds: how long it may take to its first answer, beside the silence that every server may keep.
            clock: monotonic seconds.
        """
        self._clock = clock
        self._asked_at = clock()
        self._silent = 0
        self._patience = SILENT_LOOKS + int(start_seconds / LOOK_SECONDS)
        self._since = clock()

    def look(self, is_healthy: Callable[[], bool]) -> str:
        """Ask, if it is time to; gives what is wrong (empty: nothing)."""
        now = self._clock()
        if now - self._asked_at < LOOK_SECONDS:
            return ""
        answers = is_healthy()
        self._asked_at = self._clock()
        if answers:
            self._silent, self._patience, self._since = 0, SILENT_LOOKS, self._asked_at
            return ""
        self._silent += 1
        return "" if self._silent < self._patience else f"has not answered for {self._asked_at - self._since:.0f} s"
