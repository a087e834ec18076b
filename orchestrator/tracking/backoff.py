"""What was refused is tried again later, and later still: one bad run must not hold up the others."""

_FIRST_PAUSE_SECONDS = 2.0
_LONGEST_PAUSE_SECONDS = 600.0
_MAX_DOUBLINGS = 16


def pause_after(refusals: int) -> float:
    """Seconds to wait after so many refusals, one after another: twice as long each time, up to ten minutes."""
    return min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0 ** min(refusals - 1, _MAX_DOUBLINGS))
