"""What a driver on this machine needs: a cluster, and the environment that leads to it."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from api.local_stack import AlreadyRunningError, LocalStack, StackOptions
from api.local_stack.draft import OnNews
from api.local_stack.record import read_record
from orchestrator.state_folder import state_folder


@contextmanager
def ray_here(tell: OnNews, say: Callable[[str], None]) -> Iterator[dict[str, str]]:
    """The environment of `python -m orchestrator run`.

    With RAY_ADDRESS that cluster's; else, of a service that runs in this state folder, its Ray's; else that of a Ray
    which is started now and ended afterwards.

    Args:
        tell: hears of servers that start and end.
        say: hears that a service's Ray is used.

    Raises:
        StackError: Ray can't start.
    """
    if "RAY_ADDRESS" in os.environ:
        yield dict(os.environ)
        return
    with ExitStack() as stack:
        try:
            servers = stack.enter_context(LocalStack(StackOptions(home=state_folder(), only_ray=True), tell))
            environment = servers.driver_environment
        except AlreadyRunningError as error:
            record = read_record(state_folder())
            if record is None or not record.driver_variables:
                raise
            say(f"using the Ray of the service that runs at {error.url}")
            environment = {**os.environ, **record.driver_variables}
        yield environment
