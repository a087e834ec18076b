"""Servers that run already and that the stack is pointed at: RAY_ADDRESS, MLFLOW_TRACKING_URI."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from api.local_stack.errors import StackError
from orchestrator.addresses import is_http_address, without_password
from trainers.user_path import user_home

_ASK_RAY = "import ray; print(ray.init(address='auto', log_to_driver=False, logging_level='error').dashboard_url or '')"
_CONNECT_SECONDS = 60.0


def ray_dashboard_url(address: str, environment: Mapping[str, str]) -> str:
    """The dashboard of an existing cluster.

    Args:
        address: RAY_ADDRESS: the dashboard's own URL, or the cluster's `host:port`.
        environment: holds RAY_AUTH_MODE and the token, if the cluster asks for one.

    Raises:
        StackError: the address is of another kind, or nobody answers there.
    """
    shown = without_password(address)
    if is_http_address(address):
        return address.rstrip("/")
    if "://" in address:
        raise StackError(
            f"RAY_ADDRESS={shown} can't take jobs; give the dashboard (http://host:8265) or the cluster's host:port"
        )
    # Only Ray itself knows, and this package does not import it.
    try:
        answer = subprocess.run(  # noqa: S603 (our own command)
            [sys.executable, "-c", _ASK_RAY],
            env={**environment, "RAY_ADDRESS": address},
            capture_output=True,
            text=True,
            timeout=_CONNECT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise StackError(f"no Ray cluster answers at RAY_ADDRESS={shown} within {_CONNECT_SECONDS:.0f} s") from None
    found = answer.stdout.strip().rpartition("\n")[2]
    if answer.returncode != 0 or not found:
        reason = answer.stderr.strip().rpartition("\n")[2] or "it has no dashboard"
        raise StackError(f"the Ray cluster at RAY_ADDRESS={shown} can't be used: {reason}")
    return f"http://{found}"


def ray_token(environment: Mapping[str, str]) -> str | None:
    """The token that Ray's own programs would use here: RAY_AUTH_TOKEN, a file, or the user's usual file.

    Raises:
        StackError: RAY_AUTH_TOKEN_PATH names no file that can be read.
    """
    if "RAY_AUTH_TOKEN" in environment:
        return environment["RAY_AUTH_TOKEN"]
    if "RAY_AUTH_TOKEN_PATH" in environment:
        try:
            return Path(environment["RAY_AUTH_TOKEN_PATH"]).read_text().strip()
        except OSError as error:
            path = environment["RAY_AUTH_TOKEN_PATH"]
            raise StackError(f"RAY_AUTH_TOKEN_PATH={path} can't be read: {error.strerror}") from error
    home = user_home()
    usual = home / ".ray" / "auth_token" if home else None
    return usual.read_text().strip() if usual and usual.is_file() else None
