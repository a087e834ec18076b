"""Which service a command speaks to, and that the user is told where there may be a doubt."""

from collections.abc import Iterator
from contextlib import contextmanager

from api.cli.terminal import err, errors_as_exits
from api.client import ELSEWHERE, Client, StrangerError


@contextmanager
def reading(url: str | None) -> Iterator[Client]:
    """A client for a command that changes nothing; another state folder's service is named on standard error."""
    with errors_as_exits(), Client(url) as client:
        if not client.belongs_here:
            endpoint = client.endpoint
            err.print(
                f"note: {endpoint.shown} answers, which is not the service of {endpoint.home} (none runs there); "
                f"{ELSEWHERE}",
                markup=False,
            )
        yield client


@contextmanager
def changing(url: str | None) -> Iterator[Client]:
    """A client for a command that changes something: names its service on standard error, refuses a stranger's."""
    with errors_as_exits(), Client(url) as client:
        if not client.belongs_here:
            raise StrangerError(client.endpoint)
        err.print(f"service  {client.endpoint.shown}  ({client.endpoint.source})", markup=False)
        yield client
