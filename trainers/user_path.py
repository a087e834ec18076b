"""Where a path leads that a user has written into a spec."""

import os
from pathlib import Path


def user_path(written: str, root: Path | None) -> Path:
    """The file or folder: `~` is the home of whoever reads it, on the machine that does.

    Args:
        written: absolute, from a home (`~/data`, `~name/data`), or relative.
        root: where relative paths start (`None`: the current folder).
    """
    # Not `Path.expanduser`, which raises where there is no such user: then `~name` is a folder's name.
    return (root or Path()) / os.path.expanduser(written)  # noqa: PTH111


def user_home() -> Path | None:
    """The home of this process's user (`None`: no HOME is set, and no passwd file knows the user)."""
    home = os.path.expanduser("~")  # noqa: PTH111
    return None if home == "~" else Path(home)
