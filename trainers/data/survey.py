"""What is known of a data set before a trial runs."""

from typing import NamedTuple

from trainers.counted import counted
from trainers.data.account import DataAccount
from trainers.data.splitting import SplitSizes
from trainers.errors import DataError

_NUM_NAMED = 5


class Survey(NamedTuple):
    """One look at a data set."""

    fingerprint: str
    """What the trial's identity knows of the data."""
    sizes: SplitSizes
    """Images of each split."""
    account: DataAccount | None
    """What was found where it lies (`None`: it is made, not found)."""


def require_readable(account: DataAccount, *, label: str) -> None:
    """Refuse a set with files that are called like images and are none: whoever reads it fails at the first of them.

    Raises:
        DataError: there are such files; the first few are named.
    """
    broken = account.unreadable
    if broken:
        more = f" and {counted(len(broken) - _NUM_NAMED, 'more', 'more')}" if len(broken) > _NUM_NAMED else ""
        images, them = ("an image", "it") if len(broken) == 1 else ("images", "them")
        raise DataError(
            f"{counted(len(broken), 'file')} of {label} can't be read as {images}, and trials would fail there: "
            f"{', '.join(broken[:_NUM_NAMED])}{more}; repair or remove {them}"
        )
