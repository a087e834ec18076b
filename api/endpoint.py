"""Where the service is: SIGMALAB_URL, else what a running `sigmalab serve` has noted, else the usual port."""

import os
from typing import NamedTuple

from api.local_stack.record import read_record
from orchestrator.home import state_folder

DEFAULT_URL = "http://127.0.0.1:8000"


class Endpoint(NamedTuple):
    """An address and who said so."""

    url: str
    source: str
    """For error messages."""


def find_endpoint() -> Endpoint:
    """The service that a command without `--url` speaks to."""
    url = os.environ.get("SIGMALAB_URL")
    if url:
        return Endpoint(url.rstrip("/"), "SIGMALAB_URL")
    home = state_folder()
    record = read_record(home)
    if record is not None and record.url:
        return Endpoint(record.url, str(home / "stack.json"))
    return Endpoint(DEFAULT_URL, "the default; `sigmalab serve` starts the service, SIGMALAB_URL names another one")
