"""Where a sigmalab keeps its state. Light: the command line asks before anything else is imported."""

import os
import uuid
from pathlib import Path

from orchestrator.private_folder import private_folder
from trainers.user_path import user_home, user_path

FOLDER = ".sigmalab"
_ID_FILE = "home-id"


def state_folder() -> Path:
    """SIGMALAB_HOME, else `.sigmalab` in the current folder if it is there, else `~/.sigmalab`.

    `make demo` and `make serve` keep their state in the checkout; commands typed there find it without a variable.
    A user without a home (a container under a number that no passwd file knows) keeps it in the current folder.
    """
    home = os.environ.get("SIGMALAB_HOME")
    if home:
        return user_path(home, None).absolute()
    here = Path.cwd() / FOLDER
    user = user_home()
    return here if user is None or here.is_dir() else user / FOLDER


def home_id(home: Path) -> str | None:
    """What tells this state folder from every other (`None`: no service has ever used it, or it can't be read).

    The service tells it, and a command compares: whose service answers here? A copy of a folder is another folder.
    """
    file = home / _ID_FILE
    try:
        text = file.read_text(encoding="ascii").strip()
        return f"{text}-{file.stat().st_ino:x}" if text else None
    except (OSError, UnicodeDecodeError):
        return None


def ensure_home_id(home: Path) -> str:
    """The folder's id; the folder is closed to others, and made if there is none.

    Raises:
        OSError: the folder can't be written, or others may write it.
    """
    private_folder(home)
    found = home_id(home)
    if found is not None:
        return found
    draft = home / f"{_ID_FILE}.{os.getpid()}"
    draft.write_text(uuid.uuid4().hex, encoding="ascii")
    # Whoever comes first: several processes may start on one folder.
    try:
        os.link(draft, home / _ID_FILE)
    except FileExistsError:
        pass
    except OSError:
        # A file system without hard links.
        draft.replace(home / _ID_FILE)
    finally:
        draft.unlink(missing_ok=True)
    found = home_id(home)
    if found is None:
        raise OSError(f"{home / _ID_FILE} can't be read")
    return found
