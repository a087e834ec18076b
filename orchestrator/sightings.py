"""How long things have looked as they look now, as one process saw it.

Clocks of hosts and databases jump, and a laptop sleeps. So an age is counted by the monotonic clock of the process
that looks, from the moment that it saw a change; and a gap between two looks (the process stood still, the database
was away) is hardly counted: whatever was silent meanwhile may have had the same reason.
"""

from collections.abc import Callable, Collection

LONGEST_STEP_SECONDS = 15.0
"""What the time between two looks counts at most."""


class Sightings:
    """Life: `begin_look`, then `seconds` for each thing, again and again."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Nothing is seen yet; `clock` gives monotonic seconds."""
        self._clock = clock
        self._looked_at = clock()
        self._watched_seconds = 0.0
        self._since: dict[tuple[str, str], tuple[object, float]] = {}

    def begin_look(self, subjects: Collection[str]) -> None:
        """Another look at everything begins; all but these subjects are forgotten."""
        now = self._clock()
        self._watched_seconds += min(now - self._looked_at, LONGEST_STEP_SECONDS)
        self._looked_at = now
        self._since = {key: since for key, since in self._since.items() if key[0] in subjects}

    def seconds(self, subject: str, what: str, state: object) -> float:
        """How long `what` of a subject has been seen in this state (0: that is new)."""
        known = self._since.get((subject, what))
        if known is None or known[0] != state:
            known = self._since[subject, what] = (state, self._watched_seconds)
        return self._watched_seconds - known[1]
