"""Time of devices, in words."""

_FEW_HOURS = 0.01
"""Less is told in seconds."""
_HOURS_RATHER_THAN_SECONDS = 0.1
"""The same of two amounts, the smaller of which would be a long fraction of an hour."""


def device_hours(hours: float, kind: str) -> str:
    """`1.5 CPU core hours`, `30 CPU core seconds`."""
    if hours >= _FEW_HOURS:
        return f"{_rounded(hours)} {kind} hours"
    return f"{_rounded(3600 * hours)} {kind} seconds" if hours >= 1 / 3600 else f"less than 1 {kind} second"


def used_of_expected(used: float, expected: float | None, kind: str) -> str:
    """`1.2 of about 5.3 GPU hours`, both in one unit; without the second where it is not known or no more.

    Args:
        used: hours so far.
        expected: hours in the end.
        kind: of device, such as `GPU`.
    """
    if expected is None or expected <= used:
        return device_hours(used, kind)
    if expected >= _HOURS_RATHER_THAN_SECONDS:
        return f"{_rounded(used)} of about {_rounded(expected)} {kind} hours"
    return f"{_rounded(3600 * used)} of about {_rounded(3600 * expected)} {kind} seconds"


def _rounded(amount: float) -> str:
    """Two digits, without an exponent."""
    return f"{float(f'{amount:.2g}'):,.10g}"
