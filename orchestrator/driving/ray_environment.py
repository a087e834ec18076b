"""What Ray reads from the environment. Some of it is read while Ray is imported, so this file imports no Ray."""

import os
import secrets
from pathlib import Path

from trainers.user_path import user_home

_DEFAULTS = {
    # Under `uv run` Ray would give every worker an environment of its own, built anew.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Trials keep the driver's folder: relative data set paths start there.
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # Ray Tune: no files of results, no reports on the screen, no state to restore (the database is the truth).
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",
    "RAY_AIR_NEW_OUTPUT": "0",
    # Ray Train looks at its workers every 2 s by default; a short trial would mostly wait for that.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    # The driver's own handler tells an interrupted experiment from a finished one.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
}


def prepare_ray_environment() -> None:
    """Set what is not set yet; call it before Ray is imported."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    if "RAY_AUTH_MODE" in os.environ:
        return
    if _will_start_a_cluster():
        # A token that nobody else knows, and that is left in no file.
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
        os.environ["RAY_AUTH_MODE"] = "token"
    else:
        # `ray start` uses a token if there is one; a driver that is not told otherwise does the same.
        os.environ["RAY_AUTH_MODE"] = "token" if _has_token() else "disabled"


def _will_start_a_cluster() -> bool:
    """Whether `ray.init()` finds no cluster to join: no address, and no note of `ray start`."""
    note = Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray" / "ray_current_cluster"  # noqa: S108 (Ray's choice)
    return not os.environ.get("RAY_ADDRESS") and not note.exists()


def _has_token() -> bool:
    given = "RAY_AUTH_TOKEN" in os.environ or "RAY_AUTH_TOKEN_PATH" in os.environ
    home = user_home()
    return given or (home is not None and (home / ".ray" / "auth_token").exists())
