"""What was refused is tried again later, and later still: one bad run must not hold up the others."""

import time

_FIRST_PAUSE_SECONDS = 2.0
_LONGEST_PAUSE_SECONDS = 600.0


class Patience:
    """Remembers, for as long as the process lives, what not to try before when."""

    def __init__(self) -> None:
        self._pauses: dict[str, tuple[float, float]] = {}

    def may_try(self, name: str) -> bool:
        """Whether the pause of this thing is over."""
        return name not in self._pauses or time.monotonic() >= self._pauses[name][0]

    def postpone(self, name: str) -> float:
        """Not before a while, which doubles every time; gives the seconds."""
        before = self._pauses[name][1] if name in self._pauses else _FIRST_PAUSE_SECONDS / 2
        pause = min(_LONGEST_PAUSE_SECONDS, 2 * before)
        self._pauses[name] = (time.monotonic() + pause, pause)
        return pause

    def forget(self, name: str) -> None:
        """It worked."""
        self._pauses.pop(name, None)
