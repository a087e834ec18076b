"""Where the service is: SIGMALAB_URL, else what a running `sigmalab serve` has noted, else the usual port.

Only an address that somebody has named is taken at its word. Behind a noted or a guessed one another service may answer
by now, a colleague's, say: whether it is this state folder's own is asked of it (`api.client`).
"""

import os
from pathlib import Path
from typing import NamedTuple

from api.local_stack.record import read_record
from orchestrator.addresses import without_password
from orchestrator.state_folder import state_folder

DEFAULT_URL = "http://127.0.0.1:8000"
ALIVE = "ok"
"""What `/healthz` answers."""
HOME_ID_HEADER = "Sigmalab-Home"
"""In answers of `/healthz`: which state folder the service is of."""
REPLAYED_HEADER = "Idempotent-Replayed"
"""In answers to `POST /experiments`: an earlier call with the same key has stored the experiment."""


class Endpoint(NamedTuple):
    """An address and who said so."""

    url: str
    source: str
    """For error messages."""
    home: Path | None = None
    """The state folder whose service it should be (`None`: the address was named, whoever answers there)."""

    @property
    def shown(self) -> str:
        """The address for messages: without user and password."""
        return without_password(self.url)


def named_endpoint(url: str) -> Endpoint:
    """The service at an address that the caller has chosen."""
    return Endpoint(url.rstrip("/"), "given")


def find_endpoint() -> Endpoint:
    """The service that a command without `--url` speaks to."""
    url = os.environ.get("SIGMALAB_URL")
    if url:
        return Endpoint(url.rstrip("/"), "SIGMALAB_URL")
    home = state_folder()
    record = read_record(home)
    if record is not None and record.url:
        return Endpoint(record.url, str(home / "stack.json"), home)
    if record is not None:
        return Endpoint(DEFAULT_URL, f"the usual port; a service of {home} is only starting", home)
    return Endpoint(
        DEFAULT_URL,
        f"the usual port, because nothing runs in {home}; `sigmalab serve` starts the service, SIGMALAB_URL names "
        "another one",
        home,
    )
