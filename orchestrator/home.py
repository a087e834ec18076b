"""Where a sigmalab keeps its state. Light: the command line asks before anything else is imported."""

import os
from pathlib import Path

FOLDER = ".sigmalab"


def state_folder() -> Path:
    """SIGMALAB_HOME, else `.sigmalab` in the current folder if it is there, else `~/.sigmalab`.

    `make demo` and `make serve` keep their state in the checkout; commands typed there find it without a variable.
    """
    home = os.environ.get("SIGMALAB_HOME")
    if home:
        return Path(home).absolute()
    here = Path.cwd() / FOLDER
    return here if here.is_dir() else Path.home() / FOLDER
